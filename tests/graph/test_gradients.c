/* Gradients through whole networks: every parameter's against central differences of the loss that
 * the executor itself computes, in double precision over its per-image losses. What they prove: the
 * order of backward, sums over several readers, gradients computed in place, and each op's share.
 */
#include <math.h>
#include <stdlib.h>

#include "support/device.h"
#include "support/model.h"

#define BATCH 4

struct net {
    struct thaw_graph *graph;
    thaw_exec *exec;
};

static double loss_with(const struct net *net, const struct thaw_param *param, float *values,
                        size_t index, float value) {
    float before = values[index];
    values[index] = value;
    assert_ok(thaw_param_write(net->graph, param, values));
    values[index] = before;
    test_forward(net->exec, net->graph, BATCH);
    return test_loss(net->exec, net->graph, BATCH);
}

static double difference(const struct net *net, const struct thaw_param *param, float *values,
                         size_t index, float step, int side) {
    double above = loss_with(net, param, values, index, values[index] + (side >= 0 ? step : 0));
    double below = loss_with(net, param, values, index, values[index] - (side <= 0 ? step : 0));
    return (above - below) / (side ? (double)step : 2 * (double)step);
}

/* Relu and max pooling have kinks: a step that crosses one is off, a shorter one is noisier. One of
 * three must agree, to both sides or, right beside a kink, to one. */
static void check_element(const struct net *net, const struct thaw_param *param, float *values,
                          size_t index, double gradient, int *failures) {
    const float steps[] = {1e-2f, 3e-3f, 1e-3f};
    const int sides[] = {0, 1, -1};
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < 3; i++) {
            double seen = difference(net, param, values, index, steps[i], sides[s]);
            if (fabs(seen - gradient) <= 1e-6 / (double)steps[i] + 0.01 * fabs(gradient))
                return;
        }
    ++*failures;
    print_error("%s[%zu]: gradient %.6g, difference %.6g\n", param->name, index, gradient,
                difference(net, param, values, index, steps[1], 0));
}

static void check_param(const struct net *net, int index) {
    const struct thaw_param *param = &net->graph->params[index];
    size_t count = thaw_param_count_values(param), stride = count > 12 ? count / 11 : 1;
    float *values = calloc(count, sizeof *values), *gradient = calloc(count, sizeof *gradient);
    int failures = 0;
    assert_true(values && gradient);
    assert_ok(thaw_param_read(net->graph, param, values));
    assert_non_null(thaw_exec_gradient(net->exec, index));
    assert_ok(thaw_filter_read(net->graph->device, &param->spec->filter,
                               thaw_exec_gradient(net->exec, index), gradient));
    for (size_t i = 0; i < count; i += stride)
        check_element(net, param, values, i, (double)gradient[i], &failures);
    assert_ok(thaw_param_write(net->graph, param, values));
    free(values);
    free(gradient);
    assert_int_equal(failures, 0);
}

static void check(thaw_device *device, const char *model, bool batch_statistics) {
    struct net net = {.graph = test_model_on(device, model, NULL, 11)};
    struct thaw_op_step step = test_step(BATCH);
    TEST_TRAIN(net.graph, batch_statistics, "all");
    struct thaw_exec_options options = {.batch = BATCH, .training = true, .loss = true};
    assert_ok(thaw_exec_create(net.graph, &options, &net.exec));
    for (size_t i = 0; i < net.graph->param_count; i++) {
        if (!net.graph->params[i].trainable) {
            assert_null(thaw_exec_gradient(net.exec, (int)i));
            continue;
        }
        test_forward(net.exec, net.graph, BATCH);
        assert_ok(thaw_exec_backward(net.exec, &step));
        check_param(&net, (int)i);
    }
    thaw_exec_destroy(&net.exec);
    thaw_graph_destroy(&net.graph);
}

static void residual_running_statistics(void **state) {
    (void)state;
    check(test_device(), test_residual_model, false);
}

static void residual_batch_statistics(void **state) {
    (void)state;
    check(test_device(), test_residual_model, true);
}

static void branching_running_statistics(void **state) {
    (void)state;
    check(test_device(), test_branching_model, false);
}

static void branching_batch_statistics(void **state) {
    (void)state;
    check(test_device(), test_branching_model, true);
}

static void other_blocks(void **state) {
    (void)state;
    int own = thaw_device_get_caps(test_device())->block;
    const int blocks[] = {1, 16};
    for (int i = 0; i < 2; i++)
        if (blocks[i] != own && !(test_small() && i))
            check(test_device_block(blocks[i]), test_residual_model, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(residual_running_statistics),
        cmocka_unit_test(residual_batch_statistics),
        cmocka_unit_test(branching_running_statistics),
        cmocka_unit_test(branching_batch_statistics),
        cmocka_unit_test(other_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
