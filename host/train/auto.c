#include "train/auto.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/text.h"
#include "train/folds.h"
#include "train/rewarm.h"

#define GRADIENT_BATCHES 4

/* ---- the rule ------------------------------------------------------------------------------- */

static void compare_to(const double *own, const double *best, int folds, bool smaller_is_better,
                       struct thaw_auto_score *score) {
    double sum = 0, squares = 0, sign = smaller_is_better ? -1 : 1;
    for (int f = 0; f < folds; f++)
        sum += sign * (own[f] - best[f]);
    score->difference = sum / folds;
    for (int f = 0; f < folds; f++) {
        double d = sign * (own[f] - best[f]) - score->difference;
        squares += d * d;
    }
    score->standard_error = folds > 1 ? sqrt(squares / (folds - 1) / folds) : 0;
    score->within = score->difference >= -score->standard_error;
}

int thaw_auto_judge(enum thaw_auto_rule rule, enum thaw_metric metric, const double *values,
                    size_t candidates, int folds, struct thaw_auto_score *ret_scores) {
    int best = -1, chosen = -1;
    memset(ret_scores, 0, candidates * sizeof *ret_scores);
    for (size_t c = 0; c < candidates; c++) {
        double sum = 0;
        for (int f = 0; f < folds; f++)
            sum += values[c * (size_t)folds + (size_t)f];
        ret_scores[c].mean = sum / folds;
        ret_scores[c].usable = isfinite(ret_scores[c].mean);
        if (ret_scores[c].usable &&
            (best < 0 || thaw_metric_better(metric, ret_scores[c].mean, ret_scores[best].mean)))
            best = (int)c;
    }
    for (size_t c = 0; c < candidates && best >= 0; c++) {
        if (!ret_scores[c].usable)
            continue;
        compare_to(values + c * (size_t)folds, values + (size_t)best * (size_t)folds, folds,
                   metric == THAW_METRIC_LOSS, &ret_scores[c]);
        if (chosen < 0 && ret_scores[c].within)
            chosen = (int)c;
    }
    return rule == THAW_AUTO_BEST ? best : chosen;
}

/* ---- the pilots ----------------------------------------------------------------------------- */

/* What training the first layers costs is not spent on more folds when the first one shows no use
 * in it: those pilots start at the image, and cost more than all others together. */
enum giving_up { KEPT, UNTRIED, HALFWAY, AFTER_FOLD };

static const char *const giving_up_names[] = {NULL, "untried", "halfway", "first fold"};

/* Everything about one choice. */
struct work {
    const struct thaw_pilot_options *o;
    const struct thaw_stage *stage;
    const struct thaw_auto *a;
    struct thaw_arena arena;
    struct thaw_pilots pilots;
    struct thaw_rewarm rewarm;
    struct thaw_folds folds;
    struct thaw_auto_candidate *candidates; /* those that are tried */
    struct thaw_stage *stages;              /* with each of them in place of `auto` */
    size_t count;
    size_t running;                    /* the number of the one that runs */
    enum giving_up *given_up;          /* of each, in the first fold */
    struct thaw_pilot_result *results; /* [fold][candidate] */
    double *norms;                     /* NULL: not measured */
    struct thaw_pilot_time started;
    bool spent;
};

static bool budget_spent(const struct work *w) {
    return w->a->budget_s > 0 && thaw_pilot_time().wall_s - w->started.wall_s >= w->a->budget_s;
}

/* Whether no part of the body has a larger norm than the first. */
static bool peaks_at_first(const struct thaw_graph *graph, const double *norms) {
    for (size_t i = 1; i < graph->stage_count; i++)
        if (norms[i] > norms[0])
            return false;
    return graph->stage_count > 0 && norms[0] > 0;
}

