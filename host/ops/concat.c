/* Inputs (2 to 8) one after the other along an axis, in which alone they may differ; backward takes
 * the gradient apart again.
 *
 * Attributes: axis: channels | height | width (channels). */
#include <stdlib.h>

#include "ops/copy.h"
#include "ops/export.h"
#include "ops/walk.h"

struct attrs {
    enum thaw_axis axis;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"axis"};
    struct attrs *attrs = ret_attrs;
    const thaw_yaml *map;
    THAW_TRY(thaw_op_parse_map(node, keys, 1, &map));
    attrs->axis = THAW_AXIS_CHANNELS;
    return thaw_op_parse_axis(map, &attrs->axis);
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    enum thaw_axis axis = ((const struct attrs *)attrs)->axis;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    int size[THAW_AXIS_COUNT] = {in->c, in->h, in->w};
    for (int i = 1; i < input_count; i++) {
        const int other[THAW_AXIS_COUNT] = {in[i].c, in[i].h, in[i].w};
        for (int a = 0; a < THAW_AXIS_COUNT; a++)
            if (a != (int)axis && other[a] != size[a])
                return thaw_fail(THAW_ERROR_INPUT,
                                 "input %d is %d x %d x %d (channels, height, width), the first is "
                                 "%d x %d x %d: they may differ in %s alone",
                                 i + 1, in[i].c, in[i].h, in[i].w, in->c, in->h, in->w,
                                 thaw_axis_names[axis]);
        size[axis] += other[axis];
        THAW_TRY(thaw_walk_check_size(size[0], size[1], size[2]));
    }
    ret_spec->out = (struct thaw_shape){in->n, size[0], size[1], size[2]};
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct thaw_copy_kernels *kernels = call->state = calloc(1, sizeof *kernels);
    if (!kernels)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    return thaw_copy_prepare(call->device, kernels);
}

/* In order: an input clears the lanes behind it, which the next one then fills. */
static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    enum thaw_axis axis = ((const struct attrs *)call->attrs)->axis;
    for (int i = 0, place = 0; i < call->input_count; i++) {
        struct thaw_copy_axis axes[THAW_AXIS_COUNT];
        thaw_copy_whole(&call->in[i].layout, axes);
        axes[axis].to = place;
        THAW_TRY(thaw_copy_box(call->device, call->state, &call->in[i], &call->out, axes,
                               THAW_COPY_CLEAR, step->batch));
        place += axes[axis].count;
    }
    return THAW_OK;
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    enum thaw_axis axis = ((const struct attrs *)call->attrs)->axis;
    for (int i = 0, place = 0; i < call->input_count; i++) {
        struct thaw_copy_axis axes[THAW_AXIS_COUNT];
        thaw_copy_whole(&call->in[i].layout, axes);
        axes[axis].from = place;
        place += axes[axis].count;
        if (call->want_grad_in[i])
            THAW_TRY(thaw_copy_box(call->device, call->state, &call->grad_out, &call->grad_in[i],
                                   axes, call->accumulate_in[i] ? THAW_COPY_ADD : THAW_COPY_CLEAR,
                                   step->batch));
    }
    return THAW_OK;
}

static thaw_status onnx(struct thaw_export_call *call) {
    const char *names[THAW_OP_INPUTS_MAX];
    enum thaw_axis axis = ((const struct attrs *)call->attrs)->axis;
    for (int i = 0; i < call->input_count && axis != THAW_AXIS_CHANNELS; i++)
        names[i] = thaw_export_maps(call, i);
    if (axis == THAW_AXIS_CHANNELS)
        thaw_export_alike(call, names);
    thaw_export_node(call, "Concat", names, (size_t)call->input_count);
    thaw_export_int(call, "axis", 1 + (int64_t)axis);
    return THAW_OK;
}

const struct thaw_op thaw_op_concat = {
    .type = "concat",
    .summary = "maps one after the other along an axis",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 2,
    .inputs_max = THAW_OP_INPUTS_MAX,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .onnx = onnx,
};
