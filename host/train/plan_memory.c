/* What a plan says of the device's memory: how much a stage needs at most, and whether it fits. All
 * that a run creates there is in the sum; a test holds it against what runs do. */
#include <math.h>

#include "train/average.h"
#include "train/norm_stats.h"
#include "train/plan.h"
#include "train/probe.h"
#include "train/stage.h"

/* Memory and arithmetic of one executable. Backward costs forward once more for the gradient of the
 * weights and once more for that of the input. */
static thaw_status plan_exec(const struct thaw_experiment *e,
                             const struct thaw_exec_options *options,
                             struct thaw_exec_memory *ret_memory, double *flops) {
    thaw_exec *exec = NULL;
    struct thaw_exec_options plan_only = *options;
    plan_only.plan_only = true;
    plan_only.conv_candidate = e->config->conv_candidate;
    THAW_TRY(thaw_exec_create(e->graph, &plan_only, &exec));
    *ret_memory = thaw_exec_memory(exec);
    for (size_t n = 0; flops && n < e->graph->node_count; n++) {
        struct thaw_exec_node_info info = thaw_exec_node(exec, (int)n);
        *flops += info.runs ? info.flops * options->batch * (info.backward ? 3 : 1) : 0;
    }
    thaw_exec_destroy(&exec);
    return THAW_OK;
}

static thaw_status plan_execs(const struct thaw_experiment *e, struct thaw_plan_stage *s) {
    int batch = s->stage.batch, part = thaw_stage_part(&s->stage), start = s->session.start;
    struct thaw_exec_options options = {
        .batch = part, .start = start, .training = true, .loss = true, .adds_up = part < batch};
    s->step_flops = s->cache_flops = 0;
    THAW_TRY(plan_exec(e, &options, &s->memory, &s->step_flops));
    s->step_flops *= (double)batch / part;
    options.training = options.adds_up = false;
    THAW_TRY(plan_exec(e, &options, &s->evaluation, NULL));
    if (!start)
        return THAW_OK;
    struct thaw_exec_options cache = {
        .batch = part, .keep = &start, .keep_count = 1, .only_keep = true};
    THAW_TRY(plan_exec(e, &cache, &s->caching, &s->cache_flops));
    s->cache_flops *= (double)s->cache_images / part;
    return THAW_OK;
}

/* Norm statistics measured anew, by the stage or for its averaged weights. */
static bool statistics_move(const struct thaw_graph *graph) {
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].batch_statistics)
            return true;
    return false;
}

static thaw_status plan_refresh(const struct thaw_experiment *e, struct thaw_plan_stage *s) {
    const struct thaw_graph *graph = e->graph;
    const struct thaw_stage *stage = s->session.stage;
    bool averages = s->session.average.type && s->session.average.type->measures_statistics;
    bool *nodes = thaw_arena_array(&s->session.arena, graph->node_count + 1, sizeof *nodes);
    if (!nodes)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        nodes[i] = graph->nodes[i].batch_statistics;
    if (!statistics_move(graph) || !(averages || stage->norm == THAW_NORM_REFRESH))
        return THAW_OK;
    struct thaw_norm_refresh refresh = {.graph = e->graph,
                                        .nodes = nodes,
                                        .start = s->session.start,
                                        .batch = stage->batch,
                                        .conv_candidate = e->config->conv_candidate};
    return thaw_norm_refresh_memory(&refresh, &s->refreshing);
}

/* Augmenters at work: that of validation serves caches of plain images, too, and stays. */
static int staging_count(const struct thaw_experiment *e, const struct thaw_plan_stage *before,
                         const struct thaw_plan_stage *s) {
    const struct thaw_stage *stage = s->session.stage;
    bool plain = e->dataset->set_counts[THAW_SET_VAL] || (before && before->staging_bytes) ||
                 (s->session.start && !stage->cache_views);
    bool augmented = !s->session.start || stage->cache_views;
    return plain + augmented;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Training and validation take turns on one device, each with memory of its own. */
static size_t work_bytes(const struct thaw_exec_memory *training,
                         const struct thaw_exec_memory *evaluation) {
    return thaw_exec_memory_bytes(training) + thaw_exec_memory_bytes(evaluation);
}

/* What a pilot gives back afterwards. */
static size_t copies_bytes(const struct thaw_graph *graph) {
    size_t sum = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        if (param->trainable || graph->nodes[param->node].batch_statistics)
            sum += thaw_filter_size(&param->spec->filter) * sizeof(float);
    }
    return sum;
}

