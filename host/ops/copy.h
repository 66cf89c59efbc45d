/* Copies of boxes: a range of channels, rows and columns of one tensor, each with a step, to such a
 * range of another. What slice, pad and concat are made of. */
#ifndef THAW_OPS_COPY_H
#define THAW_OPS_COPY_H

#include "ops/op.h"
#include "ops/parse.h"

struct thaw_copy_kernels {
    thaw_kernel *box, *fill;
};

/* Along one axis, for i < count: place from + i * from_step goes to place to + i * to_step. Steps
 * are not 0, and no place lies outside of its tensor. */
struct thaw_copy_axis {
    int from, from_step, to, to_step, count;
};

enum thaw_copy_mode {
    THAW_COPY_OVER,  /* writes the box alone */
    THAW_COPY_CLEAR, /* and clears the lanes behind it in its last channel block */
    THAW_COPY_ADD,   /* adds to what the box holds */
};

/* Makes `kernels` (the op's state holds them) for tensors of the device's channel block. */
thaw_status thaw_copy_prepare(thaw_device *device, struct thaw_copy_kernels *ret_kernels);

/* The whole of a tensor to the whole of one of the same shape. */
void thaw_copy_whole(const struct thaw_layout *layout,
                     struct thaw_copy_axis ret_axes[THAW_AXIS_COUNT]);
/* The same copy backwards. */
void thaw_copy_reverse(struct thaw_copy_axis axes[THAW_AXIS_COUNT]);

thaw_status thaw_copy_box(thaw_device *device, const struct thaw_copy_kernels *kernels,
                          const struct thaw_tensor *from, const struct thaw_tensor *to,
                          const struct thaw_copy_axis axes[THAW_AXIS_COUNT],
                          enum thaw_copy_mode mode, int batch);

/* `value` in all channels and pixels of the first `batch` images; lanes past C become 0. */
thaw_status thaw_copy_fill(thaw_device *device, const struct thaw_copy_kernels *kernels,
                           const struct thaw_tensor *tensor, float value, int batch);

#endif
