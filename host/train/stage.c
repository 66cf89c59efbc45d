#include "train/stage.h"

#include <math.h>
#include <string.h>

int thaw_stage_distance(const struct thaw_graph *graph, int node) {
    int count = (int)graph->stage_count;
    for (int n = node; n <= graph->features; n++) {
        int stage = thaw_graph_stage_of(graph, n);
        if (stage >= 0 && stage < count)
            return count - stage;
    }
    return node <= graph->features && count ? 1 : 0;
}

static thaw_status mark_trainable(const struct thaw_stage *stage, struct thaw_graph *graph,
                                  bool *marks) {
    for (size_t i = 0; i < stage->patterns->count; i++) {
        const char *pattern;
        THAW_TRY(thaw_yaml_string(stage->patterns->items[i], &pattern));
        if (stage->automatic && !strcmp(pattern, "auto"))
            pattern = stage->automatic_pattern;
        if (!pattern)
            continue;
        THAW_TRY(thaw_graph_match(graph, stage->patterns->items[i], pattern, marks));
    }
    for (size_t i = 0; i < graph->param_count; i++) {
        struct thaw_param *param = &graph->params[i];
        if (stage->phase && thaw_stage_distance(graph, param->node) > stage->open)
            marks[i] = false;
        bool frozen_norm =
            stage->norm == THAW_NORM_FROZEN && graph->nodes[param->node].op->normalises;
        param->trainable = marks[i] && param->spec->kind != THAW_PARAM_STATISTIC && !frozen_norm &&
                           stage->norm != THAW_NORM_REFRESH;
    }
    return THAW_OK;
}

bool thaw_stage_changes(const struct thaw_graph *graph, const struct thaw_param *param) {
    return param->spec->kind == THAW_PARAM_STATISTIC ? graph->nodes[param->node].batch_statistics
                                                     : param->trainable;
}

static thaw_status check_rule(const struct thaw_lr_rule *rule, const struct thaw_graph *graph,
                              double reference_lr) {
    if (rule->lr.relative && !(reference_lr > 0))
        return thaw_hint(
            thaw_yaml_fail(rule->lr.place,
                           "a relative lr needs the lr that the weights were trained with"),
            "add model.reference: {lr: ..., batch: ...} to the experiment");
    if (rule->decay > 0 && !graph->stage_count)
        return thaw_yaml_fail(rule->lr.place,
                              "`decay` counts the model's stages, but %s lists no `stages`",
                              graph->name);
    return THAW_OK;
}

/* The first rule that matches a tensor sets its rate. */
static thaw_status set_rates(const struct thaw_config *config, const struct thaw_stage *stage,
                             struct thaw_graph *graph, bool *marks, struct thaw_stage_rate *rates) {
    double reference_lr = config->reference_lr > 0 ? config->reference_lr : graph->reference_lr;
    int reference_batch =
        config->reference_batch ? config->reference_batch : graph->reference_batch;
    memset(rates, 0, graph->param_count * sizeof *rates);
    for (size_t r = 0; r < stage->lr_rule_count; r++) {
        const struct thaw_lr_rule *rule = &stage->lr_rules[r];
        THAW_TRY(check_rule(rule, graph, reference_lr));
        memset(marks, !rule->pattern, graph->param_count * sizeof *marks);
        if (rule->pattern)
            THAW_TRY(thaw_graph_match(graph, rule->lr.place, rule->pattern, marks));
        double value = thaw_lr_resolve(&rule->lr, reference_lr, reference_batch, stage->batch);
        for (size_t i = 0; i < graph->param_count; i++) {
            int distance = thaw_stage_distance(graph, graph->params[i].node);
            if (marks[i] && !rates[i].rule)
                rates[i] = (struct thaw_stage_rate){
                    rule->decay > 0 ? value * pow(rule->decay, distance) : value, rule};
        }
    }
    return THAW_OK;
}

static bool has_trainable(const struct thaw_graph *graph, const struct thaw_node *node) {
    for (int p = 0; p < node->param_count; p++)
        if (graph->params[node->params[p]].trainable)
            return true;
    return false;
}

