/* Channels, rows and columns put before and after what there is:
 *
 *   constant  y[i + before] = x[i], `value` elsewhere
 *   edge      y[i] = x[min(max(i - before, 0), n - 1)]: the border goes on
 *   reflect   y[i] = x[j], j = i - before turned around at 0 and at n - 1, so the border is not
 *             doubled; at most n - 1 places on each side
 *
 * Backward adds up what was copied from each place. Attributes: channels, height, width: [before,
 * after], absent: none; mode: constant | reflect | edge (constant); value (0), with constant alone.
 * To take away, use slice. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "ops/copy.h"
#include "ops/export.h"
#include "ops/walk.h"

enum mode { CONSTANT, REFLECT, EDGE, MODE_COUNT };

struct attrs {
    int before[THAW_AXIS_COUNT], after[THAW_AXIS_COUNT];
    enum mode mode;
    float value;
};

static thaw_status parse_sides(const thaw_yaml *map, struct attrs *attrs) {
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++) {
        int sides[2] = {0, 0}, count;
        THAW_TRY(thaw_op_parse_list(map, thaw_axis_names[axis], 2, 2, 0, THAW_OP_VALUES_MAX, sides,
                                    &count));
        attrs->before[axis] = sides[0];
        attrs->after[axis] = sides[1];
    }
    return THAW_OK;
}

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"channels", "height", "width", "mode", "value"};
    static const char *const modes[MODE_COUNT] = {"constant", "reflect", "edge"};
    struct attrs *attrs = ret_attrs;
    const thaw_yaml *map;
    size_t mode = CONSTANT;
    double value = 0;
    THAW_TRY(thaw_op_parse_map(node, keys, sizeof keys / sizeof *keys, &map));
    THAW_TRY(parse_sides(map, attrs));
    if (thaw_yaml_get(map, "mode"))
        THAW_TRY(thaw_yaml_choice(thaw_yaml_get(map, "mode"), modes, MODE_COUNT, &mode));
    THAW_TRY(thaw_yaml_get_double(map, "value", -FLT_MAX, FLT_MAX, &value));
    if (mode != CONSTANT && thaw_yaml_get(map, "value"))
        return thaw_yaml_fail(thaw_yaml_get(map, "value"), "'value' goes with mode constant alone");
    attrs->mode = (enum mode)mode;
    attrs->value = (float)value;
    return THAW_OK;
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    const struct attrs *a = attrs;
    int64_t sizes[THAW_AXIS_COUNT] = {in->c, in->h, in->w};
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++) {
        int larger = a->before[axis] > a->after[axis] ? a->before[axis] : a->after[axis];
        if (a->mode == REFLECT && larger >= sizes[axis])
            return thaw_fail(
                THAW_ERROR_INPUT, "%s of %lld can be reflected by at most %lld, not by %d",
                thaw_axis_names[axis], (long long)sizes[axis], (long long)sizes[axis] - 1, larger);
        sizes[axis] += (int64_t)a->before[axis] + a->after[axis];
    }
    THAW_TRY(thaw_walk_check_size(sizes[0], sizes[1], sizes[2]));
    ret_spec->out = (struct thaw_shape){in->n, (int)sizes[0], (int)sizes[1], (int)sizes[2]};
    return THAW_OK;
}

struct state {
    struct thaw_copy_kernels kernels;              /* constant */
    struct thaw_copy_axis inside[THAW_AXIS_COUNT]; /* of y, where x goes */
    thaw_kernel *forward, *backward;               /* reflect and edge */
};

static thaw_status prepare(struct thaw_op_call *call) {
    const struct attrs *attrs = call->attrs;
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (attrs->mode == CONSTANT) {
        thaw_copy_whole(&call->in[0].layout, state->inside);
        for (int axis = 0; axis < THAW_AXIS_COUNT; axis++)
            state->inside[axis].to = attrs->before[axis];
        return thaw_copy_prepare(call->device, &state->kernels);
    }
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, false);
    thaw_define_int(&defines, "REFLECT", attrs->mode == REFLECT);
    THAW_TRY(thaw_kernel_get(call->device, "pad.cl", "pad_forward", defines.text, &state->forward));
    return thaw_kernel_get(call->device, "pad.cl", "pad_backward", defines.text, &state->backward);
}

/* One of pad.cl's kernels, which walk over `to`; `x` is the layout of the op's input. */
static thaw_status launch(const struct thaw_op_call *call, thaw_kernel *kernel,
                          const struct thaw_tensor *from, const struct thaw_tensor *to,
                          const struct thaw_layout *x, bool accumulate, int batch) {
    const struct attrs *attrs = call->attrs;
    const struct thaw_layout *layouts[] = {&to->layout};
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), layouts, 1, batch, THAW_WALK_ROWS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(
        call->device, kernel, &range, THAW_ARG_BUFFER(from->buffer), THAW_ARG_BUFFER(to->buffer),
        THAW_ARG_INT(x->c), THAW_ARG_INT(x->h), THAW_ARG_INT(x->w), THAW_ARG_INT(attrs->before[0]),
        THAW_ARG_INT(attrs->before[1]), THAW_ARG_INT(attrs->before[2]),
        THAW_ARG_INT(attrs->after[0]), THAW_ARG_INT(attrs->after[1]), THAW_ARG_INT(attrs->after[2]),
        THAW_ARG_INT(accumulate), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(&from->layout),
        THAW_MAP_ARGS(&to->layout));
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct attrs *attrs = call->attrs;
    const struct state *state = call->state;
    const struct thaw_tensor *x = &call->in[0], *y = &call->out;
    if (attrs->mode != CONSTANT)
        return launch(call, state->forward, x, y, &x->layout, false, step->batch);
    THAW_TRY(thaw_copy_fill(call->device, &state->kernels, y, attrs->value, step->batch));
    return thaw_copy_box(call->device, &state->kernels, x, y, state->inside, THAW_COPY_OVER,
                         step->batch);
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct attrs *attrs = call->attrs;
    const struct state *state = call->state;
    const struct thaw_tensor *dx = &call->grad_in[0], *dy = &call->grad_out;
    bool add = call->accumulate_in[0];
    if (!call->want_grad_in[0])
        return THAW_OK;
    if (attrs->mode != CONSTANT)
        return launch(call, state->backward, dy, dx, &dx->layout, add, step->batch);
    struct thaw_copy_axis axes[THAW_AXIS_COUNT];
    memcpy(axes, state->inside, sizeof axes);
    thaw_copy_reverse(axes);
    return thaw_copy_box(call->device, &state->kernels, dy, dx, axes,
                         add ? THAW_COPY_ADD : THAW_COPY_CLEAR, step->batch);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *a = call->attrs;
    static const char *const modes[MODE_COUNT] = {"constant", "reflect", "edge"};
    int64_t pads[2 * (1 + THAW_AXIS_COUNT)] = {0}; /* of all axes before, then after */
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++) {
        pads[1 + axis] = a->before[axis];
        pads[2 + THAW_AXIS_COUNT + axis] = a->after[axis];
    }
    const char *value = a->value != 0 ? thaw_export_constant_float(call, a->value) : NULL;
    THAW_EXPORT_NODE(call, "Pad", thaw_export_maps(call, 0),
                     thaw_export_constant_ints(call, pads, sizeof pads / sizeof *pads), value);
    thaw_export_text(call, "mode", modes[a->mode]);
    return THAW_OK;
}

const struct thaw_op thaw_op_pad = {
    .type = "pad",
    .summary = "channels, rows and columns put around a map",
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
