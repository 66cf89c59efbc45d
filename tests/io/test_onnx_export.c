/* Export to ONNX: the structure for every built-in model, and the bytes of a small file read back
 * with protobuf-c. That runtimes compute the same is checked by tests/onnx/check_export.py. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/embedded.h"
#include "core/file.h"
#include "io/onnx/export.h"
#include "onnx.pb-c.h"
#include "ops/batchnorm.h"
#include "support/device.h"
#include "support/model.h"

static const char *scratch(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

/* ---- structure ------------------------------------------------------------------------------ */

/* A sorted list of names. */
struct names {
    const char **items;
    size_t count;
};

static int compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool contains(const struct names *names, const char *name) {
    return bsearch(&name, names->items, names->count, sizeof *names->items, compare) != NULL;
}

static void sort_unique(struct names *names, const char *model) {
    qsort(names->items, names->count, sizeof *names->items, compare);
    for (size_t i = 1; i < names->count; i++)
        if (!strcmp(names->items[i - 1], names->items[i]))
            fail_msg("%s: two values are called '%s'", model, names->items[i]);
}

/* Every value has one name and is made before it is read; every parameter is there once. */
static void check_structure(const char *name, const struct thaw_graph *graph,
                            const struct thaw_onnx_description *d, bool folded) {
    const struct thaw_export_model *m = &d->model;
    struct names values = {calloc(m->tensor_count + m->node_count + 1, sizeof(char *)), 0};
    assert_non_null(values.items);
    for (size_t i = 0; i < m->tensor_count; i++)
        values.items[values.count++] = m->tensors[i].name;
    values.items[values.count++] = "input";
    for (size_t i = 0; i < m->node_count; i++)
        values.items[values.count++] = m->nodes[i].output;
    sort_unique(&values, name);
    assert_true(contains(&values, d->output));
    for (size_t p = 0; p < graph->param_count && !folded; p++)
        if (!contains(&values, graph->params[p].name))
            fail_msg("%s: '%s' is missing", name, graph->params[p].name);
    values.count = 0; /* again, node by node */
    for (size_t i = 0; i < m->tensor_count; i++)
        values.items[values.count++] = m->tensors[i].name;
    values.items[values.count++] = "input";
    for (size_t i = 0; i < m->node_count; i++) {
        qsort(values.items, values.count, sizeof *values.items, compare);
        for (size_t k = 0; k < m->nodes[i].input_count; k++)
            if (*m->nodes[i].inputs[k] && !contains(&values, m->nodes[i].inputs[k]))
                fail_msg("%s: '%s' reads '%s' before it is made", name, m->nodes[i].name,
                         m->nodes[i].inputs[k]);
        values.items[values.count++] = m->nodes[i].output;
    }
    free(values.items);
}

static size_t count_type(const struct thaw_onnx_description *d, const char *type) {
    size_t count = 0;
    for (size_t i = 0; i < d->model.node_count; i++)
        count += !strcmp(d->model.nodes[i].type, type);
    return count;
}

static void check_model(const char *name, const char *text, const struct thaw_graph_options *o) {
    struct thaw_graph *graph = test_model(text, o, 8);
    size_t norms = 0;
    for (size_t i = 1; i < graph->node_count; i++)
        norms += graph->nodes[i].op == &thaw_op_batchnorm;
    for (int fold = 0; fold < 2; fold++) {
        struct thaw_onnx_export_options options = {.fold = fold, .softmax = fold};
        struct thaw_onnx_description description = {0};
        if (thaw_onnx_describe(graph, &options, &description) != THAW_OK)
            fail_msg("%s: %s", name, thaw_error_message());
        check_structure(name, graph, &description, fold);
        assert_true(description.flat);
        assert_string_equal(description.output, fold ? "probabilities" : "logits");
        assert_int_equal(count_type(&description, "BatchNormalization"),
                         norms - description.folded_count);
        thaw_onnx_description_finish(&description);
    }
    thaw_graph_destroy(&graph);
}

