#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "core/text.h"

/* Linux transfers at most 0x7ffff000 bytes per write(); macOS refuses more than INT_MAX. */
#define WRITE_MAX_BYTES ((size_t)1 << 30)

static thaw_status fail_read(const char *path, const char *reason) {
    return thaw_fail(THAW_ERROR_INPUT, "cannot read '%s': %s", path, reason);
}

static thaw_status fail_write(const char *path, const char *reason) {
    return thaw_fail(THAW_ERROR_IO, "cannot write '%s': %s", path, reason);
}

thaw_status thaw_map_open(const char *path, struct thaw_map *ret_map) {
    /* O_NONBLOCK: opening a FIFO must not wait for its writer; it has no effect on real files. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_read(path, strerror(errno));
    thaw_status status = THAW_OK;
    struct thaw_map map = {0};
    struct stat info;
    if (fstat(fd, &info)) {
        status = fail_read(path, strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        status =
            fail_read(path, S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
    } else if (info.st_size > 0) {
        map.size_bytes = (size_t)info.st_size;
        void *bytes = mmap(NULL, map.size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            status = fail_read(path, strerror(errno));
        else
            map.bytes = bytes;
    }
    close(fd); /* the map stays valid */
    if (status == THAW_OK)
        *ret_map = map;
    return status;
}

void thaw_map_close(struct thaw_map *map) {
    if (map->bytes)
        munmap((void *)map->bytes, map->size_bytes);
    *map = (struct thaw_map){0};
}

