/* Operators along axes: ReduceMean, Softmax, LogSoftmax. */
#include <stdio.h>
#include <string.h>

#include "io/onnx/fold.h"

/* ---- ReduceMean --------------------------------------------------------------------------------
 */

static thaw_status read_reduced(const struct thaw_onnx_call *call, int rank, bool *ret_reduced,
                                bool *ret_keep) {
    int axes[THAW_ONNX_RANK_MAX], count = -1;
    int64_t keep = 1, noop = 0;
    THAW_TRY(thaw_onnx_axes(call, 1, rank, axes, &count));
    THAW_TRY(thaw_onnx_attr_int(call, "keepdims", &keep));
    THAW_TRY(thaw_onnx_attr_int(call, "noop_with_empty_axes", &noop));
    for (int d = 0; d < rank; d++)
        ret_reduced[d] = count <= 0 && !noop;
    for (int i = 0; i < count; i++)
        ret_reduced[axes[i]] = true;
    *ret_keep = keep != 0;
    return THAW_OK;
}

/* Which slots are reduced; false when one is in part. */
static bool reduced_slots(const struct thaw_onnx_view *view, const bool *reduced,
                          bool ret_slots[THAW_SLOT_COUNT]) {
    bool kept[THAW_SLOT_COUNT] = {0};
    memset(ret_slots, 0, THAW_SLOT_COUNT * sizeof *ret_slots);
    for (int i = 0; i < view->factor_count; i++) {
        const struct thaw_onnx_factor *factor = &view->factors[i];
        *(reduced[factor->dim] ? &ret_slots[factor->slot] : &kept[factor->slot]) = true;
    }
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        if (ret_slots[slot] && kept[slot])
            return false;
    return true;
}

static thaw_status arrange_reduced(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                   const bool *reduced, bool ret_slots[THAW_SLOT_COUNT]) {
    struct thaw_onnx_layout layout = {0};
    if (reduced_slots(&value->view, reduced, ret_slots))
        return THAW_OK;
    for (int d = 0; d < value->view.rank; d++) {
        int slot = reduced[d] ? THAW_SLOT_H : THAW_SLOT_C;
        if (d != value->view.batch)
            layout.dims[slot][layout.count[slot]++] = d;
    }
    THAW_TRY(thaw_onnx_arrange(call, value, &layout));
    if (!reduced_slots(&value->view, reduced, ret_slots))
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "these axes cannot be averaged");
    return THAW_OK;
}

static thaw_status emit_mean(struct thaw_onnx_call *call, const struct thaw_onnx_value *value,
                             const bool slots[THAW_SLOT_COUNT], int *ret_node) {
    char axes[80] = "";
    if (!slots[THAW_SLOT_C] && slots[THAW_SLOT_H] && slots[THAW_SLOT_W])
        return thaw_onnx_emit(call, NULL, "global", &value->view.node, 1, ret_node, "%s", "");
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        if (slots[slot])
            snprintf(axes + strlen(axes), sizeof axes - strlen(axes), "%s%s", *axes ? ", " : "",
                     thaw_onnx_slot_names[slot]);
    return thaw_onnx_emit(call, NULL, "reduce_mean", &value->view.node, 1, ret_node, "axes: [%s]",
                          axes);
}

/* The view without the reduced factors, and without the reduced dimensions unless they are kept. */
static struct thaw_onnx_view reduced_view(const struct thaw_onnx_view *view, const bool *reduced,
                                          bool keep, int node) {
    struct thaw_onnx_view to = {.node = node, .batch = -1};
    for (int d = 0; d < view->rank; d++) {
        if (reduced[d] && !keep)
            continue;
        if (d == view->batch)
            to.batch = to.rank;
        for (int i = 0; i < view->factor_count; i++)
            if (view->factors[i].dim == d && !reduced[d]) {
                to.factors[to.factor_count] = view->factors[i];
                to.factors[to.factor_count++].dim = to.rank;
            }
        to.dims[to.rank++] = reduced[d] ? 1 : view->dims[d];
    }
    return to;
}

static thaw_status convert_reduce_mean(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    bool reduced[THAW_ONNX_RANK_MAX] = {0}, slots[THAW_SLOT_COUNT], keep, any = false;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(read_reduced(call, value->view.rank, reduced, &keep));
    if (value->view.batch >= 0 && reduced[value->view.batch])
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "the images of a batch cannot be averaged");
    THAW_TRY(arrange_reduced(call, value, reduced, slots));
    int node = value->view.node;
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        any |= slots[slot];
    if (any)
        THAW_TRY(emit_mean(call, value, slots, &node));
    struct thaw_onnx_view view = reduced_view(&value->view, reduced, keep, node);
    if (any)
        thaw_onnx_return_view(call, 0, &view);
    else
        thaw_onnx_return_alias(call, &view);
    return THAW_OK;
}

/* ---- reductions of constants -------------------------------------------------------------------
 */