static void every_model(void **state) {
    (void)state;
    size_t models = 0;
    for (int i = 0; i < thaw_embedded_file_count; i++) {
        const char *name = thaw_embedded_files[i].name;
        if (strncmp(name, "models/", 7) != 0)
            continue;
        struct thaw_graph_options small = {.size = 160},
                                  head = {.classes = 5, .head = THAW_HEAD_LINEAR};
        check_model(name, thaw_embedded_files[i].text, NULL);
        check_model(name, thaw_embedded_files[i].text, &small);
        check_model(name, thaw_embedded_files[i].text, &head);
        models++;
    }
    assert_true(models > 50);
}

/* ---- a file --------------------------------------------------------------------------------- */

static Thaw__Onnx__ModelProto *read_model(const char *path) {
    struct thaw_map map;
    assert_ok(thaw_map_open(path, &map));
    Thaw__Onnx__ModelProto *model =
        thaw__onnx__model_proto__unpack(NULL, map.size_bytes, map.bytes);
    thaw_map_close(&map);
    assert_non_null(model);
    return model;
}

static const Thaw__Onnx__TensorProto *find_tensor(const Thaw__Onnx__ModelProto *model,
                                                  const char *name) {
    for (size_t i = 0; i < model->graph->n_initializer; i++)
        if (!strcmp(model->graph->initializer[i]->name, name))
            return model->graph->initializer[i];
    fail_msg("there is no tensor '%s'", name);
    return NULL;
}

static const Thaw__Onnx__NodeProto *find_node(const Thaw__Onnx__ModelProto *model,
                                              const char *name) {
    for (size_t i = 0; i < model->graph->n_node; i++)
        if (!strcmp(model->graph->node[i]->name, name))
            return model->graph->node[i];
    fail_msg("there is no node '%s'", name);
    return NULL;
}

static float *param_values(const struct thaw_graph *graph, const char *name, size_t *ret_count) {
    int index = thaw_graph_find_param(graph, name);
    assert_true(index >= 0);
    *ret_count = thaw_param_count_values(&graph->params[index]);
    float *values = malloc(*ret_count * sizeof *values);
    assert_non_null(values);
    assert_ok(thaw_param_read(graph, &graph->params[index], values));
    return values;
}

