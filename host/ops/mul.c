/* y = a b, broadcasting (ops/broadcast.h): b may be a gate for each channel, (C, 1, 1), as in
 * squeeze-and-excitation (Hu et al. 2018). Attributes: none. */
#include "ops/broadcast.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_broadcast_parse(node, "mul", true, ret_attrs);
}

const struct thaw_op thaw_op_mul = {
    .type = "mul",
    .summary = "product of two maps",
    .inputs_min = 2,
    .inputs_max = 2,
    .parse = parse,
    THAW_BROADCAST_PARTS,
};
