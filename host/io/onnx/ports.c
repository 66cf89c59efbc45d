#include "io/onnx/ports.h"

#include <string.h>

#include "graph/graph.h"
#include "io/onnx/text.h"

#define PACKED_MIN 4 /* channels, below which a device keeps the input in a form of its own */
#define PACKED_MAX THAW_GRAPH_CHANNELS_MAX

static const char *text_or_empty(const char *text) {
    return text ? text : "";
}

/* ---- outputs that are wanted ----------------------------------------------------------------- */

static const Thaw__Onnx__NodeProto *producer_of(const struct thaw_onnx_converter *cv,
                                                const char *name) {
    const Thaw__Onnx__GraphProto *graph = cv->model->graph;
    for (size_t i = graph->n_node; i-- > 0;)
        for (size_t j = 0; j < graph->node[i]->n_output; j++)
            if (!strcmp(graph->node[i]->output[j], name))
                return graph->node[i];
    return NULL;
}

/* What is before a Softmax at the end: training wants logits. */
static thaw_status skip_softmax(struct thaw_onnx_converter *cv, const char **name) {
    const Thaw__Onnx__NodeProto *node = producer_of(cv, *name);
    for (int n = 0; node && node->op_type && node->n_input && n < 8; n++) {
        bool softmax = !strcmp(node->op_type, "Softmax") || !strcmp(node->op_type, "LogSoftmax");
        if (!softmax && strcmp(node->op_type, "Identity") != 0)
            break;
        *name = node->input[0];
        if (softmax)
            return thaw_onnx_note(cv,
                                  "the %s at the end is left out: training wants what goes "
                                  "into it",
                                  node->op_type);
        node = producer_of(cv, *name);
    }
    return THAW_OK;
}

static thaw_status want_output(struct thaw_onnx_converter *cv, const char *name) {
    const char *wanted = name;
    if (!cv->options->as_is)
        THAW_TRY(skip_softmax(cv, &wanted));
    struct thaw_onnx_value *value = thaw_onnx_value_find(cv, wanted);
    if (!value)
        return thaw_fail(THAW_ERROR_INPUT, "nothing makes the output '%s'",
                         thaw_onnx_printable(cv->arena, wanted));
    value->uses++;
    cv->result->outputs[cv->result->output_count++] = (struct thaw_onnx_port){.name = value->name};
    return THAW_OK;
}

static thaw_status no_such_output(struct thaw_onnx_converter *cv, const char *name) {
    const Thaw__Onnx__GraphProto *graph = cv->model->graph;
    const char **names = thaw_arena_array(cv->arena, graph->n_output + 1, sizeof *names);
    if (!names)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->n_output; i++)
        names[i] = thaw_onnx_printable(cv->arena, text_or_empty(graph->output[i]->name));
    const char *nearest = thaw_nearest(name, names, graph->n_output);
    return thaw_fail(THAW_ERROR_INPUT, "the graph has no output '%s'%s%s%s", name,
                     nearest ? " (nearest: '" : "", nearest ? nearest : "", nearest ? "')" : "");
}

thaw_status thaw_onnx_want_outputs(struct thaw_onnx_converter *cv) {
    const Thaw__Onnx__GraphProto *graph = cv->model->graph;
    const char *chosen = cv->options->output;
    if (!graph->n_output)
        return thaw_fail(THAW_ERROR_INPUT, "the graph has no output");
    cv->result->outputs = thaw_arena_array(cv->arena, graph->n_output, sizeof *cv->result->outputs);
    if (!cv->result->outputs)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = text_or_empty(graph->output[i]->name);
        if (cv->options->as_is || (chosen && !strcmp(chosen, name)))
            THAW_TRY(want_output(cv, name));
    }
    if (!cv->options->as_is && chosen && !cv->result->output_count)
        return no_such_output(cv, chosen);
    if (cv->result->output_count)
        return THAW_OK;
    THAW_TRY(want_output(cv, text_or_empty(graph->output[0]->name)));
    if (graph->n_output > 1)
        THAW_TRY(
            thaw_onnx_note(cv, "of %zu outputs the first, '%s', is kept", graph->n_output,
                           thaw_onnx_printable(cv->arena, text_or_empty(graph->output[0]->name))));
    return THAW_OK;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* The shape that the file gives an input; 0 for dimensions that it leaves open. */
