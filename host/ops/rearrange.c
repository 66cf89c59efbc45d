/* Reshaping and transposing: an image's content in logical (C, H, W) order is seen as `view`, its
 * axes are put in `order`, and what results is read as `out` (C, H, W).
 *
 *   reshape           {out: [C, H, W]}
 *   transpose         {order: [1, 2, 0], out: [H, W, C]}
 *   channel shuffle   {view: [groups, C / groups, -1], order: [1, 0, 2]}
 *   depth to space    {view: [C, r, r, H, W], order: [0, 3, 1, 4, 2], out: [C, r H, r W]}
 *
 * Attributes: view (the input's C, H, W): 1 to 6 sizes, one of which may be -1, what is left; order
 * (as they are): the numbers 0 to k - 1; out (the input's C, H, W): three sizes, one may be -1. The
 * network's image can be an input: its channel block becomes the device's. */
#include "ops/rearrange.h"

#include <stdlib.h>
#include <string.h>

#include "ops/export.h"
#include "ops/parse.h"
#include "ops/walk.h"

/* ---- plans ---------------------------------------------------------------------------------- */

/* Appends a dimension behind those of the plan, or widens the last one where the two are one run of
 * the input. */
static void append(struct thaw_rearrange_plan *plan, int size, int stride) {
    int last = plan->dims - 1;
    if (size == 1)
        return;
    if (last >= 0 && plan->stride[last] == size * stride) {
        plan->size[last] *= size;
        plan->stride[last] = stride;
        return;
    }
    plan->size[plan->dims] = size;
    plan->stride[plan->dims++] = stride;
}

static void close_plan(struct thaw_rearrange_plan *plan) {
    if (plan->dims)
        return;
    plan->dims = plan->size[0] = plan->stride[0] = 1;
}

void thaw_rearrange_plan_make(const int *view, const int *order, int dims,
                              struct thaw_rearrange_plan *ret_plan) {
    struct thaw_rearrange_plan plan = {0};
    int strides[THAW_REARRANGE_DIMS];
    for (int i = dims - 1, stride = 1; i >= 0; stride *= view[i--])
        strides[i] = stride;
    for (int i = 0; i < dims; i++)
        append(&plan, view[order[i]], strides[order[i]]);
    close_plan(&plan);
    *ret_plan = plan;
}

/* From the output back: its dimensions in the order in which the input has them. */
static struct thaw_rearrange_plan invert(const struct thaw_rearrange_plan *plan) {
    struct thaw_rearrange_plan inverse = {0};
    int strides[THAW_REARRANGE_DIMS];
    bool done[THAW_REARRANGE_DIMS] = {false};
    for (int i = plan->dims - 1, stride = 1; i >= 0; stride *= plan->size[i--])
        strides[i] = stride;
    for (int k = 0; k < plan->dims; k++) {
        int outermost = -1;
        for (int i = 0; i < plan->dims; i++)
            if (!done[i] && (outermost < 0 || plan->stride[i] > plan->stride[outermost]))
                outermost = i;
        done[outermost] = true;
        append(&inverse, plan->size[outermost], strides[outermost]);
    }
    close_plan(&inverse);
    return inverse;
}

/* ---- running -------------------------------------------------------------------------------- */

struct pass {
    thaw_kernel *kernel;
    struct thaw_rearrange_plan plan;
    bool whole; /* maps change their places as wholes, nothing moves inside of them */
};

struct state {
    struct pass forward, backward;
};

static thaw_status prepare_pass(thaw_device *device, const struct thaw_layout *x,
                                const struct thaw_layout *y, const struct thaw_rearrange_plan *plan,
                                struct pass *ret_pass) {
    int last = plan->dims - 1;
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, thaw_device_get_caps(device), y->block, false);
    thaw_define_int(&defines, "FROM_B", x->block);
    ret_pass->plan = *plan;
    ret_pass->whole = x->h == y->h && x->w == y->w && plan->stride[last] == 1 &&
                      plan->size[last] % (y->h * y->w) == 0;
    return thaw_kernel_get(device, "rearrange.cl",
                           ret_pass->whole ? "rearrange_maps" : "rearrange_values", defines.text,
                           &ret_pass->kernel);
}

thaw_status thaw_rearrange_prepare(struct thaw_op_call *call,
                                   const struct thaw_rearrange_plan *plan) {
    struct state *state = call->state = calloc(1, sizeof *state);
    if (!state)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    const struct thaw_layout *x = &call->in[0].layout, *y = &call->out.layout;
    struct thaw_rearrange_plan back = invert(plan);
    THAW_TRY(prepare_pass(call->device, x, y, plan, &state->forward));
    return call->needs_backward ? prepare_pass(call->device, y, x, &back, &state->backward)
                                : THAW_OK;
}

