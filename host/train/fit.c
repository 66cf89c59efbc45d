#include "train/fit.h"

#include <math.h>

#include "core/rng.h"
#include "data/targets.h"

thaw_status thaw_fit_class_weights(const struct thaw_config *config, const int *labels,
                                   size_t count, size_t classes, struct thaw_arena *arena,
                                   float **ret_weights) {
    if (!config->balanced_weights && !config->class_weights) {
        *ret_weights = NULL;
        return THAW_OK;
    }
    float *weights = thaw_arena_array(arena, classes, sizeof *weights);
    if (!weights)
        return THAW_ERROR_MEMORY;
    if (!config->balanced_weights && config->class_weights->count != classes)
        return thaw_yaml_fail(config->class_weights,
                              "expected %zu weights, one for each class, got %zu", classes,
                              config->class_weights->count);
    for (size_t i = 0; i < count && config->balanced_weights; i++)
        weights[labels[i]]++;
    for (size_t c = 0; c < classes; c++) {
        double weight = 0;
        if (config->balanced_weights) {
            weights[c] = (float)count / ((float)classes * weights[c]);
            continue;
        }
        THAW_TRY(thaw_yaml_double(config->class_weights->items[c], 0, 1e6, &weight));
        weights[c] = (float)weight;
    }
    *ret_weights = weights;
    return THAW_OK;
}

thaw_status thaw_fit_init(const struct thaw_fit_options *options, struct thaw_fit *ret_fit) {
    struct thaw_fit fit = {.o = *options};
    size_t batch = (size_t)options->session->stage->batch, classes = (size_t)options->classes;
    fit.order = thaw_arena_array(&fit.arena, options->train.count + 1, sizeof *fit.order);
    fit.labels = thaw_arena_array(&fit.arena, batch, sizeof *fit.labels);
    fit.partner = thaw_arena_array(&fit.arena, batch, sizeof *fit.partner);
    fit.lambda = thaw_arena_array(&fit.arena, batch, sizeof *fit.lambda);
    fit.targets = thaw_arena_array(&fit.arena, batch * classes, sizeof *fit.targets);
    fit.losses = thaw_arena_array(&fit.arena, batch, sizeof *fit.losses);
    fit.images = thaw_arena_array(&fit.arena, batch, sizeof *fit.images);
    if (!fit.order || !fit.labels || !fit.partner || !fit.lambda || !fit.targets || !fit.losses ||
        !fit.images) {
        thaw_arena_finish(&fit.arena);
        return THAW_ERROR_MEMORY;
    }
    fit.steps = (int)((options->train.count + batch - 1) / batch);
    *ret_fit = fit;
    return THAW_OK;
}

void thaw_fit_finish(struct thaw_fit *fit) {
    thaw_arena_finish(&fit->arena);
    *fit = (struct thaw_fit){0};
}

void thaw_fit_begin_epoch(struct thaw_fit *fit) {
    const struct thaw_members *train = &fit->o.train;
    const struct thaw_train_state *state = fit->o.state;
    for (size_t i = 0; i < train->count; i++)
        fit->order[i] = thaw_members_row(train, i);
    struct thaw_rng rng = thaw_rng_init(fit->o.session->config->seed, THAW_RNG_SHUFFLE,
                                        (uint32_t)state->stage, (uint32_t)state->epoch);
    thaw_rng_shuffle(&rng, fit->order, train->count);
}

/* Draws of augmentation must differ between stages too. */
uint32_t thaw_fit_augment_epoch(const struct thaw_train_state *state) {
    return (uint32_t)state->stage << 20 | (uint32_t)state->epoch;
}

static thaw_status diverged(struct thaw_fit *fit) {
    const struct thaw_train_state *state = fit->o.state;
    fit->diverged = true;
    thaw_fail(THAW_ERROR_RUNTIME, "stage '%s', epoch %d, step %d: the loss is not a finite number",
              fit->o.session->stage->name, state->epoch + 1, state->step + 1);
    return thaw_hint(THAW_ERROR_RUNTIME,
                     "lower the stage's lr, or warm it up: schedule: {type: cosine, "
                     "warmup: 100}");
}

/* Fills the inputs and the targets of a part of a batch; `ret_norm` divides the whole batch's loss.
 */
