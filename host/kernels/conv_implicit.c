/* Convolution as an implicit matrix product with local-memory tiles, all three directions, any
 * geometry, with channel blocks of 1, where neighbouring work-items read neighbouring pixels: the
 * default on GPUs. Kernels and method: cl/tiled.cl. */
#include <stdlib.h>

#include "core/error.h"
#include "kernels/conv_launch.h"
#include "kernels/tile.h"

/* kernels[]: the product; for backward weight also the sum of its splits. */
struct plan {
    struct thaw_tile tile;
};

/* How an axis of backward data falls into classes of input pixels (cl/tiled.cl, struct residue). */
struct axis {
    int stride, classes, tap_step, y_step;
    int largest; /* pixels of the largest class */
    bool check;  /* dY's halo does not cover the reach of the taps */
};

static int greatest_divisor(int a, int b) {
    return b == 0 ? a : greatest_divisor(b, a % b);
}

static struct axis make_axis(int size, int out_size, int kernel, int stride, int dilation, int pad,
                             int halo) {
    int extent = (kernel - 1) * dilation;
    struct axis axis = {.stride = out_size == 1 ? extent + 1 : stride};
    axis.classes = axis.stride < size ? axis.stride : size;
    axis.tap_step = axis.stride / greatest_divisor(axis.stride, dilation);
    axis.y_step = axis.tap_step * dilation / axis.stride;
    axis.largest = (size + axis.stride - 1) / axis.stride;
    int before = (extent - pad) / axis.stride;
    int behind = (size - 1 + pad) / axis.stride - (out_size - 1);
    axis.check = before > halo || behind > halo;
    return axis;
}

/* The kernel's AXIS. */
#define AXIS_ARGS(a)                                                                               \
    THAW_ARG_INT((a).stride), THAW_ARG_INT((a).classes), THAW_ARG_INT((a).tap_step),               \
        THAW_ARG_INT((a).y_step)

static struct axis vertical(const struct thaw_conv_geometry *g) {
    return make_axis(g->x.h, g->y.h, g->w.kh, g->stride_h, g->dilation_h, g->pad_top, g->y.halo);
}

static struct axis horizontal(const struct thaw_conv_geometry *g) {
    return make_axis(g->x.w, g->y.w, g->w.kw, g->stride_w, g->dilation_w, g->pad_left, g->y.halo);
}

#define PARTIAL_BYTES_MAX ((size_t)64 << 20)
#define SPLIT_PIXELS_MIN 256

