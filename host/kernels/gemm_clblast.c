/* C = op(A) op(B) + beta C by CLBlast (C. Nugteren, "CLBlast: A Tuned OpenCL BLAS Library", IWOCL
 * 2018), whose database has tuned tiles for most GPUs.
 *
 * Default on GPUs for large products only: CLBlast compiles its kernels in every process anew
 * (seconds, and it keeps no cache), and below about 512^3 its choice of direct kernels does no
 * better than our tiles. On a CPU it reaches a tenth of the panel kernel. */
#include "kernels/gemm.h"

static bool applies(const struct thaw_gemm_problem *problem, const struct thaw_device_caps *caps) {
    (void)problem, (void)caps;
    return true;
}

static bool recommended(const struct thaw_gemm_problem *problem,
                        const struct thaw_device_caps *caps) {
    double work = (double)problem->m * problem->n * problem->k;
    return !caps->is_cpu && problem->m >= 64 && problem->n >= 64 && work >= 512.0 * 512.0 * 512.0;
}

static thaw_status prepare(thaw_device *device, const struct thaw_gemm_problem *problem,
                           struct thaw_gemm_state *state) {
    (void)device, (void)problem, (void)state; /* CLBlast builds its kernels at the first call */
    return THAW_OK;
}

static thaw_status run(thaw_device *device, const struct thaw_gemm_problem *problem,
                       const struct thaw_gemm_state *state, const struct thaw_gemm_run *run) {
    (void)state;
    struct thaw_gemm_call call = {
        .transpose_a = problem->transpose_a,
        .transpose_b = problem->transpose_b,
        .m = (size_t)problem->m,
        .n = (size_t)problem->n,
        .k = (size_t)problem->k,
        .alpha = 1,
        .beta = problem->accumulate ? 1 : 0,
        .a = run->a,
        .b = run->b,
        .c = run->c,
        .a_offset = run->a_offset,
        .b_offset = run->b_offset,
        .c_offset = run->c_offset,
        .a_stride = (size_t)problem->lda,
        .b_stride = (size_t)problem->ldb,
        .c_stride = (size_t)problem->ldc,
    };
    return thaw_blas_gemm(device, &call);
}

const struct thaw_gemm_candidate thaw_gemm_clblast = {
    .name = "clblast",
    .summary = "the CLBlast library",
    .applies = applies,
    .recommended = recommended,
    .prepare = prepare,
    .run = run,
};
