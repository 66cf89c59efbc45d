#include "ops/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "ops/export.h"
#include "ops/parse.h"
#include "ops/walk.h"

#define EXTENT_MAX 255 /* of a kernel: a tap's number fits 16 bits */

/* Pixels from a window's first tap to its last. */
static int reach_of(const struct thaw_pool_window *window, int axis) {
    return (window->kernel[axis] - 1) * window->dilation[axis] + 1;
}

thaw_status thaw_pool_parse(const thaw_yaml *node, const thaw_yaml *map,
                            struct thaw_pool_window *ret_window) {
    struct thaw_pool_window window = {.dilation = {1, 1}};
    THAW_TRY(thaw_op_parse_require(node, map, "kernel"));
    THAW_TRY(thaw_op_parse_pair(map, "kernel", 1, EXTENT_MAX, window.kernel));
    window.stride[0] = window.kernel[0];
    window.stride[1] = window.kernel[1];
    THAW_TRY(thaw_op_parse_pair(map, "stride", 1, EXTENT_MAX, window.stride));
    THAW_TRY(thaw_op_parse_pads(map, EXTENT_MAX, "", window.pad));
    THAW_TRY(thaw_op_parse_pair(map, "dilation", 1, EXTENT_MAX, window.dilation));
    THAW_TRY(thaw_yaml_get_bool(map, "ceil_mode", &window.ceil_mode));
    for (int i = 0; i < 4; i++)
        if (window.pad[i] >= reach_of(&window, i % 2))
            return thaw_yaml_fail(thaw_yaml_get(map, "pad"),
                                  "'pad': expected less than the %d pixels that the kernel spans, "
                                  "found %d",
                                  reach_of(&window, i % 2), window.pad[i]);
    *ret_window = window;
    return THAW_OK;
}

static int out_size(const struct thaw_pool_window *window, int axis, int size) {
    int stride = window->stride[axis], before = window->pad[axis];
    int room = size + before + window->pad[axis + 2] - reach_of(window, axis);
    if (room < 0)
        return 0;
    int out = (room + (window->ceil_mode ? stride - 1 : 0)) / stride + 1;
    return (out - 1) * stride >= size + before ? out - 1 : out;
}

/* A dilated window can have all its taps in the padding. */
static bool all_windows_see(const struct thaw_pool_window *window, int axis, int size, int out) {
    for (int o = 0; o < out; o++) {
        int first = o * window->stride[axis] - window->pad[axis], tap = first;
        while (tap < 0)
            tap += window->dilation[axis];
        if (tap >= size || tap >= first + reach_of(window, axis))
            return false;
    }
    return true;
}

thaw_status thaw_pool_infer(const struct thaw_pool_window *window, const struct thaw_layout *in,
                            const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    THAW_TRY(thaw_walk_check_blocks(in, 1, caps));
    int h = out_size(window, 0, in->h), w = out_size(window, 1, in->w);
    if (h < 1 || w < 1)
        return thaw_fail(THAW_ERROR_INPUT,
                         "a window of %d x %d does not fit into the padded map of %d x %d",
                         window->kernel[0], window->kernel[1],
                         in->h + window->pad[THAW_PAD_TOP] + window->pad[THAW_PAD_BOTTOM],
                         in->w + window->pad[THAW_PAD_LEFT] + window->pad[THAW_PAD_RIGHT]);
    if (!all_windows_see(window, 0, in->h, h) || !all_windows_see(window, 1, in->w, w))
        return thaw_fail(THAW_ERROR_INPUT, "a window has nothing but padding on a map of %d x %d",
                         in->h, in->w);
    ret_spec->out = (struct thaw_shape){in->n, in->c, h, w};
    return THAW_OK;
}

void thaw_pool_defines(struct thaw_defines *defines, const struct thaw_pool_window *window) {
    thaw_define_int(defines, "KH", window->kernel[0]);
    thaw_define_int(defines, "KW", window->kernel[1]);
    thaw_define_int(defines, "SH", window->stride[0]);
    thaw_define_int(defines, "SW", window->stride[1]);
    thaw_define_int(defines, "PT", window->pad[THAW_PAD_TOP]);
    thaw_define_int(defines, "PL", window->pad[THAW_PAD_LEFT]);
    thaw_define_int(defines, "PB", window->pad[THAW_PAD_BOTTOM]);
    thaw_define_int(defines, "PR", window->pad[THAW_PAD_RIGHT]);
    thaw_define_int(defines, "DH", window->dilation[0]);
    thaw_define_int(defines, "DW", window->dilation[1]);
}

struct state {
    thaw_kernel *forward, *backward;
    bool uses_saved;
};

static thaw_status get(const struct thaw_op_call *call, const char *file, const char *name,
                       const struct thaw_defines *defines, const struct thaw_layout *to,
                       bool accumulate, thaw_kernel **ret_kernel) {
    struct thaw_defines all = *defines;
    const struct thaw_device_caps *caps = thaw_device_get_caps(call->device);
    thaw_define_int(&all, "STREAM", !accumulate && thaw_layout_streams(to, caps));
    return thaw_kernel_get(call->device, file, name, all.text, ret_kernel);
}

