/* What conv and linear share: three directions of one convolution, the gradient of the bias, and
 * the parameters. */
#ifndef THAW_OPS_CONV_COMMON_H
#define THAW_OPS_CONV_COMMON_H

#include "ops/op.h"

/* Fills parameters (weight, and bias if `bias`), output shape, halos and flops of the convolution
 * `geometry` (whose layouts have no halo yet) into ret_spec. */
void thaw_conv_op_infer(const struct thaw_conv_geometry *geometry, bool bias,
                        struct thaw_op_spec *ret_spec);

/* `geometry` needs w and what follows it; the layouts are taken from the call. Only the directions
 * that the call asks for are created. */
thaw_status thaw_conv_op_prepare(struct thaw_op_call *call,
                                 const struct thaw_conv_geometry *geometry);
thaw_status thaw_conv_op_forward(const struct thaw_op_call *call, const struct thaw_op_step *step);
thaw_status thaw_conv_op_backward(const struct thaw_op_call *call, const struct thaw_op_step *step);
void thaw_conv_op_release(struct thaw_op_call *call);
bool thaw_conv_op_problem(const struct thaw_op_call *call, enum thaw_conv_direction direction,
                          struct thaw_conv_problem *ret_problem);

#endif
