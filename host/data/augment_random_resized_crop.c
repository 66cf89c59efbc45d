/* A random part of the picture, stretched to the network's input (Szegedy et al., "Going deeper
 * with convolutions", CVPR 2015): its area a part of the picture's drawn from `scale`, its width by
 * its height drawn from `ratio`, evenly in the logarithm. Ten tries, then the largest middle part
 * within `ratio`, as in torchvision. The part is drawn from the resized picture, not from the
 * file's pixels. */
#include <math.h>

#include "data/augment.h"

#define TRIES 10

struct params {
    double scale[2], ratio[2];
};

static thaw_status parse(const thaw_yaml *value, void *params_) {
    static const char *const keys[] = {"scale", "ratio"};
    struct params *params = params_;
    *params = (struct params){.scale = {0.08, 1}, .ratio = {3.0 / 4, 4.0 / 3}};
    if (!value)
        return THAW_OK;
    THAW_TRY(thaw_yaml_only(value, keys, 2));
    THAW_TRY(thaw_augment_parse_range(value, "scale", 0.001, 1, params->scale));
    return thaw_augment_parse_range(value, "ratio", 0.01, 100, params->ratio);
}

/* x0, y0, width and height of the part, whole pixels. */
struct part {
    int x, y, width, height;
};

static struct part fall_back(const struct params *params, int width, int height) {
    double ratio = (double)width / height;
    struct part part = {.width = width, .height = height};
    if (ratio < params->ratio[0])
        part.height = (int)lround(width / params->ratio[0]);
    else if (ratio > params->ratio[1])
        part.width = (int)lround(height * params->ratio[1]);
    part.x = (width - part.width) / 2;
    part.y = (height - part.height) / 2;
    return part;
}

static struct part draw_part(const struct params *params, struct thaw_rng *rng, int width,
                             int height) {
    double low = log(params->ratio[0]), high = log(params->ratio[1]);
    for (int i = 0; i < TRIES; i++) {
        double u = (double)thaw_rng_uniform(rng), v = (double)thaw_rng_uniform(rng);
        double area =
            (params->scale[0] + (params->scale[1] - params->scale[0]) * u) * width * (double)height;
        double ratio = exp(low + (high - low) * v);
        struct part part = {.width = (int)lround(sqrt(area * ratio)),
                            .height = (int)lround(sqrt(area / ratio))};
        if (part.width < 1 || part.height < 1 || part.width > width || part.height > height)
            continue;
        part.x = (int)thaw_rng_below(rng, (uint32_t)(width - part.width + 1));
        part.y = (int)thaw_rng_below(rng, (uint32_t)(height - part.height + 1));
        return part;
    }
    return fall_back(params, width, height);
}

static void apply(const void *params_, struct thaw_rng *rng, struct thaw_augment_sample *sample) {
    const struct part part = draw_part(params_, rng, sample->width, sample->height);
    double x = (double)part.width / sample->size, y = (double)part.height / sample->size;
    /* pixel centres: (i + 1/2) x - 1/2 */
    const double map[6] = {x, 0, part.x + x / 2 - 0.5, 0, y, part.y + y / 2 - 0.5};
    thaw_augment_map(sample, map, sample->size, sample->size);
}

const struct thaw_augmentation thaw_augmentation_random_resized_crop = {
    .name = "random_resized_crop",
    .summary = "{scale: [0.08, 1], ratio: [0.75, 1.333]}: a random part of the picture",
    .params_size = sizeof(struct params),
    .parse = parse,
    .apply = apply,
};
