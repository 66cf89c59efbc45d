/* ONNX files as exporters write them against what onnxruntime computes of them
 * (tests/golden/make_onnx.py), and what the import makes of their graphs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "io/onnx/onnx.h"
#include "support/device.h"

#define FOLDER "tests/golden/onnx/"
#define TOLERANCE 1e-4

static struct thaw_onnx_import import_file(const char *name, int size) {
    char path[128];
    struct thaw_onnx_import import;
    const struct thaw_onnx_options options = {.mean = "0", .std = "1", .size = size};
    snprintf(path, sizeof path, FOLDER "%s.onnx", name);
    assert_ok(thaw_onnx_import_file(path, &options, &import));
    return import;
}

/* ---- against onnxruntime --------------------------------------------------------------------- */

struct network {
    struct thaw_arena arena;
    struct thaw_graph *graph;
    thaw_exec *exec;
};

static void load(const struct thaw_onnx_import *import, int batch, struct network *net) {
    thaw_device *device = test_device();
    thaw_yaml *document;
    *net = (struct network){0};
    assert_ok(
        thaw_yaml_parse(&net->arena, import->yaml, strlen(import->yaml), "import.yaml", &document));
    const struct thaw_graph_options options = {.caps = thaw_device_get_caps(device)};
    assert_ok(thaw_graph_build(document, &options, &net->graph));
    assert_ok(thaw_graph_allocate(net->graph, device, 1));
    assert_int_equal(net->graph->param_count, import->weights.count);
    for (size_t i = 0; i < net->graph->param_count; i++) {
        const struct thaw_param *param = &net->graph->params[i];
        const struct thaw_weight *weight = thaw_weights_find(&import->weights, param->name);
        if (!weight)
            fail_msg("no tensor %s", param->name);
        assert_int_equal(thaw_weight_count(weight), thaw_param_count_values(param));
        assert_ok(thaw_param_write(net->graph, param, weight->data));
    }
    const struct thaw_exec_options run = {.batch = batch};
    assert_ok(thaw_exec_create(net->graph, &run, &net->exec));
}

static void unload(struct network *net) {
    thaw_exec_destroy(&net->exec);
    thaw_graph_destroy(&net->graph);
    thaw_arena_finish(&net->arena);
}

/* x / 1 - mean: what the picture's normalisation, which may have taken in the first nodes of the
 * graph, makes of it. */
static void normalise(const struct thaw_graph *graph, const struct thaw_weight *x, float *images) {
    const thaw_yaml *input = thaw_yaml_get(graph->document, "input");
    const thaw_yaml *mean = thaw_yaml_get(input, "mean"), *std = thaw_yaml_get(input, "std");
    size_t pixels = (size_t)(x->dims[2] * x->dims[3]), channels = (size_t)x->dims[1];
    for (size_t i = 0; i < thaw_weight_count(x); i++) {
        double m, s;
        size_t c = i / pixels % channels;
        assert_ok(thaw_yaml_double(mean->items[c], -1e9, 1e9, &m));
        assert_ok(thaw_yaml_double(std->items[c], -1e9, 1e9, &s));
        images[i] = (float)((images[i] - m) / s);
    }
}

static void expect_logits(const struct thaw_onnx_import *import, const char *name) {
    char path[128];
    struct thaw_weights expected;
    struct network net;
    snprintf(path, sizeof path, FOLDER "%s.safetensors", name);
    assert_ok(thaw_weights_open(path, &expected));
    const struct thaw_weight *x = thaw_weights_find(&expected, "x"),
                             *y = thaw_weights_find(&expected, "y");
    size_t pixels = thaw_weight_count(x), count = thaw_weight_count(y);
    int batch = (int)x->dims[0];
    load(import, batch, &net);
    float *images = malloc(pixels * sizeof *images), *logits = malloc(count * sizeof *logits);
    double *wanted = malloc(count * sizeof *wanted);
    assert_true(images && logits && wanted);
    thaw_weight_to_float(x, images);
    normalise(net.graph, x, images);
    const struct thaw_op_step step = {.batch = batch};
    assert_ok(thaw_tensor_write(test_device(), thaw_exec_input(net.exec), batch, images));
    assert_ok(thaw_exec_forward(net.exec, &step));
    const struct thaw_tensor *output = thaw_exec_output(net.exec, net.graph->output);
    assert_int_equal((size_t)batch * (size_t)output->layout.c, count);
    assert_ok(thaw_tensor_read(test_device(), output, batch, logits));
    thaw_weight_to_float(y, images);
    for (size_t i = 0; i < count; i++)
        wanted[i] = (double)images[i];
    test_compare(logits, wanted, count, TOLERANCE, 0, name);
    free(images);
    free(logits);
    free(wanted);
    unload(&net);
    thaw_weights_finish(&expected);
}

