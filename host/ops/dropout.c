/* Inverted dropout (Srivastava et al. 2014), in training only:
 *
 *   y = x m / (1 - p);  dx = dy m / (1 - p);  m is 0 with probability p, else 1
 *
 * The mask is not kept: it is a function of the run's seed, the step, the node and the element
 * (n, y, x, c), whatever the layout, and is computed again in backward. Element c of a pixel uses
 * draw c mod 4 of the block of four numbered pixel * ceil(C / 4) + c / 4 of the stream
 * thaw_rng_init(seed, THAW_RNG_DROPOUT, step, node).
 *
 * Attributes: p (0.5), the part to drop. */
#include <stdlib.h>

#include "core/rng.h"
#include "ops/export.h"
#include "ops/op.h"
#include "ops/parse.h"
#include "ops/walk.h"

struct attrs {
    float p;
};

struct state {
    thaw_kernel *kernel;
};

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"p"};
    const thaw_yaml *map = NULL;
    double p = 0.5;
    THAW_TRY(thaw_op_parse_map(node, keys, 1, &map));
    THAW_TRY(thaw_yaml_get_double(map, "p", 0, 1, &p));
    if (p == 1)
        return thaw_yaml_fail(thaw_yaml_get(map, "p"), "'p': expected a number below 1");
    ((struct attrs *)ret_attrs)->p = (float)p;
    return THAW_OK;
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    (void)attrs;
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
    return thaw_kernel_get(call->device, "dropout.cl", "dropout", defines.text, &state->kernel);
}

/* y (+)= x m / (1 - p); forward and backward are the same. */
static thaw_status apply(const struct thaw_op_call *call, const struct thaw_tensor *x,
                         const struct thaw_tensor *y, bool accumulate,
                         const struct thaw_op_step *step) {
    const struct state *state = call->state;
    float p = call->training ? ((const struct attrs *)call->attrs)->p : 0;
    struct thaw_rng rng = thaw_rng_init(step->seed, THAW_RNG_DROPOUT, step->counter, call->node_id);
    const struct thaw_layout *layouts[] = {&x->layout, &y->layout};
    struct thaw_walk walk = thaw_walk_make(thaw_device_get_caps(call->device), layouts, 2,
                                           step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->kernel, &range, THAW_ARG_BUFFER(x->buffer),
                       THAW_ARG_BUFFER(y->buffer), THAW_ARG_INT(x->layout.c), THAW_ARG_FLOAT(p),
                       THAW_ARG_INT(accumulate), THAW_ARG_INT(rng.key[0]), THAW_ARG_INT(rng.key[1]),
                       THAW_ARG_INT(rng.counter[1]), THAW_ARG_INT(rng.counter[2]),
                       THAW_ARG_INT(step->first * x->layout.h * x->layout.w), THAW_WALK_ARGS(&walk),
                       THAW_MAP_ARGS(&x->layout), THAW_MAP_ARGS(&y->layout));
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    return apply(call, &call->in[0], &call->out, false, step);
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    if (!call->want_grad_in[0])
        return THAW_OK;
    return apply(call, &call->grad_out, &call->grad_in[0], call->accumulate_in[0], step);
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *attrs = call->attrs;
    call->flat = call->flat_inputs[0];
    THAW_EXPORT_NODE(call, "Dropout", call->inputs[0], thaw_export_constant_float(call, attrs->p));
    return THAW_OK;
}

const struct thaw_op thaw_op_dropout = {
    .type = "dropout",
    .summary = "sets a random part to zero in training",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .stochastic = true,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .onnx = onnx,
};
