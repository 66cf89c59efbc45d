/* The description as messages, and their bytes. Weights are never in memory all at once: the
 * messages hold, in place of a parameter's bytes, a pointer into `tokens`, which protobuf-c hands
 * to append() like any bytes, and there the parameter is read from the device. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/onnx/export.h"
#include "onnx.pb-c.h"
#include "ops/batchnorm.h"

#define IR_VERSION 8                           /* what goes with opset 17 */
#define FILE_MAX_BYTES (((size_t)1 << 31) - 1) /* protocol buffers' limit */
#define EXTERNAL_ALIGN ((size_t)4096)          /* so that runtimes can map the weights */
#define EXTERNAL_MIN_BYTES ((size_t)1024)

struct writer {
    ProtobufCBuffer base;
    const struct thaw_onnx_description *description;
    const struct thaw_onnx_export_options *options;
    struct thaw_arena arena;
    unsigned char *tokens;       /* one for each tensor */
    float *values, *norm_values; /* room for the largest tensor; for a batch norm's vectors */
    struct thaw_atomic_file file;
    unsigned char buffer[1 << 16];
    size_t used;
    thaw_status status; /* of append, which can't return one */
};

/* ---- values --------------------------------------------------------------------------------- */

static size_t tensor_count(const struct thaw_export_tensor *tensor) {
    size_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= (size_t)tensor->dims[i];
    return count;
}

static size_t tensor_bytes(const struct thaw_export_tensor *tensor) {
    return tensor_count(tensor) * (tensor->ints ? sizeof(int64_t) : sizeof(float));
}

static bool is_parameter(const struct thaw_export_tensor *tensor) {
    return !tensor->ints && !tensor->floats;
}

/* w s and shift + (b - mean) s, s = scale / sqrt(var + eps): ops/batchnorm.h. */
static thaw_status fold(struct writer *w, const struct thaw_export_tensor *tensor, float *values) {
    const struct thaw_graph *graph = w->description->graph;
    const struct thaw_node *norm = &graph->nodes[tensor->norm];
    size_t channels = (size_t)norm->out.c, inner = tensor_count(tensor) / channels;
    float *scale = w->norm_values, *shift = scale + channels, *mean = shift + channels,
          *var = mean + channels;
    for (int p = 0; p < 4; p++)
        THAW_TRY(
            thaw_param_read(graph, &graph->params[norm->params[p]], scale + (size_t)p * channels));
    for (size_t o = 0; o < channels; o++) {
        double s = scale[o] / sqrt((double)var[o] + thaw_batchnorm_eps(norm->attrs));
        if (tensor->rank == 1)
            values[o] = (float)(shift[o] + ((double)values[o] - mean[o]) * s);
        for (size_t i = 0; tensor->rank > 1 && i < inner; i++)
            values[o * inner + i] = (float)(values[o * inner + i] * s);
    }
    return THAW_OK;
}

static thaw_status read_values(struct writer *w, const struct thaw_export_tensor *tensor) {
    const struct thaw_graph *graph = w->description->graph;
    if (tensor->param >= 0)
        THAW_TRY(thaw_param_read(graph, &graph->params[tensor->param], w->values));
    else
        memset(w->values, 0, tensor_bytes(tensor));
    return tensor->norm >= 0 ? fold(w, tensor, w->values) : THAW_OK;
}

