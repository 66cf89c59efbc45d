/* Files of MNIST's format IDX (LeCun, Cortes and Burges, "The MNIST database of handwritten
 * digits", 1998), plain or in gzip: the bytes 0, 0, 8 (unsigned bytes) and the number of
 * dimensions, then each dimension as 32 bits, big end first, then the values, last dimension
 * fastest. Other value types of the format are refused. */
#ifndef THAW_DATA_IDX_H
#define THAW_DATA_IDX_H

#include <stdint.h>

#include "core/arena.h"

#define THAW_IDX_RANK_MAX 4

struct thaw_idx {
    int rank; /* 1 .. THAW_IDX_RANK_MAX */
    uint32_t dims[THAW_IDX_RANK_MAX];
    uint8_t *values; /* of the arena */
    size_t size_bytes;
};

/* Reads the whole file into `arena`. THAW_ERROR_INPUT names the file and what is wrong: no such
 * file, another format, sizes that the file cannot hold, an end before the last item (with its
 * number), damaged gzip, bytes after the end, more than memory has room for. */
thaw_status thaw_idx_load(struct thaw_arena *arena, const char *path, struct thaw_idx *ret_idx);
/* The same for bytes that are called `name`. */
thaw_status thaw_idx_parse(struct thaw_arena *arena, const uint8_t *bytes, size_t size_bytes,
                           const char *name, struct thaw_idx *ret_idx);

#endif
