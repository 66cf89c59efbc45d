/* factor = 1. No attributes. */
#include "train/schedule.h"

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    (void)map, (void)ret_attrs;
    return THAW_OK;
}

static double factor(const void *attrs, const struct thaw_schedule_clock *clock) {
    (void)attrs, (void)clock;
    return 1;
}

const struct thaw_schedule_type thaw_schedule_constant = {
    .type = "constant",
    .summary = "the same rate throughout",
    .parse = parse,
    .factor = factor,
};
