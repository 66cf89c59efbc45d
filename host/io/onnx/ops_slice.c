/* Taking tensors apart and putting them together: Slice, Split, Concat, Pad. */
#include <stdio.h>
#include <string.h>

#include "io/onnx/fold.h"
#include "io/onnx/text.h"

/* ---- Slice ------------------------------------------------------------------------------------
 */

struct range {
    int64_t begin, step, count;
};

/* numpy's rules for [begin:end:step] of `size` elements. */
static struct range clamp_range(int64_t begin, int64_t end, int64_t step, int64_t size) {
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    struct range range = {.step = step};
    begin += begin < 0 ? size : 0;
    end += end < 0 ? size : 0;
    begin = begin < low ? low : begin > high ? high : begin;
    end = end < low ? low : end > high ? high : end;
    range.begin = begin;
    if (step > 0)
        range.count = end > begin ? (end - begin - 1) / step + 1 : 0;
    else
        range.count = begin > end ? (begin - end - 1) / -step + 1 : 0;
    return range;
}

static thaw_status read_list(const struct thaw_onnx_call *call, int index, const char *name,
                             int64_t *ret_values, int *count) {
    if (thaw_onnx_has_input(call, index))
        return thaw_onnx_constant_ints(call, index, name, ret_values, count);
    if (thaw_onnx_attr_is_there(call, name))
        return thaw_onnx_attr_ints(call, name, ret_values, count);
    *count = 0;
    return THAW_OK;
}

/* A range for every dimension; `batch`'s has to be all of it. */
static thaw_status read_ranges(const struct thaw_onnx_call *call, int rank, const int64_t *dims,
                               int batch, struct range *ret_ranges) {
    int64_t begins[8], ends[8], axes[8], steps[8];
    int begin_count = 8, end_count = 8, axis_count = 8, step_count = 8;
    THAW_TRY(read_list(call, 1, "starts", begins, &begin_count));
    THAW_TRY(read_list(call, 2, "ends", ends, &end_count));
    THAW_TRY(read_list(call, 3, "axes", axes, &axis_count));
    THAW_TRY(read_list(call, 4, "steps", steps, &step_count));
    if (begin_count != end_count || (axis_count && axis_count != begin_count) ||
        (step_count && step_count != begin_count))
        return thaw_fail(THAW_ERROR_INPUT, "starts, ends, axes and steps differ in length");
    for (int d = 0; d < rank; d++)
        ret_ranges[d] = (struct range){0, 1, dims[d]};
    for (int i = 0; i < begin_count; i++) {
        int axis;
        int64_t step = step_count ? steps[i] : 1, limit = INT64_C(1) << 62;
        THAW_TRY(thaw_onnx_axis(axis_count ? axes[i] : i, rank, &axis));
        if (axis == batch && begins[i] == 0 && step == 1 &&
            (ends[i] == THAW_ONNX_BATCH || ends[i] >= INT32_MAX))
            continue;
        if (axis == batch)
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "images of a batch cannot be picked");
        if (thaw_onnx_is_mark(begins[i]) || thaw_onnx_is_mark(ends[i]))
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "a range depends on the size of the batch");
        if (step == 0 || step < -INT32_MAX || step > INT32_MAX)
            return thaw_fail(THAW_ERROR_INPUT, "a step of %lld", (long long)step);
        int64_t end = ends[i] < -limit ? -limit : ends[i];
        int64_t begin = begins[i] < -limit ? -limit : begins[i];
        ret_ranges[axis] = clamp_range(begin, end, step, dims[axis]);
    }
    return THAW_OK;
}

/* The part [begin, ...] of dimension `dim` of input 0, as output `index`. */
static thaw_status emit_slice(struct thaw_onnx_call *call, struct thaw_onnx_value *value, int dim,
                              const struct range *range, const char *suffix) {
    int slot, node;
    char text[80];
    THAW_TRY(thaw_onnx_arrange_dim(call, value, dim, false, &slot));
    int64_t end = range->begin + range->count * range->step;
    if (range->step == 1)
        snprintf(text, sizeof text, "%lld, %lld", (long long)range->begin, (long long)end);
    else if (end < 0)
        snprintf(text, sizeof text, "%lld, null, %lld", (long long)range->begin,
                 (long long)range->step);
    else
        snprintf(text, sizeof text, "%lld, %lld, %lld", (long long)range->begin,
                 (long long)(range->step > 0 ? end - range->step + 1 : end - range->step - 1),
                 (long long)range->step);
    THAW_TRY(thaw_onnx_emit(call, suffix, "slice", &value->view.node, 1, &node, "%s: [%s]",
                            thaw_onnx_slot_names[slot], text));
    value->view.node = node;
    thaw_onnx_view_resize(&value->view, dim, slot, range->count);
    return THAW_OK;
}

