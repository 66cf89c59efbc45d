#include "ops/activation.h"

#include <stdlib.h>

#include "ops/parse.h"
#include "ops/walk.h"

struct state {
    thaw_kernel *forward, *backward;
    float parameter;
    bool from_output;
};

thaw_status thaw_activation_parse_none(const thaw_yaml *node, void *ret_attrs) {
    const thaw_yaml *map;
    (void)ret_attrs;
    return thaw_op_parse_map(node, NULL, 0, &map);
}

static thaw_status infer(const struct thaw_layout *in, const struct thaw_device_caps *caps,
                         struct thaw_op_spec *ret_spec) {
    THAW_TRY(thaw_walk_check_blocks(in, 1, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, in->h, in->w};
    ret_spec->in_place = true;
    return THAW_OK;
}

thaw_status thaw_activation_infer_from_output(const void *attrs, const struct thaw_layout *in,
                                              int input_count, const struct thaw_device_caps *caps,
                                              struct thaw_op_spec *ret_spec) {
    (void)attrs, (void)input_count;
    THAW_TRY(infer(in, caps, ret_spec));
    ret_spec->backward_needs_output = true;
    return THAW_OK;
}

thaw_status thaw_activation_infer_from_input(const void *attrs, const struct thaw_layout *in,
                                             int input_count, const struct thaw_device_caps *caps,
                                             struct thaw_op_spec *ret_spec) {
    (void)attrs, (void)input_count;
    THAW_TRY(infer(in, caps, ret_spec));
    ret_spec->backward_needs_input[0] = true;
    return THAW_OK;
}

thaw_status thaw_activation_prepare(struct thaw_op_call *call, const struct thaw_op *op,
                                    bool from_output) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (op->activation_parameter)
        state->parameter = op->activation_parameter(call->attrs);
    state->from_output = from_output;
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, false);
    thaw_define_text(&defines, "ACT", thaw_activation_name(op->activation));
    THAW_TRY(thaw_kernel_get(call->device, "activation.cl", "activation_forward", defines.text,
                             &state->forward));
    return thaw_kernel_get(call->device, "activation.cl", "activation_backward", defines.text,
                           &state->backward);
}

thaw_status thaw_activation_forward(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *y = &call->out.layout;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), (const struct thaw_layout *[]){x, y}, 2,
                       step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->forward, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->out.buffer), THAW_ARG_INT(x->c),
                       THAW_ARG_FLOAT(state->parameter), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x),
                       THAW_MAP_ARGS(y));
}

thaw_status thaw_activation_backward(const struct thaw_op_call *call,
                                     const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (!call->want_grad_in[0])
        return THAW_OK;
    const struct thaw_tensor *value = state->from_output ? &call->out : &call->in[0];
    const struct thaw_tensor *dy = &call->grad_out, *dx = &call->grad_in[0];
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device),
                       (const struct thaw_layout *[]){&value->layout, &dy->layout, &dx->layout}, 3,
                       step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->backward, &range, THAW_ARG_BUFFER(value->buffer),
                       THAW_ARG_BUFFER(dy->buffer), THAW_ARG_BUFFER(dx->buffer),
                       THAW_ARG_INT(call->accumulate_in[0]), THAW_ARG_FLOAT(state->parameter),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(&value->layout),
                       THAW_MAP_ARGS(&dy->layout), THAW_MAP_ARGS(&dx->layout));
}

void thaw_activation_release(struct thaw_op_call *call) {
    free(call->state);
    call->state = NULL;
}