static thaw_status read_shape(const Thaw__Onnx__ValueInfoProto *info,
                              struct thaw_onnx_port *ret_port) {
    const Thaw__Onnx__TypeProto *type = info->type;
    if (!type || type->value_case != THAW__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !type->tensor_type->shape)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "has no shape in the file");
    const Thaw__Onnx__TensorShapeProto *shape = type->tensor_type->shape;
    if (!thaw_onnx_is_float(type->tensor_type->elem_type))
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "holds %s, Thaw computes with float32",
                         thaw_onnx_elem_name(type->tensor_type->elem_type));
    if (shape->n_dim > THAW_ONNX_RANK_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "has %zu dimensions, at most %d are read",
                         shape->n_dim, THAW_ONNX_RANK_MAX);
    struct thaw_onnx_port port = *ret_port;
    port.rank = (int)shape->n_dim;
    for (int d = 0; d < port.rank; d++) {
        const Thaw__Onnx__TensorShapeProto__Dimension *dim = shape->dim[d];
        bool known = dim->value_case == THAW__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        port.dims[d] = known && dim->dim_value > 0 ? dim->dim_value : 0;
    }
    *ret_port = port;
    return THAW_OK;
}

/* Every dimension but the batch has a size now. */
static thaw_status finish_port(struct thaw_onnx_converter *cv, struct thaw_onnx_port *port) {
    if (cv->batched && port->rank == 0)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "is a scalar, and has no batch");
    if (cv->batched) {
        cv->static_batch = port->dims[0];
        port->dims[0] = 1;
    }
    for (int d = 0; d < port->rank; d++)
        if (port->dims[d] < 1)
            return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "the file leaves dimension %d open", d),
                             "say height and width with --size");
    THAW_TRY(thaw_onnx_dims_count(port->rank, port->dims, &port->count));
    if (cv->batched)
        port->dims[0] = -1;
    return THAW_OK;
}

static void set_input(struct thaw_onnx_value *value, const struct thaw_onnx_view *view) {
    value->view = *view;
    value->elem = THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    value->defined = true;
    value->exclusive = false;
}

static thaw_status make_node_zero(struct thaw_onnx_converter *cv, struct thaw_shape shape) {
    cv->nodes = thaw_arena_grow(cv->arena, NULL, 0, &cv->node_capacity, sizeof *cv->nodes);
    if (!cv->nodes)
        return THAW_ERROR_MEMORY;
    cv->nodes[0] = (struct thaw_onnx_node){.name = "input", .attrs = "", .out = shape};
    cv->node_count = 1;
    cv->input_channels = shape.c;
    cv->input_size = shape.h;
    return THAW_OK;
}

/* ---- a picture ------------------------------------------------------------------------------- */

static thaw_status choose_layout(const struct thaw_onnx_converter *cv,
                                 const struct thaw_onnx_port *port, bool *ret_nhwc) {
    const char *layout = cv->options->layout;
    if (layout) {
        *ret_nhwc = !strcmp(layout, "nhwc");
        if (!*ret_nhwc && strcmp(layout, "nchw") != 0)
            return thaw_fail(THAW_ERROR_INPUT, "the layout is nchw or nhwc, not '%s'", layout);
        return THAW_OK;
    }
    bool first = port->dims[1] == 1 || port->dims[1] == 3;
    bool last = port->dims[3] == 1 || port->dims[3] == 3;
    if (first != last) {
        *ret_nhwc = last;
        return THAW_OK;
    }
    char text[THAW_ONNX_DIMS_TEXT_SIZE];
    thaw_onnx_dims_text(port->rank, port->dims, text);
    return thaw_hint(thaw_fail(THAW_ERROR_INPUT,
                               "its shape %s does not tell where the channels are (0: left open)",
                               text),
                     "say it with --layout nchw or --layout nhwc");
}

