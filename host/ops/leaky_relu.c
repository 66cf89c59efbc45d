/* y = x for x > 0, slope x otherwise;  dX = dY or slope dY, told apart by the sign of y.
 *
 * Attributes: slope (0.01), not negative: the sign of y would not tell. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "leaky_relu",
    .fused = true,
    .from_output = true,
    .parameters = {{"slope", 0, 1e6, 0.01, "alpha"}},
    .onnx = "LeakyRelu",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_leaky_relu = {
    .type = "leaky_relu",
    .summary = "x where positive, slope * x elsewhere",
    .activation = THAW_ACTIVATION_LEAKY_RELU,
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
