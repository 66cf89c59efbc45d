#include "graph/exec.h"

#include <stdlib.h>

#include "graph/exec_internal.h"
#include "ops/batchnorm.h"

#define FLOATS_PER_ITEM 8192 /* of gradients that are added, on a CPU */

/* ---- creation ------------------------------------------------------------------------------- */

static thaw_status prepare_items(thaw_exec *exec) {
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        if (!item->active || item->external || item->stands_for != i)
            continue;
        THAW_TRY(thaw_context(item->node->op->prepare(&item->call), "node '%s' (%s)",
                              item->node->name, item->node->op->type));
        exec->memory.table_bytes += item->call.table_bytes;
    }
    return THAW_OK;
}

static thaw_status create_folded(thaw_exec *exec) {
    thaw_device *device = exec->graph->device;
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        if (item->fold_norm < 0)
            continue;
        const struct thaw_filter *filter = &item->call.params[0].filter;
        size_t weight_bytes = thaw_filter_size(filter) * sizeof(float);
        size_t bias_bytes = thaw_filter_size(&item->call.params[1].filter) * sizeof(float);
        exec->memory.folded_bytes += weight_bytes + bias_bytes;
        if (exec->options.plan_only)
            continue;
        THAW_TRY(thaw_buffer_create(device, weight_bytes, &item->fold_weight));
        THAW_TRY(thaw_buffer_create(device, bias_bytes, &item->fold_bias));
    }
    return THAW_OK;
}

static thaw_status create(thaw_exec *exec) {
    THAW_TRY(thaw_exec_select(exec));
    thaw_exec_layouts(exec);
    thaw_device_set_planning(exec->graph->device, exec->options.plan_only);
    thaw_status status = prepare_items(exec);
    thaw_device_set_planning(exec->graph->device, false);
    THAW_TRY(status);
    THAW_TRY(create_folded(exec));
    THAW_TRY(thaw_exec_allocate(exec));
    if (exec->options.plan_only)
        return THAW_OK;
    THAW_TRY(thaw_kernel_get(exec->graph->device, "halo.cl", "halo_zero", "", &exec->halo_kernel));
    if (exec->options.adds_up)
        THAW_TRY(thaw_kernel_get(exec->graph->device, "gradient.cl", "gradient_add", "",
                                 &exec->add_kernel));
    return thaw_exec_fold(exec);
}

thaw_status thaw_exec_create(struct thaw_graph *graph, const struct thaw_exec_options *options,
                             thaw_exec **ret_exec) {
    thaw_exec *exec = calloc(1, sizeof *exec);
    if (!exec)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    exec->graph = graph;
    exec->options = *options;
    exec->items = thaw_arena_array(&exec->arena, graph->node_count + 2, sizeof *exec->items);
    exec->param_grads = thaw_arena_array(&exec->arena, graph->param_count + 1, sizeof(cl_mem));
    exec->param_sums = thaw_arena_array(&exec->arena, graph->param_count + 1, sizeof(cl_mem));
    thaw_status status =
        exec->items && exec->param_grads && exec->param_sums ? create(exec) : THAW_ERROR_MEMORY;
    if (status != THAW_OK)
        thaw_exec_destroy(&exec);
    else
        *ret_exec = exec;
    return status;
}

void thaw_exec_destroy(thaw_exec **exec_pointer) {
    thaw_exec *exec = exec_pointer ? *exec_pointer : NULL;
    if (!exec)
        return;
    for (int i = 0; exec->items && i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        if (item->node && item->node->op)
            thaw_op_release(item->node->op, &item->call);
        thaw_buffer_destroy(&item->act);
        thaw_buffer_destroy(&item->grad);
        thaw_buffer_destroy(&item->saved);
        thaw_buffer_destroy(&item->fold_weight);
        thaw_buffer_destroy(&item->fold_bias);
    }
    for (size_t p = 0; exec->param_grads && p < exec->graph->param_count; p++)
        thaw_buffer_destroy(&exec->param_grads[p]);
    for (size_t p = 0; exec->param_sums && p < exec->graph->param_count; p++)
        thaw_buffer_destroy(&exec->param_sums[p]);
    thaw_buffer_destroy(&exec->workspace);
    thaw_buffer_destroy(&exec->pool);
    thaw_arena_finish(&exec->arena);
    free(exec);
    *exec_pointer = NULL;
}

