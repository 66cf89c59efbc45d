/* Short trainings of the four regimes from the same warm head. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/advise_internal.h"
#include "train/auto.h"
#include "train/folds.h"
#include "train/stage.h"

struct regime {
    struct thaw_config config;
    const struct thaw_stage *stage; /* its last: what the pilot trains */
    struct thaw_pilots pilots;
    bool open;
};

struct work {
    struct thaw_advise_work *w;
    struct thaw_graph *graph;
    struct regime regimes[THAW_REGIMES];
    struct thaw_folds folds;
    size_t count; /* images */
    float *class_weights;
    float **head;                    /* its values before any warm-up: [param], NULL for others */
    enum thaw_param_origin *origins; /* [param] */
    double *values;                  /* [regime][fold], NaN: not run or diverged */
    bool done[THAW_REGIMES][THAW_ADVISE_PILOT_FOLDS];
    int part; /* of a regime's epochs: one in so many */
    double started_s;
    bool spent;
};

/* ---- the head before and after a warm-up ---------------------------------------------------- */

static thaw_status save_head(struct work *p) {
    const struct thaw_graph *graph = p->graph;
    struct thaw_arena *arena = &p->w->scratch;
    p->head = thaw_arena_array(arena, graph->param_count, sizeof *p->head);
    p->origins = thaw_arena_array(arena, graph->param_count, sizeof *p->origins);
    if (!p->head || !p->origins)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++)
        p->origins[i] = graph->params[i].origin;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        if (thaw_graph_stage_of(graph, param->node) != (int)graph->stage_count)
            continue;
        p->head[i] = thaw_arena_array(arena, thaw_param_count_values(param), sizeof(float));
        if (!p->head[i])
            return THAW_ERROR_MEMORY;
        THAW_TRY(thaw_param_read(graph, param, p->head[i]));
    }
    return THAW_OK;
}

static thaw_status restore_head(const struct work *p) {
    for (size_t i = 0; i < p->graph->param_count; i++)
        if (p->head[i])
            THAW_TRY(thaw_param_write(p->graph, &p->graph->params[i], p->head[i]));
    return THAW_OK;
}

/* ---- a pilot -------------------------------------------------------------------------------- */

static thaw_status poll(void *user, const char *what, size_t done, size_t total) {
    struct work *p = user;
    const struct thaw_advise_options *options = p->w->options;
    if (options->interrupted && *options->interrupted)
        return thaw_fail(THAW_INTERRUPTED, "interrupted; nothing was written");
    if (options->on_working)
        options->on_working(options->user, what, done, total);
    p->spent = thaw_pilot_time().wall_s - p->started_s >= options->probe_s;
    return p->spent ? thaw_fail(THAW_INTERRUPTED, "the budget is spent") : THAW_OK;
}

static thaw_status open_pilots(struct work *p, int r) {
    struct regime *regime = &p->regimes[r];
    const struct thaw_experiment *e = p->w->experiment;
    int epochs = (regime->stage->epochs + p->part - 1) / p->part;
    struct thaw_pilot_options options = {.config = &regime->config,
                                         .graph = p->graph,
                                         .loader = p->w->loader,
                                         .input = &e->input,
                                         .photos = p->w->photos,
                                         .labels = p->w->labels,
                                         .count = p->count,
                                         .class_weights = p->class_weights,
                                         .classes = (int)p->w->m.classes,
                                         .stage = (int)regime->config.stage_count - 1,
                                         .epochs = r == 0 ? regime->stage->epochs : epochs,
                                         .poll = poll,
                                         .user = p};
    if (regime->open)
        return THAW_OK;
    THAW_TRY(thaw_pilots_init(&options, regime->stage, 1, &regime->pilots));
    regime->open = true;
    regime->pilots.keep = r == 0; /* the warm-up of the others */
    return THAW_OK;
}

static void count_trained(const struct work *p, struct thaw_advice_pilot *pilot) {
    pilot->trained = 0;
    for (size_t i = 0; i < p->graph->param_count; i++)
        if (p->graph->params[i].trainable)
            pilot->trained += thaw_param_count_values(&p->graph->params[i]);
}

static thaw_status run_pilot(struct work *p, int r, int fold) {
    struct regime *regime = &p->regimes[r];
    struct thaw_advice_pilot *pilot = &p->w->m.pilots[r];
    struct thaw_pilot_result result;
    THAW_TRY(open_pilots(p, r));
    snprintf(regime->pilots.label, sizeof regime->pilots.label, "pilot %d of %d: %s",
             fold * THAW_REGIMES + r + 1, p->folds.count * THAW_REGIMES, pilot->regime);
    THAW_TRY(thaw_pilot_run(&regime->pilots, regime->stage, p->folds.train[fold],
                            p->folds.train_count[fold], p->folds.val[fold],
                            p->folds.val_count[fold], &result));
    count_trained(p, pilot);
    if (r == 0)
        thaw_stage_mark_trained(p->graph);
    pilot->cpu_s += result.cpu_s;
    pilot->diverged |= result.diverged;
    p->values[r * p->folds.count + fold] = result.values[p->w->experiment->config->metric];
    p->done[r][fold] = true;
    return THAW_OK;
}

