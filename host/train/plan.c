#include "train/plan.h"

#include <string.h>

#include "data/augment.h"
#include "train/feature_cache.h"
#include "train/stage.h"

static thaw_status plan_tensors(const struct thaw_experiment *e, struct thaw_plan *plan,
                                struct thaw_plan_stage *s) {
    const struct thaw_graph *graph = e->graph;
    int slots = thaw_optimizer_slots(&s->session.optimizer);
    s->tensors = thaw_arena_array(&plan->arena, graph->param_count + 1, sizeof *s->tensors);
    if (!s->tensors)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        struct thaw_plan_tensor *tensor = &s->tensors[i];
        tensor->moves =
            param->spec->kind == THAW_PARAM_STATISTIC && graph->nodes[param->node].batch_statistics;
        size_t size_bytes = thaw_buffer_group_bytes(
            &graph->caps, thaw_filter_size(&param->spec->filter) * sizeof(float));
        if (s->session.average.type && thaw_stage_changes(graph, param))
            s->optimizer_bytes += size_bytes;
        plan->changed[i] |= param->trainable || tensor->moves;
        s->kept_bytes += plan->changed[i] ? size_bytes : 0;
        if (!param->trainable)
            continue;
        tensor->trained = true;
        tensor->lr = s->session.rates[i].lr;
        tensor->rule = s->session.rates[i].rule;
        tensor->distance = thaw_stage_distance(graph, param->node);
        tensor->weight_decay = (double)thaw_optimizer_weight_decay(&s->session.optimizer);
        s->trained_tensors++;
        s->trained_values += thaw_param_count_values(param);
        s->optimizer_bytes += size_bytes * (size_t)slots;
    }
    return THAW_OK;
}

/* Bytes of the output of a node for one image, in host memory. */
static size_t image_values(const struct thaw_graph *graph, int node) {
    const struct thaw_layout *out = &graph->nodes[node].out;
    return (size_t)out->c * (size_t)out->h * (size_t)out->w;
}

/* Photos as listed: broken ones are found only when they are decoded. */
static thaw_status plan_images(const struct thaw_experiment *e, struct thaw_plan *plan,
                               struct thaw_plan_stage *s) {
    const struct thaw_stage *stage = s->session.stage;
    struct thaw_augment_list augment;
    THAW_TRY(thaw_augment_parse(&plan->arena, stage->augment, &augment));
    s->steps = (int64_t)s->session.steps_per_epoch * stage->epochs;
    if (!s->session.start)
        return THAW_OK;
    size_t views = stage->cache_views ? (size_t)stage->cache_views : 1;
    s->cache_images =
        e->dataset->set_counts[THAW_SET_TRAIN] * views + e->dataset->set_counts[THAW_SET_VAL];
    s->cache_bytes = image_values(e->graph, s->session.start) * s->cache_images *
                     thaw_feature_value_bytes(stage->cache_dtype);
    return THAW_OK;
}

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
    int batch = s->session.stage->batch, start = s->session.start;
    struct thaw_exec_options options = {
        .batch = batch, .start = start, .training = true, .loss = true};
    THAW_TRY(plan_exec(e, &options, &s->memory, &s->step_flops));
    options.training = false;
    THAW_TRY(plan_exec(e, &options, &s->evaluation, NULL));
    if (!start)
        return THAW_OK;
    struct thaw_exec_options cache = {
        .batch = batch, .keep = &start, .keep_count = 1, .only_keep = true};
    THAW_TRY(plan_exec(e, &cache, &s->caching, &s->cache_flops));
    s->cache_flops *= (double)s->cache_images / batch;
    return THAW_OK;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static void plan_memory(struct thaw_plan *plan, struct thaw_plan_stage *s) {
    size_t work_bytes = thaw_plan_exec_bytes(&s->memory) + thaw_plan_exec_bytes(&s->evaluation);
    /* the optimizer's state is there before, when it goes on from the stage before */
    s->peak_bytes = plan->parameter_bytes + s->kept_bytes + s->optimizer_bytes +
                    larger(work_bytes, thaw_plan_exec_bytes(&s->caching));
    s->largest_bytes =
        larger(larger(s->memory.pool_bytes, s->evaluation.pool_bytes), s->caching.pool_bytes);
    plan->peak_bytes = larger(plan->peak_bytes, s->peak_bytes);
}

