/* The folder of feature caches as a whole: what is in it, its limit, making room. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/log.h"
#include "core/text.h"
#include "train/feature_file.h"

#define MAGIC "thaw features 1\n"
#define KEY_OFFSET (sizeof MAGIC - 1 + 24)
#define GIB ((uint64_t)1 << 30)
#define LIMIT_BYTES (20 * GIB)
#define ABANDONED_S 60 /* a file that is just being created is not locked yet */

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && !strcmp(text + length - end_length, end);
}

/* ---- the list ------------------------------------------------------------------------------- */

/* The first line of the key text; NULL when the file does not begin as one should. */
static const char *read_what(struct thaw_arena *arena, const char *path) {
    char text[512] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (got <= (ssize_t)KEY_OFFSET || memcmp(text, MAGIC, sizeof MAGIC - 1) != 0)
        return NULL;
    char *what = text + KEY_OFFSET;
    what[strcspn(what, "\n")] = '\0';
    return thaw_arena_copy(arena, what);
}

static int by_use(const void *a, const void *b) {
    const struct thaw_feature_entry *x = a, *y = b;
    return x->used != y->used ? (x->used > y->used) - (x->used < y->used)
                              : strcmp(x->path, y->path);
}

static thaw_status count_names(const char *folder, DIR **ret_directory, size_t *ret_count) {
    DIR *directory = opendir(folder);
    if (!directory)
        return thaw_fail(THAW_ERROR_IO, "cannot read folder '%s': %s", folder, strerror(errno));
    size_t count = 0;
    while (readdir(directory))
        count++;
    rewinddir(directory);
    *ret_directory = directory;
    *ret_count = count;
    return THAW_OK;
}

thaw_status thaw_feature_list(struct thaw_arena *arena, const char *folder,
                              struct thaw_feature_entry **ret_entries, size_t *ret_count) {
    DIR *directory = NULL;
    size_t room = 0, count = 0;
    THAW_TRY(count_names(folder, &directory, &room));
    struct thaw_feature_entry *entries = thaw_arena_array(arena, room + 1, sizeof *entries);
    thaw_status status = entries ? THAW_OK : THAW_ERROR_MEMORY;
    const struct dirent *name;
    while (status == THAW_OK && count < room && (name = readdir(directory))) {
        struct stat info;
        char *path = thaw_path_join(arena, folder, name->d_name);
        if (!path)
            status = THAW_ERROR_MEMORY;
        else if (ends_with(path, ".features") && !lstat(path, &info) && S_ISREG(info.st_mode))
            entries[count++] = (struct thaw_feature_entry){path, read_what(arena, path),
                                                           (uint64_t)info.st_size, info.st_mtime};
    }
    closedir(directory);
    THAW_TRY(status);
    qsort(entries, count, sizeof *entries, by_use);
    *ret_entries = entries;
    *ret_count = count;
    return THAW_OK;
}

/* ---- the limit ------------------------------------------------------------------------------ */

static thaw_status parse_size(const char *text, uint64_t *ret_bytes) {
    if (thaw_text_bytes(text, ret_bytes))
        return THAW_OK;
    thaw_fail(THAW_ERROR_INPUT, "THAW_CACHE_LIMIT: '%s' is no size in bytes", text);
    return thaw_hint(THAW_ERROR_INPUT, "THAW_CACHE_LIMIT=5GiB, or 0 to keep no features on disk");
}

static thaw_status sum_sizes(const char *folder, uint64_t *ret_bytes) {
    struct thaw_arena arena = {0};
    struct thaw_feature_entry *entries = NULL;
    size_t count = 0;
    thaw_status status = thaw_feature_list(&arena, folder, &entries, &count);
    uint64_t sum = 0;
    for (size_t i = 0; status == THAW_OK && i < count; i++)
        sum += entries[i].size_bytes;
    thaw_arena_finish(&arena);
    if (status == THAW_OK)
        *ret_bytes = sum;
    return status;
}

thaw_status thaw_feature_limit(const char *folder, uint64_t *ret_limit_bytes) {
    const char *text = getenv("THAW_CACHE_LIMIT");
    struct statvfs disk;
    uint64_t used = 0, limit = LIMIT_BYTES;
    if (text && *text)
        return parse_size(text, ret_limit_bytes);
    THAW_TRY(sum_sizes(folder, &used));
    if (!statvfs(folder, &disk)) {
        uint64_t part = ((uint64_t)disk.f_bavail * disk.f_frsize + used) / 4;
        limit = part < limit ? part : limit;
    }
    *ret_limit_bytes = limit;
    return THAW_OK;
}

/* ---- making room ---------------------------------------------------------------------------- */

/* Removes a file that no process has locked. */
static bool remove_unused(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool removed = !flock(fd, LOCK_EX | LOCK_NB) && !unlink(path);
    close(fd);
    return removed;
}

static void remove_abandoned(struct thaw_arena *arena, const char *folder) {
    DIR *directory = opendir(folder);
    const struct dirent *name;
    struct stat info;
    while (directory && (name = readdir(directory))) {
        if (!strstr(name->d_name, ".features.partial-"))
            continue;
        const char *path = thaw_path_join(arena, folder, name->d_name);
        if (path && !lstat(path, &info) && info.st_mtime + ABANDONED_S < time(NULL))
            remove_unused(path);
    }
    if (directory)
        closedir(directory);
}

thaw_status thaw_feature_shrink(const char *folder, uint64_t keep_bytes, size_t *ret_dropped) {
    struct thaw_arena arena = {0};
    struct thaw_feature_entry *entries = NULL;
    size_t count = 0, dropped = 0;
    uint64_t sum = 0;
    thaw_status status = thaw_feature_list(&arena, folder, &entries, &count);
    if (status == THAW_OK)
        remove_abandoned(&arena, folder);
    for (size_t i = 0; status == THAW_OK && i < count; i++)
        sum += entries[i].size_bytes;
    for (size_t i = 0; status == THAW_OK && i < count; i++)
        if ((sum > keep_bytes || !entries[i].size_bytes) && remove_unused(entries[i].path)) {
            thaw_log(THAW_LOG_DEBUG, "dropped %s to make room", entries[i].path);
            sum -= entries[i].size_bytes;
            dropped++;
        }
    thaw_arena_finish(&arena);
    if (status == THAW_OK && ret_dropped)
        *ret_dropped = dropped;
    return status;
}
