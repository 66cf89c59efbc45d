/* Within a stage: epochs, keeping the best, stopping early, checkpoints. */

#include "train/trainer_internal.h"

#include "core/clock.h"

thaw_status thaw_trainer_poll(const struct thaw_trainer *t) {
    if (t->events->interrupted && *t->events->interrupted)
        return thaw_fail(THAW_INTERRUPTED, "interrupted");
    return THAW_OK;
}

/* ---- reporting ------------------------------------------------------------------------------ */

static struct thaw_train_progress progress_of(const struct thaw_trainer *t, double images_per_s) {
    const struct thaw_stage *stage = t->session.stage;
    double steps_left = (double)(stage->epochs - t->state.epoch) * t->fit.steps - t->state.step;
    return (struct thaw_train_progress){
        .stage_left_s = images_per_s > 0 ? steps_left * stage->batch / images_per_s : 0,
        .stage = stage->name,
        .stage_number = t->state.stage + 1,
        .stage_count = (int)t->config->stage_count,
        .epoch = t->state.epoch + 1,
        .epochs = stage->epochs,
        .step = t->state.step,
        .steps = t->fit.steps,
        .loss = thaw_fit_loss(&t->fit),
        .images_per_s = images_per_s,
    };
}

static thaw_status record_epoch(struct thaw_trainer *t, const struct thaw_train_progress *p,
                                double lr) {
    json_t *object =
        json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:b}", "stage", p->stage, "stage_index",
                  t->state.stage, "epoch", p->epoch, "steps", (int)t->state.counter, "lr_factor",
                  lr, "train_loss", p->loss, "images_per_s", p->images_per_s, "elapsed_s",
                  t->state.elapsed_s + thaw_clock_s() - t->started_s, "kept", (int)p->kept);
    if (p->val) {
        json_object_set_new(object, "val",
                            json_pack("{s:f, s:f, s:f, s:f}", "loss", p->val->loss, "top1",
                                      p->val->top1, "balanced", p->val->balanced, "macro_f1",
                                      p->val->macro_f1));
        if (p->val->classes <= 100)
            json_object_set_new(object, "confusion", thaw_metrics_confusion_json(p->val));
    }
    return thaw_run_folder_append(&t->folder, object);
}

/* ---- after an epoch ------------------------------------------------------------------------- */

/* Copies what the stage may change to the side; written to the model file with the next checkpoint.
 */
static thaw_status keep_params(struct thaw_trainer *t) {
    for (size_t i = 0; i < t->graph->param_count; i++) {
        const struct thaw_param *param = &t->graph->params[i];
        size_t size_bytes = thaw_filter_size(&param->spec->filter) * sizeof(float);
        bool changes = param->trainable || (param->spec->kind == THAW_PARAM_STATISTIC &&
                                            t->graph->nodes[param->node].batch_statistics);
        if (!changes && !t->best[i])
            continue; /* as it was when the graph was loaded */
        if (!t->best[i])
            THAW_TRY(thaw_buffer_create(t->device, size_bytes, &t->best[i]));
        THAW_TRY(thaw_buffer_copy(t->device, param->value, 0, t->best[i], 0, size_bytes));
    }
    t->best_unsaved = true;
    return THAW_OK;
}

static thaw_status evaluation_progress(void *user, size_t done, size_t total) {
    const struct thaw_trainer *t = user;
    if (t->events->on_working)
        t->events->on_working(t->events->user, "evaluating", done, total);
    return thaw_trainer_poll(t);
}

/* Better than the kept epoch by the run's metric; of equals, by validation loss. The first one
 * stays when that is equal, too. */
static bool beats_best(const struct thaw_trainer *t, double value) {
    if (thaw_metric_better(t->config->metric, value, t->state.best))
        return true;
    return value == t->state.best && t->metrics.loss < t->state.best_loss;
}

/* Whether this epoch is to be kept, and whether the stage should stop. */
static void judge(struct thaw_trainer *t, bool *ret_keep, bool *ret_stop) {
    const struct thaw_stage *stage = t->session.stage;
    double value = thaw_metrics_value(&t->metrics, t->config->metric);
    double stop_value = thaw_metrics_value(&t->metrics, stage->early_stop_metric);
    *ret_keep = t->config->keep_last || !t->val.count || !t->state.has_best || beats_best(t, value);
    if (*ret_keep) {
        t->state.has_best = true;
        t->state.best = value;
        t->state.best_loss = t->metrics.loss;
        t->state.best_stage = t->state.stage;
        t->state.best_epoch = t->state.epoch + 1;
    }
    if (!t->state.stage_has_best ||
        thaw_metric_better(stage->early_stop_metric, stop_value, t->state.stage_best)) {
        t->state.stage_has_best = true;
        t->state.stage_best = stop_value;
        t->state.stale_epochs = 0;
    } else {
        t->state.stale_epochs++;
    }
    *ret_stop = stage->early_stop_patience && t->val.count &&
                t->state.stale_epochs >= stage->early_stop_patience;
}

/* Statistics that fit the averaged weights, where the stage moves them and the average asks. */
static thaw_status measure_averaged(struct thaw_trainer *t) {
    bool moving = false;
    for (size_t i = 0; i < t->graph->node_count; i++)
        moving |= t->graph->nodes[i].batch_statistics;
    return moving && t->session.average.type->measures_statistics ? thaw_trainer_refresh_norm(t)
                                                                  : THAW_OK;
}

