/* Files: paths, whole-file reads, memory maps, and writes that appear whole or not at all. */
#ifndef THAW_CORE_FILE_H
#define THAW_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"

/* A read-only memory map. Starts as {0}. */
struct thaw_map {
    const unsigned char *bytes; /* NULL for an empty file */
    size_t size_bytes;
};

/* THAW_ERROR_INPUT with the path and the system's reason when it cannot be read; only regular
 * files can be. */
thaw_status thaw_map_open(const char *path, struct thaw_map *ret_map);
void thaw_map_close(struct thaw_map *map); /* accepts {0} */

/* Writes to `<path>.partial-<pid>`, then fsync + rename: `path` is the old file or the whole new
 * one. A failure is THAW_ERROR_IO with the path and the system's reason; it closes the file and
 * removes the partial one. What exists at `path` and is no regular file is refused; a symbolic link
 * is replaced, not followed. Two threads must not write the same path at once. */
struct thaw_atomic_file {
    int fd; /* -1 when closed */
    char *path, *partial;
};
/* In the name of a file being written, which a killed process leaves behind. */
#define THAW_ATOMIC_PARTIAL ".partial-"
thaw_status thaw_atomic_open(const char *path, struct thaw_atomic_file *ret_file);
thaw_status thaw_atomic_write(struct thaw_atomic_file *file, const void *bytes, size_t size_bytes);
/* Publishes and closes the file. After a failure of open, write or commit, and after
 * thaw_atomic_abandon, nothing is left behind. */
thaw_status thaw_atomic_commit(struct thaw_atomic_file *file);
void thaw_atomic_abandon(struct thaw_atomic_file *file); /* safe after commit and on fd == -1 */
/* Open, write, commit in one. */
thaw_status thaw_file_write(const char *path, const void *bytes, size_t size_bytes);

bool thaw_path_exists(const char *path);
bool thaw_path_is_directory(const char *path);
/* Creates `path` and its parents; fine if they exist. THAW_ERROR_IO names the folder that fails. */
thaw_status thaw_path_make_directories(const char *path);
/* `name` if absolute, else directory-of(`base_file`)/name. NULL when out of memory. */
char *thaw_path_beside(struct thaw_arena *arena, const char *base_file, const char *name);
char *thaw_path_join(struct thaw_arena *arena, const char *directory, const char *name);
/* Expands a leading "~/" and every "${NAME}" from the environment; "${THAW_CACHE}" falls back to
 * $XDG_CACHE_HOME/thaw, then ~/.cache/thaw. An unset or empty variable is THAW_ERROR_INPUT. */
thaw_status thaw_path_expand(struct thaw_arena *arena, const char *path, char **ret_path);
/* Where Thaw keeps what it can make again (compiled kernels, tuning, downloads): THAW_CACHE, else
 * $XDG_CACHE_HOME/thaw, else ~/.cache/thaw. The folder is created. */
thaw_status thaw_path_cache_directory(struct thaw_arena *arena, char **ret_path);

/* XXH3 64 bits of `bytes`, for content keys and freeze.json. */
uint64_t thaw_hash64(const void *bytes, size_t size_bytes, uint64_t seed);

#endif
