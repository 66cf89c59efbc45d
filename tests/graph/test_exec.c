/* The claims of exec.h on whole networks: nothing is computed below the lowest trainable tensor;
 * folding, sharing memory, starting at a cut, partial batches and the channel block change nothing
 * but speed and memory; the same step gives the same bits. Gradients themselves: test_gradients. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec_internal.h"
#include "support/device.h"
#include "support/model.h"

#define BATCH 4

struct net {
    struct thaw_graph *graph;
    thaw_exec *exec;
};

static thaw_exec *make(struct thaw_graph *graph, struct thaw_exec_options options) {
    thaw_exec *exec = NULL;
    assert_ok(thaw_exec_create(graph, &options, &exec));
    return exec;
}

static int node(const struct thaw_graph *graph, const char *name) {
    int found = thaw_graph_find_node(graph, name);
    assert_true(found >= 0);
    return found;
}

static void finish(struct net *net) {
    thaw_exec_destroy(&net->exec);
    thaw_graph_destroy(&net->graph);
}

static void expect_same(const float *actual, const float *expected, size_t count, double tolerance,
                        const char *what) {
    double *wanted = calloc(count, sizeof *wanted);
    assert_non_null(wanted);
    for (size_t i = 0; i < count; i++)
        wanted[i] = (double)expected[i];
    test_compare(actual, wanted, count, tolerance, tolerance, what);
    free(wanted);
}

/* The named output of both is equal within `tolerance`. */
static void expect_same_output(const struct net *a, const struct net *b, const char *name,
                               double tolerance) {
    size_t count, other;
    float *actual = test_output(a->exec, a->graph, name, BATCH, &count);
    float *expected = test_output(b->exec, b->graph, name, BATCH, &other);
    assert_int_equal(count, other);
    expect_same(actual, expected, count, tolerance, name);
    free(actual);
    free(expected);
}

/* All gradients after a step, one behind the other; zeros where there is none. */
static float *gradients(const struct net *net, size_t *ret_count) {
    size_t count = 0, at = 0;
    for (size_t i = 0; i < net->graph->param_count; i++)
        count += thaw_param_count_values(&net->graph->params[i]);
    float *all = calloc(count, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < net->graph->param_count; i++) {
        const struct thaw_param *param = &net->graph->params[i];
        cl_mem gradient = thaw_exec_gradient(net->exec, (int)i);
        if (gradient)
            assert_ok(
                thaw_filter_read(net->graph->device, &param->spec->filter, gradient, all + at));
        at += thaw_param_count_values(param);
    }
    *ret_count = count;
    return all;
}

static void step_once(const struct net *net, int batch) {
    struct thaw_op_step step = test_step(batch);
    test_forward(net->exec, net->graph, batch);
    assert_ok(thaw_exec_backward(net->exec, &step));
}

static void expect_same_gradients(const struct net *a, const struct net *b, double tolerance) {
    size_t count, other;
    float *actual = gradients(a, &count), *expected = gradients(b, &other);
    assert_int_equal(count, other);
    if (tolerance > 0)
        expect_same(actual, expected, count, tolerance, "gradients");
    else
        assert_memory_equal(actual, expected, count * sizeof *actual);
    free(actual);
    free(expected);
}

static const struct thaw_exec_options training = {.batch = BATCH, .training = true, .loss = true};

static struct net trained_net(const char *model, struct thaw_exec_options options) {
    struct net net = {.graph = test_model_on(test_device(), model, NULL, 11)};
    TEST_TRAIN(net.graph, true, "all");
    net.exec = make(net.graph, options);
    return net;
}

/* ---- claims --------------------------------------------------------------------------------- */

static void same_bits(void **state) {
    (void)state;
    struct net a = trained_net(test_residual_model, training),
               b = trained_net(test_residual_model, training);
    step_once(&a, BATCH);
    step_once(&b, BATCH);
    assert_true(test_loss(a.exec, a.graph, BATCH) == test_loss(b.exec, b.graph, BATCH));
    expect_same_gradients(&a, &b, 0);
    step_once(&a, BATCH); /* with batch statistics, running ones are no input: again the same */
    expect_same_gradients(&a, &b, 0);
    finish(&a);
    finish(&b);
}

