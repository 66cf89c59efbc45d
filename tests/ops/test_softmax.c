/* Softmax and the loss against their definitions in double precision. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/parse.h"
#include "support/op_harness.h"

static double log_sum_exp(const struct op_map *x, int n) {
    double most = *op_at(x, n, 0, 0, 0), sum = 0;
    for (int c = 1; c < x->c; c++)
        most = fmax(most, *op_at(x, n, c, 0, 0));
    for (int c = 0; c < x->c; c++)
        sum += exp(*op_at(x, n, c, 0, 0) - most);
    return most + log(sum);
}

static void loss(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                 struct op_map *out) {
    (void)test, (void)params;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < in[0].c; c++)
            out->data[n] -=
                *op_at(&in[1], n, c, 0, 0) * (*op_at(&in[0], n, c, 0, 0) - log_sum_exp(&in[0], n));
}

static void run_loss(int classes, float low, float high) {
    struct thaw_shape shape = {3, classes, 1, 1};
    struct op_test test = {.op = "softmax_cross_entropy",
                           .input_count = 2,
                           .in = {shape, shape},
                           .is_loss = true,
                           .targets = true,
                           .low = low,
                           .high = high,
                           .reference = loss};
    op_test_run(&test);
}

static void test_loss(void **state) {
    (void)state;
    run_loss(2, -2, 2);
    run_loss(16, -2, 2);
    run_loss(100, -5, 5);
    run_loss(3, 500, 520); /* exp() of them would overflow */
}

static void softmax(const struct op_test *test, const struct op_map *in,
                    const struct op_map *params, struct op_map *out) {
    (void)test, (void)params;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < out->c; c++)
            *op_at(out, n, c, 0, 0) = exp(*op_at(in, n, c, 0, 0) - log_sum_exp(in, n));
}

static void test_softmax(void **state) {
    (void)state;
    static const int classes[] = {2, 16, 100};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        /* The gradient y (dy - sum y dy) is a small difference of terms near 1, whose rounding is
         * that of the terms: up to 1e-7 where the largest gradient is 6e-3. */
        struct op_test test = {.op = "softmax",
                               .in = {{3, classes[i], 1, 1}},
                               .reference = softmax,
                               .tolerance = 4e-5};
        op_test_run(&test);
    }
    struct op_test large = {.op = "softmax",
                            .in = {{3, 5, 1, 1}},
                            .low = 500,
                            .high = 520,
                            .reference = softmax,
                            .tolerance = 4e-5};
    op_test_run(&large);
}

/* Along an axis of maps: `user` is that of thaw_axis. */
static void lines(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                  struct op_map *out) {
    (void)params;
    enum thaw_axis axis = *(const enum thaw_axis *)test->user;
    bool logarithm = strcmp(test->op, "log_softmax") == 0;
    const int sizes[] = {in->c, in->h, in->w}, strides[] = {in->h * in->w, in->w, 1};
    int count = sizes[axis], stride = strides[axis];
    for (int i = 0; i < op_map_count(out); i++) {
        const double *line = in->data + i - i / stride % count * stride;
        double most = line[0], sum = 0;
        for (int k = 1; k < count; k++)
            most = fmax(most, line[k * stride]);
        for (int k = 0; k < count; k++)
            sum += exp(line[k * stride] - most);
        double value = in->data[i] - most - log(sum);
        out->data[i] = logarithm ? value : exp(value);
    }
}

static void test_axes(void **state) {
    (void)state;
    static const char *const ops[] = {"softmax", "log_softmax"};
    for (int i = 0; i < 2; i++)
        for (enum thaw_axis axis = 0; axis < THAW_AXIS_COUNT; axis++) {
            char attrs[32];
            snprintf(attrs, sizeof attrs, "{axis: %s}", thaw_axis_names[axis]);
            struct op_test test = {.op = ops[i],
                                   .attrs = attrs,
                                   .in = {{2, 18, 5, 4}},
                                   .reference = lines,
                                   .user = &axis,
                                   .tolerance = 4e-5};
            op_test_run(&test);
        }
    static const enum thaw_axis channels = THAW_AXIS_CHANNELS;
    struct op_test logits = {
        .op = "log_softmax", .in = {{3, 100, 1, 1}}, .reference = lines, .user = &channels};
    op_test_run(&logits);
}

static void test_softmax_errors(void **state) {
    (void)state;
    op_parse_fails("softmax", "{axes: 1}", "nearest: 'axis'");
    op_parse_fails("log_softmax", "{axis: widht}", "nearest: 'width'");
}

static void test_loss_errors(void **state) {
    (void)state;
    op_parse_fails("softmax_cross_entropy", "{smoothing: 1}", "unknown key");
    struct op_test test = {
        .op = "softmax_cross_entropy", .input_count = 2, .in = {{1, 4, 1, 1}, {1, 5, 1, 1}}};
    op_infer_fails(&test, THAW_ERROR_INPUT, "4 logits, but targets for 5 classes");
    test.in[0].h = 2;
    op_infer_fails(&test, THAW_ERROR_INPUT, "logits are maps of 2 x 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss),           cmocka_unit_test(test_loss_errors),
        cmocka_unit_test(test_softmax),        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_softmax_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
