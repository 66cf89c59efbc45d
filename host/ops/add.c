/* y = x0 + x1 + ... (2 to 8 inputs of one shape), added from left to right;  dX_i = dY.
 *
 * Attributes: none. */
#include <stdlib.h>

#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

struct state {
    thaw_kernel *sum, *copy;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    const thaw_yaml *map;
    (void)ret_attrs;
    return thaw_op_parse_map(node, NULL, 0, &map);
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)attrs;
    for (int i = 1; i < input_count; i++)
        if (in[i].c != in[0].c || in[i].h != in[0].h || in[i].w != in[0].w)
            return thaw_fail(THAW_ERROR_INPUT,
                             "input %d is %d x %d x %d (channels, height, width), the first is "
                             "%d x %d x %d",
                             i + 1, in[i].c, in[i].h, in[i].w, in[0].c, in[0].h, in[0].w);
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, in->h, in->w};
    ret_spec->in_place = true;
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, false);
    THAW_TRY(thaw_kernel_get(call->device, "add.cl", "add_forward", defines.text, &state->sum));
    return thaw_kernel_get(call->device, "add.cl", "add_backward", defines.text, &state->copy);
}

/* y = a + b */
static thaw_status add(const struct thaw_op_call *call, const struct thaw_tensor *a,
                       const struct thaw_tensor *b, int batch) {
    const struct state *state = call->state;
    const struct thaw_tensor *y = &call->out;
    const struct thaw_layout *layouts[] = {&a->layout, &b->layout, &y->layout};
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), layouts, 3, batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->sum, &range, THAW_ARG_BUFFER(a->buffer),
                       THAW_ARG_BUFFER(b->buffer), THAW_ARG_BUFFER(y->buffer),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(&a->layout), THAW_MAP_ARGS(&b->layout),
                       THAW_MAP_ARGS(&y->layout));
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    THAW_TRY(add(call, &call->in[0], &call->in[1], step->batch));
    for (int i = 2; i < call->input_count; i++)
        THAW_TRY(add(call, &call->out, &call->in[i], step->batch));
    return THAW_OK;
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_tensor *dy = &call->grad_out;
    for (int i = 0; i < call->input_count; i++) {
        const struct thaw_tensor *dx = &call->grad_in[i];
        bool is_there = dx->buffer == dy->buffer && !call->accumulate_in[i]; /* in place */
        if (!call->want_grad_in[i] || is_there)
            continue;
        const struct thaw_layout *layouts[] = {&dy->layout, &dx->layout};
        struct thaw_walk walk = thaw_walk_make(thaw_device_get_caps(call->device), layouts, 2,
                                               step->batch, THAW_WALK_PIXELS);
        struct thaw_range range = thaw_walk_range(&walk);
        THAW_TRY(thaw_launch(call->device, state->copy, &range, THAW_ARG_BUFFER(dy->buffer),
                             THAW_ARG_BUFFER(dx->buffer), THAW_ARG_INT(call->accumulate_in[i]),
                             THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(&dy->layout),
                             THAW_MAP_ARGS(&dx->layout)));
    }
    return THAW_OK;
}

static void release(struct thaw_op_call *call) {
    free(call->state);
    call->state = NULL;
}

const struct thaw_op thaw_op_add = {
    .type = "add",
    .summary = "sum of maps of one shape",
    .inputs_min = 2,
    .inputs_max = THAW_OP_INPUTS_MAX,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .release = release,
};