static thaw_status make_room(struct writer *w) {
    const struct thaw_export_model *model = &w->description->model;
    const struct thaw_graph *graph = w->description->graph;
    size_t largest = 1, channels = 1;
    for (size_t i = 0; i < model->tensor_count; i++) {
        const struct thaw_export_tensor *tensor = &model->tensors[i];
        size_t count = tensor_count(tensor);
        size_t outputs = tensor->norm >= 0 ? (size_t)graph->nodes[tensor->norm].out.c : 0;
        largest = count > largest ? count : largest;
        channels = outputs > channels ? outputs : channels;
    }
    w->tokens = thaw_arena_alloc(&w->arena, model->tensor_count + 1);
    w->values = malloc(largest * sizeof(float));
    w->norm_values = malloc(4 * channels * sizeof(float));
    return w->tokens && w->values && w->norm_values ? THAW_OK
                                                    : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void flush(struct writer *w) {
    if (w->status == THAW_OK && w->used)
        w->status = thaw_atomic_write(&w->file, w->buffer, w->used);
    w->used = 0;
}

static void append(ProtobufCBuffer *buffer, size_t size_bytes, const uint8_t *data) {
    struct writer *w = (struct writer *)buffer; /* its first member */
    const struct thaw_export_model *model = &w->description->model;
    bool is_token = data >= w->tokens && data < w->tokens + model->tensor_count;
    if (w->status == THAW_OK && is_token) {
        w->status = read_values(w, &model->tensors[data - w->tokens]);
        data = (const uint8_t *)w->values;
    }
    if (w->used + size_bytes > sizeof w->buffer)
        flush(w);
    if (w->status != THAW_OK)
        return;
    if (size_bytes > sizeof w->buffer) {
        w->status = thaw_atomic_write(&w->file, data, size_bytes);
        return;
    }
    memcpy(w->buffer + w->used, data, size_bytes);
    w->used += size_bytes;
}

/* ---- messages: all in the writer's arena ---------------------------------------------------- */

static void *new_list(struct writer *w, size_t count) {
    return thaw_arena_array(&w->arena, count + 1, sizeof(void *));
}

#define NEW(w, message, type, TYPE)                                                                \
    type *message = thaw_arena_alloc(&(w)->arena, sizeof *message);                                \
    if (!message)                                                                                  \
        return NULL;                                                                               \
    *message = (type)TYPE##__INIT

static Thaw__Onnx__StringStringEntryProto *make_entry(struct writer *w, const char *key,
                                                      const char *value) {
    NEW(w, entry, Thaw__Onnx__StringStringEntryProto, THAW__ONNX__STRING_STRING_ENTRY_PROTO);
    entry->key = (char *)key;
    entry->value = (char *)value;
    return entry;
}

static Thaw__Onnx__AttributeProto *make_attribute(struct writer *w,
                                                  const struct thaw_export_attribute *from) {
    NEW(w, attribute, Thaw__Onnx__AttributeProto, THAW__ONNX__ATTRIBUTE_PROTO);
    attribute->name = (char *)from->name;
    attribute->has_type = 1;
    switch (from->kind) {
    case THAW_EXPORT_INT:
        attribute->type = THAW__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        attribute->has_i = 1;
        attribute->i = from->ints[0];
        break;
    case THAW_EXPORT_INTS:
        attribute->type = THAW__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        attribute->n_ints = from->int_count;
        attribute->ints = (int64_t *)from->ints;
        break;
    case THAW_EXPORT_FLOAT:
        attribute->type = THAW__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
        attribute->has_f = 1;
        attribute->f = from->number;
        break;
    case THAW_EXPORT_TEXT:
        attribute->type = THAW__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
        attribute->has_s = 1;
        attribute->s = (ProtobufCBinaryData){strlen(from->text), (uint8_t *)from->text};
        break;
    }
    return attribute;
}

static Thaw__Onnx__NodeProto *make_node(struct writer *w, const struct thaw_export_node *from) {
    NEW(w, node, Thaw__Onnx__NodeProto, THAW__ONNX__NODE_PROTO);
    node->name = (char *)from->name;
    node->op_type = (char *)from->type;
    node->n_input = from->input_count;
    node->input = (char **)from->inputs;
    node->output = new_list(w, 1);
    node->attribute = new_list(w, from->attribute_count);
    if (!node->output || !node->attribute)
        return NULL;
    node->output[node->n_output++] = (char *)from->output;
    for (const struct thaw_export_attribute *a = from->attributes; a; a = a->next)
        if (!(node->attribute[node->n_attribute++] = make_attribute(w, a)))
            return NULL;
    return node;
}

/* The data stands at `offset` of the file `location`, beside the model; NULL: in the model. */
static Thaw__Onnx__TensorProto *make_tensor(struct writer *w, size_t index, const char *location,
                                            size_t offset) {
    NEW(w, tensor, Thaw__Onnx__TensorProto, THAW__ONNX__TENSOR_PROTO);
    const struct thaw_export_tensor *from = &w->description->model.tensors[index];
    tensor->name = (char *)from->name;
    tensor->n_dims = (size_t)from->rank;
    tensor->dims = (int64_t *)from->dims;
    tensor->has_data_type = 1;
    tensor->data_type = from->ints ? THAW__ONNX__TENSOR_PROTO__DATA_TYPE__INT64
                                   : THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    if (!location) {
        const void *data = from->ints ? (const void *)from->ints : (const void *)from->floats;
        tensor->has_raw_data = 1;
        tensor->raw_data.len = tensor_bytes(from);
        tensor->raw_data.data = data ? (uint8_t *)data : w->tokens + index;
        return tensor;
    }
    const char *entries[3][2] = {
        {"location", location},
        {"offset", thaw_arena_format(&w->arena, "%zu", offset)},
        {"length", thaw_arena_format(&w->arena, "%zu", tensor_bytes(from))}};
    tensor->has_data_location = 1;
    tensor->data_location = THAW__ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensor->external_data = new_list(w, 3);
    for (int i = 0; i < 3; i++) {
        if (!tensor->external_data || !entries[i][1] ||
            !(tensor->external_data[i] = make_entry(w, entries[i][0], entries[i][1])))
            return NULL;
        tensor->n_external_data++;
    }
    return tensor;
}

/* A free batch, and dims[1..rank-1]. */
static Thaw__Onnx__ValueInfoProto *make_value(struct writer *w, const char *name, int rank,
                                              const int *dims) {
    NEW(w, value, Thaw__Onnx__ValueInfoProto, THAW__ONNX__VALUE_INFO_PROTO);
    NEW(w, type, Thaw__Onnx__TypeProto, THAW__ONNX__TYPE_PROTO);
    NEW(w, tensor, Thaw__Onnx__TypeProto__Tensor, THAW__ONNX__TYPE_PROTO__TENSOR);
    NEW(w, shape, Thaw__Onnx__TensorShapeProto, THAW__ONNX__TENSOR_SHAPE_PROTO);
    shape->dim = new_list(w, (size_t)rank);
    if (!shape->dim)
        return NULL;
    for (int i = 0; i < rank; i++) {
        NEW(w, dim, Thaw__Onnx__TensorShapeProto__Dimension,
            THAW__ONNX__TENSOR_SHAPE_PROTO__DIMENSION);
        dim->value_case = i ? THAW__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                            : THAW__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        if (i)
            dim->dim_value = dims[i];
        else
            dim->dim_param = (char *)"batch";
        shape->dim[shape->n_dim++] = dim;
    }
    tensor->has_elem_type = 1;
    tensor->elem_type = THAW__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->shape = shape;
    type->value_case = THAW__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    value->name = (char *)name;
    value->type = type;
    return value;
}

static bool add_tensors(struct writer *w, const char *location, Thaw__Onnx__GraphProto *graph) {
    const struct thaw_export_model *model = &w->description->model;
    size_t offset = 0;
    graph->initializer = new_list(w, model->tensor_count);
    for (size_t i = 0; graph->initializer && i < model->tensor_count; i++) {
        size_t size_bytes = tensor_bytes(&model->tensors[i]);
        bool outside =
            location && is_parameter(&model->tensors[i]) && size_bytes >= EXTERNAL_MIN_BYTES;
        graph->initializer[i] = make_tensor(w, i, outside ? location : NULL, offset);
        if (!graph->initializer[i])
            return false;
        graph->n_initializer++;
        if (outside)
            offset += (size_bytes + EXTERNAL_ALIGN - 1) / EXTERNAL_ALIGN * EXTERNAL_ALIGN;
    }
    return graph->initializer != NULL;
}

static Thaw__Onnx__GraphProto *make_graph(struct writer *w, const char *location) {
    NEW(w, graph, Thaw__Onnx__GraphProto, THAW__ONNX__GRAPH_PROTO);
    const struct thaw_onnx_description *d = w->description;
    const struct thaw_layout *in = &d->graph->nodes[0].out;
    const struct thaw_layout *out = &d->graph->nodes[d->graph->output].out;
    graph->name = (char *)d->graph->name;
    graph->node = new_list(w, d->model.node_count);
    graph->input = new_list(w, 1);
    graph->output = new_list(w, 1);
    if (!graph->node || !graph->input || !graph->output || !add_tensors(w, location, graph))
        return NULL;
    for (size_t i = 0; i < d->model.node_count; i++)
        if (!(graph->node[graph->n_node++] = make_node(w, &d->model.nodes[i])))
            return NULL;
    graph->input[0] = make_value(w, "input", 4, (const int[]){0, in->c, in->h, in->w});
    graph->output[0] =
        make_value(w, d->output, d->flat ? 2 : 4, (const int[]){0, out->c, out->h, out->w});
    graph->n_input = graph->n_output = 1;
    return graph->input[0] && graph->output[0] ? graph : NULL;
}

static Thaw__Onnx__ModelProto *make_model(struct writer *w, const char *location) {
    NEW(w, model, Thaw__Onnx__ModelProto, THAW__ONNX__MODEL_PROTO);
    NEW(w, opset, Thaw__Onnx__OperatorSetIdProto, THAW__ONNX__OPERATOR_SET_ID_PROTO);
    const struct thaw_onnx_export_options *options = w->options;
    model->has_ir_version = 1;
    model->ir_version = IR_VERSION;
    model->producer_name = (char *)"thaw";
    model->producer_version = (char *)THAW_VERSION;
    opset->domain = (char *)"";
    opset->has_version = 1;
    opset->version = THAW_ONNX_OPSET;
    model->graph = make_graph(w, location);
    model->opset_import = new_list(w, 1);
    model->metadata_props = new_list(w, options->metadata_count);
    if (!model->graph || !model->opset_import || !model->metadata_props)
        return NULL;
    model->opset_import[model->n_opset_import++] = opset;
    for (size_t i = 0; i < options->metadata_count; i++) {
        model->metadata_props[i] =
            make_entry(w, options->metadata[i].key, options->metadata[i].value);
        if (!model->metadata_props[i])
            return NULL;
        model->n_metadata_props++;
    }
    return model;
}

/* ---- files ---------------------------------------------------------------------------------- */

static thaw_status write_external(struct writer *w, const char *path, size_t *ret_size_bytes) {
    static const unsigned char zeros[EXTERNAL_ALIGN];
    const struct thaw_export_model *model = &w->description->model;
    size_t offset = 0;
    THAW_TRY(thaw_atomic_open(path, &w->file));
    for (size_t i = 0; i < model->tensor_count; i++) {
        const struct thaw_export_tensor *tensor = &model->tensors[i];
        size_t size_bytes = tensor_bytes(tensor);
        if (!is_parameter(tensor) || size_bytes < EXTERNAL_MIN_BYTES)
            continue;
        THAW_TRY(read_values(w, tensor));
        THAW_TRY(thaw_atomic_write(&w->file, w->values, size_bytes));
        size_t rest = (EXTERNAL_ALIGN - size_bytes % EXTERNAL_ALIGN) % EXTERNAL_ALIGN;
        THAW_TRY(thaw_atomic_write(&w->file, zeros, rest));
        offset += size_bytes + rest;
    }
    *ret_size_bytes = offset;
    return thaw_atomic_commit(&w->file);
}

static thaw_status write_model(struct writer *w, const Thaw__Onnx__ModelProto *model,
                               const char *path) {
    THAW_TRY(thaw_atomic_open(path, &w->file));
    protobuf_c_message_pack_to_buffer(&model->base, &w->base);
    flush(w);
    THAW_TRY(w->status);
    return thaw_atomic_commit(&w->file);
}

static thaw_status write_files(struct writer *w, const char *path,
                               struct thaw_onnx_export_summary *summary) {
    THAW_TRY(make_room(w));
    Thaw__Onnx__ModelProto *model = make_model(w, NULL);
    size_t size_bytes = model ? protobuf_c_message_get_packed_size(&model->base) : 0;
    if (model && (w->options->external || size_bytes > FILE_MAX_BYTES)) {
        const char *name = strrchr(path, '/');
        char *external = thaw_arena_format(&w->arena, "%s.data", path);
        char *location = thaw_arena_format(&w->arena, "%s.data", name ? name + 1 : path);
        if (!external || !location)
            return THAW_ERROR_MEMORY;
        THAW_TRY(write_external(w, external, &summary->external_size_bytes));
        model = make_model(w, location);
        size_bytes = model ? protobuf_c_message_get_packed_size(&model->base) : 0;
    }
    if (!model)
        return THAW_ERROR_MEMORY;
    summary->size_bytes = size_bytes;
    return write_model(w, model, path);
}

thaw_status thaw_onnx_write(const struct thaw_onnx_description *description,
                            const struct thaw_onnx_export_options *options, const char *path,
                            struct thaw_onnx_export_summary *ret_summary) {
    struct thaw_onnx_export_summary summary = {.node_count = description->model.node_count,
                                               .tensor_count = description->model.tensor_count,
                                               .folded_count = description->folded_count};
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    w->base.append = append;
    w->description = description;
    w->options = options;
    w->file.fd = -1;
    thaw_status status = write_files(w, path, &summary);
    thaw_atomic_abandon(&w->file);
    thaw_arena_finish(&w->arena);
    free(w->values);
    free(w->norm_values);
    free(w);
    if (status == THAW_OK)
        *ret_summary = summary;
    return status;
}
