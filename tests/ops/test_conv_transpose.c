/* conv_transpose against a loop in double precision that scatters each input pixel. */
#include "support/op_harness.h"

struct geometry {
    int stride[2], pad[2], dilation[2], groups;
    bool no_bias;
};

static void scatter(const struct op_test *test, const struct op_map *in,
                    const struct op_map *params, struct op_map *out) {
    const struct geometry *g = test->user;
    const struct op_map *w = &params[0];
    int plane = out->h * out->w, per_group = in->c / g->groups;
    for (int i = 0; i < op_map_count(out); i++)
        out->data[i] = g->no_bias ? 0 : params[1].data[i / plane % out->c];
    for (int i = 0; i < op_map_count(in); i++) {
        int ix = i % in->w, iy = i / in->w % in->h;
        int c = i / (in->w * in->h) % in->c, n = i / (in->w * in->h * in->c);
        for (int k = 0; k < w->c * w->h * w->w; k++) {
            int kx = k % w->w, ky = k / w->w % w->h, o = k / (w->w * w->h);
            int y = iy * g->stride[0] - g->pad[0] + ky * g->dilation[0];
            int x = ix * g->stride[1] - g->pad[1] + kx * g->dilation[1];
            if (y >= 0 && y < out->h && x >= 0 && x < out->w)
                *op_at(out, n, c / per_group * w->c + o, y, x) +=
                    in->data[i] * *op_at(w, c, o, ky, kx);
        }
    }
}

static void run(const char *attrs, const char *candidate, struct thaw_shape in,
                struct geometry geometry, int out_h, int out_w) {
    struct op_test test = {.op = "conv_transpose",
                           .attrs = attrs,
                           .in = {in},
                           .conv_candidate = candidate,
                           .reference = scatter,
                           .user = &geometry};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_int_equal(spec.out.h, out_h);
    assert_int_equal(spec.out.w, out_w);
    op_test_run(&test);
}

/* "simple" is quick to build; that all candidates compute all directions: tests/kernels. */
static void test_shapes(void **state) {
    (void)state;
    run("{out: 5, kernel: 3, stride: 2, pad: 1}", "simple", (struct thaw_shape){2, 7, 3, 4},
        (struct geometry){{2, 2}, {1, 1}, {1, 1}, 1, false}, 5, 7);
    run("{out: 18, kernel: 2, stride: 2, bias: false}", "simple", (struct thaw_shape){2, 17, 3, 2},
        (struct geometry){{2, 2}, {0, 0}, {1, 1}, 1, true}, 6, 4);
    run("{out: 4, kernel: [3, 2], stride: [2, 3], output_pad: [1, 2]}", "simple",
        (struct thaw_shape){2, 6, 3, 2}, (struct geometry){{2, 3}, {0, 0}, {1, 1}, 1, false}, 8, 7);
    run("{out: 3, kernel: 3, dilation: [2, 1], pad: [2, 0, 1, 2]}", "simple",
        (struct thaw_shape){1, 5, 4, 3}, (struct geometry){{1, 1}, {2, 0}, {2, 1}, 1, false}, 5, 3);
    run("{out: 3, kernel: 2, dilation: 3, output_pad: 2}", "simple",
        (struct thaw_shape){2, 4, 2, 3}, (struct geometry){{1, 1}, {0, 0}, {3, 3}, 1, false}, 7, 8);
    run("{out: 4, kernel: 1, stride: 2}", "simple", (struct thaw_shape){2, 5, 3, 3},
        (struct geometry){{2, 2}, {0, 0}, {1, 1}, 1, false}, 5, 5);
    run("{out: 4, kernel: 2, pad: 2}", "simple", (struct thaw_shape){1, 3, 5, 6},
        (struct geometry){{1, 1}, {2, 2}, {1, 1}, 1, false}, 2, 3);
    run("{out: 6, kernel: 4}", "simple", (struct thaw_shape){3, 9, 1, 1},
        (struct geometry){{1, 1}, {0, 0}, {1, 1}, 1, false}, 4, 4);
}

