/* (N, C, H, W) -> (N, C H W, 1, 1), numbered as in PyTorch: k = (c H + y) W + x. Maps of one pixel
 * are flat already, and nothing runs; a linear layer needs no flatten before it.
 *
 * Attributes: none. */
#include <stdlib.h>

#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

#define FEATURES_MAX (1 << 28)

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
    int64_t features = (int64_t)in->c * in->h * in->w;
    if (features > FEATURES_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%d x %d x %d values are more than %d", in->c,
                         in->h, in->w, FEATURES_MAX);
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, (int)features, 1, 1};
    ret_spec->alias = in->h == 1 && in->w == 1;
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "B", call->out.layout.block);
    THAW_TRY(thaw_kernel_get(call->device, "flatten.cl", "flatten_forward", defines.text,
                             &state->forward));
    return thaw_kernel_get(call->device, "flatten.cl", "flatten_backward", defines.text,
                           &state->backward);
}

static thaw_status launch(const struct thaw_op_call *call, thaw_kernel *kernel,
                          const struct thaw_tensor *map, const struct thaw_tensor *flat,
                          bool accumulate, int batch) {
    const struct thaw_layout *m = &map->layout;
    struct thaw_range range = THAW_RANGE2((size_t)thaw_layout_blocks(m), (size_t)batch);
    return thaw_launch(call->device, kernel, &range, THAW_ARG_BUFFER(map->buffer),
                       THAW_ARG_BUFFER(flat->buffer), THAW_ARG_INT(m->c), THAW_ARG_INT(m->h),
                       THAW_ARG_INT(m->w), THAW_ARG_INT(accumulate), THAW_MAP_ARGS(m),
                       THAW_MAP_ARGS(&flat->layout));
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    return launch(call, state->forward, &call->in[0], &call->out, false, step->batch);
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (!call->want_grad_in[0])
        return THAW_OK;
    return launch(call, state->backward, &call->grad_in[0], &call->grad_out, call->accumulate_in[0],
                  step->batch);
}

static void release(struct thaw_op_call *call) {
    free(call->state);
    call->state = NULL;
}

const struct thaw_op thaw_op_flatten = {
    .type = "flatten",
    .summary = "a map as a vector",
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .release = release,
};
