/* Matrix product: one problem, several measured candidates, in the pattern of kernels/conv.h.
 * Row-major C[m][n] = op(A) op(B) + beta * C in floats; list: `gemm_candidates` of meson.build. */
#ifndef THAW_KERNELS_GEMM_H
#define THAW_KERNELS_GEMM_H

#include "kernels/tile.h"

struct thaw_gemm_problem {
    int m, n, k;
    bool transpose_a;  /* A is stored [k][m] */
    bool transpose_b;  /* B is stored [n][k] */
    int lda, ldb, ldc; /* row strides in floats */
    bool accumulate;   /* beta = 1, else 0 */
    int variant;       /* of the candidate (kernels/variant.h); selection sets it */
};

struct thaw_gemm_run {
    cl_mem a, b, c, workspace;
    size_t a_offset, b_offset, c_offset; /* in floats */
};

struct thaw_gemm_state {
    thaw_kernel *kernels[4];
    struct thaw_tile tile; /* of candidates with local-memory tiles */
};

/* A prepared candidate also runs problems with smaller m, n, k, other row strides and the other
 * `accumulate`; transposes stay as they were. Neither workspace nor beta = 0 read what C holds. */
struct thaw_gemm_candidate {
    const char *name, *summary;
    const struct thaw_variants *variants; /* NULL: none */
    bool (*applies)(const struct thaw_gemm_problem *, const struct thaw_device_caps *);
    bool (*recommended)(const struct thaw_gemm_problem *,
                        const struct thaw_device_caps *); /* NULL: always */
    size_t (*workspace_bytes)(const struct thaw_gemm_problem *,
                              const struct thaw_device_caps *); /* NULL: 0 */
    thaw_status (*prepare)(thaw_device *, const struct thaw_gemm_problem *,
                           struct thaw_gemm_state *);
    thaw_status (*run)(thaw_device *, const struct thaw_gemm_problem *,
                       const struct thaw_gemm_state *, const struct thaw_gemm_run *);
};
extern const struct thaw_gemm_candidate *const thaw_gemm_candidates[];
extern const size_t thaw_gemm_candidate_count;

/* A text that names the problem, the key of remembered measurements: "gemm 64x3136x576 ...". Row
 * strides are left out. */
#define THAW_GEMM_KEY_SIZE 96
void thaw_gemm_problem_key(const struct thaw_gemm_problem *problem,
                           char ret_key[THAW_GEMM_KEY_SIZE]);

/* As thaw_conv_find, thaw_conv_usual and thaw_conv_select, for matrix products. */
const struct thaw_gemm_candidate *thaw_gemm_find(const char *name);
const struct thaw_gemm_candidate *thaw_gemm_usual(const struct thaw_gemm_problem *problem,
                                                  const struct thaw_device_caps *caps);
thaw_status thaw_gemm_select(thaw_device *device, struct thaw_gemm_problem *problem,
                             const char *forced, const struct thaw_gemm_candidate **ret_candidate);

/* The largest workspace that any candidate which applies would ask for. */
size_t thaw_gemm_workspace_max(const struct thaw_gemm_problem *problem,
                               const struct thaw_device_caps *caps);

#endif
