/* y = x for x > 0, slope x otherwise;  dX = dY or slope dY, told apart by the sign of y.
 *
 * Attributes: slope (0.01), not negative: the sign of y would not tell. */
#include "ops/activation.h"
#include "ops/export.h"
#include "ops/parse.h"

extern const struct thaw_op thaw_op_leaky_relu;

struct attrs {
    float slope;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"slope"};
    const thaw_yaml *map = NULL;
    double slope = 0.01;
    THAW_TRY(thaw_op_parse_map(node, keys, 1, &map));
    THAW_TRY(thaw_yaml_get_double(map, "slope", 0, 1e6, &slope));
    ((struct attrs *)ret_attrs)->slope = (float)slope;
    return THAW_OK;
}

static float parameter(const void *attrs) {
    return ((const struct attrs *)attrs)->slope;
}

static thaw_status prepare(struct thaw_op_call *call) {
    return thaw_activation_prepare(call, &thaw_op_leaky_relu, true);
}

static thaw_status onnx(struct thaw_export_call *call) {
    thaw_export_unary(call, "LeakyRelu");
    thaw_export_float(call, "alpha", parameter(call->attrs));
    return THAW_OK;
}

const struct thaw_op thaw_op_leaky_relu = {
    .type = "leaky_relu",
    .summary = "x where positive, slope * x elsewhere",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .activation = THAW_ACTIVATION_LEAKY_RELU,
    .parse = parse,
    .infer = thaw_activation_infer_from_output,
    .prepare = prepare,
    .forward = thaw_activation_forward,
    .backward = thaw_activation_backward,
    .release = thaw_activation_release,
    .activation_parameter = parameter,
    .onnx = onnx,
};
