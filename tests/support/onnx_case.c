#include "support/onnx_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "graph/exec.h"
#include "support/device.h"

/* As ONNX's own backend tests compare, but for results near zero. */
#define RTOL 1e-3
#define ATOL 1e-5

/* ---- reading -------------------------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *words) {
    size_t length = strlen(word);
    for (const char *at = words; *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (strcspn(at, " ") == length && !strncmp(at, word, length))
            return true;
    return false;
}

static bool read_tensor(struct thaw_arena *arena, const char *path,
                        struct thaw_onnx_tensor *ret_tensor) {
    struct thaw_map map;
    if (!thaw_path_exists(path))
        return false;
    assert_ok(thaw_map_open(path, &map));
    Thaw__Onnx__TensorProto *proto =
        thaw__onnx__tensor_proto__unpack(NULL, map.size_bytes, map.bytes);
    struct thaw_onnx_tensor tensor;
    bool read = proto && thaw_onnx_tensor_decode(arena, proto, &tensor) == THAW_OK;
    if (read) { /* the data may be borrowed from the message */
        size_t size_bytes =
            (size_t)tensor.count * (tensor.floats ? sizeof(float) : sizeof(int64_t));
        const void *data = tensor.floats ? (const void *)tensor.floats : tensor.integers;
        void *copy = thaw_arena_alloc(arena, size_bytes + 1);
        assert_non_null(copy);
        memcpy(copy, data, size_bytes);
        tensor.floats = tensor.floats ? copy : NULL;
        tensor.integers = tensor.integers ? copy : NULL;
        tensor.name = NULL;
        *ret_tensor = tensor;
    }
    if (proto)
        thaw__onnx__tensor_proto__free_unpacked(proto, NULL);
    thaw_map_close(&map);
    return read;
}

static bool is_initializer(const Thaw__Onnx__GraphProto *graph, const char *name) {
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (!strcmp(graph->initializer[i]->name, name))
            return true;
    return false;
}

/* Second outputs of these are masks, indices and statistics. */
static bool is_second_output(const Thaw__Onnx__GraphProto *graph, const char *name) {
    static const char operators[] = "Dropout MaxPool LayerNormalization BatchNormalization";
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 1; k < graph->node[i]->n_output; k++)
            if (!strcmp(graph->node[i]->output[k], name) &&
                is_one_of(graph->node[i]->op_type, operators))
                return true;
    return false;
}

/* Takes what is not compared out of the graph's outputs. */
static void read_outputs(struct onnx_case *test, const char *folder) {
    Thaw__Onnx__GraphProto *graph = test->model->graph;
    size_t kept = 0;
    for (size_t i = 0; i < graph->n_output; i++) {
        Thaw__Onnx__ValueInfoProto *output = graph->output[i];
        char *path = thaw_arena_format(&test->arena, "%s/test_data_set_0/output_%zu.pb", folder, i);
        assert_true(kept < ONNX_CASE_TENSORS);
        if (is_second_output(graph, output->name) ||
            !read_tensor(&test->arena, path, &test->outputs[kept])) {
            thaw__onnx__value_info_proto__free_unpacked(output, NULL);
            test->dropped_outputs++;
            continue;
        }
        test->outputs[kept].name = output->name;
        graph->output[kept++] = output;
    }
    graph->n_output = test->output_count = kept;
}

static void read_inputs(struct onnx_case *test, const char *folder) {
    Thaw__Onnx__GraphProto *graph = test->model->graph;
    for (size_t i = 0; i < graph->n_input; i++) {
        if (is_initializer(graph, graph->input[i]->name))
            continue;
        char *path = thaw_arena_format(&test->arena, "%s/test_data_set_0/input_%zu.pb", folder,
                                       test->input_count);
        assert_true(test->input_count < ONNX_CASE_TENSORS);
        struct thaw_onnx_tensor *input = &test->inputs[test->input_count];
        if (read_tensor(&test->arena, path, input)) {
            input->name = graph->input[i]->name;
            test->input_count++;
        }
    }
}

void onnx_case_open(const char *folder, struct onnx_case *ret_case) {
    struct onnx_case test = {.name = strrchr(folder, '/') + 1};
    struct thaw_map map;
    assert_ok(thaw_map_open(thaw_arena_format(&test.arena, "%s/model.onnx", folder), &map));
    test.model = thaw__onnx__model_proto__unpack(NULL, map.size_bytes, map.bytes);
    thaw_map_close(&map);
    if (!test.model || !test.model->graph)
        fail_msg("%s: no model", folder);
    test.name = thaw_arena_copy(&test.arena, test.name);
    read_inputs(&test, folder);
    read_outputs(&test, folder);
    *ret_case = test;
}

