#include "train/feature_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <xxhash.h>

#include "core/log.h"
#include "core/text.h"

#define MAGIC "thaw features 1\n"
#define MAGIC_BYTES (sizeof MAGIC - 1)
#define FIXED_BYTES (MAGIC_BYTES + 3 * sizeof(uint64_t))
#define ALIGN_BYTES 4096

/* ---- the header ----------------------------------------------------------------------------- */

static void put_u64(unsigned char *bytes, uint64_t value) {
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
}

static size_t header_bytes(const char *key) {
    size_t size = FIXED_BYTES + strlen(key) + 1;
    return (size + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

uint64_t thaw_feature_file_bytes(const char *key, size_t value_bytes) {
    return (uint64_t)header_bytes(key) + value_bytes + sizeof(XXH128_canonical_t);
}

/* The whole header; NULL when out of memory. */
static unsigned char *make_header(const char *key, size_t value_bytes) {
    unsigned char *header = calloc(1, header_bytes(key));
    if (!header)
        return NULL;
    memcpy(header, MAGIC, MAGIC_BYTES);
    put_u64(header + MAGIC_BYTES, header_bytes(key));
    put_u64(header + MAGIC_BYTES + 8, value_bytes);
    put_u64(header + MAGIC_BYTES + 16, strlen(key));
    memcpy(header + FIXED_BYTES, key, strlen(key) + 1);
    return header;
}

static char *file_path(struct thaw_arena *arena, const char *folder, const char *key) {
    XXH128_hash_t hash = XXH3_128bits(key, strlen(key));
    return thaw_arena_format(arena, "%s/%016llx%016llx.features", folder,
                             (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

thaw_status thaw_feature_folder(struct thaw_arena *arena, char **ret_folder) {
    char *cache = NULL;
    THAW_TRY(thaw_path_cache_directory(arena, &cache));
    char *folder = thaw_path_join(arena, cache, "features");
    if (!folder)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_path_make_directories(folder));
    *ret_folder = folder;
    return THAW_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* What is wrong with a file, or NULL. */
static const char *find_fault(const struct thaw_map *map, const unsigned char *header,
                              const char *key, size_t value_bytes) {
    size_t size = header_bytes(key);
    XXH128_canonical_t hash;
    if (map->size_bytes != thaw_feature_file_bytes(key, value_bytes))
        return "has another size than it should";
    if (memcmp(map->bytes, header, size) != 0)
        return "is of something else";
    XXH128_canonicalFromHash(&hash, XXH3_128bits(map->bytes, size + value_bytes));
    return memcmp(map->bytes + size + value_bytes, &hash, sizeof hash) ? "is damaged" : NULL;
}

/* Locked first and mapped through another descriptor: what is at `path` may be replaced in between,
 * by a file that is just as good. */
static thaw_status open_file(const char *path, const char *key, size_t value_bytes,
                             struct thaw_feature_file *file) {
    const char *fault = NULL;
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return THAW_OK;
    file->open = true;
    flock(file->fd, LOCK_SH | LOCK_NB); /* a file system without locks: it may be dropped early */
    thaw_status status = thaw_map_open(path, &file->map);
    if (status != THAW_OK)
        fault = thaw_error_message();
    unsigned char *header = make_header(key, value_bytes);
    if (!header)
        status = thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    else if (!fault)
        fault = find_fault(&file->map, header, key, value_bytes);
    free(header);
    if (!fault && status == THAW_OK) {
        futimens(file->fd,
                 NULL); /* fails in a folder of someone else's, where nothing is dropped */
        file->values = file->map.bytes + header_bytes(key);
        return THAW_OK;
    }
    if (fault && header) {
        thaw_log(THAW_LOG_WARNING, "%s %s: the features are computed anew", path, fault);
        unlink(path);
        status = THAW_OK;
    }
    thaw_feature_file_close(file);
    return status;
}

thaw_status thaw_feature_file_open(const char *folder, const char *key, size_t value_bytes,
                                   struct thaw_feature_file *ret_file) {
    struct thaw_arena arena = {0};
    struct thaw_feature_file file = {0};
    char *path = file_path(&arena, folder, key);
    thaw_status status = path ? open_file(path, key, value_bytes, &file) : THAW_ERROR_MEMORY;
    thaw_arena_finish(&arena);
    if (status == THAW_OK)
        *ret_file = file;
    return status;
}

void thaw_feature_file_close(struct thaw_feature_file *file) {
    thaw_map_close(&file->map);
    if (file->open)
        close(file->fd);
    *file = (struct thaw_feature_file){0};
}

/* ---- writing -------------------------------------------------------------------------------- */

/* A failure that is most often a full disk. */
static thaw_status hint_full(thaw_status status, uint64_t size_bytes) {
    if (status == THAW_ERROR_MEMORY)
        return status;
    thaw_context(status, "writing %llu bytes of features", (unsigned long long)size_bytes);
    return thaw_hint(status, "free some space, set THAW_CACHE to a folder on another disk, or keep "
                             "the features in memory: cache: {disk: false}");
}

static thaw_status check_space(const char *folder, uint64_t size_bytes) {
    struct statvfs disk;
    if (statvfs(folder, &disk))
        return THAW_OK; /* writing will tell */
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes >= size_bytes)
        return THAW_OK;
    return hint_full(thaw_fail(THAW_ERROR_IO, "the disk of '%s' has %llu bytes free", folder,
                               (unsigned long long)free_bytes),
                     size_bytes);
}

static thaw_status write_header(struct thaw_feature_writer *w, const char *key,
                                size_t value_bytes) {
    unsigned char *header = make_header(key, value_bytes);
    w->hash = XXH3_createState();
    if (!header || !w->hash) {
        free(header);
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    }
    XXH3_128bits_reset(w->hash);
    thaw_status status = thaw_feature_writer_write(w, header, header_bytes(key));
    free(header);
    return status;
}

thaw_status thaw_feature_writer_open(const char *folder, const char *key, size_t value_bytes,
                                     struct thaw_feature_writer *ret_writer) {
    struct thaw_feature_writer w = {.file = {.fd = -1},
                                    .size_bytes = thaw_feature_file_bytes(key, value_bytes)};
    struct thaw_arena arena = {0};
    THAW_TRY(check_space(folder, w.size_bytes));
    char *path = file_path(&arena, folder, key);
    thaw_status status = path ? thaw_atomic_open(path, &w.file) : THAW_ERROR_MEMORY;
    thaw_arena_finish(&arena);
    if (status == THAW_OK) {
        flock(w.file.fd, LOCK_EX | LOCK_NB);
        status = write_header(&w, key, value_bytes);
    }
    if (status != THAW_OK)
        thaw_feature_writer_abandon(&w);
    else
        *ret_writer = w;
    return status;
}

thaw_status thaw_feature_writer_write(struct thaw_feature_writer *writer, const void *bytes,
                                      size_t size_bytes) {
    XXH3_128bits_update(writer->hash, bytes, size_bytes);
    return hint_full(thaw_atomic_write(&writer->file, bytes, size_bytes), writer->size_bytes);
}

thaw_status thaw_feature_writer_commit(struct thaw_feature_writer *writer) {
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(writer->hash));
    THAW_TRY(hint_full(thaw_atomic_write(&writer->file, &hash, sizeof hash), writer->size_bytes));
    THAW_TRY(hint_full(thaw_atomic_commit(&writer->file), writer->size_bytes));
    thaw_feature_writer_abandon(writer);
    return THAW_OK;
}

void thaw_feature_writer_abandon(struct thaw_feature_writer *writer) {
    thaw_atomic_abandon(&writer->file);
    XXH3_freeState(writer->hash);
    writer->hash = NULL;
}
