/* What ops of two maps share: y = F(a, b) element by element, where each axis of a and b (channels,
 * height, width) is that of y or 1, as numpy broadcasts. b may be a parameter, the same for all
 * images. Gradients are summed along the axes that are 1. Kernels: cl/broadcast.cl.
 *
 *   function  F                        da            db
 *   add       a + b                    dy            dy
 *   sub       a - b                    dy           -dy
 *   mul       a b                      dy b          dy a
 *   div       a / b                    dy / b       -dy a / b^2
 *   prelu     max(a, 0) + b min(a, 0)  dy, b dy      dy min(a, 0) */
#ifndef THAW_OPS_BROADCAST_H
#define THAW_OPS_BROADCAST_H

#include "ops/op.h"

struct thaw_broadcast_attrs {
    const char *function;
    bool values; /* gradients need the values of a and b, not dy alone */
    bool param;  /* b is params[0] */
    const char *param_name;
    int shape[3], rank; /* of the parameter; shape[0] == 0: one value for each channel */
    float init;
};

/* No attributes: for ops of two or more maps. */
thaw_status thaw_broadcast_parse(const thaw_yaml *node, const char *function, bool values,
                                 void *ret_attrs);
/* Attributes: shape ([C, H, W], required), init (`init`), rank (3; 1: a vector in files). */
thaw_status thaw_broadcast_parse_param(const thaw_yaml *node, const char *function, bool values,
                                       double init, void *ret_attrs);

/* The parts of struct thaw_op; attrs are struct thaw_broadcast_attrs. */
thaw_status thaw_broadcast_infer(const void *attrs, const struct thaw_layout *in, int input_count,
                                 const struct thaw_device_caps *caps,
                                 struct thaw_op_spec *ret_spec);
thaw_status thaw_broadcast_prepare(struct thaw_op_call *call);
thaw_status thaw_broadcast_forward(const struct thaw_op_call *call,
                                   const struct thaw_op_step *step);
thaw_status thaw_broadcast_backward(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step);
thaw_status thaw_broadcast_onnx(struct thaw_export_call *call);

#define THAW_BROADCAST_PARTS                                                                       \
    .attrs_size = sizeof(struct thaw_broadcast_attrs), .fuses_activation = true,                   \
    .infer = thaw_broadcast_infer, .prepare = thaw_broadcast_prepare,                              \
    .forward = thaw_broadcast_forward, .backward = thaw_broadcast_backward,                        \
    .onnx = thaw_broadcast_onnx

#endif
