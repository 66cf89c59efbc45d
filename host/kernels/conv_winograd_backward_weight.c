/* Backward-weight of the candidate `winograd`: per plane, the transformed input times the
 * transformed gradient of y, summed over the tiles. Small weights: each item sums its own chunks
 * (fused) and the results are added in their order; else every chunk is three launches and adds to
 * one result. */
#include "core/error.h"
#include "kernels/conv_winograd.h"

enum { FUSED, INPUT, GRADIENT, PRODUCT, OUTPUT }; /* kernels[] */

/* In floats: the chunk's transformed input and gradient. */
static size_t chunk_size(const struct thaw_winograd_plan *p, int block) {
    return THAW_WINOGRAD_PLANES * (size_t)(p->blocks + p->panels * p->vectors) *
           thaw_winograd_line(p, block);
}

static size_t parts(const struct thaw_winograd_plan *p) {
    return p->items ? (size_t)p->items : 1;
}

size_t thaw_winograd_weight_workspace(const struct thaw_conv_problem *problem,
                                      const struct thaw_device_caps *caps) {
    struct thaw_winograd_plan p = thaw_winograd_plan_make(problem, caps);
    return sizeof(float) * parts(&p) *
           (thaw_winograd_weights(&p, caps->block) + chunk_size(&p, caps->block));
}

thaw_status thaw_winograd_weight_prepare(thaw_device *device,
                                         const struct thaw_conv_problem *problem,
                                         struct thaw_conv_state *state) {
    static const char *const names[] = {[FUSED] = "winograd_weight_fused",
                                        [INPUT] = "winograd_input",
                                        [GRADIENT] = "winograd_gradient",
                                        [PRODUCT] = "winograd_weight_product",
                                        [OUTPUT] = "winograd_weight_output"};
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_winograd_plan p = thaw_winograd_plan_make(problem, caps);
    struct thaw_defines defines = {0};
    thaw_winograd_define(&p, caps->block, &defines);
    thaw_define_int(&defines, "MC", caps->block < 8 ? caps->block : p.vectors > 2 ? 4 : 8);
    for (int k = FUSED; k <= OUTPUT; k++)
        THAW_TRY(thaw_kernel_get(device, "conv_winograd.cl", names[k], defines.text,
                                 &state->kernels[k]));
    return THAW_OK;
}

static thaw_status run_fused(thaw_device *device, thaw_kernel *kernel,
                             const struct thaw_winograd_plan *p, const struct thaw_conv_run *run,
                             size_t scratch, int tiles, int items) {
    struct thaw_range range = THAW_RANGE1((size_t)items);
    return thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(run->x), THAW_ARG_BUFFER(run->y),
                       THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(0),
                       THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(scratch),
                       THAW_WINOGRAD_MAP_ARGS(&p->in), THAW_WINOGRAD_MAP_ARGS(&p->out),
                       THAW_WINOGRAD_TILE_ARGS(p, tiles), THAW_ARG_INT(p->chunk),
                       THAW_ARG_INT(p->blocks), THAW_ARG_INT(p->panels));
}

static thaw_status run_chunk(thaw_device *device, const struct thaw_conv_state *state,
                             const struct thaw_winograd_plan *p, const struct thaw_conv_run *run,
                             size_t v, int tiles, int first) {
    int block = thaw_device_get_caps(device)->block;
    int count = tiles - first < p->chunk ? tiles - first : p->chunk;
    size_t z = v + THAW_WINOGRAD_PLANES * (size_t)p->blocks * thaw_winograd_line(p, block);
    THAW_TRY(thaw_winograd_transform(device, state->kernels[INPUT], p, &p->in, p->blocks, run->x,
                                     run->workspace, v, tiles, first));
    THAW_TRY(thaw_winograd_transform(device, state->kernels[GRADIENT], p, &p->out,
                                     p->panels * p->vectors, run->y, run->workspace, z, tiles,
                                     first));
    struct thaw_range range = THAW_RANGE2((size_t)p->panels, THAW_WINOGRAD_PLANES);
    return thaw_launch(device, state->kernels[PRODUCT], &range, THAW_ARG_BUFFER(run->workspace),
                       THAW_ARG_LONG(v), THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(z),
                       THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(0), THAW_ARG_INT(p->blocks),
                       THAW_ARG_INT(count), THAW_ARG_INT(p->chunk), THAW_ARG_INT(first > 0));
}

thaw_status thaw_winograd_weight_run(thaw_device *device, const struct thaw_conv_problem *problem,
                                     const struct thaw_conv_state *state,
                                     const struct thaw_conv_run *run) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_winograd_plan p = thaw_winograd_plan_make(problem, caps);
    size_t scratch = parts(&p) * thaw_winograd_weights(&p, caps->block);
    int tiles = thaw_winograd_tiles(&p, run->batch);
    int chunks = (tiles + p.chunk - 1) / p.chunk;
    int items = p.items < chunks ? p.items : chunks; /* those that have a chunk */
    if (p.items)
        THAW_TRY(run_fused(device, state->kernels[FUSED], &p, run, scratch, tiles, items));
    for (int first = 0; !p.items && first < tiles; first += p.chunk)
        THAW_TRY(run_chunk(device, state, &p, run, scratch, tiles, first));
    struct thaw_range range = THAW_RANGE2((size_t)p.panels, (size_t)p.blocks);
    return thaw_launch(device, state->kernels[OUTPUT], &range, THAW_ARG_BUFFER(run->workspace),
                       THAW_ARG_LONG(0), THAW_ARG_BUFFER(run->w), THAW_ARG_INT(p.items ? items : 1),
                       THAW_ARG_INT(problem->accumulate));
}
