/* y = min(max(x, min), max);  dX = dY where min <= x <= max.
 *
 * Attributes: min (none), max (none). */
#include <float.h>

#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "clip",
    .parameters = {{"min", -FLT_MAX, FLT_MAX, -FLT_MAX}, {"max", -FLT_MAX, FLT_MAX, FLT_MAX}},
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    const struct thaw_activation_attrs *attrs = ret_attrs;
    THAW_TRY(thaw_activation_parse(node, &kind, ret_attrs));
    if (attrs->parameters[0] > attrs->parameters[1])
        return thaw_yaml_fail(node, "'min' is greater than 'max'");
    return THAW_OK;
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct thaw_activation_attrs *attrs = call->attrs;
    const char *bounds[2];
    for (int i = 0; i < 2; i++)
        bounds[i] = thaw_export_constant_float(call, attrs->parameters[i]);
    call->flat = call->flat_inputs[0];
    THAW_EXPORT_NODE(call, "Clip", call->inputs[0], bounds[0], bounds[1]);
    return THAW_OK;
}

const struct thaw_op thaw_op_clip = {
    .type = "clip",
    .summary = "x kept between two bounds",
    .parse = parse,
    .onnx = onnx,
    THAW_ACTIVATION_PARTS,
};
