#include "support/model.h"

#include <stdlib.h>
#include <string.h>

const char test_residual_model[] =
    "model: residual\n"
    "input: {channels: 3, size: 12}\n"
    "reference: {lr: 0.1, batch: 64}\n"
    "blocks:\n"
    "  basic:\n"
    "    params: {out: required, stride: 1}\n"
    "    nodes:\n"
    "      - conv1: {conv: {out: \"${out}\", kernel: 3, stride: \"${stride}\", pad: 1, bias: "
    "false}}\n"
    "      - bn1: batchnorm\n"
    "      - relu\n"
    "      - conv2: {conv: {out: \"${out}\", kernel: 3, pad: 1, bias: false}}\n"
    "      - bn2: batchnorm\n"
    "      - downsample:\n"
    "          when: shape_changes\n"
    "          from: input\n"
    "          nodes:\n"
    "            - 0: {conv: {out: \"${out}\", kernel: 1, stride: \"${stride}\", bias: false}}\n"
    "            - 1: batchnorm\n"
    "      - add: [bn2, downsample]\n"
    "      - relu\n"
    "graph:\n"
    "  - conv1: {conv: {out: 6, kernel: 3, pad: 1, bias: false}}\n"
    "  - bn1: batchnorm\n"
    "  - relu\n"
    "  - maxpool: {kernel: 3, stride: 2, pad: 1}\n"
    "  - layer1: {repeat: 1, block: basic, with: {out: 6}}\n"
    "  - layer2: {repeat: 1, block: basic, with: {out: 10}, first: {stride: 2}}\n"
    "  - avgpool: global\n"
    "  - flatten\n"
    "  - hidden: {linear: {out: 9}}\n"
    "  - relu\n"
    "  - drop: {dropout: {p: 0.3}}\n"
    "  - fc: {linear: {out: 7}}\n"
    "features: avgpool\n"
    "stages: [{stem: [conv1, bn1]}, layer1, layer2]\n";

const char test_branching_model[] =
    "input: {channels: 3, size: 12}\n"
    "graph:\n"
    "  - stem: {conv: {out: 6, kernel: 3, stride: 2, pad: 1}}\n"
    "  - trunk: silu\n"
    "  - double: {add: [trunk, trunk]}\n"
    "  - left: {conv: {out: 6, kernel: 3, pad: 1, groups: depthwise}, from: trunk}\n"
    "  - gate: sigmoid\n"
    "  - gated: {mul: [double, gate]}\n"
    "  - norm: batchnorm\n"
    "  - right: {conv: {out: 5, kernel: 1}, from: trunk}\n"
    "  - leaky: {leaky_relu: {slope: 0.3}}\n"
    "  - join: {concat: [norm, leaky, trunk]}\n"
    "  - mix: {conv: {out: 8, kernel: 3, pad: 1}}\n"
    "  - swish: hardswish\n"
    "  - avgpool: {kernel: 3, stride: 3}\n"
    "  - flat: flatten\n"
    "  - one: {linear: {out: 7}, from: flat}\n"
    "  - two: {linear: {out: 7}, from: flat}\n"
    "  - fc: {add: [one, two]}\n"
    "features: avgpool\n";

static struct thaw_arena arena;

static void finish_arena(void) {
    thaw_arena_finish(&arena);
}

thaw_yaml *test_yaml(const char *text) {
    static bool registered;
    thaw_yaml *root = NULL;
    if (!registered)
        atexit(finish_arena);
    registered = true;
    assert_ok(thaw_yaml_parse(&arena, text, strlen(text), "m.yaml", &root));
    return root;
}

static thaw_status build(const char *text, const struct thaw_graph_options *options,
                         const struct thaw_device_caps *caps, struct thaw_graph **ret_graph) {
    struct thaw_graph_options own = {0};
    if (options)
        own = *options;
    own.caps = caps;
    return thaw_graph_build(test_yaml(text), &own, ret_graph);
}

thaw_status test_try_model(const char *text, const struct thaw_graph_options *options, int block,
                           struct thaw_graph **ret_graph) {
    struct thaw_device_caps caps = {.type = THAW_DEVICE_CPU,
                                    .is_cpu = true,
                                    .block = block,
                                    .compute_units = 2,
                                    .max_work_group_size = 64,
                                    .base_align_bytes = 128};
    return build(text, options, &caps, ret_graph);
}

