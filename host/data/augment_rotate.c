/* A turn about the centre by an angle drawn uniformly from [-degrees, degrees]. What comes into
 * view repeats the border. */
#include <math.h>

#include "data/augment.h"

#define RADIANS_PER_DEGREE 0.017453292519943295

struct params {
    double degrees;
};

static thaw_status parse(const thaw_yaml *value, void *params_) {
    struct params *params = params_;
    params->degrees = -1;
    THAW_TRY(thaw_augment_parse_number(value, "degrees", 0, 180, &params->degrees));
    if (params->degrees < 0)
        return thaw_yaml_fail(value, "`rotate` needs degrees, such as {rotate: 15}");
    return THAW_OK;
}

static void apply(const void *params_, struct thaw_rng *rng, struct thaw_augment_sample *sample) {
    const struct params *params = params_;
    double angle = params->degrees * RADIANS_PER_DEGREE * (2 * (double)thaw_rng_uniform(rng) - 1);
    double c = cos(angle), s = sin(angle);
    double x = (sample->width - 1) / 2.0, y = (sample->height - 1) / 2.0;
    const double map[6] = {c, -s, x - c * x + s * y, s, c, y - s * x - c * y};
    thaw_augment_map(sample, map, sample->width, sample->height);
}

const struct thaw_augmentation thaw_augmentation_rotate = {
    .name = "rotate",
    .summary = "DEGREES: turns by up to so much, either way",
    .params_size = sizeof(struct params),
    .parse = parse,
    .apply = apply,
};
