/* Activations against their definitions in double precision. */
#include <math.h>
#include <string.h>

#include "support/op_harness.h"

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static double elu(double x, double alpha) {
    return x > 0 ? x : alpha * (exp(x) - 1);
}

/* Of the ops with parameters p and q. */
static double value_with(const char *op, double x, double p, double q) {
    if (!strcmp(op, "leaky_relu"))
        return x > 0 ? x : p * x;
    if (!strcmp(op, "elu"))
        return elu(x, p);
    if (!strcmp(op, "selu"))
        return q * elu(x, p);
    if (!strcmp(op, "celu"))
        return fmax(x, 0) + fmin(0, p * (exp(x / p) - 1));
    if (!strcmp(op, "thresholded_relu"))
        return x > p ? x : 0;
    if (!strcmp(op, "hardsigmoid"))
        return fmin(fmax(p * x + q, 0), 1);
    assert_string_equal(op, "clip");
    return fmin(fmax(x, p), q);
}

static double value(const char *op, double x) {
    if (!strcmp(op, "relu"))
        return fmax(x, 0);
    if (!strcmp(op, "relu6"))
        return fmin(fmax(x, 0), 6);
    if (!strcmp(op, "sigmoid"))
        return sigmoid(x);
    if (!strcmp(op, "silu"))
        return x * sigmoid(x);
    if (!strcmp(op, "gelu"))
        return x * erfc(-x / sqrt(2)) / 2;
    if (!strcmp(op, "tanh"))
        return tanh(x);
    if (!strcmp(op, "softplus"))
        return log(1 + exp(x));
    if (!strcmp(op, "softsign"))
        return x / (1 + fabs(x));
    if (!strcmp(op, "mish"))
        return x * tanh(log(1 + exp(x)));
    if (!strcmp(op, "erf"))
        return erf(x);
    assert_string_equal(op, "hardswish");
    return x * fmin(fmax(x + 3, 0), 6) / 6;
}

static void reference(const struct op_test *test, const struct op_map *in,
                      const struct op_map *params, struct op_map *out) {
    (void)params;
    const double *with = test->user;
    for (int i = 0; i < op_map_count(out); i++)
        out->data[i] = with ? value_with(test->op, in->data[i], with[0], with[1])
                            : value(test->op, in->data[i]);
}

/* `with`: two parameters, or NULL for an op that has none. */
static void run(const char *op, const char *attrs, const double *with, struct thaw_shape shape) {
    struct op_test test = {.op = op,
                           .attrs = attrs,
                           .in = {shape},
                           .low = -8,
                           .high = 8,
                           .reference = reference,
                           .user = with};
    op_test_run(&test);
}

static void run_all(const char *op, const char *attrs, const double *with) {
    static const struct thaw_shape shapes[] = {{2, 5, 3, 4}, {3, 16, 1, 1}, {2, 35, 5, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        run(op, attrs, with, shapes[i]);
}

static void test_plain(void **state) {
    (void)state;
    static const char *const ops[] = {"relu", "relu6",    "sigmoid",  "silu", "hardswish", "gelu",
                                      "tanh", "softplus", "softsign", "mish", "erf"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        run_all(ops[i], NULL, NULL);
}

static void test_parameters(void **state) {
    (void)state;
    static const struct {
        const char *op, *attrs;
        double with[2];
    } cases[] = {
        {"leaky_relu", NULL, {0.01}},
        {"leaky_relu", "{slope: 0.25}", {0.25}},
        {"leaky_relu", "{slope: 0}", {0}},
        {"elu", NULL, {1}},
        {"elu", "{alpha: -0.5}", {-0.5}},
        {"selu", NULL, {1.6732632423543772, 1.0507009873554805}},
        {"selu", "{alpha: 2, gamma: 3}", {2, 3}},
        {"celu", NULL, {1}},
        {"celu", "{alpha: 2.5}", {2.5}},
        {"thresholded_relu", NULL, {1}},
        {"thresholded_relu", "{alpha: -0.3}", {-0.3}},
        {"hardsigmoid", NULL, {1.0 / 6, 0.5}},
        {"hardsigmoid", "{alpha: 0.2, beta: 0.6}", {0.2, 0.6}},
        {"clip", "{min: -1.5, max: 2}", {-1.5, 2}},
        {"clip", "{max: 2}", {-INFINITY, 2}},
        {"clip", "{min: 0.5}", {0.5, INFINITY}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run(cases[i].op, cases[i].attrs, cases[i].with, (struct thaw_shape){2, 21, 5, 2});
}

static void gelu_tanh(const struct op_test *test, const struct op_map *in,
                      const struct op_map *params, struct op_map *out) {
    (void)test, (void)params;
    for (int i = 0; i < op_map_count(out); i++) {
        double x = in->data[i];
        out->data[i] = x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    }
}

static void test_gelu_tanh(void **state) {
    (void)state;
    struct op_test test = {.op = "gelu",
                           .attrs = "{approximate: tanh}",
                           .in = {{2, 21, 5, 2}},
                           .low = -8,
                           .high = 8,
                           .reference = gelu_tanh};
    op_test_run(&test);
    test = (struct op_test){.op = "gelu",
                            .attrs = "{approximate: none}",
                            .in = {{2, 21, 5, 2}},
                            .reference = reference};
    op_test_run(&test);
}

/* Far from zero nothing overflows. */
static void test_far(void **state) {
    (void)state;
    static const char *const ops[] = {"softplus", "softsign", "mish", "gelu", "elu"};
    static const double one[2] = {1};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct op_test test = {.op = ops[i],
                               .in = {{2, 5, 3, 4}},
                               .low = -500,
                               .high = 500,
                               .reference = reference,
                               .user = strcmp(ops[i], "elu") ? NULL : one};
        op_test_run(&test);
    }
}

/* A large map takes the paths of whole rows and of several work-items. */
static void test_large(void **state) {
    (void)state;
    struct op_test test = {
        .op = "relu", .in = {{3, 18, 37, 41}}, .reference = reference, .forward_only = true};
    op_test_run(&test);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("relu", "{slope: 1}", "unknown key 'slope'");
    op_parse_fails("leaky_relu", "{slop: 1}", "nearest: 'slope'");
    op_parse_fails("leaky_relu", "{slope: x}", "attrs:1:9");
    op_parse_fails("leaky_relu", "{slope: -1}", "from 0 to");
    op_parse_fails("silu", "3", "a mapping");
    op_parse_fails("elu", "{alfa: 1}", "nearest: 'alpha'");
    op_parse_fails("celu", "{alpha: 0}", "attrs:1:9");
    op_parse_fails("clip", "{min: 2, max: 1}", "'min' is greater than 'max'");
    op_parse_fails("gelu", "{approximate: tan}", "nearest: 'tanh'");
    struct op_test image = {.op = "relu", .in = {{1, 3, 4, 4}}, .image = true};
    op_infer_fails(&image, THAW_ERROR_UNSUPPORTED, "reads the network's image");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),     cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_gelu_tanh), cmocka_unit_test(test_far),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
