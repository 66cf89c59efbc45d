/* The average over one, two or all three axes of an image's content; those become 1. With K places
 * averaged:
 *
 *   y = sum of x over the axes / K;  dx = dy / K at each of the places
 *
 * Attributes: axes: a list of channels, height, width. */
#include <stdlib.h>

#include "ops/export.h"
#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

#define OUTPUTS_PER_ITEM 64 /* of a CPU's work-item */

struct attrs {
    bool axes[THAW_AXIS_COUNT];
};

struct state {
    thaw_kernel *forward, *backward;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"axes"};
    struct attrs *attrs = ret_attrs;
    const thaw_yaml *map;
    THAW_TRY(thaw_op_parse_map(node, keys, 1, &map));
    return thaw_op_parse_axes(node, map, attrs->axes);
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    const bool *axes = ((const struct attrs *)attrs)->axes;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    THAW_TRY(thaw_walk_check_size(in->c, in->h, in->w));
    ret_spec->out =
        (struct thaw_shape){in->n, axes[THAW_AXIS_CHANNELS] ? 1 : in->c,
                            axes[THAW_AXIS_HEIGHT] ? 1 : in->h, axes[THAW_AXIS_WIDTH] ? 1 : in->w};
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, true);
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++) {
        static const char *const names[THAW_AXIS_COUNT] = {"MEAN_C", "MEAN_H", "MEAN_W"};
        thaw_define_int(&defines, names[axis], ((const struct attrs *)call->attrs)->axes[axis]);
    }
    THAW_TRY(thaw_kernel_get(call->device, "reduce_mean.cl", "reduce_mean_forward", defines.text,
                             &state->forward));
    return thaw_kernel_get(call->device, "reduce_mean.cl", "reduce_mean_backward", defines.text,
                           &state->backward);
}

static float scale(const struct thaw_layout *x, const struct thaw_layout *y) {
    return (float)((double)y->c * y->h * y->w / ((double)x->c * x->h * x->w));
}

/* A group sums for one output after the other. */
static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *y = &call->out.layout;
    bool narrow = ((const struct attrs *)call->attrs)->axes[THAW_AXIS_WIDTH] == false;
    const struct thaw_device_caps *caps = thaw_device_get_caps(call->device);
    size_t group = thaw_walk_group_size(caps), wide = 1;
    while (!narrow && wide < group && wide < (size_t)x->w)
        wide *= 2;
    int outputs = step->batch * y->h * y->w, per_group = caps->is_cpu ? OUTPUTS_PER_ITEM : 1;
    size_t groups = (size_t)((outputs + per_group - 1) / per_group);
    struct thaw_range range = {
        3, {wide, groups * (group / wide), (size_t)thaw_layout_blocks(y)}, {wide, group / wide, 1}};
    return thaw_launch(call->device, state->forward, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->out.buffer), THAW_ARG_INT(thaw_layout_blocks(x)),
                       THAW_ARG_INT(x->h), THAW_ARG_INT(x->w), THAW_ARG_INT(y->h),
                       THAW_ARG_INT(y->w), THAW_ARG_INT(outputs), THAW_ARG_INT(per_group),
                       THAW_ARG_FLOAT(scale(x, y)), THAW_MAP_ARGS(x), THAW_MAP_ARGS(y));
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *dy = &call->grad_out.layout, *dx = &call->grad_in[0].layout;
    if (!call->want_grad_in[0])
        return THAW_OK;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), &dx, 1, step->batch, THAW_WALK_ROWS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->backward, &range,
                       THAW_ARG_BUFFER(call->grad_out.buffer),
                       THAW_ARG_BUFFER(call->grad_in[0].buffer), THAW_ARG_INT(dx->c),
                       THAW_ARG_FLOAT(scale(dx, dy)), THAW_ARG_INT(call->accumulate_in[0]),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(dy), THAW_MAP_ARGS(dx));
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *attrs = call->attrs;
    int64_t axes[THAW_AXIS_COUNT];
    size_t count = 0;
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++)
        if (attrs->axes[axis])
            axes[count++] = 1 + axis;
    THAW_EXPORT_NODE(call, "ReduceMean", thaw_export_maps(call, 0));
    thaw_export_ints(call, "axes", axes, count);
    return THAW_OK;
}

const struct thaw_op thaw_op_reduce_mean = {
    .type = "reduce_mean",
    .summary = "average over axes",
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
