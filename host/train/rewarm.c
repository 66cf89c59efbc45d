#include "train/rewarm.h"

#include <stdio.h>
#include <string.h>

static bool trains_the_head_alone(const struct thaw_stage *stage) {
    return stage->patterns && stage->patterns->count == 1 &&
           stage->patterns->items[0]->kind == THAW_YAML_SCALAR &&
           !strcmp(stage->patterns->items[0]->text, "head") && stage->epochs > 0 &&
           stage->norm != THAW_NORM_REFRESH;
}

static bool is_possible(const struct thaw_pilot_options *o) {
    for (int i = 0; i < o->stage; i++)
        if (!trains_the_head_alone(&o->config->stages[i]))
            return false;
    for (size_t i = 0; i < o->graph->param_count; i++)
        if (o->graph->params[i].node > o->graph->features && !o->graph->params[i].new_head)
            return false;
    return o->stage > 0;
}

static thaw_status save_head(struct thaw_rewarm *r) {
    const struct thaw_graph *graph = r->graph;
    r->values = thaw_arena_array(&r->arena, graph->param_count + 1, sizeof *r->values);
    if (!r->values)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        if (param->node <= graph->features)
            continue;
        float *values =
            thaw_arena_array(&r->arena, thaw_param_count_values(param) + 1, sizeof *values);
        if (!values)
            return THAW_ERROR_MEMORY;
        THAW_TRY(thaw_param_read(graph, param, values));
        r->values[i] = values; /* from here on it is put back */
    }
    return THAW_OK;
}

thaw_status thaw_rewarm_init(const struct thaw_pilot_options *options,
                             struct thaw_rewarm *ret_rewarm) {
    *ret_rewarm = (struct thaw_rewarm){.possible = is_possible(options), .graph = options->graph};
    if (!ret_rewarm->possible)
        return THAW_OK;
    struct thaw_pilot_options o = *options;
    o.stage = options->stage - 1;
    ret_rewarm->stage = &options->config->stages[o.stage];
    o.epochs = ret_rewarm->stage->epochs;
    THAW_TRY(save_head(ret_rewarm));
    THAW_TRY(thaw_pilots_init(&o, ret_rewarm->stage, 1, &ret_rewarm->pilots));
    ret_rewarm->pilots.keep = true;
    return THAW_OK;
}

static thaw_status clear_head(struct thaw_rewarm *r) {
    for (size_t i = 0; i < r->graph->param_count; i++)
        if (r->values[i])
            THAW_TRY(
                thaw_param_initialise(r->graph, &r->graph->params[i], r->pilots.o.config->seed));
    return THAW_OK;
}

thaw_status thaw_rewarm_run(struct thaw_rewarm *r, const uint32_t *rows, size_t count,
                            const char *label) {
    struct thaw_pilot_result result;
    if (!r->possible)
        return THAW_OK;
    THAW_TRY(clear_head(r));
    snprintf(r->pilots.label, sizeof r->pilots.label, "%s", label);
    return thaw_pilot_run(&r->pilots, r->stage, rows, count, rows, count, &result);
}

thaw_status thaw_rewarm_finish(struct thaw_rewarm *r) {
    thaw_status status = THAW_OK;
    for (size_t i = 0; r->values && i < r->graph->param_count; i++)
        if (r->values[i] && status == THAW_OK)
            status = thaw_param_write(r->graph, &r->graph->params[i], r->values[i]);
    thaw_pilots_finish(&r->pilots);
    thaw_arena_finish(&r->arena);
    *r = (struct thaw_rewarm){0};
    return status;
}
