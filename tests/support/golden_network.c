/* A network against PyTorch: logits with running and with batch statistics, loss,
 * the gradient of every tensor, the running statistics after a step, and the losses of ten steps of
 * SGD. What is compared and how closely: tests/golden/make_goldens.py. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "support/device.h"
#include "support/golden.h"
#include "support/golden_network.h"

struct net {
    const struct golden_check *check;
    json_t *golden;
    struct thaw_arena arena;
    struct thaw_graph *graph;
    int batch, classes;
    float **momentum; /* of each parameter, in the device's order; NULL: not trained */
};

static size_t count_of(const struct net *net, size_t param) {
    return thaw_param_count_values(&net->graph->params[param]);
}

/* Floats on the device, padding included. */
static size_t size_of(const struct net *net, size_t param) {
    return thaw_filter_size(&net->graph->params[param].spec->filter);
}

static void net_create(const struct golden_check *check, struct net *net) {
    thaw_device *device = test_device();
    *net = (struct net){.check = check, .golden = golden_load(check->model)};
    net->batch = (int)golden_number(net->golden, "batch");
    net->classes = (int)golden_number(net->golden, "classes");
    const struct thaw_graph_options options = {.caps = thaw_device_get_caps(device),
                                               .size = (int)golden_number(net->golden, "size"),
                                               .classes = net->classes,
                                               .head = THAW_HEAD_LAST};
    const thaw_yaml *document = golden_document(&net->arena, net->golden);
    assert_ok(thaw_graph_build(document, &options, &net->graph));
    assert_ok(thaw_graph_allocate(net->graph, device, 1));

    struct thaw_graph *graph = net->graph;
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].batch_statistics = true;
    net->momentum = calloc(graph->param_count, sizeof *net->momentum);
    assert_non_null(net->momentum);
    for (size_t i = 0; i < graph->param_count; i++) {
        struct thaw_param *param = &graph->params[i];
        int64_t dims[4];
        int rank = thaw_param_dims(param, dims);
        float *values = calloc(count_of(net, i), sizeof *values);
        assert_non_null(values);
        golden_fill(net->golden, param->name, dims, rank, values);
        assert_ok(thaw_param_write(graph, param, values));
        free(values);
        param->trainable = param->spec->kind != THAW_PARAM_STATISTIC;
        if (param->trainable)
            assert_non_null(net->momentum[i] = calloc(size_of(net, i), sizeof(float)));
    }
}

static void net_destroy(struct net *net) {
    for (size_t i = 0; i < net->graph->param_count; i++)
        free(net->momentum[i]);
    free(net->momentum);
    thaw_graph_destroy(&net->graph);
    thaw_arena_finish(&net->arena);
    json_decref(net->golden);
}

/* ---- inputs and outputs --------------------------------------------------------------------- */

static void write_images(const struct net *net, const struct thaw_exec *exec) {
    const struct thaw_tensor *input = thaw_exec_input(exec);
    const struct thaw_layout *l = &input->layout;
    const int64_t dims[] = {net->batch, l->c, l->h, l->w};
    float *images = calloc((size_t)(dims[0] * dims[1] * dims[2] * dims[3]), sizeof *images);
    assert_non_null(images);
    golden_fill(net->golden, "input", dims, 4, images);
    assert_ok(thaw_tensor_write(test_device(), input, net->batch, images));
    free(images);
}

static void write_targets(const struct net *net, const struct thaw_exec *exec) {
    float *targets = calloc((size_t)(net->batch * net->classes), sizeof *targets);
    assert_non_null(targets);
    for (int i = 0; i < net->batch; i++)
        targets[i * net->classes + 7 * i % net->classes] = 1;
    assert_ok(thaw_tensor_write(test_device(), thaw_exec_targets(exec), net->batch, targets));
    free(targets);
}

static int compare_logits(const struct net *net, const struct thaw_exec *exec, const char *key) {
    size_t count = (size_t)(net->batch * net->classes);
    float *logits = calloc(count, sizeof *logits);
    assert_non_null(logits);
    const struct thaw_tensor *output = thaw_exec_output(exec, net->graph->output);
    assert_non_null(output);
    assert_ok(thaw_tensor_read(test_device(), output, net->batch, logits));
    int bad =
        golden_compare(json_object_get(net->golden, key), logits, count, net->check->factor, key);
    free(logits);
    return bad;
}

static float mean_loss(const struct net *net, const struct thaw_exec *exec) {
    float losses[16];
    double sum = 0;
    assert_ok(thaw_tensor_read(test_device(), thaw_exec_losses(exec), net->batch, losses));
    for (int i = 0; i < net->batch; i++)
        sum += (double)losses[i];
    return (float)(sum / net->batch);
}

