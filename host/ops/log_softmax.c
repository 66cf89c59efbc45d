/* Logarithms of probabilities from logits, along one axis (ops/softmax_common.h). Attributes: axis
 * (channels). */
#include "ops/softmax_common.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_softmax_parse(node, true, ret_attrs);
}

const struct thaw_op thaw_op_log_softmax = {
    .type = "log_softmax",
    .summary = "logarithms of probabilities from logits",
    .parse = parse,
    THAW_SOFTMAX_PARTS,
};
