/* What `thaw tune` has found, for people and as JSON. */
#ifndef THAW_CLI_TUNE_SHOW_H
#define THAW_CLI_TUNE_SHOW_H

#include "cli/cli.h"
#include "kernels/measure.h"

/* A problem and its measurement; the problem is a convolution or, where `conv` is NULL, a product
 * that convolutions may be computed by. */
struct thaw_tune_row {
    char key[THAW_CONV_KEY_SIZE];
    const struct thaw_conv_problem *conv;
    const char *layer; /* the first that has it */
    int uses;
    double flops;
    struct thaw_measurement measurement; /* count 0: not measured */
};

struct thaw_tune_result {
    const char *name; /* of what was tuned */
    const char *device;
    const char *path; /* where it is remembered; NULL: nowhere */
    int seconds;
    const struct thaw_tune_row *rows;
    size_t count;
};

/* The candidates of a row, with -v as soon as they are measured. */
void thaw_tune_show_timings(const struct thaw_tune_row *row);
void thaw_tune_show(const struct thaw_tune_result *result);
json_t *thaw_tune_json(const struct thaw_tune_result *result);

#endif
