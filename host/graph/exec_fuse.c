/* Which nodes run, and how they combine: activity, gradients, folding and fusing. */
#include <string.h>

#include "graph/exec_internal.h"
#include "ops/batchnorm.h"

static void append_loss(thaw_exec *exec) {
    struct thaw_graph *graph = exec->graph;
    exec->targets = exec->loss = -1;
    if (!exec->options.loss)
        return;
    exec->targets = exec->count++;
    exec->loss = exec->count++;
    exec->extra[0] = (struct thaw_node){.name = "targets", .out = graph->nodes[graph->output].out};
    exec->extra[1] = (struct thaw_node){.name = "loss",
                                        .op = thaw_op_find("softmax_cross_entropy"),
                                        .inputs = {graph->output, exec->targets},
                                        .input_count = 2};
    exec->items[exec->targets].node = &exec->extra[0];
    exec->items[exec->loss].node = &exec->extra[1];
}

static void ask_for(thaw_exec *exec, int i) {
    exec->items[i].active = exec->items[i].asked = exec->items[i].kept = true;
}

/* Marks what the outputs need, from the end to the start. */
static void mark_active(thaw_exec *exec) {
    const struct thaw_exec_options *options = &exec->options;
    for (int i = 0; i < options->keep_count; i++)
        ask_for(exec, options->keep[i]);
    exec->output = options->only_keep ? -1 : exec->graph->output;
    if (exec->output >= 0)
        ask_for(exec, exec->output);
    if (exec->loss >= 0)
        ask_for(exec, exec->loss);
    exec->items[options->start].external = true;
    if (exec->targets >= 0)
        exec->items[exec->targets].external = true;
    for (int i = exec->count - 1; i >= 0; i--) {
        const struct thaw_exec_item *item = &exec->items[i];
        for (int k = 0; item->active && !item->external && k < item->node->input_count; k++)
            exec->items[item->node->inputs[k]].active = true;
    }
}

/* The start must cut the graph: an active node may not reach around it to the image. */
static thaw_status check_start(const thaw_exec *exec) {
    const struct thaw_exec_item *image = &exec->items[0];
    if (exec->options.start != 0 && image->active)
        return thaw_fail(THAW_ERROR_INPUT,
                         "the network can't start at node '%s': later nodes also read earlier ones",
                         exec->graph->nodes[exec->options.start].name);
    return THAW_OK;
}

static void mark_gradients(thaw_exec *exec) {
    for (int i = 0; i < exec->count && exec->options.training; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        if (!item->active || item->external)
            continue;
        for (int p = 0; p < item->node->param_count; p++)
            item->requires_grad |= exec->graph->params[item->node->params[p]].trainable;
        for (int k = 0; k < item->node->input_count; k++)
            item->requires_grad |= exec->items[item->node->inputs[k]].requires_grad;
    }
}

static void count_uses(thaw_exec *exec) {
    for (int i = 0; i < exec->count; i++)
        exec->items[i].uses = 0;
    for (int i = 0; i < exec->count; i++) {
        const struct thaw_exec_item *item = &exec->items[i];
        if (item->active && !item->external && item->stands_for == i)
            for (int k = 0; k < item->node->input_count; k++)
                exec->items[item->inputs[k]].uses++;
    }
}

static int resolve(const thaw_exec *exec, int item) {
    while (exec->items[item].stands_for != item)
        item = exec->items[item].stands_for;
    return item;
}

/* Computed here, read by one node only, not kept itself, and without an activation so far. */
static bool may_change(const struct thaw_exec_item *producer) {
    return producer->node->op && !producer->external && producer->uses == 1 && !producer->kept &&
           producer->call.activation == THAW_ACTIVATION_NONE;
}

/* What computes without gradient. */
static bool may_absorb(const thaw_exec *exec, int producer, int reader) {
    const struct thaw_exec_item *before = &exec->items[producer];
    return may_change(before) && !before->requires_grad && !exec->items[reader].requires_grad;
}

static bool may_activate(const thaw_exec *exec, int producer, int reader) {
    const struct thaw_exec_item *before = &exec->items[producer];
    const struct thaw_node *node = exec->items[reader].node;
    if (node->op->activation == THAW_ACTIVATION_NONE ||
        (node->op->fusable && !node->op->fusable(node->attrs)))
        return false;
    bool residual = before->input_count > before->node->input_count;
    return (before->node->op && before->node->op->fuses_activation &&
            may_absorb(exec, producer, reader)) ||
           (may_change(before) && before->node->op->trains_activation &&
            thaw_activation_is_cheap(node->op->activation) &&
            (!residual || thaw_activation_slope_shows(node->op->activation)));
}

