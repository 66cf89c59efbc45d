#include "data/targets.h"

static double weight(const struct thaw_targets *targets, int label) {
    return targets->class_weights ? (double)targets->class_weights[label] : 1;
}

void thaw_targets_fill(const struct thaw_targets *targets, float *ret_targets, double *ret_norm) {
    double norm = 0, epsilon = (double)targets->smoothing;
    for (int i = 0; i < targets->count; i++) {
        double own = targets->lambda ? (double)targets->lambda[i] : 1;
        int label = targets->labels[i];
        int other = targets->partner ? targets->labels[targets->partner[i]] : label;
        float *row = ret_targets + (size_t)i * (size_t)targets->classes;
        for (int c = 0; c < targets->classes; c++) {
            double hit = own * (c == label) + (1 - own) * (c == other);
            row[c] =
                (float)(weight(targets, c) * ((1 - epsilon) * hit + epsilon / targets->classes));
        }
        norm += own * weight(targets, label) + (1 - own) * weight(targets, other);
    }
    *ret_norm = norm;
}
