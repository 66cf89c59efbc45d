/* Layer normalisation (Ba, Kiros and Hinton 2016), the maths of ops/norm.h, over `axes`; weight and
 * bias have the axes' shape.
 *
 * Attributes: axes (a list of channels, height, width; required), eps (1e-5), affine (true; false:
 * no weight and bias). */
#include <string.h>

#include "ops/norm.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"axes", "eps", "affine"};
    struct thaw_norm_attrs attrs = {0};
    const thaw_yaml *map = NULL;
    double eps = 1e-5;
    bool affine = true;
    THAW_TRY(thaw_op_parse_map(node, keys, 3, &map));
    THAW_TRY(thaw_op_parse_axes(node, map, attrs.axes));
    THAW_TRY(thaw_yaml_get_double(map, "eps", 1e-12, 1, &eps));
    THAW_TRY(thaw_yaml_get_bool(map, "affine", &affine));
    attrs.eps = (float)eps;
    if (affine)
        memcpy(attrs.affine, attrs.axes, sizeof attrs.axes);
    *(struct thaw_norm_attrs *)ret_attrs = attrs;
    return THAW_OK;
}

const struct thaw_op thaw_op_layernorm = {
    .type = "layernorm",
    .summary = "layer normalisation",
    .parse = parse,
    THAW_NORM_PARTS,
};
