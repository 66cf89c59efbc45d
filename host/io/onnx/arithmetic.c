#include "io/onnx/arithmetic.h"

#include <string.h>

/* ---- with a constant ---------------------------------------------------------------------------
 */

/* The constant in the order of the value's node; sizes of 1 are repeated. */
struct affine {
    enum thaw_onnx_affine kind;
    int64_t sizes[THAW_SLOT_COUNT], count;
    float *data;
};

static thaw_status make_affine(struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                               const struct thaw_onnx_tensor *constant, enum thaw_onnx_affine kind,
                               enum thaw_onnx_change change, struct affine *ret_affine) {
    struct affine affine = {.kind = kind};
    int64_t *indices;
    THAW_TRY(thaw_onnx_view_broadcast(view, &call->cv->scratch, constant, affine.sizes, &indices));
    affine.count = affine.sizes[0] * affine.sizes[1] * affine.sizes[2];
    affine.data = thaw_onnx_floats(call, affine.count);
    if (!affine.data)
        return THAW_ERROR_MEMORY;
    for (int64_t i = 0; i < affine.count; i++) {
        float value = constant->floats[indices[i]];
        affine.data[i] = change == THAW_ONNX_NEGATED    ? -value
                         : change == THAW_ONNX_INVERTED ? 1 / value
                                                        : value;
    }
    *ret_affine = affine;
    return THAW_OK;
}

static bool is_per_channel(const struct affine *affine) {
    return affine->sizes[THAW_SLOT_H] == 1 && affine->sizes[THAW_SLOT_W] == 1;
}

static float channel(const struct affine *affine, int64_t c) {
    return affine->data[affine->count == 1 ? 0 : c];
}

static struct thaw_onnx_param *find_param(struct thaw_onnx_node *node, const char *suffix) {
    for (int i = 0; i < node->param_count; i++)
        if (node->params[i].suffix && !strcmp(node->params[i].suffix, suffix))
            return &node->params[i];
    return NULL;
}

static int64_t param_count(const struct thaw_onnx_param *param) {
    int64_t count = 1;
    for (int d = 0; d < param->rank; d++)
        count *= param->dims[d];
    return count;
}

/* param = param * scale, or + shift, along the output channels, which are the first dimension. A
 * copy: the data may be another's. */
static thaw_status change_param(struct thaw_onnx_call *call, struct thaw_onnx_param *param,
                                const struct affine *affine) {
    int64_t count = param_count(param), inner = count / param->dims[0];
    float *data = thaw_onnx_floats(call, count);
    if (!data)
        return THAW_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        float by = channel(affine, i / inner);
        data[i] = affine->kind == THAW_ONNX_SCALE ? param->data[i] * by : param->data[i] + by;
    }
    param->data = data;
    return THAW_OK;
}

static thaw_status add_bias(struct thaw_onnx_call *call, int node, const struct affine *affine) {
    int64_t channels = call->cv->nodes[node].out.c;
    float *data = thaw_onnx_floats(call, channels);
    if (!data)
        return THAW_ERROR_MEMORY;
    for (int64_t c = 0; c < channels; c++)
        data[c] = channel(affine, c);
    call->cv->nodes[node].has_bias = true;
    return thaw_onnx_add_param(call, node, "bias", data, 1, &channels);
}

/* Into the convolution, linear layer or batch norm that the value comes from. */
static thaw_status absorb(struct thaw_onnx_call *call, const struct thaw_onnx_value *value,
                          const struct affine *affine, bool *ret_absorbed) {
    struct thaw_onnx_node *node = &call->cv->nodes[value->view.node];
    struct thaw_onnx_param *weight = find_param(node, "weight"), *bias = find_param(node, "bias");
    bool norm = node->op && !strcmp(node->op->type, "batchnorm");
    bool transposed = node->op && !strcmp(node->op->type, "conv_transpose");
    *ret_absorbed = false;
    if (!thaw_onnx_is_only_use(call->cv, value) || !is_per_channel(affine) || !weight ||
        !(node->may_have_bias || norm) || (transposed && affine->kind == THAW_ONNX_SCALE))
        return THAW_OK;
    *ret_absorbed = true;
    if (affine->kind == THAW_ONNX_SCALE) {
        THAW_TRY(change_param(call, weight, affine));
        return bias ? change_param(call, bias, affine) : THAW_OK;
    }
    return bias ? change_param(call, bias, affine) : add_bias(call, value->view.node, affine);
}

/* Into mean and std: with x = (p - mean) / std, x * s = (p - mean) / (std / s) and
 * x + t = (p - (mean - t std)) / std. */
static bool absorb_into_input(struct thaw_onnx_call *call, const struct thaw_onnx_value *value,
                              const struct affine *affine) {
    struct thaw_onnx_converter *cv = call->cv;
    if (value->view.node != 0 || value->uses != 1 || cv->nodes[0].readers || cv->options->as_is ||
        !is_per_channel(affine))
        return false;
    for (int c = 0; c < cv->input_channels; c++)
        if (affine->kind == THAW_ONNX_SCALE && !(channel(affine, c) > 0))
            return false;
    for (int c = 0; c < cv->input_channels; c++) {
        if (affine->kind == THAW_ONNX_SCALE)
            cv->std[c] /= channel(affine, c);
        else
            cv->mean[c] -= channel(affine, c) * cv->std[c];
    }
    return true;
}

