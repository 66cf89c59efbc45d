/* One stage at work: its executables, optimizer state and schedule. */
#ifndef THAW_TRAIN_SESSION_H
#define THAW_TRAIN_SESSION_H

#include "data/augment.h"
#include "graph/exec.h"
#include "train/average.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/stage.h"
#include "train/stage_memory.h"

struct thaw_session {
    const struct thaw_config *config;
    const struct thaw_stage *stage;
    struct thaw_graph *graph; /* borrowed, with the stage applied */
    struct thaw_arena arena;
    struct thaw_stage_rate *rates; /* of each parameter */
    int start; /* where the executables start: the cut of a cached stage, else the image */
    thaw_exec *train, *eval;
    struct thaw_optimizer optimizer;
    struct thaw_optimizer_update *updates; /* room for one of each parameter */
    struct thaw_schedule schedule;
    struct thaw_schedule *rule_schedules; /* of each rule of the stage's `lr` */
    struct thaw_augment_list augment;
    struct thaw_average average;
    int steps_per_epoch;
    int pressed_epochs; /* the whole schedule in so many epochs instead of the stage's; 0: no */
    struct thaw_stage_memory memory;
};

/* Applies the stage to the graph and refuses it when it must not run; no device memory yet. */
thaw_status thaw_session_init(const struct thaw_config *config, const struct thaw_stage *stage,
                              struct thaw_graph *graph, int train_count,
                              struct thaw_session *ret_session);

/* Takes over what an earlier phase remembers (emptied; NULL: nothing) and creates the optimizer
 * slots that are left, zero. Not needed before thaw_session_start where there is nothing to take
 * over. */
thaw_status thaw_session_continue(struct thaw_session *session, struct thaw_stage_memory *from);
/* Creates executables, and optimizer slots that there are not yet. */
thaw_status thaw_session_start(struct thaw_session *session);
void thaw_session_finish(struct thaw_session *session); /* accepts {0} */

/* What the base learning rates are multiplied with at a step of the stage, where their rule has no
 * schedule of its own. */
double thaw_session_lr_factor(const struct thaw_session *session, int stage_step);

/* Updates every trained parameter from the gradients of `train`, and the averages. `stage_step`
 * counts from 0. */
thaw_status thaw_session_update(struct thaw_session *session, int stage_step);

#endif