thaw_status thaw_atomic_open(const char *path, struct thaw_atomic_file *ret_file) {
    struct stat info;
    if (!stat(path, &info) && !S_ISREG(info.st_mode)) /* rename() would replace /dev/null */
        return fail_write(path, S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
    struct thaw_atomic_file file = {.fd = -1};
    size_t size_bytes = strlen(path) + 40;
    file.path = strdup(path);
    file.partial = malloc(size_bytes);
    if (!file.path || !file.partial) {
        thaw_atomic_abandon(&file);
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    }
    snprintf(file.partial, size_bytes, "%s" THAW_ATOMIC_PARTIAL "%ld", path, (long)getpid());
    file.fd = open(file.partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file.fd < 0) {
        thaw_status status = fail_write(path, strerror(errno));
        thaw_atomic_abandon(&file);
        return status;
    }
    *ret_file = file;
    return THAW_OK;
}

/* Records the reason in errno, then removes the partial file. */
static thaw_status give_up(struct thaw_atomic_file *file) {
    thaw_status status = fail_write(file->path, strerror(errno));
    thaw_atomic_abandon(file);
    return status;
}

thaw_status thaw_atomic_write(struct thaw_atomic_file *file, const void *bytes, size_t size_bytes) {
    if (file->fd < 0)
        return fail_write(file->path ? file->path : "", "is closed");
    const unsigned char *next = bytes;
    while (size_bytes > 0) {
        ssize_t written =
            write(file->fd, next, size_bytes < WRITE_MAX_BYTES ? size_bytes : WRITE_MAX_BYTES);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return give_up(file);
        next += written;
        size_bytes -= (size_t)written;
    }
    return THAW_OK;
}

thaw_status thaw_atomic_commit(struct thaw_atomic_file *file) {
    if (file->fd < 0)
        return fail_write(file->path ? file->path : "", "is closed");
    if (fsync(file->fd))
        return give_up(file);
    int fd = file->fd;
    file->fd = -1; /* close() releases the number even when it reports an error */
    if (close(fd) || rename(file->partial, file->path))
        return give_up(file);
    free(file->partial);
    file->partial = NULL;
    thaw_atomic_abandon(file);
    return THAW_OK;
}

/* `partial` is NULL once published. */
void thaw_atomic_abandon(struct thaw_atomic_file *file) {
    if (file->fd >= 0)
        close(file->fd);
    if (file->partial)
        unlink(file->partial);
    free(file->path);
    free(file->partial);
    *file = (struct thaw_atomic_file){.fd = -1};
}

thaw_status thaw_file_write(const char *path, const void *bytes, size_t size_bytes) {
    struct thaw_atomic_file file;
    THAW_TRY(thaw_atomic_open(path, &file));
    THAW_TRY(thaw_atomic_write(&file, bytes, size_bytes));
    return thaw_atomic_commit(&file);
}

bool thaw_path_exists(const char *path) {
    struct stat info;
    return !stat(path, &info);
}

bool thaw_path_is_directory(const char *path) {
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

thaw_status thaw_path_make_directories(const char *path) {
    char *partial = strdup(path);
    if (!partial)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    thaw_status status = THAW_OK;
    for (char *end = partial + (*partial == '/'); status == THAW_OK; end++) {
        end += strcspn(end, "/");
        char stop = *end;
        *end = '\0';
        /* An existing folder may answer EROFS or EACCES instead of EEXIST. */
        if (mkdir(partial, 0777) && !thaw_path_is_directory(partial))
            status = thaw_fail(THAW_ERROR_IO, "cannot create folder '%s': %s", partial,
                               strerror(errno == EEXIST ? ENOTDIR : errno));
        *end = stop;
        if (!stop)
            break;
    }
    free(partial);
    return status;
}

char *thaw_path_join(struct thaw_arena *arena, const char *directory, const char *name) {
    size_t length = strlen(directory);
    const char *separator = length && directory[length - 1] != '/' ? "/" : "";
    return thaw_arena_format(arena, "%s%s%s", directory, separator, name);
}

char *thaw_path_beside(struct thaw_arena *arena, const char *base_file, const char *name) {
    const char *slash = strrchr(base_file, '/');
    if (name[0] == '/' || !slash)
        return thaw_arena_copy(arena, name);
    return thaw_arena_format(arena, "%.*s/%s", (int)(slash - base_file), base_file, name);
}

/* The value of an environment variable, or NULL when it is unset or empty. */
static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Where the cache would be, as XDG's base directory specification has it: relative paths in
 * XDG_CACHE_HOME don't count. */
static thaw_status locate_cache(struct thaw_arena *arena, char **ret_path) {
    const char *cache = environment("THAW_CACHE");
    const char *xdg = environment("XDG_CACHE_HOME"), *home = environment("HOME");
    char *path = NULL;
    if (cache)
        path = thaw_arena_copy(arena, cache);
    else if (xdg && *xdg == '/')
        path = thaw_path_join(arena, xdg, "thaw");
    else if (home)
        path = thaw_path_join(arena, home, ".cache/thaw");
    else
        return thaw_fail(THAW_ERROR_INPUT,
                         "no place for cached files: set THAW_CACHE, XDG_CACHE_HOME or HOME");
    if (!path)
        return THAW_ERROR_MEMORY;
    *ret_path = path;
    return THAW_OK;
}

thaw_status thaw_path_cache_directory(struct thaw_arena *arena, char **ret_path) {
    char *path = NULL;
    THAW_TRY(locate_cache(arena, &path));
    THAW_TRY(thaw_path_make_directories(path));
    *ret_path = path;
    return THAW_OK;
}

static thaw_status read_variable(struct thaw_arena *arena, const char *name, const char *path,
                                 const char **ret_value) {
    const char *value = environment(name);
    if (!value && !strcmp(name, "THAW_CACHE")) {
        char *cache = NULL;
        THAW_TRY(locate_cache(arena, &cache));
        value = cache;
    }
    if (!value)
        return thaw_fail(THAW_ERROR_INPUT, "'%s': the environment variable %s is not set", path,
                         name);
    *ret_value = value;
    return THAW_OK;
}

thaw_status thaw_path_expand(struct thaw_arena *arena, const char *path, char **ret_path) {
    thaw_status status = THAW_OK;
    struct thaw_text text = {0};
    const char *rest = path, *value = NULL;
    if (rest[0] == '~' && rest[1] == '/') {
        THAW_TRY_GOTO(status, done, read_variable(arena, "HOME", path, &value));
        thaw_text_append(&text, "%s", value);
        rest++;
    }
    for (const char *mark; (mark = strstr(rest, "${")); rest = strchr(mark, '}') + 1) {
        const char *end = strchr(mark, '}');
        if (!end || end == mark + 2) {
            status = thaw_fail(THAW_ERROR_INPUT, "'%s': expected ${NAME} at '%s'", path, mark);
            goto done;
        }
        thaw_text_append_bytes(&text, rest, (size_t)(mark - rest));
        char *name = thaw_arena_copy_bytes(arena, mark + 2, (size_t)(end - mark - 2));
        if (!name) {
            status = THAW_ERROR_MEMORY;
            goto done;
        }
        THAW_TRY_GOTO(status, done, read_variable(arena, name, path, &value));
        thaw_text_append(&text, "%s", value);
    }
    thaw_text_append(&text, "%s", rest);
    char *expanded = text.failed ? NULL : thaw_arena_copy(arena, text.text);
    if (!expanded)
        status = thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    else
        *ret_path = expanded;
done:
    thaw_text_finish(&text);
    return status;
}

uint64_t thaw_hash64(const void *bytes, size_t size_bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, size_bytes, seed);
}
