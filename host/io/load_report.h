/* Matches a model's parameters with the tensors of a weights file, by name, and accounts for every
 * one of either. Nothing is copied and no device is needed. */
#ifndef THAW_IO_LOAD_REPORT_H
#define THAW_IO_LOAD_REPORT_H

#include "io/weights.h"

/* A parameter of the model. */
struct thaw_load_wanted {
    const char *name;
    const char *alias; /* looked for when the file has no `name`; NULL: none */
    int rank;
    int64_t dims[THAW_WEIGHT_RANK_MAX];
    bool optional; /* may be missing from the file without being asked about */
    bool fresh;    /* of a new head: not loaded, and a tensor of its name in the file may be left */
};

/* Globs over names, of what may differ. A pattern that no name matches is an error: of the model
 * for `missing` and `mismatch`, of the file for `unexpected`. */
struct thaw_load_patterns {
    const char *const *items;
    size_t count;
};
struct thaw_load_options {
    struct thaw_load_patterns allow_missing;    /* in the model only */
    struct thaw_load_patterns allow_unexpected; /* in the file only */
    struct thaw_load_patterns allow_mismatch;   /* shapes differ: initialised as if missing */
};

struct thaw_load_entry {
    const struct thaw_load_wanted *wanted; /* NULL for an unexpected tensor */
    const struct thaw_weight *weight;      /* NULL for a missing parameter */
    bool allowed;
};
struct thaw_load_list {
    struct thaw_load_entry *items;
    size_t count, refused; /* refused: those not allowed */
};

/* Every parameter is in `loaded`, `missing` or `mismatched`; every tensor of the file in `loaded`,
 * `mismatched`, `unexpected` or `counters`. Entries point into the wanted list and the weights. */
struct thaw_load_report {
    struct thaw_arena arena;
    struct thaw_load_list loaded;     /* in the order of the wanted list */
    struct thaw_load_list missing;    /* newly initialised */
    struct thaw_load_list mismatched; /* newly initialised, too */
    struct thaw_load_list unexpected; /* left over, in the file's order */
    struct thaw_load_list counters;   /* num_batches_tracked: of no use here, always allowed */
};

/* Makes the report. `options` may be NULL: nothing may differ. Fails with THAW_ERROR_INPUT only for
 * a pattern that matches nothing. */
thaw_status thaw_load_report_make(const struct thaw_load_wanted *wanted, size_t wanted_count,
                                  const struct thaw_weights *weights,
                                  const struct thaw_load_options *options,
                                  struct thaw_load_report *ret_report);

/* THAW_ERROR_INPUT when something differs that is not allowed: the first names of each kind,
 * counts, the nearest name and, as hint, how to allow it. `file` is the weights' name. */
thaw_status thaw_load_report_check(const struct thaw_load_report *report, const char *file);

void thaw_load_report_finish(struct thaw_load_report *report); /* accepts {0} */

#endif
