/* Batch normalisation (Ioffe and Szegedy 2015), per channel, over M = N H W values:
 *
 *   forward    y = (x - mean) inv weight + bias,  inv = 1 / sqrt(var + eps)
 *   backward   dbias = sum dy,  dweight = inv sum dy (x - mean)
 *              dx = weight inv (dy - dbias / M - (x - mean) inv dweight / M)   batch statistics
 *              dx = weight inv dy                                              running statistics
 *
 * With the activation f that follows, y is f of this, and dy above is f' times the gradient of y;
 * what f' is taken at is computed again from x. With a residual r, a second input, y is
 * f(... + r): f' is taken at y, and dr is the dy that the formulas above see.
 *
 * With batch statistics the running ones move as in PyTorch: running = (1 - momentum) running +
 * momentum batch, with the unbiased variance.
 *
 * Backward needs x and the saved mean and inv: keeping the normalised values instead would cost as
 * much memory as x, which the convolution before it computes anyway.
 *
 * Attributes: eps (1e-5), momentum (0.1). */
#include "ops/batchnorm.h"

#include <stdlib.h>

#include "ops/export.h"
#include "ops/parse.h"
#include "ops/walk.h"

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR, PARAMS };

struct attrs {
    float eps, momentum;
};

float thaw_batchnorm_eps(const void *attrs) {
    return ((const struct attrs *)attrs)->eps;
}

struct state {
    thaw_kernel *statistics, *use_batch, *use_running, *apply;
    thaw_kernel *sums, *combine;
    /* With a gradient that the activation has been taken from, and without. */
    struct input_kernels {
        thaw_kernel *apply, *scale;
    } ready, whole;
};

static bool has_residual(const struct thaw_op_call *call) {
    return call->input_count > 1;
}

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"eps", "momentum"};
    const thaw_yaml *map = NULL;
    double eps = 1e-5, momentum = 0.1;
    THAW_TRY(thaw_op_parse_map(node, keys, 2, &map));
    THAW_TRY(thaw_yaml_get_double(map, "eps", 1e-12, 1, &eps));
    THAW_TRY(thaw_yaml_get_double(map, "momentum", 0, 1, &momentum));
    *(struct attrs *)ret_attrs = (struct attrs){(float)eps, (float)momentum};
    return THAW_OK;
}

static thaw_status infer(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    static const struct thaw_param_spec params[PARAMS] = {
        [WEIGHT] = {.name = "weight", .kind = THAW_PARAM_BIAS, .init = THAW_INIT_ONES},
        [BIAS] = {.name = "bias", .kind = THAW_PARAM_BIAS},
        [RUNNING_MEAN] = {.name = "running_mean", .kind = THAW_PARAM_STATISTIC},
        [RUNNING_VAR] = {.name = "running_var",
                         .kind = THAW_PARAM_STATISTIC,
                         .init = THAW_INIT_ONES},
    };
    (void)attrs;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    ret_spec->out = (struct thaw_shape){in->n, in->c, in->h, in->w};
    for (int i = 0; i < PARAMS; i++) {
        ret_spec->params[i] = params[i];
        ret_spec->params[i].rank = 1;
        ret_spec->params[i].filter = (struct thaw_filter){in->c, 1, 1, 1, caps->block, 1};
    }
    ret_spec->param_count = PARAMS;
    ret_spec->in_place = true;
    ret_spec->backward_needs_input[0] = true;
    ret_spec->backward_needs_output = input_count > 1;
    ret_spec->saved_bytes = 2 * (size_t)thaw_layout_lanes(in) * sizeof(float);
    return THAW_OK;
}

static struct thaw_walk sums_walk(const struct thaw_op_call *call, int batch) {
    const struct thaw_layout *layouts[] = {&call->in[0].layout, &call->grad_out.layout,
                                           &call->out.layout, &call->grad_in[1].layout};
    int count = call->needs_backward ? has_residual(call) ? 4 : 2 : 1;
    return thaw_walk_make(thaw_device_get_caps(call->device), layouts, (size_t)count, batch,
                          THAW_WALK_SUMS);
}

