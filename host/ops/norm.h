/* What layernorm and instancenorm share: normalisation over some axes of each image, which needs no
 * statistics of the batch and is the same in training and evaluation:
 *
 *   forward    y = n weight + bias,  n = (x - mean) inv,  inv = 1 / sqrt(var + eps)
 *   backward   g = dy weight;  dx = inv (g - average g - n average(g n))
 *              dweight = sum dy n,  dbias = sum dy
 *
 * Mean, variance and averages are over the normalised axes; weight and bias have the `affine` axes
 * and are the same along the others. Backward needs x and the saved mean and inv. Kernels:
 * cl/norm.cl; normalisation over channels alone, of every layer of ConvNeXt, has its own. */
#ifndef THAW_OPS_NORM_H
#define THAW_OPS_NORM_H

#include "ops/op.h"
#include "ops/parse.h"

struct thaw_norm_attrs {
    bool axes[THAW_AXIS_COUNT];   /* normalised */
    bool affine[THAW_AXIS_COUNT]; /* of weight and bias; none: there are none */
    float eps;
};

/* The parts of struct thaw_op; attrs are struct thaw_norm_attrs. */
thaw_status thaw_norm_infer(const void *attrs, const struct thaw_layout *in, int input_count,
                            const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec);
thaw_status thaw_norm_prepare(struct thaw_op_call *call);
thaw_status thaw_norm_forward(const struct thaw_op_call *call, const struct thaw_op_step *step);
thaw_status thaw_norm_backward(const struct thaw_op_call *call, const struct thaw_op_step *step);

#define THAW_NORM_PARTS                                                                            \
    .attrs_size = sizeof(struct thaw_norm_attrs), .inputs_min = 1, .inputs_max = 1,                \
    .infer = thaw_norm_infer, .prepare = thaw_norm_prepare, .forward = thaw_norm_forward,          \
    .backward = thaw_norm_backward

#endif
