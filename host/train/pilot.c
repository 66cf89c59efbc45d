#include "train/pilot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "train/sharpness.h"

#define VIEWS_MAX 4 /* of an image, in the cache of a stage that doesn't say */

struct thaw_pilot_time thaw_pilot_time(void) {
    return (struct thaw_pilot_time){thaw_clock_cpu_s(), thaw_clock_s()};
}

/* ---- values that come back ------------------------------------------------------------------ */

/* What training may change of a graph with its stage applied: copies[param], NULL for the rest. */
static thaw_status save_values(const struct thaw_graph *graph, cl_mem *copies) {
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        size_t size_bytes = thaw_filter_size(&param->spec->filter) * sizeof(float);
        if (!param->trainable && !graph->nodes[param->node].batch_statistics)
            continue;
        THAW_TRY(thaw_buffer_create(graph->device, size_bytes, &copies[i]));
        THAW_TRY(thaw_buffer_copy(graph->device, param->value, 0, copies[i], 0, size_bytes));
    }
    return THAW_OK;
}

/* Frees the copies, too; with `keep` that is all, if the pilot succeeded. A failure on the way out
 * must not hide why a pilot ended. */
static thaw_status restore_values(const struct thaw_graph *graph, cl_mem *copies, bool keep,
                                  thaw_status status) {
    thaw_status restored = THAW_OK;
    for (size_t i = 0; copies && i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        size_t size_bytes = thaw_filter_size(&param->spec->filter) * sizeof(float);
        if (copies[i] && restored == THAW_OK && !(keep && status == THAW_OK))
            restored = thaw_buffer_copy(graph->device, copies[i], 0, param->value, 0, size_bytes);
        thaw_buffer_destroy(&copies[i]);
    }
    return status == THAW_OK ? restored : status;
}

/* ---- caches --------------------------------------------------------------------------------- */

/* A candidate as a pilot applies it: the pilots' own caches take the place of the stage's. */
static struct thaw_stage uncached(const struct thaw_stage *candidate) {
    struct thaw_stage stage = *candidate;
    stage.cache = false;
    stage.average = NULL; /* judged by the weights themselves */
    return stage;
}

/* Where a candidate could start. */
static thaw_status find_cut(const struct thaw_pilots *p, const struct thaw_stage *candidate,
                            int *ret_cut) {
    struct thaw_session session = {0};
    struct thaw_stage stage = uncached(candidate);
    THAW_TRY(thaw_session_init(p->o.config, &stage, p->o.graph, (int)p->o.count, &session));
    *ret_cut = thaw_graph_cut(p->o.graph);
    thaw_session_finish(&session);
    return THAW_OK;
}

static thaw_status on_cached(void *user, size_t done, size_t total) {
    const struct thaw_pilots *p = user;
    return p->o.poll(p->o.user, "computing features for pilots", done, total);
}

/* As the stage's own would be kept; in memory where it has none. */
static bool on_disk(const struct thaw_stage *stage) {
    return stage->cache && stage->cache_disk;
}

static thaw_status open_cache(struct thaw_pilots *p, const struct thaw_stage *stage, int views,
                              struct thaw_feature_cache *cache) {
    struct thaw_feature_options options = {
        .graph = p->o.graph,
        .node = p->start,
        .loader = p->o.loader,
        .augmenter = views ? p->augmenter : p->plain_augmenter,
        .input = p->o.input,
        .augment = stage->augment,
        .seed = p->o.config->seed,
        .photos = p->o.photos,
        .count = p->o.count,
        .views = views,
        .batch = thaw_stage_part(stage),
        .conv_candidate = p->o.config->conv_candidate,
        .dtype = stage->cache_dtype,
        .disk = on_disk(stage),
        .progress = on_cached,
        .user = p,
    };
    return thaw_feature_cache_open(&options, cache);
}

static thaw_status fill_caches(struct thaw_pilots *p, const struct thaw_stage *candidates,
                               size_t count) {
    for (size_t i = 0; i < count; i++) {
        int cut = 0;
        THAW_TRY(find_cut(p, &candidates[i], &cut));
        if (cut && (!p->start || cut < p->start))
            p->start = cut;
    }
    const struct thaw_layout *out = &p->o.graph->nodes[p->start].out;
    uint64_t size_bytes = (uint64_t)out->c * (uint64_t)out->h * (uint64_t)out->w *
                          thaw_feature_value_bytes(candidates->cache_dtype) * p->o.count *
                          (uint64_t)(1 + p->views);
    if (!on_disk(candidates) && size_bytes > thaw_memory_available_bytes() / 2)
        p->start = 0;
    if (!p->start)
        return THAW_OK;
    THAW_TRY(open_cache(p, candidates, 0, &p->plain));
    return p->views ? open_cache(p, candidates, p->views, &p->augmented) : THAW_OK;
}

