/* Pooling against loops in double precision. */
#include <math.h>

#include "support/op_harness.h"

static void global(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                   struct op_map *out) {
    (void)test, (void)params;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < out->c; c++)
            for (int i = 0; i < in->h * in->w; i++)
                *op_at(out, n, c, 0, 0) += op_at(in, n, c, 0, 0)[i] / (in->h * in->w);
}

static void test_global(void **state) {
    (void)state;
    static const struct thaw_shape shapes[] = {{2, 18, 3, 5}, {3, 5, 1, 1}, {2, 16, 7, 7}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct op_test test = {.op = "global", .in = {shapes[i]}, .reference = global};
        op_test_run(&test);
    }
    op_parse_fails("global", "{size: 1}", "unknown key 'size'");
}

/* A window as the test wants it: [vertical, horizontal]. */
struct window {
    int kernel[2], stride[2], pad[2], dilation[2];
    bool outside_counts; /* average: padding counts */
    int after[2];        /* average: padding below and to the right */
};

static int smaller(int a, int b) {
    return a < b ? a : b;
}

static void largest(const struct op_test *test, const struct op_map *in,
                    const struct op_map *params, struct op_map *out) {
    const struct window *w = test->user;
    (void)params;
    for (int i = 0; i < op_map_count(out); i++) {
        int ox = i % out->w, oy = i / out->w % out->h, map = i / (out->w * out->h);
        double best = -INFINITY;
        for (int ky = 0; ky < w->kernel[0]; ky++)
            for (int kx = 0; kx < w->kernel[1]; kx++) {
                int y = oy * w->stride[0] - w->pad[0] + ky * w->dilation[0];
                int x = ox * w->stride[1] - w->pad[1] + kx * w->dilation[1];
                if (y >= 0 && y < in->h && x >= 0 && x < in->w)
                    best = fmax(best, in->data[(map * in->h + y) * in->w + x]);
            }
        out->data[i] = best;
    }
}

static void average(const struct op_test *test, const struct op_map *in,
                    const struct op_map *params, struct op_map *out) {
    const struct window *w = test->user;
    (void)params;
    for (int i = 0; i < op_map_count(out); i++) {
        int ox = i % out->w, oy = i / out->w % out->h, map = i / (out->w * out->h);
        int top = oy * w->stride[0] - w->pad[0], left = ox * w->stride[1] - w->pad[1];
        int bottom = smaller(top + w->kernel[0], in->h + w->after[0]);
        int right = smaller(left + w->kernel[1], in->w + w->after[1]);
        int inside = 0;
        double sum = 0;
        for (int y = top; y < bottom; y++)
            for (int x = left; x < right; x++)
                if (y >= 0 && y < in->h && x >= 0 && x < in->w) {
                    sum += in->data[(map * in->h + y) * in->w + x];
                    inside++;
                }
        out->data[i] = sum / (w->outside_counts ? (bottom - top) * (right - left) : inside);
    }
}

static void run(const char *op, const char *attrs, struct thaw_shape in, struct window window,
                int out_h, int out_w) {
    struct op_test test = {.op = op,
                           .attrs = attrs,
                           .in = {in},
                           .low = -9, /* no ties within the step of a central difference */
                           .high = 9,
                           .reference = op[0] == 'm' ? largest : average,
                           .user = &window};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_int_equal(spec.out.h, out_h);
    assert_int_equal(spec.out.w, out_w);
    op_test_run(&test);
}

static void test_maxpool(void **state) {
    (void)state;
    run("maxpool", "{kernel: 2}", (struct thaw_shape){2, 18, 6, 5},
        (struct window){{2, 2}, {2, 2}, {0, 0}, {1, 1}, false}, 3, 2);
    run("maxpool", "{kernel: 3, stride: 2, pad: 1}", (struct thaw_shape){2, 5, 8, 7},
        (struct window){{3, 3}, {2, 2}, {1, 1}, {1, 1}, false}, 4, 4);
    run("maxpool", "{kernel: [3, 2], stride: [1, 2], pad: [1, 0], ceil_mode: true}",
        (struct thaw_shape){2, 16, 4, 5}, (struct window){{3, 2}, {1, 2}, {1, 0}, {1, 1}, false}, 4,
        3);
    run("maxpool", "{kernel: 3, stride: 1, pad: 1, dilation: 2}", (struct thaw_shape){1, 3, 7, 6},
        (struct window){{3, 3}, {1, 1}, {1, 1}, {2, 2}, false}, 5, 4);
    run("maxpool", "{kernel: 3, stride: 2, pad: [2, 0, 0, 1]}", (struct thaw_shape){2, 17, 6, 7},
        (struct window){{3, 3}, {2, 2}, {2, 0}, {1, 1}, false}, 3, 3);
    run("maxpool",
        "{kernel: 2, stride: [3, 2], dilation: [2, 1], pad: [0, 1, 2, 0], "
        "ceil_mode: true}",
        (struct thaw_shape){2, 4, 7, 6}, (struct window){{2, 2}, {3, 2}, {0, 1}, {2, 1}, false}, 3,
        4);
    /* more taps than a byte counts */
    run("maxpool", "{kernel: [17, 16], stride: 2}", (struct thaw_shape){1, 3, 19, 18},
        (struct window){{17, 16}, {2, 2}, {0, 0}, {1, 1}, false}, 2, 2);
    /* the third column of windows would begin behind the map */
    run("maxpool", "{kernel: 1, stride: 2, ceil_mode: true}", (struct thaw_shape){1, 4, 4, 4},
        (struct window){{1, 1}, {2, 2}, {0, 0}, {1, 1}, false}, 2, 2);
}