/* Into how many parts backward weight cuts the pixels: four work-groups to a compute unit. */
static int count_splits(const struct thaw_conv_problem *problem,
                        const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    size_t m = (size_t)(g->w.o / g->groups), n = (size_t)g->w.i * (size_t)g->w.kh * (size_t)g->w.kw;
    size_t most = (size_t)g->x.n * (size_t)g->y.h * (size_t)g->y.w / SPLIT_PIXELS_MIN;
    size_t room = PARTIAL_BYTES_MAX / (sizeof(float) * (size_t)g->w.o * n);
    most = most < room ? most : room;
    if (most < 2)
        return 1;
    size_t groups = (size_t)g->groups;
    struct thaw_tile_product all = {m, n, groups * most, problem->variant};
    struct thaw_tile tile = thaw_tile_choose(&all, caps->max_work_group_size, caps);
    size_t height = thaw_tile_height(&tile), width = thaw_tile_width(&tile);
    size_t tiles = (m + height - 1) / height * ((n + width - 1) / width) * groups;
    size_t wanted = (4 * (size_t)caps->compute_units + tiles - 1) / tiles;
    return (int)(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

static struct thaw_tile_product make_product(const struct thaw_conv_problem *problem, int batch,
                                             const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    size_t groups = (size_t)g->groups, o = (size_t)g->w.o / groups, i = (size_t)g->w.i;
    switch (problem->direction) {
    case THAW_CONV_FORWARD:
        return (struct thaw_tile_product){o, (size_t)batch * (size_t)g->y.h * (size_t)g->y.w,
                                          groups, problem->variant};
    case THAW_CONV_BACKWARD_DATA: {
        struct axis v = vertical(g), h = horizontal(g);
        return (struct thaw_tile_product){i, (size_t)batch * (size_t)v.largest * (size_t)h.largest,
                                          groups * (size_t)v.classes * (size_t)h.classes,
                                          problem->variant};
    }
    default:
        return (struct thaw_tile_product){o, i * (size_t)g->w.kh * (size_t)g->w.kw,
                                          groups * (size_t)count_splits(problem, caps),
                                          problem->variant};
    }
}

static bool applies(const struct thaw_conv_problem *problem, const struct thaw_device_caps *caps) {
    int x_halo = 0, grad_y_halo = 0;
    thaw_conv_halos(&problem->geometry, &x_halo, &grad_y_halo);
    bool reads_x = problem->direction != THAW_CONV_BACKWARD_DATA;
    return thaw_tile_possible(problem->variant, caps) &&
           thaw_conv_is_unblocked(&problem->geometry) && thaw_conv_fits_int(&problem->geometry) &&
           (!reads_x || problem->geometry.x.halo >= x_halo);
}

static bool recommended(const struct thaw_conv_problem *problem,
                        const struct thaw_device_caps *caps) {
    (void)problem;
    return !caps->is_cpu;
}

static size_t workspace_bytes(const struct thaw_conv_problem *problem,
                              const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    if (problem->direction != THAW_CONV_BACKWARD_WEIGHT)
        return 0;
    size_t splits = (size_t)count_splits(problem, caps);
    size_t weights = (size_t)g->w.o * (size_t)g->w.i * (size_t)g->w.kh * (size_t)g->w.kw;
    return splits > 1 ? splits * weights * sizeof(float) : 0;
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    static const char *const names[THAW_CONV_DIRECTION_COUNT][2] = {
        [THAW_CONV_FORWARD] = {"TILED_FORWARD", "conv_forward"},
        [THAW_CONV_BACKWARD_DATA] = {"TILED_BACKWARD_DATA", "conv_backward_data"},
        [THAW_CONV_BACKWARD_WEIGHT] = {"TILED_BACKWARD_WEIGHT", "conv_backward_weight"},
    };
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    state->extra = plan;
    struct thaw_defines defines = {0};
    thaw_conv_define_maps(problem, &defines);
    thaw_conv_define_weights(problem, &defines);
    thaw_conv_define_activation(problem, &defines);
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT) {
        if (count_splits(problem, caps) > 1)
            THAW_TRY(thaw_kernel_get(device, "conv_reduce.cl", "conv_reduce", defines.text,
                                     &state->kernels[1]));
    } else if (problem->direction == THAW_CONV_BACKWARD_DATA) {
        thaw_define_int(&defines, "CHECK", vertical(g).check || horizontal(g).check);
    }
    const char *const *name = names[problem->direction];
    thaw_define_int(&defines, name[0], 1);
    struct thaw_tile_product product = make_product(problem, g->x.n, caps);
    return thaw_tile_kernel(device, "tiled.cl", name[1], &defines, &product, &plan->tile,
                            &state->kernels[0]);
}

static thaw_status run_backward_weight(thaw_device *device, const struct thaw_conv_problem *problem,
                                       const struct thaw_conv_state *state,
                                       const struct thaw_range *range,
                                       const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct plan *plan = state->extra;
    int splits = count_splits(problem, thaw_device_get_caps(device));
    int pixels = run->batch * g->y.h * g->y.w, depth = plan->tile.depth;
    int chunk = (pixels + splits * depth - 1) / (splits * depth) * depth;
    THAW_TRY(thaw_conv_launch(device, state->kernels[0], range, problem, THAW_ARG_BUFFER(run->x),
                              THAW_ARG_BUFFER(run->y),
                              THAW_ARG_BUFFER(splits > 1 ? run->workspace : run->w),
                              THAW_ARG_INT(run->batch), THAW_ARG_INT(splits), THAW_ARG_INT(chunk)));
    if (splits == 1)
        return THAW_OK;
    size_t weights = (size_t)g->w.o * (size_t)g->w.i * (size_t)g->w.kh * (size_t)g->w.kw;
    struct thaw_range reduce = thaw_conv_lanes(state->kernels[1], weights, 1);
    return thaw_conv_launch(device, state->kernels[1], &reduce, problem,
                            THAW_ARG_BUFFER(run->workspace), THAW_ARG_BUFFER(run->w),
                            THAW_ARG_INT(splits));
}

static thaw_status run(thaw_device *device, const struct thaw_conv_problem *problem,
                       const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    const struct plan *plan = state->extra;
    struct axis v = vertical(&problem->geometry), h = horizontal(&problem->geometry);
    struct thaw_tile_product product =
        make_product(problem, run->batch, thaw_device_get_caps(device));
    struct thaw_range range = thaw_tile_range(&plan->tile, &product);
    switch (problem->direction) {
    case THAW_CONV_FORWARD:
        return thaw_conv_launch(device, state->kernels[0], &range, problem, THAW_ARG_BUFFER(run->x),
                                THAW_ARG_BUFFER(run->w), THAW_ARG_INT(problem->bias),
                                THAW_ARG_BUFFER(problem->bias ? run->bias : run->w),
                                THAW_ARG_BUFFER(run->y), THAW_ARG_INT(run->batch),
                                THAW_ARG_FLOAT(problem->activation_parameter));
    case THAW_CONV_BACKWARD_DATA:
        return thaw_conv_launch(device, state->kernels[0], &range, problem, AXIS_ARGS(v),
                                AXIS_ARGS(h), THAW_ARG_BUFFER(run->y), THAW_ARG_BUFFER(run->w),
                                THAW_ARG_BUFFER(run->x), THAW_ARG_INT(run->batch));
    default:
        return run_backward_weight(device, problem, state, &range, run);
    }
}

const struct thaw_conv_candidate thaw_conv_implicit = {
    .name = "implicit_gemm",
    .summary = "implicit matrix product with local-memory tiles (GPU)",
    .variants = &thaw_tile_variants,
    .applies = applies,
    .recommended = recommended,
    .workspace_bytes = workspace_bytes,
    .prepare = prepare,
    .run = run,
};
