/* Within a stage: steps, evaluation, keeping the best, stopping early. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/rng.h"
#include "data/targets.h"
#include "train/trainer_internal.h"

#define CHECKPOINT_EVERY_S 60

double thaw_clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

thaw_status thaw_trainer_poll(const struct thaw_trainer *t) {
    if (t->events->interrupted && *t->events->interrupted)
        return thaw_fail(THAW_INTERRUPTED, "interrupted");
    return THAW_OK;
}

/* ---- one step ------------------------------------------------------------------------------- */

/* Host buffers of one batch, and the epoch's order. */
struct epoch {
    uint32_t *order; /* positions in the training set */
    int *labels, *partner;
    float *lambda, *targets, *losses;
    int steps;
};

static thaw_status epoch_init(struct thaw_trainer *t, struct thaw_arena *arena, struct epoch *e) {
    size_t batch = (size_t)t->session.stage->batch, classes = t->dataset->class_count;
    e->order = thaw_arena_array(arena, t->train.count + 1, sizeof *e->order);
    e->labels = thaw_arena_array(arena, batch, sizeof *e->labels);
    e->partner = thaw_arena_array(arena, batch, sizeof *e->partner);
    e->lambda = thaw_arena_array(arena, batch, sizeof *e->lambda);
    e->targets = thaw_arena_array(arena, batch * classes, sizeof *e->targets);
    e->losses = thaw_arena_array(arena, batch, sizeof *e->losses);
    if (!e->order || !e->labels || !e->partner || !e->lambda || !e->targets || !e->losses)
        return THAW_ERROR_MEMORY;
    e->steps = t->session.steps_per_epoch;
    for (size_t i = 0; i < t->train.count; i++)
        e->order[i] = (uint32_t)i;
    struct thaw_rng rng = thaw_rng_init(t->config->seed, THAW_RNG_SHUFFLE, (uint32_t)t->state.stage,
                                        (uint32_t)t->state.epoch);
    thaw_rng_shuffle(&rng, e->order, t->train.count);
    return THAW_OK;
}

/* Draws of augmentation must differ between stages too. */
static uint32_t augment_epoch(const struct thaw_trainer *t) {
    return (uint32_t)t->state.stage << 20 | (uint32_t)t->state.epoch;
}

static thaw_status diverged(const struct thaw_trainer *t) {
    thaw_fail(THAW_ERROR_RUNTIME, "stage '%s', epoch %d, step %d: the loss is not a finite number",
              t->session.stage->name, t->state.epoch + 1, t->state.step + 1);
    return thaw_hint(THAW_ERROR_RUNTIME,
                     "lower the stage's lr, or warm it up: schedule: {type: cosine, "
                     "warmup: 100}");
}

static thaw_status train_step(struct thaw_trainer *t, struct epoch *e) {
    struct thaw_session *s = &t->session;
    size_t first = (size_t)t->state.step * (size_t)s->stage->batch, left = t->train.count - first;
    int count = left < (size_t)s->stage->batch ? (int)left : s->stage->batch;
    const uint32_t *rows = e->order + first;
    struct thaw_mix mix = {e->partner, e->lambda};
    double norm;
    for (int i = 0; i < count; i++)
        e->labels[i] = t->train.labels[rows[i]];
    THAW_TRY(thaw_feed_fill(&t->train_feed, t->train.photos, rows, count, augment_epoch(t), true,
                            thaw_exec_input(s->train), &mix));
    struct thaw_targets targets = {.labels = e->labels,
                                   .count = count,
                                   .classes = (int)t->dataset->class_count,
                                   .partner = mix.partner,
                                   .lambda = mix.lambda,
                                   .smoothing = (float)t->config->label_smoothing,
                                   .class_weights = t->class_weights};
    thaw_targets_fill(&targets, e->targets, &norm);
    THAW_TRY(thaw_tensor_write(t->device, thaw_exec_targets(s->train), count, e->targets));
    struct thaw_op_step step = {.batch = count,
                                .seed = t->config->seed,
                                .counter = t->state.counter,
                                .loss_scale = (float)(1 / norm)};
    THAW_TRY(thaw_exec_forward(s->train, &step));
    THAW_TRY(thaw_exec_backward(s->train, &step));
    THAW_TRY(thaw_session_update(s, t->state.stage_steps));
    THAW_TRY(thaw_tensor_read(t->device, thaw_exec_losses(s->train), count, e->losses));
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (double)e->losses[i];
    if (!isfinite(sum))
        return diverged(t);
    t->state.loss_sum += sum;
    t->state.loss_norm += norm;
    t->state.step++;
    t->state.stage_steps++;
    t->state.counter++;
    return THAW_OK;
}

/* ---- reporting ------------------------------------------------------------------------------ */

