/* Named tensors in host memory: what a weights file holds, whatever its format.
 *
 * A list is either opened from a file (thaw_weights_open) or filled with thaw_weights_add and
 * written with thaw_safetensors_write. Data is contiguous, row major, in the host's (little-endian)
 * byte order, and stays where it is: in the mapped file, in the list's arena, or with the caller.
 */
#ifndef THAW_IO_WEIGHTS_H
#define THAW_IO_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/file.h"

#define THAW_WEIGHT_RANK_MAX 8

/* Widest first, so that a file laid out in this order keeps every tensor aligned. */
enum thaw_dtype {
    THAW_DTYPE_F64,
    THAW_DTYPE_I64,
    THAW_DTYPE_U64,
    THAW_DTYPE_F32,
    THAW_DTYPE_I32,
    THAW_DTYPE_U32,
    THAW_DTYPE_F16,
    THAW_DTYPE_BF16,
    THAW_DTYPE_I16,
    THAW_DTYPE_U16,
    THAW_DTYPE_I8,
    THAW_DTYPE_U8,
    THAW_DTYPE_BOOL,
    THAW_DTYPE_COUNT
};

/* The name that safetensors uses ("F32") and the size of one element. */
const char *thaw_dtype_name(enum thaw_dtype dtype);
size_t thaw_dtype_size_bytes(enum thaw_dtype dtype);
/* False when no dtype has that name. */
bool thaw_dtype_from_name(const char *name, enum thaw_dtype *ret_dtype);

struct thaw_weight {
    const char *name; /* UTF-8 without control characters; the list's arena */
    enum thaw_dtype dtype;
    int rank; /* 0: a scalar */
    int64_t dims[THAW_WEIGHT_RANK_MAX];
    const void *data; /* borrowed; may be unaligned: read with thaw_weight_to_float or memcpy */
    size_t size_bytes;
};

struct thaw_weights_metadata {
    const char *key, *value;
};

/* Starts as {0}. */
struct thaw_weights {
    struct thaw_arena arena;
    struct thaw_weight *items; /* in the file's order */
    size_t count, capacity;
    struct thaw_weights_metadata *metadata;
    size_t metadata_count, metadata_capacity;
    const char *format;   /* name of the importer that read it; NULL for a list made in memory */
    struct thaw_map file; /* what the data is borrowed from; {0} when it is not ours */
    const struct thaw_weight **sorted; /* by name; see thaw_weights_index */
    size_t sorted_count;
};

/* Opens a weights file; its format is told by its content. The list is finished by the caller.
 * THAW_ERROR_INPUT for a missing, unknown or damaged file, THAW_ERROR_UNSUPPORTED for a valid one
 * that holds something Thaw has no type for. */
thaw_status thaw_weights_open(const char *path, struct thaw_weights *ret_weights);

/* The same for `size_bytes` of memory that outlives the list; `name` is for messages. */
thaw_status thaw_weights_open_bytes(const void *bytes, size_t size_bytes, const char *name,
                                    struct thaw_weights *ret_weights);

void thaw_weights_finish(struct thaw_weights *weights); /* accepts {0} */

/* Appends a tensor. The name is copied, `data` is borrowed. THAW_ERROR_INPUT for a name that is
 * empty, too long or not text, for a negative dimension and for a size beyond the address space. */
thaw_status thaw_weights_add(struct thaw_weights *weights, const char *name, enum thaw_dtype dtype,
                             int rank, const int64_t *dims, const void *data);

/* Sets a metadata entry (copied), replacing one of the same key. */
thaw_status thaw_weights_set_metadata(struct thaw_weights *weights, const char *key,
                                      const char *value);
const char *thaw_weights_get_metadata(const struct thaw_weights *weights, const char *key);

/* Sorts for fast look-ups and refuses duplicate names with THAW_ERROR_INPUT. An opened list has
 * been through this; one that is filled in memory may be. */
thaw_status thaw_weights_index(struct thaw_weights *weights);

/* NULL when there is none of that name. */
const struct thaw_weight *thaw_weights_find(const struct thaw_weights *weights, const char *name);

/* Number of elements: the product of the dimensions, 1 for a scalar. */
size_t thaw_weight_count(const struct thaw_weight *weight);

/* Converts every element to float (round to nearest); `ret_data` holds thaw_weight_count floats. */
void thaw_weight_to_float(const struct thaw_weight *weight, float *ret_data);

/* "64x3x7x7", "scalar". */
#define THAW_SHAPE_TEXT_SIZE 176
void thaw_shape_text(int rank, const int64_t *dims, char ret_text[THAW_SHAPE_TEXT_SIZE]);

/* Reads the file `in` of any known format and writes it to `out` as safetensors, dtypes unchanged.
 * The list is handed over for a summary, and finished by the caller. */
thaw_status thaw_weights_import(const char *in, const char *out, struct thaw_weights *ret_weights);

#endif