static thaw_status run(thaw_device *device, const struct pass *pass, const struct thaw_tensor *from,
                       const struct thaw_tensor *to, bool accumulate, int batch) {
    const struct thaw_layout *x = &from->layout, *y = &to->layout;
    const struct thaw_layout *layouts[] = {y, x};
    struct thaw_walk walk = thaw_walk_make(thaw_device_get_caps(device), layouts, 2, batch,
                                           pass->whole ? THAW_WALK_PIXELS : THAW_WALK_ROWS);
    struct thaw_range range = thaw_walk_range(&walk);
    int size[THAW_REARRANGE_DIMS], stride[THAW_REARRANGE_DIMS];
    for (int i = 0; i < THAW_REARRANGE_DIMS; i++) { /* filled up in front */
        int k = i - (THAW_REARRANGE_DIMS - pass->plan.dims);
        size[i] = k < 0 ? 1 : pass->plan.size[k];
        stride[i] = k < 0 ? 0 : pass->plan.stride[k];
    }
    return thaw_launch(device, pass->kernel, &range, THAW_ARG_BUFFER(from->buffer),
                       THAW_ARG_BUFFER(to->buffer), THAW_ARG_INT(x->h), THAW_ARG_INT(x->w),
                       THAW_ARG_INT(y->c), THAW_ARG_INT(y->h * y->w), THAW_ARG_INT(accumulate),
                       THAW_ARG_INT(pass->plan.dims), THAW_ARG_INT(size[1]), THAW_ARG_INT(size[2]),
                       THAW_ARG_INT(size[3]), THAW_ARG_INT(size[4]), THAW_ARG_INT(size[5]),
                       THAW_ARG_INT(stride[0]), THAW_ARG_INT(stride[1]), THAW_ARG_INT(stride[2]),
                       THAW_ARG_INT(stride[3]), THAW_ARG_INT(stride[4]), THAW_ARG_INT(stride[5]),
                       THAW_WALK_ARGS(&walk), THAW_MAP_ARGS(x), THAW_MAP_ARGS(y));
}

thaw_status thaw_rearrange_forward(const struct thaw_op_call *call,
                                   const struct thaw_op_step *step) {
    const struct state *state = call->state;
    return run(call->device, &state->forward, &call->in[0], &call->out, false, step->batch);
}

thaw_status thaw_rearrange_backward(const struct thaw_op_call *call,
                                    const struct thaw_op_step *step) {
    const struct state *state = call->state;
    if (!call->want_grad_in[0])
        return THAW_OK;
    return run(call->device, &state->backward, &call->grad_out, &call->grad_in[0],
               call->accumulate_in[0], step->batch);
}

/* ---- the op --------------------------------------------------------------------------------- */

struct attrs {
    int view[THAW_REARRANGE_DIMS], order[THAW_REARRANGE_DIMS], out[THAW_AXIS_COUNT];
    int dims;            /* 0: the input's */
    bool ordered, sized; /* `order` and `out` are given */
};

static thaw_status parse_sizes(const thaw_yaml *map, const char *key, size_t least, size_t most,
                               int *sizes, int *count) {
    int rests = 0;
    THAW_TRY(thaw_op_parse_list(map, key, least, most, -1, THAW_OP_VALUES_MAX, sizes, count));
    for (int i = 0; i < *count; i++) {
        const thaw_yaml *item = thaw_yaml_get(map, key)->items[i];
        rests += sizes[i] < 0;
        if (!sizes[i])
            return thaw_yaml_fail(item, "'%s': a size is at least 1, or -1 for what is left", key);
        if (rests > 1)
            return thaw_yaml_fail(item, "'%s': only one size can be -1, what is left", key);
    }
    return THAW_OK;
}

static thaw_status parse_order(const thaw_yaml *map, struct attrs *attrs) {
    int count;
    bool seen[THAW_REARRANGE_DIMS] = {false};
    const thaw_yaml *list = thaw_yaml_get(map, "order");
    for (int i = 0; i < THAW_REARRANGE_DIMS; i++)
        attrs->order[i] = i;
    if (!list)
        return THAW_OK;
    attrs->ordered = true;
    int dims = attrs->dims ? attrs->dims : THAW_AXIS_COUNT;
    THAW_TRY(thaw_op_parse_list(map, "order", (size_t)dims, (size_t)dims, 0, dims - 1, attrs->order,
                                &count));
    for (int i = 0; i < count; i++) {
        if (seen[attrs->order[i]])
            return thaw_yaml_fail(list->items[i], "'order': %d is there twice", attrs->order[i]);
        seen[attrs->order[i]] = true;
    }
    return THAW_OK;
}

