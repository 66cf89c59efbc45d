/* Activations against their definitions in double precision. */
#include <math.h>
#include <string.h>

#include "support/op_harness.h"

static double value(const char *op, double x, double slope) {
    if (!strcmp(op, "relu"))
        return fmax(x, 0);
    if (!strcmp(op, "relu6"))
        return fmin(fmax(x, 0), 6);
    if (!strcmp(op, "leaky_relu"))
        return x > 0 ? x : slope * x;
    if (!strcmp(op, "sigmoid"))
        return 1 / (1 + exp(-x));
    if (!strcmp(op, "silu"))
        return x / (1 + exp(-x));
    if (!strcmp(op, "hardsigmoid"))
        return fmin(fmax(x + 3, 0), 6) / 6;
    if (!strcmp(op, "gelu"))
        return x * erfc(-x / sqrt(2)) / 2;
    return x * fmin(fmax(x + 3, 0), 6) / 6; /* hardswish */
}

static void reference(const struct op_test *test, const struct op_map *in,
                      const struct op_map *params, struct op_map *out) {
    (void)params;
    double slope = test->user ? *(const double *)test->user : 0.01;
    for (int i = 0; i < op_map_count(out); i++)
        out->data[i] = value(test->op, in->data[i], slope);
}

static void run_all(const char *op, const char *attrs, const double *slope) {
    static const struct thaw_shape shapes[] = {{2, 5, 3, 4}, {3, 16, 1, 1}, {2, 35, 5, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct op_test test = {.op = op,
                               .attrs = attrs,
                               .in = {shapes[i]},
                               .low = -8,
                               .high = 8,
                               .reference = reference,
                               .user = slope};
        op_test_run(&test);
    }
}

static void test_all(void **state) {
    (void)state;
    static const char *const ops[] = {"relu", "relu6",     "leaky_relu",  "sigmoid",
                                      "silu", "hardswish", "hardsigmoid", "gelu"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        run_all(ops[i], NULL, NULL);
}

static void test_slope(void **state) {
    (void)state;
    static const double slope = 0.25, zero = 0;
    run_all("leaky_relu", "{slope: 0.25}", &slope);
    run_all("leaky_relu", "{slope: 0}", &zero);
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
    struct op_test image = {.op = "relu", .in = {{1, 3, 4, 4}}, .image = true};
    op_infer_fails(&image, THAW_ERROR_UNSUPPORTED, "reads the network's image");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_slope),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
