/* Element-wise ops of maps that broadcast: add, sub, mul, div, and those with a trained map: scale,
 * shift, prelu. */
#include <math.h>
#include <string.h>

#include "support/op_harness.h"

static double value(const char *op, double a, double b) {
    if (!strcmp(op, "add") || !strcmp(op, "shift"))
        return a + b;
    if (!strcmp(op, "sub"))
        return a - b;
    if (!strcmp(op, "div"))
        return a / b;
    if (!strcmp(op, "prelu"))
        return a > 0 ? a : a * b;
    return a * b; /* mul, scale */
}

/* The value of a map at a place of the output; a parameter (C, 1, H, W) is the same for all images.
 */
static double at(const struct op_map *m, bool param, int n, int c, int y, int x) {
    int channels = param ? m->n : m->c;
    c = channels == 1 ? 0 : c;
    y = m->h == 1 ? 0 : y;
    x = m->w == 1 ? 0 : x;
    return param ? *op_at(m, c, 0, y, x) : *op_at(m, n, c, y, x);
}

static void reference(const struct op_test *test, const struct op_map *in,
                      const struct op_map *params, struct op_map *out) {
    int count = test->input_count ? test->input_count : 1;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < out->c; c++)
            for (int y = 0; y < out->h; y++)
                for (int x = 0; x < out->w; x++) {
                    double v = at(&in[0], false, n, c, y, x);
                    for (int i = 1; i < count; i++)
                        v = value(test->op, v, at(&in[i], false, n, c, y, x));
                    if (count == 1)
                        v = value(test->op, v, at(&params[0], true, n, c, y, x));
                    *op_at(out, n, c, y, x) = v;
                }
}

static const struct thaw_shape pairs[][2] = {
    {{2, 18, 3, 5}, {2, 18, 3, 5}},  /* one shape */
    {{2, 18, 3, 5}, {2, 18, 1, 1}},  /* a gate for each channel */
    {{2, 18, 3, 5}, {2, 1, 3, 5}},   /* one for each pixel */
    {{2, 35, 4, 3}, {2, 1, 1, 3}},   /* rows */
    {{2, 16, 4, 3}, {2, 16, 4, 1}},  /* columns */
    {{3, 5, 1, 1}, {3, 1, 1, 1}},    /* numbers */
    {{2, 1, 4, 1}, {2, 19, 1, 3}},   /* on both sides */
    {{2, 1, 1, 1}, {2, 18, 2, 3}},   /* the first is the smaller one */
    {{2, 7, 1, 40}, {2, 7, 17, 40}}, /* more than a work-group */
};

#define PAIRS (sizeof pairs / sizeof *pairs)

/* Every `step`-th pair: each combination is a kernel to build, and functions differ in their
 * formula alone. */
static void run_pairs(const char *op, size_t step, float low, float high) {
    for (size_t i = 0; i < PAIRS; i += step) {
        struct op_test test = {.op = op,
                               .input_count = 2,
                               .in = {pairs[i][0], pairs[i][1]},
                               .low = low,
                               .high = high,
                               .reference = reference};
        op_test_run(&test);
    }
}

static void test_add(void **state) {
    (void)state;
    run_pairs("add", 3, -2, 2);
    struct thaw_shape shape = {3, 5, 2, 3};
    struct op_test three = {.op = "add",
                            .input_count = 3,
                            .in = {{3, 5, 1, 1}, shape, {3, 1, 2, 3}},
                            .reference = reference};
    op_test_run(&three);
}

static void test_sub(void **state) {
    (void)state;
    run_pairs("sub", 3, -2, 2);
}

static void test_mul(void **state) {
    (void)state;
    run_pairs("mul", 1, -2, 2);
}

static void test_div(void **state) {
    (void)state;
    run_pairs("div", 3, 0.5f, 2);
}

static void run_trained(const char *op, const char *attrs, struct thaw_shape shape) {
    struct op_test test = {.op = op, .attrs = attrs, .in = {shape}, .reference = reference};
    op_test_run(&test);
}