void onnx_case_finish(struct onnx_case *test) {
    thaw__onnx__model_proto__free_unpacked(test->model, NULL);
    thaw_arena_finish(&test->arena);
}

/* ---- what is concerned ---------------------------------------------------------------------- */

bool onnx_case_is_of(const struct onnx_case *test, const char *operators, const char *folded) {
    const Thaw__Onnx__GraphProto *graph = test->model->graph;
    bool any = false;
    for (size_t i = 0; i < graph->n_node; i++) {
        const Thaw__Onnx__NodeProto *node = graph->node[i];
        bool listed = is_one_of(node->op_type, operators);
        if ((node->domain && *node->domain) || (!listed && !is_one_of(node->op_type, folded)))
            return false;
        any |= listed;
    }
    for (size_t i = 0; i < test->output_count; i++)
        if (test->outputs[i].elem != THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
            return false;
    for (size_t i = 0; i < test->input_count; i++)
        if (test->inputs[i].floats &&
            test->inputs[i].elem != THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
            return false;
    return any && test->output_count > 0;
}

/* Whether a graph input stays an input: it is read where operators take data. What stands where
 * they take weights, bounds, sizes and the like becomes a constant. */
static bool is_data(const struct onnx_case *test, const struct thaw_onnx_tensor *input) {
    static const char all_data[] = "Add Sub Mul Div MatMul Concat";
    const Thaw__Onnx__GraphProto *graph = test->model->graph;
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_input; k++)
            if (!strcmp(graph->node[i]->input[k], input->name) && input->floats &&
                (k == 0 || is_one_of(graph->node[i]->op_type, all_data)))
                return true;
    return false;
}

/* ---- running -------------------------------------------------------------------------------- */

struct run {
    const struct onnx_case *test;
    struct thaw_onnx_import import;
    struct thaw_arena arena;
    struct thaw_graph *graph;
    thaw_exec *exec;
    int batch;
};

static thaw_status import_model(struct run *run, bool whole) {
    const struct onnx_case *test = run->test;
    struct thaw_onnx_tensor constants[ONNX_CASE_TENSORS];
    struct thaw_onnx_options options = {.as_is = true, .whole = whole, .constants = constants};
    for (size_t i = 0; i < test->input_count; i++)
        if (!is_data(test, &test->inputs[i]))
            constants[options.constant_count++] = test->inputs[i];
    size_t size_bytes = thaw__onnx__model_proto__get_packed_size(test->model);
    uint8_t *bytes = malloc(size_bytes + 1);
    assert_non_null(bytes);
    thaw__onnx__model_proto__pack(test->model, bytes);
    thaw_status status =
        thaw_onnx_import_bytes(bytes, size_bytes, test->name, &options, &run->import);
    free(bytes);
    return status;
}

static thaw_status build(struct run *run) {
    thaw_device *device = test_device();
    struct thaw_graph_options options = {.caps = thaw_device_get_caps(device)};
    thaw_yaml *document;
    const char *yaml = run->import.yaml;
    if (!yaml) /* nothing depends on the inputs */
        return THAW_OK;
    THAW_TRY(thaw_yaml_parse(&run->arena, yaml, strlen(yaml), run->test->name, &document));
    THAW_TRY(thaw_graph_build(document, &options, &run->graph));
    THAW_TRY(thaw_graph_allocate(run->graph, device, 0));
    THAW_TRY(thaw_weights_index(&run->import.weights));
    for (size_t i = 0; i < run->graph->param_count; i++) {
        const struct thaw_param *param = &run->graph->params[i];
        const struct thaw_weight *weight = thaw_weights_find(&run->import.weights, param->name);
        if (!weight || thaw_weight_count(weight) != thaw_param_count_values(param))
            return thaw_fail(THAW_ERROR_INPUT, "the weights of '%s' are %s", param->name,
                             weight ? "of another size" : "missing");
        float *values = malloc(thaw_weight_count(weight) * sizeof *values + 1);
        assert_non_null(values);
        thaw_weight_to_float(weight, values);
        thaw_status status = thaw_param_write(run->graph, param, values);
        free(values);
        THAW_TRY(status);
    }
    return THAW_OK;
}

static const struct thaw_onnx_tensor *find(const struct thaw_onnx_tensor *tensors, size_t count,
                                           const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(tensors[i].name, name))
            return &tensors[i];
    fail_msg("no tensor is called '%s'", name);
    return NULL;
}