static thaw_status get_kernels(struct thaw_op_call *call, struct state *state) {
    const struct {
        const char *name;
        thaw_kernel **kernel;
        bool activates;
    } kernels[] = {
        {"batchnorm_statistics", &state->statistics, false},
        {"batchnorm_use_batch", &state->use_batch, false},
        {"batchnorm_use_running", &state->use_running, false},
        {"batchnorm_apply", &state->apply, true},
        {"batchnorm_sums", &state->sums, true},
        {"batchnorm_combine", &state->combine, false},
        {"batchnorm_apply_backward", &state->ready.apply, false},
        {"batchnorm_scale_backward", &state->ready.scale, false},
        {"batchnorm_apply_backward", &state->whole.apply, true},
        {"batchnorm_scale_backward", &state->whole.scale, true},
    };
    struct thaw_defines defines[2] = {{.text = ""}}; /* without and with the activation */
    for (int a = 0; a < 2; a++) {
        thaw_walk_defines(&defines[a], thaw_device_get_caps(call->device), call->out.layout.block,
                          true);
        thaw_define_text(&defines[a], "ACT",
                         thaw_activation_name(a ? call->activation : THAW_ACTIVATION_NONE));
    }
    const struct thaw_device_caps *caps = thaw_device_get_caps(call->device);
    thaw_define_int(&defines[1], "RESIDUAL", has_residual(call));
    thaw_define_int(&defines[1], "STREAM", thaw_layout_streams(&call->out.layout, caps));
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        THAW_TRY(thaw_kernel_get(call->device, "batchnorm.cl", kernels[i].name,
                                 defines[kernels[i].activates].text, kernels[i].kernel));
    return THAW_OK;
}

/* What the kernels' COEFFICIENTS are made of, and the activation's parameter. */
#define COEFFICIENT_ARGS(call)                                                                     \
    THAW_ARG_BUFFER((call)->saved), THAW_ARG_BUFFER((call)->params[WEIGHT].value),                 \
        THAW_ARG_BUFFER((call)->params[BIAS].value), THAW_ARG_FLOAT((call)->activation_parameter)

static thaw_status prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    /* Two coefficients of backward, then two sums a chunk. */
    struct thaw_walk walk = sums_walk(call, call->in[0].layout.n);
    call->workspace_bytes = (size_t)(2 + 2 * walk.items) *
                            (size_t)thaw_layout_lanes(&call->in[0].layout) * sizeof(float);
    return get_kernels(call, state);
}

static thaw_status batch_statistics(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct attrs *attrs = call->attrs;
    const struct thaw_layout *x = &call->in[0].layout;
    int values = step->batch * x->h * x->w, lanes = thaw_layout_lanes(x);
    if (values < 2)
        return thaw_fail(THAW_ERROR_RUNTIME,
                         "batch statistics need more than one value per channel: the batch is one "
                         "image and its map one pixel");
    struct thaw_walk walk = sums_walk(call, step->batch);
    struct thaw_range range = thaw_walk_groups(&walk);
    THAW_TRY(thaw_launch(call->device, state->statistics, &range,
                         THAW_ARG_BUFFER(call->in[0].buffer), THAW_ARG_BUFFER(call->workspace),
                         THAW_ARG_INT(lanes), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x)));
    range = THAW_RANGE1((size_t)walk.blocks);
    return thaw_launch(
        call->device, state->use_batch, &range, THAW_ARG_BUFFER(call->workspace),
        THAW_ARG_BUFFER(call->params[RUNNING_MEAN].value),
        THAW_ARG_BUFFER(call->params[RUNNING_VAR].value), THAW_ARG_BUFFER(call->saved),
        THAW_ARG_INT(lanes), THAW_ARG_INT(walk.items), THAW_ARG_INT(walk.rows),
        THAW_ARG_INT(walk.per_item), THAW_ARG_INT(walk.w), THAW_ARG_FLOAT(attrs->eps),
        THAW_ARG_FLOAT(step->norm_momentum > 0 ? step->norm_momentum : attrs->momentum));
}

static thaw_status running_statistics(const struct thaw_op_call *call) {
    const struct state *state = call->state;
    const struct attrs *attrs = call->attrs;
    int lanes = thaw_layout_lanes(&call->in[0].layout);
    struct thaw_range range = THAW_RANGE1((size_t)lanes);
    return thaw_launch(
        call->device, state->use_running, &range, THAW_ARG_BUFFER(call->params[RUNNING_MEAN].value),
        THAW_ARG_BUFFER(call->params[RUNNING_VAR].value), THAW_ARG_BUFFER(call->saved),
        THAW_ARG_INT(lanes), THAW_ARG_FLOAT(attrs->eps));
}

