/* y = tanh x;  dX = dY (1 - y^2). Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "hyperbolic_tangent",
    .from_output = true,
    .onnx = "Tanh",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_tanh = {
    .type = "tanh",
    .summary = "tanh x",
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
