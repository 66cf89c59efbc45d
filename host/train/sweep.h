/* Several experiments to be compared: those of several files, and the variants that `sweep` makes.
 *
 *   sweep:                               # the cross product: six experiments
 *     seed: [0, 1, 2]                    # keys are paths, as in --set
 *     train.tune.lr: [0.03x, 0.1x]
 *     augment: {none: [], flips: [hflip, vflip]}     # values with a name each
 *
 *   sweep:                               # or one by one
 *     - {name: head, regime: small_similar}
 *     - {regime: small_different, train.tune.epochs: 30}
 *
 * A variant is named <name>-<key>=<value>..., with the last word of the key, or <name>-<its name>.
 * It is an experiment of its own: its run folder holds a config without the sweep. */
#ifndef THAW_TRAIN_SWEEP_H
#define THAW_TRAIN_SWEEP_H

#include "train/config.h"

#define THAW_SWEEP_RUNS_MAX 1000

struct thaw_sweep_run {
    struct thaw_config config;
    const char *row; /* its name without the seed */
    uint64_t group;  /* equal for experiments that differ in `seed` and `name` alone */
};

struct thaw_sweep {
    struct thaw_arena arena;
    const char *name; /* of the comparison, which goes to <output>/<name> */
    const char *output;
    struct thaw_sweep_run *runs;
    size_t count;
    bool is_comparison; /* several files, or a sweep; else it is one plain experiment */
};

/* Loads every experiment. `sets` hold for all of them; `sweeps` ("key.path=v1,v2,...", of the
 * command line) multiply with the files' own and replace those of the same key. THAW_ERROR_INPUT at
 * its place for a mistake in any of them, for two of the same run folder, for a key that is set and
 * swept, and for more than THAW_SWEEP_RUNS_MAX. */
struct thaw_sweep_request {
    const char *const *paths, *const *sets, *const *sweeps;
    size_t path_count, set_count, sweep_count;
};
thaw_status thaw_sweep_load(const struct thaw_sweep_request *request, struct thaw_sweep *ret_sweep);
void thaw_sweep_finish(struct thaw_sweep *sweep); /* accepts {0} */

#endif
