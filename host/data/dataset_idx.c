/* format: idx. All pictures of a part in one file, their labels in another. */
#include <string.h>

#include "data/dataset_internal.h"
#include "data/idx.h"

#define SIDE_MAX 16384

/* Both files of one part, read. */
struct part {
    const char *images_file, *labels_file;
    struct thaw_idx images, labels;
    const char *stem; /* of its photos' names */
};

static thaw_status read_part(struct thaw_arena *arena, struct part *part) {
    struct thaw_idx *images = &part->images, *labels = &part->labels;
    THAW_TRY(thaw_idx_load(arena, part->images_file, images));
    if (images->rank < 3 || (images->rank == 4 && images->dims[3] != 1 && images->dims[3] != 3))
        return thaw_fail(THAW_ERROR_INPUT,
                         "%s: %d dimension%s; images have 3 (count, height, width), or 4 with 1 or "
                         "3 channels last",
                         part->images_file, images->rank, images->rank == 1 ? "" : "s");
    if (images->dims[1] > SIDE_MAX || images->dims[2] > SIDE_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "%s: %u x %u pixels; at most %d x %d are read",
                         part->images_file, (unsigned)images->dims[2], (unsigned)images->dims[1],
                         SIDE_MAX, SIDE_MAX);
    THAW_TRY(thaw_idx_load(arena, part->labels_file, labels));
    if (labels->rank != 1)
        return thaw_fail(THAW_ERROR_INPUT, "%s: %d dimensions; labels have 1", part->labels_file,
                         labels->rank);
    if (labels->dims[0] != images->dims[0])
        return thaw_fail(THAW_ERROR_INPUT, "%s: %u labels for the %u images of %s",
                         part->labels_file, (unsigned)labels->dims[0], (unsigned)images->dims[0],
                         part->images_file);
    return THAW_OK;
}

/* "x/train-images-idx3-ubyte.gz" -> "train-images". */
static thaw_status make_stem(struct thaw_arena *arena, struct part *parts, size_t set) {
    const char *slash = strrchr(parts[set].images_file, '/');
    const char *base = slash ? slash + 1 : parts[set].images_file;
    const char *mark = strstr(base, "-idx");
    size_t length = mark ? (size_t)(mark - base) : strcspn(base, ".");
    const char *stem = thaw_arena_copy_bytes(arena, base, length ? length : strlen(base));
    for (size_t i = 0; stem && i < set; i++)
        if (parts[i].stem && !strcmp(parts[i].stem, stem)) {
            stem = thaw_arena_format(arena, "%s-%s", thaw_set_names[set], stem);
            break;
        }
    parts[set].stem = stem;
    return stem ? THAW_OK : THAW_ERROR_MEMORY;
}

/* "0", "1", ... up to the largest label. */
static thaw_status number_classes(struct thaw_dataset *dataset, const struct part *parts) {
    size_t count = 0;
    for (size_t set = 0; set < THAW_SET_COUNT; set++)
        for (size_t i = 0; i < parts[set].labels.size_bytes; i++)
            if (parts[set].labels.values[i] >= count)
                count = parts[set].labels.values[i] + 1u;
    dataset->classes = thaw_arena_array(&dataset->arena, count, sizeof *dataset->classes);
    if (!dataset->classes)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        dataset->classes[i] = thaw_arena_format(&dataset->arena, "%zu", i);
        if (!dataset->classes[i])
            return THAW_ERROR_MEMORY;
    }
    dataset->class_count = count;
    return THAW_OK;
}

static thaw_status add_part(struct thaw_dataset_builder *builder, const struct part *part,
                            enum thaw_set set) {
    struct thaw_dataset *dataset = builder->dataset;
    const struct thaw_idx *images = &part->images;
    struct thaw_raster raster = {.width = (int)images->dims[2],
                                 .height = (int)images->dims[1],
                                 .channels = images->rank == 4 ? (int)images->dims[3] : 1};
    size_t item = (size_t)raster.width * (size_t)raster.height * (size_t)raster.channels;
    for (size_t i = 0; i < images->dims[0]; i++) {
        size_t label = part->labels.values[i];
        if (label >= dataset->class_count)
            return thaw_fail(
                THAW_ERROR_INPUT, "%s: item %zu has label %zu; `classes` names %zu, 0 to %zu",
                part->labels_file, i, label, dataset->class_count, dataset->class_count - 1);
        raster.pixels = images->values + i * item;
        struct thaw_photo photo = {
            .path = thaw_arena_format(&dataset->arena, "%s#%zu", part->images_file, i),
            .name = thaw_arena_format(&dataset->arena, "%s#%zu", part->stem, i),
            .label = (int)label,
            .set = set,
            .raster = raster};
        if (!photo.path || !photo.name)
            return THAW_ERROR_MEMORY;
        THAW_TRY(thaw_dataset_add(builder, photo));
    }
    return THAW_OK;
}

thaw_status thaw_dataset_list_idx(struct thaw_dataset_builder *builder) {
    const struct thaw_dataset_config *config = builder->config;
    struct thaw_arena *arena = &builder->dataset->arena;
    struct part parts[THAW_SET_COUNT] = {0};
    for (size_t set = 0; set < THAW_SET_COUNT; set++) {
        parts[set].images_file = config->idx[set].images;
        parts[set].labels_file = config->idx[set].labels;
        if (!parts[set].images_file)
            continue;
        THAW_TRY(make_stem(arena, parts, set));
        THAW_TRY(read_part(arena, &parts[set]));
    }
    if (!config->class_count)
        THAW_TRY(number_classes(builder->dataset, parts));
    for (size_t set = 0; set < THAW_SET_COUNT; set++)
        if (parts[set].images_file)
            THAW_TRY(add_part(builder, &parts[set], (enum thaw_set)set));
    /* Test pictures stand in for validation only where nobody asks for a part of the others. */
    builder->has_explicit_sets = config->idx[THAW_SET_VAL].images ||
                                 (config->idx[THAW_SET_TEST].images && !config->val_place);
    return THAW_OK;
}
