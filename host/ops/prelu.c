/* y = x for x > 0, w x otherwise, w trained (He et al. 2015);  dX = dY or w dY, dw = sum of dY
 * min(x, 0).
 *
 * Attributes: shared (false: a slope for each channel; true: one for all), init (0.25). */
#include "ops/broadcast.h"
#include "ops/parse.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"shared", "init"};
    const thaw_yaml *map = NULL;
    bool shared = false;
    double init = 0.25;
    THAW_TRY(thaw_op_parse_map(node, keys, 2, &map));
    THAW_TRY(thaw_yaml_get_bool(map, "shared", &shared));
    THAW_TRY(thaw_yaml_get_double(map, "init", -1e6, 1e6, &init));
    *(struct thaw_broadcast_attrs *)ret_attrs =
        (struct thaw_broadcast_attrs){.function = "prelu",
                                      .values = true,
                                      .param = true,
                                      .param_name = "weight",
                                      .shape = {shared, shared, shared},
                                      .rank = 1,
                                      .init = (float)init};
    return THAW_OK;
}

const struct thaw_op thaw_op_prelu = {
    .type = "prelu",
    .summary = "x where positive, a trained slope times x elsewhere",
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    THAW_BROADCAST_PARTS,
};
