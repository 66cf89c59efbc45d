/* Backward-data of the candidate `direct`. An input pixel iy sees the taps ky for which
 * iy + p - ky*d = s*oy has a solution: iy mod s decides which. So the input falls into s*s classes,
 * and for each the sum over its taps is a convolution of the gradient of y:
 *
 *   iy = class + s*t,  ky = first + step*u,  oy = t + at - delta*u
 *
 * It needs weights with input and output channels exchanged, which are made in the workspace in
 * each run. A y of one pixel has no neighbours, so any larger s says the same; one as large as the
 * input's extent gives each class at most one tap, and no halo is read. */
#include "core/error.h"
#include "kernels/conv_direct.h"

/* kernels[]: the pass, the exchange */

/* One axis of one class. */
struct axis {
    int count;             /* pixels of the class */
    int taps, first, step; /* which taps */
    int at, delta;         /* where the first tap of the first pixel reads, and towards the next */
};

static int greatest_common_divisor(int a, int b) {
    return b ? greatest_common_divisor(b, a % b) : a;
}

static struct axis axis_of(int class, int size, int kernel, int stride, int dilation, int pad) {
    struct axis axis = {.count = class < size ? (size - class + stride - 1) / stride : 0,
                        .step = stride / greatest_common_divisor(stride, dilation)};
    while (axis.first < kernel && (class + pad - axis.first * dilation) % stride != 0)
        axis.first++;
    if (axis.first == kernel)
        return axis;
    axis.taps = (kernel - 1 - axis.first) / axis.step + 1;
    axis.at = (class + pad - axis.first * dilation) / stride;
    axis.delta = axis.step * dilation / stride;
    return axis;
}

static int max_int(int a, int b) {
    return a > b ? a : b;
}

/* The stride that classes are made for. */
static int class_stride(int stride, int y_pixels, int size, int kernel, int dilation, int pad) {
    return y_pixels == 1 ? max_int(size + pad, (kernel - 1) * dilation + 1) : stride;
}

struct classes {
    int stride_h, stride_w; /* of the classes */
    int count_h, count_w;   /* classes that have pixels */
};

static struct classes classes_of(const struct thaw_conv_geometry *g) {
    int pixels = g->y.h * g->y.w;
    struct classes c = {
        class_stride(g->stride_h, pixels, g->x.h, g->w.kh, g->dilation_h, g->pad_top),
        class_stride(g->stride_w, pixels, g->x.w, g->w.kw, g->dilation_w, g->pad_left), 0, 0};
    c.count_h = c.stride_h < g->x.h ? c.stride_h : g->x.h;
    c.count_w = c.stride_w < g->x.w ? c.stride_w : g->x.w;
    return c;
}

static int channel_blocks(int channels, int block) {
    return (channels + block - 1) / block;
}

/* The pass of one class; `block` is the device's, of x and y too. */
static struct thaw_direct_pass class_pass(const struct thaw_conv_geometry *g,
                                          const struct classes *classes, int class_h, int class_w,
                                          int block) {
    struct axis h = axis_of(class_h, g->x.h, g->w.kh, classes->stride_h, g->dilation_h, g->pad_top);
    struct axis w =
        axis_of(class_w, g->x.w, g->w.kw, classes->stride_w, g->dilation_w, g->pad_left);
    int x_row = (int)thaw_layout_row_stride(&g->x), y_row = (int)thaw_layout_row_stride(&g->y);
    struct thaw_direct_pass pass = {
        .channels = g->x.c,
        .vectors = thaw_direct_vectors(g->x.c, block),
        .blocks = thaw_layout_blocks(&g->y),
        .taps_h = w.taps ? h.taps : 0,
        .taps_w = w.taps,
        .run = block,
        .last_run = g->y.c - (thaw_layout_blocks(&g->y) - 1) * block,
        .x_offset =
            (int64_t)thaw_layout_origin(&g->y) + (int64_t)h.at * y_row + (int64_t)w.at * block,
        .x_block = (int64_t)thaw_layout_block_stride(&g->y),
        .x_image = (int)thaw_layout_image_stride(&g->y),
        .x_row = y_row,
        .x_pixel = block,
        .x_tap_row = -h.delta * y_row,
        .x_tap = -w.delta * block,
        .y_offset = (int64_t)thaw_layout_origin(&g->x) + (int64_t)class_h * x_row +
                    (int64_t)class_w * block,
        .y_block = (int64_t)thaw_layout_block_stride(&g->x),
        .y_image = (int)thaw_layout_image_stride(&g->x),
        .y_row = classes->stride_h * x_row,
        .y_pixel = classes->stride_w * block,
        .out_h = h.count,
        .out_w = w.count,
        .images = g->x.n,
    };
    int tap = block * pass.vectors * block;
    pass.w_offset = (int64_t)(h.first * g->w.kw + w.first) * tap;
    pass.w_tap = w.step * tap;
    pass.w_tap_row = h.step * g->w.kw * tap;
    pass.w_block = g->w.kh * g->w.kw * tap;
    pass.w_panel = (int64_t)pass.blocks * pass.w_block;
    return pass;
}

