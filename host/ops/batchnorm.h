/* What the executor needs of batch norm besides the op contract: folding into the convolution
 * before it. */
#ifndef THAW_OPS_BATCHNORM_H
#define THAW_OPS_BATCHNORM_H

#include "ops/op.h"

extern const struct thaw_op thaw_op_batchnorm;

float thaw_batchnorm_eps(const void *attrs);

/* Folds y = weight * (conv(x) + bias - mean) / sqrt(var + eps) + shift into a convolution's
 * weights, on the device: ret_weight = w * s, ret_bias = shift + (bias - mean) * s, s = weight /
 * sqrt(var + eps). `norm` has the parameters of batch norm in its own order (weight, bias,
 * running_mean, running_var); `bias` (of the convolution) may be NULL. ret_weight has the size of
 * `filter`, ret_bias its o padded to filter->block_o floats. */
thaw_status thaw_batchnorm_fold(thaw_device *device, const void *norm_attrs,
                                const struct thaw_op_param norm[4],
                                const struct thaw_filter *filter, cl_mem weight, cl_mem bias,
                                cl_mem ret_weight, cl_mem ret_bias);

#endif
