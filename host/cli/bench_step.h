/* The end of a training step for `thaw bench`: SGD with momentum on every trained parameter. */
#ifndef THAW_CLI_BENCH_STEP_H
#define THAW_CLI_BENCH_STEP_H

#include "graph/exec.h"
#include "train/optimizer.h"
#include "train/stage_memory.h"

struct thaw_bench_step {
    struct thaw_graph *graph; /* borrowed */
    struct thaw_optimizer optimizer;
    struct thaw_stage_memory memory;
    struct thaw_optimizer_update *updates; /* room for one of each parameter */
    bool ready;                            /* the optimizer's slots are there */
};

/* Of the arena but for the slots, which the first update creates. */
thaw_status thaw_bench_step_init(struct thaw_arena *arena, struct thaw_graph *graph,
                                 struct thaw_bench_step *ret_step);
void thaw_bench_step_finish(struct thaw_bench_step *step); /* accepts {0} */

/* For thaw_profile_options.update; `user` is the struct thaw_bench_step. */
thaw_status thaw_bench_step_update(void *user, thaw_exec *exec);

#endif
