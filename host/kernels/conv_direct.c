/* Direct convolution for CPU devices, all three directions, one group: tiles of pixels by output
 * channels in registers (cl/conv_direct.cl, cl/conv_direct_weight.cl). This file: the candidate and
 * its forward direction. */
#include "kernels/conv_direct.h"

#include <limits.h>

#include "core/error.h"

/* Padding, taps and strides in pixels become offsets and strides in floats. */
static struct thaw_direct_pass forward_pass(const struct thaw_conv_problem *problem, int block) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    int x_row = (int)thaw_layout_row_stride(&g->x), taps = g->w.kh * g->w.kw;
    /* Blocks of fewer channels than a vector (RGB): a row of taps is one run of floats. */
    bool rows = g->x.block < block && g->dilation_w == 1;
    struct thaw_direct_pass pass = {
        .channels = g->y.c,
        .vectors = g->w.block_o / block,
        .blocks = thaw_layout_blocks(&g->x),
        .taps_h = g->w.kh,
        .taps_w = rows ? 1 : g->w.kw,
        .run = rows ? g->w.kw * g->x.block : g->x.block,
        .last_run =
            rows ? g->w.kw * g->x.block : g->x.c - (thaw_layout_blocks(&g->x) - 1) * g->x.block,
        .x_offset = (int64_t)thaw_layout_origin(&g->x) - (int64_t)g->pad_top * x_row -
                    (int64_t)g->pad_left * g->x.block,
        .x_block = (int64_t)thaw_layout_block_stride(&g->x),
        .x_image = (int)thaw_layout_image_stride(&g->x),
        .x_row = g->stride_h * x_row,
        .x_pixel = g->stride_w * g->x.block,
        .x_tap_row = g->dilation_h * x_row,
        .x_tap = g->dilation_w * g->x.block,
        .w_tap = g->x.block * g->w.block_o,
        .w_tap_row = g->w.kw * g->x.block * g->w.block_o,
        .w_block = taps * g->x.block * g->w.block_o,
        .w_panel = (int64_t)thaw_layout_blocks(&g->x) * taps * g->x.block * g->w.block_o,
        .y_offset = (int64_t)thaw_layout_origin(&g->y),
        .y_block = (int64_t)thaw_layout_block_stride(&g->y),
        .y_image = (int)thaw_layout_image_stride(&g->y),
        .y_row = (int)thaw_layout_row_stride(&g->y),
        .y_pixel = g->y.block,
        .out_h = g->y.h,
        .out_w = g->y.w,
        .images = g->y.n,
    };
    thaw_direct_pass_join_images(&pass);
    pass.tile = thaw_direct_tile_choose(pass.out_h, pass.out_w, pass.vectors, block);
    return pass;
}

bool thaw_direct_applies(const struct thaw_conv_problem *problem,
                         const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    if (!caps->is_cpu || caps->block < 4 || g->groups != 1 || g->y.block != caps->block)
        return false;
    if (g->x.block != caps->block &&
        (g->x.block != g->x.c || problem->direction == THAW_CONV_BACKWARD_DATA))
        return false;
    struct thaw_filter w =
        thaw_conv_filter(g->y.c, g->x.c, g->w.kh, g->w.kw, g->groups, g->x.block, caps);
    if (g->w.block_o != w.block_o || g->w.block_i != w.block_i)
        return false;
    int x_halo = 0, grad_y_halo = 0;
    thaw_conv_halos(g, &x_halo, &grad_y_halo);
    bool halo = problem->direction == THAW_CONV_BACKWARD_DATA ? g->y.halo >= grad_y_halo
                                                              : g->x.halo >= x_halo;
    return halo && thaw_layout_size(&g->x) < INT_MAX && thaw_layout_size(&g->y) < INT_MAX &&
           thaw_filter_size(&g->w) < INT_MAX;
}

static size_t workspace_bytes(const struct thaw_conv_problem *problem,
                              const struct thaw_device_caps *caps) {
    switch (problem->direction) {
    case THAW_CONV_BACKWARD_DATA:
        return thaw_direct_data_workspace(problem, caps);
    case THAW_CONV_BACKWARD_WEIGHT:
        return thaw_direct_weight_workspace(problem, caps);
    default:
        return 0;
    }
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    if (problem->direction == THAW_CONV_BACKWARD_DATA)
        return thaw_direct_data_prepare(device, problem, state);
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return thaw_direct_weight_prepare(device, problem, state);
    struct thaw_direct_pass pass = forward_pass(problem, thaw_device_get_caps(device)->block);
    return thaw_direct_pass_prepare(device, problem, &pass, &state->kernels[0]);
}

static thaw_status run(thaw_device *device, const struct thaw_conv_problem *problem,
                       const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    if (problem->direction == THAW_CONV_BACKWARD_DATA)
        return thaw_direct_data_run(device, problem, state, run);
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return thaw_direct_weight_run(device, problem, state, run);
    struct thaw_direct_pass pass = forward_pass(problem, thaw_device_get_caps(device)->block);
    return thaw_direct_pass_run(device, problem, &pass, state->kernels[0], run->x, run->w, run->y,
                                run->bias, run->batch);
}

const struct thaw_conv_candidate thaw_conv_direct = {
    .name = "direct",
    .summary = "tiles of pixels by output channels in registers (CPU)",
    .applies = thaw_direct_applies,
    .workspace_bytes = workspace_bytes,
    .prepare = prepare,
    .run = run,
};
