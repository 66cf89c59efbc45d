/* Classification metrics from a confusion matrix. */
#ifndef THAW_TRAIN_METRICS_H
#define THAW_TRAIN_METRICS_H

#include <jansson.h>

#include "core/arena.h"
#include "train/config.h"

struct thaw_metrics {
    int classes;
    uint64_t *confusion; /* [true class][predicted class] */
    uint64_t count;
    double loss_sum, loss_norm; /* mean loss = sum / norm */
    /* Set by thaw_metrics_finish: */
    double loss, top1;
    double balanced;                 /* mean recall over the classes that occur */
    double macro_f1;                 /* mean F1 over the classes that occur or were predicted */
    double *recall, *precision, *f1; /* per class; 0 where undefined */
};

thaw_status thaw_metrics_init(struct thaw_arena *arena, int classes,
                              struct thaw_metrics *ret_metrics);
void thaw_metrics_reset(struct thaw_metrics *metrics);
void thaw_metrics_add(struct thaw_metrics *metrics, int label, int predicted);
void thaw_metrics_finish(struct thaw_metrics *metrics);
double thaw_metrics_value(const struct thaw_metrics *metrics, enum thaw_metric metric);
/* Whether `a` is better than `b` in that metric: smaller for a loss, else larger. NaN is never
 * better. */
bool thaw_metric_better(enum thaw_metric metric, double a, double b);

/* Rows of counts: [true class][predicted class]. */
json_t *thaw_metrics_confusion_json(const struct thaw_metrics *metrics);
/* Fills `metrics` (of as many classes) from such rows and finishes it, without a loss. False when
 * they are none. */
bool thaw_metrics_from_confusion(struct thaw_metrics *metrics, const json_t *rows);

#endif