/* All classes are run by the program of the last one, which is the smallest. */
static struct thaw_direct_pass smallest_pass(const struct thaw_conv_geometry *g,
                                             const struct classes *classes, int block) {
    struct thaw_direct_pass pass =
        class_pass(g, classes, classes->count_h - 1, classes->count_w - 1, block);
    bool alike = g->x.h % classes->stride_h == 0 && g->x.w % classes->stride_w == 0;
    if (alike || (classes->count_h == g->x.h && classes->count_w == g->x.w))
        thaw_direct_pass_join_images(&pass);
    pass.tile = thaw_direct_tile_choose(pass.out_h, pass.out_w, pass.vectors, block);
    return pass;
}

size_t thaw_direct_data_workspace(const struct thaw_conv_problem *problem,
                                  const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    size_t block = (size_t)caps->block;
    return sizeof(float) * block * block * (size_t)channel_blocks(g->x.c, caps->block) *
           (size_t)channel_blocks(g->y.c, caps->block) * (size_t)(g->w.kh * g->w.kw);
}

thaw_status thaw_direct_data_prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                                     struct thaw_conv_state *state) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    int block = thaw_device_get_caps(device)->block;
    struct classes classes = classes_of(g);
    struct thaw_direct_pass pass = smallest_pass(g, &classes, block);
    THAW_TRY(thaw_direct_pass_prepare(device, problem, &pass, &state->kernels[0]));
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "B", block);
    thaw_define_int(&defines, "NV", pass.vectors);
    thaw_define_int(&defines, "BO", g->w.block_o);
    return thaw_kernel_get(device, "conv_direct.cl", "conv_direct_transpose", defines.text,
                           &state->kernels[1]);
}

static thaw_status transpose(thaw_device *device, const struct thaw_conv_problem *problem,
                             const struct thaw_conv_state *state, const struct thaw_conv_run *run,
                             int vectors) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    int blocks_i = thaw_layout_blocks(&g->x);
    struct thaw_range range =
        THAW_RANGE2((size_t)(blocks_i / vectors), (size_t)thaw_layout_blocks(&g->y));
    return thaw_launch(device, state->kernels[1], &range, THAW_ARG_BUFFER(run->w),
                       THAW_ARG_BUFFER(run->workspace), THAW_ARG_INT(blocks_i),
                       THAW_ARG_INT(g->w.kh * g->w.kw));
}

thaw_status thaw_direct_data_run(thaw_device *device, const struct thaw_conv_problem *problem,
                                 const struct thaw_conv_state *state,
                                 const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    int block = thaw_device_get_caps(device)->block;
    struct classes classes = classes_of(g);
    struct thaw_direct_pass smallest = smallest_pass(g, &classes, block);
    THAW_TRY(transpose(device, problem, state, run, smallest.vectors));
    for (int h = 0; h < classes.count_h; h++)
        for (int w = 0; w < classes.count_w; w++) {
            struct thaw_direct_pass pass = class_pass(g, &classes, h, w, block);
            if (pass.taps_h == 0 && problem->accumulate)
                continue;
            if (smallest.row_pixels)
                thaw_direct_pass_join_images(&pass);
            pass.tile = smallest.tile;
            THAW_TRY(thaw_direct_pass_run(device, problem, &pass, state->kernels[0], run->y,
                                          run->workspace, run->x, NULL, run->batch));
        }
    return THAW_OK;
}
