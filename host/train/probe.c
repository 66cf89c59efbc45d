#include "train/probe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/text.h"
#include "train/folds.h"

#define FOLDS 3

const struct thaw_lr_rule *thaw_probe_rule(const struct thaw_stage *stage) {
    for (size_t i = 0; i < stage->lr_rule_count; i++)
        if (stage->lr_rules[i].probe)
            return &stage->lr_rules[i];
    return NULL;
}

int thaw_probe_judge(const double *losses, size_t count) {
    int best = -1;
    for (size_t i = 0; i < count; i++)
        if (isfinite(losses[i]) && (best < 0 || losses[i] < losses[best]))
            best = (int)i;
    return best;
}

/* ---- choosing ------------------------------------------------------------------------------- */

/* A copy of the stage with a rate in its probed rule. */
static thaw_status with_rate(struct thaw_arena *arena, const struct thaw_lr *rate,
                             struct thaw_stage *stage) {
    size_t index = (size_t)(thaw_probe_rule(stage) - stage->lr_rules);
    struct thaw_lr_rule *rules = thaw_arena_array(arena, stage->lr_rule_count, sizeof *rules);
    if (!rules)
        return THAW_ERROR_MEMORY;
    memcpy(rules, stage->lr_rules, stage->lr_rule_count * sizeof *rules);
    rules[index].lr = *rate;
    stage->lr_rules = rules;
    return THAW_OK;
}

struct work {
    const struct thaw_pilot_options *o;
    const struct thaw_lr_rule *rule;
    struct thaw_arena arena;
    struct thaw_stage stage; /* with a depth */
    const char *depth;       /* its name, or NULL */
    struct thaw_pilots pilots;
    struct thaw_folds folds;
    struct thaw_pilot_result *results;
};

static thaw_status run_pilots(struct work *w) {
    const struct thaw_lr_probe *probe = w->rule->probe;
    for (size_t i = 0; i < probe->count; i++) {
        struct thaw_stage candidate = w->stage;
        THAW_TRY(with_rate(&w->arena, &probe->rates[i], &candidate));
        snprintf(w->pilots.label, sizeof w->pilots.label, "%s: pilot %zu of %zu: lr %s",
                 w->stage.name, i + 1, probe->count, probe->rates[i].place->text);
        THAW_TRY(thaw_pilot_run(&w->pilots, &candidate, w->folds.train[0], w->folds.train_count[0],
                                w->folds.val[0], w->folds.val_count[0], &w->results[i]));
    }
    return THAW_OK;
}

static json_t *rates_json(const struct work *w) {
    json_t *list = json_array();
    for (size_t i = 0; i < w->rule->probe->count; i++) {
        const struct thaw_pilot_result *r = &w->results[i];
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:b, s:i, s:f, s:f}", "lr",
                                              w->rule->probe->rates[i].place->text, "loss",
                                              thaw_json_real(r->values[THAW_METRIC_LOSS]), "top1",
                                              thaw_json_real(r->values[THAW_METRIC_TOP1]),
                                              "diverged", (int)r->diverged, "steps", r->steps,
                                              "cpu_s", r->cpu_s, "wall_s", r->wall_s));
    }
    return list;
}

static thaw_status choose(struct work *w, const char *const *class_names, json_t **ret_lr) {
    const struct thaw_lr_probe *probe = w->rule->probe;
    const struct thaw_pilot_options *o = w->o;
    struct thaw_pilot_time started = thaw_pilot_time();
    w->results = thaw_arena_array(&w->arena, probe->count, sizeof *w->results);
    double *losses = thaw_arena_array(&w->arena, probe->count, sizeof *losses);
    if (!w->results || !losses)
        return THAW_ERROR_MEMORY;
    thaw_status status = thaw_folds_make(&w->arena, o->labels, o->count, class_names, o->classes,
                                         FOLDS, o->config->seed, &w->folds);
    THAW_TRY(thaw_hint(thaw_context(status, "stage '%s': lr: probe", w->stage.name),
                       "add images, or give the stage an lr"));
    THAW_TRY(thaw_pilots_init(o, &w->stage, 1, &w->pilots));
    THAW_TRY(run_pilots(w));
    for (size_t i = 0; i < probe->count; i++)
        losses[i] = w->results[i].values[THAW_METRIC_LOSS];
    int chosen = thaw_probe_judge(losses, probe->count);
    if (chosen < 0) {
        thaw_fail(THAW_ERROR_RUNTIME,
                  "stage '%s': lr: probe: the loss of every rate became infinite or not a number",
                  w->stage.name);
        return thaw_hint(THAW_ERROR_RUNTIME, "probe smaller rates");
    }
    *ret_lr =
        json_pack("{s:s, s:s?, s:s?, s:i, s:f, s:f, s:o}", "chosen",
                  probe->rates[chosen].place->text, "pattern", w->rule->pattern, "depth", w->depth,
                  "epochs", probe->epochs, "cpu_s", thaw_pilot_time().cpu_s - started.cpu_s,
                  "wall_s", thaw_pilot_time().wall_s - started.wall_s, "rates", rates_json(w));
    return *ret_lr ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
}

