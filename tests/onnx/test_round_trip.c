/* What Thaw exports, it imports: the same logits, and weights under the same names. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/embedded.h"
#include "core/file.h"
#include "io/onnx/export.h"
#include "io/onnx/onnx.h"
#include "support/device.h"
#include "support/model.h"

#define BATCH 3

static const struct thaw_onnx_entry metadata[] = {
    {"thaw.input", "{channels: 3, size: 32, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.25], "
                   "resize: {mode: short, size: 40}, crop: center}"}};

static const char *scratch(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

static float *logits(struct thaw_graph *graph, const float *images) {
    struct thaw_exec_options options = {.batch = BATCH};
    struct thaw_op_step step = {.batch = BATCH};
    thaw_exec *exec = NULL;
    size_t classes = (size_t)graph->nodes[graph->output].out.c;
    float *values = malloc(BATCH * classes * sizeof *values);
    assert_non_null(values);
    assert_ok(thaw_exec_create(graph, &options, &exec));
    assert_ok(thaw_tensor_write(graph->device, thaw_exec_input(exec), BATCH, images));
    assert_ok(thaw_exec_forward(exec, &step));
    assert_ok(
        thaw_tensor_read(graph->device, thaw_exec_output(exec, graph->output), BATCH, values));
    thaw_exec_destroy(&exec);
    return values;
}

static struct thaw_graph *build(const struct thaw_onnx_import *import) {
    struct thaw_graph_options options = {.caps = thaw_device_get_caps(test_device())};
    struct thaw_graph *graph = NULL;
    thaw_status status = thaw_graph_build(test_yaml(import->yaml), &options, &graph);
    if (status != THAW_OK)
        fail_msg("%s\n%s", thaw_error_message(), import->yaml);
    assert_ok(thaw_graph_allocate(graph, test_device(), 7));
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        const struct thaw_weight *weight = thaw_weights_find(&import->weights, param->name);
        if (!weight || thaw_weight_count(weight) != thaw_param_count_values(param))
            fail_msg("no weights for '%s'", param->name);
        float *values = malloc(thaw_weight_count(weight) * sizeof *values);
        assert_non_null(values);
        thaw_weight_to_float(weight, values);
        assert_ok(thaw_param_write(graph, param, values));
        free(values);
    }
    return graph;
}

static void compare(const char *model, const float *before, const float *after, size_t count) {
    double worst = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)before[i] - after[i]);
        worst = difference > worst ? difference : worst;
        largest = fabsf(before[i]) > largest ? fabsf(before[i]) : largest;
    }
    if (!(worst <= 1e-5 * largest) || !(largest > 0))
        fail_msg("%s: logits differ by %g, the largest is %g", model, worst, largest);
}

static void check(const char *name, const char *text, int size, bool fold) {
    struct thaw_graph_options graph_options = {.size = size};
    struct thaw_onnx_export_options options = {
        .fold = fold, .metadata = metadata, .metadata_count = 1};
    struct thaw_onnx_export_summary summary;
    struct thaw_graph *graph = test_model_on(test_device(), text, &graph_options, 3);
    const struct thaw_layout *in = &graph->nodes[0].out, *out = &graph->nodes[graph->output].out;
    size_t pixels = (size_t)BATCH * (size_t)in->c * (size_t)in->h * (size_t)in->w;
    float *images = malloc(pixels * sizeof *images);
    assert_non_null(images);
    test_random(images, pixels, 11, -1, 1);
    const char *path = scratch("m.onnx");
    assert_ok(thaw_onnx_export(graph, &options, path, &summary));
    struct thaw_onnx_import import;
    thaw_status status = thaw_onnx_import_file(path, &(struct thaw_onnx_options){0}, &import);
    if (status != THAW_OK)
        fail_msg("%s: %s", name, thaw_error_message());
    assert_ok(thaw_weights_index(&import.weights));
    for (size_t i = 0; i < graph->param_count && !fold; i++)
        if (!thaw_weights_find(&import.weights, graph->params[i].name))
            fail_msg("%s: '%s' has lost its name", name, graph->params[i].name);
    struct thaw_graph *again = build(&import);
    float *before = logits(graph, images), *after = logits(again, images);
    compare(name, before, after, BATCH * (size_t)out->c);
    free(before);
    free(after);
    free(images);
    thaw_graph_destroy(&again);
    thaw_onnx_import_finish(&import);
    thaw_graph_destroy(&graph);
}

static void small_models(void **state) {
    (void)state;
    for (int fold = 0; fold < 2; fold++) {
        check("residual", test_residual_model, 0, fold);
        check("branching", test_branching_model, 0, fold);
    }
}

static const char *built_in(const char *name) {
    char file[64];
    snprintf(file, sizeof file, "models/%s.yaml", name);
    for (int i = 0; i < thaw_embedded_file_count; i++)
        if (!strcmp(thaw_embedded_files[i].name, file))
            return thaw_embedded_files[i].text;
    fail_msg("no model '%s'", name);
    return NULL;
}

static void built_in_models(void **state) {
    (void)state;
    check("resnet8", built_in("resnet8"), 32, false);
    check("mobilenet_v3_small", built_in("mobilenet_v3_small"), 32, true);
    check("efficientnet_lite0", built_in("efficientnet_lite0"), 32, false);
    check("shufflenet_v2_x0_5", built_in("shufflenet_v2_x0_5"), 32, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_models),
        cmocka_unit_test(built_in_models),
    };
    return cmocka_run_group_tests_name("onnx/round_trip", tests, NULL, NULL);
}
