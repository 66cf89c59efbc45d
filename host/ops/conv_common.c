#include "ops/conv_common.h"

#include <stdlib.h>

#include "ops/walk.h"

enum { WEIGHT, BIAS };

struct state {
    thaw_conv *directions[THAW_CONV_DIRECTION_COUNT]; /* NULL: not asked for */
    thaw_kernel *bias_partial, *bias_combine;
};

void thaw_conv_op_infer(const struct thaw_conv_geometry *geometry, bool bias,
                        struct thaw_op_spec *ret_spec) {
    const struct thaw_layout *y = &geometry->y;
    const struct thaw_filter *w = &geometry->w;
    ret_spec->out = (struct thaw_shape){y->n, y->c, y->h, y->w};
    ret_spec->params[WEIGHT] = (struct thaw_param_spec){.name = "weight",
                                                        .filter = *w,
                                                        .rank = 4,
                                                        .kind = THAW_PARAM_WEIGHT,
                                                        .init = THAW_INIT_KAIMING_NORMAL};
    ret_spec->params[BIAS] = (struct thaw_param_spec){.name = "bias",
                                                      .filter = {w->o, 1, 1, 1, w->block_o, 1},
                                                      .rank = 1,
                                                      .kind = THAW_PARAM_BIAS};
    ret_spec->param_count = bias ? 2 : 1;
    thaw_conv_halos(geometry, &ret_spec->input_halo[0], &ret_spec->output_grad_halo);
    ret_spec->backward_needs_input[0] = true;
    ret_spec->flops = thaw_conv_flops(geometry, 1);
}

static void raise_workspace(struct thaw_op_call *call, size_t bytes) {
    if (call->workspace_bytes < bytes)
        call->workspace_bytes = bytes;
}

static thaw_status create(struct thaw_op_call *call, const struct thaw_conv_geometry *geometry,
                          enum thaw_conv_direction direction) {
    struct state *state = call->state;
    struct thaw_conv_problem problem = {.direction = direction, .geometry = *geometry};
    problem.geometry.x =
        direction == THAW_CONV_BACKWARD_DATA ? call->grad_in[0].layout : call->in[0].layout;
    problem.geometry.y = direction == THAW_CONV_FORWARD ? call->out.layout : call->grad_out.layout;
    if (direction == THAW_CONV_FORWARD) {
        problem.bias = call->params[BIAS].present;
        problem.activation = call->activation;
        problem.activation_parameter = call->activation_parameter;
    }
    problem.accumulate = direction == THAW_CONV_BACKWARD_DATA && call->accumulate_in[0];
    THAW_TRY(thaw_conv_create(call->device, &problem, call->conv_candidate,
                              &state->directions[direction]));
    raise_workspace(call, thaw_conv_workspace_bytes(state->directions[direction]));
    return THAW_OK;
}

static struct thaw_walk bias_walk(const struct thaw_op_call *call, int batch) {
    const struct thaw_layout *dy = &call->grad_out.layout;
    return thaw_walk_make(thaw_device_get_caps(call->device), &dy, 1, batch, THAW_WALK_SUMS);
}

static thaw_status prepare_bias(struct thaw_op_call *call) {
    struct state *state = call->state;
    const struct thaw_layout *dy = &call->grad_out.layout;
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), dy->block, true);
    struct thaw_walk walk = bias_walk(call, dy->n);
    raise_workspace(call, (size_t)walk.items * (size_t)thaw_layout_lanes(dy) * sizeof(float));
    THAW_TRY(thaw_kernel_get(call->device, "conv_bias.cl", "conv_bias_partial", defines.text,
                             &state->bias_partial));
    return thaw_kernel_get(call->device, "conv_bias.cl", "conv_bias_combine", defines.text,
                           &state->bias_combine);
}

thaw_status thaw_conv_op_prepare(struct thaw_op_call *call,
                                 const struct thaw_conv_geometry *geometry) {
    call->state = calloc(1, sizeof(struct state));
    if (!call->state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    THAW_TRY(create(call, geometry, THAW_CONV_FORWARD));
    if (!call->needs_backward)
        return THAW_OK;
    if (call->want_grad_in[0])
        THAW_TRY(create(call, geometry, THAW_CONV_BACKWARD_DATA));
    if (call->params[WEIGHT].want_grad)
        THAW_TRY(create(call, geometry, THAW_CONV_BACKWARD_WEIGHT));
    return call->params[BIAS].want_grad ? prepare_bias(call) : THAW_OK;
}

thaw_status thaw_conv_op_forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    struct thaw_conv_run run = {.x = call->in[0].buffer,
                                .w = call->params[WEIGHT].value,
                                .y = call->out.buffer,
                                .workspace = call->workspace,
                                .batch = step->batch};
    if (call->params[BIAS].present)
        run.bias = call->params[BIAS].value;
    return thaw_conv_run(state->directions[THAW_CONV_FORWARD], &run);
}

/* Two passes: sums over chunks of rows, then the chunks in order. */
static thaw_status backward_bias(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *dy = &call->grad_out.layout;
    int lanes = thaw_layout_lanes(dy);
    size_t size = thaw_filter_size(&call->params[BIAS].filter);
    struct thaw_walk walk = bias_walk(call, step->batch);
    struct thaw_range range = thaw_walk_groups(&walk);
    THAW_TRY(thaw_launch(call->device, state->bias_partial, &range,
                         THAW_ARG_BUFFER(call->grad_out.buffer), THAW_ARG_BUFFER(call->workspace),
                         THAW_ARG_INT(lanes), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(dy)));
    range = THAW_RANGE1(size);
    return thaw_launch(call->device, state->bias_combine, &range, THAW_ARG_BUFFER(call->workspace),
                       THAW_ARG_BUFFER(call->params[BIAS].grad), THAW_ARG_INT(walk.items),
                       THAW_ARG_INT(lanes), THAW_ARG_INT(size));
}

thaw_status thaw_conv_op_backward(const struct thaw_op_call *call,
                                  const struct thaw_op_step *step) {
    const struct state *state = call->state;
    struct thaw_conv_run run = {
        .y = call->grad_out.buffer, .workspace = call->workspace, .batch = step->batch};
    if (call->params[WEIGHT].want_grad) {
        run.x = call->in[0].buffer;
        run.w = call->params[WEIGHT].grad;
        THAW_TRY(thaw_conv_run(state->directions[THAW_CONV_BACKWARD_WEIGHT], &run));
    }
    if (call->params[BIAS].want_grad)
        THAW_TRY(backward_bias(call, step));
    if (!call->want_grad_in[0])
        return THAW_OK;
    run.x = call->grad_in[0].buffer;
    run.w = call->params[WEIGHT].value;
    return thaw_conv_run(state->directions[THAW_CONV_BACKWARD_DATA], &run);
}

void thaw_conv_op_release(struct thaw_op_call *call) {
    struct state *state = call->state;
    for (int i = 0; state && i < THAW_CONV_DIRECTION_COUNT; i++)
        thaw_conv_destroy(&state->directions[i]);
    free(state);
    call->state = NULL;
}

bool thaw_conv_op_problem(const struct thaw_op_call *call, enum thaw_conv_direction direction,
                          struct thaw_conv_problem *ret_problem) {
    const struct state *state = call->state;
    if (!state->directions[direction])
        return false;
    *ret_problem = *thaw_conv_get_problem(state->directions[direction]);
    return true;
}
