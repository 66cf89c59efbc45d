/* Normalisation: BatchNormalization, LayerNormalization, InstanceNormalization. */
#include <stdio.h>
#include <string.h>

#include "io/onnx/convert.h"
#include "io/onnx/text.h"

static thaw_status read_vector(const struct thaw_onnx_call *call, int index, const char *what,
                               int64_t count, const struct thaw_onnx_tensor **ret_tensor) {
    THAW_TRY(thaw_onnx_constant(call, index, what, ret_tensor));
    if ((*ret_tensor)->floats && (*ret_tensor)->count == count)
        return THAW_OK;
    return thaw_fail(THAW_ERROR_INPUT, "input %d ('%s') has %lld values of %s, expected %lld",
                     index + 1, what, (long long)(*ret_tensor)->count,
                     thaw_onnx_elem_name((*ret_tensor)->elem), (long long)count);
}

/* Input 0 with its dimension 1 as C. */
static thaw_status arrange_channels(struct thaw_onnx_call *call, struct thaw_onnx_value **ret_value,
                                    int64_t *ret_channels) {
    struct thaw_onnx_value *value;
    int slot;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    if (value->view.rank < 2 || value->view.batch == 1 ||
        (value->view.batch < 0 && value->view.dims[0] != 1))
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "its input has no batch and channels in front");
    THAW_TRY(thaw_onnx_arrange_dim(call, value, 1, true, &slot));
    *ret_value = value;
    *ret_channels = value->view.dims[1];
    return THAW_OK;
}

static thaw_status convert_batchnorm(struct thaw_onnx_call *call) {
    static const char *const names[] = {"scale", "B", "mean", "var"};
    static const char *const params[] = {"weight", "bias", "running_mean", "running_var"};
    struct thaw_onnx_value *value;
    float eps = 1e-5f, momentum = 0.9f;
    int64_t channels, training = 0, spatial = 1, is_test = 1;
    THAW_TRY(arrange_channels(call, &value, &channels));
    THAW_TRY(thaw_onnx_attr_float(call, "epsilon", &eps));
    THAW_TRY(thaw_onnx_attr_float(call, "momentum", &momentum));
    THAW_TRY(thaw_onnx_attr_int(call, "training_mode", &training));
    THAW_TRY(thaw_onnx_attr_int(call, "spatial", &spatial));
    THAW_TRY(thaw_onnx_attr_int(call, "is_test", &is_test)); /* before opset 7 */
    if (training || !spatial || !is_test)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute '%s': %d is not supported",
                         training   ? "training_mode"
                         : !spatial ? "spatial"
                                    : "is_test",
                         training != 0);
    if (!(momentum >= 0 && momentum <= 1) || !(eps > 0))
        return thaw_fail(THAW_ERROR_INPUT, "attribute '%s' is out of range",
                         eps > 0 ? "momentum" : "epsilon");
    if (thaw_onnx_has_input(call, 1))
        thaw_onnx_name_after(call, call->in[1]);
    /* ONNX's momentum is the part that stays. One that would not follow a fine-tuning, as that of
     * long trainings, becomes the usual 0.1. */
    if (momentum == 0.9f || momentum > 0.95f)
        THAW_TRY(thaw_onnx_emit_unary(call, "batchnorm", "eps: %s", thaw_onnx_short(eps).text));
    else
        THAW_TRY(thaw_onnx_emit_unary(call, "batchnorm", "eps: %s, momentum: %s",
                                      thaw_onnx_short(eps).text,
                                      thaw_onnx_short(1 - momentum).text));
    for (int i = 0; i < 4; i++) {
        const struct thaw_onnx_tensor *tensor;
        THAW_TRY(read_vector(call, i + 1, names[i], channels, &tensor));
        THAW_TRY(thaw_onnx_add_param(call, call->out[0]->view.node, params[i], tensor->floats, 1,
                                     &channels));
    }
    return THAW_OK;
}

static thaw_status convert_instancenorm(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    const struct thaw_onnx_tensor *scale, *bias;
    float eps = 1e-5f;
    int64_t channels;
    THAW_TRY(arrange_channels(call, &value, &channels));
    THAW_TRY(thaw_onnx_attr_float(call, "epsilon", &eps));
    THAW_TRY(read_vector(call, 1, "scale", channels, &scale));
    THAW_TRY(read_vector(call, 2, "B", channels, &bias));
    thaw_onnx_name_after(call, call->in[1]);
    THAW_TRY(thaw_onnx_emit_unary(call, "instancenorm", "eps: %s", thaw_onnx_short(eps).text));
    int node = call->out[0]->view.node;
    THAW_TRY(thaw_onnx_add_param(call, node, "weight", scale->floats, 1, &channels));
    return thaw_onnx_add_param(call, node, "bias", bias->floats, 1, &channels);
}

/* ---- LayerNormalization ------------------------------------------------------------------------
 */