static void test_trained(void **state) {
    (void)state;
    static const char *const ops[] = {"scale", "shift"};
    for (int i = 0; i < 2; i++) {
        run_trained(ops[i], "{shape: [18, 1, 1]}", (struct thaw_shape){3, 18, 5, 7});
        run_trained(ops[i], "{shape: [1, 1, 1]}", (struct thaw_shape){2, 18, 2, 3});
        run_trained(ops[i], "{shape: [5, 2, 3]}", (struct thaw_shape){3, 5, 2, 3});
        run_trained(ops[i], "{shape: [1, 2, 3]}", (struct thaw_shape){2, 33, 2, 3});
        run_trained(ops[i], "{shape: [19, 4, 1]}", (struct thaw_shape){2, 1, 1, 3});
        run_trained(ops[i], "{shape: [16, 1, 1], rank: 1}", (struct thaw_shape){2, 16, 1, 1});
    }
    run_trained("prelu", NULL, (struct thaw_shape){3, 18, 5, 7});
    run_trained("prelu", "{shared: true}", (struct thaw_shape){2, 18, 2, 3});
}

/* Tensors in files: as many dimensions as the attributes say. */
static void test_files(void **state) {
    (void)state;
    struct op_test test = {
        .op = "scale", .attrs = "{shape: [8, 1, 1], init: 1e-6}", .in = {{1, 8, 2, 2}}};
    struct thaw_param_spec spec = op_infer(&test, 16).params[0];
    assert_string_equal(spec.name, "");
    assert_int_equal(spec.rank, 3);
    assert_int_equal(spec.dims[0], 8);
    assert_int_equal(spec.dims[1], 1);
    assert_int_equal(spec.dims[2], 1);
    assert_true(spec.init == THAW_INIT_CONSTANT && spec.constant == 1e-6f);
    test.attrs = "{shape: [8, 1, 1], rank: 1}";
    assert_int_equal(op_infer(&test, 16).params[0].rank, 1);
    struct op_test prelu = {.op = "prelu", .in = {{1, 8, 2, 2}}};
    assert_int_equal(op_infer(&prelu, 16).params[0].dims[0], 8);
    prelu.attrs = "{shared: true}";
    assert_int_equal(op_infer(&prelu, 16).params[0].dims[0], 1);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("sub", "{scale: 2}", "unknown key 'scale'");
    op_parse_fails("scale", NULL, "'shape' is required");
    op_parse_fails("scale", "{shape: 3}", "expected a list of 3 numbers");
    op_parse_fails("shift", "{shape: [3, 1]}", "expected a list of 3 numbers");
    op_parse_fails("shift", "{shape: [3, 1, 0]}", "attrs:1:16");
    op_parse_fails("scale", "{shape: [3, 1, 1], rank: 2}", "expected 3, or 1");
    op_parse_fails("scale", "{shape: [3, 1, 2], rank: 1}", "expected 3, or 1");
    op_parse_fails("prelu", "{share: true}", "nearest: 'shared'");
    struct op_test add = {.op = "add", .input_count = 2, .in = {{1, 4, 5, 6}, {1, 8, 5, 6}}};
    op_infer_fails(&add, THAW_ERROR_INPUT,
                   "input 2 is 8 x 5 x 6 (channels, height, width), what it meets is 4 x 5 x 6");
    struct op_test mul = {.op = "mul", .input_count = 2, .in = {{1, 4, 5, 6}, {1, 4, 5, 2}}};
    op_infer_fails(&mul, THAW_ERROR_INPUT, "each size has to be the same or 1");
    struct op_test scale = {.op = "scale", .attrs = "{shape: [3, 1, 1]}", .in = {{1, 4, 5, 6}}};
    op_infer_fails(&scale, THAW_ERROR_INPUT, "the parameter is 3 x 1 x 1");
    struct op_test image = {
        .op = "sub", .input_count = 2, .in = {{1, 3, 4, 4}, {1, 3, 4, 4}}, .image = true};
    op_infer_fails(&image, THAW_ERROR_UNSUPPORTED, "reads the network's image");
    struct op_test huge = {
        .op = "add", .input_count = 2, .in = {{1, 1 << 14, 1, 1}, {1, 1, 512, 512}}};
    op_infer_fails(&huge, THAW_ERROR_UNSUPPORTED, "values are more than");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),    cmocka_unit_test(test_sub),     cmocka_unit_test(test_mul),
        cmocka_unit_test(test_div),    cmocka_unit_test(test_trained), cmocka_unit_test(test_files),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
