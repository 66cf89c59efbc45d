/* y = x / (1 + |x|);  dX = dY / (1 + |x|)^2. Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "softsign",
    .onnx = "Softsign",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_softsign = {
    .type = "softsign",
    .summary = "x / (1 + |x|)",
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
