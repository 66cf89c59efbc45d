/* Schedules: the learning rate as a function of the step. A schedule type is
 * host/train/schedule_<name>.c (a `const struct thaw_schedule_type thaw_schedule_<name>`) and a
 * line in the list `schedules` of meson.build: a pure function of the clock. Warm-up is the same
 * for all and is here:
 *
 *   schedule: cosine
 *   schedule: {type: cosine, final: 0.01, warmup: 100, warmup_start: 0.1}
 *
 * `warmup` is a number of steps (100), "2 epochs", or a fraction of all steps (0.05). Over W steps
 * the factor rises in a straight line: step s has start + (1 - start) (s + 1) / W, so that the
 * first step is not lost and the last one of the warm-up has the full rate. */
#ifndef THAW_TRAIN_SCHEDULE_H
#define THAW_TRAIN_SCHEDULE_H

#include <stdint.h>

#include "core/yaml.h"

struct thaw_schedule_clock {
    int64_t step; /* from 0 */
    int64_t total_steps, steps_per_epoch;
};

struct thaw_schedule_type {
    const char *type; /* in YAML */
    const char *summary;
    size_t attrs_size;
    /* Whether its clock starts after warm-up; else it counts the epochs of the whole stage. */
    bool after_warmup;
    /* `keys` of the type, besides "type" and the warm-up's. */
    const char *const *keys;
    size_t key_count;
    /* `map` may be NULL (the type's bare name); unknown keys have been refused. */
    thaw_status (*parse)(const thaw_yaml *map, void *ret_attrs);
    /* What the base learning rate is multiplied with. */
    double (*factor)(const void *attrs, const struct thaw_schedule_clock *clock);
};

enum thaw_warmup_unit { THAW_WARMUP_STEPS, THAW_WARMUP_EPOCHS, THAW_WARMUP_FRACTION };

/* A parsed schedule, of the arena it was parsed into. */
struct thaw_schedule {
    const struct thaw_schedule_type *type;
    const void *attrs;
    const thaw_yaml *place; /* for messages; NULL for the default */
    double warmup;          /* in `unit`; 0: none */
    enum thaw_warmup_unit unit;
    double warmup_start; /* factor that the line starts from */
};

extern const struct thaw_schedule_type *const thaw_schedule_types[];
extern const size_t thaw_schedule_type_count;

/* NULL or null is `constant`. */
thaw_status thaw_schedule_parse(struct thaw_arena *arena, const thaw_yaml *node,
                                struct thaw_schedule *ret_schedule);
/* Fails when the warm-up does not fit into so many steps. */
thaw_status thaw_schedule_check(const struct thaw_schedule *schedule, int64_t total_steps,
                                int64_t steps_per_epoch);
double thaw_schedule_factor(const struct thaw_schedule *schedule,
                            const struct thaw_schedule_clock *clock);

#endif
