/* `select`: some of the classes, and so many photos of each. */
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "data/dataset_internal.h"

#define DROPPED (-1)

/* Takes out the photos whose label is DROPPED. */
static void compact(struct thaw_dataset *dataset) {
    size_t count = 0;
    for (size_t i = 0; i < dataset->count; i++)
        if (dataset->photos[i].label != DROPPED)
            dataset->photos[count++] = dataset->photos[i];
    dataset->count = count;
}

thaw_status thaw_dataset_select_classes(struct thaw_dataset_builder *builder) {
    struct thaw_dataset *dataset = builder->dataset;
    const thaw_yaml *list = builder->config->select.classes;
    if (!list)
        return THAW_OK;
    const char **classes = thaw_arena_array(&dataset->arena, list->count, sizeof *classes);
    int *labels = thaw_arena_array(&dataset->arena, dataset->class_count, sizeof *labels);
    if (!classes || !labels)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < dataset->class_count; i++)
        labels[i] = DROPPED;
    for (size_t i = 0; i < list->count; i++) {
        size_t index = 0;
        const char *name = NULL;
        THAW_TRY(thaw_yaml_string(list->items[i], &name));
        if (thaw_yaml_choice(list->items[i], dataset->classes, dataset->class_count, &index) !=
            THAW_OK)
            return thaw_yaml_fail_unknown(list->items[i], "class", name, dataset->classes,
                                          dataset->class_count);
        labels[index] = (int)i;
        classes[i] = dataset->classes[index];
    }
    for (size_t i = 0; i < dataset->count; i++)
        dataset->photos[i].label = labels[dataset->photos[i].label];
    dataset->classes = classes;
    dataset->class_count = list->count;
    compact(dataset);
    return THAW_OK;
}

/* Drops what the first `keep` of a seeded shuffle of the class's photos in `set` leave over. */
static void thin_class(struct thaw_dataset *dataset, int label, enum thaw_set set, size_t keep,
                       uint64_t seed, uint32_t *members) {
    size_t count = 0;
    for (size_t i = 0; i < dataset->count; i++)
        if (dataset->photos[i].label == label && dataset->photos[i].set == set)
            members[count++] = (uint32_t)i;
    struct thaw_rng rng = thaw_rng_init(seed, THAW_RNG_SPLIT, (uint32_t)label, 1u + (uint32_t)set);
    thaw_rng_shuffle(&rng, members, count);
    for (size_t i = keep; i < count; i++)
        dataset->photos[members[i]].label = DROPPED;
}

thaw_status thaw_dataset_select_photos(struct thaw_dataset_builder *builder) {
    struct thaw_dataset *dataset = builder->dataset;
    const struct thaw_dataset_select *select = &builder->config->select;
    const int keep[THAW_SET_COUNT] = {
        [THAW_SET_TRAIN] = select->per_class, [THAW_SET_VAL] = select->val_per_class};
    uint32_t *members = calloc(dataset->count + 1, sizeof *members);
    if (!members)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    for (int set = 0; set < THAW_SET_COUNT; set++)
        for (size_t label = 0; keep[set] && label < dataset->class_count; label++)
            thin_class(dataset, (int)label, (enum thaw_set)set, (size_t)keep[set], select->seed,
                       members);
    free(members);
    compact(dataset);
    thaw_dataset_count_sets(dataset);
    return THAW_OK;
}