thaw_status thaw_pool_prepare(struct thaw_op_call *call, const char *name,
                              struct thaw_defines *defines, bool uses_saved) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    state->uses_saved = uses_saved;
    thaw_walk_defines(defines, thaw_device_get_caps(call->device), call->out.layout.block, false);
    char file[48], forward[48], backward[48];
    snprintf(file, sizeof file, "%s.cl", name);
    snprintf(forward, sizeof forward, "%s_forward", name);
    snprintf(backward, sizeof backward, "%s_backward", name);
    THAW_TRY(get(call, file, forward, defines, &call->out.layout, false, &state->forward));
    if (!call->want_grad_in[0])
        return THAW_OK;
    return get(call, file, backward, defines, &call->grad_in[0].layout, call->accumulate_in[0],
               &state->backward);
}

/* `from` and `to` are the kernel's tensors in this order; the walk is over `to`. */
static thaw_status launch(const struct thaw_op_call *call, thaw_kernel *kernel,
                          const struct thaw_tensor *from, const struct thaw_tensor *to, int batch,
                          bool accumulate) {
    const struct state *state = call->state;
    const struct thaw_layout *walked = &to->layout;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), &walked, 1, batch, THAW_WALK_ROWS);
    struct thaw_range range = thaw_walk_range(&walk);
    const struct thaw_layout *f = &from->layout, *t = &to->layout;
    const struct thaw_arg args[] = {THAW_ARG_BUFFER(from->buffer),
                                    THAW_ARG_BUFFER(to->buffer),
                                    THAW_ARG_INT(f->h),
                                    THAW_ARG_INT(f->w),
                                    THAW_ARG_INT(t->n),
                                    THAW_ARG_INT(accumulate),
                                    THAW_WALK_ARGS(&walk),
                                    THAW_MAP_ARGS(f),
                                    THAW_MAP_ARGS(t),
                                    THAW_ARG_BUFFER(call->saved)};
    size_t count = sizeof args / sizeof *args;
    return thaw_launch_args(call->device, kernel, &range, args,
                            state->uses_saved ? count : count - 1);
}

thaw_status thaw_pool_forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    return launch(call, state->forward, &call->in[0], &call->out, step->batch, false);
}

thaw_status thaw_pool_backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (!call->want_grad_in[0])
        return THAW_OK;
    return launch(call, state->backward, &call->grad_out, &call->grad_in[0], step->batch,
                  call->accumulate_in[0]);
}

/* Runtimes disagree on ceil_mode, so a window that reaches past the padding gets more padding
 * instead. The average does not count that part: then the declared padding becomes a node of its
 * own. */
void thaw_pool_onnx(struct thaw_export_call *call, const struct thaw_pool_window *window,
                    const char *type, bool count_pad) {
    const char *input = thaw_export_maps(call, 0);
    int64_t before[2], after[2];
    bool reaches_past = false, padded = false;
    for (int axis = 0; axis < 2; axis++) {
        int in = axis ? call->in[0].w : call->in[0].h, out = axis ? call->out.w : call->out.h;
        int64_t pad_after = window->pad[axis + 2];
        int64_t needed = (int64_t)(out - 1) * window->stride[axis] + reach_of(window, axis) - in -
                         window->pad[axis];
        before[axis] = window->pad[axis];
        after[axis] = needed > pad_after ? needed : pad_after;
        if (after[axis] - needed >= window->stride[axis]) /* here no window starts in the padding */
            after[axis] = needed > 0 ? needed : 0;
        reaches_past |= needed > pad_after;
        padded |= before[axis] || after[axis];
    }
    if (count_pad && reaches_past) {
        input =
            THAW_EXPORT_NODE(call, "Pad", input,
                             THAW_EXPORT_CONSTANT_INTS(call, 0, 0, window->pad[0], window->pad[1],
                                                       0, 0, window->pad[2], window->pad[3]));
        for (int axis = 0; axis < 2; axis++) {
            before[axis] = 0;
            after[axis] -= window->pad[axis + 2];
        }
        count_pad = false;
    }
    THAW_EXPORT_NODE(call, type, input);
    THAW_EXPORT_INTS(call, "kernel_shape", window->kernel[0], window->kernel[1]);
    THAW_EXPORT_INTS(call, "strides", window->stride[0], window->stride[1]);
    THAW_EXPORT_INTS(call, "pads", before[0], before[1], after[0], after[1]);
    if (window->dilation[0] != 1 || window->dilation[1] != 1)
        THAW_EXPORT_INTS(call, "dilations", window->dilation[0], window->dilation[1]);
    if (count_pad && padded)
        thaw_export_int(call, "count_include_pad", 1);
}
