#include "ops/broadcast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/export.h"
#include "ops/parse.h"
#include "ops/walk.h"

/* y = F(F(x0, x1), x2)...: what is done at input i, which is `b` of that step (i > 0). */
struct input_kernels {
    thaw_kernel *forward; /* i > 0 */
    thaw_kernel *gradient, *sum;
};

struct state {
    struct input_kernels inputs[THAW_OP_INPUTS_MAX];
    thaw_kernel *combine;
};

/* ---- attributes ----------------------------------------------------------------------------- */

thaw_status thaw_broadcast_parse(const thaw_yaml *node, const char *function, bool values,
                                 void *ret_attrs) {
    const thaw_yaml *map;
    THAW_TRY(thaw_op_parse_map(node, NULL, 0, &map));
    *(struct thaw_broadcast_attrs *)ret_attrs =
        (struct thaw_broadcast_attrs){.function = function, .values = values};
    return THAW_OK;
}

thaw_status thaw_broadcast_parse_param(const thaw_yaml *node, const char *function, bool values,
                                       double init, void *ret_attrs) {
    static const char *const keys[] = {"shape", "init", "rank"};
    struct thaw_broadcast_attrs attrs = {
        .function = function, .values = values, .param = true, .param_name = "", .rank = 3};
    const thaw_yaml *map = NULL;
    THAW_TRY(thaw_op_parse_map(node, keys, 3, &map));
    THAW_TRY(thaw_op_parse_require(node, map, "shape"));
    int count = 0;
    THAW_TRY(thaw_op_parse_list(map, "shape", 3, 3, 1, THAW_OP_VALUES_MAX, attrs.shape, &count));
    THAW_TRY(thaw_yaml_get_double(map, "init", -1e6, 1e6, &init));
    attrs.init = (float)init;
    THAW_TRY(thaw_yaml_get_int(map, "rank", 1, 3, &attrs.rank));
    if (attrs.rank == 2 || (attrs.rank == 1 && attrs.shape[1] * (int64_t)attrs.shape[2] != 1))
        return thaw_yaml_fail(thaw_yaml_get(map, "rank"),
                              "'rank': expected 3, or 1 for a shape of [channels, 1, 1]");
    *(struct thaw_broadcast_attrs *)ret_attrs = attrs;
    return THAW_OK;
}

/* ---- shapes --------------------------------------------------------------------------------- */

/* Widens `out` to what it and `in` broadcast to. */
static thaw_status widen(struct thaw_shape *out, const struct thaw_layout *in, const char *what) {
    int *const sizes[] = {&out->c, &out->h, &out->w};
    const int other[] = {in->c, in->h, in->w};
    for (int i = 0; i < 3; i++)
        if (*sizes[i] != other[i] && *sizes[i] != 1 && other[i] != 1)
            return thaw_fail(THAW_ERROR_INPUT,
                             "%s is %d x %d x %d (channels, height, width), what it meets is %d x "
                             "%d x %d: each size has to be the same or 1",
                             what, in->c, in->h, in->w, out->c, out->h, out->w);
    for (int i = 0; i < 3; i++)
        *sizes[i] = *sizes[i] == 1 ? other[i] : *sizes[i];
    return thaw_walk_check_size(out->c, out->h, out->w);
}

static void describe_param(const struct thaw_broadcast_attrs *attrs, int channels, int block,
                           struct thaw_param_spec *ret_spec) {
    int c = attrs->shape[0] ? attrs->shape[0] : channels;
    int h = attrs->shape[0] ? attrs->shape[1] : 1, w = attrs->shape[0] ? attrs->shape[2] : 1;
    *ret_spec = (struct thaw_param_spec){.name = attrs->param_name,
                                         .filter = thaw_map_filter(c, h, w, block),
                                         .rank = attrs->rank,
                                         .dims = {c, h, w},
                                         .kind = THAW_PARAM_BIAS,
                                         .init = THAW_INIT_CONSTANT,
                                         .constant = attrs->init};
}

thaw_status thaw_broadcast_infer(const void *attrs_, const struct thaw_layout *in, int input_count,
                                 const struct thaw_device_caps *caps,
                                 struct thaw_op_spec *ret_spec) {
    const struct thaw_broadcast_attrs *attrs = attrs_;
    THAW_TRY(thaw_walk_check_blocks(in, input_count, caps));
    struct thaw_shape out = {in->n, in->c, in->h, in->w};
    for (int i = 1; i < input_count; i++) {
        char what[32];
        snprintf(what, sizeof what, "input %d", i + 1);
        THAW_TRY(widen(&out, &in[i], what));
    }
    if (attrs->param) {
        describe_param(attrs, in->c, caps->block, &ret_spec->params[0]);
        ret_spec->param_count = 1;
        struct thaw_layout layout = thaw_map_filter_layout(&ret_spec->params[0].filter);
        THAW_TRY(widen(&out, &layout, "the parameter"));
    }
    ret_spec->out = out;
    ret_spec->in_place = out.c == in->c && out.h == in->h && out.w == in->w;
    for (int i = 0; i < input_count; i++)
        ret_spec->backward_needs_input[i] = attrs->values;
    return THAW_OK;
}

