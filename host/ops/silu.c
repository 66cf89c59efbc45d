/* y = x s, s = 1 / (1 + exp(-x));  dX = dY s (1 + x (1 - s)). Also called swish. Attributes: none.
 */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "silu",
    .fused = true,
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const char *gate = thaw_export_unary(call, "Sigmoid");
    THAW_EXPORT_NODE(call, "Mul", call->inputs[0], gate);
    return THAW_OK;
}

const struct thaw_op thaw_op_silu = {
    .type = "silu",
    .summary = "x / (1 + exp(-x))",
    .activation = THAW_ACTIVATION_SILU,
    .parse = parse,
    .onnx = onnx,
    THAW_ACTIVATION_PARTS,
};
