/* Stratified folds: which part of a set a pilot is judged on. */
#ifndef THAW_TRAIN_FOLDS_H
#define THAW_TRAIN_FOLDS_H

#include <stdint.h>

#include "core/arena.h"

#define THAW_FOLDS_MAX 16 /* config.h: auto.folds */

struct thaw_folds {
    int count;
    uint32_t *train[THAW_FOLDS_MAX],
        *val[THAW_FOLDS_MAX]; /* positions in the set, ascending; of the arena */
    size_t train_count[THAW_FOLDS_MAX], val_count[THAW_FOLDS_MAX];
};

/* Deals the images of each class, shuffled, to `folds` (2 .. THAW_FOLDS_MAX) in turn, the next
 * class going on where the last one stopped: class counts differ by one at most between folds, and
 * so do their sizes. A function of labels, folds and seed alone. THAW_ERROR_INPUT when a class has
 * fewer images than there are folds: `names` are for the message. */
thaw_status thaw_folds_make(struct thaw_arena *arena, const int *labels, size_t count,
                            const char *const *names, int classes, int folds, uint64_t seed,
                            struct thaw_folds *ret_folds);

#endif