static void reduce_into(const struct thaw_onnx_tensor *to, int64_t i, const char *type,
                        const struct thaw_onnx_tensor *from, int64_t index, bool first) {
    bool product = !strcmp(type, "ReduceProd"), least = !strcmp(type, "ReduceMin"),
         most = !strcmp(type, "ReduceMax");
    if (first) {
        thaw_onnx_copy(to, i, from, index);
    } else if (to->floats) {
        float a = to->floats[i], b = from->floats[index];
        ((float *)to->floats)[i] = product ? a * b
                                   : least ? (a < b ? a : b)
                                   : most  ? (a > b ? a : b)
                                           : a + b;
    } else {
        int64_t a = to->integers[i], b = from->integers[index], result;
        bool bad = thaw_onnx_is_mark(a) || thaw_onnx_is_mark(b);
        if (least || most)
            result = (a < b) == least ? a : b;
        else if (product)
            bad |= __builtin_mul_overflow(a, b, &result);
        else
            bad |= __builtin_add_overflow(a, b, &result);
        ((int64_t *)to->integers)[i] = bad ? THAW_ONNX_UNKNOWN : result;
    }
}

static thaw_status fold_reduce(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    struct thaw_onnx_tensor to;
    struct thaw_onnx_counter counter = {0};
    bool reduced[THAW_ONNX_RANK_MAX] = {0}, keep;
    int64_t dims[THAW_ONNX_RANK_MAX], stride = 1;
    int rank = 0;
    THAW_TRY(thaw_onnx_constant(call, 0, "data", &from));
    THAW_TRY(read_reduced(call, from->rank, reduced, &keep));
    for (int d = 0; d < from->rank; d++)
        if (!reduced[d] || keep)
            dims[rank++] = reduced[d] ? 1 : from->dims[d];
    THAW_TRY(thaw_onnx_fold_make(call, from->elem, rank, dims, &to));
    counter.rank = from->rank;
    for (int d = from->rank; d-- > 0;) {
        counter.dims[d] = from->dims[d];
        counter.strides[d] = reduced[d] ? 0 : stride;
        stride *= reduced[d] ? 1 : from->dims[d];
    }
    bool *seen = thaw_arena_array(&call->cv->scratch, (size_t)to.count + 1, sizeof *seen);
    if (!seen)
        return THAW_ERROR_MEMORY;
    for (int64_t i = 0; i < from->count; i++) {
        reduce_into(&to, counter.index, call->node->op_type, from, i, !seen[counter.index]);
        seen[counter.index] = true;
        thaw_onnx_count_on(&counter);
    }
    int64_t each = to.count ? from->count / to.count : 1;
    if (!strcmp(call->node->op_type, "ReduceMean") && to.floats)
        for (int64_t i = 0; i < to.count; i++)
            ((float *)to.floats)[i] /= (float)each;
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

/* ---- Softmax, LogSoftmax -----------------------------------------------------------------------
 */

/* Before opset 13 all dimensions from the axis on are one. */
static thaw_status flatten_from(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                int axis) {
    struct thaw_onnx_layout layout = {0};
    for (int d = 0; d < value->view.rank; d++) {
        int slot = d < axis ? THAW_SLOT_H : THAW_SLOT_C;
        if (d != value->view.batch)
            layout.dims[slot][layout.count[slot]++] = d;
    }
    return thaw_onnx_arrange(call, value, &layout);
}

static thaw_status convert_softmax(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    bool old = call->cv->model->opset < 13;
    int64_t at = old ? 1 : -1, others = 1;
    int axis, slot = THAW_SLOT_C;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(thaw_onnx_attr_int(call, "axis", &at));
    THAW_TRY(thaw_onnx_axis(at, value->view.rank, &axis));
    if (value->view.batch == axis || (old && value->view.batch > axis))
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "attribute 'axis' names the batch");
    for (int d = axis + 1; d < value->view.rank; d++)
        others *= value->view.dims[d];
    if (old && others != 1)
        THAW_TRY(flatten_from(call, value, axis));
    else
        THAW_TRY(thaw_onnx_arrange_dim(call, value, axis, false, &slot));
    return thaw_onnx_emit_unary(
        call, !strcmp(call->node->op_type, "Softmax") ? "softmax" : "log_softmax", "%s%s",
        slot == THAW_SLOT_C ? "" : "axis: ", slot == THAW_SLOT_C ? "" : thaw_onnx_slot_names[slot]);
}

const struct thaw_onnx_operator thaw_onnx_family_reduce[] = {
    {"ReduceMean", "axes keepdims noop_with_empty_axes", 1, fold_reduce, convert_reduce_mean},
    {"ReduceProd", "axes keepdims noop_with_empty_axes", 1, fold_reduce},
    {"ReduceSum", "axes keepdims noop_with_empty_axes", 1, fold_reduce},
    {"ReduceMin", "axes keepdims noop_with_empty_axes", 1, fold_reduce},
    {"ReduceMax", "axes keepdims noop_with_empty_axes", 1, fold_reduce},
    {"Softmax", "axis", 1, NULL, convert_softmax},
    {"LogSoftmax", "axis", 1, NULL, convert_softmax},
    {0},
};
