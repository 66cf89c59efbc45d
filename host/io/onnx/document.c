/* The model YAML and the list of weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "io/onnx/convert.h"
#include "io/onnx/stages.h"
#include "io/onnx/text.h"

static const char *text_or(const char *text) {
    return text ? text : "";
}

/* ---- input -------------------------------------------------------------------------------------
 */

/* "[0.485, 0.456, 0.406]", with a number for each channel. */
static void write_numbers(struct thaw_text *text, const char *key, const float *values, int count) {
    thaw_text_append(text, "  %s: [", key);
    for (int i = 0; i < count; i++)
        thaw_text_append(text, "%s%s", i ? ", " : "", thaw_onnx_short(values[i]).text);
    thaw_text_append(text, "]\n");
}

/* How pictures are resized before, where the file was written by Thaw and says so. */
static thaw_status write_resize(struct thaw_onnx_converter *cv, struct thaw_text *text) {
    const char *said = thaw_onnx_model_metadata(cv->model, "thaw.input");
    const char *mode = NULL;
    thaw_yaml *input;
    int size = 0;
    if (!said)
        return THAW_OK;
    THAW_TRY(thaw_yaml_parse(&cv->scratch, said, strlen(said), "thaw.input", &input));
    const thaw_yaml *resize = thaw_yaml_get(input, "resize");
    if (!resize)
        return THAW_OK;
    THAW_TRY(thaw_yaml_get_string(resize, "mode", &mode));
    THAW_TRY(thaw_yaml_get_int(resize, "size", 1, 16384, &size));
    if (mode && (!strcmp(mode, "short") || !strcmp(mode, "stretch")) && size)
        thaw_text_append(text, "  resize: {mode: %s, size: %d}\n", mode, size);
    return THAW_OK;
}

static thaw_status write_input(struct thaw_onnx_converter *cv, struct thaw_text *text) {
    thaw_text_append(text, "input:\n  channels: %d\n  size: %d\n", cv->input_channels,
                     cv->input_size);
    if (cv->options->as_is)
        return THAW_OK;
    if (!cv->knows_input)
        thaw_text_append(text, "  # ONNX does not say what the network expects of a picture: these "
                               "take values from 0 to 1.\n");
    write_numbers(text, "mean", cv->mean, cv->input_channels);
    write_numbers(text, "std", cv->std, cv->input_channels);
    return write_resize(cv, text);
}

/* ---- nodes -------------------------------------------------------------------------------------
 */

static void write_inputs(const struct thaw_onnx_converter *cv, const struct thaw_onnx_node *node,
                         struct thaw_text *text) {
    thaw_text_append(text, "[");
    for (int i = 0; i < node->input_count; i++)
        thaw_text_append(text, "%s%s", i ? ", " : "", cv->nodes[node->inputs[i]].name);
    thaw_text_append(text, "]");
}

static void write_attrs(const struct thaw_onnx_node *node, struct thaw_text *text) {
    bool bias = node->may_have_bias && !node->has_bias;
    thaw_text_append(text, "{%s%s}", node->attrs,
                     !bias          ? ""
                     : *node->attrs ? ", bias: false"
                                    : "bias: false");
}

/* "- conv1: {conv: {out: 64, kernel: 3}}", "- add1: {add: [a, b]}", "- relu1: relu" */
static void write_node(const struct thaw_onnx_converter *cv, const struct thaw_onnx_node *node,
                       int previous, struct thaw_text *text) {
    bool plain = !*node->attrs && (!node->may_have_bias || node->has_bias);
    bool follows = node->input_count == 1 && node->inputs[0] == previous;
    thaw_text_append(text, "  - %s: ", node->name);
    if (plain && follows) {
        thaw_text_append(text, "%s\n", node->op->type);
        return;
    }
    thaw_text_append(text, "{%s: ", node->op->type);
    if (plain && node->input_count > 1)
        write_inputs(cv, node, text);
    else
        write_attrs(node, text);
    if (!follows && !(plain && node->input_count > 1)) {
        thaw_text_append(text, ", from: ");
        if (node->input_count == 1)
            thaw_text_append(text, "%s", cv->nodes[node->inputs[0]].name);
        else
            write_inputs(cv, node, text);
    }
    thaw_text_append(text, "}\n");
}

static bool has_batchnorm(const struct thaw_onnx_converter *cv) {
    for (size_t i = 1; i < cv->node_count; i++)
        if (!cv->nodes[i].dropped && !strcmp(cv->nodes[i].op->type, "batchnorm"))
            return true;
    return false;
}

static void write_head(const struct thaw_onnx_converter *cv, struct thaw_text *text) {
    struct thaw_arena *arena = cv->arena;
    const char *producer = cv->model->proto->producer_name;
    const char *shown = producer ? thaw_onnx_printable(arena, producer) : "";
    const char *file = thaw_onnx_printable(arena, cv->model->path);
    const char *slash = file ? strrchr(file, '/') : NULL;
    thaw_text_append(text, "# Imported from %s (ONNX, opset %d%s%s).\n",
                     slash ? slash + 1 : text_or(file), cv->model->opset,
                     shown && *shown ? ", by " : "", text_or(shown));
    thaw_text_append(text, "model: %s\n", cv->name);
}