/* PyTorch: of the windows that ceil_mode adds, one that starts behind the map is dropped. */
static void test_avgpool(void **state) {
    (void)state;
    run("avgpool", "{kernel: 2}", (struct thaw_shape){2, 18, 6, 5},
        (struct window){{2, 2}, {2, 2}, {0, 0}, {1, 1}, true, {0, 0}}, 3, 2);
    run("avgpool", "{kernel: 3, stride: 2, pad: 1}", (struct thaw_shape){2, 5, 8, 7},
        (struct window){{3, 3}, {2, 2}, {1, 1}, {1, 1}, true, {1, 1}}, 4, 4);
    run("avgpool", "{kernel: 3, stride: 2, pad: 1, ceil_mode: true}",
        (struct thaw_shape){2, 5, 8, 7},
        (struct window){{3, 3}, {2, 2}, {1, 1}, {1, 1}, true, {1, 1}}, 5, 4);
    run("avgpool", "{kernel: 3, stride: 2, pad: 1, ceil_mode: true, count_include_pad: false}",
        (struct thaw_shape){2, 5, 8, 7},
        (struct window){{3, 3}, {2, 2}, {1, 1}, {1, 1}, false, {1, 1}}, 5, 4);
    run("avgpool", "{kernel: 2, stride: 3, pad: 1, ceil_mode: true}",
        (struct thaw_shape){1, 16, 5, 6},
        (struct window){{2, 2}, {3, 3}, {1, 1}, {1, 1}, true, {1, 1}}, 2, 3);
    /* ONNX's order of pads: top, left, bottom, right */
    run("avgpool", "{kernel: 3, stride: 2, pad: [2, 0, 1, 2]}", (struct thaw_shape){2, 5, 6, 7},
        (struct window){{3, 3}, {2, 2}, {2, 0}, {1, 1}, true, {1, 2}}, 4, 4);
    run("avgpool", "{kernel: [3, 2], stride: 2, pad: [0, 1, 2, 0], ceil_mode: true}",
        (struct thaw_shape){2, 18, 6, 6},
        (struct window){{3, 2}, {2, 2}, {0, 1}, {1, 1}, true, {2, 0}}, 3, 4);
    run("avgpool", "{kernel: 3, stride: 1, pad: [2, 1, 2, 0], count_include_pad: false}",
        (struct thaw_shape){1, 3, 5, 4},
        (struct window){{3, 3}, {1, 1}, {2, 1}, {1, 1}, false, {2, 0}}, 7, 3);
}

static void adaptive(const struct op_test *test, const struct op_map *in,
                     const struct op_map *params, struct op_map *out) {
    (void)test, (void)params;
    for (int i = 0; i < op_map_count(out); i++) {
        int ox = i % out->w, oy = i / out->w % out->h, map = i / (out->w * out->h);
        int top = oy * in->h / out->h, left = ox * in->w / out->w;
        int bottom = (int)ceil((oy + 1) * (double)in->h / out->h);
        int right = (int)ceil((ox + 1) * (double)in->w / out->w);
        for (int y = top; y < bottom; y++)
            for (int x = left; x < right; x++)
                out->data[i] +=
                    in->data[(map * in->h + y) * in->w + x] / ((bottom - top) * (right - left));
    }
}

static void test_adaptive(void **state) {
    (void)state;
    static const struct thaw_shape shapes[] = {{2, 5, 10, 9}, {2, 18, 3, 4}, {1, 3, 14, 7}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct op_test test = {.op = "adaptive_avgpool",
                               .attrs = "{out: [7, 5]}",
                               .in = {shapes[i]},
                               .reference = adaptive};
        op_test_run(&test);
    }
    struct op_test same = {.op = "adaptive_avgpool", .attrs = "{out: 7}", .in = {{1, 16, 7, 7}}};
    assert_true(op_infer(&same, 16).alias);
    same.in[0].h = 6;
    assert_false(op_infer(&same, 16).alias);
}

