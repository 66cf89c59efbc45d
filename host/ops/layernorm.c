/* Layer normalisation (Ba, Kiros and Hinton 2016), the maths of ops/norm.h, over `axes`; weight and
 * bias have the axes' shape.
 *
 * Attributes: axes (a list of channels, height, width; required), eps (1e-5), affine (true; false:
 * no weight and bias). */
#include <string.h>

#include "ops/export.h"
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

/* ONNX wants a scale. */
static const char *ones(struct thaw_export_call *call, int rank, const int64_t *dims) {
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    float *values = thaw_arena_array(&call->model->arena, count, sizeof *values);
    call->model->failed |= !values;
    for (size_t i = 0; values && i < count; i++)
        values[i] = 1;
    return values ? thaw_export_constant(call, rank, dims, values) : NULL;
}

/* ONNX normalises the last dimensions: the axes go there and come back. */
static thaw_status onnx(struct thaw_export_call *call) {
    const struct thaw_norm_attrs *attrs = call->attrs;
    const int sizes[THAW_AXIS_COUNT] = {call->in[0].c, call->in[0].h, call->in[0].w};
    int64_t order[1 + THAW_AXIS_COUNT] = {0}, back[1 + THAW_AXIS_COUNT] = {0};
    int64_t dims[THAW_AXIS_COUNT];
    int rank = 0, first = 1, moved = 0;
    for (int inside = 0; inside < 2; inside++) {
        for (int axis = 0; axis < THAW_AXIS_COUNT; axis++) {
            if (attrs->axes[axis] != inside)
                continue;
            if (inside)
                dims[rank++] = sizes[axis];
            int place = inside ? first + rank - 1 : first++;
            moved += place != 1 + axis;
            order[place] = 1 + axis;
            back[1 + axis] = place;
        }
    }
    const char *value = thaw_export_maps(call, 0);
    if (moved) {
        value = THAW_EXPORT_NODE(call, "Transpose", value);
        thaw_export_ints(call, "perm", order, 1 + THAW_AXIS_COUNT);
    }
    const char *scale =
        call->param_count ? thaw_export_param_as(call, 0, rank, dims) : ones(call, rank, dims);
    const char *bias = call->param_count ? thaw_export_param_as(call, 1, rank, dims) : NULL;
    value = THAW_EXPORT_NODE(call, "LayerNormalization", value, scale, bias);
    thaw_export_int(call, "axis", first);
    thaw_export_float(call, "epsilon", attrs->eps);
    if (moved) {
        THAW_EXPORT_NODE(call, "Transpose", value);
        thaw_export_ints(call, "perm", back, 1 + THAW_AXIS_COUNT);
    }
    return THAW_OK;
}

const struct thaw_op thaw_op_layernorm = {
    .type = "layernorm",
    .summary = "layer normalisation",
    .parse = parse,
    THAW_NORM_PARTS,
    .onnx = onnx,
};
