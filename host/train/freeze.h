/* The proof of what a stage trained: a hash of every tensor before and after it, as freeze.json of
 * the run.
 *
 *   {"stages": [{"stage": "warmup", "tensors": {"conv1.weight": {"trained": false, "before": "16
 * hex digits", "after": "..."}}}]}
 *
 * Hashes are XXH3-64 over the tensor's float32 values in file order, little endian: those of the
 * same tensor in model.safetensors can be checked against them. */
#ifndef THAW_TRAIN_FREEZE_H
#define THAW_TRAIN_FREEZE_H

#include <jansson.h>

#include "graph/graph.h"

/* The record starts as json_object(); both functions change it. */
thaw_status thaw_freeze_begin(json_t *record, const struct thaw_graph *graph, const char *stage);
/* Fails with THAW_ERROR_RUNTIME when a tensor that the stage froze has changed. */
thaw_status thaw_freeze_end(json_t *record, const struct thaw_graph *graph);

#endif
