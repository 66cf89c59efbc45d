/* Bringing a value's content into the order that an op needs, with one `rearrange` at most. */
#include <stdio.h>
#include <string.h>

#include "io/onnx/convert.h"

#define AXES_MAX 6 /* of a rearrange */

const char *const thaw_onnx_slot_names[THAW_SLOT_COUNT] = {"channels", "height", "width"};

struct thaw_shape thaw_onnx_shape(const struct thaw_onnx_call *call,
                                  const struct thaw_onnx_value *value) {
    return call->cv->nodes[value->view.node].out;
}

/* The order in which the layout wants the view's factors, and the sizes of its slots. */
struct target {
    int order[THAW_ONNX_FACTORS_MAX], slots[THAW_ONNX_FACTORS_MAX], count;
    int64_t sizes[THAW_SLOT_COUNT];
};

static struct target make_target(const struct thaw_onnx_view *view,
                                 const struct thaw_onnx_layout *layout) {
    struct target target = {.sizes = {1, 1, 1}};
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        for (int i = 0; i < layout->count[slot]; i++)
            for (int f = 0; f < view->factor_count; f++)
                if (view->factors[f].dim == layout->dims[slot][i]) {
                    target.slots[target.count] = slot;
                    target.order[target.count++] = f;
                    target.sizes[slot] *= view->factors[f].size;
                }
    return target;
}

static bool is_there_already(const struct thaw_onnx_view *view, const struct target *target) {
    int places[THAW_SLOT_COUNT] = {0};
    for (int i = 0; i < target->count; i++) {
        const struct thaw_onnx_factor *factor = &view->factors[target->order[i]];
        if (factor->slot != target->slots[i] || factor->place != places[factor->slot]++)
            return false;
    }
    return true;
}

/* The factors as the node holds them, with neighbours that stay neighbours as one axis. */
struct axes {
    int64_t sizes[THAW_ONNX_FACTORS_MAX];
    int order[THAW_ONNX_FACTORS_MAX], count;
};

static struct axes make_axes(const struct thaw_onnx_view *view, const struct target *target) {
    struct axes axes = {0};
    int rank_of[THAW_ONNX_FACTORS_MAX], axis_of[THAW_ONNX_FACTORS_MAX]; /* by factor */
    for (int f = 0; f < view->factor_count; f++) {
        rank_of[f] = 0;
        for (int g = 0; g < view->factor_count; g++) {
            const struct thaw_onnx_factor *a = &view->factors[g], *b = &view->factors[f];
            rank_of[f] += a->slot < b->slot || (a->slot == b->slot && a->place < b->place);
        }
    }
    bool joined[THAW_ONNX_FACTORS_MAX] = {0}; /* by rank: with the one before */
    for (int i = 1; i < target->count; i++)
        joined[rank_of[target->order[i]]] =
            rank_of[target->order[i]] == rank_of[target->order[i - 1]] + 1;
    for (int rank = 0; rank < view->factor_count; rank++)
        for (int f = 0; f < view->factor_count; f++)
            if (rank_of[f] == rank) {
                if (!joined[rank])
                    axes.sizes[axes.count++] = 1;
                axes.sizes[axes.count - 1] *= view->factors[f].size;
                axis_of[f] = axes.count - 1;
            }
    for (int i = 0, n = 0; i < target->count; i++)
        if (!joined[rank_of[target->order[i]]])
            axes.order[n++] = axis_of[target->order[i]];
    return axes;
}

static void append_list(char *text, size_t size, const char *key, const struct axes *axes,
                        bool sizes) {
    size_t used = strlen(text);
    used += (size_t)snprintf(text + used, size - used, "%s: [", key);
    for (int i = 0; i < axes->count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? ", " : "",
                                 sizes ? (long long)axes->sizes[i] : (long long)axes->order[i]);
    snprintf(text + used, size - used, "], ");
}

static thaw_status emit_rearrange(struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                                  const struct target *target, int *ret_node) {
    struct axes axes = make_axes(view, target);
    char text[400] = "";
    if (axes.count > AXES_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "its input would have to be rearranged along %d axes, at most %d can be",
                         axes.count, AXES_MAX);
    if (axes.count > 1) {
        append_list(text, sizeof text, "view", &axes, true);
        append_list(text, sizeof text, "order", &axes, false);
    } else if (target->sizes[THAW_SLOT_H] == 1 && target->sizes[THAW_SLOT_W] == 1) {
        return thaw_onnx_emit(call, "flat", "flatten", &view->node, 1, ret_node, "%s", "");
    }
    return thaw_onnx_emit(call, "order", "rearrange", &view->node, 1, ret_node,
                          "%sout: [%lld, %lld, %lld]", text, (long long)target->sizes[THAW_SLOT_C],
                          (long long)target->sizes[THAW_SLOT_H],
                          (long long)target->sizes[THAW_SLOT_W]);
}

