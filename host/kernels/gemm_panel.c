/* C = op(A) op(B) + beta C on CPU devices: packed panels and a register tile of MR rows by two
 * vectors; see cl/gemm_panel.cl. The default on CPUs, where it reaches the native BLAS and CLBlast
 * does not. Needs no work-groups of more than one item, so it also serves any device that has no
 * larger ones. */
#include "kernels/gemm.h"

/* kernels[]: pack A, pack B, multiply */

static int vector_width(const struct thaw_device_caps *caps) {
    return caps->block >= 4 ? caps->block : 8;
}

/* Twice as many sums as rows, one register for each vector of B: 14 rows fit 32 registers
 * (AVX-512), 6 fit 16. */
static int tile_rows(const struct thaw_device_caps *caps) {
    return vector_width(caps) == 16 ? 14 : 6;
}

static size_t packed_floats(int rows, int panel, int depth) {
    return (size_t)((rows + panel - 1) / panel) * (size_t)panel * (size_t)depth;
}

static bool applies(const struct thaw_gemm_problem *problem, const struct thaw_device_caps *caps) {
    (void)problem;
    return caps->is_cpu || caps->max_work_group_size < THAW_TILE_GROUP_MIN;
}

static size_t workspace_bytes(const struct thaw_gemm_problem *problem,
                              const struct thaw_device_caps *caps) {
    return sizeof(float) * (packed_floats(problem->m, tile_rows(caps), problem->k) +
                            packed_floats(problem->n, 2 * vector_width(caps), problem->k));
}

static thaw_status get_pack(thaw_device *device, int panel, bool k_unit, thaw_kernel **ret_kernel) {
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "PACK_R", panel);
    thaw_define_int(&defines, "PACK_K_UNIT", k_unit);
    return thaw_kernel_get(device, "gemm_panel.cl", "gemm_pack", defines.text, ret_kernel);
}

static thaw_status prepare(thaw_device *device, const struct thaw_gemm_problem *problem,
                           struct thaw_gemm_state *state) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    int v = vector_width(caps), mr = tile_rows(caps);
    THAW_TRY(get_pack(device, mr, !problem->transpose_a, &state->kernels[0]));
    THAW_TRY(get_pack(device, 2 * v, problem->transpose_b, &state->kernels[1]));
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "V", v);
    thaw_define_int(&defines, "MR", mr);
    return thaw_kernel_get(device, "gemm_panel.cl", "gemm_panel", defines.text, &state->kernels[2]);
}

static thaw_status run(thaw_device *device, const struct thaw_gemm_problem *problem,
                       const struct thaw_gemm_state *state, const struct thaw_gemm_run *run) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    int mr = tile_rows(caps), nr = 2 * vector_width(caps);
    size_t row_tiles = (size_t)((problem->m + mr - 1) / mr);
    size_t panels = (size_t)((problem->n + nr - 1) / nr);
    size_t b_offset = packed_floats(problem->m, mr, problem->k);

    struct thaw_range pack_a = {1, {row_tiles, 1, 1}, {1, 1, 1}};
    THAW_TRY(thaw_launch(device, state->kernels[0], &pack_a, THAW_ARG_BUFFER(run->a),
                         THAW_ARG_LONG(run->a_offset), THAW_ARG_INT(problem->lda),
                         THAW_ARG_INT(problem->m), THAW_ARG_INT(problem->k),
                         THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(0)));
    struct thaw_range pack_b = {1, {panels, 1, 1}, {1, 1, 1}};
    THAW_TRY(thaw_launch(device, state->kernels[1], &pack_b, THAW_ARG_BUFFER(run->b),
                         THAW_ARG_LONG(run->b_offset), THAW_ARG_INT(problem->ldb),
                         THAW_ARG_INT(problem->n), THAW_ARG_INT(problem->k),
                         THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(b_offset)));
    /* As many row tiles to an item as leave four items to a core: they share its panel of B. */
    size_t wanted = 4 * (size_t)caps->compute_units;
    size_t tiles = row_tiles * panels / wanted;
    tiles = tiles < 1 ? 1 : tiles > 32 ? 32 : tiles;
    struct thaw_range range = {2, {panels, (row_tiles + tiles - 1) / tiles, 1}, {1, 1, 1}};
    return thaw_launch(
        device, state->kernels[2], &range, THAW_ARG_INT(problem->m), THAW_ARG_INT(problem->n),
        THAW_ARG_INT(problem->k), THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(b_offset),
        THAW_ARG_BUFFER(run->c), THAW_ARG_LONG(run->c_offset), THAW_ARG_INT(problem->ldc),
        THAW_ARG_INT(problem->accumulate), THAW_ARG_INT(tiles));
}

const struct thaw_gemm_candidate thaw_gemm_panel = {
    .name = "panel",
    .summary = "packed panels, one register tile per work-item (CPU)",
    .applies = applies,
    .workspace_bytes = workspace_bytes,
    .prepare = prepare,
    .run = run,
};
