/* Probabilities from logits, along one axis (ops/softmax_common.h). Attributes: axis (channels). */
#include "ops/softmax_common.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_softmax_parse(node, false, ret_attrs);
}

const struct thaw_op thaw_op_softmax = {
    .type = "softmax",
    .summary = "probabilities from logits",
    .parse = parse,
    THAW_SOFTMAX_PARTS,
};
