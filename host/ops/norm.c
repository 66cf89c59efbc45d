#include "ops/norm.h"

#include <stdlib.h>

#include "ops/walk.h"

enum { WEIGHT, BIAS };

struct state {
    bool channels_alone, affine;
    struct thaw_layout moments; /* of mean and inv: n images, whatever the batch in use */
    size_t moments_size;        /* floats of one of them */
    size_t size;                /* floats of weight */
    thaw_kernel *statistics, *apply, *sums, *apply_backward, *param_sums; /* any axes */
    thaw_kernel *channels_forward, *channels_backward, *combine;
};

/* ---- shapes --------------------------------------------------------------------------------- */

static bool channels_alone(const struct thaw_norm_attrs *attrs) {
    return attrs->axes[THAW_AXIS_CHANNELS] && !attrs->axes[THAW_AXIS_HEIGHT] &&
           !attrs->axes[THAW_AXIS_WIDTH];
}

/* One value along the normalised axes; a float each when channels are among them. */
static struct thaw_layout moments_layout(const struct thaw_norm_attrs *attrs,
                                         const struct thaw_layout *x) {
    struct thaw_shape shape = {x->n, attrs->axes[THAW_AXIS_CHANNELS] ? 1 : x->c,
                               attrs->axes[THAW_AXIS_HEIGHT] ? 1 : x->h,
                               attrs->axes[THAW_AXIS_WIDTH] ? 1 : x->w};
    return thaw_layout_make(shape, attrs->axes[THAW_AXIS_CHANNELS] ? 1 : x->block, 0);
}

static void describe_params(const struct thaw_norm_attrs *attrs, const struct thaw_layout *x,
                            int block, struct thaw_op_spec *ret_spec) {
    const int sizes[THAW_AXIS_COUNT] = {x->c, x->h, x->w};
    int map[THAW_AXIS_COUNT], rank = 0, dims[4] = {0};
    for (int i = 0; i < THAW_AXIS_COUNT; i++) {
        map[i] = attrs->affine[i] ? sizes[i] : 1;
        if (attrs->affine[i])
            dims[rank++] = sizes[i];
    }
    for (int i = 0; i < 2 && rank > 0; i++) {
        struct thaw_param_spec *param = &ret_spec->params[i];
        param->name = i == WEIGHT ? "weight" : "bias";
        param->filter = thaw_map_filter(map[0], map[1], map[2], block);
        param->rank = rank;
        for (int d = 0; d < rank; d++)
            param->dims[d] = dims[d];
        param->kind = THAW_PARAM_BIAS;
        param->init = i == WEIGHT ? THAW_INIT_ONES : THAW_INIT_ZEROS;
        ret_spec->param_count = 2;
    }
}

thaw_status thaw_norm_infer(const void *attrs, const struct thaw_layout *in, int input_count,
                            const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    struct thaw_layout moments = moments_layout(attrs, in);
    ret_spec->out = (struct thaw_shape){in->n, in->c, in->h, in->w};
    describe_params(attrs, in, caps->block, ret_spec);
    ret_spec->in_place = true;
    ret_spec->backward_needs_input[0] = true;
    ret_spec->saved_bytes = 2 * thaw_layout_bytes(&moments);
    return THAW_OK;
}

/* ---- walks ---------------------------------------------------------------------------------- */

/* Over pixels, all channels of which are one item's. */
static struct thaw_walk pixel_walk(const struct thaw_op_call *call, int batch) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(call->device);
    const struct thaw_layout *layouts[] = {&call->in[0].layout, &call->out.layout,
                                           &call->grad_out.layout, &call->grad_in[0].layout};
    bool flat = call->in[0].layout.n >= 2 * caps->compute_units || !caps->is_cpu;
    size_t count = call->needs_backward ? call->want_grad_in[0] ? 4 : 3 : 2;
    struct thaw_walk walk =
        thaw_walk_make(caps, layouts, count, batch, flat ? THAW_WALK_PIXELS : THAW_WALK_ROWS);
    walk.per_item = walk.per_item > walk.blocks ? walk.per_item / walk.blocks : 1;
    walk.items = (walk.rows + walk.per_item - 1) / walk.per_item;
    walk.blocks = 1;
    return walk;
}