static void agrees_with_onnxruntime(void **state) {
    static const struct {
        const char *name;
        int size; /* where the file leaves it open */
    } models[] = {{"residual", 0}, {"convnext", 0}, {"keras", 0},
                  {"old", 0},      {"new", 32},     {"external", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct thaw_onnx_import import = import_file(models[i].name, models[i].size);
        expect_logits(&import, models[i].name);
        thaw_onnx_import_finish(&import);
    }
}

/* ---- what becomes of the graph --------------------------------------------------------------- */

static size_t count_words(const char *text, const char *word) {
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        count++;
    return count;
}

static void expect_part(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("'%s' is not in:\n%s", part, text);
}

static bool has_note(const struct thaw_onnx_import *import, const char *part) {
    for (size_t i = 0; i < import->note_count; i++)
        if (strstr(import->notes[i], part))
            return true;
    return false;
}

static void keras_graphs_need_no_rearranging(void **state) {
    (void)state;
    struct thaw_onnx_import import = import_file("keras", 0);
    assert_int_equal(count_words(import.yaml, "rearrange"), 0);
    assert_int_equal(count_words(import.yaml, "flatten"), 0);
    assert_int_equal(count_words(import.yaml, "{conv: "), 7);
    expect_part(import.yaml, "{scale: {shape: [24, 1, 1]}}");
    expect_part(import.yaml, "{shift: {shape: [24, 1, 1]}}");
    assert_true(has_note(&import, "the Softmax at the end is left out"));
    const struct thaw_weight *weight = thaw_weights_find(&import.weights, "fc1_1.weight");
    assert_non_null(weight);
    assert_true(weight->rank == 2 && weight->dims[0] == 24 && weight->dims[1] == 16 * 4 * 4);
    thaw_onnx_import_finish(&import);
}

static void names_and_stages_are_the_exporters(void **state) {
    (void)state;
    struct thaw_onnx_import import = import_file("residual", 0);
    static const char *const tensors[] = {"conv1.weight",           "bn1.running_var",
                                          "layer1.conv1.weight",    "layer2.0.downsample.0.weight",
                                          "layer3.0.branch.0.bias", "fc.weight"};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (!thaw_weights_find(&import.weights, tensors[i]))
            fail_msg("no tensor %s in\n%s", tensors[i], import.yaml);
    expect_part(import.yaml, "reference: {lr: 0.1, batch: 256}\n");
    expect_part(import.yaml, "stages:\n  - stage1: [conv1, bn1]\n");
    expect_part(import.yaml, "  - layer1\n");
    expect_part(import.yaml, "  - layer1.relu: relu\n");
    expect_part(import.yaml, "  - layer3.3.mul: silu\n");
    assert_int_equal(count_words(import.yaml, "rearrange"), 1); /* the channel shuffle */
    thaw_onnx_import_finish(&import);
}

/* Sub and Mul before the first convolution are the picture's normalisation; a Pad goes into the
 * convolution behind it. */
static void preprocessing_goes_into_the_input(void **state) {
    (void)state;
    struct thaw_onnx_import import = import_file("old", 0);
    expect_part(import.yaml, "  mean: [0.1");
    expect_part(import.yaml, "  std: [0.5, 0.5, 0.5]\n");
    expect_part(import.yaml, "pad: [1, 1, 2, 2]");
    assert_int_equal(count_words(import.yaml, "{pad: "), 0);
    expect_part(import.yaml, "{dropout: {p: 0.5}}");
    thaw_onnx_import_finish(&import);
}

/* MatMul and Add are one linear layer. */
static void a_sum_becomes_a_bias(void **state) {
    (void)state;
    struct thaw_onnx_import import = import_file("external", 0);
    assert_int_equal(import.weights.count, 4);
    assert_int_equal(count_words(import.yaml, "shift"), 0);
    expect_part(import.yaml, "channels: 1\n");
    thaw_onnx_import_finish(&import);
}

static void layer_norm_of_channels_stays_in_place(void **state) {
    (void)state;
    struct thaw_onnx_import import = import_file("convnext", 0);
    assert_int_equal(count_words(import.yaml, "rearrange"), 0);
    expect_part(import.yaml, "{layernorm: {axes: [channels], eps: 1e-06}}");
    expect_part(import.yaml, ": gelu\n");
    assert_int_equal(count_words(import.yaml, "erf"), 0);
    assert_false(has_note(&import, "single numbers"));
    thaw_onnx_import_finish(&import);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_onnxruntime),
        cmocka_unit_test(keras_graphs_need_no_rearranging),
        cmocka_unit_test(names_and_stages_are_the_exporters),
        cmocka_unit_test(preprocessing_goes_into_the_input),
        cmocka_unit_test(a_sum_becomes_a_bias),
        cmocka_unit_test(layer_norm_of_channels_stays_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
