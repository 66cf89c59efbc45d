/* Depthwise convolution, one input channel to a group, for GPUs: direct kernels, all directions,
 * any stride, with channel blocks of 1; see cl/depthwise_gpu.cl. */
#include <stdlib.h>

#include "core/error.h"
#include "kernels/conv_launch.h"
#include "kernels/tile.h"

/* kernels[]: the convolution; for backward weight also the sum of its splits, and `extra` is the
 * work-group's size, a size_t. */

#define TAPS_MAX 121 /* the kernels are unrolled over the taps */
#define Y_ROWS 4     /* outputs of an item, forward */
#define LANES_MAX 256
#define SPLIT_PIXELS_MIN 1024

static bool applies(const struct thaw_conv_problem *problem, const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    int x_halo = 0, grad_y_halo = 0;
    thaw_conv_halos(g, &x_halo, &grad_y_halo);
    bool reads_x = problem->direction != THAW_CONV_BACKWARD_DATA;
    return thaw_conv_is_unblocked(g) && g->w.i == 1 && g->groups == g->x.c && g->groups > 1 &&
           g->w.kh * g->w.kw <= TAPS_MAX && caps->max_work_group_size >= THAW_TILE_GROUP_MIN &&
           thaw_conv_fits_int(g) && (!reads_x || g->x.halo >= x_halo);
}

static bool recommended(const struct thaw_conv_problem *problem,
                        const struct thaw_device_caps *caps) {
    (void)problem;
    return !caps->is_cpu;
}

/* Into how many parts backward weight cuts the pixels: eight work-groups to a compute unit. */
static int count_splits(const struct thaw_conv_geometry *g, const struct thaw_device_caps *caps) {
    int groups = g->w.o * g->w.kh, wanted = 8 * caps->compute_units / groups;
    int most = g->x.n * g->y.h * g->y.w / SPLIT_PIXELS_MIN;
    wanted = wanted < most ? wanted : most;
    return wanted < 1 ? 1 : wanted;
}

static size_t weights(const struct thaw_conv_geometry *g) {
    return (size_t)g->w.o * (size_t)g->w.kh * (size_t)g->w.kw;
}

static size_t workspace_bytes(const struct thaw_conv_problem *problem,
                              const struct thaw_device_caps *caps) {
    if (problem->direction != THAW_CONV_BACKWARD_WEIGHT)
        return 0;
    int splits = count_splits(&problem->geometry, caps);
    return splits > 1 ? (size_t)splits * weights(&problem->geometry) * sizeof(float) : 0;
}

static struct thaw_defines make_defines(const struct thaw_conv_problem *problem) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    struct thaw_defines defines = {0};
    thaw_conv_define_maps(problem, &defines);
    thaw_conv_define_weights(problem, &defines);
    thaw_conv_define_activation(problem, &defines);
    thaw_define_int(&defines, "KH", g->w.kh);
    thaw_define_int(&defines, "KW", g->w.kw);
    thaw_define_int(&defines, "STRIDE_H", g->stride_h);
    thaw_define_int(&defines, "STRIDE_W", g->stride_w);
    thaw_define_int(&defines, "DILATION_H", g->dilation_h);
    thaw_define_int(&defines, "DILATION_W", g->dilation_w);
    return defines;
}

