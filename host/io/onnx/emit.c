/* The Thaw graph in the making: nodes, their names and parameters. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/onnx/convert.h"
#include "io/onnx/text.h"

#define NODES_MAX 8000
#define NUMBERS_MAX 20 /* tried one by one to make a name unique */

/* Shapes do not depend on the block; with 1 no op refuses an input for its block. */
static const struct thaw_device_caps caps = {.block = 1, .max_work_group_size = 1};

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_taken(const struct thaw_onnx_converter *cv, const char *name) {
    static const char *const reserved[] = {"input", "from", "aka", "when", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(name, reserved[i]))
            return true;
    for (size_t i = 0; i < cv->node_count; i++)
        if (!strcmp(cv->nodes[i].name, name))
            return true;
    return false;
}

/* "conv1", else "conv1_relu", else "conv1_relu_2", ... */
static const char *unique_name(struct thaw_onnx_converter *cv, const char *base, const char *suffix,
                               const char *op) {
    const char *name = suffix ? thaw_arena_format(cv->arena, "%s_%s", base, suffix) : base;
    if (name && *name && !is_taken(cv, name))
        return name;
    if (name && !suffix)
        name = *name ? thaw_arena_format(cv->arena, "%s_%s", base, op)
                     : thaw_arena_copy(cv->arena, op);
    const char *stem = name;
    for (size_t n = 2; name && is_taken(cv, name); n = n < NUMBERS_MAX ? n + 1 : n + cv->node_count)
        name = thaw_arena_format(cv->arena, "%s_%zu", stem, n);
    return name;
}

void thaw_onnx_name_after(struct thaw_onnx_call *call, const struct thaw_onnx_value *weight) {
    static const char ending[] = ".weight";
    size_t length = strlen(weight->name), end = sizeof ending - 1;
    if (length <= end || strcmp(weight->name + length - end, ending) != 0)
        return;
    char *name = thaw_onnx_plain_name(call->cv->arena, weight->name);
    if (!name || strlen(name) <= end)
        return;
    name[strlen(name) - end] = '\0';
    call->base = name;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static thaw_status infer(struct thaw_onnx_converter *cv, struct thaw_onnx_node *node) {
    struct thaw_layout in[THAW_OP_INPUTS_MAX];
    struct thaw_op_spec spec = {0};
    thaw_yaml *attrs = NULL;
    void *parsed = thaw_arena_alloc(&cv->scratch, node->op->attrs_size + 1);
    if (!parsed)
        return THAW_ERROR_MEMORY;
    if (*node->attrs) {
        const char *text = thaw_arena_format(&cv->scratch, "{%s}", node->attrs);
        if (!text)
            return THAW_ERROR_MEMORY;
        THAW_TRY(thaw_yaml_parse(&cv->scratch, text, strlen(text), node->op->type, &attrs));
    }
    if (node->op->parse)
        THAW_TRY(node->op->parse(attrs, parsed));
    for (int i = 0; i < node->input_count; i++)
        in[i] = thaw_layout_make(cv->nodes[node->inputs[i]].out, caps.block, 0);
    if (node->input_count < node->op->inputs_min || node->input_count > node->op->inputs_max)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%s takes %d to %d inputs, not %d", node->op->type,
                         node->op->inputs_min, node->op->inputs_max, node->input_count);
    THAW_TRY(node->op->infer(parsed, in, node->input_count, &caps, &spec));
    node->out = spec.out;
    return THAW_OK;
}

