#include <math.h>
#include <stdlib.h>

#include "ops/batchnorm.h"
#include "support/conv_reference.h"
#include "support/op_harness.h"

enum { WEIGHT, BIAS, MEAN, VAR };

static double eps_of(const struct op_test *test) {
    return test->user ? *(const double *)test->user : 1e-5;
}

/* Mean and biased variance of channel c. */
static void moments(const struct op_map *x, int c, double *mean, double *var) {
    double sum = 0, squares = 0, count = x->n * x->h * x->w;
    for (int n = 0; n < x->n; n++)
        for (int y = 0; y < x->h; y++)
            for (int i = 0; i < x->w; i++)
                sum += *op_at(x, n, c, y, i);
    *mean = sum / count;
    for (int n = 0; n < x->n; n++)
        for (int y = 0; y < x->h; y++)
            for (int i = 0; i < x->w; i++)
                squares += pow(*op_at(x, n, c, y, i) - *mean, 2);
    *var = squares / count;
}

static void reference(const struct op_test *test, const struct op_map *in,
                      const struct op_map *params, struct op_map *out) {
    for (int c = 0; c < out->c; c++) {
        double mean = params[MEAN].data[c], var = params[VAR].data[c];
        if (test->batch_statistics)
            moments(in, c, &mean, &var);
        double scale = params[WEIGHT].data[c] / sqrt(var + eps_of(test));
        for (int n = 0; n < out->n; n++)
            for (int y = 0; y < out->h; y++)
                for (int x = 0; x < out->w; x++)
                    *op_at(out, n, c, y, x) = conv_reference_activation(
                        test->activation,
                        (*op_at(in, n, c, y, x) - mean) * scale + params[BIAS].data[c] +
                            (test->input_count > 1 ? *op_at(in + 1, n, c, y, x) : 0),
                        (double)test->activation_parameter);
    }
}

/* The running statistics moved, or stayed. */
static void check_running(const struct op_test *test, const struct thaw_op_call *call,
                          const struct op_map *in, int batch) {
    double momentum = test->user ? 0.25 : 0.1, count = batch * in->h * in->w;
    float *mean = calloc((size_t)in->c, sizeof *mean), *var = calloc((size_t)in->c, sizeof *var);
    op_param_read(call, MEAN, mean);
    op_param_read(call, VAR, var);
    for (int c = 0; c < in->c; c++) {
        double old_mean = op_param_value(test, MEAN, c), old_var = op_param_value(test, VAR, c);
        double new_mean = 0, new_var = 0;
        moments(in, c, &new_mean, &new_var);
        if (test->batch_statistics) {
            old_mean = (1 - momentum) * old_mean + momentum * new_mean;
            old_var = (1 - momentum) * old_var + momentum * new_var * count / (count - 1);
        }
        assert_true(fabs(mean[c] - old_mean) <= 1e-6 * fmax(1, fabs(old_mean)));
        assert_true(fabs(var[c] - old_var) <= 2e-6 * fmax(1, fabs(old_var)));
    }
    free(mean);
    free(var);
}

static struct op_test make_test(struct thaw_shape shape, bool batch_statistics) {
    return (struct op_test){.op = "batchnorm",
                            .in = {shape},
                            .training = true,
                            .batch_statistics = batch_statistics,
                            .reference = reference,
                            .tolerance = 2e-5,
                            .after_forward = check_running};
}

static void run(struct thaw_shape shape, bool batch_statistics, const char *attrs,
                const double *eps) {
    struct op_test test = make_test(shape, batch_statistics);
    test.attrs = attrs;
    test.user = eps;
    op_test_run(&test);
}

static void test_modes(void **state) {
    (void)state;
    static const double eps = 0.25;
    static const struct thaw_shape shapes[] = {
        {3, 5, 4, 3}, {4, 18, 2, 2}, {5, 16, 1, 1}, {3, 2, 40, 41}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        run(shapes[i], true, NULL, NULL);
        run(shapes[i], false, NULL, NULL);
        run(shapes[i], true, "{eps: 0.25, momentum: 0.25}", &eps);
    }
}

/* Differences need smooth ones; tests/graph/test_exec.c compares those that batch norm is given,
 * and their backward, with the activation on its own. */
static void test_activations(void **state) {
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        struct op_test test = make_test((struct thaw_shape){4, 18, 3, 2}, mode == 0);
        test.activation = THAW_ACTIVATION_SILU;
        op_test_run(&test);
        test.activation = THAW_ACTIVATION_GELU;
        op_test_run(&test);
        test.activation = THAW_ACTIVATION_LEAKY_RELU;
        test.activation_parameter = 0.25f;
        test.forward_only = true;
        op_test_run(&test);
    }
}

/* A residual that is added before the activation. */
static void test_residual(void **state) {
    (void)state;
    static const enum thaw_activation activations[] = {THAW_ACTIVATION_NONE, THAW_ACTIVATION_RELU,
                                                       THAW_ACTIVATION_RELU6,
                                                       THAW_ACTIVATION_LEAKY_RELU};
    for (size_t i = 0; i < 2 * sizeof activations / sizeof *activations; i++) {
        struct thaw_shape shape = {4, 18, 3, 2};
        struct op_test test = make_test(shape, i % 2);
        test.input_count = 2;
        test.in[1] = shape;
        test.activation = activations[i / 2];
        test.activation_parameter = 0.25f;
        op_test_run(&test);
    }
}

