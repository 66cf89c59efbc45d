/* y = x for x > alpha, 0 otherwise;  dX = dY where x > alpha.
 *
 * Attributes: alpha (1). */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "thresholded_relu",
    .parameters = {{"alpha", -1e6, 1e6, 1}},
    .onnx = "ThresholdedRelu",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_thresholded_relu = {
    .type = "thresholded_relu",
    .summary = "x where above alpha",
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
