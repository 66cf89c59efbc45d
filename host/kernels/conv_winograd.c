/* Winograd convolution F(4x4, 3x3) for CPU devices: 3x3, stride 1, one group. A quarter of the
 * multiplications of the direct sum, for an error some ten times as large (cl/conv_winograd.cl).
 * This file: the candidate, forward and backward-data, which is forward on the gradient of y with
 * the weights turned round. */
#include "kernels/conv_winograd.h"

#include <limits.h>

#include "core/error.h"
#include "kernels/conv_direct.h"

/* Tiles of a chunk: with scratch memory that stays in a core's cache, and for three launches. */
#define FUSED_CHUNK 56
#define CHUNK 448
/* Weights whose transform no longer stays in a core's cache beside the scratch memory. */
#define FUSED_WEIGHTS (256 * 256)
#define TRANSFORM_TILES 16                  /* of an item */
#define CACHE_BYTES (1 << 20)               /* of a core */
#define CACHE_WEIGHTS (CACHE_BYTES * 3 / 4) /* transformed weights that leave room for a chunk */
#define STREAM_BYTES ((size_t)8 << 20)

/* kernels[] */
enum { WEIGHTS, FUSED, INPUT, PRODUCT, OUTPUT };

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

static int min_int(int a, int b) {
    return a < b ? a : b;
}

/* ---- the plan ------------------------------------------------------------------------------- */

static struct thaw_winograd_map map_of(const struct thaw_layout *l, int pad_top, int pad_left) {
    int row = (int)thaw_layout_row_stride(l);
    return (struct thaw_winograd_map){
        .offset =
            (int64_t)thaw_layout_origin(l) - (int64_t)pad_top * row - (int64_t)pad_left * l->block,
        .block = (int64_t)thaw_layout_block_stride(l),
        .image = (int)thaw_layout_image_stride(l),
        .row = row,
    };
}

int thaw_winograd_tiles(const struct thaw_winograd_plan *plan, int batch) {
    return batch * ceil_div(plan->out_h, THAW_WINOGRAD_TILE) *
           ceil_div(plan->out_w, THAW_WINOGRAD_TILE);
}

size_t thaw_winograd_line(const struct thaw_winograd_plan *plan, int block) {
    return (size_t)(plan->chunk + 1) * (size_t)block;
}

size_t thaw_winograd_weights(const struct thaw_winograd_plan *plan, int block) {
    return (size_t)THAW_WINOGRAD_PLANES * (size_t)plan->blocks * (size_t)plan->panels *
           (size_t)plan->vectors * (size_t)block * (size_t)block;
}

/* Tiles of a product: as many as there are accumulators for, or fewer where they cover the tiles
 * with less left over. A product of r tiles takes r * vectors multiply-adds, and some time besides.
 */
static int choose_rows(int tiles, int vectors, int block) {
    int most = (block == 16 ? 28 : 12) / vectors, best = most;
    int64_t best_time = INT64_MAX;
    for (int rows = most; rows > most / 2; rows--) {
        int64_t time = (int64_t)ceil_div(tiles, rows) * (rows * vectors + 2);
        if (time < best_time) {
            best_time = time;
            best = rows;
        }
    }
    return best;
}

/* Tiles of a chunk whose scratch memory stays in a core's cache, with the weights if they fit. */
static int fused_chunk(const struct thaw_winograd_plan *p, int block) {
    size_t weights = thaw_winograd_weights(p, block) * sizeof(float);
    size_t tile =
        THAW_WINOGRAD_PLANES * (size_t)(p->blocks + p->vectors) * (size_t)block * sizeof(float);
    size_t left = CACHE_BYTES - (weights <= CACHE_WEIGHTS ? weights : 0);
    return min_int(FUSED_CHUNK, (int)(left / tile));
}

/* What measuring may find better than plan_chunks does by itself. */
static const int ways[][2] = {{1, 28}, {1, 56}, {1, 112}, {0, 112}, {0, 224}, {0, 448}, {0, 896}};
static const char *const way_names[] = {"fused", "chunk"};
static const struct thaw_variants variants = {way_names, 2, ways[0], sizeof ways / sizeof *ways};