static thaw_status parse_augment(struct thaw_pilots *p, const struct thaw_stage *stage) {
    THAW_TRY(thaw_augment_parse(&p->arena, stage->augment, &p->augment));
    size_t kept = 0;
    for (size_t i = 0; i < p->augment.count; i++)
        if (!p->augment.entries[i].augmentation->mixes)
            p->augment.entries[kept++] = p->augment.entries[i];
    p->augment.count = kept;
    if (kept)
        p->views = stage->cache_views        ? stage->cache_views
                   : p->o.epochs < VIEWS_MAX ? p->o.epochs
                                             : VIEWS_MAX;
    return THAW_OK;
}

static thaw_status open_pilots(struct thaw_pilots *p, const struct thaw_stage *candidates,
                               size_t count) {
    const struct thaw_pilot_options *o = &p->o;
    THAW_TRY(parse_augment(p, candidates));
    THAW_TRY(thaw_metrics_init(&p->arena, o->classes, &p->metrics));
    THAW_TRY(thaw_augmenter_create(o->graph->device, o->input, &p->augment, o->config->seed,
                                   &p->augmenter));
    THAW_TRY(thaw_augmenter_create(o->graph->device, o->input, NULL, o->config->seed,
                                   &p->plain_augmenter));
    return fill_caches(p, candidates, count);
}

thaw_status thaw_pilots_init(const struct thaw_pilot_options *options,
                             const struct thaw_stage *candidates, size_t count,
                             struct thaw_pilots *ret_pilots) {
    *ret_pilots = (struct thaw_pilots){.o = *options}; /* in place: the augmenter borrows a list */
    thaw_status status = open_pilots(ret_pilots, candidates, count);
    if (status != THAW_OK)
        thaw_pilots_finish(ret_pilots);
    return status;
}

void thaw_pilots_finish(struct thaw_pilots *p) {
    thaw_augmenter_destroy(&p->augmenter);
    thaw_augmenter_destroy(&p->plain_augmenter);
    thaw_feature_cache_finish(&p->augmented);
    thaw_feature_cache_finish(&p->plain);
    thaw_arena_finish(&p->arena);
    *p = (struct thaw_pilots){0};
}

/* ---- a pilot -------------------------------------------------------------------------------- */

/* Feeds of one pilot: from the caches where it starts above the image. */
struct feeds {
    struct thaw_feed train, val;
};

static struct feeds make_feeds(const struct thaw_pilots *p, int start) {
    struct thaw_feed feed = {.device = p->o.graph->device,
                             .loader = p->o.loader,
                             .augmenter = p->augmenter,
                             .seed = p->o.config->seed};
    struct feeds feeds = {feed, feed};
    feeds.val.augmenter = p->plain_augmenter;
    if (start) {
        feeds.train.cache = p->views ? &p->augmented : &p->plain;
        feeds.val.cache = &p->plain;
    }
    return feeds;
}

static thaw_status on_evaluated(void *user, size_t done, size_t total) {
    const struct thaw_pilots *p = user;
    return p->o.poll(p->o.user, p->label, done, total);
}

static thaw_status judge(struct thaw_pilots *p, struct thaw_fit *fit, double *ret_values) {
    THAW_TRY(thaw_fit_evaluate(fit, on_evaluated, p, &p->metrics));
    for (int m = 0; m < THAW_METRIC_COUNT; m++)
        ret_values[m] = thaw_metrics_value(&p->metrics, (enum thaw_metric)m);
    return THAW_OK;
}

static thaw_status run_epoch(const struct thaw_pilots *p, struct thaw_fit *fit,
                             struct thaw_pilot_result *result) {
    struct thaw_train_state *state = fit->o.state;
    size_t total = (size_t)p->o.epochs * (size_t)fit->steps;
    thaw_fit_begin_epoch(fit);
    while (state->step < fit->steps) {
        THAW_TRY(p->o.poll(p->o.user, p->label, (size_t)state->stage_steps, total));
        THAW_TRY(thaw_fit_step(fit));
    }
    result->train_loss = thaw_fit_loss(fit);
    thaw_fit_end_epoch(fit);
    return THAW_OK;
}

