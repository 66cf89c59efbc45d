/* resize against ONNX's definition in double precision, written as its specification has it: the
 * map is padded with its edge, each output reads its neighbours. The reference is itself held
 * against outputs that the specification prints. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/op_harness.h"

struct resize {
    const char *mode, *coordinates, *nearest;
    double scale[2]; /* output / input */
    double a;
    bool exclude;
};

static double coordinate(const struct resize *r, int axis, int o, int in, int out) {
    double scale = r->scale[axis];
    if (!strcmp(r->coordinates, "align_corners"))
        return out == 1 ? 0 : o * (in - 1.0) / (out - 1.0);
    if (!strcmp(r->coordinates, "asymmetric"))
        return o / scale;
    if (!strcmp(r->coordinates, "tf_half_pixel_for_nn"))
        return (o + 0.5) / scale;
    if (!strcmp(r->coordinates, "pytorch_half_pixel") && out == 1)
        return 0;
    return (o + 0.5) / scale - 0.5;
}

/* The weights of the neighbours floor(u) - 1 to floor(u) + 2. */
static void coefficients(const struct resize *r, double u, double c[4]) {
    double t = u - floor(u), a = r->a;
    memset(c, 0, 4 * sizeof *c);
    if (!strcmp(r->mode, "linear")) {
        c[1] = 1 - t;
        c[2] = t;
    } else if (!strcmp(r->mode, "cubic")) {
        c[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
        c[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
        c[2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1;
        c[3] = ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a;
    } else {
        bool up = !strcmp(r->nearest, "ceil")                 ? t > 0
                  : !strcmp(r->nearest, "floor")              ? false
                  : !strcmp(r->nearest, "round_prefer_floor") ? t > 0.5
                                                              : t >= 0.5;
        c[up ? 2 : 1] = 1;
    }
}

static int inside(double value, int size) {
    return value < 0 ? 0 : value > size - 1 ? size - 1 : (int)value;
}

/* Neighbours of an output pixel along an axis and their weights. */
static void neighbours(const struct resize *r, int axis, int o, int in, int out, int at[4],
                       double c[4]) {
    double u = coordinate(r, axis, o, in, out), sum = 0;
    coefficients(r, u, c);
    for (int k = 0; k < 4; k++) {
        double place = floor(u) - 1 + k;
        at[k] = inside(place, in);
        if (r->exclude && at[k] != place)
            c[k] = 0;
        sum += c[k];
    }
    for (int k = 0; k < 4 && r->exclude; k++)
        c[k] /= sum;
}

static void resized(const struct op_test *test, const struct op_map *in,
                    const struct op_map *params, struct op_map *out) {
    const struct resize *r = test->user;
    (void)params;
    for (int i = 0; i < op_map_count(out); i++) {
        int x[4], y[4];
        double cx[4], cy[4];
        const double *map = in->data + i / (out->w * out->h) * (in->h * in->w);
        neighbours(r, 0, i / out->w % out->h, in->h, out->h, y, cy);
        neighbours(r, 1, i % out->w, in->w, out->w, x, cx);
        out->data[i] = 0;
        for (int k = 0; k < 16; k++)
            out->data[i] += cy[k / 4] * cx[k % 4] * map[y[k / 4] * in->w + x[k % 4]];
    }
}

/* Outputs printed in the specification of Resize, for 1, 2, 3, ... as input. */
static void test_reference(void **state) {
    (void)state;
    static const struct {
        struct resize resize;
        int in[2], out[2];
        double expected[16];
    } cases[] = {
        {{"cubic", "half_pixel", NULL, {0.8, 0.8}, -0.75, false},
         {4, 4},
         {3, 3},
         {1.47119141, 2.78125, 4.08251953, 6.71142578, 8.02148438, 9.32275391, 11.91650391,
          13.2265625, 14.52783203}},
        {{"cubic", "half_pixel", NULL, {0.8, 0.8}, -0.5, true},
         {4, 4},
         {3, 3},
         {1.36812675, 2.6695014, 4.0133367, 6.57362535, 7.875, 9.2188353, 11.94896657, 13.25034122,
          14.59417652}},
        {{"linear", "align_corners", NULL, {2, 2}, 0, false},
         {2, 2},
         {4, 4},
         {1, 1.33333333, 1.66666667, 2, 1.66666667, 2, 2.33333333, 2.66666667, 2.33333333,
          2.66666667, 3, 3.33333333, 3, 3.33333333, 3.66666667, 4}},
        {{"linear", "pytorch_half_pixel", NULL, {0.75, 0.25}, 0, false},
         {4, 4},
         {3, 1},
         {1.66666667, 7, 12.33333333}},
        {{"linear", "half_pixel", NULL, {0.6, 0.6}, 0, false},
         {2, 4},
         {1, 2},
         {2.6666665, 4.3333331}},
        {{"nearest", "half_pixel", "round_prefer_floor", {0.6, 0.6}, 0, false},
         {2, 4},
         {1, 2},
         {1, 3}},
        {{"nearest", "tf_half_pixel_for_nn", "round_prefer_floor", {0.75, 0.5}, 0, false},
         {4, 4},
         {3, 2},
         {6, 8, 10, 12, 14, 16}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double input[16];
        for (int k = 0; k < 16; k++)
            input[k] = k + 1;
        struct op_map in = {1, 1, cases[i].in[0], cases[i].in[1], input};
        struct op_map out = {1, 1, cases[i].out[0], cases[i].out[1], (double[16]){0}};
        struct op_test test = {.user = &cases[i].resize};
        resized(&test, &in, NULL, &out);
        for (int k = 0; k < op_map_count(&out); k++)
            if (fabs(out.data[k] - cases[i].expected[k]) > 1e-6)
                fail_msg("case %zu: value %d is %.9g, expected %.9g", i, k, out.data[k],
                         cases[i].expected[k]);
    }
}

static void run(const char *attrs, struct thaw_shape in, int out_h, int out_w,
                struct resize resize) {
    struct op_test test = {
        .op = "resize", .attrs = attrs, .in = {in}, .reference = resized, .user = &resize};
    if (resize.scale[0] == 0) {
        resize.scale[0] = (double)out_h / in.h;
        resize.scale[1] = (double)out_w / in.w;
    }
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_int_equal(spec.out.h, out_h);
    assert_int_equal(spec.out.w, out_w);
    op_test_run(&test);
}

static void test_nearest(void **state) {
    (void)state;
    run("{size: [7, 9]}", (struct thaw_shape){2, 18, 3, 4}, 7, 9,
        (struct resize){"nearest", "half_pixel", "round_prefer_floor", {0, 0}, 0, false});
    run("{scale: 2, coordinates: asymmetric, nearest: floor}", (struct thaw_shape){2, 5, 3, 2}, 6,
        4, (struct resize){"nearest", "asymmetric", "floor", {2, 2}, 0, false});
    run("{scale: [0.5, 0.25], nearest: round_prefer_ceil}", (struct thaw_shape){1, 3, 5, 9}, 2, 2,
        (struct resize){"nearest", "half_pixel", "round_prefer_ceil", {0.5, 0.25}, 0, false});
    run("{size: [8, 5], coordinates: align_corners, nearest: ceil}",
        (struct thaw_shape){2, 16, 3, 7}, 8, 5,
        (struct resize){"nearest", "align_corners", "ceil", {0, 0}, 0, false});
    run("{size: [3, 2], coordinates: tf_half_pixel_for_nn}", (struct thaw_shape){1, 4, 4, 4}, 3, 2,
        (struct resize){"nearest", "tf_half_pixel_for_nn", "round_prefer_floor", {0, 0}, 0, false});
}

static void test_linear(void **state) {
    (void)state;
    run("{size: [7, 3], mode: linear}", (struct thaw_shape){2, 17, 4, 5}, 7, 3,
        (struct resize){"linear", "half_pixel", NULL, {0, 0}, 0, false});
    run("{scale: [2.5, 1.25], mode: linear, coordinates: asymmetric}",
        (struct thaw_shape){2, 3, 3, 4}, 7, 5,
        (struct resize){"linear", "asymmetric", NULL, {2.5, 1.25}, 0, false});
    run("{size: [6, 1], mode: linear, coordinates: pytorch_half_pixel}",
        (struct thaw_shape){1, 5, 3, 3}, 6, 1,
        (struct resize){"linear", "pytorch_half_pixel", NULL, {0, 0}, 0, false});
    run("{size: [1, 6], mode: linear, coordinates: align_corners, exclude_outside: true}",
        (struct thaw_shape){1, 5, 3, 1}, 1, 6,
        (struct resize){"linear", "align_corners", NULL, {0, 0}, 0, true});
}

static void test_cubic(void **state) {
    (void)state;
    run("{size: [7, 3], mode: cubic}", (struct thaw_shape){2, 18, 4, 6}, 7, 3,
        (struct resize){"cubic", "half_pixel", NULL, {0, 0}, -0.75, false});
    run("{scale: 1.5, mode: cubic, cubic_a: -0.5, exclude_outside: true}",
        (struct thaw_shape){2, 3, 3, 2}, 4, 3,
        (struct resize){"cubic", "half_pixel", NULL, {1.5, 1.5}, -0.5, true});
    run("{size: [3, 8], mode: cubic, coordinates: align_corners}", (struct thaw_shape){1, 4, 5, 5},
        3, 8, (struct resize){"cubic", "align_corners", NULL, {0, 0}, -0.75, false});
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("resize", NULL, "one of 'size' and 'scale' is required");
    op_parse_fails("resize", "{size: 3, scale: 2}", "one of 'size' and 'scale' is required");
    op_parse_fails("resize", "{size: 0}", "from 1 to");
    op_parse_fails("resize", "{scale: [2, 2, 2]}", "[vertical, horizontal]");
    op_parse_fails("resize", "{scale: -1}", "a number from 1e-06");
    op_parse_fails("resize", "{size: 3, mode: bilinear}", "expected one of: nearest, linear");
    op_parse_fails("resize", "{size: 3, coordinates: half_pixle}", "nearest: 'half_pixel'");
    op_parse_fails("resize", "{size: 3, mode: linear, nearest: floor}",
                   "'nearest' has no meaning with mode: linear");
    op_parse_fails("resize", "{size: 3, cubic_a: -0.5}", "'cubic_a' has no meaning");
    op_parse_fails("resize", "{size: 3, exclude_outside: true}", "'exclude_outside' has no");
    struct op_test test = {.op = "resize", .attrs = "{scale: 0.2}", .in = {{1, 4, 8, 4}}};
    op_infer_fails(&test, THAW_ERROR_INPUT, "scaling 4 pixels by 0.2 gives 0");
    test.attrs = "{scale: 65535}";
    op_infer_fails(&test, THAW_ERROR_INPUT, "expected 1 to 65535");
    test.attrs = "{scale: 0.7}"; /* in single precision 10 * 0.7 is 7 */
    test.in[0].w = 10;
    assert_int_equal(op_infer(&test, 16).out.w, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference), cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_linear),    cmocka_unit_test(test_cubic),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
