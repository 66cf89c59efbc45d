#include "ops/activation.h"

#include <stdlib.h>

#include "ops/parse.h"
#include "ops/walk.h"

struct state {
    thaw_kernel *forward, *backward;
};

static const struct thaw_activation_attrs *get_attrs(const struct thaw_op_call *call) {
    return call->attrs;
}

thaw_status thaw_activation_parse(const thaw_yaml *node, const struct thaw_activation_kind *kind,
                                  void *ret_attrs) {
    struct thaw_activation_attrs attrs = {.kind = kind};
    const char *keys[THAW_ACTIVATION_PARAMETERS_MAX] = {NULL};
    size_t count = 0;
    while (count < THAW_ACTIVATION_PARAMETERS_MAX && kind->parameters[count].key) {
        keys[count] = kind->parameters[count].key;
        count++;
    }
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, count, &map));
    for (size_t i = 0; i < count; i++) {
        const struct thaw_activation_parameter *p = &kind->parameters[i];
        double value = p->initial;
        THAW_TRY(thaw_yaml_get_double(map, p->key, p->low, p->high, &value));
        attrs.parameters[i] = (float)value;
    }
    *(struct thaw_activation_attrs *)ret_attrs = attrs;
    return THAW_OK;
}

thaw_status thaw_activation_infer(const void *attrs, const struct thaw_layout *in, int input_count,
                                  const struct thaw_device_caps *caps,
                                  struct thaw_op_spec *ret_spec) {
    const struct thaw_activation_kind *kind = ((const struct thaw_activation_attrs *)attrs)->kind;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, in->h, in->w};
    ret_spec->in_place = true;
    ret_spec->backward_needs_output = kind->from_output;
    ret_spec->backward_needs_input[0] = !kind->from_output;
    return THAW_OK;
}

thaw_status thaw_activation_prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, false);
    thaw_define_text(&defines, "ACT", get_attrs(call)->kind->function);
    thaw_define_int(&defines, "FUSED", get_attrs(call)->kind->fused);
    THAW_TRY(thaw_kernel_get(call->device, "activation.cl", "activation_forward", defines.text,
                             &state->forward));
    return thaw_kernel_get(call->device, "activation.cl", "activation_backward", defines.text,
                           &state->backward);
}

bool thaw_activation_fusable(const void *attrs) {
    return ((const struct thaw_activation_attrs *)attrs)->kind->fused;
}

float thaw_activation_parameter(const void *attrs) {
    return ((const struct thaw_activation_attrs *)attrs)->parameters[0];
}

thaw_status thaw_activation_onnx(struct thaw_export_call *call) {
    const struct thaw_activation_attrs *attrs = call->attrs;
    const struct thaw_activation_parameter *p = attrs->kind->parameters;
    thaw_export_unary(call, attrs->kind->onnx);
    for (int i = 0; i < THAW_ACTIVATION_PARAMETERS_MAX && p[i].key; i++)
        thaw_export_float(call, p[i].onnx ? p[i].onnx : p[i].key, attrs->parameters[i]);
    return THAW_OK;
}

/* ---- running -------------------------------------------------------------------------------- */

#define PARAMETER_ARGS(call)                                                                       \
    THAW_ARG_FLOAT(get_attrs(call)->parameters[0]), THAW_ARG_FLOAT(get_attrs(call)->parameters[1])

thaw_status thaw_activation_forward(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *y = &call->out.layout;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), (const struct thaw_layout *[]){x, y}, 2,
                       step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->forward, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->out.buffer), THAW_ARG_INT(x->c), PARAMETER_ARGS(call),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x), THAW_MAP_ARGS(y));
}

thaw_status thaw_activation_backward(const struct thaw_op_call *call,
                                     const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (!call->want_grad_in[0])
        return THAW_OK;
    const struct thaw_tensor *value =
        get_attrs(call)->kind->from_output ? &call->out : &call->in[0];
    const struct thaw_tensor *dy = &call->grad_out, *dx = &call->grad_in[0];
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device),
                       (const struct thaw_layout *[]){&value->layout, &dy->layout, &dx->layout}, 3,
                       step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->backward, &range, THAW_ARG_BUFFER(value->buffer),
                       THAW_ARG_BUFFER(dy->buffer), THAW_ARG_BUFFER(dx->buffer),
                       THAW_ARG_INT(call->accumulate_in[0]), PARAMETER_ARGS(call),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(&value->layout),
                       THAW_MAP_ARGS(&dy->layout), THAW_MAP_ARGS(&dx->layout));
}
