/* y = min(max(x + 3, 0), 6) / 6 (Howard et al. 2019);  dX = dY / 6 where 0 < y < 1. Attributes:
 * none. */
#include "ops/activation.h"
#include "ops/export.h"

extern const struct thaw_op thaw_op_hardsigmoid;

static thaw_status prepare(struct thaw_op_call *call) {
    return thaw_activation_prepare(call, &thaw_op_hardsigmoid, true);
}

static thaw_status onnx(struct thaw_export_call *call) {
    thaw_export_unary(call, "HardSigmoid");
    thaw_export_float(call, "alpha", 1.0f / 6);
    thaw_export_float(call, "beta", 0.5f);
    return THAW_OK;
}

const struct thaw_op thaw_op_hardsigmoid = {
    .type = "hardsigmoid",
    .summary = "min(max(x + 3, 0), 6) / 6",
    .inputs_min = 1,
    .inputs_max = 1,
    .activation = THAW_ACTIVATION_HARDSIGMOID,
    .parse = thaw_activation_parse_none,
    .infer = thaw_activation_infer_from_output,
    .prepare = prepare,
    .forward = thaw_activation_forward,
    .backward = thaw_activation_backward,
    .release = thaw_activation_release,
    .onnx = onnx,
};