/* norm: refresh. The statistics of the matched layers move, nothing else. */
static thaw_status apply_refresh(const struct thaw_stage *stage, struct thaw_graph *graph,
                                 const bool *marks) {
    int layers = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        struct thaw_node *node = &graph->nodes[n];
        node->batch_statistics = false;
        for (int p = 0; node->op && node->op->normalises && p < node->param_count; p++)
            node->batch_statistics |= marks[node->params[p]];
        layers += node->batch_statistics;
    }
    if (!layers)
        return thaw_yaml_fail(stage->patterns,
                              "stage '%s' has no norm layer whose statistics it could refresh",
                              stage->name);
    return THAW_OK;
}

thaw_status thaw_stage_apply(const struct thaw_config *config, const struct thaw_stage *stage,
                             struct thaw_graph *graph, struct thaw_stage_rate *ret_rates) {
    bool *marks = thaw_arena_array(&graph->arena, graph->param_count + 1, sizeof *marks);
    if (!marks)
        return THAW_ERROR_MEMORY;
    THAW_TRY(mark_trainable(stage, graph, marks));
    if (stage->norm == THAW_NORM_REFRESH) {
        memset(ret_rates, 0, graph->param_count * sizeof *ret_rates);
        return apply_refresh(stage, graph, marks);
    }
    THAW_TRY(set_rates(config, stage, graph, marks, ret_rates));
    size_t trained = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        struct thaw_param *param = &graph->params[i];
        if (param->trainable && !ret_rates[i].rule)
            return thaw_yaml_fail(stage->place,
                                  "stage '%s' trains %s but no entry of `lr` matches it",
                                  stage->name, param->name);
        param->trainable = param->trainable && ret_rates[i].lr > 0;
        if (!param->trainable)
            ret_rates[i] = (struct thaw_stage_rate){0};
        trained += param->trainable;
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        struct thaw_node *node = &graph->nodes[n];
        node->batch_statistics = stage->norm == THAW_NORM_TRAIN && node->op &&
                                 node->op->normalises && has_trainable(graph, node);
    }
    if (!trained && stage->epochs > 0)
        return thaw_yaml_fail(stage->place,
                              "stage '%s' trains nothing: every tensor has lr 0 or is frozen",
                              stage->name);
    return THAW_OK;
}

static bool has_loaded(const struct thaw_graph *graph) {
    for (size_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].origin == THAW_ORIGIN_LOADED)
            return true;
    return false;
}

thaw_status thaw_stage_check_random(const struct thaw_stage *stage,
                                    const struct thaw_graph *graph) {
    bool *allowed = thaw_arena_array((struct thaw_arena *)&graph->arena, graph->param_count + 1,
                                     sizeof *allowed);
    if (!allowed)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; stage->allow_random && i < stage->allow_random->count; i++) {
        const char *pattern;
        THAW_TRY(thaw_yaml_string(stage->allow_random->items[i], &pattern));
        THAW_TRY(thaw_graph_match(graph, stage->allow_random->items[i], pattern, allowed));
    }
    if (!has_loaded(graph))
        return THAW_OK;
    /* The lowest tensor that is fine-tuned. Not of the head: warming that up as a whole is the
     * remedy, also where (VGG) only its last layer is new. */
    const struct thaw_param *tuned = NULL;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        if (!tuned && param->trainable && param->node <= graph->features &&
            param->origin != THAW_ORIGIN_INITIALISED)
            tuned = param;
        bool random = param->origin == THAW_ORIGIN_INITIALISED && !allowed[i] &&
                      param->spec->kind != THAW_PARAM_STATISTIC;
        if (tuned && random && param->node > tuned->node) {
            thaw_yaml_fail(stage->place,
                           "stage '%s' would fine-tune %s below %s, which was never trained",
                           stage->name, tuned->name, param->name);
            return thaw_hint(
                THAW_ERROR_INPUT,
                "put a stage before it that trains the head alone, such as {stage: warmup, "
                "train: [head], lr: 1x, epochs: 20, cache: true}, or name the tensor in "
                "`allow_random`");
        }
    }
    return THAW_OK;
}

void thaw_stage_mark_trained(struct thaw_graph *graph) {
    for (size_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].trainable)
            graph->params[i].origin = THAW_ORIGIN_TRAINED;
}