static void expect_tensor(const struct thaw_graph *graph, const Thaw__Onnx__ModelProto *model,
                          const char *name) {
    size_t count;
    float *values = param_values(graph, name, &count);
    const Thaw__Onnx__TensorProto *tensor = find_tensor(model, name);
    assert_int_equal(tensor->data_type, THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    assert_int_equal(tensor->raw_data.len, count * sizeof *values);
    assert_memory_equal(tensor->raw_data.data, values, tensor->raw_data.len);
    free(values);
}

static void expect_typed(const Thaw__Onnx__ValueInfoProto *value, const char *name, size_t rank,
                         const int64_t *dims) {
    const Thaw__Onnx__TypeProto__Tensor *type = value->type->tensor_type;
    assert_string_equal(value->name, name);
    assert_int_equal(type->elem_type, THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    assert_int_equal(type->shape->n_dim, rank);
    assert_string_equal(type->shape->dim[0]->dim_param, "batch");
    for (size_t i = 1; i < rank; i++)
        assert_int_equal(type->shape->dim[i]->dim_value, dims[i]);
}

static void a_file_says_everything(void **state) {
    (void)state;
    static const struct thaw_onnx_entry metadata[] = {{"classes", "[\"a\",\"b\"]"}, {"k", "v"}};
    struct thaw_onnx_export_options options = {.metadata = metadata, .metadata_count = 2};
    struct thaw_onnx_export_summary summary;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 1);
    const char *path = scratch("a.onnx");
    assert_ok(thaw_onnx_export(graph, &options, path, &summary));
    Thaw__Onnx__ModelProto *model = read_model(path);
    assert_int_equal(model->ir_version, 8);
    assert_string_equal(model->producer_name, "thaw");
    assert_int_equal(model->n_opset_import, 1);
    assert_int_equal(model->opset_import[0]->version, 17);
    assert_string_equal(model->graph->name, "residual");
    assert_int_equal(model->n_metadata_props, 2);
    assert_string_equal(model->metadata_props[0]->key, "classes");
    assert_string_equal(model->metadata_props[0]->value, metadata[0].value);
    assert_int_equal(summary.node_count, model->graph->n_node);
    assert_int_equal(summary.folded_count, 0);
    assert_int_equal(summary.external_size_bytes, 0);
    assert_int_equal(model->graph->n_input, 1);
    assert_int_equal(model->graph->n_output, 1);
    expect_typed(model->graph->input[0], "input", 4, (const int64_t[]){0, 3, 12, 12});
    expect_typed(model->graph->output[0], "logits", 2, (const int64_t[]){0, 7});
    for (size_t i = 0; i < graph->param_count; i++)
        expect_tensor(graph, model, graph->params[i].name);
    const Thaw__Onnx__NodeProto *conv = find_node(model, "layer2.0.conv1");
    assert_string_equal(conv->op_type, "Conv");
    assert_int_equal(conv->n_input, 2);
    assert_string_equal(conv->input[1], "layer2.0.conv1.weight");
    for (size_t i = 0; i < conv->n_attribute; i++)
        if (!strcmp(conv->attribute[i]->name, "strides"))
            assert_int_equal(conv->attribute[i]->ints[1], 2);
    assert_string_equal(find_node(model, "fc")->output[0], "logits");
    assert_string_equal(find_node(model, "drop")->op_type, "Dropout");
    thaw__onnx__model_proto__free_unpacked(model, NULL);
    thaw_graph_destroy(&graph);
}

/* Against w s and shift + (bias - mean) s in double precision. */
static void folds_batch_norm(void **state) {
    (void)state;
    struct thaw_onnx_export_options options = {.fold = true};
    struct thaw_onnx_export_summary summary;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 1);
    const char *path = scratch("f.onnx");
    assert_ok(thaw_onnx_export(graph, &options, path, &summary));
    assert_int_equal(summary.folded_count, 6);
    Thaw__Onnx__ModelProto *model = read_model(path);
    size_t weight_count, count;
    float *weight = param_values(graph, "layer1.0.conv1.weight", &weight_count);
    float *scale = param_values(graph, "layer1.0.bn1.weight", &count);
    float *shift = param_values(graph, "layer1.0.bn1.bias", &count);
    float *mean = param_values(graph, "layer1.0.bn1.running_mean", &count);
    float *var = param_values(graph, "layer1.0.bn1.running_var", &count);
    const float *folded = (const float *)find_tensor(model, "layer1.0.conv1.weight")->raw_data.data;
    const float *bias = (const float *)find_tensor(model, "layer1.0.conv1.bias")->raw_data.data;
    double *expected = malloc((weight_count + count) * sizeof *expected);
    for (size_t o = 0; o < count; o++) {
        double s = scale[o] / sqrt((double)var[o] + 1e-5);
        for (size_t i = 0; i < weight_count / count; i++)
            expected[o * (weight_count / count) + i] = weight[o * (weight_count / count) + i] * s;
        expected[weight_count + o] = shift[o] - mean[o] * s;
    }
    test_compare(folded, expected, weight_count, 1e-9, 1e-6, "folded weights");
    test_compare(bias, expected + weight_count, count, 1e-7, 1e-6, "folded bias");
    assert_string_equal(find_node(model, "layer1.0.conv1")->input[2], "layer1.0.conv1.bias");
    free(expected);
    free(weight);
    free(scale);
    free(shift);
    free(mean);
    free(var);
    thaw__onnx__model_proto__free_unpacked(model, NULL);
    thaw_graph_destroy(&graph);
}