static size_t slots_bytes(const struct thaw_graph *graph, int slots) {
    size_t sum = 0;
    for (size_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].trainable)
            sum += thaw_filter_size(&graph->params[i].spec->filter) * sizeof(float);
    return sum * (size_t)slots;
}

/* A pilot's memory besides what is there anyway; the graph has what it trains applied. */
static thaw_status plan_pilot(const struct thaw_experiment *e, const struct thaw_plan_stage *s,
                              int start, size_t *ret_bytes) {
    struct thaw_exec_memory training, evaluation;
    struct thaw_exec_options options = {
        .batch = thaw_stage_part(&s->stage), .start = start, .training = true, .loss = true};
    options.adds_up = options.batch < s->stage.batch;
    THAW_TRY(plan_exec(e, &options, &training, NULL));
    options.training = options.adds_up = false;
    THAW_TRY(plan_exec(e, &options, &evaluation, NULL));
    *ret_bytes = copies_bytes(e->graph) +
                 slots_bytes(e->graph, thaw_optimizer_slots(&s->session.optimizer)) +
                 larger(work_bytes(&training, &evaluation), thaw_exec_memory_bytes(&s->caching));
    return THAW_OK;
}

/* Gradients of everything are measured to tell whether the first stage alone is worth a pilot. */
static thaw_status plan_gradients(const struct thaw_experiment *e, struct thaw_plan_stage *s,
                                  size_t *ret_bytes) {
    struct thaw_stage all = *s->session.stage;
    struct thaw_lr_rule rule = {.lr = {.value = 1, .place = all.place}};
    struct thaw_session session = {0};
    all.automatic_pattern = "all";
    all.lr_rules = &rule;
    all.lr_rule_count = 1;
    all.cache = false;
    all.average = NULL;
    int train_count = (int)e->dataset->set_counts[THAW_SET_TRAIN];
    THAW_TRY(thaw_session_init(e->config, &all, e->graph, train_count, &session));
    thaw_status status = plan_pilot(e, s, 0, ret_bytes);
    thaw_session_finish(&session);
    if (status == THAW_OK)
        status = thaw_stage_apply(e->config, s->session.stage, e->graph, s->session.rates);
    return status;
}

/* Pilots of what the stage leaves to be chosen: the deepest, which may run without a cache in
 * memory. They have two augmenters beside the run's own. */
static thaw_status plan_choosing(const struct thaw_experiment *e,
                                 const struct thaw_plan_stage *before, struct thaw_plan_stage *s,
                                 size_t base_bytes, size_t staging_bytes) {
    const struct thaw_stage *stage = s->session.stage;
    size_t pilot_bytes = 0, gradients_bytes = 0;
    if (!stage->automatic && !thaw_probe_rule(stage))
        return THAW_OK;
    int start = stage->cache && stage->cache_disk ? s->session.start : 0;
    THAW_TRY(plan_pilot(e, s, start, &pilot_bytes));
    if (stage->automatic && stage->automatic->also_first)
        THAW_TRY(plan_gradients(e, s, &gradients_bytes));
    s->choosing_bytes = base_bytes + 3 * staging_bytes + larger(pilot_bytes, gradients_bytes);
    if (before) /* kept, and handed on where the stage continues the one before it */
        s->choosing_bytes += before->kept_bytes + (stage->continues ? before->optimizer_bytes : 0);
    return THAW_OK;
}

/* With `part` images of a batch at once. */
static thaw_status plan_part(const struct thaw_experiment *e, const struct thaw_plan *plan,
                             const struct thaw_plan_stage *before, int part,
                             struct thaw_plan_stage *s) {
    size_t staging_bytes = thaw_augmenter_bytes(&e->input, part);
    s->stage.part = part < s->stage.batch ? part : 0;
    THAW_TRY(plan_execs(e, s));
    THAW_TRY(plan_refresh(e, s));
    s->staging_bytes = (size_t)staging_count(e, before, s) * staging_bytes;
    size_t work = work_bytes(&s->memory, &s->evaluation) + thaw_exec_memory_bytes(&s->refreshing);
    /* the optimizer's state is there before, when it goes on from the stage before */
    s->peak_bytes = plan->parameter_bytes + s->kept_bytes + s->optimizer_bytes + s->staging_bytes +
                    larger(work, thaw_exec_memory_bytes(&s->caching));
    s->choosing_bytes = 0;
    THAW_TRY(plan_choosing(e, before, s, plan->parameter_bytes, staging_bytes));
    s->peak_bytes = larger(s->peak_bytes, s->choosing_bytes);
    s->largest_bytes = larger(larger(s->memory.pool_bytes, s->evaluation.pool_bytes),
                              larger(s->caching.pool_bytes, s->refreshing.pool_bytes));
    return THAW_OK;
}

