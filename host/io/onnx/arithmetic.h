/* Sums and products of values of the network, with constants and with each other. */
#ifndef THAW_IO_ONNX_ARITHMETIC_H
#define THAW_IO_ONNX_ARITHMETIC_H

#include "io/onnx/convert.h"

enum thaw_onnx_affine { THAW_ONNX_SCALE, THAW_ONNX_SHIFT };
enum thaw_onnx_change { THAW_ONNX_PLAIN, THAW_ONNX_NEGATED, THAW_ONNX_INVERTED };

/* value * constant or value + constant, the constant broadcast to the value, as the operator's
 * result. One number per channel goes into the convolution, linear layer or norm before it, if
 * nobody else reads that, or into the normalisation of the network's input; else it becomes a node
 * `scale` or `shift`. */
thaw_status thaw_onnx_apply_constant(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                     const struct thaw_onnx_tensor *constant,
                                     enum thaw_onnx_affine kind, enum thaw_onnx_change change);

/* `op` of two values, broadcast against each other, as the operator's result. */
thaw_status thaw_onnx_combine(struct thaw_onnx_call *call, const char *op,
                              struct thaw_onnx_value *a, struct thaw_onnx_value *b);

#endif
