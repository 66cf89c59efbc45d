/* y = x F(x), F the normal distribution function (Hendrycks and Gimpel 2016);  dX = dY (F(x) + x
 * f(x)), f its density. Attributes: none. */
#include "ops/activation.h"
#include "ops/export.h"

extern const struct thaw_op thaw_op_gelu;

static thaw_status prepare(struct thaw_op_call *call) {
    return thaw_activation_prepare(call, &thaw_op_gelu, false);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const char *x = call->inputs[0];
    call->flat = call->flat_inputs[0];
    const char *scaled =
        THAW_EXPORT_NODE(call, "Mul", x, thaw_export_constant_float(call, 0.70710678f));
    const char *erf = THAW_EXPORT_NODE(call, "Erf", scaled);
    const char *part = THAW_EXPORT_NODE(call, "Add", erf, thaw_export_constant_float(call, 1));
    const char *half = THAW_EXPORT_NODE(call, "Mul", x, thaw_export_constant_float(call, 0.5f));
    THAW_EXPORT_NODE(call, "Mul", half, part);
    return THAW_OK;
}

const struct thaw_op thaw_op_gelu = {
    .type = "gelu",
    .summary = "x times the normal distribution function of x",
    .inputs_min = 1,
    .inputs_max = 1,
    .activation = THAW_ACTIVATION_GELU,
    .parse = thaw_activation_parse_none,
    .infer = thaw_activation_infer_from_input,
    .prepare = prepare,
    .forward = thaw_activation_forward,
    .backward = thaw_activation_backward,
    .release = thaw_activation_release,
    .onnx = onnx,
};