/* Chunks of equal size, as many for each item. */
static void plan_chunks(struct thaw_winograd_plan *p, int variant,
                        const struct thaw_device_caps *caps) {
    int groups = ceil_div(p->tiles, p->tile_rows);
    int64_t weights = (int64_t)p->blocks * p->panels * p->vectors * caps->block * caps->block;
    bool fused = weights < FUSED_WEIGHTS && groups >= 2 * caps->compute_units;
    int chunk = fused ? fused_chunk(p, caps->block) : CHUNK;
    if (variant) {
        fused = ways[variant - 1][0];
        chunk = ways[variant - 1][1];
    }
    int most = chunk / p->tile_rows; /* groups in a chunk */
    p->items = fused ? min_int(caps->compute_units, groups) : 0;
    int share = fused ? ceil_div(groups, p->items) : groups;
    p->chunk = ceil_div(share, ceil_div(share, most > 0 ? most : 1)) * p->tile_rows;
}

struct thaw_winograd_plan thaw_winograd_plan_make(const struct thaw_conv_problem *problem,
                                                  const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    bool data = problem->direction == THAW_CONV_BACKWARD_DATA;
    const struct thaw_layout *in = data ? &g->y : &g->x, *out = data ? &g->x : &g->y;
    struct thaw_winograd_plan p = {
        .in = map_of(in, data ? 2 - g->pad_top : g->pad_top, data ? 2 - g->pad_left : g->pad_left),
        .out = map_of(out, 0, 0),
        .blocks = thaw_layout_blocks(in),
        .vectors = thaw_direct_vectors(out->c, caps->block),
        .out_h = out->h,
        .out_w = out->w,
        .channels = out->c,
    };
    p.panels = thaw_layout_blocks(out) / p.vectors;
    p.tiles = thaw_winograd_tiles(&p, out->n);
    p.tile_rows = choose_rows(p.tiles, p.vectors, caps->block);
    plan_chunks(&p, problem->variant, caps);
    return p;
}

void thaw_winograd_define(const struct thaw_winograd_plan *plan, int block,
                          struct thaw_defines *defines) {
    thaw_define_int(defines, "B", block);
    thaw_define_int(defines, "NV", plan->vectors);
    thaw_define_int(defines, "MT", plan->tile_rows);
}

/* Scratch memory of the fused kernel, or the transformed chunk and its products. */
static size_t scratch_size(const struct thaw_winograd_plan *p, int block) {
    size_t lines = p->items ? (size_t)p->items * (size_t)(p->blocks + p->vectors)
                            : (size_t)(p->blocks + p->panels * p->vectors);
    return THAW_WINOGRAD_PLANES * lines * thaw_winograd_line(p, block);
}

/* ---- the candidate -------------------------------------------------------------------------- */

static bool applies(const struct thaw_conv_problem *problem, const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    bool kernel = g->w.kh == 3 && g->w.kw == 3 && g->stride_h == 1 && g->stride_w == 1 &&
                  g->dilation_h == 1 && g->dilation_w == 1;
    /* A gradient of one pixel has no halo (conv.h), and nothing to gain. */
    bool map = g->y.h > 1 || g->y.w > 1;
    /* Taken apart into scalars, the transforms are thousands of instructions in a row: Mesa's
     * llvmpipe compiled one kernel for more than six minutes. */
    return caps->has_vectors && kernel && map && g->x.block == caps->block && g->pad_top <= 2 &&
           g->pad_left <= 2 && thaw_direct_applies(problem, caps);
}

/* Multiply-adds for each pair of channels, counting the transforms of a tile and of the weights by
 * the time that they take (measured). */
static bool recommended(const struct thaw_conv_problem *problem,
                        const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    struct thaw_winograd_plan p = thaw_winograd_plan_make(problem, caps);
    int images = g->x.n;
    double direct = 9.0 * images * p.out_h * p.out_w;
    double tile = 41 + 900.0 / g->x.c + 900.0 / g->y.c, weights = 1280;
    return direct > tile * p.tiles + weights;
}

