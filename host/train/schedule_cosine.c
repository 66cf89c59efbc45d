/* Half a cosine from 1 to `final` (Loshchilov and Hutter 2017, without restarts):
 *
 *   factor = final + (1 - final) (1 + cos(pi step / total)) / 2
 *
 * Attributes: final (0). */
#include <math.h>

#include "train/schedule.h"

#define PI 3.141592653589793

struct attrs {
    double final;
};

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    struct attrs attrs = {0};
    THAW_TRY(thaw_yaml_get_double(map, "final", 0, 1, &attrs.final));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static double factor(const void *attrs, const struct thaw_schedule_clock *clock) {
    double final = ((const struct attrs *)attrs)->final;
    double phase = PI * (double)clock->step / (double)clock->total_steps;
    return final + (1 - final) * (1 + cos(phase)) / 2;
}

static const char *const keys[] = {"final"};

const struct thaw_schedule_type thaw_schedule_cosine = {
    .type = "cosine",
    .summary = "half a cosine down to `final`",
    .attrs_size = sizeof(struct attrs),
    .after_warmup = true,
    .keys = keys,
    .key_count = 1,
    .parse = parse,
    .factor = factor,
};
