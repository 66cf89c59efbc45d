/* The loss of a classifier, from logits x and dense targets t, both (N, K, 1, 1):
 *
 *   loss[n] = - sum over k of t[n,k] log softmax(x[n])[k]
 *   dx[n,k] = loss_scale (softmax(x[n])[k] sum over j of t[n,j] - t[n,k])
 *
 * Label smoothing, class weights and mixup are in the targets, which get no gradient. loss_scale is
 * the step's: nothing flows into the gradient of the output. Log-sum-exp is shifted by the largest
 * logit. Saved for each image: that logit, the shifted log-sum-exp and the sum of the targets.
 *
 * Attributes: none. */
#include <stdlib.h>

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
    for (int i = 0; i < input_count; i++)
        if (in[i].h != 1 || in[i].w != 1)
            return thaw_fail(THAW_ERROR_INPUT, "%s are maps of %d x %d, expected 1 x 1",
                             i ? "targets" : "logits", in[i].h, in[i].w);
    if (in[0].c != in[1].c)
        return thaw_fail(THAW_ERROR_INPUT, "%d logits, but targets for %d classes", in[0].c,
                         in[1].c);
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, 1, 1, 1};
    ret_spec->backward_needs_input[0] = ret_spec->backward_needs_input[1] = true;
    ret_spec->saved_bytes = 3 * (size_t)in->n * sizeof(float);
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
    THAW_TRY(thaw_kernel_get(call->device, "softmax_cross_entropy.cl",
                             "softmax_cross_entropy_forward", defines.text, &state->forward));
    return thaw_kernel_get(call->device, "softmax_cross_entropy.cl",
                           "softmax_cross_entropy_backward", defines.text, &state->backward);
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
                       THAW_ARG_BUFFER(call->in[1].buffer), THAW_ARG_BUFFER(call->out.buffer),
                       THAW_ARG_BUFFER(call->saved), THAW_ARG_INT(x->c), THAW_MAP_ARGS(x),
                       THAW_MAP_ARGS(&call->in[1].layout), THAW_MAP_ARGS(&call->out.layout));
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout;
    if (!call->want_grad_in[0])
        return THAW_OK;
    struct thaw_range range = images(state, step->batch);
    return thaw_launch(call->device, state->backward, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->in[1].buffer),
                       THAW_ARG_BUFFER(call->grad_in[0].buffer), THAW_ARG_BUFFER(call->saved),
                       THAW_ARG_INT(x->c), THAW_ARG_FLOAT(step->loss_scale),
                       THAW_ARG_INT(call->accumulate_in[0]), THAW_MAP_ARGS(x),
                       THAW_MAP_ARGS(&call->in[1].layout), THAW_MAP_ARGS(&call->grad_in[0].layout));
}

const struct thaw_op thaw_op_softmax_cross_entropy = {
    .type = "softmax_cross_entropy",
    .summary = "the loss of a classifier",
    .inputs_min = 2,
    .inputs_max = 2,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
};