/* Equal values: the first in reading order takes the gradient. A NaN wins. */
static void test_ties(void **state) {
    (void)state;
    thaw_device *device = test_device_block(1);
    const struct thaw_op *op = thaw_op_find("maxpool");
    struct thaw_arena arena = {0};
    thaw_yaml *node = NULL;
    assert_ok(thaw_yaml_parse(&arena, "{kernel: 2}", 11, "attrs", &node));
    void *attrs = thaw_arena_alloc(&arena, op->attrs_size);
    assert_ok(op->parse(node, attrs));
    struct thaw_layout in = thaw_layout_make((struct thaw_shape){1, 1, 2, 4}, 1, 0);
    struct thaw_layout out = thaw_layout_make((struct thaw_shape){1, 1, 1, 2}, 1, 0);
    const float x[] = {3, 3, 1, NAN, 3, 3, 2, 2}, dy[] = {5, 7};
    struct thaw_op_call call = {.device = device,
                                .attrs = attrs,
                                .needs_backward = true,
                                .input_count = 1,
                                .in = {{in, test_buffer(device, x, 8)}},
                                .out = {out, test_buffer(device, NULL, 2)},
                                .grad_in = {{in, test_buffer(device, NULL, 8)}},
                                .grad_out = {out, test_buffer(device, dy, 2)},
                                .want_grad_in = {true},
                                .saved = test_buffer(device, NULL, 2)};
    struct thaw_op_step step = {.batch = 1};
    assert_ok(op->prepare(&call));
    assert_ok(op->forward(&call, &step));
    assert_ok(op->backward(&call, &step));
    float y[2], dx[8];
    const float expected[] = {5, 0, 0, 7, 0, 0, 0, 0};
    assert_ok(thaw_buffer_read(device, call.out.buffer, 0, y, sizeof y));
    assert_ok(thaw_buffer_read(device, call.grad_in[0].buffer, 0, dx, sizeof dx));
    assert_true(y[0] == 3 && isnan(y[1]));
    assert_memory_equal(dx, expected, sizeof dx);
    thaw_op_release(op, &call);
    thaw_buffer_destroy(&call.in[0].buffer);
    thaw_buffer_destroy(&call.out.buffer);
    thaw_buffer_destroy(&call.grad_in[0].buffer);
    thaw_buffer_destroy(&call.grad_out.buffer);
    thaw_buffer_destroy(&call.saved);
    thaw_arena_finish(&arena);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("maxpool", NULL, "'kernel' is required");
    op_parse_fails("maxpool", "{kernel: 2, strid: 1}", "nearest: 'stride'");
    op_parse_fails("maxpool", "{kernel: 2, ceil_mode: 1}", "true or false");
    op_parse_fails("maxpool", "{kernel: 3, pad: 3}", "attrs:1:18: 'pad': expected less than the 3");
    op_parse_fails("maxpool", "{kernel: 2, dilation: 2, pad: [0, 2, 0, 3]}", "found 3");
    op_parse_fails("avgpool", "{kernel: 3, pad: [1, 2, 3]}", "[top, left, bottom, right]");
    op_parse_fails("avgpool", "{kernel: 3, pad: [0, 0, -1, 0]}", "from 0 to");
    op_parse_fails("avgpool", "{kernel: 3, dilation: 2}", "unknown key 'dilation'");
    op_parse_fails("avgpool", "{kernel: 300}", "from 1 to 255");
    op_parse_fails("adaptive_avgpool", "{}", "'out' is required");
    op_parse_fails("adaptive_avgpool", "{out: 0}", "from 1 to");
    struct op_test test = {.op = "avgpool", .attrs = "{kernel: 5, pad: 1}", .in = {{1, 4, 2, 9}}};
    op_infer_fails(&test, THAW_ERROR_INPUT, "5 x 5 does not fit into the padded map of 4 x 11");
    struct op_test blind = {.op = "maxpool",
                            .attrs = "{kernel: 2, pad: 1, dilation: 3, stride: 1}",
                            .in = {{1, 4, 2, 2}}};
    op_infer_fails(&blind, THAW_ERROR_INPUT, "nothing but padding");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_global),  cmocka_unit_test(test_maxpool),
        cmocka_unit_test(test_avgpool), cmocka_unit_test(test_adaptive),
        cmocka_unit_test(test_ties),    cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