/* Dropout draws by seed and counter. */
static void dropout_draws(void **state) {
    (void)state;
    struct net net = trained_net(test_residual_model, training);
    test_forward(net.exec, net.graph, BATCH);
    double first = test_loss(net.exec, net.graph, BATCH);
    struct thaw_op_step step = test_step(BATCH);
    step.counter++;
    assert_ok(thaw_exec_forward(net.exec, &step));
    assert_true(test_loss(net.exec, net.graph, BATCH) != first);
    step.counter--;
    assert_ok(thaw_exec_forward(net.exec, &step));
    assert_true(test_loss(net.exec, net.graph, BATCH) == first);
    finish(&net);
}

static void nothing_below_the_lowest_trainable(void **state) {
    (void)state;
    struct net net = {.graph = test_model_on(test_device(), test_residual_model, NULL, 11)};
    TEST_TRAIN(net.graph, true, "layer2.0.conv2", "head");
    net.exec = make(net.graph, training);
    for (size_t i = 0; i < net.graph->param_count; i++) {
        bool has = thaw_exec_gradient(net.exec, (int)i) != NULL;
        assert_int_equal(has, net.graph->params[i].trainable);
    }
    const char *frozen[] = {"conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.downsample.0"};
    for (int i = 0; i < 4; i++) {
        assert_true(thaw_exec_node(net.exec, node(net.graph, frozen[i])).runs);
        assert_false(thaw_exec_node(net.exec, node(net.graph, frozen[i])).backward);
        assert_null(net.exec->items[node(net.graph, frozen[i])].grad);
    }
    assert_true(thaw_exec_node(net.exec, node(net.graph, "layer2.0.conv2")).backward);
    assert_true(thaw_exec_node(net.exec, node(net.graph, "layer2.0.bn2")).backward);
    assert_true(thaw_exec_node(net.exec, node(net.graph, "layer2.0.conv1")).flops > 0);
    assert_true(thaw_exec_node(net.exec, node(net.graph, "layer2.0.bn1")).folded);
    struct net all = trained_net(test_residual_model, training);
    TEST_TRAIN(all.graph, false, "all");
    thaw_exec_destroy(&all.exec);
    all.exec = make(all.graph, training);
    step_once(&net, BATCH);
    step_once(&all, BATCH);
    int conv2 = thaw_graph_find_param(net.graph, "layer2.0.conv2.weight");
    const struct thaw_param *param = &net.graph->params[conv2];
    size_t count = thaw_param_count_values(param);
    float *some = calloc(2 * count, sizeof *some);
    assert_non_null(some);
    assert_ok(thaw_filter_read(net.graph->device, &param->spec->filter,
                               thaw_exec_gradient(net.exec, conv2), some));
    assert_ok(thaw_filter_read(all.graph->device, &param->spec->filter,
                               thaw_exec_gradient(all.exec, conv2), some + count));
    expect_same(some, some + count, count, 1e-5, "gradient over a frozen prefix");
    free(some);
    finish(&net);
    finish(&all);
}

/* Indices of all nodes but the input. */
static int *every_node(const struct thaw_graph *graph) {
    int *keep = calloc(graph->node_count, sizeof *keep);
    assert_non_null(keep);
    for (size_t i = 1; i < graph->node_count; i++)
        keep[i - 1] = (int)i;
    return keep;
}

static void memory_sharing_changes_nothing(void **state) {
    (void)state;
    const char *models[] = {test_residual_model, test_branching_model};
    for (int m = 0; m < 2; m++) {
        struct net a = trained_net(models[m], training), b = trained_net(models[m], training);
        int *keep = every_node(b.graph);
        struct thaw_exec_options options = training;
        options.keep = keep;
        options.keep_count = (int)b.graph->node_count - 1;
        thaw_exec_destroy(&b.exec);
        b.exec = make(b.graph, options);
        assert_true(thaw_exec_memory(a.exec).pool_bytes < thaw_exec_memory(b.exec).pool_bytes);
        step_once(&a, BATCH);
        step_once(&b, BATCH);
        expect_same_output(&a, &b, "fc", 1e-6);
        expect_same_gradients(&a, &b, 1e-6);
        step_once(&a, BATCH); /* once more over used memory: halos are still zero */
        expect_same_gradients(&a, &b, 1e-6);
        free(keep);
        finish(&a);
        finish(&b);
    }
}