static size_t workspace_bytes(const struct thaw_conv_problem *problem,
                              const struct thaw_device_caps *caps) {
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return thaw_winograd_weight_workspace(problem, caps);
    struct thaw_winograd_plan p = thaw_winograd_plan_make(problem, caps);
    return sizeof(float) * (thaw_winograd_weights(&p, caps->block) + scratch_size(&p, caps->block));
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    bool data = problem->direction == THAW_CONV_BACKWARD_DATA;
    const char *const names[] = {[WEIGHTS] = data ? "winograd_weights_turned" : "winograd_weights",
                                 [FUSED] = "winograd_fused",
                                 [INPUT] = "winograd_input",
                                 [PRODUCT] = "winograd_product",
                                 [OUTPUT] = "winograd_output"};
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    const struct thaw_conv_geometry *g = &problem->geometry;
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return thaw_winograd_weight_prepare(device, problem, state);
    struct thaw_winograd_plan p = thaw_winograd_plan_make(problem, caps);
    struct thaw_defines defines = {0};
    thaw_winograd_define(&p, caps->block, &defines);
    thaw_define_text(&defines, "ACT", thaw_activation_name(problem->activation));
    if (!thaw_activation_keeps_zero(problem->activation) && p.channels % caps->block != 0)
        thaw_define_int(&defines, "ZERO_PADDING", 1);
    if (thaw_direct_streams(problem, caps))
        thaw_define_int(&defines, "STREAM", 1);
    thaw_define_int(&defines, "BO", g->w.block_o);
    size_t weights = thaw_winograd_weights(&p, caps->block) * sizeof(float);
    thaw_define_int(&defines, "FETCH_WEIGHTS", weights > CACHE_WEIGHTS);
    if (weights >= STREAM_BYTES && caps->block == 16 && caps->base_align_bytes % 64 == 0)
        thaw_define_int(&defines, "STREAM_WEIGHTS", 1); /* whole lines of a cache */
    for (int k = WEIGHTS; k <= OUTPUT; k++)
        THAW_TRY(thaw_kernel_get(device, "conv_winograd.cl", names[k], defines.text,
                                 &state->kernels[k]));
    return THAW_OK;
}

/* ---- running -------------------------------------------------------------------------------- */

thaw_status thaw_winograd_transform(thaw_device *device, thaw_kernel *kernel,
                                    const struct thaw_winograd_plan *p,
                                    const struct thaw_winograd_map *map, int blocks, cl_mem from,
                                    cl_mem to, size_t to_offset, int tiles, int first) {
    struct thaw_range range = THAW_RANGE2(
        (size_t)blocks, (size_t)ceil_div(min_int(p->chunk, tiles - first), TRANSFORM_TILES));
    return thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(from), THAW_ARG_BUFFER(to),
                       THAW_ARG_LONG(to_offset), THAW_WINOGRAD_MAP_ARGS(map),
                       THAW_WINOGRAD_TILE_ARGS(p, tiles), THAW_ARG_INT(p->chunk),
                       THAW_ARG_INT(first), THAW_ARG_INT(TRANSFORM_TILES));
}

/* The buffers of a run, by the direction; offsets into the workspace in floats. */
struct buffers {
    cl_mem in, out, bias, workspace;
    size_t u, scratch;
};

static thaw_status transform_weights(thaw_device *device, const struct thaw_conv_state *state,
                                     const struct thaw_conv_run *run,
                                     const struct thaw_winograd_plan *p, const struct buffers *b) {
    struct thaw_range range = THAW_RANGE2((size_t)p->panels, (size_t)p->blocks);
    return thaw_launch(device, state->kernels[WEIGHTS], &range, THAW_ARG_BUFFER(run->w),
                       THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(b->u));
}

static thaw_status run_fused(thaw_device *device, const struct thaw_conv_problem *problem,
                             thaw_kernel *kernel, const struct thaw_winograd_plan *p,
                             const struct buffers *b, int tiles) {
    struct thaw_range range = THAW_RANGE1((size_t)p->items);
    return thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(b->in),
                       THAW_ARG_BUFFER(b->workspace), THAW_ARG_LONG(b->u), THAW_ARG_BUFFER(b->out),
                       THAW_ARG_BUFFER(b->bias), THAW_ARG_BUFFER(b->workspace),
                       THAW_ARG_LONG(b->scratch), THAW_WINOGRAD_MAP_ARGS(&p->in),
                       THAW_WINOGRAD_MAP_ARGS(&p->out), THAW_WINOGRAD_TILE_ARGS(p, tiles),
                       THAW_ARG_INT(p->chunk), THAW_ARG_INT(p->blocks), THAW_ARG_INT(p->panels),
                       THAW_ARG_INT(problem->bias), THAW_ARG_FLOAT(problem->activation_parameter),
                       THAW_ARG_INT(problem->accumulate), THAW_ARG_INT(p->channels));
}

