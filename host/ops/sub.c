/* y = a - b, broadcasting (ops/broadcast.h). Attributes: none. */
#include "ops/broadcast.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_broadcast_parse(node, "sub", false, ret_attrs);
}

const struct thaw_op thaw_op_sub = {
    .type = "sub",
    .summary = "difference of two maps",
    .inputs_min = 2,
    .inputs_max = 2,
    .parse = parse,
    THAW_BROADCAST_PARTS,
};