/* ---- preparation ---------------------------------------------------------------------------- */

static const struct thaw_broadcast_attrs *get_attrs(const struct thaw_op_call *call) {
    return call->attrs;
}

/* Operands: the inputs, then the parameter. */
static int operand_count(const struct thaw_op_call *call) {
    return call->input_count + call->param_count;
}

static struct thaw_operand operand(const struct thaw_op_call *call, int i) {
    if (i < call->input_count)
        return thaw_operand_make(&call->in[i], false);
    const struct thaw_op_param *param = &call->params[0];
    struct thaw_tensor tensor = {thaw_map_filter_layout(&param->filter), param->value};
    return thaw_operand_make(&tensor, true);
}

static bool is_whole(const struct thaw_layout *l, const struct thaw_layout *out) {
    return l->c == out->c && l->h == out->h && l->w == out->w;
}

static bool wants_gradient(const struct thaw_op_call *call, int i) {
    return i < call->input_count ? call->want_grad_in[i] : call->params[0].want_grad;
}

static thaw_status prepare_operand(struct thaw_op_call *call, int i) {
    struct input_kernels *kernels = &((struct state *)call->state)->inputs[i];
    struct thaw_operand a = operand(call, 0), b = operand(call, i > 0 ? i : 1);
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, true);
    thaw_define_text(&defines, "FUNCTION", get_attrs(call)->function);
    thaw_define_int(&defines, "A_SPLAT", i > 1 ? call->out.layout.c == 1 : a.splat);
    thaw_define_int(&defines, "B_SPLAT", b.splat);
    bool last = i == operand_count(call) - 1;
    thaw_define_text(&defines, "ACT",
                     thaw_activation_name(last ? call->activation : THAW_ACTIVATION_NONE));
    if (i > 0)
        THAW_TRY(thaw_kernel_get(call->device, "broadcast.cl", "broadcast_forward", defines.text,
                                 &kernels->forward));
    if (!call->needs_backward || !wants_gradient(call, i))
        return THAW_OK;
    thaw_define_text(&defines, "SIDE", i == 0 ? "a" : "b");
    thaw_define_int(&defines, "T_SPLAT", i == 0 ? a.splat : b.splat);
    THAW_TRY(thaw_kernel_get(call->device, "broadcast.cl", "broadcast_gradient", defines.text,
                             &kernels->gradient));
    return thaw_kernel_get(call->device, "broadcast.cl", "broadcast_sum", defines.text,
                           &kernels->sum);
}

thaw_status thaw_broadcast_prepare(struct thaw_op_call *call) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    for (int i = 0; i < operand_count(call); i++)
        THAW_TRY(prepare_operand(call, i));
    if (!get_attrs(call)->param || !call->needs_backward || !call->params[0].want_grad)
        return THAW_OK;
    call->workspace_bytes =
        (size_t)call->out.layout.n * thaw_filter_size(&call->params[0].filter) * sizeof(float);
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(call->device), call->out.layout.block, true);
    return thaw_kernel_get(call->device, "conv_bias.cl", "conv_bias_combine", defines.text,
                           &state->combine);
}

/* ---- forward -------------------------------------------------------------------------------- */

thaw_status thaw_broadcast_forward(const struct thaw_op_call *call,
                                   const struct thaw_op_step *step) {
    const struct state *state = call->state;
    const struct thaw_layout *y = &call->out.layout;
    for (int i = 1; i < operand_count(call); i++) {
        struct thaw_operand o[] = {i > 1 ? thaw_operand_make(&call->out, false) : operand(call, 0),
                                   operand(call, i)};
        struct thaw_walk walk =
            thaw_walk_over(thaw_device_get_caps(call->device), y, o, 2, step->batch);
        struct thaw_range range = thaw_walk_range(&walk);
        THAW_TRY(thaw_launch(
            call->device, state->inputs[i].forward, &range, THAW_ARG_BUFFER(o[0].buffer),
            THAW_ARG_BUFFER(o[1].buffer), THAW_ARG_BUFFER(call->out.buffer),
            THAW_ARG_FLOAT(call->activation_parameter), THAW_ARG_INT(y->c), THAW_WALK_ARGS(&walk),
            THAW_OPERAND_ARGS(&o[0]), THAW_OPERAND_ARGS(&o[1]), THAW_MAP_ARGS(y)));
    }
    return THAW_OK;
}

/* ---- backward ------------------------------------------------------------------------------- */

/* The operands whose values the gradient of operand i depends on; dy stands in for values that it
 * doesn't, and which may be gone. */
static void values_for(const struct thaw_op_call *call, int i, struct thaw_operand ret_values[2]) {
    ret_values[0] = operand(call, 0);
    ret_values[1] = operand(call, i > 0 ? i : 1);
    for (int k = 0; k < 2 && !get_attrs(call)->values; k++)
        ret_values[k].buffer = call->grad_out.buffer;
}

