/* Top and bottom change places with probability p. */
#include "data/augment.h"

struct params {
    double p;
};

static thaw_status parse(const thaw_yaml *value, void *params_) {
    struct params *params = params_;
    params->p = 0.5;
    return thaw_augment_parse_number(value, "p", 0, 1, &params->p);
}

static void apply(const void *params_, struct thaw_rng *rng, struct thaw_augment_sample *sample) {
    const struct params *params = params_;
    if ((double)thaw_rng_uniform(rng) < params->p)
        thaw_augment_map(sample, (const double[6]){1, 0, 0, 0, -1, sample->height - 1},
                         sample->width, sample->height);
}

const struct thaw_augmentation thaw_augmentation_vflip = {
    .name = "vflip",
    .summary = "{p: 0.5}: mirrors top and bottom",
    .params_size = sizeof(struct params),
    .parse = parse,
    .apply = apply,
};
