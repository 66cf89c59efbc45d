/* Feature caches on disk: THAW_CACHE/features/<key>.features, shared by experiments and processes.
 *
 * <key> is XXH3 (128 bits) of the key text, which says all that the values depend on
 * (feature_cache.h). A file:
 *
 *     "thaw features 1\n"                    16 bytes; 1: the format's version
 *     offset of the values, their size, length of the key text: three uint64, little endian
 *     the key text, for `strings` and `thaw cache`; zeros up to a multiple of 4096
 *     the values
 *     XXH3 (128 bits, canonical) of everything before
 *
 * A file is written under another name and renamed when it is complete and on disk. It is checked
 * whole when it is opened: size, key text, hash (0.2 s for a GiB that the page cache holds); one
 * that fails is warned of and taken away. Any number of processes may fill the same key: the last
 * one's file stays, the others keep theirs open.
 *
 * An open file is locked (flock, shared), so that no process drops it to make room; one that is
 * being written is locked, too, and what a killed process left unlocked is removed. The time of
 * modification is that of the last use. */
#ifndef THAW_TRAIN_FEATURE_FILE_H
#define THAW_TRAIN_FEATURE_FILE_H

#include <stdbool.h>
#include <time.h>

#include "core/file.h"

/* A file in use. Starts as {0}. */
struct thaw_feature_file {
    bool open;
    int fd; /* holds the lock */
    struct thaw_map map;
    const void *values; /* in the map */
};

/* THAW_CACHE/features, created. */
thaw_status thaw_feature_folder(struct thaw_arena *arena, char **ret_folder);
/* The largest sum of all files: THAW_CACHE_LIMIT ("5GiB", "800MiB", bytes; 0: nothing is kept on
 * disk), else 20 GiB or a quarter of the disk's free space, files of the folder counted as free,
 * whichever is less. THAW_ERROR_INPUT when the variable is no size. */
thaw_status thaw_feature_limit(const char *folder, uint64_t *ret_limit_bytes);

/* Opens the file of a key. ret_file->open is false when there is none that is whole. */
thaw_status thaw_feature_file_open(const char *folder, const char *key, size_t value_bytes,
                                   struct thaw_feature_file *ret_file);
void thaw_feature_file_close(struct thaw_feature_file *file); /* accepts {0} */
/* With header and hash. */
uint64_t thaw_feature_file_bytes(const char *key, size_t value_bytes);

/* A file being written, value after value. */
struct thaw_feature_writer {
    struct thaw_atomic_file file;
    void *hash;          /* XXH3_state_t */
    uint64_t size_bytes; /* of the whole file, for messages */
};
thaw_status thaw_feature_writer_open(const char *folder, const char *key, size_t value_bytes,
                                     struct thaw_feature_writer *ret_writer);
thaw_status thaw_feature_writer_write(struct thaw_feature_writer *writer, const void *bytes,
                                      size_t size_bytes);
thaw_status thaw_feature_writer_commit(struct thaw_feature_writer *writer);
void thaw_feature_writer_abandon(struct thaw_feature_writer *writer); /* also after a failure */

/* What lies in the folder, least recently used first. */
struct thaw_feature_entry {
    const char *path;
    const char *what; /* first line of the key text; NULL: not a file of this version */
    uint64_t size_bytes;
    time_t used;
};
thaw_status thaw_feature_list(struct thaw_arena *arena, const char *folder,
                              struct thaw_feature_entry **ret_entries, size_t *ret_count);
/* Drops files, least recently used first, until they take `keep_bytes` at most or the rest is in
 * use; and what killed processes left. */
thaw_status thaw_feature_shrink(const char *folder, uint64_t keep_bytes, size_t *ret_dropped);

#endif