static thaw_status list_candidates(struct work *w, bool with_first) {
    w->count = 0;
    for (size_t i = 0; i < w->a->candidate_count; i++) {
        if (!with_first && !strcmp(w->a->candidates[i].name, "first"))
            continue;
        w->candidates[w->count] = w->a->candidates[i];
        w->stages[w->count] = *w->stage;
        w->stages[w->count].automatic_pattern = w->candidates[w->count].pattern;
        w->count++;
    }
    return THAW_OK;
}

static thaw_status open_work(struct work *w, const char *const *class_names) {
    const struct thaw_pilot_options *o = w->o;
    size_t all = w->a->candidate_count;
    w->candidates = thaw_arena_array(&w->arena, all, sizeof *w->candidates);
    w->stages = thaw_arena_array(&w->arena, all, sizeof *w->stages);
    w->given_up = thaw_arena_array(&w->arena, all, sizeof *w->given_up);
    w->results = thaw_arena_array(&w->arena, all * (size_t)w->a->folds, sizeof *w->results);
    w->norms = thaw_arena_array(&w->arena, o->graph->stage_count + 1, sizeof *w->norms);
    if (!w->candidates || !w->stages || !w->given_up || !w->results || !w->norms)
        return THAW_ERROR_MEMORY;
    thaw_status status = thaw_folds_make(&w->arena, o->labels, o->count, class_names, o->classes,
                                         w->a->folds, o->config->seed, &w->folds);
    THAW_TRY(thaw_hint(thaw_context(status, "stage '%s': auto", w->stage->name),
                       "set a smaller auto.folds in the stage, add images, or name the depth: "
                       "train: [\"last:1\", head]"));
    THAW_TRY(list_candidates(w, false));
    THAW_TRY(thaw_pilots_init(o, w->stages, w->count, &w->pilots));
    THAW_TRY(thaw_rewarm_init(o, &w->rewarm));
    /* The whole network's gradients take memory that a plan of shallow candidates has not. */
    if (!w->a->deepest || strcmp(w->a->deepest, "all") != 0) {
        w->norms = NULL;
        return THAW_OK;
    }
    THAW_TRY(thaw_pilot_gradient_norms(&w->pilots, w->stage, GRADIENT_BATCHES, w->norms));
    return list_candidates(w, w->a->also_first && peaks_at_first(o->graph, w->norms));
}

static double value_of(const struct work *w, size_t fold, size_t c) {
    return w->results[fold * w->count + c].values[w->a->metric];
}

/* Whether values of the first fold are better than those of every smaller candidate; those that
 * diverged don't count. */
static bool beats_smaller(const struct work *w, size_t c, bool halfway) {
    enum thaw_metric m = w->a->metric;
    const struct thaw_pilot_result *own = &w->results[c];
    for (const struct thaw_pilot_result *r = w->results; r < own; r++)
        if (r->ran && !r->diverged && !r->stopped &&
            !thaw_metric_better(m, halfway ? own->halfway[m] : own->values[m],
                                halfway ? r->halfway[m] : r->values[m]))
            return false;
    return true;
}

/* Whether training all layers may pay: of the candidates that the caches serve the deepest was the
 * best. */
static bool depth_still_pays(const struct work *w, size_t c) {
    size_t deepest = c;
    for (size_t i = 0; i < c; i++)
        if (w->results[i].cached)
            deepest = i;
    return deepest == c || beats_smaller(w, deepest, false);
}

/* Of pilots that start at the image where others don't; elsewhere all cost about the same. */
static bool is_costly(const struct work *w, const struct thaw_pilot_result *result) {
    return w->results[0].cached && !result->cached;
}

static bool goes_on(void *user, const struct thaw_pilot_result *result) {
    struct work *w = user;
    w->results[w->running] = *result;
    return !is_costly(w, result) || beats_smaller(w, w->running, true);
}

