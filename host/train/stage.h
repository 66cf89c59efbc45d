/* Applies a stage of an experiment to a graph: what is trained, at which learning rate, in which
 * norm mode. */
#ifndef THAW_TRAIN_STAGE_H
#define THAW_TRAIN_STAGE_H

#include "train/config.h"

/* Sets param.trainable and node.batch_statistics of the graph, and fills `ret_lr` (param_count
 * values) with each trainable tensor's base learning rate, 0 for frozen ones. lr 0 is frozen: no
 * decay, no momentum, no batch statistics. Fails at the YAML's place when a pattern matches nothing
 * or a tensor has no lr. */
thaw_status thaw_stage_apply(const struct thaw_config *config, const struct thaw_stage *stage,
                             struct thaw_graph *graph, double *ret_lr);

/* Refuses a stage that would fine-tune trained tensors of the body (up to the bottleneck) below
 * ones that are still as initialised, unless its `allow_random` names them. The graph has the stage
 * applied. */
thaw_status thaw_stage_check_random(const struct thaw_stage *stage, const struct thaw_graph *graph);

/* After the stage: what it trained is not random any more. */
void thaw_stage_mark_trained(struct thaw_graph *graph);

#endif