/* A convolution whose output is kept can't take in its batch norm: the reference without folding.
 */
static void folding_changes_nothing(void **state) {
    (void)state;
    struct net folded = {.graph = test_model_on(test_device(), test_residual_model, NULL, 11)};
    struct net plain = {.graph = test_model_on(test_device(), test_residual_model, NULL, 11)};
    int *keep = every_node(plain.graph);
    folded.exec = make(folded.graph, (struct thaw_exec_options){.batch = BATCH});
    plain.exec =
        make(plain.graph,
             (struct thaw_exec_options){
                 .batch = BATCH, .keep = keep, .keep_count = (int)plain.graph->node_count - 1});
    const char *norms[] = {"bn1", "layer1.0.bn1", "layer1.0.bn2", "layer2.0.downsample.1"};
    for (int i = 0; i < 4; i++) {
        assert_true(thaw_exec_node(folded.exec, node(folded.graph, norms[i])).folded);
        assert_false(thaw_exec_node(plain.exec, node(plain.graph, norms[i])).folded);
    }
    const char *activations[] = {"relu", "layer1.0.relu_2", "layer2.0.relu_2"}; /* conv, add, add */
    for (int i = 0; i < 3; i++)
        assert_true(thaw_exec_node(folded.exec, node(folded.graph, activations[i])).folded);
    assert_true(thaw_exec_memory(folded.exec).folded_bytes > 0);
    assert_int_equal(thaw_exec_memory(plain.exec).folded_bytes, 0);
    test_forward(folded.exec, folded.graph, BATCH);
    test_forward(plain.exec, plain.graph, BATCH);
    expect_same_output(&folded, &plain, "fc", 1e-5);
    /* New weights need a new fold. */
    struct thaw_param *weight =
        &plain.graph->params[thaw_graph_find_param(plain.graph, "layer1.0.bn1.weight")];
    float values[6] = {2, -1, 0.5f, 3, 1, 0};
    assert_ok(thaw_param_write(plain.graph, weight, values));
    weight = &folded.graph->params[thaw_graph_find_param(folded.graph, "layer1.0.bn1.weight")];
    assert_ok(thaw_param_write(folded.graph, weight, values));
    assert_ok(thaw_exec_fold(folded.exec));
    test_forward(folded.exec, folded.graph, BATCH);
    test_forward(plain.exec, plain.graph, BATCH);
    expect_same_output(&folded, &plain, "fc", 1e-5);
    free(keep);
    finish(&folded);
    finish(&plain);
}

static const char activated_model[] = "input: {channels: 3, size: 12}\n"
                                      "graph:\n"
                                      "  - conv1: {conv: {out: 18, kernel: 3, pad: 1}}\n"
                                      "  - bn1: batchnorm\n"
                                      "  - act1: relu\n"
                                      "  - conv2: {conv: {out: 18, kernel: 3, groups: depthwise}}\n"
                                      "  - bn2: {batchnorm: {eps: 0.25}}\n"
                                      "  - act2: relu6\n"
                                      "  - conv3: {conv: {out: 5, kernel: 1}}\n"
                                      "  - bn3: batchnorm\n"
                                      "  - act3: {leaky_relu: {slope: 0.2}}\n"
                                      "  - conv4: {conv: {out: 7, kernel: 3, stride: 2}}\n"
                                      "  - bn4: batchnorm\n"
                                      "  - act4: hardswish\n"
                                      "  - bn5: batchnorm\n"
                                      "  - act5: silu\n"
                                      "  - bn6: batchnorm\n"
                                      "  - act6: gelu\n"
                                      "  - bn7: batchnorm\n"
                                      "  - act7: sigmoid\n"
                                      "  - avgpool: global\n"
                                      "  - flatten\n"
                                      "  - fc: {linear: {out: 7}}\n"
                                      "features: avgpool\n";

/* Batch norms take the activation that follows them along, in backward too, if it costs little; a
 * batch norm whose output is kept can't. */