static thaw_status make_picture(struct thaw_onnx_converter *cv, struct thaw_onnx_value *value,
                                struct thaw_onnx_port *port) {
    bool nhwc = false;
    if (port->rank != 4)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "has %d dimensions, a picture has 4", port->rank);
    THAW_TRY(choose_layout(cv, port, &nhwc));
    int h = nhwc ? 1 : 2, w = h + 1, c = nhwc ? 3 : 1;
    int64_t *dims = port->dims;
    if (cv->options->size && dims[h] == 0)
        dims[h] = cv->options->size;
    if (cv->options->size && dims[w] == 0)
        dims[w] = cv->options->size;
    if (cv->options->size && (dims[h] != cv->options->size || dims[w] != cv->options->size))
        return thaw_fail(THAW_ERROR_INPUT, "is %lld x %lld in the file, not %d x %d",
                         (long long)dims[h], (long long)dims[w], cv->options->size,
                         cv->options->size);
    THAW_TRY(finish_port(cv, port));
    if (dims[h] != dims[w])
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "is %lld x %lld; Thaw takes square pictures",
                         (long long)dims[h], (long long)dims[w]);
    if (dims[c] > 3 || dims[c] == 2 || dims[h] > 16384)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "has %lld channels of %lld x %lld; pictures have 1 or 3, of at most "
                         "16384 x 16384",
                         (long long)dims[c], (long long)dims[h], (long long)dims[w]);
    struct thaw_shape shape = {1, (int)dims[c], (int)dims[h], (int)dims[w]};
    struct thaw_onnx_layout layout = {.count = {1, 1, 1}};
    layout.dims[THAW_SLOT_C][0] = c;
    layout.dims[THAW_SLOT_H][0] = h;
    layout.dims[THAW_SLOT_W][0] = w;
    struct thaw_onnx_view view = thaw_onnx_view_make(0, 4, dims, 0, &layout);
    THAW_TRY(make_node_zero(cv, shape));
    set_input(value, &view);
    return THAW_OK;
}

/* ---- inputs as they are, packed -------------------------------------------------------------- */

static thaw_status make_packed(struct thaw_onnx_converter *cv, struct thaw_onnx_value **values) {
    struct thaw_onnx_import *result = cv->result;
    int64_t total = 0;
    for (size_t i = 0; i < result->input_count; i++) {
        result->inputs[i].offset = total;
        total += result->inputs[i].count;
        if (total > PACKED_MAX)
            return thaw_fail(THAW_ERROR_UNSUPPORTED, "the inputs have more than %d values an image",
                             PACKED_MAX);
    }
    bool whole = result->input_count == 1 && total >= PACKED_MIN;
    THAW_TRY(make_node_zero(
        cv, (struct thaw_shape){1, (int)(total < PACKED_MIN ? PACKED_MIN : total), 1, 1}));
    for (size_t i = 0; i < result->input_count; i++) {
        struct thaw_onnx_port *port = &result->inputs[i];
        int node = 0, input = 0;
        struct thaw_onnx_call call = {.cv = cv,
                                      .base = thaw_onnx_plain_name(cv->arena, port->name)};
        if (!call.base)
            return THAW_ERROR_MEMORY;
        if (!whole)
            THAW_TRY(thaw_onnx_emit(&call, NULL, "slice", &input, 1, &node,
                                    "channels: [%lld, %lld]", (long long)port->offset,
                                    (long long)(port->offset + port->count)));
        struct thaw_onnx_layout layout = {0};
        for (int d = cv->batched; d < port->rank; d++)
            layout.dims[THAW_SLOT_C][layout.count[THAW_SLOT_C]++] = d;
        struct thaw_onnx_view view =
            thaw_onnx_view_make(node, port->rank, port->dims, cv->batched ? 0 : -1, &layout);
        set_input(values[i], &view);
    }
    return THAW_OK;
}

