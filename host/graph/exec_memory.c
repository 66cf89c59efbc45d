/* Which buffers share memory, when each is alive, and where it lies in the pool. */
#include <stdlib.h>

#include "graph/exec_internal.h"

/* ---- sharing -------------------------------------------------------------------------------- */

static bool runs(const thaw_exec *exec, int i) {
    const struct thaw_exec_item *item = &exec->items[i];
    return item->active && item->stands_for == i;
}

static bool computes(const thaw_exec *exec, int i) {
    return runs(exec, i) && !exec->items[i].external;
}

static bool same_map(const struct thaw_layout *a, const struct thaw_layout *b) {
    return a->c == b->c && a->h == b->h && a->w == b->w && a->block == b->block;
}

/* Whether item i may write its output over its first input. */
static bool forward_in_place(const thaw_exec *exec, int i) {
    const struct thaw_exec_item *item = &exec->items[i], *source = &exec->items[item->inputs[0]];
    return item->spec.in_place && !source->external && !source->kept && source->uses == 1 &&
           same_map(&item->layout, &source->layout) &&
           !(item->requires_grad && item->spec.backward_needs_input[0]) &&
           !(source->requires_grad && source->spec.backward_needs_output);
}

/* Whether item i is a residual's first reader in backward. */
static bool takes_residual(const thaw_exec *exec, int i) {
    const struct thaw_exec_item *item = &exec->items[i];
    if (item->input_count == item->node->input_count || !exec->items[item->inputs[1]].requires_grad)
        return false;
    for (int j = i + 1; j < exec->count; j++)
        for (int k = 0; computes(exec, j) && k < exec->items[j].input_count; k++)
            if (exec->items[j].inputs[k] == item->inputs[1] && exec->items[j].requires_grad)
                return false;
    return true;
}

/* The input whose gradient item i's backward may write over that of its output, or -1. A residual
 * comes first: its gradient is the output's, but for the activation. */
static int backward_in_place(const thaw_exec *exec, int i) {
    const struct thaw_exec_item *item = &exec->items[i], *source = &exec->items[item->inputs[0]];
    if (takes_residual(exec, i))
        return 1;
    return item->spec.in_place && source->requires_grad && source->uses == 1 && i != exec->loss &&
                   same_map(&item->layout, &source->layout)
               ? 0
               : -1;
}

static void max_into(int *value, int other) {
    if (other > *value)
        *value = other;
}

/* Groups get the largest halo that any member's readers ask for. Roots are the earliest members, so
 * one pass finds a group's root at once. */
static void activation_groups(thaw_exec *exec) {
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        item->act_root = i;
        if (computes(exec, i) && forward_in_place(exec, i))
            item->act_root = exec->items[item->inputs[0]].act_root;
    }
    for (int i = 0; i < exec->count; i++)
        for (int k = 0; computes(exec, i) && k < exec->items[i].input_count; k++) {
            struct thaw_exec_item *source = &exec->items[exec->items[i].inputs[k]];
            max_into(&exec->items[source->act_root].layout.halo, exec->items[i].spec.input_halo[k]);
        }
    for (int i = 0; i < exec->count; i++)
        exec->items[i].layout.halo = exec->items[exec->items[i].act_root].layout.halo;
}

static void gradient_groups(thaw_exec *exec) {
    for (int i = exec->count - 1; i >= 0; i--)
        exec->items[i].grad_root = i;
    for (int i = exec->count - 1; i >= 0; i--) { /* the latest member is the root */
        const struct thaw_exec_item *item = &exec->items[i];
        int input = computes(exec, i) && item->requires_grad ? backward_in_place(exec, i) : -1;
        if (input >= 0)
            exec->items[item->inputs[input]].grad_root = item->grad_root;
    }
    for (int i = 0; i < exec->count; i++)
        if (computes(exec, i) && exec->items[i].requires_grad)
            max_into(&exec->items[exec->items[i].grad_root].grad_layout.halo,
                     exec->items[i].spec.output_grad_halo);
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        int halo = exec->items[item->grad_root].grad_layout.halo;
        item->grad_layout = item->layout;
        item->grad_layout.halo = halo;
    }
}

/* The gradient of an item with several readers: the last reader writes it, earlier ones add. */
static void set_wanted_gradients(thaw_exec *exec) {
    bool *written = thaw_arena_array(&exec->arena, (size_t)exec->count, sizeof *written);
    for (int i = exec->count - 1; i >= 0 && written; i--) {
        struct thaw_exec_item *item = &exec->items[i];
        if (!computes(exec, i) || !item->requires_grad)
            continue;
        for (int k = 0; k < item->input_count; k++) {
            int source = item->inputs[k];
            item->call.want_grad_in[k] = exec->items[source].requires_grad;
            item->call.accumulate_in[k] = written[source];
            written[source] |= item->call.want_grad_in[k];
        }
    }
}

