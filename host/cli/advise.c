#include "cli/advise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/format.h"
#include "core/file.h"

#define COUNT(n) thaw_format_count((uint64_t)(n), (char[THAW_FORMAT_SIZE]){0})
#define SHOWN 9 /* norm layers, of more: evenly spaced */

struct view {
    const struct thaw_cli *cli;
    const struct thaw_advise_values *values;
    const struct thaw_config *config;
    const struct thaw_graph *graph;
    const struct thaw_measurements *m;
    const struct thaw_advice *advice;
};

/* ---- for people ----------------------------------------------------------------------------- */

static void print_norms(const struct view *v) {
    const struct thaw_measurements *m = v->m;
    size_t shown = v->cli->verbose || m->norm_count <= SHOWN ? m->norm_count : SHOWN, dead = 0;
    for (size_t i = 0; i < m->norm_count; i++)
        dead += m->norms[i].dead;
    if (!m->norm_count)
        return;
    printf("\ndistance of norm statistics, from the image up (0: the same)\n");
    for (size_t i = 0; i < shown; i++) {
        size_t k = shown > 1 ? i * (m->norm_count - 1) / (shown - 1) : 0;
        printf("  %-28s %8.2f\n", m->norms[k].name, m->norms[k].distance);
    }
    printf("  %-28s %8.2f\n", "median", m->norm_median);
    if (dead)
        printf("  %zu channels without stored variance are left out\n", dead);
}

static void print_ladder(const struct view *v) {
    const struct thaw_measurements *m = v->m;
    printf("\nlinear probes, balanced accuracy in %d folds of %s images (chance %.3f)\n",
           THAW_ADVISE_FOLDS, COUNT(m->sampled), 1.0 / (double)m->classes);
    for (size_t i = 0; i < m->rung_count; i++)
        printf("  %-18s %4zu features  %.3f +- %.3f\n", m->rungs[i].name, m->rungs[i].width,
               m->rungs[i].accuracy, m->rungs[i].standard_error);
}

static void print_source(const struct view *v) {
    const struct thaw_measurements *m = v->m;
    if (m->source == THAW_SOURCE_CLASSIFIER)
        printf("\nthe weights' own classifier, %zu classes: it uses %.1f of them on these images,\n"
               "and is sure of its choice to %.2f on average\n",
               m->source_classes, m->classes_used, m->confidence);
}

static void print_pilot(const struct view *v, int r) {
    const struct thaw_advice_pilot *pilot = &v->m->pilots[r];
    printf("  %-16s %12s", pilot->regime, pilot->trained ? COUNT(pilot->trained) : "-");
    if (!pilot->folds)
        printf("  no time was left\n");
    else if (pilot->diverged)
        printf("  the loss became infinite or not a number\n");
    else {
        char error[24] = "       -"; /* one fold has none */
        if (pilot->folds > 1)
            snprintf(error, sizeof error, "+- %.4f", pilot->standard_error);
        printf(" %8.4f %+9.4f %-9s %8.1f s%s%s\n", pilot->mean, pilot->difference, error,
               pilot->cpu_s, r == v->m->pilot_best ? "  best" : "",
               !strcmp(pilot->regime, v->advice->regime) ? "  advised" : "");
    }
}

static const struct thaw_advice_pilot *advised_pilot(const struct view *v) {
    int r = 0;
    while (strcmp(v->m->pilots[r].regime, v->advice->regime) != 0)
        r++;
    return &v->m->pilots[r];
}

static void print_pilots(const struct view *v) {
    const struct thaw_measurements *m = v->m;
    if (!m->pilots)
        return;
    printf("\npilots on %s images, %s epochs; folds that count: %d of %d\n"
           "  %-16s %12s %8s %19s %10s\n",
           COUNT(m->pilot_images), m->pilots_full ? "all" : "a fifth of the", m->pilots[0].folds,
           THAW_ADVISE_PILOT_FOLDS, "regime", "trained",
           thaw_metric_names[v->config->metric] + strlen("val."), "to the best", "CPU");
    for (int r = 0; r < THAW_REGIMES; r++)
        print_pilot(v, r);
    const struct thaw_advice_pilot *advised = advised_pilot(v);
    printf("  %s\n",
           !advised->folds || m->pilot_best < 0 ? "they leave the advice open"
           : advised->folds == 1 ? "one fold alone is no proof: give them a larger --budget"
           : advised->within     ? "the advised regime is within one standard error of the best"
                                 : "another regime did better than the one advised");
}

