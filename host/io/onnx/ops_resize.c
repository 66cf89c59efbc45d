/* Resize, and Upsample, which it was before opset 10. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/onnx/text.h"
#include "io/onnx/window.h"

struct resize {
    const char *mode, *coordinates, *nearest;
    float cubic_a;
    int64_t exclude_outside;
};

static thaw_status choose(const char *attribute, const char *value, const char *const *names,
                          size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(value, names[i]))
            return THAW_OK;
    return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute '%s': '%.30s' is not supported", attribute,
                     value);
}

static thaw_status read_attributes(const struct thaw_onnx_call *call, struct resize *ret_resize) {
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const coordinates[] = {"half_pixel", "pytorch_half_pixel", "align_corners",
                                              "asymmetric", "tf_half_pixel_for_nn"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    bool old = call->cv->model->opset < 11;
    struct resize resize = {.mode = "nearest",
                            .coordinates = old ? "asymmetric" : "half_pixel",
                            .nearest = old ? "floor" : "round_prefer_floor",
                            .cubic_a = -0.75f};
    const char *aspect = "stretch";
    int64_t antialias = 0;
    THAW_TRY(thaw_onnx_attr_text(call, "mode", &resize.mode));
    THAW_TRY(thaw_onnx_attr_text(call, "coordinate_transformation_mode", &resize.coordinates));
    THAW_TRY(thaw_onnx_attr_text(call, "nearest_mode", &resize.nearest));
    THAW_TRY(thaw_onnx_attr_text(call, "keep_aspect_ratio_policy", &aspect));
    THAW_TRY(thaw_onnx_attr_float(call, "cubic_coeff_a", &resize.cubic_a));
    THAW_TRY(thaw_onnx_attr_int(call, "exclude_outside", &resize.exclude_outside));
    THAW_TRY(thaw_onnx_attr_int(call, "antialias", &antialias));
    if (antialias)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute 'antialias' is not supported");
    THAW_TRY(choose("keep_aspect_ratio_policy", aspect, (const char *const[]){"stretch"}, 1));
    THAW_TRY(choose("mode", resize.mode, modes, 3));
    THAW_TRY(choose("coordinate_transformation_mode", resize.coordinates, coordinates, 5));
    THAW_TRY(choose("nearest_mode", resize.nearest, roundings, 4));
    *ret_resize = resize;
    return THAW_OK;
}

/* Numbers for some axes as numbers for all four (three): 1 or the dimension where none is given. */
static thaw_status spread(const struct thaw_onnx_call *call, int rank, int count, double *values,
                          const double *rest) {
    int64_t axes[THAW_ONNX_RANK_MAX];
    double given[THAW_ONNX_RANK_MAX];
    int axis_count = THAW_ONNX_RANK_MAX, axis;
    memcpy(given, values, sizeof given);
    if (!thaw_onnx_attr_is_there(call, "axes")) {
        if (count == rank)
            return THAW_OK;
        return thaw_fail(THAW_ERROR_INPUT, "%d sizes for %d dimensions", count, rank);
    }
    THAW_TRY(thaw_onnx_attr_ints(call, "axes", axes, &axis_count));
    if (axis_count != count)
        return thaw_fail(THAW_ERROR_INPUT, "%d sizes for %d axes", count, axis_count);
    memcpy(values, rest, (size_t)rank * sizeof *values);
    for (int i = 0; i < count; i++) {
        THAW_TRY(thaw_onnx_axis(axes[i], rank, &axis));
        values[axis] = given[i];
    }
    return THAW_OK;
}

/* The factor of each dimension, or its size. */
static thaw_status read_scales(const struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                               int index, double *ret_scales) {
    static const double ones[THAW_ONNX_RANK_MAX] = {1, 1, 1, 1, 1, 1, 1, 1};
    const struct thaw_onnx_tensor *tensor;
    THAW_TRY(thaw_onnx_constant(call, index, "scales", &tensor));
    if (!tensor->floats || tensor->count > THAW_ONNX_RANK_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "input %d ('scales') holds %lld values of %s", index + 1,
                         (long long)tensor->count, thaw_onnx_elem_name(tensor->elem));
    for (int i = 0; i < tensor->count; i++)
        ret_scales[i] = tensor->floats[i];
    return spread(call, view->rank, (int)tensor->count, ret_scales, ones);
}

