/* The average over each map, (N, C, H, W) -> (N, C, 1, 1):
 *
 *   y[n,c] = sum over h, w of x[n,c,h,w] / (H W);  dx[n,c,h,w] = dy[n,c] / (H W)
 *
 * Attributes: none. */
#include <stdlib.h>

#include "ops/export.h"
#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

struct state {
    thaw_kernel *forward, *backward;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    const thaw_yaml *map;
    (void)ret_attrs;
    return thaw_op_parse_map(node, NULL, 0, &map);
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)attrs;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, 1, 1};
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, true);
    THAW_TRY(thaw_kernel_get(call->device, "global_avgpool.cl", "global_avgpool_forward",
                             defines.text, &state->forward));
    return thaw_kernel_get(call->device, "global_avgpool.cl", "global_avgpool_backward",
                           defines.text, &state->backward);
}

static float scale(const struct thaw_layout *x) {
    return 1.0f / (float)(x->h * x->w);
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *y = &call->out.layout;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), &x, 1, step->batch, THAW_WALK_SUMS);
    walk.per_item = walk.h; /* a group an image */
    walk.items = step->batch;
    struct thaw_range range = thaw_walk_groups(&walk);
    return thaw_launch(call->device, state->forward, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->out.buffer), THAW_ARG_FLOAT(scale(x)),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x), THAW_MAP_ARGS(y));
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *dy = &call->grad_out.layout, *dx = &call->grad_in[0].layout;
    if (!call->want_grad_in[0])
        return THAW_OK;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), &dx, 1, step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->backward, &range,
                       THAW_ARG_BUFFER(call->grad_out.buffer),
                       THAW_ARG_BUFFER(call->grad_in[0].buffer), THAW_ARG_FLOAT(scale(dx)),
                       THAW_ARG_INT(call->accumulate_in[0]), THAW_WALK_ARGS(&walk),
                       THAW_MAP_ARGS(dy), THAW_MAP_ARGS(dx));
}

static thaw_status onnx(struct thaw_export_call *call) {
    THAW_EXPORT_NODE(call, "GlobalAveragePool", thaw_export_maps(call, 0));
    return THAW_OK;
}

const struct thaw_op thaw_op_global_avgpool = {
    .type = "global",
    .summary = "average over each map",
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .onnx = onnx,
};