static thaw_status forward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *y = &call->out.layout;
    const struct thaw_tensor *r = &call->in[has_residual(call) ? 1 : 0];
    THAW_TRY(call->batch_statistics ? batch_statistics(call, step) : running_statistics(call));
    struct thaw_walk walk = thaw_walk_make(thaw_device_get_caps(call->device),
                                           (const struct thaw_layout *[]){x, y, &r->layout}, 3,
                                           step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->apply, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->out.buffer), COEFFICIENT_ARGS(call),
                       THAW_ARG_INT(thaw_layout_lanes(x)), THAW_ARG_BUFFER(r->buffer),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x), THAW_MAP_ARGS(y),
                       THAW_MAP_ARGS(&r->layout));
}

/* What backward takes the activation's slope at: the output, or what stands in for it. */
static const struct thaw_tensor *slope_tensor(const struct thaw_op_call *call) {
    return has_residual(call) ? &call->out : &call->grad_out;
}

/* dweight, dbias and, for batch statistics, the two coefficients of dx, at the workspace's start;
 * and dr. */
static thaw_status backward_sums(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *x = &call->in[0].layout, *dy = &call->grad_out.layout;
    const struct thaw_op_param *weight = &call->params[WEIGHT], *bias = &call->params[BIAS];
    const struct thaw_tensor *y = slope_tensor(call);
    const struct thaw_tensor *dr =
        call->want_grad_in[1] ? &call->grad_in[1] : &call->grad_out; /* stands in */
    int residual = !call->want_grad_in[1] ? 0 : call->accumulate_in[1] ? 2 : 1;
    int lanes = thaw_layout_lanes(x);
    struct thaw_walk walk = sums_walk(call, step->batch);
    struct thaw_range range = thaw_walk_groups(&walk);
    THAW_TRY(thaw_launch(call->device, state->sums, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                         THAW_ARG_BUFFER(call->grad_out.buffer), COEFFICIENT_ARGS(call),
                         THAW_ARG_BUFFER(call->workspace), THAW_ARG_INT(lanes),
                         THAW_ARG_BUFFER(y->buffer), THAW_ARG_BUFFER(dr->buffer),
                         THAW_ARG_INT(residual), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x),
                         THAW_MAP_ARGS(dy), THAW_MAP_ARGS(&y->layout), THAW_MAP_ARGS(&dr->layout)));
    /* A gradient nobody wants has no buffer; the kernel does not touch what stands in for it. */
    range = THAW_RANGE1((size_t)walk.blocks);
    return thaw_launch(call->device, state->combine, &range, THAW_ARG_BUFFER(call->workspace),
                       THAW_ARG_BUFFER(call->saved),
                       THAW_ARG_BUFFER(weight->want_grad ? weight->grad : call->workspace),
                       THAW_ARG_BUFFER(bias->want_grad ? bias->grad : call->workspace),
                       THAW_ARG_INT(weight->want_grad), THAW_ARG_INT(bias->want_grad),
                       THAW_ARG_INT(lanes), THAW_ARG_INT(walk.items),
                       THAW_ARG_INT(walk.rows * walk.w));
}

