/* Instance normalisation (Ulyanov, Vedaldi and Lempitsky 2016): the maths of ops/norm.h over height
 * and width, with a weight and a bias for each channel.
 *
 * Attributes: eps (1e-5). */
#include "ops/export.h"
#include "ops/norm.h"

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"eps"};
    const thaw_yaml *map = NULL;
    double eps = 1e-5;
    THAW_TRY(thaw_op_parse_map(node, keys, 1, &map));
    THAW_TRY(thaw_yaml_get_double(map, "eps", 1e-12, 1, &eps));
    *(struct thaw_norm_attrs *)ret_attrs = (struct thaw_norm_attrs){
        .axes = {false, true, true}, .affine = {true, false, false}, .eps = (float)eps};
    return THAW_OK;
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct thaw_norm_attrs *attrs = call->attrs;
    THAW_EXPORT_NODE(call, "InstanceNormalization", thaw_export_maps(call, 0),
                     thaw_export_param(call, 0), thaw_export_param(call, 1));
    thaw_export_float(call, "epsilon", attrs->eps);
    return THAW_OK;
}

const struct thaw_op thaw_op_instancenorm = {
    .type = "instancenorm",
    .summary = "instance normalisation",
    .parse = parse,
    THAW_NORM_PARTS,
    .onnx = onnx,
};