static thaw_status append(struct thaw_onnx_call *call, const char *suffix, const char *op,
                          const int *inputs, int input_count, const char *attrs, int *ret_node) {
    struct thaw_onnx_converter *cv = call->cv;
    struct thaw_onnx_node node = {.op = thaw_op_find(op), .attrs = attrs};
    if (!node.op)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "this build of Thaw has no op '%s'", op);
    if (input_count > THAW_OP_INPUTS_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%d inputs, at most %d fit", input_count,
                         THAW_OP_INPUTS_MAX);
    if (cv->node_count == NODES_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "the network has more than %d nodes", NODES_MAX);
    node.input_count = input_count;
    memcpy(node.inputs, inputs, (size_t)input_count * sizeof *inputs);
    node.name = unique_name(cv, call->base, suffix, op);
    if (!node.name)
        return THAW_ERROR_MEMORY;
    thaw_status status = infer(cv, &node);
    if (status != THAW_OK)
        return thaw_context(status, "as Thaw's %s", op);
    struct thaw_onnx_node *nodes =
        thaw_arena_grow(cv->arena, cv->nodes, cv->node_count, &cv->node_capacity, sizeof *nodes);
    if (!nodes)
        return THAW_ERROR_MEMORY;
    cv->nodes = nodes;
    for (int i = 0; i < input_count; i++)
        nodes[inputs[i]].readers++;
    nodes[cv->node_count] = node;
    *ret_node = (int)cv->node_count++;
    return THAW_OK;
}

static const char *format_attrs(struct thaw_onnx_converter *cv, const char *format, va_list list) {
    char text[512];
    int length = vsnprintf(text, sizeof text, format, list);
    if (length < 0 || (size_t)length >= sizeof text)
        return NULL;
    return thaw_arena_copy(cv->arena, text);
}

thaw_status thaw_onnx_emit(struct thaw_onnx_call *call, const char *suffix, const char *op,
                           const int *inputs, int input_count, int *ret_node, const char *attrs,
                           ...) {
    va_list list;
    va_start(list, attrs);
    const char *text = format_attrs(call->cv, attrs, list);
    va_end(list);
    if (!text)
        return THAW_ERROR_MEMORY;
    return append(call, suffix, op, inputs, input_count, text, ret_node);
}

thaw_status thaw_onnx_emit_unary(struct thaw_onnx_call *call, const char *op, const char *attrs,
                                 ...) {
    struct thaw_onnx_value *value;
    va_list list;
    va_start(list, attrs);
    const char *text = format_attrs(call->cv, attrs, list);
    va_end(list);
    if (!text)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_onnx_data(call, 0, &value));
    struct thaw_onnx_view view = value->view;
    THAW_TRY(append(call, NULL, op, &value->view.node, 1, text, &view.node));
    thaw_onnx_return_view(call, 0, &view);
    return THAW_OK;
}

thaw_status thaw_onnx_add_param(struct thaw_onnx_call *call, int node, const char *suffix,
                                const float *data, int rank, const int64_t *dims) {
    struct thaw_onnx_node *owner = &call->cv->nodes[node];
    if (owner->param_count == THAW_ONNX_NODE_PARAMS_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "too many parameters");
    struct thaw_onnx_param *param = &owner->params[owner->param_count++];
    *param = (struct thaw_onnx_param){.suffix = suffix, .data = data, .rank = rank};
    memcpy(param->dims, dims, (size_t)rank * sizeof *dims);
    return THAW_OK;
}

float *thaw_onnx_floats(struct thaw_onnx_call *call, int64_t count) {
    return thaw_arena_array(call->cv->arena, (size_t)count, sizeof(float));
}

thaw_status thaw_onnx_note(struct thaw_onnx_converter *cv, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    struct thaw_onnx_import *result = cv->result;
    const char **notes = thaw_arena_grow(cv->arena, result->notes, result->note_count,
                                         &result->note_capacity, sizeof *notes);
    const char *copy = notes ? thaw_arena_copy(cv->arena, text) : NULL;
    if (!copy)
        return THAW_ERROR_MEMORY;
    result->notes = notes;
    notes[result->note_count++] = copy;
    return THAW_OK;
}

bool thaw_onnx_is_only_use(const struct thaw_onnx_converter *cv,
                           const struct thaw_onnx_value *value) {
    return value->exclusive && value->uses == 1 && cv->nodes[value->view.node].readers == 0;
}

void thaw_onnx_drop(struct thaw_onnx_converter *cv, int node) {
    struct thaw_onnx_node *dropped = &cv->nodes[node];
    for (int i = 0; i < dropped->input_count; i++)
        cv->nodes[dropped->inputs[i]].readers--;
    dropped->dropped = true;
}