static thaw_status read_sizes(const struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                              double *ret_sizes) {
    int64_t sizes[THAW_ONNX_RANK_MAX];
    double rest[THAW_ONNX_RANK_MAX];
    int count = THAW_ONNX_RANK_MAX;
    THAW_TRY(thaw_onnx_constant_ints(call, 3, "sizes", sizes, &count));
    for (int i = 0; i < count; i++)
        ret_sizes[i] = sizes[i] == THAW_ONNX_BATCH ? -1 : (double)sizes[i];
    for (int d = 0; d < view->rank; d++)
        rest[d] = (double)view->dims[d];
    return spread(call, view->rank, count, ret_sizes, rest);
}

static thaw_status check_front(const struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                               const double *values, bool sizes) {
    double batch = values[0];
    bool fits = sizes ? values[1] == (double)view->dims[1] : batch == 1 && values[1] == 1;
    if (sizes)
        fits = fits && (batch == -1 || batch == 1 || batch == (double)call->cv->static_batch);
    for (int d = 2; d < view->rank; d++)
        fits = fits && values[d] > 0 && values[d] < 1e6;
    if (fits)
        return THAW_OK;
    return thaw_fail(THAW_ERROR_UNSUPPORTED, "only height and width can be resized");
}

static thaw_status emit_resize(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                               const struct resize *resize, const double *values, bool sizes) {
    char more[200] = "";
    int node, w = value->view.rank - 1;
    double height = value->view.rank == 4 ? values[2] : 1;
    if (!strcmp(resize->mode, "nearest"))
        snprintf(more, sizeof more, ", nearest: %s", resize->nearest);
    if (!strcmp(resize->mode, "cubic"))
        snprintf(more, sizeof more, ", cubic_a: %s", thaw_onnx_short(resize->cubic_a).text);
    if (resize->exclude_outside)
        snprintf(more + strlen(more), sizeof more - strlen(more), ", exclude_outside: true");
    char text[60];
    if (sizes)
        snprintf(text, sizeof text, "size: [%.0f, %.0f]", height, values[w]);
    else
        snprintf(text, sizeof text, "scale: [%s, %s]", thaw_onnx_short((float)height).text,
                 thaw_onnx_short((float)values[w]).text);
    THAW_TRY(thaw_onnx_emit(call, NULL, "resize", &value->view.node, 1, &node,
                            "%s, mode: %s, coordinates: %s%s", text, resize->mode,
                            resize->coordinates, more));
    struct thaw_onnx_view view = thaw_onnx_window_view(call, &value->view, node);
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

static thaw_status convert_resize(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    struct resize resize;
    double values[THAW_ONNX_RANK_MAX] = {0};
    int scales = call->cv->model->opset < 11 ? 1 : 2;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_arrange_image(call, value));
    THAW_TRY(read_attributes(call, &resize));
    bool sizes = scales == 2 && thaw_onnx_has_input(call, 3) &&
                 (!call->in[3]->is_constant || call->in[3]->tensor.count);
    THAW_TRY(sizes ? read_sizes(call, &value->view, values)
                   : read_scales(call, &value->view, scales, values));
    THAW_TRY(check_front(call, &value->view, values, sizes));
    return emit_resize(call, value, &resize, values, sizes);
}

static thaw_status convert_upsample(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    struct resize resize = {.mode = "nearest", .coordinates = "asymmetric", .nearest = "floor"};
    double values[THAW_ONNX_RANK_MAX] = {0};
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_arrange_image(call, value));
    THAW_TRY(thaw_onnx_attr_text(call, "mode", &resize.mode));
    THAW_TRY(choose("mode", resize.mode, (const char *const[]){"nearest", "linear"}, 2));
    const Thaw__Onnx__AttributeProto *a = thaw_onnx_attr_find(call, "scales");
    if (a && a->n_floats != (size_t)value->view.rank)
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'scales' has %zu numbers", a->n_floats);
    for (size_t i = 0; a && i < a->n_floats; i++)
        values[i] = a->floats[i];
    if (!a)
        THAW_TRY(read_scales(call, &value->view, 1, values));
    THAW_TRY(check_front(call, &value->view, values, false));
    return emit_resize(call, value, &resize, values, false);
}

const struct thaw_onnx_operator thaw_onnx_family_resize[] = {
    {"Resize",
     "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside "
     "extrapolation_value keep_aspect_ratio_policy mode nearest_mode",
     1, NULL, convert_resize},
    {"Upsample", "mode scales", 1, NULL, convert_upsample},
    {0},
};