/* The gradient of an operand of y's shape. */
static thaw_status whole_gradient(const struct thaw_op_call *call, int i,
                                  const struct thaw_tensor *dx, int batch) {
    const struct state *state = call->state;
    const struct thaw_tensor *dy = &call->grad_out;
    bool is_there = dx->buffer == dy->buffer && !call->accumulate_in[i]; /* in place */
    if (is_there && !get_attrs(call)->values)
        return THAW_OK;
    struct thaw_operand o[4];
    values_for(call, i, o);
    o[2] = thaw_operand_make(dy, false);
    o[3] = thaw_operand_make(dx, false);
    int first = get_attrs(call)->values ? 0 : 2;
    struct thaw_walk walk = thaw_walk_over(thaw_device_get_caps(call->device), &dy->layout,
                                           o + first, (size_t)(4 - first), batch);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(call->device, state->inputs[i].gradient, &range, THAW_ARG_BUFFER(dy->buffer),
                       THAW_ARG_BUFFER(o[0].buffer), THAW_ARG_BUFFER(o[1].buffer),
                       THAW_ARG_BUFFER(dx->buffer), THAW_ARG_INT(dy->layout.c),
                       THAW_ARG_INT(call->accumulate_in[i]), THAW_WALK_ARGS(&walk),
                       THAW_MAP_ARGS(&dy->layout), THAW_OPERAND_ARGS(&o[0]),
                       THAW_OPERAND_ARGS(&o[1]), THAW_MAP_ARGS(&dx->layout));
}

/* target (+)= sums of the gradient of operand i, image by image. */
static thaw_status sum_gradient(const struct thaw_op_call *call, int i,
                                const struct thaw_operand *target, bool accumulate, int batch) {
    const struct state *state = call->state;
    const struct thaw_tensor *dy = &call->grad_out;
    struct thaw_operand o[2];
    values_for(call, i, o);
    struct thaw_summation sum = thaw_summation_make(thaw_device_get_caps(call->device), &dy->layout,
                                                    &target->layout, batch);
    return thaw_launch(
        call->device, state->inputs[i].sum, &sum.range, THAW_ARG_BUFFER(dy->buffer),
        THAW_ARG_BUFFER(o[0].buffer), THAW_ARG_BUFFER(o[1].buffer), THAW_ARG_BUFFER(target->buffer),
        THAW_ARG_INT(accumulate), THAW_SUMMATION_ARGS(&sum), THAW_MAP_ARGS(&dy->layout),
        THAW_OPERAND_ARGS(&o[0]), THAW_OPERAND_ARGS(&o[1]), THAW_OPERAND_ARGS(target));
}

/* Sums of each image, one after another, then of the images in order. */
static thaw_status param_gradient(const struct thaw_op_call *call, int batch) {
    const struct state *state = call->state;
    const struct thaw_op_param *param = &call->params[0];
    size_t size = thaw_filter_size(&param->filter);
    struct thaw_tensor map = {thaw_map_filter_layout(&param->filter), call->workspace};
    struct thaw_operand sums = thaw_operand_make(&map, false);
    sums.image = size;
    THAW_TRY(sum_gradient(call, call->input_count, &sums, false, batch));
    struct thaw_range range = THAW_RANGE1(size);
    return thaw_launch(call->device, state->combine, &range, THAW_ARG_BUFFER(call->workspace),
                       THAW_ARG_BUFFER(param->grad), THAW_ARG_INT(batch), THAW_ARG_INT(size),
                       THAW_ARG_INT(size));
}

/* The last operand first: the gradient of the first may be written over dy. */
thaw_status thaw_broadcast_backward(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step) {
    if (get_attrs(call)->param && call->params[0].want_grad)
        THAW_TRY(param_gradient(call, step->batch));
    for (int i = call->input_count; i-- > 0;) {
        const struct thaw_tensor *dx = &call->grad_in[i];
        if (!call->want_grad_in[i])
            continue;
        struct thaw_operand target = thaw_operand_make(dx, false);
        if (is_whole(&dx->layout, &call->grad_out.layout))
            THAW_TRY(whole_gradient(call, i, dx, step->batch));
        else
            THAW_TRY(sum_gradient(call, i, &target, call->accumulate_in[i], step->batch));
    }
    return THAW_OK;
}

thaw_status thaw_broadcast_onnx(struct thaw_export_call *call) {
    static const char *const types[][2] = {
        {"add", "Add"}, {"sub", "Sub"}, {"mul", "Mul"}, {"div", "Div"}, {"prelu", "PRelu"}};
    const struct thaw_broadcast_attrs *attrs = call->attrs;
    size_t i = 0;
    while (strcmp(types[i][0], attrs->function))
        i++;
    if (!attrs->param) {
        thaw_export_combine(call, types[i][1]);
        return THAW_OK;
    }
    const int64_t dims[3] = {attrs->shape[0] ? attrs->shape[0] : call->in[0].c,
                             attrs->shape[0] ? attrs->shape[1] : 1,
                             attrs->shape[0] ? attrs->shape[2] : 1};
    THAW_EXPORT_NODE(call, types[i][1], thaw_export_maps(call, 0),
                     thaw_export_param_as(call, 0, 3, dims));
    return THAW_OK;
}