static thaw_status parse(const thaw_yaml *node, void *ret_attrs) {
    static const char *const keys[] = {"view", "order", "out"};
    struct attrs *attrs = ret_attrs;
    const thaw_yaml *map;
    int sizes;
    THAW_TRY(thaw_op_parse_map(node, keys, 3, &map));
    THAW_TRY(parse_sizes(map, "view", 1, THAW_REARRANGE_DIMS, attrs->view, &attrs->dims));
    THAW_TRY(parse_sizes(map, "out", THAW_AXIS_COUNT, THAW_AXIS_COUNT, attrs->out, &sizes));
    attrs->sized = sizes > 0;
    return parse_order(map, attrs);
}

/* Puts what is left of `total` in the place of -1; fails unless the product is `total`. */
static thaw_status complete(const char *key, int total, int *sizes, int count) {
    int64_t product = 1;
    int rest = -1;
    for (int i = 0; i < count; i++) {
        if (sizes[i] < 0)
            rest = i;
        else if (product <= THAW_OP_VALUES_MAX)
            product *= sizes[i];
    }
    if (rest >= 0 && total % product == 0)
        product *= sizes[rest] = (int)(total / product);
    if (product != total)
        return thaw_fail(THAW_ERROR_INPUT, "'%s' has %s%lld values, the input %d", key,
                         rest >= 0 ? "a multiple of " : "", (long long)product, total);
    return THAW_OK;
}

/* The attributes for an input: complete sizes. */
static thaw_status fit(const struct attrs *given, const struct thaw_layout *in,
                       struct attrs *ret_attrs) {
    struct attrs attrs = *given;
    const int own[THAW_AXIS_COUNT] = {in->c, in->h, in->w};
    THAW_TRY(thaw_walk_check_size(in->c, in->h, in->w));
    if (!attrs.dims)
        memcpy(attrs.view, own, sizeof own);
    if (!attrs.sized)
        memcpy(attrs.out, own, sizeof own);
    attrs.dims = attrs.dims ? attrs.dims : THAW_AXIS_COUNT;
    THAW_TRY(complete("view", in->c * in->h * in->w, attrs.view, attrs.dims));
    THAW_TRY(complete("out", in->c * in->h * in->w, attrs.out, THAW_AXIS_COUNT));
    *ret_attrs = attrs;
    return THAW_OK;
}

static thaw_status infer(const void *given, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec) {
    struct attrs attrs;
    struct thaw_rearrange_plan plan;
    (void)input_count;
    THAW_TRY(fit(given, in, &attrs));
    thaw_rearrange_plan_make(attrs.view, attrs.order, attrs.dims, &plan);
    ret_spec->out = (struct thaw_shape){in->n, attrs.out[0], attrs.out[1], attrs.out[2]};
    ret_spec->alias = plan.dims == 1 && attrs.out[0] == in->c && attrs.out[1] == in->h &&
                      in->block == caps->block;
    return THAW_OK;
}

static thaw_status prepare(struct thaw_op_call *call) {
    struct attrs attrs;
    struct thaw_rearrange_plan plan;
    THAW_TRY(fit(call->attrs, &call->in[0].layout, &attrs));
    thaw_rearrange_plan_make(attrs.view, attrs.order, attrs.dims, &plan);
    return thaw_rearrange_prepare(call, &plan);
}

static thaw_status onnx(struct thaw_export_call *call) {
    struct attrs attrs;
    THAW_TRY(fit(call->attrs, &call->in[0], &attrs));
    int64_t view[1 + THAW_REARRANGE_DIMS] = {0}, order[1 + THAW_REARRANGE_DIMS] = {0};
    const char *value = thaw_export_maps(call, 0); /* a size of 0: the input's own, the batch */
    for (int i = 0; i < attrs.dims; i++) {
        view[1 + i] = attrs.view[i];
        order[1 + i] = 1 + attrs.order[i];
    }
    if (attrs.ordered) {
        value = THAW_EXPORT_NODE(call, "Reshape", value,
                                 thaw_export_constant_ints(call, view, 1 + (size_t)attrs.dims));
        value = THAW_EXPORT_NODE(call, "Transpose", value);
        thaw_export_ints(call, "perm", order, 1 + (size_t)attrs.dims);
    }
    THAW_EXPORT_NODE(call, "Reshape", value,
                     THAW_EXPORT_CONSTANT_INTS(call, 0, attrs.out[0], attrs.out[1], attrs.out[2]));
    return THAW_OK;
}

const struct thaw_op thaw_op_rearrange = {
    .type = "rearrange",
    .summary = "reshapes and transposes an image's content",
    .attrs_size = sizeof(struct attrs),
    .inputs_min = 1,
    .inputs_max = 1,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = thaw_rearrange_forward,
    .backward = thaw_rearrange_backward,
    .onnx = onnx,
};
