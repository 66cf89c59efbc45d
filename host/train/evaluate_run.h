/* Evaluates a finished run: on a part of its own data, or on another folder. */
#ifndef THAW_TRAIN_EVALUATE_RUN_H
#define THAW_TRAIN_EVALUATE_RUN_H

#include <signal.h>

#include "data/dataset.h"
#include "train/metrics.h"
#include "train/model.h"

struct thaw_evaluation_options {
    const char *run;  /* a run folder, or with `data` also a model file */
    const char *data; /* a folder of one folder per class; NULL: a part of the run's own data: */
    enum thaw_set part;
    int batch;
    bool list_photos;                         /* fill in `photos` */
    const volatile sig_atomic_t *interrupted; /* or NULL */
    void (*on_working)(void *user, const char *what, size_t done, size_t total); /* or NULL */
    void *user;
};

/* What the model says of one photo. */
struct thaw_evaluated_photo {
    const char *path;
    int label, predicted;
    float probability; /* of the class predicted */
};

struct thaw_evaluation {
    struct thaw_trained_model model;
    struct thaw_arena arena;
    struct thaw_metrics metrics;
    const char *set; /* what was evaluated: "val", "test", "train" or the folder */
    struct thaw_evaluated_photo *photos; /* metrics.count, in the data's order; NULL: not asked */
};

/* THAW_ERROR_INPUT when run, data or their classes do not fit, or when there are no photos in the
 * part. */
thaw_status thaw_evaluate_run(thaw_device *device, const struct thaw_evaluation_options *options,
                              struct thaw_evaluation *ret_evaluation);
void thaw_evaluation_finish(struct thaw_evaluation *evaluation);

#endif
