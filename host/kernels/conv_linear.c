/* Backward of linear layers on CPUs: of convolutions whose kernel covers the whole map, so that y
 * is one pixel. With few images they are bound by their weights, which are read, or whose gradient
 * is written, once, in their own layout; no workspace. Maths: cl/conv_linear.cl. Forward is
 * `direct`'s, which reads them once, too. */
#include "core/error.h"
#include "kernels/conv.h"

#define DATA_TILES 2 /* two pages of a panel's weights */
#define WEIGHT_TILES 64
#define STREAM_BYTES ((size_t)16 << 20)
#define IMAGES_MAX 32 /* more are a matrix product of its own */

static bool applies(const struct thaw_conv_problem *problem, const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    return caps->is_cpu && caps->block % 4 == 0 && problem->direction != THAW_CONV_FORWARD &&
           g->groups == 1 && g->y.h == 1 && g->y.w == 1 && g->w.kh == g->x.h && g->w.kw == g->x.w &&
           g->pad_top == 0 && g->pad_left == 0 && g->dilation_h == 1 && g->dilation_w == 1 &&
           g->x.block == caps->block && g->y.block == caps->block && g->w.block_i == caps->block &&
           g->w.block_o % caps->block == 0;
}

static bool recommended(const struct thaw_conv_problem *problem,
                        const struct thaw_device_caps *caps) {
    (void)caps;
    return problem->geometry.x.n <= IMAGES_MAX;
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    const struct thaw_filter *w = &problem->geometry.w;
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    bool data = problem->direction == THAW_CONV_BACKWARD_DATA;
    bool large = thaw_filter_size(w) * sizeof(float) >= STREAM_BYTES &&
                 caps->base_align_bytes % ((size_t)w->block_i * sizeof(float)) == 0;
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "B", w->block_i);
    thaw_define_int(&defines, "NV", w->block_o / w->block_i);
    thaw_define_int(&defines, "TILES", DATA_TILES);
    thaw_define_int(&defines, "STREAM", !data && large);
    return thaw_kernel_get(device, "conv_linear.cl", data ? "linear_data" : "linear_weight",
                           defines.text, &state->kernels[0]);
}

static thaw_status run(thaw_device *device, const struct thaw_conv_problem *problem,
                       const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_layout *x = &g->x, *y = &g->y;
    bool data = problem->direction == THAW_CONV_BACKWARD_DATA;
    int taps = g->w.kh * g->w.kw, tiles = thaw_layout_blocks(x) * taps;
    int panels = (g->w.o + g->w.block_o - 1) / g->w.block_o;
    int tiles_per_item = data ? DATA_TILES : WEIGHT_TILES;
    size_t items = (size_t)((tiles + tiles_per_item - 1) / tiles_per_item);
    struct thaw_range range = THAW_RANGE2(items, data ? 1 : (size_t)panels);
    return thaw_launch(
        device, state->kernels[0], &range, THAW_ARG_BUFFER(run->y),
        THAW_ARG_BUFFER(data ? run->w : run->x), THAW_ARG_BUFFER(data ? run->x : run->w),
        THAW_ARG_INT(tiles_per_item), THAW_ARG_INT(panels), THAW_ARG_INT(tiles), THAW_ARG_INT(taps),
        THAW_ARG_INT(g->w.kw), THAW_ARG_INT(run->batch), THAW_ARG_INT(problem->accumulate),
        THAW_ARG_INT(thaw_layout_origin(x)), THAW_ARG_INT(thaw_layout_row_stride(x)),
        THAW_ARG_INT(thaw_layout_image_stride(x)), THAW_ARG_LONG(thaw_layout_block_stride(x)),
        THAW_ARG_INT(thaw_layout_origin(y)), THAW_ARG_INT(thaw_layout_image_stride(y)),
        THAW_ARG_LONG(thaw_layout_block_stride(y)));
}

const struct thaw_conv_candidate thaw_conv_linear = {
    .name = "linear",
    .summary = "backward of linear layers, weights read or written once (CPU)",
    .applies = applies,
    .recommended = recommended,
    .prepare = prepare,
    .run = run,
};