static thaw_status run_pilot(struct work *w, size_t fold, size_t c) {
    struct thaw_pilot_result *result = &w->results[fold * w->count + c];
    snprintf(w->pilots.label, sizeof w->pilots.label, "%s: pilot of depth %s, fold %zu of %d",
             w->stage->name, w->candidates[c].name, fold + 1, w->a->folds);
    w->running = c;
    w->pilots.goes_on = fold ? NULL : goes_on;
    w->pilots.goes_on_user = w;
    THAW_TRY(thaw_pilot_run(&w->pilots, &w->stages[c], w->folds.train[fold],
                            w->folds.train_count[fold], w->folds.val[fold],
                            w->folds.val_count[fold], result));
    w->spent = budget_spent(w);
    if (!fold && is_costly(w, result))
        w->given_up[c] = result->stopped               ? HALFWAY
                         : !beats_smaller(w, c, false) ? AFTER_FOLD
                                                       : KEPT;
    return THAW_OK;
}

static thaw_status run_fold(struct work *w, size_t fold) {
    char label[96];
    snprintf(label, sizeof label, "%s: head of fold %zu of %d", w->stage->name, fold + 1,
             w->a->folds);
    THAW_TRY(thaw_rewarm_run(&w->rewarm, w->folds.train[fold], w->folds.train_count[fold], label));
    for (size_t c = 0; c < w->count && !w->spent; c++) {
        if (!fold && !strcmp(w->candidates[c].name, "all") && !depth_still_pays(w, c))
            w->given_up[c] = UNTRIED;
        if (!w->given_up[c])
            THAW_TRY(run_pilot(w, fold, c));
    }
    return THAW_OK;
}

static thaw_status run_pilots(struct work *w) {
    for (int fold = 0; fold < w->a->folds && !w->spent; fold++)
        THAW_TRY(run_fold(w, (size_t)fold));
    return THAW_OK;
}

/* ---- the result ----------------------------------------------------------------------------- */

/* `score` is NULL for what was not compared. */
static json_t *candidate_json(const struct work *w, size_t c, int counted,
                              const struct thaw_auto_score *score) {
    json_t *folds = json_array();
    double cpu_s = 0, wall_s = 0;
    int steps = 0, diverged = 0;
    for (size_t f = 0; f < (size_t)w->a->folds; f++) {
        const struct thaw_pilot_result *r = &w->results[f * w->count + c];
        json_array_append_new(folds, r->ran ? thaw_json_real(value_of(w, f, c)) : json_null());
        cpu_s += r->cpu_s;
        wall_s += r->wall_s;
        steps += r->steps;
        diverged += r->diverged;
    }
    bool usable = score && score->usable;
    return json_pack("{s:s, s:s?, s:o, s:i, s:s?, s:i, s:o, s:o, s:o, s:i, s:f, s:f}", "depth",
                     w->candidates[c].name, "train", w->candidates[c].pattern, "folds", folds,
                     "diverged", diverged, "given_up", giving_up_names[w->given_up[c]], "counted",
                     score ? counted : 0, "mean", usable ? json_real(score->mean) : json_null(),
                     "difference", usable ? json_real(score->difference) : json_null(),
                     "standard_error",
                     usable && counted > 1 ? json_real(score->standard_error) : json_null(),
                     "steps", steps, "cpu_s", cpu_s, "wall_s", wall_s);
}

static json_t *gradients_json(const struct work *w) {
    const struct thaw_graph *graph = w->o->graph;
    if (!w->norms)
        return json_null();
    json_t *list = json_array();
    for (size_t i = 0; i <= graph->stage_count; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:o}", "part",
                                        i < graph->stage_count ? graph->stages[i].name : "head",
                                        "relative_norm", thaw_json_real(w->norms[i])));
    return list;
}

static json_t *result_json(const struct work *w, int chosen, json_t *candidates) {
    const struct thaw_pilots *p = &w->pilots;
    return json_pack(
        "{s:s, s:s?, s:s, s:s, s:i, s:i, s:I, s:s?, s:i, s:b, s:f, s:f, s:o, s:o}", "chosen",
        w->candidates[chosen].name, "train", w->candidates[chosen].pattern, "metric",
        thaw_metric_names[w->a->metric], "rule", thaw_auto_rule_names[w->a->rule], "folds",
        w->a->folds, "epochs", w->a->epochs, "images", (json_int_t)w->o->count, "cached_at",
        p->start ? w->o->graph->nodes[p->start].name : NULL, "views", p->views, "budget_spent",
        (int)w->spent, "cpu_s", thaw_pilot_time().cpu_s - w->started.cpu_s, "wall_s",
        thaw_pilot_time().wall_s - w->started.wall_s, "gradients", gradients_json(w), "candidates",
        candidates);
}

