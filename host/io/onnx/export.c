#include "io/onnx/export.h"

#include <stdlib.h>

#include "ops/batchnorm.h"

/* What became of a node. */
struct item {
    const char *value; /* the name of its output */
    bool flat, needed;
    int readers;
    int norm;       /* the batch norm folded into it; -1: none */
    int stands_for; /* a folded batch norm: the node that computes it; -1: itself */
};

struct exporter {
    const struct thaw_graph *graph;
    struct thaw_onnx_description *description;
    struct item *items;
};

static void mark_needed(struct exporter *e) {
    for (size_t i = 0; i < e->graph->node_count; i++)
        e->items[i].norm = e->items[i].stands_for = -1;
    e->items[e->graph->output].needed = true;
    for (int i = e->graph->output; i >= 0; i--) {
        const struct thaw_node *node = &e->graph->nodes[i];
        for (int k = 0; k < node->input_count && e->items[i].needed; k++) {
            e->items[node->inputs[k]].needed = true;
            e->items[node->inputs[k]].readers++;
        }
    }
}

/* As the executor does: graph/exec_fuse.c. */
static void fold_norms(struct exporter *e) {
    for (int i = 0; i <= e->graph->output; i++) {
        const struct thaw_node *node = &e->graph->nodes[i];
        if (!e->items[i].needed || node->op != &thaw_op_batchnorm)
            continue;
        int producer = node->inputs[0];
        const struct thaw_op *op = e->graph->nodes[producer].op;
        if (op && op->folds_norm && e->items[producer].readers == 1) {
            e->items[producer].norm = i;
            e->items[i].stands_for = producer;
            e->description->folded_count++;
        }
    }
}

static thaw_status make_params(const struct exporter *e, int index, struct thaw_export_call *call) {
    const struct thaw_node *node = &e->graph->nodes[index];
    int norm = e->items[index].norm;
    for (int p = 0; p < node->param_count; p++) {
        struct thaw_export_tensor *tensor = &call->params[p];
        const struct thaw_param *param = &e->graph->params[node->params[p]];
        *tensor = (struct thaw_export_tensor){
            .name = param->name, .param = node->params[p], .norm = norm};
        tensor->rank = thaw_param_dims(param, tensor->dims);
    }
    call->param_count = node->param_count;
    if (norm < 0 || node->param_count > 1)
        return THAW_OK;
    struct thaw_export_tensor *bias = &call->params[call->param_count++];
    *bias =
        (struct thaw_export_tensor){.rank = 1, .dims = {node->out.c}, .param = -1, .norm = norm};
    bias->name = thaw_arena_format(&call->model->arena, "%s.bias", node->name);
    return bias->name ? THAW_OK : THAW_ERROR_MEMORY;
}

static struct thaw_export_node *last_node(const struct thaw_export_model *model) {
    return model->node_count ? &model->nodes[model->node_count - 1] : NULL;
}

/* The node added last gets the name of Thaw's node, and its output that name with ":0": parameters
 * may be called like the node. A hook that adds no node passes a value on. */
static thaw_status name_output(struct thaw_export_call *call, size_t nodes_before,
                               struct item *ret_item) {
    struct thaw_export_model *model = call->model;
    struct thaw_export_node *last = last_node(model);
    if (model->node_count > nodes_before && last->output == call->output) {
        last->name = call->name;
        last->output = call->output = thaw_arena_format(&model->arena, "%s:0", call->name);
        if (!call->output)
            return THAW_ERROR_MEMORY;
    }
    ret_item->value = call->output;
    ret_item->flat = call->flat;
    return THAW_OK;
}

static thaw_status describe_node(struct exporter *e, int index) {
    const struct thaw_node *node = &e->graph->nodes[index];
    struct thaw_export_call call = {.model = &e->description->model,
                                    .name = node->name,
                                    .attrs = node->attrs,
                                    .input_count = node->input_count,
                                    .out = node->out};
    if (!node->op->onnx)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "node '%s': Thaw can't write the op '%s' as ONNX",
                         node->name, node->op->type);
    for (int k = 0; k < node->input_count; k++) {
        const struct item *from = &e->items[node->inputs[k]];
        call.inputs[k] = from->value;
        call.flat_inputs[k] = from->flat;
        call.in[k] = e->graph->nodes[node->inputs[k]].out;
    }
    THAW_TRY(make_params(e, index, &call));
    size_t nodes_before = call.model->node_count;
    thaw_status status = node->op->onnx(&call);
    if (status != THAW_OK)
        return thaw_context(status, "node '%s' (%s)", node->name, node->op->type);
    if (call.model->failed)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    return name_output(&call, nodes_before, &e->items[index]);
}

/* Brings the output to (batch, K) where it has one pixel, adds softmax if asked, and names it. */
static thaw_status describe_end(struct exporter *e, bool softmax) {
    struct thaw_export_model *model = &e->description->model;
    const struct thaw_layout *out = &e->graph->nodes[e->graph->output].out;
    const struct item *item = &e->items[e->graph->output];
    const char *name = softmax ? "probabilities" : "logits";
    struct thaw_export_call call = {.model = model,
                                    .name = name,
                                    .input_count = 1,
                                    .inputs = {item->value},
                                    .flat_inputs = {item->flat},
                                    .in = {*out},
                                    .output = item->value};
    if (!item->flat && out->h == 1 && out->w == 1) {
        call.inputs[0] = thaw_export_flat(&call, 0);
        call.flat_inputs[0] = true;
    }
    if (softmax) {
        thaw_export_unary(&call, "Softmax");
        thaw_export_int(&call, "axis", 1);
    }
    if (model->failed)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_export_node *last = last_node(model);
    if (!last || last->output != call.output) { /* the network ends in a value that is passed on */
        thaw_export_unary(&call, "Identity");
        last = last_node(model);
    }
    if (model->failed || !last)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    last->output = name;
    e->description->output = name;
    e->description->flat = call.flat_inputs[0];
    return THAW_OK;
}

static thaw_status describe(struct exporter *e, const struct thaw_onnx_export_options *options) {
    mark_needed(e);
    if (options->fold)
        fold_norms(e);
    e->items[0].value = "input";
    for (int i = 1; i <= e->graph->output; i++) {
        struct item *item = &e->items[i];
        if (!item->needed)
            continue;
        if (item->stands_for < 0) {
            THAW_TRY(describe_node(e, i));
        } else {
            item->value = e->items[item->stands_for].value;
            item->flat = e->items[item->stands_for].flat;
        }
    }
    return describe_end(e, options->softmax);
}

thaw_status thaw_onnx_describe(const struct thaw_graph *graph,
                               const struct thaw_onnx_export_options *options,
                               struct thaw_onnx_description *description) {
    struct exporter exporter = {.graph = graph, .description = description};
    description->graph = graph;
    exporter.items = calloc(graph->node_count, sizeof *exporter.items);
    if (!exporter.items)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    thaw_status status = describe(&exporter, options);
    free(exporter.items);
    return status;
}

void thaw_onnx_description_finish(struct thaw_onnx_description *description) {
    thaw_arena_finish(&description->model.arena);
    *description = (struct thaw_onnx_description){0};
}

thaw_status thaw_onnx_export(const struct thaw_graph *graph,
                             const struct thaw_onnx_export_options *options, const char *path,
                             struct thaw_onnx_export_summary *ret_summary) {
    struct thaw_onnx_description description = {0};
    thaw_status status = thaw_onnx_describe(graph, options, &description);
    if (status == THAW_OK)
        status = thaw_onnx_write(&description, options, path, ret_summary);
    thaw_onnx_description_finish(&description);
    return status;
}