thaw_status thaw_onnx_make_inputs(struct thaw_onnx_converter *cv) {
    const Thaw__Onnx__GraphProto *graph = cv->model->graph;
    struct thaw_onnx_import *result = cv->result;
    struct thaw_onnx_value **values =
        thaw_arena_array(&cv->scratch, graph->n_input + 1, sizeof(struct thaw_onnx_value *));
    result->inputs = thaw_arena_array(cv->arena, graph->n_input + 1, sizeof *result->inputs);
    if (!values || !result->inputs)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = text_or_empty(graph->input[i]->name);
        struct thaw_onnx_value *value = thaw_onnx_value_find(cv, name);
        if (!value || value->is_constant || !value->uses)
            continue;
        struct thaw_onnx_port *port = &result->inputs[result->input_count];
        port->name = value->name;
        thaw_status status = read_shape(graph->input[i], port);
        if (status == THAW_OK && result->input_count && !cv->options->as_is)
            return thaw_fail(THAW_ERROR_UNSUPPORTED,
                             "the graph has more than one input: '%s' and '%s'",
                             thaw_onnx_printable(cv->arena, result->inputs[0].name),
                             thaw_onnx_printable(cv->arena, name));
        if (status == THAW_OK)
            status = cv->options->as_is ? finish_port(cv, port) : make_picture(cv, value, port);
        if (status != THAW_OK)
            return thaw_context(status, "the input '%s'", thaw_onnx_printable(cv->arena, name));
        values[result->input_count++] = value;
    }
    if (cv->options->as_is)
        return make_packed(cv, values);
    return THAW_OK;
}

/* ---- outputs --------------------------------------------------------------------------------- */

static thaw_status make_output(struct thaw_onnx_converter *cv, struct thaw_onnx_port *port,
                               int *ret_node) {
    struct thaw_onnx_value *value = thaw_onnx_value_find(cv, port->name);
    if (!value->defined)
        return thaw_fail(THAW_ERROR_INPUT, "nothing makes it");
    if (value->initializer) {
        THAW_TRY(thaw_onnx_model_tensor(cv->model, value->initializer, &value->tensor));
        value->initializer = NULL;
    }
    port->rank = thaw_onnx_rank(value);
    if (value->is_constant) {
        port->constant = &value->tensor;
        port->count = value->tensor.count;
        memcpy(port->dims, value->tensor.dims, sizeof port->dims);
        return cv->options->as_is
                   ? THAW_OK
                   : thaw_fail(THAW_ERROR_UNSUPPORTED, "it does not depend on the input");
    }
    struct thaw_onnx_call call = {.cv = cv, .base = thaw_onnx_plain_name(cv->arena, port->name)};
    if (!call.base)
        return THAW_ERROR_MEMORY;
    if (value->view.batch > 0)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "its first dimension is not the batch");
    THAW_TRY(thaw_onnx_arrange_plain(&call, value));
    struct thaw_shape shape = thaw_onnx_shape(&call, value);
    if (value->view.node == 0)
        THAW_TRY(thaw_onnx_emit(&call, NULL, "rearrange", &value->view.node, 1, &value->view.node,
                                "out: [%d, %d, %d]", shape.c, shape.h, shape.w));
    memcpy(port->dims, value->view.dims, sizeof port->dims);
    port->count = (int64_t)shape.c * shape.h * shape.w;
    *ret_node = value->view.node;
    return THAW_OK;
}

thaw_status thaw_onnx_make_outputs(struct thaw_onnx_converter *cv) {
    int node = 0;
    for (size_t i = 0; i < cv->result->output_count; i++) {
        struct thaw_onnx_port *port = &cv->result->outputs[i];
        thaw_status status = make_output(cv, port, &node);
        if (status != THAW_OK)
            return thaw_context(status, "the output '%s'",
                                thaw_onnx_printable(cv->arena, port->name));
        if (!port->constant)
            port->node = cv->nodes[node].name;
    }
    return thaw_onnx_write_document(cv, node);
}
