/* y = x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019);  dX = dY (x / 3 + 1/2) for |x| <= 3, dY
 * above, 0 below. Attributes: none. */
#include "ops/activation.h"
#include "ops/export.h"

extern const struct thaw_op thaw_op_hardswish;

static thaw_status prepare(struct thaw_op_call *call) {
    return thaw_activation_prepare(call, &thaw_op_hardswish, false);
}

static thaw_status onnx(struct thaw_export_call *call) {
    thaw_export_unary(call, "HardSwish");
    return THAW_OK;
}

const struct thaw_op thaw_op_hardswish = {
    .type = "hardswish",
    .summary = "x min(max(x + 3, 0), 6) / 6",
    .inputs_min = 1,
    .inputs_max = 1,
    .activation = THAW_ACTIVATION_HARDSWISH,
    .parse = thaw_activation_parse_none,
    .infer = thaw_activation_infer_from_input,
    .prepare = prepare,
    .forward = thaw_activation_forward,
    .backward = thaw_activation_backward,
    .release = thaw_activation_release,
    .onnx = onnx,
};