static void print_votes(const struct view *v) {
    const struct thaw_advice *advice = v->advice;
    printf("\n%-11s %-10s %s\n", "size", advice->large ? "large" : "small", advice->size);
    for (int i = 0; i < THAW_SIGNAL_COUNT; i++)
        printf("%-11s %-10s %s\n", thaw_advice_signal_names[i],
               thaw_advice_answer_names[advice->votes[i].answer], advice->votes[i].evidence);
}

static void print_people(const struct view *v) {
    const struct thaw_measurements *m = v->m;
    printf("%s: %s on %s images of %zu classes (%s to %s of each, median %g)\n", v->config->name,
           v->graph->name, COUNT(m->images), m->classes, COUNT(m->class_min), COUNT(m->class_max),
           m->class_median);
    print_norms(v);
    print_ladder(v);
    print_source(v);
    print_votes(v);
    printf("\nregime: %s\n%s\n", v->advice->regime, v->advice->sentence);
    print_pilots(v);
    if (v->values->output)
        printf("written: %s\n", v->values->output);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *norms_json(const struct thaw_measurements *m) {
    json_t *layers = json_array();
    for (size_t i = 0; i < m->norm_count; i++)
        json_array_append_new(layers, json_pack("{s:o, s:f, s:I, s:I}", "layer",
                                                thaw_json_text(m->norms[i].name), "distance",
                                                m->norms[i].distance, "channels",
                                                (json_int_t)m->norms[i].channels, "dead",
                                                (json_int_t)m->norms[i].dead));
    return m->norm_count ? json_pack("{s:f, s:o}", "median", m->norm_median, "layers", layers)
                         : (json_decref(layers), json_null());
}

static json_t *ladder_json(const struct thaw_measurements *m) {
    json_t *rungs = json_array();
    for (size_t i = 0; i < m->rung_count; i++)
        json_array_append_new(
            rungs, json_pack("{s:o, s:I, s:f, s:f}", "stage", thaw_json_text(m->rungs[i].name),
                             "features", (json_int_t)m->rungs[i].width, "accuracy",
                             m->rungs[i].accuracy, "standard_error", m->rungs[i].standard_error));
    return rungs;
}

static json_t *source_json(const struct thaw_measurements *m) {
    if (m->source == THAW_SOURCE_MEANS)
        return json_pack("{s:s, s:I, s:f}", "kind", "means", "classes",
                         (json_int_t)m->source_classes, "distance_ratio", m->means_ratio);
    if (m->source == THAW_SOURCE_CLASSIFIER)
        return json_pack("{s:s, s:I, s:f, s:f, s:f}", "kind", "classifier", "classes",
                         (json_int_t)m->source_classes, "leep_share", m->leep_share, "confidence",
                         m->confidence, "classes_used", m->classes_used);
    return json_null();
}

static json_t *votes_json(const struct thaw_advice *advice) {
    json_t *votes = json_array();
    for (int i = 0; i < THAW_SIGNAL_COUNT; i++) {
        const struct thaw_advice_vote *vote = &advice->votes[i];
        json_array_append_new(
            votes,
            json_pack("{s:s, s:o, s:f, s:o}", "signal", thaw_advice_signal_names[i], "answer",
                      vote->answer == THAW_ADVICE_UNKNOWN
                          ? json_null()
                          : json_string(thaw_advice_answer_names[vote->answer]),
                      "strength", vote->strength, "evidence", thaw_json_text(vote->evidence)));
    }
    return votes;
}

static json_t *pilots_json(const struct view *v) {
    if (!v->m->pilots)
        return json_null();
    json_t *list = json_array();
    for (int r = 0; r < THAW_REGIMES; r++) {
        const struct thaw_advice_pilot *pilot = &v->m->pilots[r];
        bool usable = pilot->folds && !pilot->diverged;
        json_array_append_new(
            list,
            json_pack("{s:s, s:I, s:i, s:b, s:o, s:o, s:o, s:b, s:f}", "regime", pilot->regime,
                      "trained", (json_int_t)pilot->trained, "folds", pilot->folds, "diverged",
                      (int)pilot->diverged, "mean", usable ? json_real(pilot->mean) : json_null(),
                      "difference", usable ? json_real(pilot->difference) : json_null(),
                      "standard_error",
                      usable && pilot->folds > 1 ? json_real(pilot->standard_error) : json_null(),
                      "within", (int)pilot->within, "cpu_s", pilot->cpu_s));
    }
    return json_pack(
        "{s:s, s:b, s:I, s:s?, s:b, s:o}", "metric", thaw_metric_names[v->config->metric],
        "all_epochs", (int)v->m->pilots_full, "images", (json_int_t)v->m->pilot_images, "best",
        v->m->pilot_best < 0 ? NULL : thaw_regime_names[v->m->pilot_best], "advice_holds",
        (int)(advised_pilot(v)->folds && advised_pilot(v)->within), "regimes", list);
}

static json_t *advice_json(const struct view *v) {
    const struct thaw_measurements *m = v->m;
    const struct thaw_advice *advice = v->advice;
    json_t *images = json_pack(
        "{s:I, s:I, s:I, s:f, s:I, s:I}", "train", (json_int_t)m->images, "classes",
        (json_int_t)m->classes, "class_min", (json_int_t)m->class_min, "class_median",
        m->class_median, "class_max", (json_int_t)m->class_max, "sampled", (json_int_t)m->sampled);
    json_t *written = v->values->output ? thaw_json_text(v->values->output) : json_null();
    return json_pack(
        "{s:o, s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
        thaw_json_text(v->config->name), "model", thaw_json_text(v->graph->name), "regime",
        advice->regime, "size", advice->large ? "large" : "small", "similarity",
        advice->different ? "different" : "similar", "sentence", advice->sentence, "agree",
        (json_int_t)advice->agree, "known", (json_int_t)advice->known, "margin", advice->margin,
        "votes", votes_json(advice), "images", images, "norms", norms_json(m), "ladder",
        ladder_json(m), "source", source_json(m), "pilots", pilots_json(v), "written", written);
}

/* ---- together ------------------------------------------------------------------------------- */

static thaw_status write_config(const struct view *v) {
    struct thaw_text text = {0};
    thaw_status status =
        thaw_advise_config_emit(v->config, v->values->name, v->m, v->advice, &text);
    if (status == THAW_OK)
        status = thaw_file_write(v->values->output, text.text, text.length);
    thaw_text_finish(&text);
    return status;
}

static thaw_status show(const struct view *v) {
    if (v->values->output)
        THAW_TRY(write_config(v));
    if (v->cli->json)
        return thaw_cli_print_json(advice_json(v));
    print_people(v);
    return THAW_OK;
}

thaw_status thaw_cli_advise(const struct thaw_cli *cli, const struct thaw_advise_values *values,
                            const struct thaw_config *config, thaw_device *device) {
    struct thaw_experiment experiment;
    struct thaw_measurements measurements;
    struct thaw_advise_options advise_options = {.images = (size_t)values->images,
                                                 .source = values->source,
                                                 .interrupted = cli->interrupted,
                                                 .on_working = thaw_progress_working,
                                                 .user = cli->progress};
    if (values->probe) {
        thaw_yaml *budget =
            thaw_yaml_new_scalar(cli->arena, values->budget ? values->budget : "5min", NULL);
        THAW_TRY(budget ? thaw_config_budget(budget, &advise_options.probe_s) : THAW_ERROR_MEMORY);
        if (!(advise_options.probe_s > 0)) /* none */
            advise_options.probe_s = HUGE_VAL;
    }
    thaw_progress_update(cli->progress, "reading data and weights");
    THAW_TRY(thaw_experiment_open(config, device, &experiment));
    thaw_status status =
        thaw_advise_measure(&experiment, &advise_options, cli->arena, &measurements);
    thaw_progress_clear(cli->progress);
    if (status == THAW_OK) {
        struct thaw_advice advice = thaw_advice_make(&measurements);
        struct view view = {cli, values, config, experiment.graph, &measurements, &advice};
        status = show(&view);
    }
    thaw_experiment_finish(&experiment);
    return status;
}
