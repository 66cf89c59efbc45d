/* y = 1 / (1 + exp(-x));  dX = dY y (1 - y). Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "sigmoid",
    .fused = true,
    .from_output = true,
    .onnx = "Sigmoid",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_sigmoid = {
    .type = "sigmoid",
    .summary = "1 / (1 + exp(-x))",
    .activation = THAW_ACTIVATION_SIGMOID,
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
