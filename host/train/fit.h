/* The steps of a stage over some rows of a set: order, batches, forward, backward, update, loss.
 *
 * Knows nothing of run folders, checkpoints and events: the trainer runs a stage with it, a pilot
 * (pilot.h) a fold of one. What a step does is a function of the graph's values, the optimizer's
 * slots, the run's seed and `state` alone, so that a caller who restores those continues to the
 * same bits. */
#ifndef THAW_TRAIN_FIT_H
#define THAW_TRAIN_FIT_H

#include "train/evaluate.h"
#include "train/session.h"

/* What a fit needs; everything is borrowed and must outlive it. */
struct thaw_fit_options {
    struct thaw_session *session; /* started before the first step */
    /* Where the fit stands: stage and epoch choose the draws, step, counter, stage_steps and the
     * loss sums move along. */
    struct thaw_train_state *state;
    struct thaw_members train, val; /* val.count 0: no evaluation */
    const float *class_weights;     /* a weight for each class, or NULL */
    int classes;
};

struct thaw_fit {
    struct thaw_fit_options o;
    int steps;        /* of an epoch */
    double step_loss; /* mean of the last step */
    bool diverged;    /* why a step failed: its loss was not finite */
    struct thaw_arena arena;
    uint32_t *order; /* positions in the training set: this epoch's */
    int *labels, *partner;
    float *lambda, *targets, *losses; /* of a batch */
    struct thaw_image *images;        /* likewise, while its parts go through the network */
};

/* The weights of classes in the loss that the experiment asks for; NULL when they are all 1.
 * Balanced: images / (classes x images of the class). THAW_ERROR_INPUT when it names another number
 * of weights than there are classes. */
thaw_status thaw_fit_class_weights(const struct thaw_config *config, const int *labels,
                                   size_t count, size_t classes, struct thaw_arena *arena,
                                   float **ret_weights);

thaw_status thaw_fit_init(const struct thaw_fit_options *options, struct thaw_fit *ret_fit);
void thaw_fit_finish(struct thaw_fit *fit); /* accepts {0} */

/* Shuffles the rows for state->epoch; before the epoch's first step, and when a run resumes within
 * an epoch. */
void thaw_fit_begin_epoch(struct thaw_fit *fit);
/* Forward and backward of the step that is next, and its loss added to the sums; nothing is updated
 * or counted. For those who look at gradients. */
thaw_status thaw_fit_gradient(struct thaw_fit *fit);
/* One step. THAW_ERROR_RUNTIME with a hint, and fit->diverged, when the loss is not finite. */
thaw_status thaw_fit_step(struct thaw_fit *fit);
/* The key of the augmentation draws of the epoch that `state` stands at. */
uint32_t thaw_fit_augment_epoch(const struct thaw_train_state *state);
/* state->epoch moves on; its step and loss sums go to 0. */
void thaw_fit_end_epoch(struct thaw_fit *fit);
/* Mean training loss of the epoch so far. */
double thaw_fit_loss(const struct thaw_fit *fit);
/* Of the rows of `val`, with the weights as they are. */
thaw_status thaw_fit_evaluate(const struct thaw_fit *fit, thaw_feed_progress *progress, void *user,
                              struct thaw_metrics *metrics);

#endif
