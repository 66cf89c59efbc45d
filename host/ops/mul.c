/* y = a b, where b has a's shape or is (N, C, 1, 1): a gate for each channel, as in
 * squeeze-and-excitation (Hu et al. 2018).
 *
 *   da = dy b;  db = dy a, summed over the map for a gate
 *
 * Attributes: none. */
#include <stdlib.h>

#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

struct state {
    thaw_kernel *product, *sum;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    const thaw_yaml *map;
    (void)ret_attrs;
    return thaw_op_parse_map(node, NULL, 0, &map);
}

static bool is_gate(const struct thaw_layout *a, const struct thaw_layout *b) {
    return b->h == 1 && b->w == 1 && (a->h != 1 || a->w != 1);
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)attrs;
    bool same = in[0].h == in[1].h && in[0].w == in[1].w;
    if (in[0].c != in[1].c || (!same && !is_gate(&in[0], &in[1])))
        return thaw_fail(THAW_ERROR_INPUT,
                         "the second input is %d x %d x %d (channels, height, width), expected "
                         "%d x %d x %d or %d x 1 x 1",
                         in[1].c, in[1].h, in[1].w, in[0].c, in[0].h, in[0].w, in[0].c);
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, in->h, in->w};
    ret_spec->in_place = true;
    ret_spec->backward_needs_input[0] = ret_spec->backward_needs_input[1] = true;
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, true);
    THAW_TRY(thaw_kernel_get(call->device, "mul.cl", "mul_product", defines.text, &state->product));
    return thaw_kernel_get(call->device, "mul.cl", "mul_sum", defines.text, &state->sum);
}

/* out (+)= a b, b a map or a gate */
static thaw_status product(const struct thaw_op_call *call, const struct thaw_tensor *a,
                           const struct thaw_tensor *b, const struct thaw_tensor *out,
                           bool accumulate, int batch) {
    const struct state *state = call->state;
    bool gate = is_gate(&a->layout, &b->layout);
    const struct thaw_layout *layouts[] = {&a->layout, &out->layout, &b->layout};
    struct thaw_walk walk = thaw_walk_make(thaw_device_get_caps(call->device), layouts,
                                           gate ? 2 : 3, batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->product, &range, THAW_ARG_BUFFER(a->buffer),
                       THAW_ARG_BUFFER(b->buffer), THAW_ARG_BUFFER(out->buffer), THAW_ARG_INT(gate),
                       THAW_ARG_INT(accumulate), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(&a->layout),
                       THAW_MAP_ARGS(&b->layout), THAW_MAP_ARGS(&out->layout));
}

/* The gradient of a gate. */
static thaw_status sum(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    const struct thaw_tensor *dy = &call->grad_out, *a = &call->in[0], *db = &call->grad_in[1];
    const struct thaw_layout *layouts[] = {&dy->layout, &a->layout};
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(call->device), layouts, 2, batch, THAW_WALK_SUMS);
    walk.per_item = walk.h; /* a group an image */
    walk.items = batch;
    struct thaw_range range = thaw_walk_groups(&walk);
    return thaw_launch(
        call->device, state->sum, &range, THAW_ARG_BUFFER(dy->buffer), THAW_ARG_BUFFER(a->buffer),
        THAW_ARG_BUFFER(db->buffer), THAW_ARG_INT(call->accumulate_in[1]), THAW_WALK_ARGS(&walk),
        THAW_MAP_ARGS(&dy->layout), THAW_MAP_ARGS(&a->layout), THAW_MAP_ARGS(&db->layout));
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    return product(call, &call->in[0], &call->in[1], &call->out, false, step->batch);
}

/* db first: da may be written over dy. */
static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct thaw_tensor *dy = &call->grad_out;
    if (call->want_grad_in[1] && is_gate(&call->in[0].layout, &call->in[1].layout))
        THAW_TRY(sum(call, step->batch));
    else if (call->want_grad_in[1])
        THAW_TRY(product(call, dy, &call->in[0], &call->grad_in[1], call->accumulate_in[1],
                         step->batch));
    if (!call->want_grad_in[0])
        return THAW_OK;
    return product(call, dy, &call->in[1], &call->grad_in[0], call->accumulate_in[0], step->batch);
}

static void release(struct thaw_op_call *call) {
    free(call->state);
    call->state = NULL;
}

const struct thaw_op thaw_op_mul = {
    .type = "mul",
    .summary = "product of two maps, or of a map and a gate for each channel",
    .inputs_min = 2,
    .inputs_max = 2,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .release = release,
};
