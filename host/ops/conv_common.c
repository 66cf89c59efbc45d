#include "ops/conv_common.h"

#include <stdlib.h>
#include <string.h>

#include "ops/parse.h"
#include "ops/walk.h"

#define CHANNELS_MAX (1 << 20)

enum { WEIGHT, BIAS };

struct state {
    bool transposed;
    thaw_conv *directions[THAW_CONV_DIRECTION_COUNT]; /* NULL: not asked for */
    thaw_kernel *bias_fill, *bias_partial, *bias_combine;
};

/* ---- attributes ----------------------------------------------------------------------------- */

static bool is_text(const thaw_yaml *node, const char *text) {
    return node && node->kind == THAW_YAML_SCALAR && !strcmp(node->text, text);
}

thaw_status thaw_conv_op_parse(const thaw_yaml *node, const thaw_yaml *map, bool same,
                               struct thaw_conv_attrs *ret_attrs) {
    struct thaw_conv_attrs attrs = {
        .stride = {1, 1}, .dilation = {1, 1}, .groups = 1, .bias = true};
    THAW_TRY(thaw_op_parse_require(node, map, "kernel"));
    if (is_text(thaw_yaml_get(map, "groups"), "depthwise"))
        attrs.groups = 0;
    else
        THAW_TRY(thaw_yaml_get_int(map, "groups", 1, CHANNELS_MAX, &attrs.groups));
    if (attrs.groups != 0)
        THAW_TRY(thaw_op_parse_require(node, map, "out"));
    THAW_TRY(thaw_yaml_get_int(map, "out", 1, CHANNELS_MAX, &attrs.out));
    THAW_TRY(thaw_op_parse_pair(map, "kernel", 1, THAW_CONV_EXTENT_MAX, attrs.kernel));
    THAW_TRY(thaw_op_parse_pair(map, "stride", 1, THAW_CONV_EXTENT_MAX, attrs.stride));
    THAW_TRY(thaw_op_parse_pair(map, "dilation", 1, THAW_CONV_EXTENT_MAX, attrs.dilation));
    attrs.same = same && is_text(thaw_yaml_get(map, "pad"), "same");
    if (!attrs.same)
        THAW_TRY(thaw_op_parse_pads(map, THAW_CONV_EXTENT_MAX, same ? " or same" : "", attrs.pad));
    THAW_TRY(thaw_yaml_get_bool(map, "bias", &attrs.bias));
    *ret_attrs = attrs;
    return THAW_OK;
}

thaw_status thaw_conv_op_channels(const struct thaw_conv_attrs *attrs, int in_channels,
                                  int *ret_groups, int *ret_out) {
    int groups = attrs->groups ? attrs->groups : in_channels;
    int out = attrs->out ? attrs->out : in_channels;
    if (in_channels % groups != 0 || out % groups != 0)
        return thaw_fail(THAW_ERROR_INPUT,
                         "%d groups do not divide %d input and %d output channels", groups,
                         in_channels, out);
    *ret_groups = groups;
    *ret_out = out;
    return THAW_OK;
}

void thaw_conv_op_infer(const struct thaw_conv_geometry *geometry, bool transposed, bool bias,
                        struct thaw_op_spec *ret_spec) {
    const struct thaw_layout *out = transposed ? &geometry->x : &geometry->y;
    const struct thaw_filter *w = &geometry->w;
    int bias_block = transposed ? out->block : w->block_o;
    ret_spec->out = (struct thaw_shape){out->n, out->c, out->h, out->w};
    ret_spec->params[WEIGHT] = (struct thaw_param_spec){.name = "weight",
                                                        .filter = *w,
                                                        .rank = 4,
                                                        .kind = THAW_PARAM_WEIGHT,
                                                        .init = THAW_INIT_KAIMING_NORMAL,
                                                        .fan = out->c * w->kh * w->kw};
    ret_spec->params[BIAS] = (struct thaw_param_spec){.name = "bias",
                                                      .filter = {out->c, 1, 1, 1, bias_block, 1},
                                                      .rank = 1,
                                                      .kind = THAW_PARAM_BIAS};
    ret_spec->param_count = bias ? 2 : 1;
    int halo_x = 0, halo_y = 0;
    thaw_conv_halos(geometry, &halo_x, &halo_y);
    ret_spec->input_halo[0] = transposed ? halo_y : halo_x;
    ret_spec->output_grad_halo = transposed ? halo_x : halo_y;
    ret_spec->backward_needs_input[0] = true;
    ret_spec->flops = thaw_conv_flops(geometry, 1);
}

/* ---- prepare -------------------------------------------------------------------------------- */

static void raise_workspace(struct thaw_op_call *call, size_t bytes) {
    if (call->workspace_bytes < bytes)
        call->workspace_bytes = bytes;
}

/* The tensors that a direction has for x and y (kernels/conv.h). */
static void tensors_of(const struct thaw_op_call *call, enum thaw_conv_direction direction,
                       const struct thaw_tensor **ret_x, const struct thaw_tensor **ret_y) {
    const struct state *state = call->state;
    const struct thaw_tensor *x = &call->in[0], *y = &call->out;
    const struct thaw_tensor *dx = &call->grad_in[0], *dy = &call->grad_out;
    if (state->transposed) {
        x = &call->grad_out, y = &call->grad_in[0];
        dx = &call->out, dy = &call->in[0];
    }
    *ret_x = direction == THAW_CONV_BACKWARD_DATA ? dx : x;
    *ret_y = direction == THAW_CONV_FORWARD ? y : dy;
}