/* Chunks of the partial sums of weight and bias. */
static int param_chunks(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    bool serial = thaw_device_get_caps(call->device)->is_cpu;
    return state->channels_alone && serial ? pixel_walk(call, batch).items : batch;
}

static double normalised_count(const struct thaw_op_call *call) {
    const struct thaw_norm_attrs *attrs = call->attrs;
    const struct thaw_layout *x = &call->in[0].layout;
    return (attrs->axes[THAW_AXIS_CHANNELS] ? x->c : 1.0) *
           (attrs->axes[THAW_AXIS_HEIGHT] ? x->h : 1.0) *
           (attrs->axes[THAW_AXIS_WIDTH] ? x->w : 1.0);
}

/* ---- what kernels are given ----------------------------------------------------------------- */

static struct thaw_operand moments(const struct thaw_op_call *call) {
    struct thaw_tensor tensor = {((const struct state *)call->state)->moments, NULL};
    return thaw_operand_make(&tensor, false);
}

/* Weight or bias; without them x stands in, which kernels do not read then. */
static struct thaw_operand param_operand(const struct thaw_op_call *call, int i) {
    const struct state *state = call->state;
    struct thaw_tensor tensor = {thaw_layout_make((struct thaw_shape){1, 1, 1, 1}, 1, 0),
                                 call->in[0].buffer};
    if (state->affine)
        tensor = (struct thaw_tensor){thaw_map_filter_layout(&call->params[i].filter),
                                      call->params[i].value};
    return thaw_operand_make(&tensor, true);
}

/* ---- preparation ---------------------------------------------------------------------------- */

static thaw_status get_kernels(struct thaw_op_call *call, struct state *state) {
    const struct thaw_norm_attrs *attrs = call->attrs;
    const struct {
        const char *name;
        thaw_kernel **kernel;
        int uses; /* 0: of channels alone, 1: of other axes, 2: sums for weight and bias */
    } kernels[] = {
        {"norm_channels_forward", &state->channels_forward, 0},
        {"norm_channels_backward", &state->channels_backward, 0},
        {"norm_statistics", &state->statistics, 1},
        {"norm_apply", &state->apply, 1},
        {"norm_sums", &state->sums, 1},
        {"norm_apply_backward", &state->apply_backward, 1},
        {"norm_param_sums", &state->param_sums, 2},
        {"norm_combine", &state->combine, 2},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        if (kernels[i].uses == state->channels_alone)
            continue;
        struct thaw_defines defines = {0};
        thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block,
                          true);
        thaw_define_int(&defines, "AFFINE", state->affine);
        thaw_define_int(&defines, "MEAN_SPLAT", attrs->axes[THAW_AXIS_CHANNELS]);
        thaw_define_int(&defines, "W_SPLAT", param_operand(call, WEIGHT).splat);
        thaw_define_int(&defines, "CHANNELS_ALONE", kernels[i].uses == 0);
        thaw_define_int(&defines, "T_SPLAT",
                        kernels[i].uses == 2 ? param_operand(call, WEIGHT).splat
                                             : attrs->axes[THAW_AXIS_CHANNELS]);
        THAW_TRY(thaw_kernel_get(call->device, "norm.cl", kernels[i].name, defines.text,
                                 kernels[i].kernel));
    }
    return THAW_OK;
}

thaw_status thaw_norm_prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    const struct thaw_norm_attrs *attrs = call->attrs;
    state->channels_alone = channels_alone(attrs);
    state->affine = call->param_count > 0;
    state->moments = moments_layout(attrs, &call->in[0].layout);
    state->moments_size = thaw_layout_size(&state->moments);
    if (state->affine)
        state->size = thaw_filter_size(&call->params[WEIGHT].filter);
    if (call->needs_backward) {
        size_t chunks = (size_t)param_chunks(call, call->in[0].layout.n);
        size_t averages = state->channels_alone ? 0 : 2 * state->moments_size;
        call->workspace_bytes = (averages + 2 * chunks * state->size + 1) * sizeof(float);
    }
    return get_kernels(call, state);
}

/* ---- forward -------------------------------------------------------------------------------- */

