#include "ops/softmax_common.h"

#include <stdlib.h>

#include "ops/walk.h"

#define FLOATS_PER_ITEM 16384 /* of a CPU's work-item */

struct state {
    thaw_kernel *forward, *backward;
    size_t group; /* items that share a line */
};

/* The lines of maps along an axis, as cl/softmax.cl has them. */
struct lines {
    int steps, count, units, columns, per_item, blocks;
    struct thaw_range range;
};

thaw_status thaw_softmax_parse(const thaw_yaml *node, bool log, void *ret_attrs) {
    static const char *const keys[] = {"axis"};
    struct thaw_softmax_attrs attrs = {.axis = THAW_AXIS_CHANNELS, .log = log};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, 1, &map));
    THAW_TRY(thaw_op_parse_axis(map, &attrs.axis));
    *(struct thaw_softmax_attrs *)ret_attrs = attrs;
    return THAW_OK;
}

thaw_status thaw_softmax_infer(const void *attrs, const struct thaw_layout *in, int input_count,
                               const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)attrs;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, in->h, in->w};
    ret_spec->in_place = true;
    ret_spec->backward_needs_output = true;
    return THAW_OK;
}

thaw_status thaw_softmax_prepare(struct thaw_op_call *call) {
    const struct thaw_softmax_attrs *attrs = call->attrs;
    const struct thaw_layout *x = &call->in[0].layout;
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    const struct thaw_device_caps *caps = thaw_device_get_caps(call->device);
    /* The lines of maps are many, those of logits are few and long. */
    bool shared = attrs->axis == THAW_AXIS_CHANNELS && x->h == 1 && x->w == 1;
    state->group = shared ? thaw_walk_group_size(caps) : 1;
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, caps, call->out.layout.block, shared);
    thaw_define_int(&defines, "LOG", attrs->log);
    thaw_define_int(&defines, "CHANNELS", attrs->axis == THAW_AXIS_CHANNELS);
    THAW_TRY(thaw_kernel_get(call->device, "softmax.cl", "softmax_forward", defines.text,
                             &state->forward));
    return thaw_kernel_get(call->device, "softmax.cl", "softmax_backward", defines.text,
                           &state->backward);
}

static struct lines make_lines(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout;
    enum thaw_axis axis = ((const struct thaw_softmax_attrs *)call->attrs)->axis;
    struct lines lines = {.steps = thaw_layout_blocks(x),
                          .units = x->h * x->w,
                          .columns = x->w,
                          .per_item = 1,
                          .blocks = 1};
    if (axis != THAW_AXIS_CHANNELS) {
        bool height = axis == THAW_AXIS_HEIGHT;
        lines.steps = height ? x->h : x->w;
        lines.units = height ? x->w : x->h;
        lines.columns = height ? x->w : 1;
        lines.blocks = thaw_layout_blocks(x);
    }
    lines.count = batch * lines.units;
    if (thaw_device_get_caps(call->device)->is_cpu)
        lines.per_item = 1 + FLOATS_PER_ITEM / (lines.steps * x->block);
    size_t items = (size_t)((lines.count + lines.per_item - 1) / lines.per_item);
    lines.range = (struct thaw_range){3, {items * state->group, 1, (size_t)lines.blocks}, {0}};
    if (state->group > 1)
        lines.range.local[0] = state->group, lines.range.local[1] = lines.range.local[2] = 1;
    return lines;
}

#define LINE_ARGS(l, x)                                                                            \
    THAW_ARG_INT((x)->c), THAW_ARG_INT((l)->steps), THAW_ARG_INT((l)->count),                      \
        THAW_ARG_INT((l)->units), THAW_ARG_INT((l)->columns), THAW_ARG_INT((l)->per_item)

/* Floats from one place of a line to the next, or with channels to the next block of them. */
static struct thaw_arg step_arg(const struct thaw_op_call *call, const struct thaw_layout *layout) {
    switch (((const struct thaw_softmax_attrs *)call->attrs)->axis) {
    case THAW_AXIS_HEIGHT:
        return THAW_ARG_LONG(thaw_layout_row_stride(layout));
    case THAW_AXIS_WIDTH:
        return THAW_ARG_LONG(layout->block);
    default:
        return THAW_ARG_LONG(thaw_layout_block_stride(layout));
    }
}

thaw_status thaw_softmax_forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *y = &call->out.layout;
    struct lines lines = make_lines(call, step->batch);
    return thaw_launch(call->device, state->forward, &lines.range,
                       THAW_ARG_BUFFER(call->in[0].buffer), THAW_ARG_BUFFER(call->out.buffer),
                       LINE_ARGS(&lines, x), THAW_MAP_ARGS(x), step_arg(call, x), THAW_MAP_ARGS(y),
                       step_arg(call, y));
}

thaw_status thaw_softmax_backward(const struct thaw_op_call *call,
                                  const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *y = &call->out.layout, *dy = &call->grad_out.layout,
                             *dx = &call->grad_in[0].layout;
    if (!call->want_grad_in[0])
        return THAW_OK;
    struct lines lines = make_lines(call, step->batch);
    return thaw_launch(call->device, state->backward, &lines.range,
                       THAW_ARG_BUFFER(call->out.buffer), THAW_ARG_BUFFER(call->grad_out.buffer),
                       THAW_ARG_BUFFER(call->grad_in[0].buffer),
                       THAW_ARG_INT(call->accumulate_in[0]), LINE_ARGS(&lines, y), THAW_MAP_ARGS(y),
                       step_arg(call, y), THAW_MAP_ARGS(dy), step_arg(call, dy), THAW_MAP_ARGS(dx),
                       step_arg(call, dx));
}

thaw_status thaw_softmax_onnx(struct thaw_export_call *call) {
    const struct thaw_softmax_attrs *attrs = call->attrs;
    const char *type = attrs->log ? "LogSoftmax" : "Softmax";
    if (attrs->axis == THAW_AXIS_CHANNELS)
        thaw_export_unary(call, type);
    else
        THAW_EXPORT_NODE(call, type, thaw_export_maps(call, 0));
    thaw_export_int(call, "axis", 1 + (int)attrs->axis);
    return THAW_OK;
}