/* Lets the later producer of a sum's two inputs add the other one, which is there by then. Returns
 * the producer, or -1. */
static int host_residual(thaw_exec *exec, int sum) {
    const struct thaw_exec_item *item = &exec->items[sum];
    if (!item->node->op->sums || item->input_count != 2 || item->inputs[0] == item->inputs[1])
        return -1;
    bool second = item->inputs[1] > item->inputs[0];
    int producer = item->inputs[second], residual = item->inputs[!second];
    struct thaw_exec_item *host = &exec->items[producer];
    const struct thaw_layout *a = &host->node->out, *b = &exec->items[residual].node->out;
    if (!may_change(host) || !host->node->op->trains_residual || host->input_count != 1 ||
        a->c != b->c || a->h != b->h || a->w != b->w || a->block != b->block)
        return -1;
    host->inputs[host->input_count++] = residual;
    host->requires_grad |= item->requires_grad;
    return producer;
}

/* Lets items stand for others: aliases (flatten, dropout outside training), batch norms folded into
 * the convolution before them, activations moved into its epilogue or a batch norm's, sums that a
 * batch norm takes along. Items come in topological order, so chains work out by themselves. */
static void combine(thaw_exec *exec) {
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        const struct thaw_op *op = item->node->op;
        for (int k = 0; k < item->node->input_count; k++)
            item->inputs[k] = resolve(exec, item->node->inputs[k]);
        if (!item->active || item->external || !op)
            continue;
        int producer = item->inputs[0];
        struct thaw_exec_item *before = &exec->items[producer];
        if (item->node->spec.alias || (op->stochastic && !exec->options.training)) {
            item->stands_for = producer;
        } else if (op == &thaw_op_batchnorm && before->node->op && before->node->op->folds_norm &&
                   may_absorb(exec, producer, i) && before->fold_norm < 0 &&
                   !(exec->options.training && item->node->batch_statistics)) {
            before->fold_norm = i;
            item->stands_for = producer;
        } else if (may_activate(exec, producer, i)) {
            before->call.activation = op->activation;
            before->call.activation_parameter =
                op->activation_parameter ? op->activation_parameter(item->node->attrs) : 0;
            item->stands_for = producer;
        } else if ((producer = host_residual(exec, i)) >= 0) {
            item->stands_for = producer;
        }
        if (item->stands_for != i) { /* whoever read this item now reads the producer */
            before = &exec->items[item->stands_for];
            before->uses += item->uses - 1;
            before->kept |= item->kept;
        }
    }
}

static thaw_status infer_items(thaw_exec *exec) {
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        if (!item->active || item->stands_for != i)
            continue;
        item->layout = item->node->out;
        if (item->node->op && !item->external) {
            struct thaw_layout in[THAW_OP_INPUTS_MAX];
            for (int k = 0; k < item->input_count; k++)
                in[k] = exec->items[item->inputs[k]].layout;
            THAW_TRY(thaw_context(item->node->op->infer(item->node->attrs, in, item->input_count,
                                                        &exec->graph->caps, &item->spec),
                                  "node '%s' (%s)", item->node->name, item->node->op->type));
            item->layout = thaw_layout_make(item->spec.out, exec->graph->caps.block, 0);
        }
        item->layout.n = exec->options.batch;
        item->time = exec->times++;
    }
    return THAW_OK;
}

thaw_status thaw_exec_select(thaw_exec *exec) {
    for (int i = 0; i < (int)exec->graph->node_count; i++)
        exec->items[i].node = &exec->graph->nodes[i];
    exec->count = (int)exec->graph->node_count;
    append_loss(exec);
    for (int i = 0; i < exec->count; i++) {
        exec->items[i].stands_for = i;
        exec->items[i].fold_norm = -1;
        exec->items[i].input_count = exec->items[i].node->input_count;
        memcpy(exec->items[i].inputs, exec->items[i].node->inputs, sizeof exec->items[i].inputs);
    }
    mark_active(exec);
    THAW_TRY(check_start(exec));
    mark_gradients(exec);
    count_uses(exec);
    combine(exec);
    if (exec->output >= 0)
        exec->output = resolve(exec, exec->output);
    return infer_items(exec);
}
