/* layernorm and instancenorm against their definition in double precision. */
#include <math.h>
#include <string.h>

#include "support/op_harness.h"

struct norm {
    bool axes[3], affine; /* layernorm's weight has the axes, instancenorm's the channels */
};

/* Calls with each place that is normalised together with (c, y, x). */
static void moments(const struct norm *norm, const struct op_map *in, int n, int c, int y, int x,
                    double *ret_mean, double *ret_var) {
    const int sizes[3] = {in->c, in->h, in->w}, place[3] = {c, y, x};
    int first[3], last[3];
    for (int i = 0; i < 3; i++) {
        first[i] = norm->axes[i] ? 0 : place[i];
        last[i] = norm->axes[i] ? sizes[i] - 1 : place[i];
    }
    double sum = 0, squares = 0, count = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = first[0]; i <= last[0]; i++)
            for (int j = first[1]; j <= last[1]; j++)
                for (int k = first[2]; k <= last[2]; k++) {
                    double v = *op_at(in, n, i, j, k);
                    if (pass == 0) {
                        sum += v;
                        count++;
                    } else {
                        squares += (v - sum / count) * (v - sum / count);
                    }
                }
    *ret_mean = sum / count;
    *ret_var = squares / count;
}

static double param(const struct op_map *m, int c, int y, int x) {
    return *op_at(m, m->n == 1 ? 0 : c, 0, m->h == 1 ? 0 : y, m->w == 1 ? 0 : x);
}

static void reference(const struct op_test *test, const struct op_map *in,
                      const struct op_map *params, struct op_map *out) {
    const struct norm *norm = test->user;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < out->c; c++)
            for (int y = 0; y < out->h; y++)
                for (int x = 0; x < out->w; x++) {
                    double mean, var;
                    moments(norm, in, n, c, y, x, &mean, &var);
                    double v = (*op_at(in, n, c, y, x) - mean) / sqrt(var + 1e-3);
                    if (norm->affine)
                        v = v * param(&params[0], c, y, x) + param(&params[1], c, y, x);
                    *op_at(out, n, c, y, x) = v;
                }
}

static void run(const char *op, const char *attrs, struct norm norm, struct thaw_shape shape) {
    struct op_test test = {.op = op,
                           .attrs = attrs,
                           .in = {shape},
                           .reference = reference,
                           .user = &norm,
                           .tolerance = 3e-5};
    op_test_run(&test);
}

static void test_channels(void **state) {
    (void)state;
    static const struct norm channels = {{true, false, false}, true};
    static const struct thaw_shape shapes[] = {
        {2, 18, 3, 11}, {3, 16, 1, 1}, {2, 35, 4, 4}, {7, 5, 2, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        run("layernorm", "{axes: [channels], eps: 1e-3}", channels, shapes[i]);
    static const struct norm plain = {{true, false, false}, false};
    run("layernorm", "{axes: [channels], eps: 1e-3, affine: false}", plain, shapes[0]);
}

static void test_other_axes(void **state) {
    (void)state;
    static const struct thaw_shape shape = {2, 18, 3, 4};
    run("layernorm", "{axes: [channels, height, width], eps: 1e-3}",
        (struct norm){{true, true, true}, true}, shape);
    run("layernorm", "{axes: [height, width], eps: 1e-3}", (struct norm){{false, true, true}, true},
        shape);
    run("layernorm", "{axes: [width], eps: 1e-3}", (struct norm){{false, false, true}, true},
        shape);
    run("layernorm", "{axes: [channels, width], eps: 1e-3, affine: false}",
        (struct norm){{true, false, true}, false}, shape);
}

static void test_instancenorm(void **state) {
    (void)state;
    static const struct norm norm = {{false, true, true}, true};
    run("instancenorm", "{eps: 1e-3}", norm, (struct thaw_shape){2, 18, 3, 5});
    run("instancenorm", "{eps: 1e-3}", norm, (struct thaw_shape){3, 5, 17, 20});
}

/* A mean far from zero must not cost the variance its digits. */
static void test_large_mean(void **state) {
    (void)state;
    struct norm norm = {{true, false, false}, true};
    struct op_test test = {.op = "layernorm",
                           .attrs = "{axes: [channels], eps: 1e-3}",
                           .in = {{2, 33, 3, 5}},
                           .low = 100,
                           .high = 104,
                           .reference = reference,
                           .forward_only = true,
                           .user = &norm,
                           .tolerance = 3e-5};
    op_test_run(&test);
    test.op = "instancenorm";
    test.attrs = "{eps: 1e-3}";
    norm = (struct norm){{false, true, true}, true};
    op_test_run(&test);
}

static void expect_dims(const char *attrs, int rank, int first, int second) {
    struct op_test test = {.op = "layernorm", .attrs = attrs, .in = {{1, 8, 5, 6}}};
    struct thaw_param_spec spec = op_infer(&test, 16).params[0];
    assert_string_equal(spec.name, "weight");
    assert_int_equal(spec.rank, rank);
    assert_int_equal(spec.dims[0], first);
    assert_int_equal(spec.dims[1], second);
}

static void test_files(void **state) {
    (void)state;
    expect_dims("{axes: [channels]}", 1, 8, 0);
    expect_dims("{axes: [height, width]}", 2, 5, 6);
    expect_dims("{axes: [width, channels, height]}", 3, 8, 5);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("layernorm", NULL, "'axes' is required");
    op_parse_fails("layernorm", "{axes: [chanels]}", "nearest: 'channels'");
    op_parse_fails("layernorm", "{axes: [channels], epsi: 1}", "nearest: 'eps'");
    op_parse_fails("layernorm", "{axes: [channels], eps: 0}", "attrs:1:25");
    op_parse_fails("layernorm", "{axes: [channels], affine: 3}", "attrs:1:28");
    op_parse_fails("instancenorm", "{axes: [width]}", "unknown key 'axes'");
    struct op_test image = {.op = "instancenorm", .in = {{1, 3, 4, 4}}, .image = true};
    op_infer_fails(&image, THAW_ERROR_UNSUPPORTED, "reads the network's image");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels),     cmocka_unit_test(test_other_axes),
        cmocka_unit_test(test_instancenorm), cmocka_unit_test(test_large_mean),
        cmocka_unit_test(test_files),        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
