/* A range of channels, rows and columns:
 *
 *   y[c, h, w] = x[begin_c + c step_c, begin_h + h step_h, begin_w + w step_w]
 *   dx: dy at those places, 0 elsewhere
 *
 * Attributes: channels, height, width: [begin, end, step], the end not included; one that is absent
 * is taken whole. As in Python, negative numbers count from the end, null is all the way, and the
 * step (1) may be negative: [null, null, -1] turns an axis around. A range that leaves the input or
 * is empty is an error. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ops/copy.h"
#include "ops/export.h"
#include "ops/walk.h"

struct range {
    int begin, end, step;
    bool from_start, to_end; /* begin, end: null */
};

struct attrs {
    struct range axes[THAW_AXIS_COUNT];
};

static thaw_status parse_bound(const thaw_yaml *node, int *bound, bool *open) {
    int64_t value;
    *open = thaw_yaml_is_null(node);
    if (*open)
        return THAW_OK;
    THAW_TRY(thaw_yaml_int(node, -INT_MAX, INT_MAX, &value));
    *bound = (int)value;
    return THAW_OK;
}

static thaw_status parse_range(const thaw_yaml *map, const char *key, struct range *range) {
    const thaw_yaml *list = thaw_yaml_get(map, key);
    *range = (struct range){.step = 1, .from_start = true, .to_end = true};
    if (!list)
        return THAW_OK;
    if (list->kind != THAW_YAML_SEQUENCE || list->count < 2 || list->count > 3)
        return thaw_yaml_fail(list, "'%s': expected [begin, end] or [begin, end, step]", key);
    THAW_TRY(parse_bound(list->items[0], &range->begin, &range->from_start));
    THAW_TRY(parse_bound(list->items[1], &range->end, &range->to_end));
    if (list->count == 3) {
        int64_t step;
        THAW_TRY(thaw_yaml_int(list->items[2], -THAW_OP_VALUES_MAX, THAW_OP_VALUES_MAX, &step));
        if (!step)
            return thaw_yaml_fail(list->items[2], "'%s': a step of 0 goes nowhere", key);
        range->step = (int)step;
    }
    return THAW_OK;
}

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    struct attrs *attrs = ret_attrs;
    const thaw_yaml *map;
    THAW_TRY(thaw_op_parse_map(node, thaw_axis_names, THAW_AXIS_COUNT, &map));
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++)
        THAW_TRY(parse_range(map, thaw_axis_names[axis], &attrs->axes[axis]));
    return THAW_OK;
}

/* The range on an axis of `size` places as a copy of what it selects. */
static thaw_status select_axis(const struct range *r, const char *name, int size,
                               struct thaw_copy_axis *ret_axis) {
    int first = r->step > 0 ? 0 : size - 1, past = r->step > 0 ? size : -1;
    int64_t begin = r->from_start ? first : r->begin < 0 ? (int64_t)r->begin + size : r->begin;
    int64_t end = r->to_end ? past : r->end < 0 ? (int64_t)r->end + size : r->end;
    if (begin < 0 || begin >= size || (!r->to_end && (end < 0 || end > size)))
        return thaw_fail(THAW_ERROR_INPUT, "the range of %s leaves the input, which has %d", name,
                         size);
    int64_t span = r->step > 0 ? end - begin : begin - end, step = llabs((long long)r->step);
    if (span <= 0)
        return thaw_fail(THAW_ERROR_INPUT, "the range of %s is empty: from %lld to %lld by %d",
                         name, (long long)begin, (long long)end, r->step);
    int count = (int)((span + step - 1) / step);
    *ret_axis = (struct thaw_copy_axis){(int)begin, count > 1 ? r->step : 1, 0, 1, count};
    return THAW_OK;
}

static thaw_status select_box(const struct attrs *attrs, const struct thaw_layout *in,
                              struct thaw_copy_axis ret_axes[THAW_AXIS_COUNT]) {
    const int sizes[THAW_AXIS_COUNT] = {in->c, in->h, in->w};
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++)
        THAW_TRY(
            select_axis(&attrs->axes[axis], thaw_axis_names[axis], sizes[axis], &ret_axes[axis]));
    return THAW_OK;
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    struct thaw_copy_axis axes[THAW_AXIS_COUNT];
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    THAW_TRY(select_box(attrs, in, axes));
    ret_spec->out = (struct thaw_shape){in->n, axes[0].count, axes[1].count, axes[2].count};
    return THAW_OK;
}

struct state {
    struct thaw_copy_kernels kernels;
    struct thaw_copy_axis axes[THAW_AXIS_COUNT];
};

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    THAW_TRY(select_box(call->attrs, &call->in[0].layout, state->axes));
    return thaw_copy_prepare(call->device, &state->kernels);
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    return thaw_copy_box(call->device, &state->kernels, &call->in[0], &call->out, state->axes,
                         THAW_COPY_CLEAR, step->batch);
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    bool add = call->accumulate_in[0];
    if (!call->want_grad_in[0])
        return THAW_OK;
    if (!add)
        THAW_TRY(thaw_copy_fill(call->device, &state->kernels, &call->grad_in[0], 0, step->batch));
    struct thaw_copy_axis axes[THAW_AXIS_COUNT];
    memcpy(axes, state->axes, sizeof axes);
    thaw_copy_reverse(axes);
    return thaw_copy_box(call->device, &state->kernels, &call->grad_out, &call->grad_in[0], axes,
                         add ? THAW_COPY_ADD : THAW_COPY_OVER, step->batch);
}

static thaw_status onnx(struct thaw_export_call *call) {
    struct thaw_copy_axis box[THAW_AXIS_COUNT];
    int64_t begins[THAW_AXIS_COUNT], ends[THAW_AXIS_COUNT], steps[THAW_AXIS_COUNT];
    THAW_TRY(select_box(call->attrs, &call->in[0], box));
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++) {
        begins[axis] = box[axis].from;
        steps[axis] = box[axis].from_step;
        ends[axis] = begins[axis] + steps[axis] * box[axis].count;
        if (ends[axis] < 0) /* -1 would be the last place, not one before the first */
            ends[axis] = INT64_MIN;
    }
    THAW_EXPORT_NODE(
        call, "Slice", thaw_export_maps(call, 0), thaw_export_constant_ints(call, begins, 3),
        thaw_export_constant_ints(call, ends, 3), THAW_EXPORT_CONSTANT_INTS(call, 1, 2, 3),
        thaw_export_constant_ints(call, steps, 3));
    return THAW_OK;
}

const struct thaw_op thaw_op_slice = {
    .type = "slice",
    .summary = "a range of channels, rows and columns",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .onnx = onnx,
};
