/* y = log(1 + exp x);  dX = dY / (1 + exp(-x)). Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "softplus",
    .onnx = "Softplus",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_softplus = {
    .type = "softplus",
    .summary = "log(1 + exp x)",
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
