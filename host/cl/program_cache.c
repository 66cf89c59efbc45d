/* Built programs on disk: <cache>/kernels/<hash>.bin, one per (device, driver, kernels, file,
 * options). A cache that can't be read or written only costs a build, so nothing here fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/internal.h"
#include "core/file.h"
#include "core/log.h"

#define MAGIC 0x314e494257414854ull /* "THAWBIN1" */
#define CHECK_SEED 1                /* another hash of the key: tells names that collide apart */

struct header {
    uint64_t magic, key_check, binary_hash, binary_size_bytes;
};

static char *cache_path(struct thaw_arena *arena, const char *key, char **ret_folder) {
    char *folder = NULL;
    if (thaw_path_expand(arena, "${THAW_CACHE}/kernels", &folder) != THAW_OK)
        return NULL;
    *ret_folder = folder;
    return thaw_arena_format(arena, "%s/%016llx.bin", folder,
                             (unsigned long long)thaw_hash64(key, strlen(key), 0));
}

/* Builds what the file holds; NULL when it is not for this key, damaged, or refused. */
static cl_program program_from(const thaw_device *device, const struct thaw_map *map,
                               const char *key, const char *options) {
    struct header header;
    if (map->size_bytes < sizeof header)
        return NULL;
    memcpy(&header, map->bytes, sizeof header);
    const unsigned char *binary = map->bytes + sizeof header;
    size_t size = map->size_bytes - sizeof header;
    if (header.magic != MAGIC || header.binary_size_bytes != size ||
        header.key_check != thaw_hash64(key, strlen(key), CHECK_SEED) ||
        header.binary_hash != thaw_hash64(binary, size, 0))
        return NULL;
    cl_int code = CL_SUCCESS;
    cl_program program =
        clCreateProgramWithBinary(device->context, 1, &device->id, &size, &binary, NULL, &code);
    if (code != CL_SUCCESS)
        return NULL;
    if (clBuildProgram(program, 1, &device->id, options, NULL, NULL) != CL_SUCCESS) {
        clReleaseProgram(program);
        return NULL;
    }
    return program;
}

cl_program thaw_program_cache_load(const thaw_device *device, const char *key,
                                   const char *options) {
    struct thaw_arena arena = {0};
    struct thaw_map map = {0};
    char *folder = NULL, *path = cache_path(&arena, key, &folder);
    cl_program program = NULL;
    if (path && thaw_path_exists(path) && thaw_map_open(path, &map) == THAW_OK)
        program = program_from(device, &map, key, options);
    thaw_map_close(&map);
    thaw_arena_finish(&arena);
    return program;
}

/* The binary after room for a header; NULL when the implementation gives none. */
static unsigned char *get_binary(cl_program program, size_t *ret_size) {
    size_t size = 0;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) !=
            CL_SUCCESS ||
        size == 0)
        return NULL;
    unsigned char *bytes = malloc(sizeof(struct header) + size);
    if (!bytes)
        return NULL;
    unsigned char *binary = bytes + sizeof(struct header);
    if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) !=
        CL_SUCCESS) {
        free(bytes);
        return NULL;
    }
    *ret_size = size;
    return bytes;
}

void thaw_program_cache_store(cl_program program, const char *key) {
    size_t size = 0;
    unsigned char *bytes = get_binary(program, &size);
    if (!bytes)
        return;
    struct header header = {MAGIC, thaw_hash64(key, strlen(key), CHECK_SEED),
                            thaw_hash64(bytes + sizeof header, size, 0), size};
    memcpy(bytes, &header, sizeof header);
    struct thaw_arena arena = {0};
    char *folder = NULL, *path = cache_path(&arena, key, &folder);
    if (path && (thaw_path_make_directories(folder) != THAW_OK ||
                 thaw_file_write(path, bytes, sizeof header + size) != THAW_OK))
        thaw_log(THAW_LOG_DEBUG, "kernel cache: %s", thaw_error_message());
    thaw_arena_finish(&arena);
    free(bytes);
}