/* Many chunks, and a mean 1000 times the deviation: float sums of squares would lose everything. */
static void test_large_mean(void **state) {
    (void)state;
    struct op_test test = {.op = "batchnorm",
                           .in = {{5, 18, 45, 43}},
                           .training = true,
                           .batch_statistics = true,
                           .forward_only = true,
                           .low = 999,
                           .high = 1001,
                           .reference = reference,
                           .tolerance = 5e-4, /* one unit in the last place of x is 6e-5 */
                           .after_forward = check_running};
    op_test_run(&test);
}

static void test_one_value(void **state) {
    (void)state;
    thaw_device *device = test_device_block(16);
    const struct thaw_op *op = thaw_op_find("batchnorm");
    float attrs[4] = {0};
    assert_ok(op->parse(NULL, attrs));
    struct thaw_op_call call = {
        .device = device, .attrs = attrs, .batch_statistics = true, .input_count = 1};
    call.in[0].layout = call.out.layout = thaw_layout_make((struct thaw_shape){2, 4, 1, 1}, 16, 0);
    assert_ok(op->prepare(&call));
    struct thaw_op_step step = {.batch = 1};
    assert_fails(op->forward(&call, &step), THAW_ERROR_RUNTIME, "more than one value per channel");
    thaw_op_release(op, &call);
}

/* Folded weights and bias against the formula, with and without the convolution's own bias. */
static void check_fold(int block_o, int block_i, bool with_bias) {
    thaw_device *device = test_device_block(16);
    struct thaw_filter filter = {20, 5, 3, 2, block_o, block_i}, vector = {20, 1, 1, 1, 16, 1};
    struct thaw_filter bias_filter = {20, 1, 1, 1, block_o, 1};
    enum { O = 20, PER = 5 * 3 * 2 };
    float weight[O * PER], values[5][O], packed[4096];
    test_random(weight, O * PER, 1, -1, 1);
    for (int i = 0; i < 5; i++)
        test_random(values[i], O, 2 + (uint32_t)i, i == VAR ? 0.5f : -1, 2);
    struct thaw_op_param norm[4] = {0};
    for (int i = 0; i < 4; i++) {
        thaw_filter_pack(&vector, values[i], packed);
        norm[i].value = test_buffer(device, packed, thaw_filter_size(&vector));
    }
    thaw_filter_pack(&bias_filter, values[4], packed);
    cl_mem bias = test_buffer(device, packed, thaw_filter_size(&bias_filter));
    thaw_filter_pack(&filter, weight, packed);
    cl_mem weights = test_buffer(device, packed, thaw_filter_size(&filter));
    cl_mem ret_weight = test_buffer(device, NULL, thaw_filter_size(&filter));
    cl_mem ret_bias = test_buffer(device, NULL, thaw_filter_size(&bias_filter));
    float attrs[2] = {1e-5f, 0.1f};
    assert_ok(thaw_batchnorm_fold(device, attrs, norm, &filter, weights, with_bias ? bias : NULL,
                                  ret_weight, ret_bias));
    float actual[O * PER];
    double expected[O * PER];
    for (int i = 0; i < O * PER; i++)
        expected[i] =
            weight[i] * (values[WEIGHT][i / PER] / sqrt((double)values[VAR][i / PER] + 1e-5));
    assert_ok(
        thaw_buffer_read(device, ret_weight, 0, packed, thaw_filter_size(&filter) * sizeof(float)));
    thaw_filter_unpack(&filter, packed, actual);
    test_compare(actual, expected, O * PER, 1e-6, 1e-6, "folded weight");
    for (int o = 0; o < O; o++)
        expected[o] = values[BIAS][o] + ((with_bias ? values[4][o] : 0) - values[MEAN][o]) *
                                            values[WEIGHT][o] / sqrt(values[VAR][o] + 1e-5);
    assert_ok(thaw_buffer_read(device, ret_bias, 0, packed,
                               thaw_filter_size(&bias_filter) * sizeof(float)));
    test_compare(packed, expected, O, 2e-6, 1e-6, "folded bias");
    for (size_t o = O; o < thaw_filter_size(&bias_filter); o++)
        assert_true(packed[o] == 0);
    for (int i = 0; i < 4; i++)
        thaw_buffer_destroy(&norm[i].value);
    thaw_buffer_destroy(&bias);
    thaw_buffer_destroy(&weights);
    thaw_buffer_destroy(&ret_weight);
    thaw_buffer_destroy(&ret_bias);
}

static void test_fold(void **state) {
    (void)state;
    check_fold(32, 16, true);
    check_fold(32, 16, false);
    check_fold(16, 1, true);
    check_fold(1, 1, true);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("batchnorm", "{esp: 1}", "nearest: 'eps'");
    op_parse_fails("batchnorm", "{eps: 0}", "'eps': expected");
    op_parse_fails("batchnorm", "{momentum: 2}", "from 0 to 1");
    op_parse_fails("batchnorm", "{momentum: slow}", "a number");
    struct op_test image = {.op = "batchnorm", .in = {{1, 3, 4, 4}}, .image = true};
    op_infer_fails(&image, THAW_ERROR_UNSUPPORTED, "reads the network's image");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),     cmocka_unit_test(test_activations),
        cmocka_unit_test(test_residual),  cmocka_unit_test(test_large_mean),
        cmocka_unit_test(test_one_value), cmocka_unit_test(test_fold),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
