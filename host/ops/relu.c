/* y = max(x, 0);  dX = dY where y > 0. Attributes: none. */
#include "ops/activation.h"
#include "ops/export.h"

extern const struct thaw_op thaw_op_relu;

static thaw_status prepare(struct thaw_op_call *call) {
    return thaw_activation_prepare(call, &thaw_op_relu, true);
}

static thaw_status onnx(struct thaw_export_call *call) {
    thaw_export_unary(call, "Relu");
    return THAW_OK;
}

const struct thaw_op thaw_op_relu = {
    .type = "relu",
    .summary = "max(x, 0)",
    .inputs_min = 1,
    .inputs_max = 1,
    .activation = THAW_ACTIVATION_RELU,
    .parse = thaw_activation_parse_none,
    .infer = thaw_activation_infer_from_output,
    .prepare = prepare,
    .forward = thaw_activation_forward,
    .backward = thaw_activation_backward,
    .release = thaw_activation_release,
    .onnx = onnx,
};
