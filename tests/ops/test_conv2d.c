/* conv and linear against loops in double precision. That every candidate computes every problem is
 * tests/kernels' matter; here: attributes, geometry, which directions run, bias, fused activation.
 */
#include <math.h>

#include "support/op_harness.h"

struct geometry {
    int stride[2], pad[2], dilation[2], groups;
    bool no_bias;
};

static void convolve(const struct op_test *test, const struct op_map *in,
                     const struct op_map *params, struct op_map *out) {
    const struct geometry *g = test->user;
    const struct op_map *x = &in[0], *w = &params[0];
    int outs = out->c / g->groups;
    for (int n = 0; n < out->n; n++)
        for (int o = 0; o < out->c; o++)
            for (int oy = 0; oy < out->h; oy++)
                for (int ox = 0; ox < out->w; ox++) {
                    double sum = g->no_bias ? 0 : params[1].data[o];
                    for (int i = 0; i < w->c; i++)
                        for (int ky = 0; ky < w->h; ky++)
                            for (int kx = 0; kx < w->w; kx++) {
                                int y = oy * g->stride[0] - g->pad[0] + ky * g->dilation[0];
                                int xx = ox * g->stride[1] - g->pad[1] + kx * g->dilation[1];
                                if (y >= 0 && y < x->h && xx >= 0 && xx < x->w)
                                    sum += *op_at(x, n, o / outs * w->c + i, y, xx) *
                                           *op_at(w, o, i, ky, kx);
                            }
                    if (test->activation == THAW_ACTIVATION_RELU6)
                        sum = fmin(fmax(sum, 0), 6);
                    *op_at(out, n, o, oy, ox) = sum;
                }
}

static const struct geometry plain = {{1, 1}, {0, 0}, {1, 1}, 1, false};

static void run(const char *op, const char *attrs, struct thaw_shape in, struct geometry geometry) {
    struct op_test test = {.op = op,
                           .attrs = attrs,
                           .in = {in},
                           .image = in.c < 4,
                           .conv_candidate = "simple", /* quick to build */
                           .reference = convolve,
                           .user = &geometry};
    op_test_run(&test);
}

static void test_shapes(void **state) {
    (void)state;
    run("conv", "{out: 5, kernel: 1}", (struct thaw_shape){2, 7, 3, 4}, plain);
    run("conv", "{out: 18, kernel: 3, pad: 1}", (struct thaw_shape){2, 17, 5, 4},
        (struct geometry){{1, 1}, {1, 1}, {1, 1}, 1, false});
    run("conv", "{out: 4, kernel: [3, 2], stride: [2, 1], pad: [1, 0], bias: false}",
        (struct thaw_shape){2, 3, 6, 5}, (struct geometry){{2, 1}, {1, 0}, {1, 1}, 1, true});
    run("conv", "{out: 4, kernel: 3, dilation: [2, 1], pad: [2, 0, 1, 3]}",
        (struct thaw_shape){1, 6, 7, 6}, (struct geometry){{1, 1}, {2, 0}, {2, 1}, 1, false});
}

/* The bias's gradient is summed in several chunks. */
static void test_large(void **state) {
    (void)state;
    run("conv", "{out: 3, kernel: 1}", (struct thaw_shape){3, 4, 40, 41}, plain);
}

static void test_groups(void **state) {
    (void)state;
    run("conv", "{out: 6, kernel: 3, pad: 1, groups: 2}", (struct thaw_shape){2, 8, 4, 4},
        (struct geometry){{1, 1}, {1, 1}, {1, 1}, 2, false});
    run("conv", "{kernel: 3, pad: 1, groups: depthwise, bias: false}",
        (struct thaw_shape){2, 18, 4, 5}, (struct geometry){{1, 1}, {1, 1}, {1, 1}, 18, true});
}

/* TensorFlow's SAME: 8 with kernel 3 and stride 2 gives 4, padded by 0 before and 1 after. */
static void test_same(void **state) {
    (void)state;
    run("conv", "{out: 3, kernel: 3, stride: 2, pad: same}", (struct thaw_shape){2, 4, 8, 7},
        (struct geometry){{2, 2}, {0, 1}, {1, 1}, 1, false});
    run("conv", "{out: 3, kernel: 5, stride: 1, pad: same}", (struct thaw_shape){1, 4, 6, 6},
        (struct geometry){{1, 1}, {2, 2}, {1, 1}, 1, false});
    run("conv", "{out: 3, kernel: 1, stride: 2, pad: same}", (struct thaw_shape){1, 4, 7, 7},
        (struct geometry){{2, 2}, {0, 0}, {1, 1}, 1, false});
    struct op_test test = {
        .op = "conv", .attrs = "{out: 3, kernel: 3, stride: 2, pad: same}", .in = {{1, 4, 8, 7}}};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_int_equal(spec.out.h, 4);
    assert_int_equal(spec.out.w, 4);
}

