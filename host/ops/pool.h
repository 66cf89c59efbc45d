/* What pooling ops share: windows over padded maps, PyTorch's output sizes, and the launches. */
#ifndef THAW_OPS_POOL_H
#define THAW_OPS_POOL_H

#include "ops/op.h"

/* Vertical, horizontal; pad as thaw_op_parse_pads orders it. */
struct thaw_pool_window {
    int kernel[2], stride[2], dilation[2], pad[4];
    bool ceil_mode;
};

/* Reads kernel (required), stride (kernel), pad (0; less than what the kernel spans), dilation (1,
 * where the op has it among its keys) and ceil_mode (false) from a mapping whose keys have been
 * checked. */
thaw_status thaw_pool_parse(const thaw_yaml *node, const thaw_yaml *map,
                            struct thaw_pool_window *ret_window);

/* The output's shape. In ceil_mode a window may reach past the padding below and to the right, but
 * must start inside the map or its padding above and to the left (PyTorch; ONNX). */
thaw_status thaw_pool_infer(const struct thaw_pool_window *window, const struct thaw_layout *in,
                            const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec);

/* -DKH, KW, SH, SW, DH, DW and the paddings PT, PL, PB, PR. */
void thaw_pool_defines(struct thaw_defines *defines, const struct thaw_pool_window *window);

/* Builds <name>_forward and <name>_backward of cl/<name>.cl with B and `defines`. The kernels take
 * input and output (their gradients in backward, the output's first), call->saved if `uses_saved`,
 * and geometry. */
thaw_status thaw_pool_prepare(struct thaw_op_call *call, const char *name,
                              struct thaw_defines *defines, bool uses_saved);
thaw_status thaw_pool_forward(const struct thaw_op_call *call, const struct thaw_op_step *step);
thaw_status thaw_pool_backward(const struct thaw_op_call *call, const struct thaw_op_step *step);
/* Adds the ONNX operator `type` for this window; count_pad: the average counts the padding. */
void thaw_pool_onnx(struct thaw_export_call *call, const struct thaw_pool_window *window,
                    const char *type, bool count_pad);

#endif
