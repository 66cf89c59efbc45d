#include "kernels/gemm.h"

#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/text.h"
#include "kernels/tuning.h"

#define X(name) extern const struct thaw_gemm_candidate thaw_gemm_##name;
#include "gemm_candidates.inc"
#undef X

#define X(name) &thaw_gemm_##name,
const struct thaw_gemm_candidate *const thaw_gemm_candidates[] = {
#include "gemm_candidates.inc"
};
#undef X
const size_t thaw_gemm_candidate_count =
    sizeof thaw_gemm_candidates / sizeof thaw_gemm_candidates[0];

void thaw_gemm_problem_key(const struct thaw_gemm_problem *problem,
                           char ret_key[THAW_GEMM_KEY_SIZE]) {
    snprintf(ret_key, THAW_GEMM_KEY_SIZE, "gemm %dx%dx%d%s%s%s", problem->m, problem->n, problem->k,
             problem->transpose_a ? " transpose-a" : "", problem->transpose_b ? " transpose-b" : "",
             problem->accumulate ? " accumulate" : "");
}

const struct thaw_gemm_candidate *thaw_gemm_find(const char *name) {
    for (size_t i = 0; i < thaw_gemm_candidate_count; i++)
        if (strcmp(name, thaw_gemm_candidates[i]->name) == 0)
            return thaw_gemm_candidates[i];
    return NULL;
}

static thaw_status fail_unknown(const char *name) {
    const char *names[sizeof thaw_gemm_candidates / sizeof thaw_gemm_candidates[0]];
    for (size_t i = 0; i < thaw_gemm_candidate_count; i++)
        names[i] = thaw_gemm_candidates[i]->name;
    const char *nearest = thaw_nearest(name, names, thaw_gemm_candidate_count);
    return thaw_fail(THAW_ERROR_INPUT, "unknown matrix product '%s'%s%s%s", name,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "");
}

const struct thaw_gemm_candidate *thaw_gemm_usual(const struct thaw_gemm_problem *problem,
                                                  const struct thaw_device_caps *caps) {
    for (size_t i = 0; i < thaw_gemm_candidate_count; i++) {
        const struct thaw_gemm_candidate *candidate = thaw_gemm_candidates[i];
        if (candidate->applies(problem, caps) &&
            (!candidate->recommended || candidate->recommended(problem, caps)))
            return candidate;
    }
    return NULL;
}

/* The measured choice, or NULL. */
static const struct thaw_gemm_candidate *remembered(thaw_device *device,
                                                    struct thaw_gemm_problem *problem) {
    char key[THAW_GEMM_KEY_SIZE];
    struct thaw_tuning_choice choice;
    thaw_gemm_problem_key(problem, key);
    if (!thaw_tuning_find(device, key, &choice))
        return NULL;
    const struct thaw_gemm_candidate *candidate = thaw_gemm_find(choice.candidate);
    problem->variant = choice.variant;
    if (candidate && candidate->applies(problem, thaw_device_get_caps(device)))
        return candidate;
    problem->variant = 0;
    return NULL;
}

thaw_status thaw_gemm_select(thaw_device *device, struct thaw_gemm_problem *problem,
                             const char *forced, const struct thaw_gemm_candidate **ret_candidate) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    const struct thaw_gemm_candidate *choice = NULL;
    if (forced) {
        choice = thaw_gemm_find(forced);
        if (!choice)
            return fail_unknown(forced);
    }
    if (!choice || !choice->applies(problem, caps)) {
        problem->variant = 0;
        choice = remembered(device, problem);
    }
    if (!choice)
        choice = thaw_gemm_usual(problem, caps);
    if (!choice)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "no matrix product of %d x %d x %d for this device", problem->m,
                         problem->n, problem->k);
    *ret_candidate = choice;
    return THAW_OK;
}

size_t thaw_gemm_workspace_max(const struct thaw_gemm_problem *problem,
                               const struct thaw_device_caps *caps) {
    size_t most = 0;
    for (size_t i = 0; i < thaw_gemm_candidate_count; i++) {
        const struct thaw_gemm_candidate *candidate = thaw_gemm_candidates[i];
        if (!candidate->workspace_bytes || !candidate->applies(problem, caps))
            continue;
        size_t bytes = candidate->workspace_bytes(problem, caps);
        most = bytes > most ? bytes : most;
    }
    return most;
}