thaw_status thaw_onnx_apply_constant(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                     const struct thaw_onnx_tensor *constant,
                                     enum thaw_onnx_affine kind, enum thaw_onnx_change change) {
    struct affine affine;
    bool absorbed;
    struct thaw_onnx_view view = value->view;
    THAW_TRY(make_affine(call, &view, constant, kind, change, &affine));
    THAW_TRY(absorb(call, value, &affine, &absorbed));
    absorbed = absorbed || absorb_into_input(call, value, &affine);
    if (!absorbed) {
        int64_t dims[] = {affine.sizes[0], affine.sizes[1], affine.sizes[2]};
        THAW_TRY(thaw_onnx_emit(call, NULL, kind == THAW_ONNX_SCALE ? "scale" : "shift",
                                &value->view.node, 1, &view.node, "shape: [%lld, %lld, %lld]",
                                (long long)dims[0], (long long)dims[1], (long long)dims[2]));
        THAW_TRY(thaw_onnx_add_param(call, view.node, NULL, affine.data, 3, dims));
        call->cv->numbers_made_parameters += affine.count == 1;
    }
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

/* ---- with each other ---------------------------------------------------------------------------
 */

/* Both views and their common shape; `skip`: dimensions that the operand lacks in front. */
struct pair {
    const struct thaw_onnx_view *views[2];
    int skip[2], rank, batch;
    int64_t dims[THAW_ONNX_RANK_MAX];
};

static int64_t dim_of(const struct pair *pair, int which, int d) {
    int own = d - pair->skip[which];
    return own < 0 ? 1 : pair->views[which]->dims[own];
}

static thaw_status make_pair(const struct thaw_onnx_view *a, const struct thaw_onnx_view *b,
                             struct pair *ret_pair) {
    struct pair pair = {.views = {a, b}};
    char one[THAW_ONNX_DIMS_TEXT_SIZE], other[THAW_ONNX_DIMS_TEXT_SIZE];
    thaw_onnx_dims_text(a->rank, a->dims, one);
    thaw_onnx_dims_text(b->rank, b->dims, other);
    pair.rank = a->rank > b->rank ? a->rank : b->rank;
    pair.skip[0] = pair.rank - a->rank;
    pair.skip[1] = pair.rank - b->rank;
    pair.batch = a->batch < 0 ? -1 : a->batch + pair.skip[0];
    if (pair.batch != (b->batch < 0 ? -1 : b->batch + pair.skip[1]))
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%s and %s have the batch in different places",
                         one, other);
    for (int d = 0; d < pair.rank; d++) {
        int64_t first = dim_of(&pair, 0, d), second = dim_of(&pair, 1, d);
        if (first != second && first != 1 && second != 1)
            return thaw_fail(THAW_ERROR_INPUT, "%s does not go with %s", one, other);
        pair.dims[d] = first == 1 ? second : first;
    }
    *ret_pair = pair;
    return THAW_OK;
}

/* The layout that operand `which` has already, when it is as large as the result and the other one
 * has, or repeats, whole slots of it. */
static bool take_layout(const struct pair *pair, int which, struct thaw_onnx_layout *ret_layout) {
    for (int d = 0; d < pair->rank; d++)
        if (dim_of(pair, which, d) != pair->dims[d])
            return false;
    if (!thaw_onnx_view_layout(pair->views[which], ret_layout))
        return false;
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++) {
        int repeated = 0;
        for (int i = 0; i < ret_layout->count[slot]; i++) {
            ret_layout->dims[slot][i] += pair->skip[which];
            repeated += dim_of(pair, 1 - which, ret_layout->dims[slot][i]) == 1;
        }
        if (repeated && repeated != ret_layout->count[slot])
            return false;
    }
    return true;
}

/* ONNX order, with a slot for each run of dimensions that are repeated by the same operand. */
static bool make_layout(const struct pair *pair, struct thaw_onnx_layout *ret_layout) {
    struct thaw_onnx_layout layout = {0};
    int slot = -1, last = -1;
    for (int d = 0; d < pair->rank; d++) {
        if (d == pair->batch || pair->dims[d] == 1)
            continue;
        int pattern = (dim_of(pair, 0, d) == 1) + 2 * (dim_of(pair, 1, d) == 1);
        slot += pattern != last;
        last = pattern;
        if (slot == THAW_SLOT_COUNT)
            return false;
        layout.dims[slot][layout.count[slot]++] = d;
    }
    *ret_layout = layout;
    return true;
}

static thaw_status arrange_operand(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                   const struct thaw_onnx_layout *layout, int skip) {
    struct thaw_onnx_layout own = {0};
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        for (int i = 0; i < layout->count[slot]; i++)
            if (layout->dims[slot][i] >= skip)
                own.dims[slot][own.count[slot]++] = layout->dims[slot][i] - skip;
    return thaw_onnx_arrange(call, value, &own);
}

thaw_status thaw_onnx_combine(struct thaw_onnx_call *call, const char *op,
                              struct thaw_onnx_value *a, struct thaw_onnx_value *b) {
    struct pair pair;
    struct thaw_onnx_layout layout;
    int node;
    THAW_TRY(make_pair(&a->view, &b->view, &pair));
    if (!take_layout(&pair, 0, &layout) && !take_layout(&pair, 1, &layout) &&
        !make_layout(&pair, &layout))
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "its inputs are broadcast along dimensions that alternate too often");
    THAW_TRY(arrange_operand(call, a, &layout, pair.skip[0]));
    THAW_TRY(arrange_operand(call, b, &layout, pair.skip[1]));
    THAW_TRY(
        thaw_onnx_emit(call, NULL, op, (int[]){a->view.node, b->view.node}, 2, &node, "%s", ""));
    struct thaw_onnx_view view =
        thaw_onnx_view_make(node, pair.rank, pair.dims, pair.batch, &layout);
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}
