/* The convolutions that an experiment runs: training and validation of each stage, and what fills
 * its cache. */
#ifndef THAW_TRAIN_PROBLEMS_H
#define THAW_TRAIN_PROBLEMS_H

#include "graph/problems.h"
#include "train/experiment.h"

/* Checks the experiment as `thaw plan` does; the graph is left as after its last stage. The
 * problems are of `arena`, those with the most work first. */
thaw_status thaw_experiment_problems(struct thaw_experiment *experiment, struct thaw_arena *arena,
                                     struct thaw_problems *ret_problems);

#endif