static void fill_calls(thaw_exec *exec) {
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        struct thaw_op_call *call = &item->call;
        if (!computes(exec, i))
            continue;
        call->device = exec->graph->device;
        call->attrs = item->node->attrs;
        call->conv_candidate = exec->options.conv_candidate;
        call->node_id = (uint32_t)i;
        call->training = exec->options.training;
        call->batch_statistics = exec->options.training && item->node->batch_statistics;
        call->needs_backward = item->requires_grad;
        call->input_count = item->input_count;
        call->out.layout = item->layout;
        call->grad_out.layout = item->grad_layout;
        for (int k = 0; k < call->input_count; k++) {
            call->in[k].layout = exec->items[item->inputs[k]].layout;
            call->grad_in[k].layout = exec->items[item->inputs[k]].grad_layout;
        }
        call->param_count = item->spec.param_count;
        for (int p = 0; p < item->node->param_count; p++) {
            const struct thaw_param *param = &exec->graph->params[item->node->params[p]];
            call->params[p].filter = item->spec.params[p].filter;
            call->params[p].present = true;
            call->params[p].want_grad = item->requires_grad && param->trainable;
            call->params[p].value = param->value;
        }
        if (item->fold_norm >= 0) { /* the shift comes as a bias */
            call->params[1].present = true;
            call->params[1].filter =
                (struct thaw_filter){item->layout.c, 1, 1, 1, call->params[0].filter.block_o, 1};
            call->param_count = 2;
        }
    }
}

void thaw_exec_layouts(thaw_exec *exec) {
    activation_groups(exec);
    gradient_groups(exec);
    set_wanted_gradients(exec);
    fill_calls(exec);
}

/* ---- lifetimes ------------------------------------------------------------------------------ */

static void extend(struct thaw_plan_buffer *buffer, int from, int to) {
    if (buffer->first > from)
        buffer->first = from;
    if (buffer->last < to)
        buffer->last = to;
}

/* Buffers of the plan: an activation, a gradient and a saved area per item, a gradient and a sum of
 * gradients per parameter, and one workspace. */
struct buffers {
    struct thaw_plan_buffer *act, *grad, *saved, *param, *sum, *workspace;
    size_t count;
};

static void plan_activations(thaw_exec *exec, struct buffers *b) {
    int end = 2 * exec->times;
    for (int i = 0; i < exec->count; i++) {
        const struct thaw_exec_item *item = &exec->items[i];
        if (!runs(exec, i))
            continue;
        struct thaw_plan_buffer *buffer = &b->act[item->act_root];
        buffer->size_bytes = thaw_layout_bytes(&item->layout);
        extend(buffer, item->external ? 0 : item->time, item->kept ? end : item->time);
        if (item->requires_grad && item->spec.backward_needs_output)
            extend(buffer, item->time, thaw_exec_backward_time(exec, item));
        for (int k = 0; !item->external && k < item->input_count; k++) {
            struct thaw_plan_buffer *in = &b->act[exec->items[item->inputs[k]].act_root];
            extend(in, item->time, item->time);
            if (item->requires_grad && item->spec.backward_needs_input[k])
                extend(in, item->time, thaw_exec_backward_time(exec, item));
        }
        if (item->external || !item->spec.saved_bytes)
            continue;
        b->saved[i].size_bytes = item->spec.saved_bytes;
        extend(&b->saved[i], item->time,
               item->requires_grad ? thaw_exec_backward_time(exec, item) : item->time);
    }
}

static void plan_gradients(thaw_exec *exec, struct buffers *b) {
    for (int i = 0; i < exec->count; i++) {
        const struct thaw_exec_item *item = &exec->items[i];
        if (!computes(exec, i) || !item->requires_grad)
            continue;
        int time = thaw_exec_backward_time(exec, item);
        if (i != exec->loss) {
            struct thaw_plan_buffer *buffer = &b->grad[item->grad_root];
            buffer->size_bytes = thaw_layout_bytes(&item->grad_layout);
            extend(buffer, time, time);
        }
        for (int k = 0; k < item->input_count; k++)
            if (item->call.want_grad_in[k])
                extend(&b->grad[exec->items[item->inputs[k]].grad_root], time, time);
        for (int p = 0; p < item->node->param_count; p++) {
            int index = item->node->params[p];
            if (!exec->graph->params[index].trainable)
                continue;
            b->param[index].size_bytes =
                thaw_filter_size(&exec->graph->params[index].spec->filter) * sizeof(float);
            extend(&b->param[index], time, exec->options.adds_up ? time : 2 * exec->times);
            if (!exec->options.adds_up)
                continue;
            b->sum[index].size_bytes = b->param[index].size_bytes;
            extend(&b->sum[index], 0, 2 * exec->times); /* through the next part's forward */
        }
    }
}

