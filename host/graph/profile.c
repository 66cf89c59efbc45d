#include "graph/profile.h"

#include <time.h>

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void set_training(struct thaw_graph *graph, bool training) {
    for (size_t i = 0; i < graph->param_count; i++)
        graph->params[i].trainable =
            training && graph->params[i].spec->kind != THAW_PARAM_STATISTIC;
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].batch_statistics =
            training && graph->nodes[i].op && graph->nodes[i].op->normalises;
}

/* node < 0: the whole pass. */
static thaw_status run(thaw_exec *exec, int node, bool backward, const struct thaw_op_step *step) {
    if (node >= 0)
        return thaw_exec_run_node(exec, node, backward, step);
    return backward ? thaw_exec_backward(exec, step) : thaw_exec_forward(exec, step);
}

static thaw_status best_time(thaw_exec *exec, thaw_device *device, int node, bool backward,
                             int repeats, const struct thaw_op_step *step, double *ret_s) {
    double best = 1e30;
    for (int i = 0; i < repeats; i++) {
        double start = now_s();
        THAW_TRY(run(exec, node, backward, step));
        THAW_TRY(thaw_device_finish(device));
        double s = now_s() - start;
        best = s < best ? s : best;
    }
    *ret_s = best;
    return THAW_OK;
}

static thaw_status profile_nodes(struct thaw_graph *graph, thaw_exec *exec,
                                 const struct thaw_profile_options *options,
                                 const struct thaw_op_step *step, struct thaw_arena *arena,
                                 struct thaw_profile *profile) {
    profile->nodes = thaw_arena_array(arena, graph->node_count, sizeof *profile->nodes);
    if (!profile->nodes)
        return THAW_ERROR_MEMORY;
    for (int i = 1; i < (int)graph->node_count; i++) {
        struct thaw_exec_node_info info = thaw_exec_node(exec, i);
        if (!info.runs)
            continue;
        struct thaw_profile_node *node = &profile->nodes[profile->node_count++];
        node->node = i;
        node->flops = info.flops * options->batch;
        THAW_TRY(
            best_time(exec, graph->device, i, false, options->repeats, step, &node->forward_s));
        if (info.backward)
            THAW_TRY(
                best_time(exec, graph->device, i, true, options->repeats, step, &node->backward_s));
    }
    return THAW_OK;
}

static thaw_status profile(struct thaw_graph *graph, thaw_exec *exec,
                           const struct thaw_profile_options *options, struct thaw_arena *arena,
                           struct thaw_profile *ret_profile) {
    struct thaw_op_step step = {.batch = options->batch,
                                .loss_scale = 1.0f / (float)options->batch};
    double unused_s;
    THAW_TRY(best_time(exec, graph->device, -1, false, 1, &step, &unused_s)); /* warm up */
    THAW_TRY(best_time(exec, graph->device, -1, false, options->repeats, &step,
                       &ret_profile->forward_s));
    if (options->training) {
        THAW_TRY(best_time(exec, graph->device, -1, true, 1, &step, &unused_s));
        THAW_TRY(best_time(exec, graph->device, -1, true, options->repeats, &step,
                           &ret_profile->backward_s));
    }
    for (int i = 1; i < (int)graph->node_count; i++)
        ret_profile->flops += thaw_exec_node(exec, i).flops * options->batch;
    ret_profile->memory = thaw_exec_memory(exec);
    return options->layers ? profile_nodes(graph, exec, options, &step, arena, ret_profile)
                           : THAW_OK;
}

thaw_status thaw_profile_graph(struct thaw_graph *graph, const struct thaw_profile_options *options,
                               struct thaw_arena *arena, struct thaw_profile *ret_profile) {
    thaw_exec *exec = NULL;
    struct thaw_exec_options exec_options = {.batch = options->batch,
                                             .training = options->training,
                                             .loss = options->training,
                                             .conv_candidate = options->conv_candidate};
    struct thaw_profile result = {0};
    set_training(graph, options->training);
    THAW_TRY(thaw_exec_create(graph, &exec_options, &exec));
    thaw_status status = profile(graph, exec, options, arena, &result);
    thaw_exec_destroy(&exec);
    if (status == THAW_OK)
        *ret_profile = result;
    return status;
}