static thaw_status channels_forward(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    const struct thaw_norm_attrs *attrs = call->attrs;
    const struct thaw_layout *x = &call->in[0].layout, *y = &call->out.layout;
    struct thaw_walk walk = pixel_walk(call, batch);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(
        call->device, state->channels_forward, &range, THAW_ARG_BUFFER(call->in[0].buffer),
        THAW_ARG_BUFFER(call->saved), THAW_ARG_INT(state->moments_size),
        THAW_ARG_BUFFER(param_operand(call, WEIGHT).buffer),
        THAW_ARG_BUFFER(param_operand(call, BIAS).buffer), THAW_ARG_BUFFER(call->out.buffer),
        THAW_ARG_INT(x->c), THAW_ARG_FLOAT(attrs->eps), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x),
        THAW_MAP_ARGS(y));
}

static thaw_status statistics(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    const struct thaw_norm_attrs *attrs = call->attrs;
    const struct thaw_layout *x = &call->in[0].layout;
    struct thaw_operand m = moments(call);
    struct thaw_summation sum =
        thaw_summation_make(thaw_device_get_caps(call->device), x, &state->moments, batch);
    return thaw_launch(call->device, state->statistics, &sum.range,
                       THAW_ARG_BUFFER(call->in[0].buffer), THAW_ARG_BUFFER(call->saved),
                       THAW_ARG_INT(state->moments_size), THAW_ARG_FLOAT(normalised_count(call)),
                       THAW_ARG_FLOAT(attrs->eps), THAW_SUMMATION_ARGS(&sum), THAW_MAP_ARGS(x),
                       THAW_OPERAND_ARGS(&m));
}

thaw_status thaw_norm_forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (state->channels_alone)
        return channels_forward(call, step->batch);
    THAW_TRY(statistics(call, step->batch));
    const struct thaw_layout *y = &call->out.layout;
    struct thaw_operand o[] = {thaw_operand_make(&call->in[0], false), moments(call),
                               param_operand(call, WEIGHT)};
    struct thaw_walk walk =
        thaw_walk_over(thaw_device_get_caps(call->device), y, o, 3, step->batch);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->apply, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->saved), THAW_ARG_INT(state->moments_size),
                       THAW_ARG_BUFFER(o[2].buffer),
                       THAW_ARG_BUFFER(param_operand(call, BIAS).buffer),
                       THAW_ARG_BUFFER(call->out.buffer), THAW_ARG_INT(y->c), THAW_WALK_ARGS(&walk),
                       THAW_MAP_ARGS(&call->in[0].layout), THAW_OPERAND_ARGS(&o[1]),
                       THAW_OPERAND_ARGS(&o[2]), THAW_MAP_ARGS(y));
}

/* ---- backward ------------------------------------------------------------------------------- */

static bool want_params(const struct thaw_op_call *call) {
    return ((const struct state *)call->state)->affine &&
           (call->params[WEIGHT].want_grad || call->params[BIAS].want_grad);
}

/* Where the partial sums of weight and bias begin in the workspace. */
static size_t partial_at(const struct state *state) {
    return state->channels_alone ? 0 : 2 * state->moments_size;
}

static thaw_status param_sums(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *dy = &call->grad_out.layout;
    struct thaw_layout target = thaw_map_filter_layout(&call->params[WEIGHT].filter);
    struct thaw_operand m = moments(call), t = param_operand(call, WEIGHT);
    t.image = 2 * state->size;
    struct thaw_summation sum =
        thaw_summation_make(thaw_device_get_caps(call->device), x, &target, batch);
    return thaw_launch(call->device, state->param_sums, &sum.range,
                       THAW_ARG_BUFFER(call->in[0].buffer), THAW_ARG_BUFFER(call->grad_out.buffer),
                       THAW_ARG_BUFFER(call->saved), THAW_ARG_INT(state->moments_size),
                       THAW_ARG_BUFFER(call->workspace), THAW_ARG_INT(partial_at(state)),
                       THAW_ARG_INT(state->size), THAW_SUMMATION_ARGS(&sum), THAW_MAP_ARGS(x),
                       THAW_MAP_ARGS(dy), THAW_OPERAND_ARGS(&m), THAW_OPERAND_ARGS(&t));
}