/* ---- buffers -------------------------------------------------------------------------------- */

static thaw_status make_sub(thaw_exec *exec, const struct thaw_plan_buffer *buffer, cl_mem *ret) {
    if (!buffer->size_bytes)
        return THAW_OK;
    return thaw_buffer_sub(exec->pool, buffer->offset_bytes, buffer->size_bytes, ret);
}

static thaw_status make_buffers(thaw_exec *exec, const struct buffers *b) {
    THAW_TRY(thaw_buffer_create(exec->graph->device, exec->memory.pool_bytes, &exec->pool));
    THAW_TRY(make_sub(exec, b->workspace, &exec->workspace));
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        THAW_TRY(make_sub(exec, &b->act[i], &item->act));
        THAW_TRY(make_sub(exec, &b->grad[i], &item->grad));
        THAW_TRY(make_sub(exec, &b->saved[i], &item->saved));
        item->clear_act_halo = item->act && item->layout.halo > 0 && b->act[i].shared;
        item->clear_grad_halo = item->grad && item->grad_layout.halo > 0 && b->grad[i].shared;
    }
    for (size_t p = 0; p < exec->graph->param_count; p++) {
        THAW_TRY(make_sub(exec, &b->param[p], &exec->param_grads[p]));
        THAW_TRY(make_sub(exec, &b->sum[p], &exec->param_sums[p]));
    }
    return THAW_OK;
}

static void bind_calls(thaw_exec *exec) {
    for (int i = 0; i < exec->count; i++) {
        struct thaw_exec_item *item = &exec->items[i];
        struct thaw_op_call *call = &item->call;
        item->output = (struct thaw_tensor){item->layout, exec->items[item->act_root].act};
        if (!computes(exec, i))
            continue;
        call->out.buffer = exec->items[item->act_root].act;
        call->grad_out.buffer = exec->items[item->grad_root].grad;
        for (int k = 0; k < call->input_count; k++) {
            const struct thaw_exec_item *source = &exec->items[item->inputs[k]];
            call->in[k].buffer = exec->items[source->act_root].act;
            call->grad_in[k].buffer = exec->items[source->grad_root].grad;
        }
        for (int p = 0; p < item->node->param_count; p++)
            call->params[p].grad = exec->param_grads[item->node->params[p]];
        if (item->fold_norm >= 0) {
            call->params[0].value = item->fold_weight;
            call->params[1].value = item->fold_bias;
        }
        call->saved = item->saved;
        call->workspace = exec->workspace;
    }
}

static size_t sum_bytes(const struct thaw_plan_buffer *buffers, size_t count) {
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += buffers[i].size_bytes;
    return sum;
}

static size_t largest_workspace(const thaw_exec *exec) {
    size_t largest = 0;
    for (int i = 0; i < exec->count; i++)
        if (exec->items[i].call.workspace_bytes > largest)
            largest = exec->items[i].call.workspace_bytes;
    return largest;
}

thaw_status thaw_exec_allocate(thaw_exec *exec) {
    size_t items = (size_t)exec->count, params = exec->graph->param_count;
    struct buffers b = {.count = 3 * items + 2 * params + 1};
    b.act = thaw_arena_array(&exec->arena, b.count, sizeof *b.act);
    if (!b.act)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < b.count; i++)
        b.act[i] = (struct thaw_plan_buffer){.first = 2 * exec->times, .last = -1};
    b.grad = b.act + items;
    b.saved = b.grad + items;
    b.param = b.saved + items;
    b.sum = b.param + params;
    b.workspace = b.sum + params;
    plan_activations(exec, &b);
    plan_gradients(exec, &b);
    struct thaw_exec_memory *memory = &exec->memory;
    memory->workspace_bytes = b.workspace->size_bytes = largest_workspace(exec);
    extend(b.workspace, 0, 2 * exec->times);
    memory->activation_bytes = sum_bytes(b.act, items);
    memory->gradient_bytes = sum_bytes(b.grad, items);
    memory->saved_bytes = sum_bytes(b.saved, items);
    memory->parameter_gradient_bytes = sum_bytes(b.param, 2 * params);
    THAW_TRY(
        thaw_plan_memory(b.act, b.count, exec->graph->caps.base_align_bytes, &memory->pool_bytes));
    if (exec->options.plan_only)
        return THAW_OK;
    THAW_TRY(make_buffers(exec, &b));
    bind_calls(exec);
    return THAW_OK;
}
