/* y = min(max(x, 0), 6);  dX = dY where 0 < y < 6. Attributes: none. */
#include "ops/activation.h"
#include "ops/export.h"

extern const struct thaw_op thaw_op_relu6;

static thaw_status prepare(struct thaw_op_call *call) {
    return thaw_activation_prepare(call, &thaw_op_relu6, true);
}

static thaw_status onnx(struct thaw_export_call *call) {
    call->flat = call->flat_inputs[0];
    THAW_EXPORT_NODE(call, "Clip", call->inputs[0], thaw_export_constant_float(call, 0),
                     thaw_export_constant_float(call, 6));
    return THAW_OK;
}

const struct thaw_op thaw_op_relu6 = {
    .type = "relu6",
    .summary = "min(max(x, 0), 6)",
    .inputs_min = 1,
    .inputs_max = 1,
    .activation = THAW_ACTIVATION_RELU6,
    .parse = thaw_activation_parse_none,
    .infer = thaw_activation_infer_from_output,
    .prepare = prepare,
    .forward = thaw_activation_forward,
    .backward = thaw_activation_backward,
    .release = thaw_activation_release,
    .onnx = onnx,
};
