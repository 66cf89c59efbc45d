/* A warm head for each fold. The head that a run has warmed up has seen every training photo, those
 * that a fold holds out included: on few photos it knows them by heart, and pilots that train
 * little else look better than they are. So each fold's pilots start from a head that was warmed up
 * on the fold's own training rows, as the stage before does it.
 *
 * That is possible where every stage so far trained the head alone and the head is new; else the
 * pilots start from the run's own values. */
#ifndef THAW_TRAIN_REWARM_H
#define THAW_TRAIN_REWARM_H

#include "train/pilot.h"

struct thaw_rewarm {
    bool possible;
    struct thaw_graph *graph;
    const struct thaw_stage *stage; /* the last one that warmed the head up */
    struct thaw_arena arena;
    struct thaw_pilots pilots;
    float **values; /* of each tensor of the head: the run's; NULL for others */
};

/* `options` are those of the pilots of stage options->stage. */
thaw_status thaw_rewarm_init(const struct thaw_pilot_options *options,
                             struct thaw_rewarm *ret_rewarm);
/* The graph's head becomes one that has seen those rows only. */
thaw_status thaw_rewarm_run(struct thaw_rewarm *rewarm, const uint32_t *rows, size_t count,
                            const char *label);
/* Puts the run's head back; accepts {0}. */
thaw_status thaw_rewarm_finish(struct thaw_rewarm *rewarm);

#endif