static thaw_status fill_part(struct thaw_fit *fit, const uint32_t *rows, int count,
                             const struct thaw_feed_part *part, double *ret_norm) {
    const struct thaw_session *s = fit->o.session;
    const struct thaw_members *train = &fit->o.train;
    struct thaw_mix mix = {fit->partner, fit->lambda};
    for (int i = 0; i < count; i++)
        fit->labels[i] = train->labels[rows[i]];
    THAW_TRY(thaw_feed_fill_part(train->feed, train->photos, rows, count,
                                 thaw_fit_augment_epoch(fit->o.state), part,
                                 thaw_exec_input(s->train), &mix));
    struct thaw_targets targets = {.labels = fit->labels,
                                   .count = count,
                                   .classes = fit->o.classes,
                                   .partner = mix.partner,
                                   .lambda = mix.lambda,
                                   .smoothing = (float)s->config->label_smoothing,
                                   .class_weights = fit->o.class_weights};
    thaw_targets_fill(&targets, fit->targets, ret_norm);
    return thaw_tensor_write(s->graph->device, thaw_exec_targets(s->train), part->count,
                             fit->targets + (size_t)part->first * (size_t)fit->o.classes);
}

static thaw_status announce_next(const struct thaw_fit *fit, size_t first) {
    const struct thaw_members *train = &fit->o.train;
    size_t left = train->count - first, batch = (size_t)fit->o.session->stage->batch;
    return thaw_feed_announce(train->feed, train->photos, fit->order + first,
                              (int)(left < batch ? left : batch));
}

/* Forward and backward of a part; its losses go to their place in the batch's. */
static thaw_status run_part(struct thaw_fit *fit, const struct thaw_feed_part *part, double norm) {
    const struct thaw_session *s = fit->o.session;
    struct thaw_op_step step = {.batch = part->count,
                                .first = part->first,
                                .seed = s->config->seed,
                                .counter = fit->o.state->counter,
                                .loss_scale = (float)(1 / norm)};
    THAW_TRY(thaw_exec_forward(s->train, &step));
    THAW_TRY(thaw_exec_backward(s->train, &step));
    return thaw_tensor_read(s->graph->device, thaw_exec_losses(s->train), part->count,
                            fit->losses + part->first);
}

thaw_status thaw_fit_gradient(struct thaw_fit *fit) {
    const struct thaw_session *s = fit->o.session;
    struct thaw_train_state *state = fit->o.state;
    size_t batch = (size_t)s->stage->batch, first = (size_t)state->step * batch;
    size_t left = fit->o.train.count - first;
    int count = (int)(left < batch ? left : batch), size = thaw_stage_part(s->stage);
    double norm = 0, sum = 0;
    for (int at = 0; at < count; at += size) {
        struct thaw_feed_part part = {at, count - at < size ? count - at : size, fit->images};
        THAW_TRY(fill_part(fit, fit->order + first, count, &part, &norm));
        if (!at)
            THAW_TRY(announce_next(fit, first + (size_t)count));
        THAW_TRY(run_part(fit, &part, norm));
    }
    for (int i = 0; i < count; i++)
        sum += (double)fit->losses[i];
    if (!isfinite(sum))
        return diverged(fit);
    fit->step_loss = sum / norm;
    state->loss_sum += sum;
    state->loss_norm += norm;
    return THAW_OK;
}

thaw_status thaw_fit_step(struct thaw_fit *fit) {
    struct thaw_train_state *state = fit->o.state;
    THAW_TRY(thaw_fit_gradient(fit));
    THAW_TRY(thaw_session_update(fit->o.session, state->stage_steps));
    state->step++;
    state->stage_steps++;
    state->counter++;
    return THAW_OK;
}

void thaw_fit_end_epoch(struct thaw_fit *fit) {
    struct thaw_train_state *state = fit->o.state;
    state->epoch++;
    state->step = 0;
    state->loss_sum = state->loss_norm = 0;
}

double thaw_fit_loss(const struct thaw_fit *fit) {
    const struct thaw_train_state *state = fit->o.state;
    return state->loss_norm > 0 ? state->loss_sum / state->loss_norm : 0;
}

thaw_status thaw_fit_evaluate(const struct thaw_fit *fit, thaw_feed_progress *progress, void *user,
                              struct thaw_metrics *metrics) {
    const struct thaw_session *s = fit->o.session;
    THAW_TRY(thaw_exec_fold(s->eval));
    return thaw_evaluate(s->eval, s->graph, thaw_stage_part(s->stage), &fit->o.val, progress, user,
                         metrics, NULL);
}
