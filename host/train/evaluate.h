/* Runs an inference executable over a set of photos. */
#ifndef THAW_TRAIN_EVALUATE_H
#define THAW_TRAIN_EVALUATE_H

#include "train/feed.h"
#include "train/metrics.h"

/* Index of the largest of `count` values; the first of equals. */
int thaw_argmax(const float *values, int count);

/* Fills `metrics` (reset, then finished) from every one of the members: plain cross-entropy, no
 * smoothing and no class weights. `exec` has a loss; folded weights must be up to date.
 * `ret_logits` (members.count x classes) may be NULL. */
thaw_status thaw_evaluate(thaw_exec *exec, const struct thaw_graph *graph, int batch,
                          const struct thaw_members *members, thaw_feed_progress *progress,
                          void *user, struct thaw_metrics *metrics, float *ret_logits);

#endif
