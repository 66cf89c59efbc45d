/* Applies a stage of an experiment to a graph: what is trained, at which learning rate, in which
 * norm mode. */
#ifndef THAW_TRAIN_STAGE_H
#define THAW_TRAIN_STAGE_H

#include "train/config.h"

/* What the rules of `lr` make of a tensor. */
struct thaw_stage_rate {
    double lr;                       /* base learning rate; 0: frozen */
    const struct thaw_lr_rule *rule; /* where it comes from; NULL when frozen */
};

/* Sets param.trainable and node.batch_statistics of the graph, and fills `ret_rates` (param_count
 * values). lr 0 is frozen: no decay, no momentum, no batch statistics. Fails at the YAML's place
 * when a pattern matches nothing or a tensor has no lr. */
thaw_status thaw_stage_apply(const struct thaw_config *config, const struct thaw_stage *stage,
                             struct thaw_graph *graph, struct thaw_stage_rate *ret_rates);

/* Whether training changes a tensor: by its gradient, or as a statistic of batches. */
bool thaw_stage_changes(const struct thaw_graph *graph, const struct thaw_param *param);

/* Stages of the model from the head down to a node: 0 in the head, 1 in the last stage. A node
 * outside every stage goes with the next stage above it, and at the top with the last one. */
int thaw_stage_distance(const struct thaw_graph *graph, int node);

/* Refuses a stage that would fine-tune trained tensors of the body (up to the bottleneck) below
 * ones that are still as initialised, unless its `allow_random` names them. From scratch, where no
 * weights were loaded, there is nothing that it could spoil. The graph has the stage
 * applied. */
thaw_status thaw_stage_check_random(const struct thaw_stage *stage, const struct thaw_graph *graph);

/* After the stage: what it trained is not random any more. */
void thaw_stage_mark_trained(struct thaw_graph *graph);

#endif