thaw_status thaw_trainer_settle_average(struct thaw_trainer *t) {
    struct thaw_stage_memory *memory = &t->session.memory;
    if (!memory->averaged)
        return THAW_OK;
    THAW_TRY(thaw_stage_memory_swap(memory, t->graph));
    thaw_status status = measure_averaged(t);
    if (status != THAW_OK) {
        thaw_status back = thaw_stage_memory_swap(memory, t->graph);
        return back == THAW_OK ? status : back;
    }
    thaw_stage_memory_drop_averages(memory, t->graph);
    return THAW_OK;
}

static thaw_status evaluate_and_keep(struct thaw_trainer *t, bool *ret_keep, bool *ret_stop) {
    if (t->val.count)
        THAW_TRY(thaw_fit_evaluate(&t->fit, evaluation_progress, t, &t->metrics));
    judge(t, ret_keep, ret_stop);
    return *ret_keep ? keep_params(t) : THAW_OK;
}

/* With the averaged weights in place; training goes on with its own. */
static thaw_status evaluate_average(struct thaw_trainer *t, bool *ret_keep, bool *ret_stop) {
    THAW_TRY(thaw_stage_memory_swap(&t->session.memory, t->graph));
    thaw_status status = measure_averaged(t);
    if (status == THAW_OK)
        status = evaluate_and_keep(t, ret_keep, ret_stop);
    thaw_status back = thaw_stage_memory_swap(&t->session.memory, t->graph);
    return status == THAW_OK ? back : status;
}

static thaw_status finish_epoch(struct thaw_trainer *t, double images_per_s, bool *ret_stop) {
    bool keep = false;
    THAW_TRY(t->session.memory.averaged ? evaluate_average(t, &keep, ret_stop)
                                        : evaluate_and_keep(t, &keep, ret_stop));
    struct thaw_train_progress progress = progress_of(t, images_per_s);
    progress.val = t->val.count ? &t->metrics : NULL;
    progress.kept = keep;
    bool stepped = t->state.stage_steps > 0; /* norm: refresh takes no step */
    THAW_TRY(record_epoch(
        t, &progress, stepped ? thaw_session_lr_factor(&t->session, t->state.stage_steps - 1) : 0));
    if (t->events->on_epoch)
        t->events->on_epoch(t->events->user, &progress);
    thaw_fit_end_epoch(&t->fit);
    return THAW_OK;
}

/* ---- epochs --------------------------------------------------------------------------------- */

/* Saves now and then. An interrupt ends the run, which saves too: thaw_train(). */
static thaw_status maybe_checkpoint(struct thaw_trainer *t) {
    THAW_TRY(thaw_trainer_poll(t));
    const struct thaw_config *config = t->config;
    bool due = config->checkpoint_steps
                   ? t->state.counter - t->saved_counter >= (uint32_t)config->checkpoint_steps
                   : thaw_clock_s() - t->saved_s >= config->checkpoint_s;
    return due ? thaw_trainer_checkpoint(t) : THAW_OK;
}

static thaw_status run_epoch(struct thaw_trainer *t, bool *ret_stop) {
    double start_s = thaw_clock_s(), images_per_s = 0;
    size_t images = 0;
    if (t->session.stage->norm == THAW_NORM_REFRESH) {
        THAW_TRY(thaw_trainer_refresh_norm(t));
        return finish_epoch(t, (double)t->train.count / (thaw_clock_s() - start_s), ret_stop);
    }
    thaw_fit_begin_epoch(&t->fit);
    while (t->state.step < t->fit.steps) {
        THAW_TRY(thaw_fit_step(&t->fit));
        thaw_trainer_watch(t);
        images += (size_t)t->session.stage->batch;
        images_per_s = (double)images / (thaw_clock_s() - start_s);
        struct thaw_train_progress progress = progress_of(t, images_per_s);
        if (t->events->on_step)
            t->events->on_step(t->events->user, &progress);
        THAW_TRY(maybe_checkpoint(t));
    }
    return finish_epoch(t, images_per_s, ret_stop);
}

static struct thaw_members members(const struct thaw_trainer_set *set,
                                   const struct thaw_feed *feed) {
    return (struct thaw_members){
        .feed = feed, .photos = set->photos, .labels = set->labels, .count = set->count};
}

thaw_status thaw_trainer_epochs(struct thaw_trainer *t) {
    struct thaw_fit_options options = {.session = &t->session,
                                       .state = &t->state,
                                       .train = members(&t->train, &t->train_feed),
                                       .val = members(&t->val, &t->val_feed),
                                       .class_weights = t->class_weights,
                                       .classes = (int)t->dataset->class_count};
    bool stop = false;
    THAW_TRY(thaw_fit_init(&options, &t->fit));
    thaw_fit_begin_epoch(&t->fit);
    THAW_TRY(thaw_trainer_check_steepness(t));
    while (t->state.epoch < t->session.stage->epochs && !stop) {
        THAW_TRY(run_epoch(t, &stop));
        THAW_TRY(maybe_checkpoint(t));
    }
    return THAW_OK;
}