/* Whether every slot is wholly inside the dimensions from `axis` on, or wholly outside. */
static bool slots_agree(const struct thaw_onnx_view *view, int axis, bool ret_inside[3]) {
    bool inside[THAW_SLOT_COUNT] = {0}, outside[THAW_SLOT_COUNT] = {0};
    for (int i = 0; i < view->factor_count; i++) {
        if (view->factors[i].dim >= axis)
            inside[view->factors[i].slot] = true;
        else
            outside[view->factors[i].slot] = true;
    }
    bool any = false;
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++) {
        if (inside[slot] && outside[slot])
            return false;
        ret_inside[slot] = inside[slot];
        any |= inside[slot];
    }
    if (!any) /* of single values: a slot of size 1 */
        for (int slot = THAW_SLOT_COUNT; slot-- > 0 && !any;)
            any = ret_inside[slot] = !outside[slot];
    return any;
}

static thaw_status arrange_axes(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                int axis, bool ret_inside[THAW_SLOT_COUNT]) {
    if (slots_agree(&value->view, axis, ret_inside))
        return THAW_OK;
    struct thaw_onnx_layout layout = {0}; /* the normalised ones as C, in ONNX order, others as H */
    for (int d = 0; d < value->view.rank; d++) {
        int slot = d >= axis ? THAW_SLOT_C : THAW_SLOT_H;
        if (d != value->view.batch)
            layout.dims[slot][layout.count[slot]++] = d;
    }
    THAW_TRY(thaw_onnx_arrange(call, value, &layout));
    if (!slots_agree(&value->view, axis, ret_inside))
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "these axes cannot be normalised");
    return THAW_OK;
}

/* Scale or bias in the order of the node's slots. */
static thaw_status add_axes_param(struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                                  const struct thaw_onnx_tensor *tensor, int node,
                                  const bool inside[THAW_SLOT_COUNT], const char *suffix) {
    int64_t sizes[THAW_SLOT_COUNT], *indices, dims[4], count = 1, varying = 1;
    int rank = 0;
    struct thaw_shape out = call->cv->nodes[node].out;
    const int64_t whole[THAW_SLOT_COUNT] = {out.c, out.h, out.w};
    THAW_TRY(thaw_onnx_view_broadcast(view, &call->cv->scratch, tensor, sizes, &indices));
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++) {
        varying *= sizes[slot];
        if (!inside[slot] && sizes[slot] != 1)
            return thaw_fail(THAW_ERROR_INPUT, "its scale or bias is larger than its axes");
        if (!inside[slot])
            continue;
        dims[rank++] = whole[slot];
        count *= whole[slot];
    }
    if (varying != count && varying != 1)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "its scale or bias is smaller than its axes");
    float *data = thaw_onnx_floats(call, count);
    if (!data)
        return THAW_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        data[i] = tensor->floats[indices[varying == 1 ? 0 : i]];
    return thaw_onnx_add_param(call, node, suffix, data, rank, dims);
}

static thaw_status convert_layernorm(struct thaw_onnx_call *call) {
    static const float zero = 0;
    struct thaw_onnx_tensor none = {
        .elem = THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, .count = 1, .floats = &zero};
    struct thaw_onnx_value *value;
    const struct thaw_onnx_tensor *scale, *bias = &none;
    bool inside[THAW_SLOT_COUNT];
    float eps = 1e-5f;
    int64_t at = -1;
    int axis;
    char axes[80] = "";
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_attr_float(call, "epsilon", &eps));
    THAW_TRY(thaw_onnx_attr_int(call, "axis", &at));
    THAW_TRY(thaw_onnx_axis(at, value->view.rank, &axis));
    if (value->view.batch >= axis)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute 'axis': the batch cannot be averaged");
    THAW_TRY(thaw_onnx_constant(call, 1, "Scale", &scale));
    if (thaw_onnx_has_input(call, 2))
        THAW_TRY(thaw_onnx_constant(call, 2, "B", &bias));
    if (!scale->floats || !bias->floats)
        return thaw_fail(THAW_ERROR_INPUT, "its scale or bias holds no floating-point numbers");
    thaw_onnx_name_after(call, call->in[1]);
    THAW_TRY(arrange_axes(call, value, axis, inside));
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        if (inside[slot])
            snprintf(axes + strlen(axes), sizeof axes - strlen(axes), "%s%s", *axes ? ", " : "",
                     thaw_onnx_slot_names[slot]);
    THAW_TRY(thaw_onnx_emit_unary(call, "layernorm", "axes: [%s], eps: %s", axes,
                                  thaw_onnx_short(eps).text));
    int node = call->out[0]->view.node;
    THAW_TRY(add_axes_param(call, &value->view, scale, node, inside, "weight"));
    return add_axes_param(call, &value->view, bias, node, inside, "bias");
}

const struct thaw_onnx_operator thaw_onnx_family_norm[] = {
    {"BatchNormalization", "epsilon momentum spatial training_mode is_test", 1, NULL,
     convert_batchnorm},
    {"InstanceNormalization", "epsilon", 1, NULL, convert_instancenorm},
    {"LayerNormalization", "axis epsilon stash_type", 1, NULL, convert_layernorm},
    {0},
};