/* The directions that compute the op's output and the gradient of its input. */
static enum thaw_conv_direction forward_direction(const struct state *state) {
    return state->transposed ? THAW_CONV_BACKWARD_DATA : THAW_CONV_FORWARD;
}
static enum thaw_conv_direction backward_direction(const struct state *state) {
    return state->transposed ? THAW_CONV_FORWARD : THAW_CONV_BACKWARD_DATA;
}

static thaw_status create(struct thaw_op_call *call, const struct thaw_conv_geometry *geometry,
                          enum thaw_conv_direction direction) {
    struct state *state = call->state;
    struct thaw_conv_problem problem = {.direction = direction, .geometry = *geometry};
    const struct thaw_tensor *x, *y;
    tensors_of(call, direction, &x, &y);
    problem.geometry.x = x->layout;
    problem.geometry.y = y->layout;
    if (direction == backward_direction(state)) {
        problem.accumulate = call->accumulate_in[0];
    } else if (direction == forward_direction(state) && state->transposed) {
        problem.accumulate = call->params[BIAS].present; /* it is there already */
    } else if (direction == forward_direction(state)) {
        problem.bias = call->params[BIAS].present;
        problem.activation = call->activation;
        problem.activation_parameter = call->activation_parameter;
    }
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

static thaw_status prepare_fill(struct thaw_op_call *call) {
    struct state *state = call->state;
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, false);
    return thaw_kernel_get(call->device, "conv_bias.cl", "conv_bias_fill", defines.text,
                           &state->bias_fill);
}

thaw_status thaw_conv_op_prepare(struct thaw_op_call *call,
                                 const struct thaw_conv_geometry *geometry, bool transposed) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    state->transposed = transposed;
    THAW_TRY(create(call, geometry, forward_direction(state)));
    if (transposed && call->params[BIAS].present)
        THAW_TRY(prepare_fill(call));
    if (!call->needs_backward)
        return THAW_OK;
    if (call->want_grad_in[0])
        THAW_TRY(create(call, geometry, backward_direction(state)));
    if (call->params[WEIGHT].want_grad)
        THAW_TRY(create(call, geometry, THAW_CONV_BACKWARD_WEIGHT));
    return call->params[BIAS].want_grad ? prepare_bias(call) : THAW_OK;
}

/* ---- run ------------------------------------------------------------------------------------ */

static thaw_status run(const struct thaw_op_call *call, enum thaw_conv_direction direction,
                       const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_op_param *weight = &call->params[WEIGHT];
    const struct thaw_tensor *x, *y;
    tensors_of(call, direction, &x, &y);
    struct thaw_conv_run run = {.x = x->buffer,
                                .w = weight->value,
                                .y = y->buffer,
                                .workspace = call->workspace,
                                .batch = step->batch};
    if (direction == THAW_CONV_BACKWARD_WEIGHT)
        run.w = weight->grad;
    if (!state->transposed && direction == THAW_CONV_FORWARD && call->params[BIAS].present)
        run.bias = call->params[BIAS].value;
    return thaw_conv_run(state->directions[direction], &run);
}

/* The bias, to which the convolution then adds. */
static thaw_status fill_bias(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *y = &call->out.layout;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), &y, 1, step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->bias_fill, &range,
                       THAW_ARG_BUFFER(call->params[BIAS].value), THAW_ARG_BUFFER(call->out.buffer),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(y));
}

thaw_status thaw_conv_op_forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (state->bias_fill)
        THAW_TRY(fill_bias(call, step));
    return run(call, forward_direction(state), step);
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
    if (call->params[WEIGHT].want_grad)
        THAW_TRY(run(call, THAW_CONV_BACKWARD_WEIGHT, step));
    if (call->params[BIAS].want_grad)
        THAW_TRY(backward_bias(call, step));
    return call->want_grad_in[0] ? run(call, backward_direction(call->state), step) : THAW_OK;
}

void thaw_conv_op_release(struct thaw_op_call *call) {
    struct state *state = call->state;
    for (int i = 0; i < THAW_CONV_DIRECTION_COUNT; i++)
        thaw_conv_destroy(&state->directions[i]);
}

bool thaw_conv_op_problem(const struct thaw_op_call *call, enum thaw_conv_direction direction,
                          struct thaw_conv_problem *ret_problem) {
    const struct state *state = call->state;
    if (!state->directions[direction])
        return false;
    *ret_problem = *thaw_conv_get_problem(state->directions[direction]);
    return true;
}

void thaw_conv_op_onnx(struct thaw_export_call *call, const char *type,
                       const struct thaw_conv_attrs *attrs, const int pad[4]) {
    const char *bias = call->param_count > 1 ? thaw_export_param(call, 1) : NULL;
    THAW_EXPORT_NODE(call, type, thaw_export_maps(call, 0), thaw_export_param(call, 0), bias);
    THAW_EXPORT_INTS(call, "kernel_shape", attrs->kernel[0], attrs->kernel[1]);
    THAW_EXPORT_INTS(call, "strides", attrs->stride[0], attrs->stride[1]);
    THAW_EXPORT_INTS(call, "dilations", attrs->dilation[0], attrs->dilation[1]);
    THAW_EXPORT_INTS(call, "pads", pad[0], pad[1], pad[2], pad[3]);
    thaw_export_int(call, "group", attrs->groups ? attrs->groups : call->in[0].c);
}
