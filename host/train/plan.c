#include "train/plan.h"

#include <string.h>

#include "data/augment.h"
#include "train/stage.h"

/* Marks for each trained tensor the rule that stage.c has taken its rate from: the first that
 * matches. */
static thaw_status find_rules(const struct thaw_experiment *e, struct thaw_plan *plan,
                              struct thaw_plan_stage *s) {
    const struct thaw_graph *graph = e->graph;
    bool *marks = thaw_arena_array(&plan->arena, graph->param_count + 1, sizeof *marks);
    if (!marks)
        return THAW_ERROR_MEMORY;
    for (size_t r = 0; r < s->stage->lr_rule_count; r++) {
        const struct thaw_lr_rule *rule = &s->stage->lr_rules[r];
        memset(marks, !rule->pattern, graph->param_count * sizeof *marks);
        if (rule->pattern)
            THAW_TRY(thaw_graph_match(graph, rule->lr.place, rule->pattern, marks));
        for (size_t i = 0; i < graph->param_count; i++)
            if (marks[i] && s->tensors[i].trained && !s->tensors[i].rule)
                s->tensors[i].rule = rule;
    }
    return THAW_OK;
}

static thaw_status plan_tensors(const struct thaw_experiment *e, struct thaw_plan *plan,
                                struct thaw_plan_stage *s) {
    struct thaw_graph *graph = e->graph;
    double *lr = thaw_arena_array(&plan->arena, graph->param_count + 1, sizeof *lr);
    s->tensors = thaw_arena_array(&plan->arena, graph->param_count + 1, sizeof *s->tensors);
    if (!lr || !s->tensors)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_stage_apply(e->config, s->stage, graph, lr));
    THAW_TRY(thaw_stage_check_random(s->stage, graph));
    THAW_TRY(thaw_optimizer_parse(&plan->arena, s->stage->optimizer, &s->optimizer));
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        struct thaw_plan_tensor *tensor = &s->tensors[i];
        tensor->moves =
            param->spec->kind == THAW_PARAM_STATISTIC && graph->nodes[param->node].batch_statistics;
        if (!param->trainable)
            continue;
        tensor->trained = true;
        tensor->lr = lr[i];
        tensor->weight_decay = (double)thaw_optimizer_weight_decay(&s->optimizer);
        s->trained_tensors++;
        s->trained_values += thaw_param_count_values(param);
        s->optimizer_bytes += thaw_filter_size(&param->spec->filter) * sizeof(float) *
                              (size_t)thaw_optimizer_slots(&s->optimizer);
    }
    return find_rules(e, plan, s);
}

/* Photos of a set as listed; broken ones are found only when they are decoded. */
static thaw_status plan_steps(const struct thaw_experiment *e, struct thaw_plan *plan,
                              struct thaw_plan_stage *s) {
    const struct thaw_stage *stage = s->stage;
    struct thaw_augment_list augment;
    size_t train = e->dataset->set_counts[THAW_SET_TRAIN];
    s->steps_per_epoch = (int64_t)((train + (size_t)stage->batch - 1) / (size_t)stage->batch);
    s->steps = s->steps_per_epoch * stage->epochs;
    THAW_TRY(thaw_schedule_parse(&plan->arena, stage->schedule, &s->schedule));
    THAW_TRY(thaw_schedule_check(&s->schedule, s->steps, s->steps_per_epoch));
    THAW_TRY(thaw_augment_parse(&plan->arena, stage->augment, &augment));
    s->start = stage->cache ? thaw_graph_cut(e->graph) : 0;
    if (s->start) {
        const struct thaw_layout *out = &e->graph->nodes[s->start].out;
        size_t views = stage->cache_views ? (size_t)stage->cache_views : 1;
        size_t images = train * views + e->dataset->set_counts[THAW_SET_VAL];
        s->cache_bytes = images * (size_t)out->c * (size_t)out->h * (size_t)out->w * sizeof(float);
    }
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
    struct thaw_exec_options options = {
        .batch = s->stage->batch, .start = s->start, .training = true, .loss = true};
    THAW_TRY(plan_exec(e, &options, &s->memory, &s->step_flops));
    options.training = false;
    THAW_TRY(plan_exec(e, &options, &s->evaluation, NULL));
    if (!s->start)
        return THAW_OK;
    struct thaw_exec_memory memory;
    struct thaw_exec_options cache = {
        .batch = s->stage->batch, .keep = &s->start, .keep_count = 1, .only_keep = true};
    THAW_TRY(plan_exec(e, &cache, &memory, &s->cache_flops));
    const struct thaw_layout *out = &e->graph->nodes[s->start].out;
    size_t image_bytes = (size_t)out->c * (size_t)out->h * (size_t)out->w * sizeof(float);
    s->cache_flops *= (double)(s->cache_bytes / image_bytes) / s->stage->batch;
    return THAW_OK;
}

static thaw_status plan_stage(const struct thaw_experiment *e, struct thaw_plan *plan,
                              struct thaw_plan_stage *s) {
    THAW_TRY(plan_tensors(e, plan, s));
    THAW_TRY(plan_steps(e, plan, s));
    THAW_TRY(plan_execs(e, s));
    size_t bytes = plan->parameter_bytes + s->memory.pool_bytes + s->memory.folded_bytes +
                   s->evaluation.pool_bytes + s->evaluation.folded_bytes + s->optimizer_bytes;
    plan->peak_bytes = bytes > plan->peak_bytes ? bytes : plan->peak_bytes;
    if (s->stage->epochs > 0)
        thaw_stage_mark_trained(e->graph);
    return THAW_OK;
}

static thaw_status make(const struct thaw_experiment *e, struct thaw_plan *plan) {
    const struct thaw_config *config = e->config;
    for (size_t i = 0; i < e->graph->param_count; i++) {
        const struct thaw_param *param = &e->graph->params[i];
        plan->parameter_bytes += thaw_filter_size(&param->spec->filter) * sizeof(float);
        if (param->spec->kind != THAW_PARAM_STATISTIC)
            plan->parameter_values += thaw_param_count_values(param);
    }
    plan->stages = thaw_arena_array(&plan->arena, config->stage_count + 1, sizeof *plan->stages);
    if (!plan->stages)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < config->stage_count; i++) {
        plan->stages[i].stage = &config->stages[i];
        THAW_TRY(plan_stage(e, plan, &plan->stages[i]));
        plan->stage_count++;
    }
    return THAW_OK;
}

thaw_status thaw_plan_make(struct thaw_experiment *experiment, struct thaw_plan *ret_plan) {
    struct thaw_plan plan = {0};
    thaw_status status = make(experiment, &plan);
    if (status != THAW_OK)
        thaw_plan_finish(&plan);
    else
        *ret_plan = plan;
    return status;
}

void thaw_plan_finish(struct thaw_plan *plan) {
    thaw_arena_finish(&plan->arena);
    *plan = (struct thaw_plan){0};
}