/* Tiles of an item of winograd_product: few enough for every compute unit to have some. */
static int product_tiles(const struct thaw_winograd_plan *p, int count, int units) {
    int groups = ceil_div(count, p->tile_rows), items = p->panels * THAW_WINOGRAD_PLANES;
    int splits = min_int(groups, ceil_div(8 * units, items));
    return ceil_div(groups, splits) * p->tile_rows;
}

static thaw_status run_chunk(thaw_device *device, const struct thaw_conv_problem *problem,
                             const struct thaw_conv_state *state,
                             const struct thaw_winograd_plan *p, const struct buffers *b, int tiles,
                             int first) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    int count = min_int(p->chunk, tiles - first);
    size_t products =
        b->scratch + THAW_WINOGRAD_PLANES * (size_t)p->blocks * thaw_winograd_line(p, caps->block);
    THAW_TRY(thaw_winograd_transform(device, state->kernels[INPUT], p, &p->in, p->blocks, b->in,
                                     b->workspace, b->scratch, tiles, first));
    int tiles_per_item = product_tiles(p, count, caps->compute_units);
    struct thaw_range range = THAW_RANGE3((size_t)p->panels, THAW_WINOGRAD_PLANES,
                                          (size_t)ceil_div(count, tiles_per_item));
    THAW_TRY(thaw_launch(device, state->kernels[PRODUCT], &range, THAW_ARG_BUFFER(b->workspace),
                         THAW_ARG_LONG(b->scratch), THAW_ARG_BUFFER(b->workspace),
                         THAW_ARG_LONG(b->u), THAW_ARG_BUFFER(b->workspace),
                         THAW_ARG_LONG(products), THAW_ARG_INT(p->blocks), THAW_ARG_INT(count),
                         THAW_ARG_INT(p->chunk), THAW_ARG_INT(tiles_per_item)));
    struct thaw_range out =
        THAW_RANGE2((size_t)(p->panels * p->vectors), (size_t)ceil_div(count, TRANSFORM_TILES));
    return thaw_launch(device, state->kernels[OUTPUT], &out, THAW_ARG_BUFFER(b->workspace),
                       THAW_ARG_LONG(products), THAW_ARG_BUFFER(b->out), THAW_ARG_BUFFER(b->bias),
                       THAW_WINOGRAD_MAP_ARGS(&p->out), THAW_WINOGRAD_TILE_ARGS(p, tiles),
                       THAW_ARG_INT(p->chunk), THAW_ARG_INT(first), THAW_ARG_INT(TRANSFORM_TILES),
                       THAW_ARG_INT(problem->bias), THAW_ARG_FLOAT(problem->activation_parameter),
                       THAW_ARG_INT(problem->accumulate), THAW_ARG_INT(p->channels));
}

static thaw_status run(thaw_device *device, const struct thaw_conv_problem *problem,
                       const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return thaw_winograd_weight_run(device, problem, state, run);
    bool data = problem->direction == THAW_CONV_BACKWARD_DATA;
    struct thaw_winograd_plan p = thaw_winograd_plan_make(problem, caps);
    struct buffers b = {.in = data ? run->y : run->x,
                        .out = data ? run->x : run->y,
                        .bias = problem->bias ? run->bias : run->w,
                        .workspace = run->workspace,
                        .scratch = thaw_winograd_weights(&p, caps->block)};
    int tiles = thaw_winograd_tiles(&p, run->batch);
    THAW_TRY(transform_weights(device, state, run, &p, &b));
    if (p.items)
        return run_fused(device, problem, state->kernels[FUSED], &p, &b, tiles);
    for (int first = 0; first < tiles; first += p.chunk)
        THAW_TRY(run_chunk(device, problem, state, &p, &b, tiles, first));
    return THAW_OK;
}

const struct thaw_conv_candidate thaw_conv_winograd = {
    .name = "winograd",
    .summary = "3x3 by Winograd's F(4x4, 3x3), a quarter of the multiplications (CPU)",
    .variants = &variants,
    .applies = applies,
    .recommended = recommended,
    .workspace_bytes = workspace_bytes,
    .prepare = prepare,
    .run = run,
};