static void check_activated(bool batch_statistics, const char *trained) {
    struct net fused = {.graph = test_model_on(test_device(), activated_model, NULL, 11)};
    struct net plain = {.graph = test_model_on(test_device(), activated_model, NULL, 11)};
    TEST_TRAIN(fused.graph, batch_statistics, trained, "head");
    TEST_TRAIN(plain.graph, batch_statistics, trained, "head");
    int *keep = every_node(plain.graph);
    struct thaw_exec_options options = training;
    fused.exec = make(fused.graph, options);
    options.keep = keep;
    options.keep_count = (int)plain.graph->node_count - 1;
    plain.exec = make(plain.graph, options);
    for (int i = 1; i <= 7; i++) {
        char name[8];
        snprintf(name, sizeof name, "act%d", i);
        assert_int_equal(thaw_exec_node(fused.exec, node(fused.graph, name)).folded, i < 5);
        assert_false(thaw_exec_node(plain.exec, node(plain.graph, name)).folded);
    }
    step_once(&fused, BATCH);
    step_once(&plain, BATCH);
    expect_same_output(&fused, &plain, "fc", 1e-6);
    expect_same_gradients(&fused, &plain, 1e-5);
    step_once(&fused, BATCH - 1);
    step_once(&plain, BATCH - 1);
    expect_same_gradients(&fused, &plain, 1e-5);
    free(keep);
    finish(&fused);
    finish(&plain);
}

static const char residuals_model[] = "input: {channels: 3, size: 12}\n"
                                      "graph:\n"
                                      "  - conv1: {conv: {out: 18, kernel: 3, pad: 1}}\n"
                                      "  - bn1: batchnorm\n"
                                      "  - act1: relu\n"
                                      "  - conv2: {conv: {out: 18, kernel: 3, pad: 1}}\n"
                                      "  - bn2: batchnorm\n"
                                      "  - add2: {add: [act1, bn2]}\n" /* a chain of blocks */
                                      "  - act2: relu\n"
                                      "  - conv3: {conv: {out: 18, kernel: 3, pad: 1}}\n"
                                      "  - bn3: batchnorm\n"
                                      "  - add3: {add: [bn3, act2]}\n"
                                      "  - act3: {leaky_relu: {slope: 0.2}}\n"
                                      "  - conv4: {conv: {out: 18, kernel: 1}}\n"
                                      "  - bn4: batchnorm\n"
                                      "  - conv5: {conv: {out: 18, kernel: 1}, from: act3}\n"
                                      "  - bn5: batchnorm\n"
                                      "  - add5: {add: [bn5, bn4]}\n" /* two batch norms */
                                      "  - conv6: {conv: {out: 18, kernel: 3, pad: 1}}\n"
                                      "  - bn6: batchnorm\n"
                                      "  - add6: {add: [act3, bn6]}\n" /* read later, too */
                                      "  - act6: hardswish\n"
                                      "  - late: {mul: [act6, act3]}\n"
                                      "  - avgpool: global\n"
                                      "  - flatten\n"
                                      "  - fc: {linear: {out: 7}}\n"
                                      "features: avgpool\n";

/* Batch norms take a sum along, and the activation after it. */
static void check_residuals(bool batch_statistics, const char *trained) {
    static const char *const joined[] = {"add2", "act2", "add3", "act3", "add5", "add6"};
    struct net fused = {.graph = test_model_on(test_device(), residuals_model, NULL, 11)};
    struct net plain = {.graph = test_model_on(test_device(), residuals_model, NULL, 11)};
    TEST_TRAIN(fused.graph, batch_statistics, trained, "head");
    TEST_TRAIN(plain.graph, batch_statistics, trained, "head");
    int *keep = every_node(plain.graph);
    struct thaw_exec_options options = training;
    fused.exec = make(fused.graph, options);
    options.keep = keep;
    options.keep_count = (int)plain.graph->node_count - 1;
    plain.exec = make(plain.graph, options);
    for (size_t i = 0; i < sizeof joined / sizeof *joined; i++) {
        if (strcmp(trained, "all") == 0)
            assert_true(thaw_exec_node(fused.exec, node(fused.graph, joined[i])).folded);
        assert_false(thaw_exec_node(plain.exec, node(plain.graph, joined[i])).folded);
    }
    assert_false(thaw_exec_node(fused.exec, node(fused.graph, "act6")).folded);
    for (int batch = BATCH; batch > BATCH - 2; batch--) {
        step_once(&fused, batch);
        step_once(&plain, batch);
        expect_same_output(&fused, &plain, "fc", 1e-6);
        expect_same_gradients(&fused, &plain, 1e-5);
    }
    free(keep);
    finish(&fused);
    finish(&plain);
}

