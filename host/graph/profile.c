#include "graph/profile.h"

#include <stdlib.h>
#include <string.h>

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

static void add_conv(struct thaw_profile_conv *convs, size_t *count, int node,
                     const struct thaw_conv_problem *problem) {
    struct thaw_profile_conv conv = {.problem = *problem, .node = node, .uses = 1};
    thaw_conv_problem_key(problem, conv.key);
    for (size_t i = 0; i < *count; i++)
        if (strcmp(convs[i].key, conv.key) == 0) {
            convs[i].uses++;
            return;
        }
    convs[(*count)++] = conv;
}

static double work(const struct thaw_profile_conv *conv) {
    return conv->uses * thaw_conv_flops(&conv->problem.geometry, 1);
}

/* Most work first; else in the network's order. */
static int compare_work(const void *a_, const void *b_) {
    const struct thaw_profile_conv *a = a_, *b = b_;
    double difference = work(b) - work(a);
    if (difference != 0)
        return difference > 0 ? 1 : -1;
    return a->node != b->node ? a->node - b->node
                              : (int)a->problem.direction - (int)b->problem.direction;
}

thaw_status thaw_profile_convs(struct thaw_graph *graph, const struct thaw_profile_options *options,
                               struct thaw_arena *arena, struct thaw_profile_conv **ret_convs,
                               size_t *ret_count) {
    thaw_exec *exec = NULL;
    struct thaw_exec_options exec_options = {.batch = options->batch,
                                             .training = options->training,
                                             .loss = options->training,
                                             .plan_only = true,
                                             .conv_candidate = options->conv_candidate};
    size_t count = 0;
    struct thaw_profile_conv *convs =
        thaw_arena_array(arena, graph->node_count * THAW_CONV_DIRECTION_COUNT, sizeof *convs);
    if (!convs)
        return THAW_ERROR_MEMORY;
    set_training(graph, options->training);
    THAW_TRY(thaw_exec_create(graph, &exec_options, &exec));
    for (int i = 0; i < (int)graph->node_count; i++)
        for (int d = 0; d < THAW_CONV_DIRECTION_COUNT; d++) {
            struct thaw_conv_problem problem;
            if (thaw_exec_conv_problem(exec, i, (enum thaw_conv_direction)d, &problem))
                add_conv(convs, &count, i, &problem);
        }
    thaw_exec_destroy(&exec);
    qsort(convs, count, sizeof *convs, compare_work);
    *ret_convs = convs;
    *ret_count = count;
    return THAW_OK;
}
