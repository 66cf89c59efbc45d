#include "ops/export.h"

#include <string.h>

static struct thaw_export_node *last_node(struct thaw_export_model *model) {
    return model->failed ? NULL : &model->nodes[model->node_count - 1];
}

static void *copy(struct thaw_export_model *model, const void *bytes, size_t size_bytes) {
    void *copied = thaw_arena_copy_bytes(&model->arena, bytes, size_bytes);
    model->failed |= !copied;
    return copied;
}

/* "layer1.0.conv1/2" */
static const char *inner_name(struct thaw_export_call *call) {
    char *name = thaw_arena_format(&call->model->arena, "%s/%d", call->name, ++call->added);
    call->model->failed |= !name;
    return name;
}

const char *thaw_export_node(struct thaw_export_call *call, const char *type,
                             const char *const *inputs, size_t count) {
    struct thaw_export_model *model = call->model;
    while (count > 0 && !inputs[count - 1])
        count--;
    struct thaw_export_node *nodes = thaw_arena_grow(&model->arena, model->nodes, model->node_count,
                                                     &model->node_capacity, sizeof *nodes);
    const char **names = thaw_arena_array(&model->arena, count + 1, sizeof *names);
    const char *output = inner_name(call);
    if (!nodes || !names || !output) {
        model->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        names[i] = inputs[i] ? inputs[i] : "";
    model->nodes = nodes;
    nodes[model->node_count++] = (struct thaw_export_node){
        .type = type, .name = output, .inputs = names, .input_count = count, .output = output};
    call->output = output;
    return output;
}

/* ---- attributes ----------------------------------------------------------------------------- */

static void attach(struct thaw_export_call *call, struct thaw_export_attribute attribute) {
    struct thaw_export_node *node = last_node(call->model);
    struct thaw_export_attribute *added = thaw_arena_alloc(&call->model->arena, sizeof *added);
    call->model->failed |= !added;
    if (!node || !added)
        return;
    *added = attribute;
    struct thaw_export_attribute **end = &node->attributes;
    while (*end)
        end = &(*end)->next;
    *end = added;
    node->attribute_count++;
}

void thaw_export_ints(struct thaw_export_call *call, const char *name, const int64_t *values,
                      size_t count) {
    attach(call,
           (struct thaw_export_attribute){.name = name,
                                          .kind = THAW_EXPORT_INTS,
                                          .ints = copy(call->model, values, count * sizeof *values),
                                          .int_count = count});
}

void thaw_export_int(struct thaw_export_call *call, const char *name, int64_t value) {
    attach(call, (struct thaw_export_attribute){.name = name,
                                                .kind = THAW_EXPORT_INT,
                                                .ints = copy(call->model, &value, sizeof value),
                                                .int_count = 1});
}

void thaw_export_float(struct thaw_export_call *call, const char *name, float value) {
    attach(call, (struct thaw_export_attribute){
                     .name = name, .kind = THAW_EXPORT_FLOAT, .number = value});
}

void thaw_export_text(struct thaw_export_call *call, const char *name, const char *text) {
    attach(call,
           (struct thaw_export_attribute){.name = name, .kind = THAW_EXPORT_TEXT, .text = text});
}

/* ---- constants ------------------------------------------------------------------------------ */

static const char *add_tensor(struct thaw_export_model *model, struct thaw_export_tensor tensor) {
    struct thaw_export_tensor *tensors =
        thaw_arena_grow(&model->arena, model->tensors, model->tensor_count, &model->tensor_capacity,
                        sizeof *tensors);
    model->failed |= !tensors;
    if (model->failed)
        return NULL;
    model->tensors = tensors;
    tensors[model->tensor_count++] = tensor;
    return tensor.name;
}

const char *thaw_export_constant_ints(struct thaw_export_call *call, const int64_t *values,
                                      size_t count) {
    struct thaw_export_tensor tensor = {
        .rank = 1, .dims = {(int64_t)count}, .param = -1, .norm = -1};
    tensor.ints = copy(call->model, values, count * sizeof *values);
    tensor.name = inner_name(call);
    return add_tensor(call->model, tensor);
}

const char *thaw_export_constant(struct thaw_export_call *call, int rank, const int64_t *dims,
                                 const float *values) {
    struct thaw_export_tensor tensor = {.rank = rank, .param = -1, .norm = -1};
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t)(tensor.dims[i] = dims[i]);
    tensor.floats = copy(call->model, values, count * sizeof *values);
    tensor.name = inner_name(call);
    return add_tensor(call->model, tensor);
}

const char *thaw_export_constant_float(struct thaw_export_call *call, float value) {
    return thaw_export_constant(call, 0, NULL, &value);
}

const char *thaw_export_param(struct thaw_export_call *call, int slot) {
    return add_tensor(call->model, call->params[slot]);
}

const char *thaw_export_param_as(struct thaw_export_call *call, int slot, int rank,
                                 const int64_t *dims) {
    struct thaw_export_tensor tensor = call->params[slot];
    tensor.rank = rank;
    memcpy(tensor.dims, dims, (size_t)rank * sizeof *dims);
    return add_tensor(call->model, tensor);
}

/* ---- inputs --------------------------------------------------------------------------------- */

const char *thaw_export_maps(struct thaw_export_call *call, int i) {
    if (!call->flat_inputs[i])
        return call->inputs[i];
    return THAW_EXPORT_NODE(call, "Unsqueeze", call->inputs[i],
                            THAW_EXPORT_CONSTANT_INTS(call, 2, 3));
}

const char *thaw_export_flat(struct thaw_export_call *call, int i) {
    if (call->flat_inputs[i])
        return call->inputs[i];
    const char *output = THAW_EXPORT_NODE(call, "Flatten", call->inputs[i]);
    thaw_export_int(call, "axis", 1);
    return output;
}

void thaw_export_alike(struct thaw_export_call *call, const char **ret_names) {
    call->flat = true;
    for (int i = 0; i < call->input_count; i++)
        call->flat &= call->flat_inputs[i];
    for (int i = 0; i < call->input_count; i++)
        ret_names[i] = call->flat ? call->inputs[i] : thaw_export_maps(call, i);
}

const char *thaw_export_unary(struct thaw_export_call *call, const char *type) {
    call->flat = call->flat_inputs[0];
    return THAW_EXPORT_NODE(call, type, call->inputs[0]);
}

const char *thaw_export_combine(struct thaw_export_call *call, const char *type) {
    const char *names[THAW_OP_INPUTS_MAX] = {NULL};
    thaw_export_alike(call, names);
    const char *result = names[0];
    for (int i = 1; i < call->input_count; i++)
        result = THAW_EXPORT_NODE(call, type, result, names[i]);
    return result;
}
