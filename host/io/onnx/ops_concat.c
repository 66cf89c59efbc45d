/* Concat. DenseNets concatenate all maps so far again and again: a concat that begins like an
 * earlier one reads that. */
#include <stdio.h>
#include <string.h>

#include "io/onnx/fold.h"

#define INPUTS_MAX 1024

static thaw_status read_axis(const struct thaw_onnx_call *call, int rank, int *ret_axis) {
    int64_t axis = 1; /* in old files */
    THAW_TRY(thaw_onnx_attr_int(call, "axis", &axis));
    return thaw_onnx_axis(axis, rank, ret_axis);
}

static thaw_status check_inputs(const struct thaw_onnx_call *call) {
    for (int i = 0; i < call->in_count; i++)
        if (!call->in[i])
            return thaw_fail(THAW_ERROR_INPUT, "input %d is missing", i + 1);
    if (call->in_count > INPUTS_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%d inputs, at most %d are supported",
                         call->in_count, INPUTS_MAX);
    return call->in_count ? THAW_OK : thaw_fail(THAW_ERROR_INPUT, "it has no inputs");
}

/* ---- of constants ------------------------------------------------------------------------------
 */

static thaw_status check_shape(int rank, const int64_t *dims, int other_rank, const int64_t *other,
                               int axis) {
    bool fits = rank == other_rank;
    for (int d = 0; fits && d < rank; d++)
        fits = d == axis || dims[d] == other[d];
    if (fits)
        return THAW_OK;
    char first[THAW_ONNX_DIMS_TEXT_SIZE], second[THAW_ONNX_DIMS_TEXT_SIZE];
    thaw_onnx_dims_text(rank, dims, first);
    thaw_onnx_dims_text(other_rank, other, second);
    return thaw_fail(THAW_ERROR_INPUT, "%s and %s cannot be joined along axis %d", first, second,
                     axis);
}