static thaw_status run_epochs(struct thaw_pilots *p, struct thaw_fit *fit,
                              struct thaw_pilot_result *result) {
    struct thaw_train_state *state = fit->o.state;
    while (state->epoch < p->o.epochs && !result->stopped) {
        THAW_TRY(run_epoch(p, fit, result));
        if (!p->goes_on || state->epoch != p->o.epochs / 2)
            continue;
        THAW_TRY(judge(p, fit, result->halfway));
        result->stopped = !p->goes_on(p->goes_on_user, result);
    }
    return THAW_OK;
}

static thaw_status fit_and_judge(struct thaw_pilots *p, struct thaw_fit *fit,
                                 struct thaw_pilot_result *result) {
    thaw_status status = run_epochs(p, fit, result);
    result->steps = fit->o.state->stage_steps;
    if (status == THAW_OK && !result->stopped)
        status = judge(p, fit, result->values);
    result->diverged = fit->diverged || (status == THAW_OK && !isfinite(p->metrics.loss));
    for (int m = 0; m < THAW_METRIC_COUNT && (result->diverged || result->stopped); m++)
        result->values[m] = (double)NAN;
    return fit->diverged ? THAW_OK : status;
}

/* norm: auto, as the stage would have it. */
static thaw_status settle_rates(struct thaw_fit *fit) {
    double sharpness = 0;
    if (!thaw_sharpness_matters(fit))
        return THAW_OK;
    thaw_fit_begin_epoch(fit);
    THAW_TRY(thaw_sharpness_measure(fit, &sharpness));
    thaw_sharpness_divide(fit->o.session, thaw_sharpness_divisor(sharpness));
    return THAW_OK;
}

static thaw_status train_and_judge(struct thaw_pilots *p, struct thaw_session *session,
                                   const uint32_t *train, size_t train_count, const uint32_t *val,
                                   size_t val_count, struct thaw_pilot_result *result) {
    struct thaw_train_state state = {.stage = p->o.stage};
    struct feeds feeds = make_feeds(p, session->start);
    struct thaw_members set = {.photos = p->o.photos, .labels = p->o.labels};
    struct thaw_fit_options options = {.session = session,
                                       .state = &state,
                                       .train = set,
                                       .val = set,
                                       .class_weights = p->o.class_weights,
                                       .classes = p->o.classes};
    options.train.feed = &feeds.train;
    options.train.rows = train;
    options.train.count = train_count;
    options.val.feed = &feeds.val;
    options.val.rows = val;
    options.val.count = val_count;
    struct thaw_fit fit = {0};
    THAW_TRY(thaw_session_start(session));
    thaw_status status = thaw_fit_init(&options, &fit);
    if (status == THAW_OK && session->stage->norm_auto)
        status = settle_rates(&fit);
    if (status == THAW_OK)
        status = fit_and_judge(p, &fit, result);
    thaw_fit_finish(&fit);
    return status;
}

thaw_status thaw_pilot_run(struct thaw_pilots *p, const struct thaw_stage *candidate,
                           const uint32_t *train, size_t train_count, const uint32_t *val,
                           size_t val_count, struct thaw_pilot_result *ret_result) {
    struct thaw_pilot_result result = {0};
    struct thaw_session session = {0};
    struct thaw_stage stage = uncached(candidate);
    struct thaw_graph *graph = p->o.graph;
    struct thaw_pilot_time started = thaw_pilot_time();
    THAW_TRY(thaw_session_init(p->o.config, &stage, graph, (int)train_count, &session));
    session.pressed_epochs = p->o.epochs;
    session.start = p->start && thaw_graph_cut(graph) >= p->start ? p->start : 0;
    result.cached = session.start > 0;
    cl_mem *copies = thaw_arena_array(&session.arena, graph->param_count + 1, sizeof(cl_mem));
    thaw_status status = copies ? save_values(graph, copies) : THAW_ERROR_MEMORY;
    if (status == THAW_OK)
        status = train_and_judge(p, &session, train, train_count, val, val_count, &result);
    status = restore_values(graph, copies, p->keep, status);
    thaw_session_finish(&session);
    THAW_TRY(status);
    result.ran = true;
    result.cpu_s = thaw_pilot_time().cpu_s - started.cpu_s;
    result.wall_s = thaw_pilot_time().wall_s - started.wall_s;
    *ret_result = result;
    return THAW_OK;
}

/* ---- gradients ------------------------------------------------------------------------------ */

