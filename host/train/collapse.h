/* Notices that a stage which began with a trained network is destroying it: the loss climbs far
 * above where the stage began and stays there. A rate that is too high does that within some steps,
 * and the accuracy of the majority class that is left looks like a result.
 *
 * The yardstick is the loss of the first step, before anything was updated. The stage has collapsed
 * when the mean of the last WINDOW steps is above twice that and above it by half of ln(classes),
 * half of what knowing nothing costs. Judged in the first LIMIT steps only. */
#ifndef THAW_TRAIN_COLLAPSE_H
#define THAW_TRAIN_COLLAPSE_H

#include <stdbool.h>

#define THAW_COLLAPSE_WINDOW 8
#define THAW_COLLAPSE_LIMIT 400

struct thaw_collapse {
    int steps;
    double first;                        /* loss of the first step */
    double recent[THAW_COLLAPSE_WINDOW]; /* a ring */
    bool told;
};

/* Takes the mean loss of the next step; true once, at the step that shows the collapse. Starts as
 * {0}. */
bool thaw_collapse_step(struct thaw_collapse *collapse, double loss, int classes);
/* Mean loss of the last steps. */
double thaw_collapse_recent_loss(const struct thaw_collapse *collapse);

#endif
