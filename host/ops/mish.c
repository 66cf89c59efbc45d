/* y = x t, t = tanh(log(1 + exp x)) (Misra 2020);  dX = dY (t + x s (1 - t^2)), s the sigmoid of x.
 * Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "mish",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

/* In opset 17 Mish is not an operator yet. */
static thaw_status onnx(struct thaw_export_call *call) {
    const char *x = call->inputs[0];
    call->flat = call->flat_inputs[0];
    const char *softplus = THAW_EXPORT_NODE(call, "Softplus", x);
    const char *tanh = THAW_EXPORT_NODE(call, "Tanh", softplus);
    THAW_EXPORT_NODE(call, "Mul", x, tanh);
    return THAW_OK;
}

const struct thaw_op thaw_op_mish = {
    .type = "mish",
    .summary = "x tanh(softplus x)",
    .parse = parse,
    .onnx = onnx,
    THAW_ACTIVATION_PARTS,
};
