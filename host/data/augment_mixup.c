/* Mixup (Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018): the input becomes
 * lambda x_i + (1 - lambda) x_j, and so does the target; x_j is a random picture of the batch, with
 * its own augmentation, and lambda ~ Beta(alpha, alpha), drawn for each picture. */
#include <math.h>

#include "data/augment.h"

struct params {
    double alpha;
};

static thaw_status parse(const thaw_yaml *value, void *params_) {
    struct params *params = params_;
    THAW_TRY(thaw_augment_parse_number(value, "alpha", 0.001, 100, &params->alpha));
    if (params->alpha <= 0)
        return thaw_yaml_fail(value, "`mixup` needs alpha, such as {mixup: 0.2}");
    return THAW_OK;
}

/* Uniform in (0, 1]. */
static double draw_positive(struct thaw_rng *rng) {
    return 1 - (double)thaw_rng_uniform(rng);
}

/* The logarithm of a draw from Gamma(alpha, 1): Marsaglia and Tsang, "A simple method for
 * generating gamma variables", ACM TOMS 26 (2000), for alpha + 1, times U^(1/alpha). The logarithm,
 * because for a small alpha the draw itself would be 0. */
static double draw_log_gamma(struct thaw_rng *rng, double alpha) {
    double boost = log(draw_positive(rng)) / alpha;
    double d = alpha + 1 - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = (double)thaw_rng_normal(rng), u = draw_positive(rng);
        double v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return log(d * v) + boost;
    }
}

static void apply(const void *params_, struct thaw_rng *rng, struct thaw_augment_sample *sample) {
    const struct params *params = params_;
    double a = draw_log_gamma(rng, params->alpha), b = draw_log_gamma(rng, params->alpha);
    sample->lambda = 1 / (1 + exp(b - a));
    sample->partner = (int)thaw_rng_below(rng, (uint32_t)sample->count);
}

const struct thaw_augmentation thaw_augmentation_mixup = {
    .name = "mixup",
    .summary = "ALPHA: blends each picture and its target with another one's",
    .mixes = true,
    .params_size = sizeof(struct params),
    .parse = parse,
    .apply = apply,
};