static void sums_join_batch_norms(void **state) {
    (void)state;
    check_residuals(true, "all");
    check_residuals(false, "all");
    check_residuals(true, "conv2*");
    check_residuals(false, "conv5*");
}

static void activations_join_batch_norms(void **state) {
    (void)state;
    check_activated(true, "all");
    check_activated(false, "all");
    check_activated(false, "conv1"); /* gradients through frozen batch norms */
}

static void starts_at_a_cut(void **state) {
    (void)state;
    struct net whole = {.graph = test_model_on(test_device(), test_residual_model, NULL, 11)};
    TEST_TRAIN(whole.graph, false, "layer2", "head");
    int cut = thaw_graph_cut(whole.graph);
    assert_string_equal(whole.graph->nodes[cut].name, "layer1.0.relu_2");
    struct thaw_exec_options options = training;
    options.keep = &cut;
    options.keep_count = 1;
    whole.exec = make(whole.graph, options);
    step_once(&whole, BATCH);
    size_t count;
    float *features = test_output(whole.exec, whole.graph, "layer1.0.relu_2", BATCH, &count);

    struct net only = {.graph = whole.graph}; /* the cache's: nothing after the cut runs */
    only.exec =
        make(whole.graph, (struct thaw_exec_options){
                              .batch = BATCH, .keep = &cut, .keep_count = 1, .only_keep = true});
    assert_null(thaw_exec_output(only.exec, whole.graph->output));
    assert_null(thaw_exec_losses(only.exec));
    assert_false(thaw_exec_node(only.exec, node(whole.graph, "fc")).runs);
    test_forward(only.exec, whole.graph, BATCH);
    expect_same_output(&only, &whole, "layer1.0.relu_2", 1e-5);
    thaw_exec_destroy(&only.exec);

    struct net rest = {.graph = whole.graph};
    rest.exec = make(
        whole.graph,
        (struct thaw_exec_options){.batch = BATCH, .start = cut, .training = true, .loss = true});
    struct thaw_op_step step = test_step(BATCH);
    assert_false(thaw_exec_node(rest.exec, node(whole.graph, "conv1")).runs);
    test_forward(whole.exec, whole.graph, BATCH); /* also fills `targets` below with the same */
    assert_ok(thaw_exec_backward(whole.exec, &step));
    size_t target_count = BATCH * 7;
    float targets[BATCH * 7];
    assert_ok(thaw_tensor_read(whole.graph->device, thaw_exec_targets(whole.exec), BATCH, targets));
    assert_int_equal(target_count, BATCH * whole.graph->nodes[whole.graph->output].out.c);
    assert_ok(thaw_tensor_write(whole.graph->device, thaw_exec_targets(rest.exec), BATCH, targets));
    assert_ok(thaw_tensor_write(whole.graph->device, thaw_exec_input(rest.exec), BATCH, features));
    assert_ok(thaw_exec_forward(rest.exec, &step));
    assert_ok(thaw_exec_backward(rest.exec, &step));
    expect_same_output(&rest, &whole, "fc", 1e-5);
    expect_same_gradients(&rest, &whole, 1e-5);
    free(features);
    thaw_exec_destroy(&rest.exec);
    finish(&whole);
}

static void refuses_a_start_that_does_not_cut(void **state) {
    (void)state;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 11);
    thaw_exec *exec = NULL;
    struct thaw_exec_options options = {.batch = 1, .start = node(graph, "layer2.0.bn1")};
    assert_fails(thaw_exec_create(graph, &options, &exec), THAW_ERROR_INPUT,
                 "the network can't start at node 'layer2.0.bn1'");
    assert_null(exec);
    thaw_graph_destroy(&graph);
}

/* A step of three images in an executable for five, after a step of five left its traces. */
static void partial_batches(void **state) {
    (void)state;
    struct thaw_exec_options five = training, three = training;
    five.batch = TEST_IMAGES;
    three.batch = 3;
    struct net large = trained_net(test_residual_model, five),
               small = trained_net(test_residual_model, three);
    step_once(&large, TEST_IMAGES);
    step_once(&large, 3);
    step_once(&small, 3);
    double a = test_loss(large.exec, large.graph, 3), b = test_loss(small.exec, small.graph, 3);
    assert_true(a - b < 1e-5 && b - a < 1e-5);
    expect_same_gradients(&large, &small, 1e-5);
    finish(&large);
    finish(&small);
}

