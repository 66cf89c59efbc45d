/* How well a linear classifier tells classes apart by given features, judged on images that it has
 * not seen: the linear probes of Alain and Bengio, "Understanding intermediate layers using linear
 * classifier probes" (2016).
 *
 * A probe is ridge regression onto the classes (Hastie et al., "The Elements of Statistical
 * Learning", 3.4.1 and 4.2), which has a closed form: no learning rate, no stopping, the same
 * answer every time. Features are standardised; every class weighs the same, however many images it
 * has. The regularisation is the best of a small grid over all folds together: the same choice for
 * every stage, so that it favours none. Reference BLAS and LAPACK solve it. */
#ifndef THAW_TRAIN_LINEAR_PROBE_H
#define THAW_TRAIN_LINEAR_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct thaw_linear_probe {
    const float *features; /* (count, width) */
    size_t count, width;
    const int *labels; /* count, each below `classes`, each class at least once */
    const int *folds;  /* count, each below `fold_count` */
    int classes, fold_count;
};

struct thaw_linear_probe_result {
    double accuracy;       /* balanced: the mean of the classes' own, on held-out folds */
    double standard_error; /* of that, as a mean of binomial proportions */
    double lambda;         /* of the grid, in units of the features' mean variance */
};

/* Deals the images of each class to the folds in turn, in an order drawn from `seed`. A class may
 * have fewer images than there are folds, which thaw_folds_make() refuses. */
thaw_status thaw_linear_probe_deal(const int *labels, size_t count, int classes, int fold_count,
                                   uint64_t seed, int *ret_folds);

/* THAW_ERROR_MEMORY, or THAW_ERROR_RUNTIME for features that are not finite. */
thaw_status thaw_linear_probe_run(const struct thaw_linear_probe *probe,
                                  struct thaw_linear_probe_result *ret_result);

#endif
