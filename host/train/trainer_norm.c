/* Norm layers in a run: their statistics measured anew, and a stage that would wreck the network,
 * or is doing so, told apart from one that learns. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "train/norm_stats.h"
#include "train/sharpness.h"
#include "train/trainer_internal.h"

#define ITERATIONS 8 /* of the power iteration: steps of training that it costs */
#define STEEP 1.5    /* times the limit: below, training hovers and gets along */

static void tell(const struct thaw_trainer *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(const struct thaw_trainer *t, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (t->events->on_message)
        t->events->on_message(t->events->user, text);
}

/* ---- refresh -------------------------------------------------------------------------------- */

static thaw_status on_refresh(void *user, size_t done, size_t total) {
    const struct thaw_trainer *t = user;
    if (t->events->on_working)
        t->events->on_working(t->events->user, "measuring norm statistics", done, total);
    return thaw_trainer_poll(t);
}

/* thaw_stage_apply() has set the layers' batch_statistics. */
thaw_status thaw_trainer_refresh_norm(struct thaw_trainer *t) {
    struct thaw_graph *graph = t->graph;
    bool *nodes = thaw_arena_array(&t->session.arena, graph->node_count + 1, sizeof *nodes);
    if (!nodes)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        nodes[i] = graph->nodes[i].batch_statistics;
    struct thaw_norm_refresh refresh = {.graph = graph,
                                        .nodes = nodes,
                                        .start = t->session.start,
                                        .members = t->fit.o.train,
                                        .augment = true,
                                        .epoch = thaw_fit_augment_epoch(&t->state),
                                        .batch = t->session.stage->batch,
                                        .conv_candidate = t->config->conv_candidate,
                                        .seed = t->config->seed,
                                        .progress = on_refresh,
                                        .user = t};
    return thaw_norm_refresh(&refresh);
}

/* ---- before the first step ------------------------------------------------------------------ */

/* Whether a norm layer lies above trained weights and is no more than a fixed gain there. */
static bool has_fixed_gains(const struct thaw_graph *graph) {
    bool below = false;
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct thaw_node *node = &graph->nodes[n];
        if (below && node->op && node->op->normalises)
            return true;
        for (int p = 0; p < node->param_count; p++)
            below |= graph->params[node->params[p]].trainable;
    }
    return false;
}

thaw_status thaw_trainer_check_steepness(struct thaw_trainer *t) {
    const struct thaw_stage *stage = t->session.stage;
    double sharpness = 0;
    if (stage->norm == THAW_NORM_TRAIN || strcmp(t->session.optimizer.type->type, "sgd") != 0 ||
        !has_fixed_gains(t->graph))
        return THAW_OK;
    THAW_TRY(thaw_sharpness_measure(&t->fit, ITERATIONS, &sharpness));
    double times = sharpness / THAW_SHARPNESS_LIMIT;
    if (times > STEEP)
        tell(t,
             "warning: the rates of stage '%s' are about %.3g times what the network stands with "
             "norm: %s, where norm layers are fixed gains: write norm: train, or divide the "
             "rates by %.0f",
             stage->name, times, thaw_norm_mode_names[stage->norm], ceil(times));
    return THAW_OK;
}

/* ---- after each step ------------------------------------------------------------------------ */

void thaw_trainer_watch(struct thaw_trainer *t) {
    const struct thaw_stage *stage = t->session.stage;
    if (!thaw_collapse_step(&t->collapse, t->fit.step_loss, (int)t->dataset->class_count))
        return;
    tell(t,
         "warning: stage '%s' is wrecking the network: its loss went from %.3g to %.3g within %d "
         "steps. Stop it and %sdivide its lr by ten",
         stage->name, t->collapse.first, thaw_collapse_recent_loss(&t->collapse), t->collapse.steps,
         stage->norm == THAW_NORM_TRAIN ? "" : "write norm: train, or ");
}