static void close_pilots(struct work *p) {
    for (int r = 0; r < THAW_REGIMES; r++) {
        if (p->regimes[r].open)
            thaw_pilots_finish(&p->regimes[r].pilots);
        p->regimes[r].open = false;
    }
}

/* Until the budget is spent, which is no failure. */
static thaw_status run_folds(struct work *p) {
    for (int fold = 0; fold < p->folds.count; fold++) {
        for (int r = 0; r < THAW_REGIMES; r++) {
            thaw_status status = run_pilot(p, r, fold);
            if (status != THAW_OK)
                return p->spent ? THAW_OK : status;
        }
        THAW_TRY(restore_head(p));
    }
    return THAW_OK;
}

static thaw_status run_pilots(struct work *p) {
    p->part = THAW_ADVISE_PILOT_PART;
    THAW_TRY(run_folds(p));
    double took_s = thaw_pilot_time().wall_s - p->started_s;
    if (p->spent || took_s * (THAW_ADVISE_PILOT_PART + 1) > p->w->options->probe_s)
        return THAW_OK;
    close_pilots(p);
    memset(p->done, 0, sizeof p->done);
    for (int r = 0; r < THAW_REGIMES; r++)
        p->w->m.pilots[r] = (struct thaw_advice_pilot){.regime = thaw_regime_names[r]};
    p->part = 1;
    return run_folds(p);
}

/* ---- together ------------------------------------------------------------------------------- */

static thaw_status judge(struct work *p) {
    struct thaw_measurements *m = &p->w->m;
    enum thaw_metric metric = p->w->experiment->config->metric;
    struct thaw_auto_score scores[THAW_REGIMES];
    double values[THAW_REGIMES * THAW_ADVISE_PILOT_FOLDS];
    int folds = 0, compared = THAW_REGIMES;
    while (folds < p->folds.count && p->done[THAW_REGIMES - 1][folds])
        folds++;
    if (!folds) {
        folds = 1;
        for (compared = 0; p->done[compared][0];)
            compared++;
    }
    for (int r = 0; r < compared; r++)
        for (int f = 0; f < folds; f++)
            values[r * folds + f] = p->values[r * p->folds.count + f];
    m->pilots_full = p->part == 1;
    m->pilot_best =
        thaw_auto_judge(THAW_AUTO_BEST, metric, values, (size_t)compared, folds, scores);
    for (int r = 0; r < compared; r++) {
        m->pilots[r].folds = folds;
        m->pilots[r].mean = scores[r].mean;
        m->pilots[r].difference = scores[r].difference;
        m->pilots[r].standard_error = scores[r].standard_error;
        m->pilots[r].within = scores[r].within;
    }
    return THAW_OK;
}

static thaw_status set_up(struct work *p) {
    struct thaw_advise_work *w = p->w;
    const struct thaw_experiment *e = w->experiment;
    p->started_s = thaw_pilot_time().wall_s;
    p->count = w->count < THAW_ADVISE_PILOT_IMAGES ? w->count : THAW_ADVISE_PILOT_IMAGES;
    w->m.pilot_images = p->count;
    w->m.pilots = thaw_arena_array(w->arena, THAW_REGIMES, sizeof *w->m.pilots);
    if (!w->m.pilots)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_hint(
        thaw_context(thaw_folds_make(&w->scratch, w->labels, p->count,
                                     (const char *const *)e->dataset->classes, (int)w->m.classes,
                                     THAW_ADVISE_PILOT_FOLDS, e->config->seed, &p->folds),
                     "--probe"),
        "leave --probe out, or add images of that class"));
    p->values =
        thaw_arena_array(&w->scratch, (size_t)(THAW_REGIMES * p->folds.count), sizeof *p->values);
    if (!p->values)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_fit_class_weights(e->config, w->labels, p->count, w->m.classes, &w->scratch,
                                    &p->class_weights));
    for (int r = 0; r < THAW_REGIMES; r++) {
        struct regime *regime = &p->regimes[r];
        w->m.pilots[r].regime = thaw_regime_names[r];
        THAW_TRY(thaw_config_with_regime(e->config, thaw_regime_names[r], &regime->config));
        struct thaw_stage *last = &regime->config.stages[regime->config.stage_count - 1];
        if (last->automatic) /* pilots of pilots would take long: a third stands for the choice */
            last->automatic_pattern = "last:33%";
        regime->stage = last;
    }
    return save_head(p);
}

/* Whatever happened, the network is as it was. */
static thaw_status clean_up(struct work *p, thaw_status status) {
    thaw_status restored = THAW_OK;
    if (p->origins) {
        restored = restore_head(p);
        for (size_t i = 0; i < p->graph->param_count; i++)
            p->graph->params[i].origin = p->origins[i];
    }
    close_pilots(p);
    for (int r = 0; r < THAW_REGIMES; r++)
        thaw_config_finish(&p->regimes[r].config);
    return status == THAW_OK ? restored : status;
}

thaw_status thaw_advise_pilots(struct thaw_advise_work *w) {
    struct work p = {.w = w, .graph = w->experiment->graph};
    thaw_status status = set_up(&p);
    if (status == THAW_OK)
        status = run_pilots(&p);
    if (status == THAW_OK)
        status = judge(&p);
    return clean_up(&p, status);
}