/* The candidates that are compared, and over how many folds. */
struct comparison {
    size_t *of; /* their numbers among all */
    size_t count;
    int folds;
    double *values;
    struct thaw_auto_score *scores;
};

static bool ran_in(const struct work *w, size_t fold, size_t c) {
    return w->results[fold * w->count + c].ran;
}

static thaw_status make_comparison(struct work *w, struct comparison *k) {
    size_t folds = (size_t)w->a->folds;
    k->of = thaw_arena_array(&w->arena, w->count, sizeof *k->of);
    k->values = thaw_arena_array(&w->arena, w->count * folds, sizeof *k->values);
    k->scores = thaw_arena_array(&w->arena, w->count, sizeof *k->scores);
    if (!k->of || !k->values || !k->scores)
        return THAW_ERROR_MEMORY;
    for (bool whole = true; whole && k->folds < w->a->folds; k->folds += whole)
        for (size_t c = 0; c < w->count; c++)
            whole &= w->given_up[c] || ran_in(w, (size_t)k->folds, c);
    k->folds = k->folds ? k->folds : 1; /* the first, as far as it came */
    for (size_t c = 0; c < w->count; c++)
        if (ran_in(w, (size_t)k->folds - 1, c))
            k->of[k->count++] = c;
    for (size_t i = 0; i < k->count; i++)
        for (int f = 0; f < k->folds; f++)
            k->values[i * (size_t)k->folds + (size_t)f] = value_of(w, (size_t)f, k->of[i]);
    return THAW_OK;
}

static thaw_status judge(struct work *w, json_t **ret_depth) {
    struct comparison k = {0};
    THAW_TRY(make_comparison(w, &k));
    int chosen = thaw_auto_judge(w->a->rule, w->a->metric, k.values, k.count, k.folds, k.scores);
    if (chosen < 0) {
        thaw_fail(THAW_ERROR_RUNTIME,
                  "stage '%s': auto: the loss of every depth became infinite or not a number",
                  w->stage->name);
        return thaw_hint(THAW_ERROR_RUNTIME, "lower the stage's lr, or set lr: probe");
    }
    json_t *candidates = json_array();
    for (size_t c = 0, i = 0; c < w->count; c++) {
        bool compared = i < k.count && k.of[i] == c;
        json_array_append_new(candidates,
                              candidate_json(w, c, k.folds, compared ? &k.scores[i] : NULL));
        i += compared;
    }
    *ret_depth = result_json(w, (int)k.of[chosen], candidates);
    return *ret_depth ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
}

thaw_status thaw_auto_choose(const struct thaw_pilot_options *options,
                             const struct thaw_stage *stage, const char *const *class_names,
                             json_t **ret_depth) {
    struct thaw_pilot_options o = *options;
    o.epochs = stage->automatic->epochs;
    struct work w = {.o = &o, .stage = stage, .a = stage->automatic, .started = thaw_pilot_time()};
    thaw_status status = open_work(&w, class_names);
    if (status == THAW_OK)
        status = run_pilots(&w);
    if (status == THAW_OK)
        status = judge(&w, ret_depth);
    thaw_status restored = thaw_rewarm_finish(&w.rewarm);
    if (status == THAW_OK && restored != THAW_OK) {
        json_decref(*ret_depth);
        status = restored;
    }
    thaw_pilots_finish(&w.pilots);
    thaw_arena_finish(&w.arena);
    return status;
}