static thaw_status arrange(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                           const struct target *target) {
    struct thaw_onnx_view *view = &value->view;
    if (is_there_already(view, target))
        return THAW_OK;
    int node;
    THAW_TRY(emit_rearrange(call, view, target, &node));
    int places[THAW_SLOT_COUNT] = {0};
    for (int i = 0; i < target->count; i++) {
        struct thaw_onnx_factor *factor = &view->factors[target->order[i]];
        factor->slot = target->slots[i];
        factor->place = places[factor->slot]++;
    }
    view->node = node;
    value->exclusive = true;
    return THAW_OK;
}

thaw_status thaw_onnx_arrange(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                              const struct thaw_onnx_layout *layout) {
    struct target target = make_target(&value->view, layout);
    if (target.count != value->view.factor_count)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "an input has more dimensions than it can use");
    return arrange(call, value, &target);
}

thaw_status thaw_onnx_arrange_plain(struct thaw_onnx_call *call, struct thaw_onnx_value *value) {
    if (thaw_onnx_view_is_plain(&value->view))
        return THAW_OK;
    struct thaw_onnx_layout layout = {0};
    for (int d = 0, slot = 0; d < value->view.rank; d++)
        if (d != value->view.batch && value->view.dims[d] != 1) {
            layout.dims[slot][layout.count[slot]++] = d;
            slot += slot < THAW_SLOT_W;
        }
    return thaw_onnx_arrange(call, value, &layout);
}

thaw_status thaw_onnx_arrange_image(struct thaw_onnx_call *call, struct thaw_onnx_value *value) {
    const struct thaw_onnx_view *view = &value->view;
    char text[THAW_ONNX_DIMS_TEXT_SIZE];
    thaw_onnx_dims_text(view->rank, view->dims, text);
    if (view->rank != 3 && view->rank != 4)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "its input has the shape %s; maps have two dimensions, or one, after "
                         "batch and channels",
                         text);
    if (view->batch > 0 || (view->batch < 0 && view->dims[0] != 1))
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "the first dimension of its input, of shape %s, is not the batch", text);
    struct thaw_onnx_layout layout = {.count = {1, view->rank == 4, 1}};
    layout.dims[THAW_SLOT_C][0] = 1;
    layout.dims[THAW_SLOT_H][0] = 2;
    layout.dims[THAW_SLOT_W][0] = view->rank - 1;
    return thaw_onnx_arrange(call, value, &layout);
}

struct thaw_onnx_layout thaw_onnx_layout_around(const struct thaw_onnx_view *view, int dim) {
    struct thaw_onnx_layout layout = {0};
    int images = view->rank - (view->batch >= 0);
    for (int d = 0, i = 0; d < view->rank; d++) {
        if (d == view->batch)
            continue;
        int slot = d < dim ? THAW_SLOT_C : d == dim ? THAW_SLOT_H : THAW_SLOT_W;
        if (images <= THAW_SLOT_COUNT)
            slot = i++;
        layout.dims[slot][layout.count[slot]++] = d;
    }
    return layout;
}

thaw_status thaw_onnx_arrange_dim(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                  int dim, bool only_c, int *ret_slot) {
    if (thaw_onnx_view_slot(&value->view, dim, ret_slot) && (!only_c || *ret_slot == THAW_SLOT_C))
        return THAW_OK;
    struct thaw_onnx_layout layout = thaw_onnx_layout_around(&value->view, dim);
    if (only_c) {
        layout = (struct thaw_onnx_layout){.count = {1}};
        layout.dims[THAW_SLOT_C][0] = dim;
        for (int d = 0, slot = THAW_SLOT_H; d < value->view.rank; d++)
            if (d != dim && d != value->view.batch && value->view.dims[d] != 1) {
                layout.dims[slot][layout.count[slot]++] = d;
                slot = THAW_SLOT_W;
            }
    }
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        if (layout.count[slot] && layout.dims[slot][0] == dim)
            *ret_slot = slot;
    return thaw_onnx_arrange(call, value, &layout);
}