static thaw_status fail_empty(int dim) {
    return thaw_fail(THAW_ERROR_UNSUPPORTED, "nothing is left of dimension %d", dim);
}

static thaw_status convert_slice(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    struct range ranges[THAW_ONNX_RANK_MAX];
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(read_ranges(call, value->view.rank, value->view.dims, value->view.batch, ranges));
    struct thaw_onnx_value part = *value;
    bool changed = false;
    int slot;
    for (int d = 0; d < value->view.rank; d++) {
        if (d == value->view.batch ||
            (ranges[d].count == value->view.dims[d] && ranges[d].step == 1))
            continue;
        if (!ranges[d].count)
            return fail_empty(d);
        if (!changed) { /* for other slices of the value, too */
            THAW_TRY(thaw_onnx_arrange_dim(call, value, d, false, &slot));
            part = *value;
        }
        THAW_TRY(emit_slice(call, &part, d, &ranges[d], NULL));
        changed = true;
    }
    if (changed)
        thaw_onnx_return_view(call, 0, &part.view);
    else
        thaw_onnx_return_alias(call, &value->view);
    return THAW_OK;
}

static thaw_status fold_slice(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    struct thaw_onnx_tensor to;
    struct range ranges[THAW_ONNX_RANK_MAX];
    int64_t dims[THAW_ONNX_RANK_MAX] = {0}, stride = 1;
    THAW_TRY(thaw_onnx_constant(call, 0, "data", &from));
    THAW_TRY(read_ranges(call, from->rank, from->dims, -1, ranges));
    struct thaw_onnx_counter counter = {.rank = from->rank};
    for (int d = from->rank; d-- > 0; stride *= from->dims[d]) {
        dims[d] = counter.dims[d] = ranges[d].count;
        counter.strides[d] = stride * ranges[d].step;
        counter.index += stride * ranges[d].begin;
    }
    THAW_TRY(thaw_onnx_fold_make(call, from->elem, from->rank, dims, &to));
    for (int64_t i = 0; i < to.count; i++) {
        thaw_onnx_copy(&to, i, from, counter.index);
        thaw_onnx_count_on(&counter);
    }
    thaw_onnx_return_constant(call, 0, &to);
    return THAW_OK;
}

/* ---- Split ------------------------------------------------------------------------------------
 */

/* The sizes of the outputs: said, or equal with a smaller last one. */
static thaw_status read_sizes(const struct thaw_onnx_call *call, int64_t size, int64_t *ret_sizes) {
    int64_t parts = call->out_count, sum = 0;
    int count = call->out_count;
    THAW_TRY(thaw_onnx_attr_int(call, "num_outputs", &parts));
    if (parts != call->out_count)
        return thaw_fail(THAW_ERROR_INPUT, "attribute 'num_outputs': %lld, it has %d outputs",
                         (long long)parts, call->out_count);
    THAW_TRY(read_list(call, 1, "split", ret_sizes, &count));
    if (count && count != call->out_count)
        return thaw_fail(THAW_ERROR_INPUT, "%d sizes for %d outputs", count, call->out_count);
    int64_t each = (size + parts - 1) / parts;
    for (int i = 0; i < call->out_count; i++) {
        if (!count)
            ret_sizes[i] = size - sum < each ? size - sum : each;
        if (ret_sizes[i] < 0 || ret_sizes[i] > size - sum)
            return thaw_fail(THAW_ERROR_INPUT, "its sizes do not add up to %lld", (long long)size);
        sum += ret_sizes[i];
    }
    if (sum != size)
        return thaw_fail(THAW_ERROR_INPUT, "its sizes do not add up to %lld", (long long)size);
    return THAW_OK;
}

static thaw_status split_axis(const struct thaw_onnx_call *call, int rank, int *ret_axis) {
    int64_t axis = 0;
    THAW_TRY(thaw_onnx_attr_int(call, "axis", &axis));
    return thaw_onnx_axis(axis, rank, ret_axis);
}

static thaw_status convert_split(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    int axis;
    int64_t *sizes =
        thaw_arena_array(&call->cv->scratch, (size_t)call->out_count + 1, sizeof *sizes);
    if (!sizes)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(split_axis(call, value->view.rank, &axis));
    if (axis == value->view.batch)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "images of a batch cannot be split");
    THAW_TRY(read_sizes(call, value->view.dims[axis], sizes));
    int64_t begin = 0;
    int slot;
    THAW_TRY(thaw_onnx_arrange_dim(call, value, axis, false, &slot)); /* once, for all parts */
    for (int i = 0; i < call->out_count; i++) {
        struct thaw_onnx_value part = *value;
        char suffix[24];
        snprintf(suffix, sizeof suffix, "%d", i);
        if (call->out[i]) {
            if (!sizes[i])
                return fail_empty(axis);
            THAW_TRY(emit_slice(call, &part, axis, &(struct range){begin, 1, sizes[i]}, suffix));
            thaw_onnx_return_view(call, i, &part.view);
        }
        begin += sizes[i];
    }
    return THAW_OK;
}

