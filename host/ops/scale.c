/* y = x w, w trained, broadcasting (ops/broadcast.h): the layer scale of ConvNeXt (Liu et al.
 * 2022). The tensor of w is called like the node.
 *
 * Attributes: shape ([C, H, W], each 1 or x's, or any where x has 1; required), init (1), rank (3;
 * 1 for a tensor (C)). */
#include "ops/broadcast.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    return thaw_broadcast_parse_param(node, "mul", true, 1, ret_attrs);
}

const struct thaw_op thaw_op_scale = {
    .type = "scale",
    .summary = "product with a trained map",
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    THAW_BROADCAST_PARTS,
};
