/* Exponential moving average (Polyak and Juditsky 1992; Tan and Le 2019 for EfficientNet). It
 * starts as a copy of the weights that the stage starts with, which a small decay at first keeps
 * from weighing on it (TensorFlow's ExponentialMovingAverage with num_updates): at average t, from
 * 0,
 *
 *   share = 1 - min(decay, (1 + t) / (10 + t))
 *
 * Running statistics are averaged as the weights are, as timm's ModelEma does.
 *
 * Attributes: decay (0.999). */
#include <math.h>

#include "train/average.h"

struct attrs {
    double decay;
};

static thaw_status parse(const thaw_yaml *map, void *ret_attrs) {
    static const char *const keys[] = {"type", "decay"};
    struct attrs attrs = {0.999};
    THAW_TRY(thaw_yaml_only(map, keys, sizeof keys / sizeof *keys));
    THAW_TRY(thaw_yaml_get_double(map, "decay", 0, 1 - 1e-9, &attrs.decay));
    *(struct attrs *)ret_attrs = attrs;
    return THAW_OK;
}

static double share(const void *attrs, const struct thaw_average_clock *clock) {
    double t = (double)clock->averaged;
    return 1 - fmin(((const struct attrs *)attrs)->decay, (1 + t) / (10 + t));
}

const struct thaw_average_type thaw_average_ema = {
    .type = "ema",
    .summary = "exponential moving average over the steps",
    .attrs_size = sizeof(struct attrs),
    .parse = parse,
    .share = share,
};
