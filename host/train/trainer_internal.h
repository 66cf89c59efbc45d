/* Inside of the trainer, shared by trainer.c (the run: set-up, stages, files) and trainer_epoch.c
 * (what happens within a stage: epochs, keeping the best, checkpoints; the steps are fit.c's) and
 * trainer_choose.c (what a stage leaves to be chosen). */
#ifndef THAW_TRAIN_TRAINER_INTERNAL_H
#define THAW_TRAIN_TRAINER_INTERNAL_H

#include <jansson.h>

#include "train/collapse.h"
#include "train/experiment.h"
#include "train/fit.h"
#include "train/run_folder.h"
#include "train/trainer.h"

/* Members of a set: photo ids of the loader and their labels. */
struct thaw_trainer_set {
    const uint32_t *photos;
    int *labels;
    size_t count;
};

struct thaw_trainer {
    const struct thaw_config *config;
    const struct thaw_train_events *events;
    struct thaw_arena arena;
    thaw_device *device;
    struct thaw_experiment experiment;
    struct thaw_graph *graph;     /* the experiment's */
    struct thaw_dataset *dataset; /* likewise */
    thaw_loader *loader;
    thaw_augmenter *eval_augmenter;
    struct thaw_trainer_set train, val;
    float *class_weights; /* or NULL */
    char weights_hash[17];
    struct thaw_run_folder folder;
    struct thaw_text config_text;
    json_t *freeze, *choices; /* freeze.json and auto.json so far */
    struct thaw_train_state state;
    struct thaw_metrics metrics;
    cl_mem *best; /* copies of the parameters of the kept epoch that have changed since the model
                     file */
    bool best_unsaved;
    bool *changed; /* of a resumed run: by the stages up to the one it stands at */
    int *parts;    /* of each stage: thaw_stage.part, as planned */
    struct thaw_stage_memory between_stages; /* for a stage that continues the one before it */
    double started_s, saved_s;               /* clock */
    uint32_t saved_counter;                  /* state.counter of the last checkpoint */

    /* Of the stage at work: */
    struct thaw_stage stage; /* the configuration's, with what was chosen */
    struct thaw_session session;
    thaw_augmenter *augmenter;
    struct thaw_feature_cache train_cache, val_cache;
    struct thaw_feed train_feed, val_feed;
    struct thaw_fit fit;
    struct thaw_collapse collapse;
};

thaw_status thaw_trainer_checkpoint(struct thaw_trainer *t);
/* Runs the epochs of the stage that t->state stands at; its session and feeds are set up. */
thaw_status thaw_trainer_epochs(struct thaw_trainer *t);
/* The stage `index` with what was chosen in it so far; what was not stands for the deepest. */
thaw_status thaw_trainer_chosen_stage(struct thaw_trainer *t, int index,
                                      struct thaw_stage *ret_stage);
/* Sets t->stage, the one that t->state stands at. What it leaves open is chosen by pilots, told,
 * written to auto.json and to a checkpoint, so that a resumed run does not choose again. */
thaw_status thaw_trainer_choose(struct thaw_trainer *t);
/* At the end of a stage as written: its averages, where it took some, become the weights. */
thaw_status thaw_trainer_settle_average(struct thaw_trainer *t);
/* A choice of the run that stands in auto.json and in checkpoints, or NULL; borrowed. */
json_t *thaw_trainer_choice(const struct thaw_trainer *t, const char *stage, const char *key);
/* Keeps a choice of the stage at work: in the run folder, in a checkpoint, and on the screen.
 * Steals the reference. */
thaw_status thaw_trainer_record(struct thaw_trainer *t, const char *key, json_t *choice,
                                void (*table)(const json_t *, const char *, struct thaw_text *));
/* trainer_norm.c: the one epoch of a stage with norm: refresh; before the first step of a
 * stage, a warning where its rates are too high for its norm mode, or with norm: auto lower ones;
 * and a warning while it wrecks the network. */
thaw_status thaw_trainer_refresh_norm(struct thaw_trainer *t);
thaw_status thaw_trainer_check_steepness(struct thaw_trainer *t);
void thaw_trainer_watch(struct thaw_trainer *t);
/* THAW_INTERRUPTED once the caller's flag is up. */
thaw_status thaw_trainer_poll(const struct thaw_trainer *t);

#endif
