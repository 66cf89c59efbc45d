/* factor = gamma^floor(epoch / every), as PyTorch's StepLR.
 *
 * Attributes: every (required, epochs), gamma (0.1). */
#include <math.h>

#include "train/schedule.h"

struct attrs {
    int every;
    double gamma;
};

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    struct attrs attrs = {.gamma = 0.1};
    if (!thaw_yaml_get(map, "every"))
        return thaw_yaml_fail(map, "step: 'every' is required: the epochs between two steps");
    THAW_TRY(thaw_yaml_get_int(map, "every", 1, 1 << 20, &attrs.every));
    THAW_TRY(thaw_yaml_get_double(map, "gamma", 0, 1, &attrs.gamma));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static double factor(const void *attrs_, const struct thaw_schedule_clock *clock) {
    const struct attrs *attrs = attrs_;
    int64_t epoch = clock->step / clock->steps_per_epoch;
    int64_t drops = epoch / attrs->every;
    return pow(attrs->gamma, (double)drops);
}

static const char *const keys[] = {"every", "gamma"};

const struct thaw_schedule_type thaw_schedule_step = {
    .type = "step",
    .summary = "times `gamma` every so many epochs",
    .attrs_size = sizeof(struct attrs),
    .keys = keys,
    .key_count = 2,
    .parse = parse,
    .factor = factor,
};
