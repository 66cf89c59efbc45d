/* Runs one op outside a graph and compares it with a plain reference in double precision.
 *
 * op_test_run() runs the op on devices with channel blocks 1 and 16, and on one taken for a GPU, in
 * all roles a graph can give it: all gradients; gradients added to existing ones, with halos and a
 * batch smaller than the layout; in place; only some gradients wanted; forward alone. Each time
 * - the output is compared with the reference, and gradients with central differences of it;
 * - what nobody asked for, images past the batch and the floats behind each buffer are unchanged,
 *   halos and lanes past the last channel are zero (outputs start with garbage in those lanes);
 * - a second run gives the same bits. */
#ifndef THAW_TESTS_OP_HARNESS_H
#define THAW_TESTS_OP_HARNESS_H

#include "ops/op.h"
#include "support/device.h"

/* Values in logical order: (n, c, h, w) of an input or output, (o, i, kh, kw) of a parameter. */
struct op_map {
    int n, c, h, w;
    double *data;
};
static inline double *op_at(const struct op_map *m, int n, int c, int y, int x) {
    return &m->data[((n * m->c + c) * m->h + y) * m->w + x];
}
static inline int op_map_count(const struct op_map *m) {
    return m->n * m->c * m->h * m->w;
}

struct op_test;
/* Computes `out` from inputs and parameters; out->n is the batch in use. */
typedef void op_reference(const struct op_test *test, const struct op_map *in,
                          const struct op_map *params, struct op_map *out);

struct op_test {
    const char *op, *attrs;                   /* attrs: YAML, or NULL */
    int input_count;                          /* 0: 1 */
    struct thaw_shape in[THAW_OP_INPUTS_MAX]; /* one more than the op takes: a residual */
    bool image; /* input 0 is the network's image: its block is its channels */
    bool training, batch_statistics;
    bool is_loss;                    /* the gradient flowing in is op_loss_scale, without buffer */
    bool targets;                    /* input 1 is between 0 and 1 and gets no gradient */
    bool forward_only;               /* the reference can't be differentiated by differences */
    float low, high;                 /* of inputs; both 0: -2 and 2 */
    enum thaw_activation activation; /* fused; then forward only, but in ops that train it */
    float activation_parameter;
    const char *conv_candidate; /* forced, or NULL */
    op_reference *reference;
    double tolerance; /* relative to the largest value of each output; 0: 1e-5 */
    const void *user;
    /* Called after forward of each run with `call` still bound; NULL: nothing more to check. */
    void (*after_forward)(const struct op_test *test, const struct thaw_op_call *call,
                          const struct op_map *in, int batch);
};

#define OP_LOSS_SCALE 0.125f
#define OP_SEED 42u
#define OP_COUNTER 7u
#define OP_NODE 3u

void op_test_run(const struct op_test *test);

/* A parameter's value on the device, in file order. */
void op_param_read(const struct thaw_op_call *call, int param, float *ret_data);
/* The initial value of parameter `param` in the harness. */
double op_param_value(const struct op_test *test, int param, int index);

/* parse fails with THAW_ERROR_INPUT and a message that contains `part`. */
void op_parse_fails(const char *op, const char *attrs, const char *part);
/* parse succeeds, infer fails with `status`. */
void op_infer_fails(const struct op_test *test, thaw_status status, const char *part);
/* The spec inferred with channel block `block`. */
struct thaw_op_spec op_infer(const struct op_test *test, int block);

#endif
