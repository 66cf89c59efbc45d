#include "train/plan.h"

#include <string.h>

#include "data/augment.h"
#include "train/feature_cache.h"
#include "train/stage.h"
#include "train/update.h"

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
        if (s->session.average.type && thaw_stage_changes(graph, param)) /* update and swap */
            s->optimizer_bytes += size_bytes + 2 * thaw_update_table_bytes(1);
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
        s->optimizer_bytes += size_bytes * (size_t)slots + thaw_update_table_bytes(1);
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

static thaw_status plan_stage(const struct thaw_experiment *e, const struct thaw_stage *stage,
                              bool measure, struct thaw_plan *plan, struct thaw_plan_stage *s) {
    int train_count = (int)e->dataset->set_counts[THAW_SET_TRAIN];
    s->stage = *stage;
    THAW_TRY(thaw_session_init(e->config, &s->stage, e->graph, train_count, &s->session));
    plan->stage_count++;
    THAW_TRY(plan_tensors(e, plan, s));
    THAW_TRY(plan_images(e, plan, s));
    THAW_TRY(thaw_plan_memory_of_stage(e, plan, s == plan->stages ? NULL : s - 1, s));
    if (s->peak_bytes > plan->peak_bytes)
        plan->peak_bytes = s->peak_bytes;
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
