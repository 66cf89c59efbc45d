/* last.safetensors: everything that a resumed run needs to continue with the same bits. Tensors:
 * each parameter by its name, each optimizer slot as "optimizer.<slot>.<parameter>", each average
 * as "average.<parameter>". Metadata "thaw.state": the counters below; "thaw.freeze": freeze.json
 * so far; "thaw.memory": how often each parameter was updated, and averages taken; "thaw.auto":
 * what was chosen so far, auto.json (auto.h, probe.h); "thaw.config": the resolved experiment. */
#ifndef THAW_TRAIN_CHECKPOINT_H
#define THAW_TRAIN_CHECKPOINT_H

#include <jansson.h>

#include "graph/graph.h"
#include "train/stage_memory.h"

/* Where a run stands. */
struct thaw_train_state {
    int stage, epoch, step;     /* the next step to do */
    uint32_t counter;           /* steps since the run began: keys of random draws */
    int stage_steps;            /* steps done in this stage: schedule and optimizer */
    bool stage_begun;           /* its hashes are in the freeze record */
    double loss_sum, loss_norm; /* of this epoch so far */
    bool has_best, stage_has_best;
    double best, stage_best;    /* of the run's metric, and of early stopping's in this stage */
    double best_loss;           /* of validation, of the kept epoch: breaks ties */
    int best_stage, best_epoch; /* the kept epoch: stage from 0, epoch from 1 */
    int stale_epochs;
    double elapsed_s; /* before this process */
};

/* `memory` may be NULL: between stages. */
thaw_status thaw_checkpoint_save(const char *path, const struct thaw_graph *graph,
                                 const struct thaw_stage_memory *memory,
                                 const struct thaw_train_state *state, json_t *freeze,
                                 json_t *choices, const char *config_text);

/* An opened checkpoint: state first, tensors once the stage is set up. */
struct thaw_checkpoint;
thaw_status thaw_checkpoint_open(const char *path, struct thaw_checkpoint **ret_checkpoint);
void thaw_checkpoint_close(struct thaw_checkpoint **checkpoint);
const char *thaw_checkpoint_config(const struct thaw_checkpoint *checkpoint);
thaw_status thaw_checkpoint_state(const struct thaw_checkpoint *checkpoint,
                                  struct thaw_train_state *ret_state, json_t **ret_freeze,
                                  json_t **ret_choices);
thaw_status thaw_checkpoint_load_params(const struct thaw_checkpoint *checkpoint,
                                        struct thaw_graph *graph);
/* What the checkpoint remembers of each parameter; its buffers are created: slots zero,
 * averages copies of the values that the checkpoint has. */
thaw_status thaw_checkpoint_load_memory(const struct thaw_checkpoint *checkpoint,
                                        const struct thaw_graph *graph,
                                        struct thaw_stage_memory *memory);

#endif
