/* Target distributions for softmax cross-entropy. */
#ifndef THAW_DATA_TARGETS_H
#define THAW_DATA_TARGETS_H

#include <stddef.h>

struct thaw_targets {
    const int *labels; /* of the batch, count of them */
    int count, classes;
    const int *partner;         /* of thaw_augmenter_run(), or NULL without mixup */
    const float *lambda;        /* likewise */
    float smoothing;            /* epsilon of label smoothing, 0 for none */
    const float *class_weights; /* `classes` of them, or NULL for 1 each */
};

/* Fills T, [count][classes], and the norm, such that
 *
 *   loss = -sum_i sum_c T_ic log p_ic / norm
 *
 * With hard labels y this is PyTorch's cross_entropy(weight = w, label_smoothing = e), mean
 * reduction:
 *
 *   T_ic = (1 - e) w_c [c = y_i] + e / C w_c        norm = sum_i w_{y_i}
 *
 * and mixup takes lambda of it for the picture's own label and 1 - lambda for its partner's. */
void thaw_targets_fill(const struct thaw_targets *targets, float *ret_targets, double *ret_norm);

#endif