static void channel_blocks(void **state) {
    (void)state;
    const int blocks[] = {1, 4, 16};
    struct net reference = {0};
    for (int i = 0; i < (test_small() ? 1 : 3); i++) {
        thaw_device *device = test_device_block(blocks[i]);
        struct net net = {.graph = test_model_on(device, test_residual_model, NULL, 11)};
        TEST_TRAIN(net.graph, true, "all");
        int *keep = every_node(net.graph);
        struct thaw_exec_options options = training;
        options.keep = keep;
        options.keep_count = (int)net.graph->node_count - 1;
        net.exec = make(net.graph, options);
        step_once(&net, BATCH);
        for (size_t n = 1; i > 0 && n < net.graph->node_count; n++)
            expect_same_output(&net, &reference, net.graph->nodes[n].name, 1e-4);
        if (i > 0) {
            expect_same_gradients(&net, &reference, 1e-4);
            finish(&net);
        } else {
            reference = net;
        }
        free(keep);
    }
    finish(&reference);
}

static void plans_without_memory(void **state) {
    (void)state;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 11);
    TEST_TRAIN(graph, true, "all");
    uint64_t before, after, peak;
    thaw_device_memory(test_device(), &before, &peak);
    struct thaw_exec_options options = training;
    options.plan_only = true;
    thaw_exec *plan = make(graph, options);
    thaw_device_memory(test_device(), &after, &peak);
    assert_true(before == after);
    options.plan_only = false;
    thaw_exec *real = make(graph, options);
    struct thaw_exec_memory a = thaw_exec_memory(plan), b = thaw_exec_memory(real);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.pool_bytes > 0 && a.activation_bytes > 0 && a.gradient_bytes > 0);
    assert_true(a.parameter_gradient_bytes > 0);
    thaw_exec_destroy(&plan);
    thaw_exec_destroy(&real);
    TEST_TRAIN(graph, true, "head");
    options.plan_only = true;
    plan = make(graph, options);
    assert_true(thaw_exec_memory(plan).pool_bytes < b.pool_bytes);
    thaw_exec_destroy(&plan);
    thaw_graph_destroy(&graph);
    thaw_device_memory(test_device(), &after, &peak);
    assert_true(after < before); /* the graph's own parameters are gone, nothing leaked */
}

/* Only what was asked for is an output, also where it shares a buffer with what was not. */
static void outputs(void **state) {
    (void)state;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 11);
    int keep = node(graph, "relu");
    thaw_exec *exec =
        make(graph, (struct thaw_exec_options){.batch = BATCH, .keep = &keep, .keep_count = 1});
    assert_non_null(thaw_exec_output(exec, keep));
    assert_non_null(thaw_exec_output(exec, graph->output));
    assert_null(thaw_exec_output(exec, node(graph, "layer1.0.bn1")));
    assert_null(thaw_exec_output(exec, node(graph, "conv1"))); /* relu was folded into it */
    assert_null(thaw_exec_output(exec, -1));
    assert_null(thaw_exec_output(exec, (int)graph->node_count));
    assert_null(thaw_exec_targets(exec));
    assert_null(thaw_exec_losses(exec));
    thaw_exec_destroy(&exec);
    thaw_exec_destroy(&exec); /* accepts NULL */
    thaw_graph_destroy(&graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),
        cmocka_unit_test(dropout_draws),
        cmocka_unit_test(nothing_below_the_lowest_trainable),
        cmocka_unit_test(memory_sharing_changes_nothing),
        cmocka_unit_test(folding_changes_nothing),
        cmocka_unit_test(activations_join_batch_norms),
        cmocka_unit_test(sums_join_batch_norms),
        cmocka_unit_test(starts_at_a_cut),
        cmocka_unit_test(refuses_a_start_that_does_not_cut),
        cmocka_unit_test(partial_batches),
        cmocka_unit_test(channel_blocks),
        cmocka_unit_test(plans_without_memory),
        cmocka_unit_test(outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
