/* The registry of augmentations, their YAML, and the draws for a picture. */
#include "data/augment.h"

#include <math.h>
#include <string.h>

#define X(name) extern const struct thaw_augmentation thaw_augmentation_##name;
#include "augmentations.inc"
#undef X

const struct thaw_augmentation *const thaw_augmentations[] = {
#define X(name) &thaw_augmentation_##name,
#include "augmentations.inc"
#undef X
};
const size_t thaw_augmentation_count = sizeof thaw_augmentations / sizeof *thaw_augmentations;

#define COUNT (sizeof thaw_augmentations / sizeof *thaw_augmentations)

/* ---- for implementers ------------------------------------------------------------------------*/

void thaw_augment_map(struct thaw_augment_sample *sample, const double map[6], int width,
                      int height) {
    const double *m = sample->to_source;
    const double composed[6] = {
        m[0] * map[0] + m[1] * map[3],        m[0] * map[1] + m[1] * map[4],
        m[0] * map[2] + m[1] * map[5] + m[2], m[3] * map[0] + m[4] * map[3],
        m[3] * map[1] + m[4] * map[4],        m[3] * map[2] + m[4] * map[5] + m[5]};
    memcpy(sample->to_source, composed, sizeof composed);
    sample->width = width;
    sample->height = height;
}

void thaw_augment_colour(struct thaw_augment_sample *sample, const double matrix[12]) {
    double composed[12];
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 4; column++) {
            double sum = column == 3 ? matrix[4 * row + 3] : 0;
            for (int k = 0; k < 3; k++)
                sum += matrix[4 * row + k] * sample->colour[4 * k + column];
            composed[4 * row + column] = sum;
        }
    memcpy(sample->colour, composed, sizeof composed);
}

thaw_status thaw_augment_parse_range(const thaw_yaml *map, const char *key, double low_limit,
                                     double high_limit, double range[2]) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    if (!node)
        return THAW_OK;
    double low, high;
    if (node->kind != THAW_YAML_SEQUENCE || node->count != 2)
        return thaw_yaml_fail(node, "`%s` must be [LOW, HIGH]", key);
    THAW_TRY(thaw_yaml_double(node->items[0], low_limit, high_limit, &low));
    THAW_TRY(thaw_yaml_double(node->items[1], low_limit, high_limit, &high));
    if (low > high)
        return thaw_yaml_fail(node, "`%s` goes from %g down to %g", key, low, high);
    range[0] = low;
    range[1] = high;
    return THAW_OK;
}

thaw_status thaw_augment_parse_number(const thaw_yaml *value, const char *key, double low,
                                      double high, double *number) {
    if (!value)
        return THAW_OK;
    if (value->kind == THAW_YAML_SCALAR)
        return thaw_yaml_double(value, low, high, number);
    THAW_TRY(thaw_yaml_only(value, &key, 1));
    return thaw_yaml_get_double(value, key, low, high, number);
}

/* ---- the list --------------------------------------------------------------------------------*/

/* An item is a name, or a mapping of one name to its parameters. */
static thaw_status parse_item(struct thaw_arena *arena, const thaw_yaml *item,
                              struct thaw_augment_entry *entry) {
    const char *names[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        names[i] = thaw_augmentations[i]->name;
    bool is_bare = item->kind == THAW_YAML_SCALAR;
    if (!is_bare && (item->kind != THAW_YAML_MAPPING || item->count != 1))
        return thaw_yaml_fail(item, "expected an augmentation: a name, or {name: parameters}");
    const thaw_yaml *name = is_bare ? item : item->keys[0];
    size_t index = 0;
    while (index < COUNT && strcmp(name->text, names[index]) != 0)
        index++;
    if (index == COUNT)
        return thaw_yaml_fail_unknown(name, "augmentation", name->text, names, COUNT);
    entry->augmentation = thaw_augmentations[index];
    entry->params = thaw_arena_alloc(arena, entry->augmentation->params_size);
    if (!entry->params)
        return THAW_ERROR_MEMORY;
    const thaw_yaml *value = is_bare ? NULL : item->items[0];
    return entry->augmentation->parse(value, entry->params);
}

thaw_status thaw_augment_parse(struct thaw_arena *arena, const thaw_yaml *list,
                               struct thaw_augment_list *ret_list) {
    struct thaw_augment_list parsed = {0};
    if (list) {
        THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, "`augment`"));
        parsed.entries = thaw_arena_array(arena, list->count, sizeof *parsed.entries);
        if (!parsed.entries)
            return THAW_ERROR_MEMORY;
        for (; parsed.count < list->count; parsed.count++) {
            struct thaw_augment_entry *entry = &parsed.entries[parsed.count];
            THAW_TRY(parse_item(arena, list->items[parsed.count], entry));
            for (size_t i = 0; i < parsed.count; i++)
                if (parsed.entries[i].augmentation == entry->augmentation)
                    return thaw_yaml_fail(list->items[parsed.count], "`%s` is in the list already",
                                          entry->augmentation->name);
        }
    }
    *ret_list = parsed;
    return THAW_OK;
}

/* ---- draws -----------------------------------------------------------------------------------*/

/* The middle of what the augmentations have left; an odd pixel to spare goes to the right and
 * below, except that a half is rounded to even as torchvision's CenterCrop does. */
static void crop_centre(struct thaw_augment_sample *sample) {
    double left = nearbyint((sample->width - sample->size) / 2.0);
    double top = nearbyint((sample->height - sample->size) / 2.0);
    thaw_augment_map(sample, (const double[6]){1, 0, left, 0, 1, top}, sample->size, sample->size);
}

struct thaw_augment_sample thaw_augment_draw(const struct thaw_augment_list *list,
                                             const struct thaw_input_spec *spec,
                                             const struct thaw_image *image, uint64_t seed,
                                             uint32_t epoch, uint32_t id, int index, int count) {
    struct thaw_augment_sample sample = {.width = image->width,
                                         .height = image->height,
                                         .size = spec->size,
                                         .index = index,
                                         .count = count,
                                         .to_source = {1, 0, 0, 0, 1, 0},
                                         .colour = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0},
                                         .luma = image->luma,
                                         .partner = index,
                                         .lambda = 1};
    struct thaw_rng rng = thaw_rng_init(seed, THAW_RNG_AUGMENT, epoch, id);
    for (size_t i = 0; list && i < list->count; i++)
        list->entries[i].augmentation->apply(list->entries[i].params, &rng, &sample);
    crop_centre(&sample);
    return sample;
}
