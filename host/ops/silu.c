/* y = x s, s = 1 / (1 + exp(-x));  dX = dY s (1 + x (1 - s)). Also called swish. Attributes: none.
 */
#include "ops/activation.h"
#include "ops/export.h"

extern const struct thaw_op thaw_op_silu;

static thaw_status prepare(struct thaw_op_call *call) {
    return thaw_activation_prepare(call, &thaw_op_silu, false);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const char *gate = thaw_export_unary(call, "Sigmoid");
    THAW_EXPORT_NODE(call, "Mul", call->inputs[0], gate);
    return THAW_OK;
}

const struct thaw_op thaw_op_silu = {
    .type = "silu",
    .summary = "x / (1 + exp(-x))",
    .inputs_min = 1,
    .inputs_max = 1,
    .activation = THAW_ACTIVATION_SILU,
    .parse = thaw_activation_parse_none,
    .infer = thaw_activation_infer_from_input,
    .prepare = prepare,
    .forward = thaw_activation_forward,
    .backward = thaw_activation_backward,
    .release = thaw_activation_release,
    .onnx = onnx,
};
