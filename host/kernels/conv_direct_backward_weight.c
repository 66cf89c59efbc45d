/* Backward-weight of the candidate `direct`: how the work is cut into chunks of pixels and into
 * work-items (cl/conv_direct_weight.cl). */
#include "core/error.h"
#include "kernels/conv_direct.h"

/* kernels[]: the sums, the reduction of split ones */

#define CHUNK_PIXELS 400 /* what the caches hold of x and y together */
#define ITEMS_PER_UNIT 4
#define PANELS_PER_ITEM 4
#define SMALL_BYTES (256u << 10)

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

static int min_int(int a, int b) {
    return a < b ? a : b;
}

struct plan {
    int vectors, panels, blocks, taps_w, run, rows; /* rows: MR of the kernel */
    int last_run;                                   /* of the last block: without padding */
    int row_pixels;                                 /* as in struct thaw_direct_pass */
    int x_pixel, y_pixel;
    int chunk_images, chunk_h, chunk_w;
    int panels_per_item, blocks_per_item, splits;
};

static int chunk_count(const struct thaw_conv_geometry *g, const struct plan *p, int batch) {
    if (p->row_pixels)
        return ceil_div(batch * p->row_pixels, p->chunk_w);
    return ceil_div(batch, p->chunk_images) * ceil_div(g->y.h, p->chunk_h) *
           ceil_div(g->y.w, p->chunk_w);
}

/* The pixels of all images are one row where they follow each other at one distance. */
static void plan_pixels(const struct thaw_conv_geometry *g, struct plan *p) {
    p->x_pixel = g->stride_w * g->x.block;
    p->y_pixel = g->y.block;
    p->chunk_images = p->chunk_h = 1;
    p->chunk_w = CHUNK_PIXELS;
    bool pointwise = g->w.kh == 1 && g->w.kw == 1 && g->stride_h == 1 && g->stride_w == 1;
    if (g->y.h == 1 && g->y.w == 1) {
        p->row_pixels = 1;
        p->x_pixel = (int)thaw_layout_image_stride(&g->x);
        p->y_pixel = (int)thaw_layout_image_stride(&g->y);
    } else if (pointwise && g->x.halo == 0 && g->y.halo == 0) {
        p->row_pixels = g->y.h * g->y.w;
    } else {
        p->chunk_w = min_int(g->y.w, CHUNK_PIXELS);
        p->chunk_h = min_int(g->y.h, ceil_div(CHUNK_PIXELS / 2, p->chunk_w));
        if (p->chunk_h == g->y.h)
            p->chunk_images = ceil_div(CHUNK_PIXELS / 2, p->chunk_w * p->chunk_h);
    }
}

/* Input channels of a tile: at most 8 to 12 rows of accumulators, and a divisor of the run. */
static int tile_rows(int run, int vectors, int block) {
    int rows = min_int(12, (block == 16 ? 24 : 12) / vectors);
    if (run % 8 == 0 && rows > 8)
        rows = 8;
    while (run % rows != 0)
        rows--;
    return rows;
}

static int item_count(const struct plan *p) {
    return ceil_div(p->panels, p->panels_per_item) * ceil_div(p->blocks, p->blocks_per_item);
}

/* Items by pixels when a few copies of the result are cheap, since then x and y are read once;
 * else by blocks and panels, and by pixels only where those do not suffice. */
static void plan_items(const struct thaw_conv_geometry *g, const struct thaw_device_caps *caps,
                       struct plan *p) {
    int wanted = ITEMS_PER_UNIT * caps->compute_units;
    p->panels_per_item = min_int(p->panels, PANELS_PER_ITEM);
    p->blocks_per_item = p->blocks;
    bool small = thaw_filter_size(&g->w) * sizeof(float) <= SMALL_BYTES;
    while (!small && item_count(p) < wanted) {
        if (p->blocks_per_item > 1)
            p->blocks_per_item = ceil_div(p->blocks_per_item, 2);
        else if (p->panels_per_item > 1)
            p->panels_per_item = ceil_div(p->panels_per_item, 2);
        else
            break;
    }
    if (item_count(p) < wanted)
        p->splits = min_int(ceil_div(wanted, item_count(p)), chunk_count(g, p, g->y.n));
}

static struct plan plan_of(const struct thaw_conv_geometry *g,
                           const struct thaw_device_caps *caps) {
    bool rows = g->x.block < caps->block && g->dilation_w == 1; /* as in forward */
    struct plan p = {
        .vectors = g->w.block_o / caps->block,
        .blocks = thaw_layout_blocks(&g->x),
        .taps_w = rows ? 1 : g->w.kw,
        .run = rows ? g->w.kw * g->x.block : g->x.block,
        .splits = 1,
    };
    p.last_run = rows ? p.run : g->x.c - (p.blocks - 1) * g->x.block;
    p.panels = thaw_layout_blocks(&g->y) / p.vectors;
    p.rows = tile_rows(p.run, p.vectors, caps->block);
    plan_pixels(g, &p);
    plan_items(g, caps, &p);
    return p;
}