static thaw_status fold_split(struct thaw_onnx_call *call) {
    const struct thaw_onnx_tensor *from;
    int axis;
    int64_t outer = 1, inner = 1, begin = 0;
    int64_t *sizes =
        thaw_arena_array(&call->cv->scratch, (size_t)call->out_count + 1, sizeof *sizes);
    if (!sizes)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_onnx_constant(call, 0, "input", &from));
    THAW_TRY(split_axis(call, from->rank, &axis));
    THAW_TRY(read_sizes(call, from->dims[axis], sizes));
    for (int d = 0; d < from->rank; d++) {
        outer *= d < axis ? from->dims[d] : 1;
        inner *= d > axis ? from->dims[d] : 1;
    }
    for (int i = 0; i < call->out_count; begin += sizes[i++]) {
        struct thaw_onnx_tensor to;
        int64_t dims[THAW_ONNX_RANK_MAX], next = 0;
        memcpy(dims, from->dims, sizeof dims);
        dims[axis] = sizes[i];
        THAW_TRY(thaw_onnx_fold_make(call, from->elem, from->rank, dims, &to));
        for (int64_t o = 0; o < outer; o++)
            for (int64_t k = 0; k < sizes[i] * inner; k++)
                thaw_onnx_copy(&to, next++, from, (o * from->dims[axis] + begin) * inner + k);
        thaw_onnx_return_constant(call, i, &to);
    }
    return THAW_OK;
}

/* ---- Pad --------------------------------------------------------------------------------------
 */

static thaw_status read_pads(const struct thaw_onnx_call *call, const struct thaw_onnx_view *view,
                             int64_t *ret_pads) {
    int64_t pads[2 * THAW_ONNX_RANK_MAX] = {0};
    int axes[THAW_ONNX_RANK_MAX] = {0}, count = 2 * THAW_ONNX_RANK_MAX, axis_count = view->rank;
    int64_t raw[THAW_ONNX_RANK_MAX];
    if (thaw_onnx_has_input(call, 1))
        THAW_TRY(thaw_onnx_constant_ints(call, 1, "pads", pads, &count));
    else
        THAW_TRY(thaw_onnx_attr_ints(call, "pads", pads, &count));
    for (int d = 0; d < view->rank; d++)
        axes[d] = d;
    if (thaw_onnx_has_input(call, 3)) {
        axis_count = THAW_ONNX_RANK_MAX;
        THAW_TRY(thaw_onnx_constant_ints(call, 3, "axes", raw, &axis_count));
        for (int i = 0; i < axis_count; i++)
            THAW_TRY(thaw_onnx_axis(raw[i], view->rank, &axes[i]));
    }
    if (count != 2 * axis_count)
        return thaw_fail(THAW_ERROR_INPUT, "%d pads for %d dimensions", count, axis_count);
    memset(ret_pads, 0, 2 * THAW_ONNX_RANK_MAX * sizeof *ret_pads);
    for (int i = 0; i < count; i++) {
        if (pads[i] < 0 || pads[i] > INT16_MAX)
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "a pad of %lld", (long long)pads[i]);
        ret_pads[2 * axes[i % axis_count] + (i >= axis_count)] = pads[i];
    }
    for (int side = 0; view->batch >= 0 && side < 2; side++)
        if (ret_pads[2 * view->batch + side])
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "the batch cannot be padded");
    return THAW_OK;
}

static thaw_status read_mode(const struct thaw_onnx_call *call, const char **ret_mode,
                             float *ret_value) {
    *ret_mode = "constant";
    *ret_value = 0;
    THAW_TRY(thaw_onnx_attr_text(call, "mode", ret_mode));
    THAW_TRY(thaw_onnx_attr_float(call, "value", ret_value));
    if (thaw_onnx_has_input(call, 2) && call->in[2]->tensor.count)
        THAW_TRY(thaw_onnx_constant_float(call, 2, "constant_value", ret_value));
    if (strcmp(*ret_mode, "constant") != 0 && strcmp(*ret_mode, "reflect") != 0 &&
        strcmp(*ret_mode, "edge") != 0)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "attribute 'mode': '%.20s'; constant, reflect and edge are supported",
                         *ret_mode);
    return THAW_OK;
}

