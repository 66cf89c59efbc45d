/* y = x F(x), F the normal distribution function (Hendrycks and Gimpel 2016);  dX = dY (F(x) + x
 * f(x)), f its density.
 *
 * Attributes: approximate (none; tanh: F(x) as (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2). */
#include "ops/activation.h"
#include "ops/parse.h"

static const struct thaw_activation_kind kind = {
    .function = "gelu",
    .fused = true,
};
static const struct thaw_activation_kind with_tanh = {
    .function = "gelu_tanh",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"approximate"};
    static const char *const names[] = {"none", "tanh"};
    const thaw_yaml *map = NULL;
    size_t choice = 0;
    THAW_TRY(thaw_op_parse_map(node, keys, 1, &map));
    if (thaw_yaml_get(map, "approximate"))
        THAW_TRY(thaw_yaml_choice(thaw_yaml_get(map, "approximate"), names, 2, &choice));
    return thaw_activation_parse(NULL, choice ? &with_tanh : &kind, ret_attrs);
}

static const char *exact(struct thaw_export_call *call, const char *x) {
    const char *scaled =
        THAW_EXPORT_NODE(call, "Mul", x, thaw_export_constant_float(call, 0.70710678f));
    return THAW_EXPORT_NODE(call, "Erf", scaled);
}

static const char *approximate(struct thaw_export_call *call, const char *x) {
    const char *square = THAW_EXPORT_NODE(call, "Mul", x, x);
    const char *cube = THAW_EXPORT_NODE(call, "Mul", square, x);
    const char *part =
        THAW_EXPORT_NODE(call, "Mul", cube, thaw_export_constant_float(call, 0.044715f));
    const char *sum = THAW_EXPORT_NODE(call, "Add", x, part);
    const char *scaled =
        THAW_EXPORT_NODE(call, "Mul", sum, thaw_export_constant_float(call, 0.79788456f));
    return THAW_EXPORT_NODE(call, "Tanh", scaled);
}

/* In opset 17 Gelu is not an operator yet. */
static thaw_status onnx(struct thaw_export_call *call) {
    const char *x = call->inputs[0];
    call->flat = call->flat_inputs[0];
    const struct thaw_activation_attrs *attrs = call->attrs;
    const char *erf = attrs->kind == &kind ? exact(call, x) : approximate(call, x);
    const char *part = THAW_EXPORT_NODE(call, "Add", erf, thaw_export_constant_float(call, 1));
    const char *half = THAW_EXPORT_NODE(call, "Mul", x, thaw_export_constant_float(call, 0.5f));
    THAW_EXPORT_NODE(call, "Mul", half, part);
    return THAW_OK;
}

const struct thaw_op thaw_op_gelu = {
    .type = "gelu",
    .summary = "x times the normal distribution function of x",
    .activation = THAW_ACTIVATION_GELU,
    .parse = parse,
    .onnx = onnx,
    THAW_ACTIVATION_PARTS,
};
