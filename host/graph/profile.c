#include "graph/profile.h"

#include <stdlib.h>

#include "core/clock.h"

static void set_training(struct thaw_graph *graph, bool training) {
    for (size_t i = 0; i < graph->param_count; i++)
        graph->params[i].trainable =
            training && graph->params[i].spec->kind != THAW_PARAM_STATISTIC;
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].batch_statistics =
            training && graph->nodes[i].op && graph->nodes[i].op->normalises;
}

static thaw_status best_time(thaw_exec *exec, thaw_device *device, int node, bool backward,
                             int repeats, const struct thaw_op_step *step, double *ret_s) {
    double best = 1e30;
    for (int i = 0; i < repeats; i++) {
        double start = thaw_clock_s();
        THAW_TRY(thaw_exec_run_node(exec, node, backward, step));
        THAW_TRY(thaw_device_finish(device));
        double s = thaw_clock_s() - start;
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

/* Adds the time since *start_s to what the step has taken, and keeps the part's best. */
static thaw_status lap(thaw_device *device, double *start_s, double *best_s) {
    THAW_TRY(thaw_device_finish(device));
    double now_s = thaw_clock_s(), part_s = now_s - *start_s;
    *best_s = part_s < *best_s ? part_s : *best_s;
    *start_s = now_s;
    return THAW_OK;
}

/* The parts of a step follow each other as in training. */
static thaw_status run_step(thaw_exec *exec, thaw_device *device,
                            const struct thaw_profile_options *options,
                            const struct thaw_op_step *step, struct thaw_profile *best,
                            double *ret_s) {
    double begin_s = thaw_clock_s(), now_s = begin_s;
    THAW_TRY(thaw_exec_forward(exec, step));
    THAW_TRY(lap(device, &now_s, &best->forward_s));
    if (options->training) {
        THAW_TRY(thaw_exec_backward(exec, step));
        THAW_TRY(lap(device, &now_s, &best->backward_s));
    }
    if (options->training && options->update) {
        THAW_TRY(options->update(options->update_user, exec));
        THAW_TRY(lap(device, &now_s, &best->update_s));
    }
    *ret_s = now_s - begin_s;
    return THAW_OK;
}

static int compare_doubles(const void *a_, const void *b_) {
    double a = *(const double *)a_, b = *(const double *)b_;
    return (a > b) - (a < b);
}

static thaw_status profile_steps(thaw_exec *exec, thaw_device *device,
                                 const struct thaw_profile_options *options,
                                 const struct thaw_op_step *step, struct thaw_arena *arena,
                                 struct thaw_profile *profile) {
    struct thaw_profile warm_up = {0},
                        best = {.forward_s = 1e30, .backward_s = 1e30, .update_s = 1e30};
    size_t repeats = (size_t)options->repeats;
    double *steps_s = thaw_arena_array(arena, repeats, sizeof *steps_s), unused_s;
    if (!steps_s)
        return THAW_ERROR_MEMORY;
    THAW_TRY(run_step(exec, device, options, step, &warm_up, &unused_s));
    for (size_t i = 0; i < repeats; i++)
        THAW_TRY(run_step(exec, device, options, step, &best, &steps_s[i]));
    qsort(steps_s, repeats, sizeof *steps_s, compare_doubles);
    profile->forward_s = best.forward_s;
    profile->backward_s = options->training ? best.backward_s : 0;
    profile->update_s = options->training && options->update ? best.update_s : 0;
    profile->step_s = (steps_s[(repeats - 1) / 2] + steps_s[repeats / 2]) / 2;
    return THAW_OK;
}

static thaw_status profile(struct thaw_graph *graph, thaw_exec *exec,
                           const struct thaw_profile_options *options, struct thaw_arena *arena,
                           struct thaw_profile *ret_profile) {
    struct thaw_op_step step = {.batch = options->batch,
                                .loss_scale = 1.0f / (float)options->batch};
    THAW_TRY(profile_steps(exec, graph->device, options, &step, arena, ret_profile));
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

thaw_status thaw_profile_problems(struct thaw_graph *graph, int batch, bool training,
                                  struct thaw_arena *arena, struct thaw_problems *ret_problems) {
    struct thaw_problems problems = {0};
    for (int pass = 0; pass < 1 + training; pass++) { /* inference, which a run does too */
        struct thaw_exec_options options = {
            .batch = batch, .training = pass == 1, .loss = pass == 1};
        set_training(graph, pass == 1);
        THAW_TRY(thaw_problems_add(&problems, arena, graph, &options));
    }
    thaw_problems_sort(&problems);
    *ret_problems = problems;
    return THAW_OK;
}
