/* y = x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019);  dX = dY (x / 3 + 1/2) for |x| <= 3, dY
 * above, 0 below. Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "hardswish",
    .fused = true,
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

static thaw_status onnx(struct thaw_export_call *call) {
    thaw_export_unary(call, "HardSwish");
    return THAW_OK;
}

const struct thaw_op thaw_op_hardswish = {
    .type = "hardswish",
    .summary = "x min(max(x + 3, 0), 6) / 6",
    .activation = THAW_ACTIVATION_HARDSWISH,
    .parse = parse,
    .onnx = onnx,
    THAW_ACTIVATION_PARTS,
};
