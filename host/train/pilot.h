/* Pilots: short trainings of what a stage might do, each from the same values, which decide how
 * deep it trains (auto.h) or at which rate (probe.h).
 *
 * A pilot trains a candidate, which is a stage with a choice made in it, on some rows of the
 * training set and judges it on others. All tensors of the graph are as before when it returns,
 * whatever happened, bit for bit (unless pilots.keep says otherwise). It does what the stage would
 * do but for these:
 *   - it takes `epochs` in place of the stage's; the schedule is pressed into them
 *   - there is no early stop, and the weights of the last epoch are judged
 *   - what lies below every candidate that leaves the first layers frozen is computed once, for all
 *     of them and all folds, and kept as the stage's own cache would be, on disk or in memory, of
 *     its dtype; in memory where it has none: the plain images to judge on, and, if the stage
 *     augments, `views` copies to train on: those of the stage's cache, or one for each epoch, at
 *     most four. A candidate that trains the first layers augments as the stage would
 *   - mixup is left out */
#ifndef THAW_TRAIN_PILOT_H
#define THAW_TRAIN_PILOT_H

#include "train/fit.h"

/* What pilots work on; borrowed. */
struct thaw_pilot_options {
    const struct thaw_config *config;
    struct thaw_graph *graph; /* on the device, with the values to start from */
    thaw_loader *loader;
    const struct thaw_input_spec *input;
    const uint32_t *photos; /* of the training set */
    const int *labels;
    size_t count;
    const float *class_weights; /* or NULL */
    int classes;
    int stage; /* its number: keys of random draws, as in the stage itself */
    int epochs;
    /* Between steps: a status other than THAW_OK ends the pilot with it; `what` is for people. */
    thaw_status (*poll)(void *user, const char *what, size_t done, size_t total);
    void *user;
};

struct thaw_pilot_result {
    bool ran;      /* set by every pilot that ends well */
    bool cached;   /* it started from the caches */
    bool diverged; /* the loss was not finite; values are NaN */
    bool stopped;  /* at half of its epochs; values are NaN */
    double values[THAW_METRIC_COUNT];
    double halfway[THAW_METRIC_COUNT]; /* where pilots.goes_on was asked */
    double train_loss;                 /* mean of the last epoch */
    int steps;
    double cpu_s, wall_s;
};

struct thaw_pilots {
    struct thaw_pilot_options o;
    struct thaw_arena arena;
    struct thaw_augment_list augment; /* of the stage, without what mixes */
    thaw_augmenter *augmenter, *plain_augmenter;
    int start; /* where candidates that the caches serve start; 0: there are no caches */
    int views; /* augmented copies of an image; 0: the stage does not augment */
    struct thaw_feature_cache augmented, plain; /* `augmented` is {0} without views */
    struct thaw_metrics metrics;                /* of the last pilot, in the arena */
    /* Asked after half of the epochs, when the pilot has been judged (result->halfway): whether it
     * goes on. One that does not ends there, without values. NULL: not asked, not judged. */
    bool (*goes_on)(void *user, const struct thaw_pilot_result *result);
    void *goes_on_user;
    bool keep;      /* what the next pilots trained stays when they succeed: a warm-up for others */
    char label[96]; /* what `poll` is told that runs */
};

/* CPU time of the process, all threads, and wall-clock time. */
struct thaw_pilot_time {
    double cpu_s, wall_s;
};
struct thaw_pilot_time thaw_pilot_time(void);

/* Prepares pilots of these candidates of one stage: finds the cut and fills the caches. Where they
 * are kept in memory and would take more than half of what is free there are none, and every
 * candidate starts at the image. */
thaw_status thaw_pilots_init(const struct thaw_pilot_options *options,
                             const struct thaw_stage *candidates, size_t count,
                             struct thaw_pilots *ret_pilots);
void thaw_pilots_finish(struct thaw_pilots *pilots); /* accepts {0} */

/* Trains on `train` and judges on `val`, positions in the set. */
thaw_status thaw_pilot_run(struct thaw_pilots *pilots, const struct thaw_stage *candidate,
                           const uint32_t *train, size_t train_count, const uint32_t *val,
                           size_t val_count, struct thaw_pilot_result *ret_result);

/* The relative gradient norm ||g|| / ||theta|| of each stage of the graph and, last, the head, mean
 * of `batches` of the training set: where the network disagrees most with the data (Lee et al.,
 * "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts", ICLR 2023). `ret_norms` has
 * stage_count + 1 values; 0 for a part without weights. */
thaw_status thaw_pilot_gradient_norms(struct thaw_pilots *pilots, const struct thaw_stage *stage,
                                      int batches, double *ret_norms);

#endif
