/* y = min(max(alpha x + beta, 0), 1) (Howard et al. 2019);  dX = alpha dY where 0 < y < 1.
 *
 * Attributes: alpha (1/6), beta (0.5). */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "hardsigmoid",
    .fused = true,
    .from_output = true,
    .parameters = {{"alpha", -1e6, 1e6, 1.0 / 6}, {"beta", -1e6, 1e6, 0.5}},
    .onnx = "HardSigmoid",
};
static const struct thaw_activation_kind with_others = {
    .function = "hardsigmoid_with",
    .from_output = true,
    .parameters = {{"alpha", -1e6, 1e6, 1.0 / 6}, {"beta", -1e6, 1e6, 0.5}},
    .onnx = "HardSigmoid",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    struct thaw_activation_attrs *attrs = ret_attrs;
    THAW_TRY(thaw_activation_parse(node, &kind, ret_attrs));
    if (attrs->parameters[0] != 1.0f / 6 || attrs->parameters[1] != 0.5f)
        attrs->kind = &with_others;
    return THAW_OK;
}

const struct thaw_op thaw_op_hardsigmoid = {
    .type = "hardsigmoid",
    .summary = "min(max(alpha x + beta, 0), 1)",
    .activation = THAW_ACTIVATION_HARDSIGMOID,
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