static thaw_status plan_stage(const struct thaw_experiment *e, const struct thaw_stage *stage,
                              bool measure, struct thaw_plan *plan, struct thaw_plan_stage *s) {
    int train_count = (int)e->dataset->set_counts[THAW_SET_TRAIN];
    THAW_TRY(thaw_session_init(e->config, stage, e->graph, train_count, &s->session));
    plan->stage_count++;
    THAW_TRY(plan_tensors(e, plan, s));
    THAW_TRY(plan_images(e, plan, s));
    THAW_TRY(plan_execs(e, s));
    plan_memory(plan, s);
    if (measure && stage->epochs > 0) {
        THAW_TRY(thaw_plan_check_stage_memory(s, e->graph->device));
        THAW_TRY(thaw_plan_measure(e, s));
    }
    if (stage->epochs > 0)
        thaw_stage_mark_trained(e->graph);
    return THAW_OK;
}

/* The report lists what was loaded in the order of the parameters. */
static thaw_status find_sources(const struct thaw_experiment *e, struct thaw_plan *plan) {
    size_t count = e->graph->param_count, next = 0;
    plan->sources = thaw_arena_array(&plan->arena, count + 1, sizeof *plan->sources);
    plan->changed = thaw_arena_array(&plan->arena, count + 1, sizeof *plan->changed);
    if (!plan->sources || !plan->changed)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count && next < e->report.loaded.count; i++) {
        const struct thaw_load_entry *entry = &e->report.loaded.items[next];
        if (strcmp(entry->wanted->name, e->graph->params[i].name) != 0)
            continue;
        plan->sources[i] = entry->weight->name;
        next++;
    }
    return THAW_OK;
}

static thaw_status make(const struct thaw_experiment *e, bool measure, struct thaw_plan *plan) {
    const struct thaw_config *config = e->config;
    THAW_TRY(find_sources(e, plan));
    for (size_t i = 0; i < e->graph->param_count; i++) {
        const struct thaw_param *param = &e->graph->params[i];
        plan->parameter_bytes += thaw_buffer_group_bytes(
            &e->graph->caps, thaw_filter_size(&param->spec->filter) * sizeof(float));
        if (param->spec->kind != THAW_PARAM_STATISTIC)
            plan->parameter_values += thaw_param_count_values(param);
    }
    plan->stages = thaw_arena_array(&plan->arena, config->stage_count + 1, sizeof *plan->stages);
    if (!plan->stages)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < config->stage_count; i++)
        THAW_TRY(plan_stage(e, &config->stages[i], measure, plan, &plan->stages[i]));
    return THAW_OK;
}

static thaw_status make_plan(const struct thaw_experiment *experiment, bool measure,
                             struct thaw_plan *ret_plan) {
    struct thaw_plan plan = {0};
    thaw_status status = make(experiment, measure, &plan);
    if (status != THAW_OK)
        thaw_plan_finish(&plan);
    else
        *ret_plan = plan;
    return status;
}

thaw_status thaw_plan_make(struct thaw_experiment *experiment, struct thaw_plan *ret_plan) {
    return make_plan(experiment, false, ret_plan);
}

thaw_status thaw_plan_make_measured(struct thaw_experiment *experiment,
                                    struct thaw_plan *ret_plan) {
    return make_plan(experiment, true, ret_plan);
}

void thaw_plan_finish(struct thaw_plan *plan) {
    for (size_t i = 0; i < plan->stage_count; i++)
        thaw_session_finish(&plan->stages[i].session);
    thaw_arena_finish(&plan->arena);
    *plan = (struct thaw_plan){0};
}
