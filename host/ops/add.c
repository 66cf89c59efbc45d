/* y = x0 + x1 + ... (2 to 8 inputs), added from left to right, broadcasting (ops/broadcast.h).
 *
 * Attributes: none. */
#include "ops/broadcast.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_broadcast_parse(node, "add", false, ret_attrs);
}

const struct thaw_op thaw_op_add = {
    .type = "add",
    .summary = "sum of maps",
    .inputs_min = 2,
    .inputs_max = THAW_OP_INPUTS_MAX,
    .sums = true,
    .parse = parse,
    THAW_BROADCAST_PARTS,
};