thaw_status thaw_exec_fold(thaw_exec *exec) {
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        if (item->fold_norm < 0)
            continue;
        const struct thaw_node *norm = exec->items[item->fold_norm].node, *conv = item->node;
        const struct thaw_param *params = exec->graph->params;
        struct thaw_op_param norm_params[4] = {0};
        for (int p = 0; p < norm->param_count; p++) {
            norm_params[p].value = params[norm->params[p]].value;
            norm_params[p].filter = params[norm->params[p]].spec->filter;
        }
        cl_mem bias = conv->param_count > 1 ? params[conv->params[1]].value : NULL;
        THAW_TRY(thaw_batchnorm_fold(exec->graph->device, norm->attrs, norm_params,
                                     &item->call.params[0].filter, params[conv->params[0]].value,
                                     bias, item->fold_weight, item->fold_bias));
    }
    return THAW_OK;
}

/* ---- access --------------------------------------------------------------------------------- */

static const struct thaw_exec_item *resolved(const thaw_exec *exec, int i) {
    while (exec->items[i].stands_for != i)
        i = exec->items[i].stands_for;
    return &exec->items[i];
}

const struct thaw_tensor *thaw_exec_input(const thaw_exec *exec) {
    return &resolved(exec, exec->options.start)->output;
}

const struct thaw_tensor *thaw_exec_targets(const thaw_exec *exec) {
    return exec->targets < 0 ? NULL : &exec->items[exec->targets].output;
}

const struct thaw_tensor *thaw_exec_losses(const thaw_exec *exec) {
    return exec->loss < 0 ? NULL : &exec->items[exec->loss].output;
}

const struct thaw_tensor *thaw_exec_output(const thaw_exec *exec, int node) {
    if (node < 0 || node >= (int)exec->graph->node_count || !exec->items[node].asked)
        return NULL;
    return &resolved(exec, node)->output;
}

cl_mem thaw_exec_gradient(const thaw_exec *exec, int param) {
    return exec->options.adds_up ? exec->param_sums[param] : exec->param_grads[param];
}

struct thaw_exec_memory thaw_exec_memory(const thaw_exec *exec) {
    return exec->memory;
}

struct thaw_exec_node_info thaw_exec_node(const thaw_exec *exec, int node) {
    const struct thaw_exec_item *item = &exec->items[node];
    bool own = item->stands_for == node;
    return (struct thaw_exec_node_info){
        .runs = item->active && own && !item->external,
        .folded = item->active && !own,
        .backward = item->active && own && item->requires_grad,
        .flops = item->spec.flops,
    };
}

bool thaw_exec_conv_problem(const thaw_exec *exec, int node, enum thaw_conv_direction direction,
                            struct thaw_conv_problem *ret_problem) {
    const struct thaw_exec_item *item = &exec->items[node];
    return thaw_exec_node(exec, node).runs && item->node->op->conv_problem &&
           item->node->op->conv_problem(&item->call, direction, ret_problem);
}

/* ---- running -------------------------------------------------------------------------------- */