struct thaw_graph *test_model(const char *text, const struct thaw_graph_options *options,
                              int block) {
    struct thaw_graph *graph = NULL;
    assert_ok(test_try_model(text, options, block, &graph));
    return graph;
}

struct thaw_graph *test_model_on(thaw_device *device, const char *text,
                                 const struct thaw_graph_options *options, uint32_t seed) {
    struct thaw_graph *graph = NULL;
    assert_ok(build(text, options, thaw_device_get_caps(device), &graph));
    assert_ok(thaw_graph_allocate(graph, device, seed));
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        if (param->spec->kind == THAW_PARAM_WEIGHT && !param->new_head &&
            !graph->nodes[param->node].op->normalises)
            continue; /* random already */
        size_t count = thaw_param_count_values(param);
        float *values = malloc(count * sizeof *values);
        assert_non_null(values);
        bool positive = strstr(param->name, "running_var") ||
                        (graph->nodes[param->node].op->normalises && param->slot == 0);
        test_random(values, count, seed + (uint32_t)i, positive ? 0.5f : -0.3f,
                    positive ? 1.5f : 0.3f);
        assert_ok(thaw_param_write(graph, param, values));
        free(values);
    }
    return graph;
}

/* ---- running -------------------------------------------------------------------------------- */

#define CLASSES 7
#define PIXELS (3 * 12 * 12)

void test_train(struct thaw_graph *graph, bool batch_statistics, const char *const *patterns) {
    bool *marks = calloc(graph->param_count, sizeof *marks);
    assert_non_null(marks);
    for (size_t i = 0; patterns[i]; i++)
        assert_ok(thaw_graph_match(graph, NULL, patterns[i], marks));
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].batch_statistics = false;
    for (size_t i = 0; i < graph->param_count; i++) {
        struct thaw_param *param = &graph->params[i];
        param->trainable = marks[i] && param->spec->kind != THAW_PARAM_STATISTIC;
        if (param->trainable && graph->nodes[param->node].op->normalises)
            graph->nodes[param->node].batch_statistics = batch_statistics;
    }
    free(marks);
}

struct thaw_op_step test_step(int batch) {
    return (struct thaw_op_step){
        .batch = batch, .seed = 5, .counter = 3, .loss_scale = 1.0f / (float)batch};
}

void test_forward(thaw_exec *exec, const struct thaw_graph *graph, int batch) {
    static float images[TEST_IMAGES * PIXELS], targets[TEST_IMAGES * CLASSES];
    test_random(images, TEST_IMAGES * PIXELS, 1, -1, 1);
    test_random(targets, TEST_IMAGES * CLASSES, 2, 0, 1);
    for (int n = 0; n < TEST_IMAGES; n++) { /* soft labels that sum to one */
        float sum = 0;
        for (int k = 0; k < CLASSES; k++)
            sum += targets[n * CLASSES + k];
        for (int k = 0; k < CLASSES; k++)
            targets[n * CLASSES + k] /= sum;
    }
    struct thaw_op_step step = test_step(batch);
    assert_ok(thaw_tensor_write(graph->device, thaw_exec_input(exec), batch, images));
    if (thaw_exec_targets(exec))
        assert_ok(thaw_tensor_write(graph->device, thaw_exec_targets(exec), batch, targets));
    assert_ok(thaw_exec_forward(exec, &step));
}

double test_loss(const thaw_exec *exec, const struct thaw_graph *graph, int batch) {
    float losses[TEST_IMAGES];
    double sum = 0;
    assert_ok(thaw_tensor_read(graph->device, thaw_exec_losses(exec), batch, losses));
    for (int n = 0; n < batch; n++)
        sum += (double)losses[n];
    return sum / batch;
}

float *test_output(const thaw_exec *exec, const struct thaw_graph *graph, const char *node,
                   int batch, size_t *ret_count) {
    const struct thaw_tensor *output = thaw_exec_output(exec, thaw_graph_find_node(graph, node));
    if (!output)
        fail_msg("%s is no output", node);
    const struct thaw_layout *l = &output->layout;
    size_t count = (size_t)batch * (size_t)l->c * (size_t)l->h * (size_t)l->w;
    float *data = calloc(count, sizeof *data);
    assert_non_null(data);
    assert_ok(thaw_tensor_read(graph->device, output, batch, data));
    *ret_count = count;
    return data;
}
