/* y = erf x;  dX = dY 2 / sqrt(pi) exp(-x^2). Attributes: none. */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "error_function",
    .onnx = "Erf",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_erf = {
    .type = "erf",
    .summary = "the error function",
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
