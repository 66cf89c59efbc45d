/* One cycle (Smith and Topin 2018), as PyTorch's OneCycleLR with cosine annealing: half a cosine
 * from 1 / div up to 1 over the part `pct_start` of all steps, then half a cosine down to 1 / (div
 * final_div). The base learning rate is the largest one.
 *
 * Attributes: pct_start (0.3), div (25), final_div (1e4). */
#include <math.h>

#include "train/schedule.h"

#define PI 3.141592653589793

struct attrs {
    double pct_start, div, final_div;
};

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    struct attrs attrs = {0.3, 25, 1e4};
    THAW_TRY(thaw_yaml_get_double(map, "pct_start", 0, 1, &attrs.pct_start));
    THAW_TRY(thaw_yaml_get_double(map, "div", 1, 1e9, &attrs.div));
    THAW_TRY(thaw_yaml_get_double(map, "final_div", 1, 1e12, &attrs.final_div));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static double anneal(double from, double to, double part) {
    return to + (from - to) / 2 * (1 + cos(PI * part));
}

static double factor(const void *attrs_, const struct thaw_schedule_clock *clock) {
    const struct attrs *attrs = attrs_;
    double step = (double)clock->step, last = (double)clock->total_steps - 1;
    double peak = fmax(attrs->pct_start * (double)clock->total_steps - 1, 0);
    double start = 1 / attrs->div, end = start / attrs->final_div;
    if (step <= peak)
        return peak > 0 ? anneal(start, 1, step / peak) : 1;
    return anneal(1, end, (step - peak) / (last - peak));
}

static const char *const keys[] = {"pct_start", "div", "final_div"};

const struct thaw_schedule_type thaw_schedule_one_cycle = {
    .type = "one_cycle",
    .summary = "up to the full rate and down to almost none",
    .attrs_size = sizeof(struct attrs),
    .after_warmup = true,
    .keys = keys,
    .key_count = 3,
    .parse = parse,
    .factor = factor,
};