static void test_fused(void **state) {
    (void)state;
    struct op_test test = {.op = "conv",
                           .attrs = "{out: 20, kernel: 3}",
                           .in = {{2, 5, 6, 6}},
                           .reference = convolve,
                           .user = &plain,
                           .activation = THAW_ACTIVATION_RELU6};
    op_test_run(&test);
}

/* The candidates that a user gets. */
static void test_default_candidate(void **state) {
    (void)state;
    struct geometry geometry = {{1, 1}, {1, 1}, {1, 1}, 1, false};
    struct op_test test = {.op = "conv",
                           .attrs = "{out: 18, kernel: 3, pad: 1}",
                           .in = {{2, 17, 5, 4}},
                           .reference = convolve,
                           .user = &geometry};
    op_test_run(&test);
}

static void test_linear(void **state) {
    (void)state;
    run("linear", "{out: 10}", (struct thaw_shape){3, 37, 1, 1}, plain);
    run("linear", "{out: 7, bias: false}", (struct thaw_shape){2, 18, 3, 2},
        (struct geometry){{1, 1}, {0, 0}, {1, 1}, 1, true});
    run("linear", "{out: 4}", (struct thaw_shape){2, 3, 2, 2}, plain);
    struct op_test test = {.op = "linear", .attrs = "{out: 10}", .in = {{1, 6, 2, 3}}};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_int_equal(spec.params[0].rank, 2);
    assert_int_equal(spec.params[0].fan, 36);
    assert_int_equal(spec.params[1].fan, 36);
    assert_int_equal(spec.input_halo[0], 0);
}

/* Kaiming's fan out, and the halos that conv.h asks for. */
static void test_spec(void **state) {
    (void)state;
    struct op_test test = {
        .op = "conv", .attrs = "{out: 8, kernel: 3, pad: 1}", .in = {{1, 6, 9, 9}}};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_int_equal(spec.params[0].fan, 8 * 9);
    assert_int_equal(spec.params[0].rank, 4);
    assert_int_equal(spec.param_count, 2);
    assert_int_equal(spec.input_halo[0], 1);
    assert_int_equal(spec.output_grad_halo, 1);
    assert_true(spec.flops == 2.0 * 81 * 8 * 6 * 9);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("conv", NULL, "'kernel' is required");
    op_parse_fails("conv", "{kernel: 3}", "'out' is required");
    op_parse_fails("conv", "{out: 3, kernle: 3}", "nearest: 'kernel'");
    op_parse_fails("conv", "{out: 3, kernel: 0}", "an integer from 1");
    op_parse_fails("conv", "{out: 3, kernel: [1, 2, 3]}", "[vertical, horizontal]");
    op_parse_fails("conv", "{out: 3, kernel: 3, pad: some}", "'some'");
    op_parse_fails("conv", "{out: 3, kernel: 3, pad: [1, 2, 3]}", "'pad': expected");
    op_parse_fails("conv", "{out: 3, kernel: 3, pad: [1, 2, 3, -4]}", "attrs:1:36");
    op_parse_fails("conv", "{out: 3, kernel: 3, groups: all}", "'groups'");
    op_parse_fails("conv", "{out: 3, kernel: 3, bias: 1}", "true or false");
    op_parse_fails("linear", "{bias: true}", "'out' is required");
    op_parse_fails("linear", "[3]", "a mapping");
    struct op_test test = {
        .op = "conv", .attrs = "{out: 4, kernel: 5, pad: 1}", .in = {{1, 4, 2, 9}}};
    op_infer_fails(&test, THAW_ERROR_INPUT, "does not fit into the padded map of 4 x 11");
    test.attrs = "{out: 4, kernel: 1, groups: 3}";
    op_infer_fails(&test, THAW_ERROR_INPUT, "3 groups do not divide 4 input and 4 output");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes), cmocka_unit_test(test_large),
        cmocka_unit_test(test_groups), cmocka_unit_test(test_same),
        cmocka_unit_test(test_fused),  cmocka_unit_test(test_default_candidate),
        cmocka_unit_test(test_linear), cmocka_unit_test(test_spec),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