/* With as many lanes as the compiled kernel allows. */
static thaw_status prepare_backward_weight(thaw_device *device,
                                           const struct thaw_conv_problem *problem,
                                           struct thaw_defines defines,
                                           struct thaw_conv_state *state) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    int splits = count_splits(&problem->geometry, caps);
    state->extra = malloc(sizeof(size_t));
    if (!state->extra)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (splits > 1)
        THAW_TRY(thaw_kernel_get(device, "conv_reduce.cl", "conv_reduce", defines.text,
                                 &state->kernels[1]));
    thaw_define_int(&defines, "DEPTHWISE_BACKWARD_WEIGHT", 1);
    for (int lanes = LANES_MAX; lanes >= THAW_TILE_GROUP_MIN; lanes /= 2) {
        if ((size_t)lanes > caps->max_work_group_size)
            continue;
        struct thaw_defines all = defines;
        thaw_define_int(&all, "GROUP", lanes);
        THAW_TRY(thaw_kernel_get(device, "depthwise_gpu.cl", "depthwise_backward_weight", all.text,
                                 &state->kernels[0]));
        if (thaw_kernel_max_group(state->kernels[0]) >= (size_t)lanes) {
            *(size_t *)state->extra = (size_t)lanes;
            return THAW_OK;
        }
    }
    return thaw_fail(THAW_ERROR_UNSUPPORTED,
                     "depthwise_gpu needs work-groups of %d items on this device",
                     THAW_TILE_GROUP_MIN);
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    struct thaw_defines defines = make_defines(problem);
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return prepare_backward_weight(device, problem, defines, state);
    bool forward = problem->direction == THAW_CONV_FORWARD;
    thaw_define_int(&defines, forward ? "DEPTHWISE_FORWARD" : "DEPTHWISE_BACKWARD_DATA", 1);
    thaw_define_int(&defines, "Y_ROWS", Y_ROWS);
    return thaw_kernel_get(device, "depthwise_gpu.cl",
                           forward ? "depthwise_forward" : "depthwise_backward_data", defines.text,
                           &state->kernels[0]);
}

static thaw_status run_backward_weight(thaw_device *device, const struct thaw_conv_problem *problem,
                                       const struct thaw_conv_state *state,
                                       const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    int splits = count_splits(g, thaw_device_get_caps(device));
    int chunk = (run->batch * g->y.h * g->y.w + splits - 1) / splits;
    size_t lanes = *(const size_t *)state->extra;
    struct thaw_range range = {
        3, {(size_t)splits * lanes, (size_t)g->w.kh, (size_t)g->w.o}, {lanes, 1, 1}};
    THAW_TRY(thaw_conv_launch(device, state->kernels[0], &range, problem, THAW_ARG_BUFFER(run->x),
                              THAW_ARG_BUFFER(run->y),
                              THAW_ARG_BUFFER(splits > 1 ? run->workspace : run->w),
                              THAW_ARG_INT(run->batch), THAW_ARG_INT(splits), THAW_ARG_INT(chunk)));
    if (splits == 1)
        return THAW_OK;
    struct thaw_range reduce = thaw_conv_lanes(state->kernels[1], weights(g), 1);
    return thaw_conv_launch(device, state->kernels[1], &reduce, problem,
                            THAW_ARG_BUFFER(run->workspace), THAW_ARG_BUFFER(run->w),
                            THAW_ARG_INT(splits));
}

static thaw_status run(thaw_device *device, const struct thaw_conv_problem *problem,
                       const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    size_t batch = (size_t)run->batch;
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return run_backward_weight(device, problem, state, run);
    if (problem->direction == THAW_CONV_BACKWARD_DATA) {
        struct thaw_range range = thaw_conv_lanes(
            state->kernels[0], batch * (size_t)g->x.h * (size_t)g->x.w, (size_t)g->x.c);
        return thaw_conv_launch(device, state->kernels[0], &range, problem, THAW_ARG_BUFFER(run->y),
                                THAW_ARG_BUFFER(run->w), THAW_ARG_BUFFER(run->x),
                                THAW_ARG_INT(run->batch));
    }
    size_t strips = (size_t)((g->y.h + Y_ROWS - 1) / Y_ROWS);
    struct thaw_range range =
        thaw_conv_lanes(state->kernels[0], batch * strips * (size_t)g->y.w, (size_t)g->w.o);
    return thaw_conv_launch(device, state->kernels[0], &range, problem, THAW_ARG_BUFFER(run->x),
                            THAW_ARG_BUFFER(run->w), THAW_ARG_INT(problem->bias),
                            THAW_ARG_BUFFER(problem->bias ? run->bias : run->w),
                            THAW_ARG_BUFFER(run->y), THAW_ARG_INT(run->batch),
                            THAW_ARG_FLOAT(problem->activation_parameter));
}

const struct thaw_conv_candidate thaw_conv_depthwise_gpu = {
    .name = "depthwise_gpu",
    .summary = "depthwise, one channel to a work-group (GPU)",
    .applies = applies,
    .recommended = recommended,
    .workspace_bytes = workspace_bytes,
    .prepare = prepare,
    .run = run,
};