static bool fits(const struct thaw_plan_stage *s, const thaw_device *device) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    return s->peak_bytes <= caps->global_memory_bytes &&
           s->largest_bytes <= caps->max_allocation_bytes;
}

thaw_status thaw_plan_memory_of_stage(const struct thaw_experiment *e, const struct thaw_plan *plan,
                                      const struct thaw_plan_stage *before,
                                      struct thaw_plan_stage *s) {
    const thaw_device *device = e->graph->device;
    int batch = s->stage.batch, low = 0, high = batch;
    THAW_TRY(plan_part(e, plan, before, batch, s));
    s->fitting = fits(s, device) ? batch : 0;
    if (!e->config->memory_bytes || s->fitting)
        return THAW_OK;
    while (high - low > 1) { /* low fits, high does not */
        int middle = low + (high - low) / 2;
        THAW_TRY(plan_part(e, plan, before, middle, s));
        *(fits(s, device) ? &low : &high) = middle;
    }
    s->fitting = low;
    if (!low) /* the plan is left as for one image at once: the least there is */
        return THAW_OK;
    int parts = (batch + low - 1) / low;
    bool whole = statistics_move(e->graph);
    return plan_part(e, plan, before, whole ? batch : (batch + parts - 1) / parts, s);
}

/* ---- whether it fits ------------------------------------------------------------------------ */

static double mebibytes(uint64_t size_bytes) {
    return (double)size_bytes / (1 << 20);
}

/* Of device.memory, where parts of a batch are of no help. */
static thaw_status beyond_limit(const struct thaw_plan_stage *s,
                                const struct thaw_device_caps *caps) {
    const struct thaw_stage *stage = s->session.stage;
    double needed = mebibytes(s->peak_bytes), limit = mebibytes(caps->global_memory_bytes);
    if (!s->fitting) {
        thaw_yaml_fail(stage->place,
                       "stage '%s' needs %.1f MiB of device memory with one image at a time, and "
                       "device.memory allows %.1f MiB",
                       stage->name, needed, limit);
        return thaw_hint(THAW_ERROR_INPUT,
                         "--set device.memory=%.0fMiB, less of the network in its `train`, or a "
                         "smaller model.size",
                         ceil(needed));
    }
    thaw_yaml_fail(stage->place,
                   "stage '%s' needs %.1f MiB of device memory for batches of %d, and "
                   "device.memory allows %.1f MiB; its norm layers take their statistics from the "
                   "whole batch, so it can't go through the network in parts",
                   stage->name, needed, stage->batch, limit);
    return thaw_hint(THAW_ERROR_INPUT,
                     "norm: eval, whose batches may go in parts; or a smaller batch: %d fit "
                     "(--set train.%s.batch=%d); or a smaller model.size",
                     s->fitting, stage->written ? stage->written : stage->name, s->fitting);
}

thaw_status thaw_plan_check_stage_memory(const struct thaw_plan_stage *s,
                                         const thaw_device *device) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    const struct thaw_stage *stage = s->session.stage;
    if (fits(s, device))
        return THAW_OK;
    if (caps->memory_is_limited)
        return beyond_limit(s, caps);
    if (s->peak_bytes > caps->global_memory_bytes)
        thaw_yaml_fail(stage->place,
                       "stage '%s' needs %.1f MiB of device memory, and the device has %.1f MiB",
                       stage->name, mebibytes(s->peak_bytes), mebibytes(caps->global_memory_bytes));
    else
        thaw_yaml_fail(stage->place,
                       "stage '%s' needs %.1f MiB of device memory in one piece, and the device "
                       "gives at most %.1f MiB",
                       stage->name, mebibytes(s->largest_bytes),
                       mebibytes(caps->max_allocation_bytes));
    return thaw_hint(THAW_ERROR_INPUT,
                     "a smaller batch (--set train.%s.batch=%d), less of the network in its "
                     "`train`, or a smaller model.size; `thaw plan` shows what needs how much",
                     stage->name, stage->batch > 1 ? stage->batch / 2 : 1);
}

thaw_status thaw_plan_check_memory(const struct thaw_plan *plan, const thaw_device *device) {
    for (size_t i = 0; i < plan->stage_count; i++)
        THAW_TRY(thaw_plan_check_stage_memory(&plan->stages[i], device));
    return THAW_OK;
}
