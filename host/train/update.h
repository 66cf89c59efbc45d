/* Launches that update many tensors at once, element by element: one for all tensors of a stage
 * where a launch per tensor would cost more than its work.
 *
 * A kernel sees each allocation as a whole and finds a tensor in it through a table: where its
 * windows begin, how long they are and factors of its own. Tensors whose buffers are windows of the
 * same allocations (thaw_buffer_create_group) share a launch; each other combination gets one of
 * its own. cl/common.cl has the kernels' side (UPDATE_CHUNK). */
#ifndef THAW_TRAIN_UPDATE_H
#define THAW_TRAIN_UPDATE_H

#include "cl/cl.h"

#define THAW_UPDATE_BUFFERS_MAX 4
#define THAW_UPDATE_FACTORS_MAX 4

struct thaw_update_tensor {
    cl_mem buffers[THAW_UPDATE_BUFFERS_MAX]; /* borrowed; in the order of the kernel's arguments */
    size_t size;                             /* of each, in floats; at least 1 */
    float factors[THAW_UPDATE_FACTORS_MAX];
};

/* The kernel takes (table, its length, `buffer_count` allocations, `args`). */
struct thaw_update_kernel {
    const char *file, *name;
    size_t buffer_count;
    struct thaw_arg args[5];
    size_t arg_count;
};

/* Queues the update of `count` tensors; none is no launch. */
thaw_status thaw_update_launch(thaw_device *device, const struct thaw_update_kernel *kernel,
                               const struct thaw_update_tensor *tensors, size_t count);

/* Device memory that a launch over so many tensors takes until it is done: a row for each. */
#define THAW_UPDATE_ROW_BYTES 64
static inline size_t thaw_update_table_bytes(size_t tensors) {
    return tensors * THAW_UPDATE_ROW_BYTES;
}

#endif
