/* Activations that exporters write as sums and products, found again in the nodes made so far:
 * x sigmoid(x) is silu, x hardsigmoid(x) is hardswish, and x (1 + erf(x / sqrt(2))) / 2, with its
 * factors in either order, is gelu. The numbers in them would be trained otherwise. */
#ifndef THAW_IO_ONNX_FUSE_H
#define THAW_IO_ONNX_FUSE_H

#include "io/onnx/convert.h"

/* a * b: when it is one of these, the nodes that it replaces are dropped, the new one is the
 * operator's result, and *ret_fused is true. */
thaw_status thaw_onnx_fuse_product(struct thaw_onnx_call *call, const struct thaw_onnx_value *a,
                                   const struct thaw_onnx_value *b, bool *ret_fused);

/* value * number: likewise. */
thaw_status thaw_onnx_fuse_scaled(struct thaw_onnx_call *call, const struct thaw_onnx_value *value,
                                  float number, bool *ret_fused);

#endif
