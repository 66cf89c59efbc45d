/* Probabilities from logits, (N, K, 1, 1):
 *
 *   y[n,k] = exp(x[n,k] - max x[n]) / sum over j of exp(x[n,j] - max x[n])
 *   dx[n,k] = y[n,k] (dy[n,k] - sum over j of dy[n,j] y[n,j])
 *
 * Attributes: none. For training, softmax_cross_entropy takes logits. */
#include <stdlib.h>

#include "ops/export.h"
#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

struct state {
    thaw_kernel *forward, *backward;
    size_t group;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    const thaw_yaml *map;
    (void)ret_attrs;
    return thaw_op_parse_map(node, NULL, 0, &map);
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)attrs;
    if (in->h != 1 || in->w != 1)
        return thaw_fail(THAW_ERROR_INPUT, "logits are maps of %d x %d, expected 1 x 1", in->h,
                         in->w);
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, 1, 1};
    ret_spec->in_place = true;
    ret_spec->backward_needs_output = true;
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    const struct thaw_device_caps *caps = thaw_device_get_caps(call->device);
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, caps, call->out.layout.block, true);
    state->group = thaw_walk_group_size(caps);
    THAW_TRY(thaw_kernel_get(call->device, "softmax.cl", "softmax_forward", defines.text,
                             &state->forward));
    return thaw_kernel_get(call->device, "softmax.cl", "softmax_backward", defines.text,
                           &state->backward);
}

/* A group for each image. */
static struct thaw_range images(const struct state *state, int batch) {
    return (struct thaw_range){2, {state->group, (size_t)batch, 1}, {state->group, 1, 1}};
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout;
    struct thaw_range range = images(state, step->batch);
    return thaw_launch(call->device, state->forward, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->out.buffer), THAW_ARG_INT(x->c), THAW_MAP_ARGS(x),
                       THAW_MAP_ARGS(&call->out.layout));
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (!call->want_grad_in[0])
        return THAW_OK;
    struct thaw_range range = images(state, step->batch);
    return thaw_launch(call->device, state->backward, &range, THAW_ARG_BUFFER(call->out.buffer),
                       THAW_ARG_BUFFER(call->grad_out.buffer),
                       THAW_ARG_BUFFER(call->grad_in[0].buffer), THAW_ARG_INT(call->out.layout.c),
                       THAW_ARG_INT(call->accumulate_in[0]), THAW_MAP_ARGS(&call->out.layout),
                       THAW_MAP_ARGS(&call->grad_out.layout),
                       THAW_MAP_ARGS(&call->grad_in[0].layout));
}

static void release(struct thaw_op_call *call) {
    free(call->state);
    call->state = NULL;
}

static thaw_status onnx(struct thaw_export_call *call) {
    thaw_export_unary(call, "Softmax");
    thaw_export_int(call, "axis", 1);
    return THAW_OK;
}

const struct thaw_op thaw_op_softmax = {
    .type = "softmax",
    .summary = "probabilities from logits",
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .release = release,
    .onnx = onnx,
};