/* Of the depths, without `first`. */
static const struct thaw_auto_candidate *middle_depth(const struct thaw_auto *automatic) {
    size_t count = automatic->candidate_count - automatic->also_first, index = count / 2;
    for (size_t i = 0; i <= index; i++)
        index += !strcmp(automatic->candidates[i].name, "first");
    return &automatic->candidates[index];
}

thaw_status thaw_probe_choose(const struct thaw_pilot_options *options,
                              const struct thaw_stage *stage, const char *const *class_names,
                              json_t **ret_lr) {
    struct thaw_pilot_options o = *options;
    struct work w = {.o = &o, .rule = thaw_probe_rule(stage), .stage = *stage};
    o.epochs = w.rule->probe->epochs;
    if (stage->automatic) {
        const struct thaw_auto_candidate *middle = middle_depth(stage->automatic);
        w.stage.automatic_pattern = middle->pattern;
        w.depth = middle->name;
    }
    thaw_status status = choose(&w, class_names, ret_lr);
    thaw_pilots_finish(&w.pilots);
    thaw_arena_finish(&w.arena);
    return status;
}

thaw_status thaw_probe_apply(struct thaw_arena *arena, const json_t *lr, const char *what,
                             struct thaw_stage *stage) {
    const char *chosen = json_string_value(json_object_get(lr, "chosen"));
    const struct thaw_lr_probe *probe = thaw_probe_rule(stage)->probe;
    for (size_t i = 0; chosen && i < probe->count; i++)
        if (!strcmp(probe->rates[i].place->text, chosen))
            return with_rate(arena, &probe->rates[i], stage);
    return thaw_fail(THAW_ERROR_INPUT, "%s: the lr chosen for stage '%s' is damaged", what,
                     stage->name);
}

/* ---- the table ------------------------------------------------------------------------------ */

void thaw_probe_table(const json_t *lr, const char *stage, struct thaw_text *text) {
    const char *chosen = json_string_value(json_object_get(lr, "chosen"));
    const char *depth = json_string_value(json_object_get(lr, "depth"));
    json_t *rates = json_object_get(lr, "rates");
    thaw_text_append(text,
                     "probe '%s': lr %s, by the loss after %d epochs on a fold%s%s\n"
                     "  %-10s%9s%9s%12s",
                     stage, chosen, (int)json_integer_value(json_object_get(lr, "epochs")),
                     depth ? " at depth " : "", depth ? depth : "", "lr", "loss", "top1", "CPU");
    for (size_t i = 0; i < json_array_size(rates); i++) {
        const json_t *rate = json_array_get(rates, i);
        const char *name = json_string_value(json_object_get(rate, "lr"));
        thaw_text_append(text, "\n  %-10s", name);
        if (json_is_true(json_object_get(rate, "diverged")))
            thaw_text_append(text, "%18s", "diverged");
        else
            thaw_text_append(text, "%9.4f%9.4f", json_number_value(json_object_get(rate, "loss")),
                             json_number_value(json_object_get(rate, "top1")));
        thaw_text_append(text, "%10.1f s%s", json_number_value(json_object_get(rate, "cpu_s")),
                         !strcmp(name, chosen) ? "  <- chosen" : "");
    }
}