/* What every slot is padded with: each padded dimension has to be one. False when two share one. */
static bool pads_by_slot(const struct thaw_onnx_view *view, const int64_t *pads,
                         int64_t ret_pads[2 * THAW_SLOT_COUNT], int ret_dims[THAW_SLOT_COUNT]) {
    bool taken[THAW_SLOT_COUNT] = {0};
    memset(ret_pads, 0, 2 * THAW_SLOT_COUNT * sizeof *ret_pads);
    for (int d = 0; d < view->rank; d++) {
        int slot;
        if (!pads[2 * d] && !pads[2 * d + 1])
            continue;
        if (!thaw_onnx_view_slot(view, d, &slot) || taken[slot])
            return false;
        taken[slot] = true;
        ret_dims[slot] = d;
        ret_pads[2 * slot] = pads[2 * d];
        ret_pads[2 * slot + 1] = pads[2 * d + 1];
    }
    return true;
}

/* A layout in which every padded dimension is a slot. */
static thaw_status arrange_for_pads(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                    const int64_t *pads) {
    struct thaw_onnx_layout layout = {0};
    int slot = THAW_SLOT_C;
    bool alone = false; /* the slot's dimension is padded */
    for (int d = 0; d < value->view.rank; d++) {
        bool padded = pads[2 * d] || pads[2 * d + 1];
        if (d == value->view.batch || (value->view.dims[d] == 1 && !padded))
            continue;
        if (layout.count[slot] && (padded || alone))
            slot++;
        if (slot == THAW_SLOT_COUNT)
            return thaw_fail(THAW_ERROR_UNSUPPORTED,
                             "more dimensions are padded than maps and channels are");
        layout.dims[slot][layout.count[slot]++] = d;
        alone = padded;
    }
    return thaw_onnx_arrange(call, value, &layout);
}

static thaw_status emit_pad(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                            const int64_t pads[2 * THAW_SLOT_COUNT], const char *mode, float fill) {
    char text[200] = "";
    int node;
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        if (pads[2 * slot] || pads[2 * slot + 1])
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s: [%lld, %lld], ",
                     thaw_onnx_slot_names[slot], (long long)pads[2 * slot],
                     (long long)pads[2 * slot + 1]);
    THAW_TRY(thaw_onnx_emit(call, NULL, "pad", &value->view.node, 1, &node, "%smode: %s%s", text,
                            mode, ""));
    struct thaw_onnx_node *made = &call->cv->nodes[node];
    if (!strcmp(mode, "constant") && fill != 0) {
        made->attrs = thaw_arena_format(call->cv->arena, "%s, value: %s", made->attrs,
                                        thaw_onnx_short(fill).text);
        if (!made->attrs)
            return THAW_ERROR_MEMORY;
    }
    made->is_zero_pad = !strcmp(mode, "constant") && fill == 0 && !pads[0] && !pads[1];
    made->window_pads[0] = pads[2 * THAW_SLOT_H];
    made->window_pads[1] = pads[2 * THAW_SLOT_W];
    made->window_pads[2] = pads[2 * THAW_SLOT_H + 1];
    made->window_pads[3] = pads[2 * THAW_SLOT_W + 1];
    value->view.node = node;
    return THAW_OK;
}

static thaw_status convert_pad(struct thaw_onnx_call *call) {
    struct thaw_onnx_value *value;
    int64_t pads[2 * THAW_ONNX_RANK_MAX], by_slot[2 * THAW_SLOT_COUNT];
    int dims[THAW_SLOT_COUNT] = {0};
    const char *mode;
    float fill;
    bool any = false;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    THAW_TRY(read_pads(call, &value->view, pads));
    THAW_TRY(read_mode(call, &mode, &fill));
    for (int i = 0; i < 2 * value->view.rank; i++)
        any |= pads[i] != 0;
    if (!any) {
        thaw_onnx_return_alias(call, &value->view);
        return THAW_OK;
    }
    if (!pads_by_slot(&value->view, pads, by_slot, dims)) {
        THAW_TRY(arrange_for_pads(call, value, pads));
        if (!pads_by_slot(&value->view, pads, by_slot, dims))
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "these dimensions cannot be padded together");
    }
    struct thaw_onnx_value padded = *value;
    THAW_TRY(emit_pad(call, &padded, by_slot, mode, fill));
    for (int slot = 0; slot < THAW_SLOT_COUNT; slot++)
        if (by_slot[2 * slot] || by_slot[2 * slot + 1])
            thaw_onnx_view_resize(&padded.view, dims[slot], slot,
                                  padded.view.dims[dims[slot]] + by_slot[2 * slot] +
                                      by_slot[2 * slot + 1]);
    thaw_onnx_return_view(call, 0, &padded.view);
    return THAW_OK;
}

const struct thaw_onnx_operator thaw_onnx_family_slice[] = {
    {"Slice", "starts ends axes", 1, fold_slice, convert_slice},
    {"Split", "axis split num_outputs", 1 << 20, fold_split, convert_split},
    {"Pad", "pads value mode", 1, NULL, convert_pad},
    {0},
};