/* All inputs, image by image. */
static thaw_status write_input(struct run *run) {
    const struct thaw_tensor *input = thaw_exec_input(run->exec);
    size_t total = (size_t)input->layout.c;
    float *data = calloc(total * (size_t)run->batch + 1, sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < run->import.input_count; i++) {
        const struct thaw_onnx_port *port = &run->import.inputs[i];
        const struct thaw_onnx_tensor *tensor =
            find(run->test->inputs, run->test->input_count, port->name);
        size_t count = (size_t)port->count;
        assert_int_equal(count * (size_t)run->batch, tensor->count);
        assert_true((size_t)port->offset + count <= total);
        for (size_t n = 0; n < (size_t)run->batch; n++)
            memcpy(data + n * total + (size_t)port->offset, tensor->floats + n * count,
                   count * sizeof *data);
    }
    thaw_status status = thaw_tensor_write(test_device(), input, run->batch, data);
    free(data);
    return status;
}

static thaw_status compare(const struct thaw_onnx_tensor *expected, const float *actual) {
    for (int64_t i = 0; i < expected->count; i++) {
        double wanted = expected->floats[i], found = actual[i];
        bool equal = wanted == found || (isnan(wanted) && isnan(found));
        if (!equal && !(fabs(wanted - found) <= ATOL + RTOL * fabs(wanted)))
            return thaw_fail(THAW_ERROR_RUNTIME, "'%s': value %lld of %lld is %.8g, expected %.8g",
                             expected->name, (long long)i, (long long)expected->count, found,
                             wanted);
    }
    return THAW_OK;
}

static thaw_status check_output(struct run *run, const struct thaw_onnx_port *port) {
    const struct thaw_onnx_tensor *expected =
        find(run->test->outputs, run->test->output_count, port->name);
    if (!port->node) {
        if (!port->constant || port->constant->count != expected->count)
            return thaw_fail(THAW_ERROR_INPUT, "'%s': no constant of its size", port->name);
        return compare(expected, port->constant->floats);
    }
    const struct thaw_tensor *tensor =
        thaw_exec_output(run->exec, thaw_graph_find_node(run->graph, port->node));
    const struct thaw_layout *l = &tensor->layout;
    size_t count = (size_t)l->c * (size_t)l->h * (size_t)l->w;
    if ((int64_t)count != port->count || port->count * run->batch != expected->count)
        return thaw_fail(THAW_ERROR_INPUT, "'%s' has %zu values per image, expected %lld in all",
                         port->name, count, (long long)expected->count);
    float *actual = malloc(count * (size_t)run->batch * sizeof *actual);
    assert_non_null(actual);
    thaw_status status = thaw_tensor_read(test_device(), tensor, run->batch, actual);
    if (status == THAW_OK)
        status = compare(expected, actual);
    free(actual);
    return status;
}

static thaw_status compute(struct run *run) {
    int nodes[ONNX_CASE_TENSORS];
    struct thaw_exec_options options = {.keep = nodes, .only_keep = true};
    struct thaw_op_step step = {0};
    run->batch = 1;
    for (size_t i = 0; i < run->import.input_count; i++) {
        const struct thaw_onnx_port *port = &run->import.inputs[i];
        if (port->rank && port->dims[0] < 0)
            run->batch = (int)find(run->test->inputs, run->test->input_count, port->name)->dims[0];
    }
    for (size_t i = 0; run->graph && i < run->import.output_count; i++)
        if (run->import.outputs[i].node)
            nodes[options.keep_count++] =
                thaw_graph_find_node(run->graph, run->import.outputs[i].node);
    options.batch = step.batch = run->batch;
    if (options.keep_count) {
        THAW_TRY(thaw_exec_create(run->graph, &options, &run->exec));
        THAW_TRY(write_input(run));
        THAW_TRY(thaw_exec_forward(run->exec, &step));
    }
    for (size_t i = 0; i < run->import.output_count; i++)
        THAW_TRY(check_output(run, &run->import.outputs[i]));
    return THAW_OK;
}

thaw_status onnx_case_run(const struct onnx_case *test, bool whole) {
    struct run run = {.test = test};
    thaw_status status = import_model(&run, whole);
    if (status == THAW_OK) {
        status = build(&run);
        if (status == THAW_OK)
            status = compute(&run);
        if (status == THAW_ERROR_UNSUPPORTED) /* only the importer may say so */
            status = thaw_context(THAW_ERROR_INPUT, "after the import");
    }
    thaw_exec_destroy(&run.exec);
    thaw_graph_destroy(&run.graph);
    thaw_onnx_import_finish(&run.import);
    thaw_arena_finish(&run.arena);
    return status;
}