/* A gradient nobody wants has no buffer; the kernel does not touch what stands in for it. */
static thaw_status combine(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    const struct thaw_op_param *weight = &call->params[WEIGHT], *bias = &call->params[BIAS];
    struct thaw_range range = THAW_RANGE1(state->size);
    return thaw_launch(call->device, state->combine, &range, THAW_ARG_BUFFER(call->workspace),
                       THAW_ARG_INT(partial_at(state)),
                       THAW_ARG_BUFFER(weight->want_grad ? weight->grad : call->workspace),
                       THAW_ARG_BUFFER(bias->want_grad ? bias->grad : call->workspace),
                       THAW_ARG_INT(weight->want_grad), THAW_ARG_INT(bias->want_grad),
                       THAW_ARG_INT(param_chunks(call, batch)), THAW_ARG_INT(state->size));
}

static thaw_status channels_backward(const struct thaw_op_call *call, bool params, int batch) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *dy = &call->grad_out.layout;
    bool want = call->want_grad_in[0];
    const struct thaw_tensor *dx = want ? &call->grad_in[0] : &call->grad_out;
    struct thaw_walk walk = pixel_walk(call, batch);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(
        call->device, state->channels_backward, &range, THAW_ARG_BUFFER(call->in[0].buffer),
        THAW_ARG_BUFFER(call->grad_out.buffer), THAW_ARG_BUFFER(call->saved),
        THAW_ARG_INT(state->moments_size), THAW_ARG_BUFFER(param_operand(call, WEIGHT).buffer),
        THAW_ARG_BUFFER(dx->buffer), THAW_ARG_BUFFER(call->workspace), THAW_ARG_INT(x->c),
        THAW_ARG_INT(state->size), THAW_ARG_INT(want), THAW_ARG_INT(params),
        THAW_ARG_INT(want && call->accumulate_in[0]), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x),
        THAW_MAP_ARGS(dy), THAW_MAP_ARGS(&dx->layout));
}

static thaw_status averages(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *dy = &call->grad_out.layout;
    struct thaw_operand m = moments(call), w = param_operand(call, WEIGHT);
    struct thaw_summation sum =
        thaw_summation_make(thaw_device_get_caps(call->device), x, &state->moments, batch);
    return thaw_launch(call->device, state->sums, &sum.range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->grad_out.buffer), THAW_ARG_BUFFER(call->saved),
                       THAW_ARG_INT(state->moments_size), THAW_ARG_BUFFER(w.buffer),
                       THAW_ARG_BUFFER(call->workspace), THAW_ARG_FLOAT(normalised_count(call)),
                       THAW_SUMMATION_ARGS(&sum), THAW_MAP_ARGS(x), THAW_MAP_ARGS(dy),
                       THAW_OPERAND_ARGS(&m), THAW_OPERAND_ARGS(&w));
}

static thaw_status input_gradient(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    THAW_TRY(averages(call, batch));
    struct thaw_operand o[] = {
        thaw_operand_make(&call->in[0], false), thaw_operand_make(&call->grad_out, false),
        thaw_operand_make(&call->grad_in[0], false), moments(call), param_operand(call, WEIGHT)};
    struct thaw_walk walk =
        thaw_walk_over(thaw_device_get_caps(call->device), &call->in[0].layout, o, 5, batch);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->apply_backward, &range, THAW_ARG_BUFFER(o[0].buffer),
                       THAW_ARG_BUFFER(o[1].buffer), THAW_ARG_BUFFER(call->saved),
                       THAW_ARG_INT(state->moments_size), THAW_ARG_BUFFER(o[4].buffer),
                       THAW_ARG_BUFFER(call->workspace), THAW_ARG_BUFFER(o[2].buffer),
                       THAW_ARG_INT(call->in[0].layout.c), THAW_ARG_INT(call->accumulate_in[0]),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(&call->in[0].layout),
                       THAW_MAP_ARGS(&call->grad_out.layout), THAW_OPERAND_ARGS(&o[3]),
                       THAW_OPERAND_ARGS(&o[4]), THAW_MAP_ARGS(&call->grad_in[0].layout));
}

/* Sums for weight and bias come first: dx may be written over dy. */
thaw_status thaw_norm_backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    bool serial = thaw_device_get_caps(call->device)->is_cpu;
    bool together = state->channels_alone && serial, params = want_params(call);
    if (params && !together)
        THAW_TRY(param_sums(call, step->batch));
    if (state->channels_alone && (call->want_grad_in[0] || (together && params)))
        THAW_TRY(channels_backward(call, together && params, step->batch));
    else if (call->want_grad_in[0])
        THAW_TRY(input_gradient(call, step->batch));
    return params ? combine(call, step->batch) : THAW_OK;
}