static thaw_status clear_halo(const thaw_exec *exec, const struct thaw_layout *layout,
                              cl_mem buffer) {
    thaw_device *device = exec->graph->device;
    int rows = layout->h + 2 * layout->halo;
    int per_item = thaw_device_get_caps(device)->is_cpu ? rows : 1;
    struct thaw_range range = THAW_RANGE2((size_t)(rows / per_item),
                                          (size_t)thaw_layout_blocks(layout) * (size_t)layout->n);
    return thaw_launch(device, exec->halo_kernel, &range, THAW_ARG_BUFFER(buffer),
                       THAW_ARG_INT(rows), THAW_ARG_INT(thaw_layout_row_stride(layout)),
                       THAW_ARG_INT(layout->halo), THAW_ARG_INT(layout->halo * layout->block),
                       THAW_ARG_INT(per_item));
}

static thaw_status forward_item(thaw_exec *exec, int i, const struct thaw_op_step *step) {
    struct thaw_exec_item *item = &exec->items[i];
    if (!item->active || item->stands_for != i)
        return THAW_OK;
    if (item->clear_act_halo)
        THAW_TRY(clear_halo(exec, &item->layout, item->act));
    if (item->external)
        return THAW_OK;
    return thaw_context(item->node->op->forward(&item->call, step), "node '%s' (%s), forward",
                        item->node->name, item->node->op->type);
}

/* The first part of a batch writes the sums, later ones what is added to them. */
static void bind_gradients(thaw_exec *exec, struct thaw_exec_item *item, bool begins) {
    for (int p = 0; p < item->node->param_count; p++) {
        int index = item->node->params[p];
        item->call.params[p].grad = begins ? exec->param_sums[index] : exec->param_grads[index];
    }
}

static thaw_status add_gradients(const thaw_exec *exec, const struct thaw_exec_item *item) {
    thaw_device *device = exec->graph->device;
    for (int p = 0; p < item->node->param_count; p++) {
        int index = item->node->params[p];
        size_t size = thaw_filter_size(&exec->graph->params[index].spec->filter);
        int per_item = thaw_device_get_caps(device)->is_cpu ? FLOATS_PER_ITEM : 1;
        struct thaw_range range = THAW_RANGE1((size + (size_t)per_item - 1) / (size_t)per_item);
        if (exec->param_sums[index])
            THAW_TRY(thaw_launch(device, exec->add_kernel, &range,
                                 THAW_ARG_BUFFER(exec->param_sums[index]),
                                 THAW_ARG_BUFFER(exec->param_grads[index]), THAW_ARG_LONG(size),
                                 THAW_ARG_INT(per_item)));
    }
    return THAW_OK;
}

static thaw_status backward_item(thaw_exec *exec, int i, const struct thaw_op_step *step) {
    struct thaw_exec_item *item = &exec->items[i];
    if (!item->requires_grad || item->stands_for != i)
        return THAW_OK;
    for (int k = 0; k < item->input_count; k++) {
        const struct thaw_exec_item *source = &exec->items[item->inputs[k]];
        if (item->call.want_grad_in[k] && !item->call.accumulate_in[k] && source->clear_grad_halo)
            THAW_TRY(clear_halo(exec, &source->grad_layout, source->grad));
    }
    bool adds = exec->options.adds_up && step->first > 0;
    if (exec->options.adds_up)
        bind_gradients(exec, item, !adds);
    THAW_TRY(thaw_context(item->node->op->backward(&item->call, step), "node '%s' (%s), backward",
                          item->node->name, item->node->op->type));
    return adds ? add_gradients(exec, item) : THAW_OK;
}

thaw_status thaw_exec_forward(thaw_exec *exec, const struct thaw_op_step *step) {
    for (int i = 0; i < exec->count; i++)
        THAW_TRY(forward_item(exec, i, step));
    return THAW_OK;
}

thaw_status thaw_exec_backward(thaw_exec *exec, const struct thaw_op_step *step) {
    for (int i = exec->count - 1; i >= 0; i--)
        THAW_TRY(backward_item(exec, i, step));
    return THAW_OK;
}

thaw_status thaw_exec_run_node(thaw_exec *exec, int node, bool backward,
                               const struct thaw_op_step *step) {
    return backward ? backward_item(exec, node, step) : forward_item(exec, node, step);
}