/* Adds the squares of a tensor's gradient and of its values to its part's sums. */
static thaw_status add_squares(const struct thaw_session *s, const struct thaw_param *param,
                               float *scratch, double *gradient, double *value) {
    const struct thaw_graph *graph = s->graph;
    cl_mem buffer = thaw_exec_gradient(s->train, (int)(param - graph->params));
    size_t count = thaw_param_count_values(param);
    if (!param->trainable || !buffer)
        return THAW_OK;
    THAW_TRY(thaw_filter_read(graph->device, &param->spec->filter, buffer, scratch));
    for (size_t i = 0; i < count; i++)
        *gradient += (double)scratch[i] * (double)scratch[i];
    THAW_TRY(thaw_param_read(graph, param, scratch));
    for (size_t i = 0; i < count; i++)
        *value += (double)scratch[i] * (double)scratch[i];
    return THAW_OK;
}

static thaw_status add_norms(const struct thaw_session *s, float *scratch, double *sums,
                             double *norms) {
    const struct thaw_graph *graph = s->graph;
    size_t parts = graph->stage_count + 1;
    memset(sums, 0, 2 * parts * sizeof *sums);
    for (size_t i = 0; i < graph->param_count; i++) {
        int part = thaw_graph_stage_of(graph, graph->params[i].node);
        if (part >= 0)
            THAW_TRY(add_squares(s, &graph->params[i], scratch, &sums[part],
                                 &sums[parts + (size_t)part]));
    }
    for (size_t k = 0; k < parts; k++)
        norms[k] += sums[parts + k] > 0 ? sqrt(sums[k] / sums[parts + k]) : 0;
    return THAW_OK;
}

/* Gradients of a few batches of a fit that is not stepped. */
static thaw_status measure_norms(struct thaw_pilots *p, struct thaw_session *session, int batches,
                                 double *norms) {
    const struct thaw_graph *graph = p->o.graph;
    size_t largest = 1;
    for (size_t i = 0; i < graph->param_count; i++) {
        size_t count = thaw_param_count_values(&graph->params[i]);
        largest = count > largest ? count : largest;
    }
    float *scratch = thaw_arena_array(&session->arena, largest, sizeof *scratch);
    double *sums = thaw_arena_array(&session->arena, 2 * (graph->stage_count + 1), sizeof *sums);
    struct thaw_train_state state = {.stage = p->o.stage};
    struct feeds feeds = make_feeds(p, 0);
    struct thaw_fit_options options = {.session = session,
                                       .state = &state,
                                       .class_weights = p->o.class_weights,
                                       .classes = p->o.classes};
    options.train = (struct thaw_members){&feeds.train, p->o.photos, p->o.labels, NULL, p->o.count};
    struct thaw_fit fit = {0};
    if (!scratch || !sums)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_session_start(session));
    THAW_TRY(thaw_fit_init(&options, &fit));
    thaw_fit_begin_epoch(&fit);
    thaw_status status = THAW_OK;
    int done = 0;
    for (; done < batches && done < fit.steps && status == THAW_OK; done++) {
        status = p->o.poll(p->o.user, "measuring gradients", (size_t)done, (size_t)batches);
        if (status == THAW_OK)
            status = thaw_fit_gradient(&fit);
        if (status == THAW_OK)
            status = add_norms(session, scratch, sums, norms);
        state.step++;
    }
    thaw_fit_finish(&fit);
    for (size_t k = 0; k <= graph->stage_count && done; k++)
        norms[k] /= done;
    return status;
}

thaw_status thaw_pilot_gradient_norms(struct thaw_pilots *p, const struct thaw_stage *stage,
                                      int batches, double *ret_norms) {
    struct thaw_graph *graph = p->o.graph;
    struct thaw_session session = {0};
    struct thaw_stage all = uncached(stage);
    struct thaw_lr_rule rule = {.lr = {.value = 1, .place = stage->place}};
    all.automatic_pattern = "all";
    all.lr_rules = &rule; /* every tensor has one, whatever the stage's rules match */
    all.lr_rule_count = 1;
    THAW_TRY(thaw_session_init(p->o.config, &all, graph, (int)p->o.count, &session));
    memset(ret_norms, 0, (graph->stage_count + 1) * sizeof *ret_norms);
    cl_mem *copies = thaw_arena_array(&session.arena, graph->param_count + 1, sizeof(cl_mem));
    thaw_status status = copies ? save_values(graph, copies) : THAW_ERROR_MEMORY;
    if (status == THAW_OK)
        status = measure_norms(p, &session, batches, ret_norms);
    status = restore_values(graph, copies, false, status); /* running statistics have moved */
    thaw_session_finish(&session);
    return status;
}
