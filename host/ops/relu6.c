/* y = min(max(x, 0), 6);  dX = dY where 0 < y < 6. Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "relu6",
    .fused = true,
    .from_output = true,
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
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
    .activation = THAW_ACTIVATION_RELU6,
    .parse = parse,
    .onnx = onnx,
    THAW_ACTIVATION_PARTS,
};
