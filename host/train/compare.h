/* Runs the experiments of a sweep one after another and compares what they gave.
 *
 * Every experiment is checked, as thaw plan does, before the first one starts. One that fails while
 * it runs does not stop the others. Those that differ in their seed alone are one row of the table,
 * with the mean and its standard error. */
#ifndef THAW_TRAIN_COMPARE_H
#define THAW_TRAIN_COMPARE_H

#include "train/sweep.h"
#include "train/trainer.h"

struct thaw_compare_options {
    const char *device; /* as for thaw_device_open() */
    struct thaw_train_options train;
};

struct thaw_compare_events {
    struct thaw_train_events train; /* of the run that is at work */
    void *user;
    void (*on_check)(void *user, const struct thaw_config *config, size_t number, size_t count);
    /* skipped: a resumed run that was complete already */
    void (*on_begin)(void *user, const struct thaw_config *config, size_t number, size_t count,
                     bool skipped);
    void (*on_failure)(void *user, const struct thaw_config *config, const char *message);
};

/* What became of one experiment. */
struct thaw_compared {
    const struct thaw_sweep_run *run;
    const char *folder;
    bool complete; /* it has run, now or before */
    bool skipped;
    const char *error;      /* NULL: none */
    size_t trained_values;  /* of tensors that some stage trains */
    size_t cache_bytes;     /* of the largest stage */
    double time_s;          /* of training, over all its processes */
    bool has_val, has_test; /* these are known: */
    double val[THAW_METRIC_COUNT], test[THAW_METRIC_COUNT];
};

/* Experiments that are the same but for the seed, in the order of their first. */
struct thaw_compared_row {
    const char *name;
    size_t *members; /* indices into `runs` */
    size_t count;
};

struct thaw_comparison {
    struct thaw_arena arena;
    const struct thaw_sweep *sweep; /* borrowed */
    const char *folder;             /* <output>/<name> of the sweep */
    struct thaw_compared *runs;
    size_t count, failures;
    struct thaw_compared_row *rows;
    size_t row_count;
};

/* Also writes comparison.json and comparison.md into the sweep's folder. A failure of single
 * experiments is in `ret_comparison`; a status other than THAW_OK means that something is wrong
 * before the first one, THAW_INTERRUPTED, or that the files can't be written. */
thaw_status thaw_compare(const struct thaw_sweep *sweep, const struct thaw_compare_options *options,
                         const struct thaw_compare_events *events,
                         struct thaw_comparison *ret_comparison);
void thaw_comparison_finish(struct thaw_comparison *comparison); /* accepts {0} */

/* Mean over a row's runs that are complete, with its standard error (0 for fewer than two).
 * `value` picks from a run, false: it has none. */
struct thaw_estimate {
    double mean, error;
    size_t count;
};
typedef bool thaw_compared_value(const struct thaw_compared *run, int which, double *ret_value);
struct thaw_estimate thaw_compared_estimate(const struct thaw_comparison *comparison,
                                            const struct thaw_compared_row *row,
                                            thaw_compared_value *value, int which);
thaw_compared_value thaw_compared_val, thaw_compared_test, thaw_compared_time;

/* compare_table.c: a Markdown table, its columns aligned; and the same as JSON. */
void thaw_comparison_table(const struct thaw_comparison *comparison, struct thaw_text *text);
json_t *thaw_comparison_json(const struct thaw_comparison *comparison);

#endif
