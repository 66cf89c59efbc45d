/* Averages of weights over the steps of a stage: what is evaluated and kept, and what the stage
 * ends with. A type is host/train/average_<name>.c (a `const struct thaw_average_type
 * thaw_average_<name>`) and a line in the list `averages` of meson.build: a pure function of the
 * clock, that says how far the average moves to the weights at a step:
 *
 *   average = average + share (weight - average)
 *
 *   average: ema
 *   average: {type: ema, decay: 0.999}
 *   average: {type: swa, from: 0.75, every: 1 epoch}
 *
 * Training goes on with the weights themselves. Until the first average is taken, and where early
 * stopping ends the stage before, the weights stand for it. */
#ifndef THAW_TRAIN_AVERAGE_H
#define THAW_TRAIN_AVERAGE_H

#include "cl/cl.h"
#include "core/yaml.h"

struct thaw_average_clock {
    int64_t step; /* of the stage as written, from 1: this one is done */
    int64_t total_steps, steps_per_epoch;
    int64_t averaged; /* how often an average was taken before */
};

struct thaw_average_type {
    const char *type; /* in YAML */
    const char *summary;
    size_t attrs_size;
    /* Running statistics of norm layers are measured for the averaged weights (norm_stats.h) where
     * the stage moves them, instead of averaged as the weights are. */
    bool measures_statistics;
    /* `map` may be NULL (the type's bare name); "type" is one of its keys. */
    thaw_status (*parse)(const thaw_yaml *map, void *ret_attrs);
    /* From 0 (no average at this step) to 1 (the weights as they are). */
    double (*share)(const void *attrs, const struct thaw_average_clock *clock);
};

/* A parsed average, of the arena it was parsed into; type NULL: none. */
struct thaw_average {
    const struct thaw_average_type *type;
    const void *attrs;
};

extern const struct thaw_average_type *const thaw_average_types[];
extern const size_t thaw_average_type_count;

/* NULL or null is none. */
thaw_status thaw_average_parse(struct thaw_arena *arena, const thaw_yaml *node,
                               struct thaw_average *ret_average);
/* Fails at `place` when no average would be taken in so many steps. */
thaw_status thaw_average_check(const struct thaw_average *average, const thaw_yaml *place,
                               int64_t total_steps, int64_t steps_per_epoch);
double thaw_average_share(const struct thaw_average *average,
                          const struct thaw_average_clock *clock);

/* Moves the averages of `count` tensors, and exchanges them with the values; one launch where they
 * are windows of one allocation each (update.h). */
struct thaw_average_pair {
    cl_mem value, average;
    size_t size; /* in floats */
};
thaw_status thaw_average_update(thaw_device *device, const struct thaw_average_pair *pairs,
                                size_t count, double share);
thaw_status thaw_average_swap(thaw_device *device, const struct thaw_average_pair *pairs,
                              size_t count);

#endif
