/* Random erasing (Zhong et al., "Random erasing data augmentation", arXiv:1708.04896): with
 * probability p a rectangle of the input is set to the mean colour, which is 0 after normalisation.
 * Its area is a part of the input's drawn from `scale`, its height by its width drawn from `ratio`,
 * evenly in the logarithm; ten tries to fit it in. */
#include <math.h>

#include "data/augment.h"

#define TRIES 10

struct params {
    double p, scale[2], ratio[2];
};

static thaw_status parse(const thaw_yaml *value, void *params_) {
    static const char *const keys[] = {"p", "scale", "ratio"};
    struct params *params = params_;
    *params = (struct params){.p = 0.5, .scale = {0.02, 0.33}, .ratio = {0.3, 3.3}};
    if (!value)
        return THAW_OK;
    THAW_TRY(thaw_yaml_only(value, keys, 3));
    THAW_TRY(thaw_yaml_get_double(value, "p", 0, 1, &params->p));
    THAW_TRY(thaw_augment_parse_range(value, "scale", 0.001, 1, params->scale));
    return thaw_augment_parse_range(value, "ratio", 0.01, 100, params->ratio);
}

static void apply(const void *params_, struct thaw_rng *rng, struct thaw_augment_sample *sample) {
    const struct params *params = params_;
    int size = sample->size;
    double low = log(params->ratio[0]), high = log(params->ratio[1]);
    if ((double)thaw_rng_uniform(rng) >= params->p)
        return;
    for (int i = 0; i < TRIES; i++) {
        double u = (double)thaw_rng_uniform(rng), v = (double)thaw_rng_uniform(rng);
        double area =
            (params->scale[0] + (params->scale[1] - params->scale[0]) * u) * size * (double)size;
        double ratio = exp(low + (high - low) * v);
        int height = (int)lround(sqrt(area * ratio)), width = (int)lround(sqrt(area / ratio));
        if (width < 1 || height < 1 || width > size || height > size)
            continue;
        int x = (int)thaw_rng_below(rng, (uint32_t)(size - width + 1));
        int y = (int)thaw_rng_below(rng, (uint32_t)(size - height + 1));
        sample->erase[0] = x;
        sample->erase[1] = y;
        sample->erase[2] = x + width;
        sample->erase[3] = y + height;
        return;
    }
}

const struct thaw_augmentation thaw_augmentation_erasing = {
    .name = "erasing",
    .summary = "{p: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3]}: blanks a rectangle",
    .params_size = sizeof(struct params),
    .parse = parse,
    .apply = apply,
};
