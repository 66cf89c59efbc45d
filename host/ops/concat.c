/* Inputs (2 to 8, of one height and width) one after the other along the channels; backward takes
 * the gradient apart again. Where an input starts inside a channel block, its lanes are shifted.
 *
 * Attributes: none. */
#include <stdlib.h>

#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

struct state {
    thaw_kernel *copy;
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
    ret_spec->out = (struct thaw_shape){in->n, 0, in->h, in->w};
    for (int i = 0; i < input_count; i++) {
        if (in[i].h != in[0].h || in[i].w != in[0].w)
            return thaw_fail(THAW_ERROR_INPUT, "input %d is %d x %d, the first is %d x %d", i + 1,
                             in[i].h, in[i].w, in[0].h, in[0].w);
        ret_spec->out.c += in[i].c;
    }
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, false);
    return thaw_kernel_get(call->device, "concat.cl", "concat_copy", defines.text, &state->copy);
}

/* `count` channels of `from`, from from_c on, to the channels of `to` from to_c on; one of the two
 * starts at 0. */
static thaw_status copy(const struct thaw_op_call *call, const struct thaw_tensor *from, int from_c,
                        const struct thaw_tensor *to, int to_c, int count, bool accumulate,
                        int batch) {
    const struct state *state = call->state;
    const struct thaw_layout *layouts[] = {&from->layout, &to->layout};
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), layouts, 2, batch, THAW_WALK_PIXELS);
    int block = to->layout.block;
    walk.blocks = (to_c + count - 1) / block - to_c / block + 1;
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->copy, &range, THAW_ARG_BUFFER(from->buffer),
                       THAW_ARG_BUFFER(to->buffer), THAW_ARG_INT(from_c), THAW_ARG_INT(to_c),
                       THAW_ARG_INT(count), THAW_ARG_INT(accumulate), THAW_WALK_ARGS(&walk),
                       THAW_MAP_ARGS(&from->layout), THAW_MAP_ARGS(&to->layout));
}

/* In order: an input clears the lanes behind it, which the next one then fills. */
static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    for (int i = 0, c = 0; i < call->input_count; c += call->in[i++].layout.c)
        THAW_TRY(
            copy(call, &call->in[i], 0, &call->out, c, call->in[i].layout.c, false, step->batch));
    return THAW_OK;
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    for (int i = 0, c = 0; i < call->input_count; c += call->in[i++].layout.c)
        if (call->want_grad_in[i])
            THAW_TRY(copy(call, &call->grad_out, c, &call->grad_in[i], 0, call->in[i].layout.c,
                          call->accumulate_in[i], step->batch));
    return THAW_OK;
}

static void release(struct thaw_op_call *call) {
    free(call->state);
    call->state = NULL;
}

const struct thaw_op thaw_op_concat = {
    .type = "concat",
    .summary = "maps one after the other along the channels",
    .inputs_min = 2,
    .inputs_max = THAW_OP_INPUTS_MAX,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .release = release,
};
