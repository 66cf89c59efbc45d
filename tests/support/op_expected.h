/* What an op must compute, by the plain reference of its test and by central differences of that:
 * the half of the harness that needs no device (op_harness.h). */
#ifndef THAW_TESTS_OP_EXPECTED_H
#define THAW_TESTS_OP_EXPECTED_H

#include "support/op_harness.h"

/* Inputs, parameters, what flows in, and what must come out, for one batch size. */
struct op_expected {
    struct op_map in[THAW_OP_INPUTS_MAX], params[THAW_OP_PARAMS_MAX], out, grad_out;
    struct op_map grad_in[THAW_OP_INPUTS_MAX], grad_params[THAW_OP_PARAMS_MAX];
    int param_count;
};

static inline int op_input_count(const struct op_test *test) {
    return test->input_count ? test->input_count : 1;
}

/* Whether backward is tested: a fused activation is forward's alone but in ops that train it. */
static inline bool op_has_backward(const struct op_test *test) {
    return !test->forward_only &&
           (test->activation == THAW_ACTIVATION_NONE || thaw_op_find(test->op)->trains_activation);
}

/* Zeros; `data` is freed by the caller. */
struct op_map op_map_new(int n, int c, int h, int w);

/* Gradients that nobody can want (forward_only, targets, statistics) have no data; entries of the
 * others that were not sampled are NaN. */
struct op_expected op_expected_make(const struct op_test *test, const struct thaw_op_spec *spec,
                                    int batch);
void op_expected_finish(struct op_expected *expected);

#endif
