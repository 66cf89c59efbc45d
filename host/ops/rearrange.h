/* Another order of an image's content: what rearrange and flatten run. A plan says, for place k of
 * the output in logical (C, H, W) order, at which place of the input its value stands: k is taken
 * apart into digits, one for each dimension, and each digit has a stride in the input. */
#ifndef THAW_OPS_REARRANGE_H
#define THAW_OPS_REARRANGE_H

#include "ops/op.h"

#define THAW_REARRANGE_DIMS 6

struct thaw_rearrange_plan {
    int dims; /* as few as say the same; 1: nothing changes its place */
    int size[THAW_REARRANGE_DIMS], stride[THAW_REARRANGE_DIMS]; /* of the output's dimensions */
};

/* `view`: the dimensions that the content is seen with; `order`: which of them is the output's
 * first, second, ... */
void thaw_rearrange_plan_make(const int *view, const int *order, int dims,
                              struct thaw_rearrange_plan *ret_plan);

/* The op functions, once the plan is known. `plan` is copied. */
thaw_status thaw_rearrange_prepare(struct thaw_op_call *call,
                                   const struct thaw_rearrange_plan *plan);
thaw_status thaw_rearrange_forward(const struct thaw_op_call *call,
                                   const struct thaw_op_step *step);
thaw_status thaw_rearrange_backward(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step);

#endif
