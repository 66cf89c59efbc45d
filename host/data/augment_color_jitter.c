/* Brightness, contrast, saturation and hue, in this order, each by a random amount; all of them are
 * linear in R, G, B of 0..1:
 *
 *   brightness  v' = f v                                   f in [1 - s, 1 + s]
 *   contrast    v' = f v + (1 - f) m                       m: mean luma of the picture
 *   saturation  v' = f v + (1 - f) luma(v)                 luma = 0.299 R + 0.587 G + 0.114 B
 *   hue         a turn of the colour plane of YIQ          by up to `hue` of a full turn
 *
 * as in torchvision, except that hue turns the plane of YIQ instead of HSV's circle, that m is the
 * mean of the whole picture, and that values are cut to 0..1 once, at the end. A number alone, as
 * in {color_jitter: 0.2}, is brightness, contrast and saturation. A grey input keeps to the first
 * two. */
#include <math.h>

#include "data/augment.h"

#define TURN 6.283185307179586

static const double luma_weights[3] = {0.299, 0.587, 0.114};

struct params {
    double brightness, contrast, saturation, hue;
};

static thaw_status parse(const thaw_yaml *value, void *params_) {
    static const char *const keys[] = {"brightness", "contrast", "saturation", "hue"};
    struct params *params = params_;
    if (value && value->kind == THAW_YAML_SCALAR) {
        THAW_TRY(thaw_yaml_double(value, 0, 1, &params->brightness));
        params->contrast = params->saturation = params->brightness;
        return THAW_OK;
    }
    if (!value || !value->count)
        return thaw_yaml_fail(value, "`color_jitter` needs a strength, such as "
                                     "{color_jitter: 0.2} or {color_jitter: {brightness: 0.2}}");
    THAW_TRY(thaw_yaml_only(value, keys, 4));
    THAW_TRY(thaw_yaml_get_double(value, "brightness", 0, 1, &params->brightness));
    THAW_TRY(thaw_yaml_get_double(value, "contrast", 0, 1, &params->contrast));
    THAW_TRY(thaw_yaml_get_double(value, "saturation", 0, 1, &params->saturation));
    return thaw_yaml_get_double(value, "hue", 0, 0.5, &params->hue);
}

static double draw_factor(struct thaw_rng *rng, double strength) {
    return 1 + strength * (2 * (double)thaw_rng_uniform(rng) - 1);
}

static void scale(struct thaw_augment_sample *sample, double factor, double offset) {
    const double matrix[12] = {factor, 0, 0, offset, 0, factor, 0, offset, 0, 0, factor, offset};
    thaw_augment_colour(sample, matrix);
    sample->luma = factor * sample->luma + offset;
}

static void saturate(struct thaw_augment_sample *sample, double factor) {
    double matrix[12] = {0};
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++)
            matrix[4 * row + column] =
                (1 - factor) * luma_weights[column] + (row == column ? factor : 0);
    thaw_augment_colour(sample, matrix);
}

/* RGB -> YIQ (the FCC's matrix of 1953), the turn of (I, Q), and back. */
static void turn_hue(struct thaw_augment_sample *sample, double angle) {
    static const double iq[2][3] = {{0.595716, -0.274453, -0.321263},
                                    {0.211456, -0.522591, 0.311135}};
    static const double back[3][2] = {
        {0.9562957, 0.6210244}, {-0.2721221, -0.6473806}, {-1.1069890, 1.7046150}};
    double c = cos(angle), s = sin(angle);
    double matrix[12] = {0};
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++) {
            double i = c * iq[0][column] - s * iq[1][column];
            double q = s * iq[0][column] + c * iq[1][column];
            matrix[4 * row + column] = luma_weights[column] + back[row][0] * i + back[row][1] * q;
        }
    thaw_augment_colour(sample, matrix);
}

static void apply(const void *params_, struct thaw_rng *rng, struct thaw_augment_sample *sample) {
    const struct params *params = params_;
    scale(sample, draw_factor(rng, params->brightness), 0);
    double contrast = draw_factor(rng, params->contrast);
    scale(sample, contrast, (1 - contrast) * sample->luma);
    saturate(sample, draw_factor(rng, params->saturation));
    double turn = params->hue * (2 * (double)thaw_rng_uniform(rng) - 1);
    if (turn != 0)
        turn_hue(sample, TURN * turn);
}

const struct thaw_augmentation thaw_augmentation_color_jitter = {
    .name = "color_jitter",
    .summary = "STRENGTH or {brightness: 0, contrast: 0, saturation: 0, hue: 0}",
    .params_size = sizeof(struct params),
    .parse = parse,
    .apply = apply,
};
