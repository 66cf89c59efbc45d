/* C = op(A) op(B) + beta C with tiles in local memory; see cl/tiled.cl. The default on GPUs
 * where CLBlast is not worth its start: it builds in a fraction of a second and is remembered by
 * the kernel cache. */
#include "kernels/gemm.h"

static struct thaw_tile_product product_of(const struct thaw_gemm_problem *problem) {
    return (struct thaw_tile_product){(size_t)problem->m, (size_t)problem->n, 1, problem->variant};
}

static bool applies(const struct thaw_gemm_problem *problem, const struct thaw_device_caps *caps) {
    return thaw_tile_possible(problem->variant, caps);
}

static thaw_status prepare(thaw_device *device, const struct thaw_gemm_problem *problem,
                           struct thaw_gemm_state *state) {
    struct thaw_tile_product product = product_of(problem);
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "TILED_GEMM", 1);
    thaw_define_int(&defines, "TRANSPOSE_A", problem->transpose_a);
    thaw_define_int(&defines, "TRANSPOSE_B", problem->transpose_b);
    return thaw_tile_kernel(device, "tiled.cl", "gemm_tiled", &defines, &product, &state->tile,
                            &state->kernels[0]);
}

static thaw_status run(thaw_device *device, const struct thaw_gemm_problem *problem,
                       const struct thaw_gemm_state *state, const struct thaw_gemm_run *run) {
    struct thaw_tile_product product = product_of(problem);
    struct thaw_range range = thaw_tile_range(&state->tile, &product);
    return thaw_launch(
        device, state->kernels[0], &range, THAW_ARG_INT(problem->m), THAW_ARG_INT(problem->n),
        THAW_ARG_INT(problem->k), THAW_ARG_BUFFER(run->a), THAW_ARG_LONG(run->a_offset),
        THAW_ARG_INT(problem->lda), THAW_ARG_BUFFER(run->b), THAW_ARG_LONG(run->b_offset),
        THAW_ARG_INT(problem->ldb), THAW_ARG_BUFFER(run->c), THAW_ARG_LONG(run->c_offset),
        THAW_ARG_INT(problem->ldc), THAW_ARG_INT(problem->accumulate));
}

const struct thaw_gemm_candidate thaw_gemm_tiled = {
    .name = "tiled",
    .summary = "local-memory tiles (GPU)",
    .variants = &thaw_tile_variants,
    .applies = applies,
    .prepare = prepare,
    .run = run,
};