static thaw_status fold_concat(struct thaw_onnx_call *call) {
    struct thaw_onnx_tensor to;
    int64_t dims[THAW_ONNX_RANK_MAX], outer = 1, next = 0;
    int axis;
    THAW_TRY(check_inputs(call));
    const struct thaw_onnx_tensor *first = &call->in[0]->tensor;
    THAW_TRY(read_axis(call, first->rank, &axis));
    memcpy(dims, first->dims, sizeof dims);
    for (int i = 1; i < call->in_count; i++) {
        const struct thaw_onnx_tensor *tensor = &call->in[i]->tensor;
        THAW_TRY(check_shape(first->rank, first->dims, tensor->rank, tensor->dims, axis));
        if ((tensor->floats != NULL) != (first->floats != NULL))
            return thaw_fail(THAW_ERROR_INPUT, "%s together with %s",
                             thaw_onnx_elem_name(first->elem), thaw_onnx_elem_name(tensor->elem));
        dims[axis] += tensor->dims[axis];
    }
    for (int d = 0; d < axis; d++)
        outer *= dims[d];
    THAW_TRY(thaw_onnx_fold_make(call, first->elem, first->rank, dims, &to));
    for (int64_t o = 0; o < outer && to.count; o++)
        for (int i = 0; i < call->in_count; i++) {
            const struct thaw_onnx_tensor *tensor = &call->in[i]->tensor;
            int64_t run = tensor->count / outer;
            for (int64_t k = 0; k < run; k++)
                thaw_onnx_copy(&to, next++, tensor, o * run + k);
        }
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

/* ---- of maps -----------------------------------------------------------------------------------
 */

/* Brings all inputs into one layout in which the axis is a slot. */
static thaw_status arrange_inputs(struct thaw_onnx_call *call, int axis, int *ret_slot) {
    struct thaw_onnx_layout layout = {0};
    bool found = false;
    for (int i = 0; i < call->in_count && !found; i++) {
        const struct thaw_onnx_view *view = &call->in[i]->view;
        found = view->dims[axis] != 1 && thaw_onnx_view_layout(view, &layout) &&
                thaw_onnx_view_slot(view, axis, ret_slot);
    }
    const struct thaw_onnx_view *first = &call->in[0]->view;
    if (!found && thaw_onnx_view_layout(first, &layout) &&
        thaw_onnx_view_slot(first, axis, ret_slot)) {
        layout.dims[*ret_slot][0] = axis; /* of size 1 in all */
        layout.count[*ret_slot] = 1;
    } else if (!found) {
        layout = thaw_onnx_layout_around(first, axis);
        for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
            if (layout.count[slot] && layout.dims[slot][0] == axis)
                *ret_slot = slot;
    }
    for (int i = 0; i < call->in_count; i++)
        THAW_TRY(thaw_onnx_arrange(call, call->in[i], &layout));
    return THAW_OK;
}

/* The longest concat there is that begins like this one; its number of inputs, or 0. */
static int find_beginning(struct thaw_onnx_call *call, const char *const *keys, int *ret_node) {
    for (int n = call->in_count - 1; n >= 2; n--)
        for (size_t i = call->cv->node_count; i-- > 1;) {
            const struct thaw_onnx_node *node = &call->cv->nodes[i];
            if (node->concat_key && !node->dropped && !strcmp(node->concat_key, keys[n])) {
                *ret_node = (int)i;
                return n;
            }
        }
    return 0;
}

/* keys[n]: what concatenates the first n inputs. */
static thaw_status make_keys(struct thaw_onnx_call *call, int slot, const char ***ret_keys) {
    struct thaw_arena *arena = call->cv->arena;
    const char **keys = thaw_arena_array(arena, (size_t)call->in_count + 1, sizeof *keys);
    if (!keys)
        return THAW_ERROR_MEMORY;
    keys[0] = thaw_onnx_slot_names[slot];
    for (int n = 1; n <= call->in_count; n++) {
        keys[n] = thaw_arena_format(arena, "%s %d", keys[n - 1], call->in[n - 1]->view.node);
        if (!keys[n])
            return THAW_ERROR_MEMORY;
    }
    *ret_keys = keys;
    return THAW_OK;
}

static thaw_status emit_concat(struct thaw_onnx_call *call, int slot, int *ret_node) {
    const char **keys;
    int inputs[THAW_OP_INPUTS_MAX], count = 0, node = 0;
    THAW_TRY(make_keys(call, slot, &keys));
    int next = find_beginning(call, keys, &node);
    if (next)
        inputs[count++] = node;
    while (next < call->in_count) {
        while (next < call->in_count && count < THAW_OP_INPUTS_MAX)
            inputs[count++] = call->in[next++]->view.node;
        THAW_TRY(thaw_onnx_emit(call, NULL, "concat", inputs, count, &node, "%s%s",
                                slot == THAW_SLOT_C ? "" : "axis: ",
                                slot == THAW_SLOT_C ? "" : thaw_onnx_slot_names[slot]));
        call->cv->nodes[node].concat_key = keys[next];
        inputs[0] = node;
        count = 1;
    }
    *ret_node = node;
    return THAW_OK;
}

static thaw_status convert_concat(struct thaw_onnx_call *call) {
    int axis, slot = THAW_SLOT_C, node;
    int64_t size = 0;
    THAW_TRY(check_inputs(call));
    const struct thaw_onnx_value *first = call->in[0];
    THAW_TRY(read_axis(call, thaw_onnx_rank(first), &axis));
    for (int i = 0; i < call->in_count; i++) {
        struct thaw_onnx_value *value;
        THAW_TRY(thaw_onnx_data(call, i, &value));
        THAW_TRY(check_shape(first->view.rank, first->view.dims, value->view.rank, value->view.dims,
                             axis));
        if (value->view.batch != first->view.batch || axis == value->view.batch)
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "batches cannot be joined");
        size += value->view.dims[axis];
    }
    if (call->in_count == 1) {
        thaw_onnx_return_alias(call, &first->view);
        return THAW_OK;
    }
    THAW_TRY(arrange_inputs(call, axis, &slot));
    THAW_TRY(emit_concat(call, slot, &node));
    struct thaw_onnx_view view = call->in[0]->view;
    view.node = node;
    thaw_onnx_view_resize(&view, axis, slot, size);
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

const struct thaw_onnx_operator thaw_onnx_family_concat[] = {
    {"Concat", "axis", 1, fold_concat, convert_concat},
    {0},
};