static struct thaw_train_progress progress_of(const struct thaw_trainer *t, const struct epoch *e,
                                              double images_per_s) {
    const struct thaw_stage *stage = t->session.stage;
    double steps_left = (double)(stage->epochs - t->state.epoch) * e->steps - t->state.step;
    return (struct thaw_train_progress){
        .stage_left_s = images_per_s > 0 ? steps_left * stage->batch / images_per_s : 0,
        .stage = stage->name,
        .stage_number = t->state.stage + 1,
        .stage_count = (int)t->config->stage_count,
        .epoch = t->state.epoch + 1,
        .epochs = stage->epochs,
        .step = t->state.step,
        .steps = e->steps,
        .loss = t->state.loss_norm > 0 ? t->state.loss_sum / t->state.loss_norm : 0,
        .images_per_s = images_per_s,
    };
}

static json_t *confusion_json(const struct thaw_metrics *metrics) {
    json_t *rows = json_array();
    for (int i = 0; i < metrics->classes; i++) {
        json_t *row = json_array();
        for (int j = 0; j < metrics->classes; j++)
            json_array_append_new(
                row, json_integer((json_int_t)metrics->confusion[i * metrics->classes + j]));
        json_array_append_new(rows, row);
    }
    return rows;
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
            json_object_set_new(object, "confusion", confusion_json(p->val));
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
    (void)done, (void)total;
    return thaw_trainer_poll(user);
}

/* Whether this epoch is to be kept, and whether the stage should stop. */
static void judge(struct thaw_trainer *t, bool *ret_keep, bool *ret_stop) {
    const struct thaw_stage *stage = t->session.stage;
    double value = thaw_metrics_value(&t->metrics, t->config->metric);
    double stop_value = thaw_metrics_value(&t->metrics, stage->early_stop_metric);
    *ret_keep = t->config->keep_last || !t->val.count || !t->state.has_best ||
                thaw_metric_better(t->config->metric, value, t->state.best);
    if (*ret_keep) {
        t->state.has_best = true;
        t->state.best = value;
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

static thaw_status finish_epoch(struct thaw_trainer *t, const struct epoch *e, double images_per_s,
                                bool *ret_stop) {
    struct thaw_session *s = &t->session;
    bool keep = false;
    if (t->val.count) {
        THAW_TRY(thaw_exec_fold(s->eval));
        THAW_TRY(thaw_evaluate(s->eval, t->graph, s->stage->batch, &t->val_feed, t->val.photos,
                               t->val.labels, t->val.count, evaluation_progress, t, &t->metrics,
                               NULL));
    }
    judge(t, &keep, ret_stop);
    if (keep)
        THAW_TRY(keep_params(t));
    struct thaw_train_progress progress = progress_of(t, e, images_per_s);
    progress.val = t->val.count ? &t->metrics : NULL;
    progress.kept = keep;
    THAW_TRY(record_epoch(t, &progress, thaw_session_lr_factor(s, t->state.stage_steps - 1)));
    if (t->events->on_epoch)
        t->events->on_epoch(t->events->user, &progress);
    t->state.epoch++;
    t->state.step = 0;
    t->state.loss_sum = t->state.loss_norm = 0;
    return THAW_OK;
}

/* ---- epochs --------------------------------------------------------------------------------- */

/* Saves now and then. An interrupt ends the run, which saves too: thaw_train(). */
static thaw_status maybe_checkpoint(struct thaw_trainer *t) {
    THAW_TRY(thaw_trainer_poll(t));
    return thaw_clock_s() - t->saved_s < CHECKPOINT_EVERY_S ? THAW_OK : thaw_trainer_checkpoint(t);
}

static thaw_status run_epoch(struct thaw_trainer *t, bool *ret_stop) {
    struct thaw_arena arena = {0};
    struct epoch e = {0};
    double start_s = thaw_clock_s();
    size_t images = 0;
    double images_per_s = 0;
    thaw_status status = epoch_init(t, &arena, &e);
    while (status == THAW_OK && t->state.step < e.steps) {
        status = train_step(t, &e);
        if (status != THAW_OK)
            break;
        images += (size_t)t->session.stage->batch;
        images_per_s = (double)images / (thaw_clock_s() - start_s);
        struct thaw_train_progress progress = progress_of(t, &e, images_per_s);
        if (t->events->on_step)
            t->events->on_step(t->events->user, &progress);
        status = maybe_checkpoint(t);
    }
    if (status == THAW_OK)
        status = finish_epoch(t, &e, images_per_s, ret_stop);
    thaw_arena_finish(&arena);
    return status;
}

thaw_status thaw_trainer_epochs(struct thaw_trainer *t) {
    bool stop = false;
    while (t->state.epoch < t->session.stage->epochs && !stop) {
        THAW_TRY(run_epoch(t, &stop));
        THAW_TRY(maybe_checkpoint(t));
    }
    return THAW_OK;
}
