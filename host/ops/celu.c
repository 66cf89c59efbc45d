/* y = max(x, 0) + alpha (exp(min(x, 0) / alpha) - 1) (Barron 2017);  dX = dY or exp(x / alpha) dY.
 *
 * Attributes: alpha (1), above 0. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "celu",
    .parameters = {{"alpha", 1e-6, 1e6, 1}},
    .onnx = "Celu",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_celu = {
    .type = "celu",
    .summary = "elu that is smooth for every alpha",
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
