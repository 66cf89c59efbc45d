/* The proof of what a stage trained: a hash of every tensor before and after it, as freeze.json of
 * the run.
 *
 *   {"loaded": {"file": "resnet18.pth", "hash": "...", "tensors": {"conv1.weight":
 * "conv1.weight"}}, "stages": [{"stage": "warmup", "tensors": {"conv1.weight": {"trained": false,
 * "before": "16 hex digits", "after": "..."}}}], "kept": {"stage": 0, "epoch": 2, "tensors":
 * {"conv1.weight": "..."}}}
 *
 * `loaded` (absent from scratch) names for each tensor that was loaded its name in the weights
 * file; `kept` is of the epoch that model.safetensors holds, which may lie within a stage.
 * train/verify.h checks files against it. Hashes are XXH3-64 over the tensor's float32 values in
 * file order, little endian: those of the same tensor in model.safetensors can be checked against
 * them. */
#ifndef THAW_TRAIN_FREEZE_H
#define THAW_TRAIN_FREEZE_H

#include <jansson.h>

#include "graph/graph.h"
#include "io/load_report.h"

/* The record starts as json_object(); all of these change it. */
thaw_status thaw_freeze_loaded(json_t *record, const char *file, const char *file_hash,
                               const struct thaw_load_report *report);
thaw_status thaw_freeze_begin(json_t *record, const struct thaw_graph *graph, const char *stage);
/* Fails with THAW_ERROR_RUNTIME when a tensor that the stage froze has changed. */
thaw_status thaw_freeze_end(json_t *record, const struct thaw_graph *graph);
/* What the model file holds: of each parameter `instead` where it is not NULL, else its value.
 * `stage` counts from 0, `epoch` from 1. */
thaw_status thaw_freeze_kept(json_t *record, const struct thaw_graph *graph, cl_mem const *instead,
                             int stage, int epoch);

#define THAW_FREEZE_HASH_SIZE 17
void thaw_freeze_hash(const float *values, size_t count, char ret_hash[THAW_FREEZE_HASH_SIZE]);

#endif
