/* y = x for x > 0, alpha (exp x - 1) otherwise (Clevert et al. 2016);  dX = dY or alpha exp(x) dY.
 *
 * Attributes: alpha (1). */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "elu",
    .parameters = {{"alpha", -1e6, 1e6, 1}},
    .onnx = "Elu",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_elu = {
    .type = "elu",
    .summary = "x where positive, alpha (exp x - 1) elsewhere",
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
