/* factor = gamma^(number of entries of `at` that the epoch has reached), as PyTorch's MultiStepLR.
 *
 * Attributes: at (required, increasing epochs), gamma (0.1). */
#include <math.h>

#include "train/schedule.h"

#define STEPS_MAX 64

struct attrs {
    int64_t at[STEPS_MAX];
    size_t count;
    double gamma;
};

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    struct attrs attrs = {.gamma = 0.1};
    const thaw_yaml *at = thaw_yaml_get(map, "at");
    if (!at)
        return thaw_yaml_fail(map, "multistep: 'at' is required: a list of epochs");
    THAW_TRY(thaw_yaml_expect(at, THAW_YAML_SEQUENCE, "'at'"));
    if (at->count < 1 || at->count > STEPS_MAX)
        return thaw_yaml_fail(at, "'at': expected 1 to %d epochs, found %zu", STEPS_MAX, at->count);
    for (; attrs.count < at->count; attrs.count++) {
        int64_t low = attrs.count ? attrs.at[attrs.count - 1] + 1 : 1;
        THAW_TRY(thaw_yaml_int(at->items[attrs.count], low, 1 << 20, &attrs.at[attrs.count]));
    }
    THAW_TRY(thaw_yaml_get_double(map, "gamma", 0, 1, &attrs.gamma));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static double factor(const void *attrs_, const struct thaw_schedule_clock *clock) {
    const struct attrs *attrs = attrs_;
    size_t reached = 0;
    while (reached < attrs->count && attrs->at[reached] <= clock->step / clock->steps_per_epoch)
        reached++;
    return pow(attrs->gamma, (double)reached);
}

static const char *const keys[] = {"at", "gamma"};

const struct thaw_schedule_type thaw_schedule_multistep = {
    .type = "multistep",
    .summary = "times `gamma` at each of the given epochs",
    .attrs_size = sizeof(struct attrs),
    .keys = keys,
    .key_count = 2,
    .parse = parse,
    .factor = factor,
};
