/* Training: runs the stages of an experiment and writes the run folder.
 *
 *   config.yaml        the experiment, fully resolved
 *   device.json        where and with what the run began
 *   split.csv          which image is in which part
 *   metrics.jsonl      one object an epoch
 *   model.safetensors  the kept weights with all that prediction needs
 *   last.safetensors   what a bit-exact resume needs
 *   freeze.json        a hash of every tensor before and after each stage
 *   auto.json          depths and rates that were chosen by pilots, and why: auto.h, probe.h
 *
 * Deterministic: the same experiment, device and build give the same bits, run after run and across
 * a resume. */
#ifndef THAW_TRAIN_TRAINER_H
#define THAW_TRAIN_TRAINER_H

#include <signal.h>

#include "io/load_report.h"
#include "train/config.h"
#include "train/metrics.h"

/* What happened in an epoch, or in a step so far. */
struct thaw_train_progress {
    const char *stage;
    int stage_number, stage_count; /* from 1 */
    int epoch, epochs;             /* from 1 */
    int step, steps;               /* from 1, of the epoch */
    double loss;                   /* mean over the epoch so far */
    double images_per_s;
    double stage_left_s;            /* until the stage's last step, at this speed */
    const struct thaw_metrics *val; /* at the end of an epoch, else NULL */
    bool kept;                      /* this epoch's weights went to model.safetensors */
};

/* How the caller follows a run; any function may be NULL. Called from the training thread. */
struct thaw_train_events {
    void *user;
    const volatile sig_atomic_t *interrupted; /* becoming 1 ends the run after a checkpoint */
    void (*on_message)(void *user, const char *text);
    void (*on_working)(void *user, const char *what, size_t done, size_t total);
    void (*on_load)(void *user, const char *file, const struct thaw_load_report *report);
    void (*on_step)(void *user, const struct thaw_train_progress *progress);
    void (*on_epoch)(void *user, const struct thaw_train_progress *progress);
};

struct thaw_train_options {
    bool resume;    /* continue the run in the folder; else the folder must hold none */
    bool overwrite; /* replace an earlier run in the folder */
};

/* THAW_INTERRUPTED after a checkpoint was written because events->interrupted was raised. */
thaw_status thaw_train(const struct thaw_config *config, thaw_device *device,
                       const struct thaw_train_options *options,
                       const struct thaw_train_events *events);

/* The run folder of an experiment: <output>/<name>. */
char *thaw_train_folder(struct thaw_arena *arena, const struct thaw_config *config);

#endif