static thaw_status write_text(struct thaw_onnx_converter *cv, int output, struct thaw_text *text) {
    write_head(cv, text);
    THAW_TRY(write_input(cv, text));
    if (!cv->options->as_is)
        thaw_text_append(text, has_batchnorm(cv)
                                   ? "# A usual rate; the file does not say how it was trained.\n"
                                     "reference: {lr: 0.1, batch: 256}\n"
                                   : "# A usual rate without batch norm; the file does not say how "
                                     "it was trained.\nreference: {lr: 0.01, batch: 256}\n");
    thaw_text_append(text, "graph:\n");
    int previous = 0;
    for (size_t i = 1; i < cv->node_count; i++) {
        if (cv->nodes[i].dropped)
            continue;
        write_node(cv, &cv->nodes[i], previous, text);
        previous = (int)i;
    }
    int features = cv->options->as_is ? output : thaw_onnx_find_features(cv, output);
    thaw_text_append(text, "features: %s\n", cv->nodes[features].name);
    if (!cv->options->as_is)
        THAW_TRY(thaw_onnx_write_stages(cv, features, text));
    return text->failed ? THAW_ERROR_MEMORY : THAW_OK;
}

/* ---- weights -----------------------------------------------------------------------------------
 */

static thaw_status add_weights(struct thaw_onnx_converter *cv) {
    for (size_t i = 1; i < cv->node_count; i++) {
        const struct thaw_onnx_node *node = &cv->nodes[i];
        for (int p = 0; p < node->param_count && !node->dropped; p++) {
            const struct thaw_onnx_param *param = &node->params[p];
            const char *name = node->name;
            if (param->suffix)
                name = thaw_arena_format(&cv->scratch, "%s.%s", node->name, param->suffix);
            if (!name)
                return THAW_ERROR_MEMORY;
            THAW_TRY(thaw_weights_add(&cv->result->weights, name, THAW_DTYPE_F32, param->rank,
                                      param->dims, param->data));
        }
    }
    cv->result->weights.format = "onnx";
    return thaw_weights_index(&cv->result->weights);
}

/* Builds the model as training will, and compares every parameter with its tensor. */
static thaw_status check(struct thaw_onnx_converter *cv) {
    const struct thaw_device_caps caps = {.is_cpu = true, .block = 16, .max_work_group_size = 1};
    const struct thaw_graph_options options = {.caps = &caps};
    const struct thaw_weights *weights = &cv->result->weights;
    struct thaw_graph *graph = NULL;
    thaw_yaml *document;
    THAW_TRY(thaw_yaml_parse(&cv->scratch, cv->result->yaml, strlen(cv->result->yaml),
                             "the imported model", &document));
    THAW_TRY(thaw_graph_build(document, &options, &graph));
    thaw_status status = THAW_OK;
    for (size_t i = 0; status == THAW_OK && i < graph->param_count; i++) {
        int64_t dims[4];
        const struct thaw_weight *weight = thaw_weights_find(weights, graph->params[i].name);
        int rank = thaw_param_dims(&graph->params[i], dims);
        bool fits = weight && weight->rank == rank;
        for (int d = 0; fits && d < rank; d++)
            fits = weight->dims[d] == dims[d];
        if (!fits)
            status = thaw_fail(THAW_ERROR_UNSUPPORTED, "the tensor '%s' does not fit its node",
                               graph->params[i].name);
    }
    if (status == THAW_OK && graph->param_count != weights->count)
        status = thaw_fail(THAW_ERROR_UNSUPPORTED, "%zu tensors for %zu parameters", weights->count,
                           graph->param_count);
    thaw_graph_destroy(&graph);
    return status;
}

static thaw_status note_numbers(struct thaw_onnx_converter *cv) {
    if (!cv->numbers_made_parameters || cv->options->as_is)
        return THAW_OK;
    return thaw_onnx_note(cv,
                          "%zu single numbers that the graph multiplies or adds became nodes "
                          "`scale` and `shift`, which are trained where their part is",
                          cv->numbers_made_parameters);
}

thaw_status thaw_onnx_write_document(struct thaw_onnx_converter *cv, int output) {
    struct thaw_text text = {0};
    if (cv->node_count <= 1) /* all outputs are constants */
        return THAW_OK;
    thaw_status status = write_text(cv, output, &text);
    if (status == THAW_OK) {
        cv->result->yaml = thaw_arena_copy(cv->arena, text.text);
        status = cv->result->yaml ? THAW_OK : THAW_ERROR_MEMORY;
    }
    thaw_text_finish(&text);
    THAW_TRY(status);
    THAW_TRY(add_weights(cv));
    THAW_TRY(note_numbers(cv));
    return check(cv);
}