thaw_status thaw_auto_apply(const json_t *depth, const char *what, struct thaw_stage *stage) {
    const char *chosen = json_string_value(json_object_get(depth, "chosen"));
    const struct thaw_auto *a = stage->automatic;
    for (size_t i = 0; chosen && i < a->candidate_count; i++)
        if (!strcmp(a->candidates[i].name, chosen)) {
            stage->automatic_pattern = a->candidates[i].pattern;
            return THAW_OK;
        }
    return thaw_fail(THAW_ERROR_INPUT, "%s: the depth chosen for stage '%s' is damaged", what,
                     stage->name);
}

/* ---- the table ------------------------------------------------------------------------------ */

static void append_number(struct thaw_text *text, const json_t *object, const char *key,
                          const char *format, int width) {
    const json_t *value = json_object_get(object, key);
    char number[32] = "-";
    if (json_is_number(value))
        snprintf(number, sizeof number, format, json_number_value(value));
    thaw_text_append(text, "%*s", width, number);
}

static void append_giving_up(const json_t *candidate, const char *when, struct thaw_text *text) {
    if (!strcmp(when, giving_up_names[UNTRIED]))
        thaw_text_append(text, "  not tried: more depth was no better in the first fold");
    else if (!strcmp(when, giving_up_names[HALFWAY]))
        thaw_text_append(text, "  given up halfway in the first fold: a smaller depth was as good");
    else
        thaw_text_append(text, "  given up: %.4f in the first fold, a smaller depth was as good",
                         json_number_value(json_array_get(json_object_get(candidate, "folds"), 0)));
}

static void append_candidate(const json_t *candidate, const char *chosen, struct thaw_text *text) {
    const char *name = json_string_value(json_object_get(candidate, "depth"));
    json_int_t counted = json_integer_value(json_object_get(candidate, "counted"));
    bool diverged = json_integer_value(json_object_get(candidate, "diverged")) > 0;
    thaw_text_append(text, "\n  %-6s", name);
    append_number(text, candidate, "mean", "%.4f", 9);
    append_number(text, candidate, "difference", "%+.4f", 12);
    append_number(text, candidate, "standard_error", "%.4f", 9);
    append_number(text, candidate, "cpu_s", "%.1f s", 12);
    thaw_text_append(text, "%s%s", !strcmp(name, chosen) ? "  <- chosen" : "",
                     diverged ? "  diverged" : "");
    const char *given_up = json_string_value(json_object_get(candidate, "given_up"));
    if (given_up)
        append_giving_up(candidate, given_up, text);
    else if (!counted)
        thaw_text_append(text, "  skipped: no time left");
}

void thaw_auto_table(const json_t *depth, const char *stage, struct thaw_text *text) {
    const char *chosen = json_string_value(json_object_get(depth, "chosen"));
    const char *metric = json_string_value(json_object_get(depth, "metric"));
    const char *rule = json_string_value(json_object_get(depth, "rule"));
    json_t *candidates = json_object_get(depth, "candidates");
    json_t *gradients = json_object_get(depth, "gradients");
    thaw_text_append(text,
                     "auto '%s': depth %s, by %s over %d folds x %d epochs\n  %-6s%9s%12s%9s%12s",
                     stage, chosen, rule, (int)json_integer_value(json_object_get(depth, "folds")),
                     (int)json_integer_value(json_object_get(depth, "epochs")), "depth", metric + 4,
                     "to best", "+-", "CPU");
    for (size_t i = 0; i < json_array_size(candidates); i++)
        append_candidate(json_array_get(candidates, i), chosen, text);
    for (size_t i = 0; i < json_array_size(gradients); i++) {
        const json_t *entry = json_array_get(gradients, i);
        thaw_text_append(text, "%s %s %.3g", i ? "," : "\n  relative gradient norm:",
                         json_string_value(json_object_get(entry, "part")),
                         json_number_value(json_object_get(entry, "relative_norm")));
    }
    if (json_is_true(json_object_get(depth, "budget_spent")))
        thaw_text_append(text, "\n  the budget was spent before every pilot had run");
}