static thaw_status backward_input(const struct thaw_op_call *call,
                                  const struct thaw_op_step *step) {
    const struct state *state = call->state;
    /* dr in dy's place is what is left to scale. */
    bool ready = call->want_grad_in[1] && call->grad_in[1].buffer == call->grad_out.buffer;
    const struct input_kernels *kernels = ready ? &state->ready : &state->whole;
    const struct thaw_layout *x = &call->in[0].layout, *dy = &call->grad_out.layout,
                             *dx = &call->grad_in[0].layout;
    const struct thaw_tensor *y = slope_tensor(call);
    bool reads_x = call->batch_statistics || call->activation != THAW_ACTIVATION_NONE;
    struct thaw_arg lanes = THAW_ARG_INT(thaw_layout_lanes(x));
    struct thaw_arg accumulate = THAW_ARG_INT(call->accumulate_in[0]);
    const struct thaw_layout *layouts[] = {dy, dx, &y->layout, x};
    struct thaw_walk walk = thaw_walk_make(thaw_device_get_caps(call->device), layouts,
                                           reads_x ? 4 : 3, step->batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    if (!call->batch_statistics)
        return thaw_launch(
            call->device, kernels->scale, &range, THAW_ARG_BUFFER(call->in[0].buffer),
            THAW_ARG_BUFFER(call->grad_out.buffer), THAW_ARG_BUFFER(call->grad_in[0].buffer),
            COEFFICIENT_ARGS(call), lanes, accumulate, THAW_ARG_BUFFER(y->buffer),
            THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x), THAW_MAP_ARGS(dy), THAW_MAP_ARGS(dx),
            THAW_MAP_ARGS(&y->layout));
    return thaw_launch(call->device, kernels->apply, &range, THAW_ARG_BUFFER(call->in[0].buffer),
                       THAW_ARG_BUFFER(call->grad_out.buffer),
                       THAW_ARG_BUFFER(call->grad_in[0].buffer), COEFFICIENT_ARGS(call),
                       THAW_ARG_BUFFER(call->workspace), lanes, accumulate,
                       THAW_ARG_BUFFER(y->buffer), THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x),
                       THAW_MAP_ARGS(dy), THAW_MAP_ARGS(dx), THAW_MAP_ARGS(&y->layout));
}

static thaw_status backward(const struct thaw_op_call *call, const struct thaw_op_step *step) {
    bool want_params = call->params[WEIGHT].want_grad || call->params[BIAS].want_grad;
    bool coefficients = call->want_grad_in[0] && call->batch_statistics;
    if (want_params || coefficients || call->want_grad_in[1])
        THAW_TRY(backward_sums(call, step));
    return call->want_grad_in[0] ? backward_input(call, step) : THAW_OK;
}

thaw_status thaw_batchnorm_fold(thaw_device *device, const void *norm_attrs,
                                const struct thaw_op_param norm[4],
                                const struct thaw_filter *filter, cl_mem weight, cl_mem bias,
                                cl_mem ret_weight, cl_mem ret_bias) {
    const struct attrs *attrs = norm_attrs;
    thaw_kernel *kernel = NULL;
    THAW_TRY(thaw_kernel_get(device, "batchnorm_fold.cl", "batchnorm_fold", "", &kernel));
    size_t size = thaw_filter_size(filter);
    size_t outs =
        (size_t)((filter->o + filter->block_o - 1) / filter->block_o) * (size_t)filter->block_o;
    struct thaw_range range = THAW_RANGE1(size);
    return thaw_launch(
        device, kernel, &range, THAW_ARG_BUFFER(weight), THAW_ARG_BUFFER(bias ? bias : weight),
        THAW_ARG_INT(bias != NULL), THAW_ARG_BUFFER(norm[WEIGHT].value),
        THAW_ARG_BUFFER(norm[BIAS].value), THAW_ARG_BUFFER(norm[RUNNING_MEAN].value),
        THAW_ARG_BUFFER(norm[RUNNING_VAR].value), THAW_ARG_BUFFER(ret_weight),
        THAW_ARG_BUFFER(ret_bias), THAW_ARG_INT(filter->o), THAW_ARG_INT(outs),
        THAW_ARG_INT(filter->block_o), THAW_ARG_LONG(size / outs * (size_t)filter->block_o),
        THAW_ARG_LONG(size), THAW_ARG_FLOAT(attrs->eps));
}

static thaw_status onnx(struct thaw_export_call *call) {
    const struct attrs *attrs = call->attrs;
    call->flat = call->flat_inputs[0];
    THAW_EXPORT_NODE(call, "BatchNormalization", call->inputs[0], thaw_export_param(call, WEIGHT),
                     thaw_export_param(call, BIAS), thaw_export_param(call, RUNNING_MEAN),
                     thaw_export_param(call, RUNNING_VAR));
    thaw_export_float(call, "epsilon", attrs->eps);
    thaw_export_float(call, "momentum", 1 - attrs->momentum); /* what is kept, not what is new */
    return THAW_OK;
}

const struct thaw_op thaw_op_batchnorm = {
    .type = "batchnorm",
    .summary = "batch normalisation",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .trains_activation = true,
    .trains_residual = true,
    .normalises = true,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .onnx = onnx,
};
