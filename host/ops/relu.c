/* y = max(x, 0);  dX = dY where y > 0. Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "relu",
    .fused = true,
    .from_output = true,
    .onnx = "Relu",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_relu = {
    .type = "relu",
    .summary = "max(x, 0)",
    .activation = THAW_ACTIVATION_RELU,
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