static void external_weights(void **state) {
    (void)state;
    struct thaw_onnx_export_options options = {.external = true};
    struct thaw_onnx_export_summary summary;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 1);
    const char *path = scratch("e.onnx");
    assert_ok(thaw_onnx_export(graph, &options, path, &summary));
    Thaw__Onnx__ModelProto *model = read_model(path);
    struct thaw_map data;
    assert_ok(thaw_map_open(scratch("e.onnx.data"), &data));
    assert_int_equal(data.size_bytes, summary.external_size_bytes);
    size_t count, outside = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        const Thaw__Onnx__TensorProto *tensor = find_tensor(model, graph->params[i].name);
        float *values = param_values(graph, graph->params[i].name, &count);
        const void *bytes = tensor->raw_data.data;
        if (tensor->data_location == THAW__ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
            assert_int_equal(tensor->n_external_data, 3);
            assert_string_equal(tensor->external_data[0]->value, "e.onnx.data");
            size_t offset = strtoull(tensor->external_data[1]->value, NULL, 10);
            assert_int_equal(offset % 4096, 0);
            assert_int_equal(strtoull(tensor->external_data[2]->value, NULL, 10), 4 * count);
            assert_true(offset + 4 * count <= data.size_bytes);
            bytes = data.bytes + offset;
            outside++;
        }
        assert_memory_equal(bytes, values, 4 * count);
        free(values);
    }
    assert_true(outside >= 4);
    thaw_map_close(&data);
    thaw__onnx__model_proto__free_unpacked(model, NULL);
    thaw_graph_destroy(&graph);
}

static void errors_leave_no_file(void **state) {
    (void)state;
    struct thaw_onnx_export_options options = {0};
    struct thaw_onnx_export_summary summary;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, NULL, 1);
    assert_fails(thaw_onnx_export(graph, &options, "/no/such/folder/x.onnx", &summary),
                 THAW_ERROR_IO, "/no/such/folder");
    struct thaw_op stranger = *graph->nodes[3].op;
    stranger.onnx = NULL;
    graph->nodes[3].op = &stranger;
    const char *path = scratch("none.onnx");
    assert_fails(thaw_onnx_export(graph, &options, path, &summary), THAW_ERROR_UNSUPPORTED,
                 "node 'relu': Thaw can't write the op 'relu' as ONNX");
    assert_false(thaw_path_exists(path));
    thaw_graph_destroy(&graph);
}

/* A flatten of what is flat adds no node, and may not take the name of the one before it. */
static void values_that_are_passed_on(void **state) {
    (void)state;
    static const char text[] = "input: {channels: 3, size: 8}\n"
                               "graph:\n"
                               "  - one: {linear: {out: 5}}\n"
                               "  - flat: flatten\n"
                               "  - act: {relu: null, from: one}\n"
                               "  - sum: {add: [one, act]}\n"
                               "  - out: {flatten: null, from: sum}\n"
                               "features: one\n";
    struct thaw_graph *graph = test_model(text, NULL, 8);
    struct thaw_onnx_export_options options = {0};
    struct thaw_onnx_description description = {0};
    assert_ok(thaw_onnx_describe(graph, &options, &description));
    check_structure("passed on", graph, &description, false);
    assert_int_equal(description.model.node_count, 4); /* Flatten, Gemm, Relu, Add */
    assert_string_equal(description.model.nodes[3].output, "logits");
    thaw_onnx_description_finish(&description);
    thaw_graph_destroy(&graph);
}

static void every_op_has_a_form(void **state) {
    (void)state;
    for (size_t i = 0; i < thaw_op_count; i++)
        if (!thaw_ops[i]->onnx && strcmp(thaw_ops[i]->type, "softmax_cross_entropy") != 0)
            fail_msg("the op '%s' has no hook `onnx` (ops/export.h)", thaw_ops[i]->type);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model),
        cmocka_unit_test(a_file_says_everything),
        cmocka_unit_test(folds_batch_norm),
        cmocka_unit_test(external_weights),
        cmocka_unit_test(errors_leave_no_file),
        cmocka_unit_test(every_op_has_a_form),
        cmocka_unit_test(values_that_are_passed_on),
    };
    return cmocka_run_group_tests_name("io/onnx_export", tests, NULL, NULL);
}
