/* The portable fall-back: one work-item per output pixel block or weight, any device, every
 * problem. Maths and layout: cl/conv_simple.cl. Last in the list: selection reaches it when nothing
 * else applies. */
#include "core/error.h"
#include "kernels/conv.h"

static bool applies(const struct thaw_conv_problem *problem, const struct thaw_device_caps *caps) {
    (void)problem, (void)caps;
    return true;
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    static const char *const kernels[THAW_CONV_DIRECTION_COUNT] = {
        [THAW_CONV_FORWARD] = "conv_simple_forward",
        [THAW_CONV_BACKWARD_DATA] = "conv_simple_backward_data",
        [THAW_CONV_BACKWARD_WEIGHT] = "conv_simple_backward_weight",
    };
    const struct thaw_conv_geometry *g = &problem->geometry;
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "XB", g->x.block);
    thaw_define_int(&defines, "YB", g->y.block);
    thaw_define_int(&defines, "BO", g->w.block_o);
    thaw_define_int(&defines, "BI", g->w.block_i);
    thaw_define_text(&defines, "ACT", thaw_activation_name(problem->activation));
    return thaw_kernel_get(device, "conv_simple.cl", kernels[problem->direction], defines.text,
                           &state->kernels[0]);
}

static size_t put_tensor(struct thaw_arg *args, size_t count, const struct thaw_layout *l) {
    args[count++] = THAW_ARG_INT(l->c);
    args[count++] = THAW_ARG_INT(l->h);
    args[count++] = THAW_ARG_INT(l->w);
    args[count++] = THAW_ARG_INT(thaw_layout_origin(l));
    args[count++] = THAW_ARG_INT(thaw_layout_row_stride(l));
    args[count++] = THAW_ARG_INT(thaw_layout_image_stride(l));
    args[count++] = THAW_ARG_LONG(thaw_layout_block_stride(l));
    return count;
}

/* The kernels' PROBLEM. */
static size_t put_problem(struct thaw_arg *args, size_t count,
                          const struct thaw_conv_problem *problem, int batch) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    count = put_tensor(args, count, &g->x);
    count = put_tensor(args, count, &g->y);
    const int values[] = {g->w.o,        g->w.i,      g->w.kh,     g->w.kw,
                          g->groups,     g->stride_h, g->stride_w, g->dilation_h,
                          g->dilation_w, g->pad_top,  g->pad_left, problem->accumulate,
                          batch};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        args[count++] = THAW_ARG_INT(values[i]);
    return count;
}

static struct thaw_range pixels(const struct thaw_layout *l, int batch) {
    return THAW_RANGE3((size_t)l->w, (size_t)l->h, (size_t)thaw_layout_blocks(l) * (size_t)batch);
}

static struct thaw_range weights(const struct thaw_filter *w) {
    size_t o = (size_t)((w->o + w->block_o - 1) / w->block_o) * (size_t)w->block_o;
    size_t i = (size_t)((w->i + w->block_i - 1) / w->block_i) * (size_t)w->block_i;
    return THAW_RANGE3((size_t)w->kh * (size_t)w->kw, i, o);
}

static thaw_status run(thaw_device *device, const struct thaw_conv_problem *problem,
                       const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    struct thaw_arg args[40];
    struct thaw_range range;
    size_t count = 0;
    switch (problem->direction) {
    case THAW_CONV_FORWARD:
        args[count++] = THAW_ARG_BUFFER(run->x);
        args[count++] = THAW_ARG_BUFFER(run->w);
        args[count++] = THAW_ARG_BUFFER(run->y);
        args[count++] = THAW_ARG_BUFFER(problem->bias ? run->bias : run->w); /* never read */
        args[count++] = THAW_ARG_INT(problem->bias);
        args[count++] = THAW_ARG_FLOAT(problem->activation_parameter);
        range = pixels(&g->y, run->batch);
        break;
    case THAW_CONV_BACKWARD_DATA:
        args[count++] = THAW_ARG_BUFFER(run->y);
        args[count++] = THAW_ARG_BUFFER(run->w);
        args[count++] = THAW_ARG_BUFFER(run->x);
        range = pixels(&g->x, run->batch);
        break;
    default:
        args[count++] = THAW_ARG_BUFFER(run->x);
        args[count++] = THAW_ARG_BUFFER(run->y);
        args[count++] = THAW_ARG_BUFFER(run->w);
        range = weights(&g->w);
        break;
    }
    count = put_problem(args, count, problem, run->batch);
    return thaw_launch_args(device, state->kernels[0], &range, args, count);
}

const struct thaw_conv_candidate thaw_conv_simple = {
    .name = "simple",
    .summary = "one element at a time: any device, every problem, slow",
    .applies = applies,
    .prepare = prepare,
    .run = run,
};
