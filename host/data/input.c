#include "data/input.h"

#include <math.h>

#define SIZE_MAX_PIXELS 16384

static thaw_status parse_channels(const thaw_yaml *input, int *ret_channels) {
    int channels = 3;
    const thaw_yaml *node = thaw_yaml_get(input, "channels");
    THAW_TRY(thaw_yaml_get_int(input, "channels", 1, SIZE_MAX_PIXELS, &channels));
    if (channels != 1 && channels != 3)
        return thaw_yaml_fail(node, "pictures have 3 channels, or 1 (grey), not %d", channels);
    *ret_channels = channels;
    return THAW_OK;
}

static thaw_status parse_numbers(const thaw_yaml *input, const char *key, int count, double low,
                                 float *ret_numbers) {
    const thaw_yaml *list = thaw_yaml_get(input, key);
    if (!list)
        return thaw_yaml_fail(input, "`input` needs `%s`: %d number%s for pixels of 0..1", key,
                              count, count == 1 ? "" : "s");
    THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, key));
    if (list->count != (size_t)count)
        return thaw_yaml_fail(list, "`%s` has %zu numbers for %d channel%s", key, list->count,
                              count, count == 1 ? "" : "s");
    for (int i = 0; i < count; i++) {
        double number = 0;
        THAW_TRY(thaw_yaml_double(list->items[i], low, 1000, &number));
        ret_numbers[i] = (float)number;
    }
    return THAW_OK;
}

/* `size` is the default for the resize's own. */
static thaw_status parse_resize(const thaw_yaml *resize, int size,
                                struct thaw_image_request *image) {
    static const char *const keys[] = {"mode", "size"};
    static const char *const modes[] = {"short", "stretch"};
    static const enum thaw_resize_mode values[] = {THAW_RESIZE_SHORT, THAW_RESIZE_STRETCH};
    image->mode = THAW_RESIZE_SHORT;
    image->size = size;
    if (!resize)
        return THAW_OK;
    THAW_TRY(thaw_yaml_expect(resize, THAW_YAML_MAPPING, "`resize`"));
    THAW_TRY(thaw_yaml_only(resize, keys, 2));
    THAW_TRY(thaw_yaml_get_int(resize, "size", 1, SIZE_MAX_PIXELS, &image->size));
    const thaw_yaml *mode = thaw_yaml_get(resize, "mode");
    size_t index = 0;
    if (mode)
        THAW_TRY(thaw_yaml_choice(mode, modes, 2, &index));
    image->mode = values[index];
    if (image->size < size)
        return thaw_yaml_fail(resize, "resized to %d, smaller than the network's input of %d",
                              image->size, size);
    return THAW_OK;
}

/* Size and resize of the model file, then those of the experiment. */
static thaw_status parse_sizes(const thaw_yaml *input, const thaw_yaml *override,
                               struct thaw_input_spec *spec) {
    THAW_TRY(thaw_yaml_get_int(input, "size", 1, SIZE_MAX_PIXELS, &spec->size));
    if (!spec->size)
        return thaw_yaml_fail(input, "`input` needs a `size`");
    THAW_TRY(parse_resize(thaw_yaml_get(input, "resize"), spec->size, &spec->image));
    int own_size = spec->size;
    THAW_TRY(thaw_yaml_get_int(override, "size", 1, SIZE_MAX_PIXELS, &spec->size));
    spec->image.size = (int)lround((double)spec->image.size * spec->size / own_size);
    const thaw_yaml *resize = thaw_yaml_get(override, "resize");
    if (resize)
        THAW_TRY(parse_resize(resize, spec->size, &spec->image));
    return THAW_OK;
}

thaw_status thaw_input_spec_parse(const thaw_yaml *input, const thaw_yaml *override,
                                  struct thaw_input_spec *ret_spec) {
    static const char *const keys[] = {"channels", "size", "mean", "std", "resize", "crop"};
    static const char *const crops[] = {"center"};
    struct thaw_input_spec spec = {0};
    THAW_TRY(thaw_yaml_expect(input, THAW_YAML_MAPPING, "`input`"));
    THAW_TRY(thaw_yaml_only(input, keys, sizeof keys / sizeof *keys));
    THAW_TRY(parse_channels(input, &spec.image.channels));
    THAW_TRY(parse_numbers(input, "mean", spec.image.channels, -1000, spec.mean));
    THAW_TRY(parse_numbers(input, "std", spec.image.channels, 1e-6, spec.std));
    THAW_TRY(parse_sizes(input, override, &spec));
    const thaw_yaml *crop = thaw_yaml_get(input, "crop");
    size_t index;
    if (crop)
        THAW_TRY(thaw_yaml_choice(crop, crops, 1, &index));
    *ret_spec = spec;
    return THAW_OK;
}

static void emit_numbers(struct thaw_text *text, const char *key, const float *numbers, int count) {
    thaw_text_append(text, ", %s: [", key);
    for (int i = 0; i < count; i++)
        thaw_text_append(text, "%s%.9g", i ? ", " : "", (double)numbers[i]);
    thaw_text_append(text, "]");
}

void thaw_input_spec_emit(const struct thaw_input_spec *spec, struct thaw_text *text) {
    int channels = spec->image.channels;
    thaw_text_append(text, "{channels: %d, size: %d", channels, spec->size);
    emit_numbers(text, "mean", spec->mean, channels);
    emit_numbers(text, "std", spec->std, channels);
    thaw_text_append(text, ", resize: {mode: %s, size: %d}, crop: center}",
                     spec->image.mode == THAW_RESIZE_SHORT ? "short" : "stretch", spec->image.size);
}