static void test_groups(void **state) {
    (void)state;
    run("{out: 6, kernel: 3, stride: 2, groups: 2}", "simple", (struct thaw_shape){2, 8, 3, 3},
        (struct geometry){{2, 2}, {0, 0}, {1, 1}, 2, false}, 7, 7);
    run("{kernel: 3, stride: 2, pad: 1, output_pad: 1, groups: depthwise}", "simple",
        (struct thaw_shape){2, 18, 3, 4}, (struct geometry){{2, 2}, {1, 1}, {1, 1}, 18, false}, 6,
        8);
}

/* The candidates that a user gets; few products, as Mesa's llvmpipe ends long loops. */
static void test_default_candidates(void **state) {
    (void)state;
    run("{out: 18, kernel: 2, stride: 2}", NULL, (struct thaw_shape){1, 17, 3, 2},
        (struct geometry){{2, 2}, {0, 0}, {1, 1}, 1, false}, 6, 4);
    run("{out: 5, kernel: 3, stride: 2, pad: 1}", NULL, (struct thaw_shape){2, 17, 3, 2},
        (struct geometry){{2, 2}, {1, 1}, {1, 1}, 1, false}, 5, 3);
    run("{kernel: 3, stride: 2, pad: 1, output_pad: 1, groups: depthwise, bias: false}", NULL,
        (struct thaw_shape){2, 18, 5, 4}, (struct geometry){{2, 2}, {1, 1}, {1, 1}, 18, true}, 10,
        8);
}

/* PyTorch's (I, O/groups, KH, KW). */
static void test_spec(void **state) {
    (void)state;
    struct op_test test = {.op = "conv_transpose",
                           .attrs = "{out: 6, kernel: [3, 2], groups: 2}",
                           .in = {{1, 8, 5, 5}}};
    struct thaw_op_spec spec = op_infer(&test, 16);
    const struct thaw_filter *w = &spec.params[0].filter;
    assert_true(w->o == 8 && w->i == 3 && w->kh == 3 && w->kw == 2);
    assert_int_equal(spec.params[1].filter.o, 6);
    assert_int_equal(spec.params[0].fan, 6 * 6);
    assert_true(spec.flops == 2.0 * 25 * 8 * 3 * 6);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("conv_transpose", NULL, "'kernel' is required");
    op_parse_fails("conv_transpose", "{kernel: 3}", "'out' is required");
    op_parse_fails("conv_transpose", "{out: 3, kernel: 3, output_padding: 1}",
                   "nearest: 'output_pad'");
    op_parse_fails("conv_transpose", "{out: 3, kernel: 3, pad: same}", "'same'");
    op_parse_fails("conv_transpose", "{out: 3, kernel: 3, stride: 2, output_pad: 2}",
                   "less than the stride, 2, or the dilation, 1, found 2");
    struct op_test test = {
        .op = "conv_transpose", .attrs = "{out: 4, kernel: 2, pad: 2}", .in = {{1, 4, 3, 9}}};
    op_infer_fails(&test, THAW_ERROR_INPUT, "3 x 9 would become one of 0 x 6");
    test.attrs = "{out: 4, kernel: 3, stride: 65535}";
    op_infer_fails(&test, THAW_ERROR_INPUT, "expected 1 to 65535");
    test.attrs = "{out: 4, kernel: 1, groups: 3}";
    op_infer_fails(&test, THAW_ERROR_INPUT, "3 groups do not divide 4 input and 4 output");
    struct op_test image = {.op = "conv_transpose",
                            .attrs = "{out: 4, kernel: 2}",
                            .in = {{1, 3, 4, 4}},
                            .image = true};
    op_infer_fails(&image, THAW_ERROR_UNSUPPORTED, "reads the network's image");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_default_candidates),
        cmocka_unit_test(test_spec),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
