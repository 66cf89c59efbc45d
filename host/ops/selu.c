/* y = gamma times elu(x) (Klambauer et al. 2017).
 *
 * Attributes: alpha (1.6732632), gamma (1.0507010). */
#include "ops/activation.h"

static const struct thaw_activation_kind kind = {
    .function = "selu",
    .parameters = {{"alpha", -1e6, 1e6, 1.67326319217681884765625},
                   {"gamma", -1e6, 1e6, 1.05070102214813232421875}},
    .onnx = "Selu",
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_activation_parse(node, &kind, ret_attrs);
}

const struct thaw_op thaw_op_selu = {
    .type = "selu",
    .summary = "scaled elu",
    .parse = parse,
    .onnx = thaw_activation_onnx,
    THAW_ACTIVATION_PARTS,
};