/* A parameter's value or gradient in the device's order; freed by the caller. */
static float *read_packed(const struct net *net, cl_mem buffer, size_t param) {
    size_t size_bytes = size_of(net, param) * sizeof(float);
    float *packed = malloc(size_bytes);
    assert_true(packed && buffer);
    assert_ok(thaw_buffer_read(test_device(), buffer, 0, packed, size_bytes));
    return packed;
}

/* The gradient of a parameter in file order; freed by the caller. */
static float *read_gradient(const struct net *net, const struct thaw_exec *exec, size_t param) {
    float *packed = read_packed(net, thaw_exec_gradient(exec, (int)param), param);
    float *gradient = malloc(count_of(net, param) * sizeof *gradient);
    assert_non_null(gradient);
    thaw_filter_unpack(&net->graph->params[param].spec->filter, packed, gradient);
    free(packed);
    return gradient;
}

/* ---- the test ------------------------------------------------------------------------------- */

static int check_eval(struct net *net) {
    const struct thaw_exec_options options = {.batch = net->batch,
                                              .conv_candidate = net->check->conv};
    const struct thaw_op_step step = {.batch = net->batch};
    thaw_exec *exec = NULL;
    assert_ok(thaw_exec_create(net->graph, &options, &exec));
    write_images(net, exec);
    assert_ok(thaw_exec_forward(exec, &step));
    int bad = compare_logits(net, exec, "eval");
    thaw_exec_destroy(&exec);
    return bad;
}

/* Every tensor of the golden is one of ours and the other way round. */
static int check_tensors(const struct net *net, const struct thaw_exec *exec) {
    const json_t *gradients = json_object_get(net->golden, "gradients");
    const json_t *statistics = json_object_get(net->golden, "statistics");
    assert_int_equal(json_object_size(gradients) + json_object_size(statistics),
                     net->graph->param_count);
    int bad = 0;
    for (size_t i = 0; i < net->graph->param_count; i++) {
        const struct thaw_param *param = &net->graph->params[i];
        const json_t *group = param->trainable ? gradients : statistics;
        const json_t *expected = json_object_get(group, param->name);
        if (!expected)
            fail_msg("PyTorch's network has no tensor '%s'", param->name);
        float *actual;
        if (param->trainable) {
            actual = read_gradient(net, exec, i);
        } else {
            assert_non_null(actual = malloc(count_of(net, i) * sizeof *actual));
            assert_ok(thaw_param_read(net->graph, param, actual));
        }
        bad += golden_compare(expected, actual, count_of(net, i), net->check->factor, param->name);
        free(actual);
    }
    return bad;
}

/* v = momentum v + g; w -= lr v. Padding stays zero. */
static void sgd_step(struct net *net, const struct thaw_exec *exec) {
    float lr = (float)golden_number(net->golden, "lr");
    float momentum = (float)golden_number(net->golden, "momentum");
    for (size_t i = 0; i < net->graph->param_count; i++) {
        float *v = net->momentum[i];
        if (!v)
            continue;
        cl_mem buffer = net->graph->params[i].value;
        float *gradient = read_packed(net, thaw_exec_gradient(exec, (int)i), i);
        float *values = read_packed(net, buffer, i);
        size_t size = size_of(net, i);
        for (size_t k = 0; k < size; k++) {
            v[k] = momentum * v[k] + gradient[k];
            values[k] -= lr * v[k];
        }
        assert_ok(thaw_buffer_write(test_device(), buffer, 0, values, size * sizeof *values));
        free(gradient);
        free(values);
    }
}

static int check_training(struct net *net) {
    const struct thaw_exec_options options = {
        .batch = net->batch, .training = true, .loss = true, .conv_candidate = net->check->conv};
    const json_t *losses = json_object_get(net->golden, "losses");
    size_t steps = json_array_size(json_object_get(losses, "at"));
    thaw_exec *exec = NULL;
    assert_ok(thaw_exec_create(net->graph, &options, &exec));
    float *curve = calloc(steps, sizeof *curve);
    assert_non_null(curve);
    int bad = 0;
    for (size_t s = 0; s < steps; s++) {
        const struct thaw_op_step step = {
            .batch = net->batch, .counter = (uint32_t)s, .loss_scale = 1.0f / (float)net->batch};
        write_images(net, exec);
        write_targets(net, exec);
        assert_ok(thaw_exec_forward(exec, &step));
        curve[s] = mean_loss(net, exec);
        if (s == 0)
            bad += compare_logits(net, exec, "train");
        assert_ok(thaw_exec_backward(exec, &step));
        if (s == 0)
            bad += check_tensors(net, exec);
        sgd_step(net, exec);
    }
    bad += golden_compare(losses, curve, steps, net->check->factor, "losses");
    free(curve);
    thaw_exec_destroy(&exec);
    return bad;
}

void golden_check_network(void **state) {
    struct net net;
    net_create(*state, &net);
    int bad = check_eval(&net);
    bad += check_training(&net);
    net_destroy(&net);
    assert_int_equal(bad, 0);
}