size_t thaw_direct_weight_workspace(const struct thaw_conv_problem *problem,
                                    const struct thaw_device_caps *caps) {
    struct plan p = plan_of(&problem->geometry, caps);
    return p.splits > 1 ? (size_t)p.splits * thaw_filter_size(&problem->geometry.w) * sizeof(float)
                        : 0;
}

thaw_status thaw_direct_weight_prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                                       struct thaw_conv_state *state) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct plan p = plan_of(&problem->geometry, caps);
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "B", caps->block);
    thaw_define_int(&defines, "NV", p.vectors);
    thaw_define_int(&defines, "MR", p.rows);
    int turns = problem->geometry.w.kh * p.taps_w * (p.run / p.rows);
    thaw_define_int(&defines, "FETCHES", ceil_div(p.vectors, turns));
    THAW_TRY(thaw_kernel_get(device, "conv_direct_weight.cl", "conv_direct_weight", defines.text,
                             &state->kernels[0]));
    return thaw_kernel_get(device, "conv_direct_weight.cl", "conv_direct_weight_reduce",
                           defines.text, &state->kernels[1]);
}

static thaw_status sum(thaw_device *device, const struct thaw_conv_problem *problem,
                       const struct plan *p, thaw_kernel *kernel, const struct thaw_conv_run *run,
                       int splits, int chunks_per_split) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_layout *x = &g->x, *y = &g->y;
    int x_row = (int)thaw_layout_row_stride(x);
    int64_t x_offset = (int64_t)thaw_layout_origin(x) - (int64_t)g->pad_top * x_row -
                       (int64_t)g->pad_left * x->block;
    bool row = p->row_pixels != 0;
    struct thaw_range range =
        THAW_RANGE3((size_t)ceil_div(p->panels, p->panels_per_item),
                    (size_t)ceil_div(p->blocks, p->blocks_per_item), (size_t)splits);
    return thaw_launch(
        device, kernel, &range, THAW_ARG_BUFFER(run->x), THAW_ARG_BUFFER(run->y),
        THAW_ARG_BUFFER(splits > 1 ? run->workspace : run->w), THAW_ARG_INT(p->panels),
        THAW_ARG_INT(p->blocks), THAW_ARG_INT(g->w.kh), THAW_ARG_INT(p->taps_w),
        THAW_ARG_INT(p->run), THAW_ARG_INT(p->last_run), THAW_ARG_LONG(x_offset),
        THAW_ARG_LONG(thaw_layout_block_stride(x)), THAW_ARG_INT(thaw_layout_image_stride(x)),
        THAW_ARG_INT(g->stride_h * x_row), THAW_ARG_INT(p->x_pixel),
        THAW_ARG_INT(g->dilation_h * x_row), THAW_ARG_INT(g->dilation_w * x->block),
        THAW_ARG_LONG(thaw_layout_origin(y)), THAW_ARG_LONG(thaw_layout_block_stride(y)),
        THAW_ARG_INT(thaw_layout_image_stride(y)), THAW_ARG_INT(thaw_layout_row_stride(y)),
        THAW_ARG_INT(p->y_pixel), THAW_ARG_INT(row ? 1 : run->batch), THAW_ARG_INT(row ? 1 : y->h),
        THAW_ARG_INT(row ? run->batch * p->row_pixels : y->w), THAW_ARG_INT(p->chunk_images),
        THAW_ARG_INT(p->chunk_h), THAW_ARG_INT(p->chunk_w), THAW_ARG_INT(p->panels_per_item),
        THAW_ARG_INT(p->blocks_per_item), THAW_ARG_INT(chunks_per_split),
        THAW_ARG_LONG(thaw_filter_size(&g->w)), THAW_ARG_INT(problem->accumulate && splits == 1));
}

thaw_status thaw_direct_weight_run(thaw_device *device, const struct thaw_conv_problem *problem,
                                   const struct thaw_conv_state *state,
                                   const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct plan p = plan_of(g, caps);
    int chunks = chunk_count(g, &p, run->batch);
    int chunks_per_split = ceil_div(chunks, p.splits);
    int splits = ceil_div(chunks, chunks_per_split); /* those that have a chunk */
    THAW_TRY(sum(device, problem, &p, state->kernels[0], run, splits, chunks_per_split));
    if (splits == 1)
        return THAW_OK;
    size_t size = thaw_filter_size(&g->w);
    struct thaw_range range = THAW_RANGE1((size / (size_t)caps->block + 63) / 64);
    return thaw_launch(device, state->kernels[1], &range, THAW_ARG_BUFFER(run->workspace),
                       THAW_ARG_BUFFER(run->w), THAW_ARG_INT(splits), THAW_ARG_LONG(size),
                       THAW_ARG_INT(problem->accumulate));
}
