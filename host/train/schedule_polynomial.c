/* factor = final + (1 - final) (1 - step / total)^power, as PyTorch's PolynomialLR.
 *
 * Attributes: power (1), final (0). */
#include <math.h>

#include "train/schedule.h"

struct attrs {
    double power, final;
};

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    struct attrs attrs = {.power = 1};
    THAW_TRY(thaw_yaml_get_double(map, "power", 0, 100, &attrs.power));
    THAW_TRY(thaw_yaml_get_double(map, "final", 0, 1, &attrs.final));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static double factor(const void *attrs_, const struct thaw_schedule_clock *clock) {
    const struct attrs *attrs = attrs_;
    double left = 1 - (double)clock->step / (double)clock->total_steps;
    return attrs->final + (1 - attrs->final) * pow(left, attrs->power);
}

static const char *const keys[] = {"power", "final"};

const struct thaw_schedule_type thaw_schedule_polynomial = {
    .type = "polynomial",
    .summary = "a power of what is left, down to `final`",
    .attrs_size = sizeof(struct attrs),
    .after_warmup = true,
    .keys = keys,
    .key_count = 2,
    .parse = parse,
    .factor = factor,
};
