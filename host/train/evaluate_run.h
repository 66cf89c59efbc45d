/* Evaluates a finished run: on the validation part of its own data, or on another folder. */
#ifndef THAW_TRAIN_EVALUATE_RUN_H
#define THAW_TRAIN_EVALUATE_RUN_H

#include <signal.h>

#include "train/metrics.h"
#include "train/model.h"

struct thaw_evaluation_options {
    const char *run;  /* a run folder, or with `data` also a model file */
    const char *data; /* a folder of one folder per class; NULL: the run's validation part */
    int batch;
    const volatile sig_atomic_t *interrupted;                                    /* or NULL */
    void (*on_working)(void *user, const char *what, size_t done, size_t total); /* or NULL */
    void *user;
};

struct thaw_evaluation {
    struct thaw_trained_model model;
    struct thaw_arena arena;
    struct thaw_metrics metrics;
    const char *set; /* what was evaluated: "val" or the folder */
};

/* THAW_ERROR_INPUT when run, data or their classes do not fit. */
thaw_status thaw_evaluate_run(thaw_device *device, const struct thaw_evaluation_options *options,
                              struct thaw_evaluation *ret_evaluation);
void thaw_evaluation_finish(struct thaw_evaluation *evaluation);

#endif
