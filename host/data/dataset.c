/* Opening a dataset: listing by format, then the split. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "data/dataset_internal.h"

const char *const thaw_set_names[THAW_SET_COUNT] = {"train", "val", "test"};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Compares the numbers at *a and *b and steps over them. */
static int compare_numbers(const char **a, const char **b) {
    while (**a == '0')
        ++*a;
    while (**b == '0')
        ++*b;
    size_t length_a = 0, length_b = 0;
    while (is_digit((*a)[length_a]))
        length_a++;
    while (is_digit((*b)[length_b]))
        length_b++;
    int order = length_a != length_b ? (length_a < length_b ? -1 : 1) : memcmp(*a, *b, length_a);
    *a += length_a;
    *b += length_b;
    return order;
}

int thaw_dataset_compare_names(const char *a, const char *b) {
    const char *x = a, *y = b;
    while (*x && *y) {
        if (is_digit(*x) && is_digit(*y)) {
            int order = compare_numbers(&x, &y);
            if (order)
                return order;
        } else if (*x != *y) {
            break;
        } else {
            x++;
            y++;
        }
    }
    int order = (unsigned char)*x - (unsigned char)*y;
    return order ? order : strcmp(a, b); /* 07 and 7 */
}

thaw_status thaw_dataset_add(struct thaw_dataset_builder *builder, struct thaw_photo photo) {
    struct thaw_dataset *dataset = builder->dataset;
    struct thaw_photo *photos = thaw_arena_grow(&dataset->arena, dataset->photos, dataset->count,
                                                &builder->capacity, sizeof *photos);
    if (!photos)
        return THAW_ERROR_MEMORY;
    dataset->photos = photos;
    photos[dataset->count++] = photo;
    return THAW_OK;
}

static thaw_status copy_classes(const struct thaw_dataset_config *config,
                                struct thaw_dataset *dataset) {
    if (!config->class_count)
        return THAW_OK;
    dataset->classes =
        thaw_arena_array(&dataset->arena, config->class_count, sizeof *dataset->classes);
    if (!dataset->classes)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < config->class_count; i++) {
        dataset->classes[i] = thaw_arena_copy(&dataset->arena, config->classes[i]);
        if (!dataset->classes[i])
            return THAW_ERROR_MEMORY;
    }
    dataset->class_count = config->class_count;
    return THAW_OK;
}

static thaw_status (*const lists[THAW_DATASET_FORMAT_COUNT])(struct thaw_dataset_builder *) = {
    [THAW_DATASET_FOLDER] = thaw_dataset_list_folder,
    [THAW_DATASET_CSV] = thaw_dataset_list_csv,
    [THAW_DATASET_IDX] = thaw_dataset_list_idx,
};

static thaw_status fill(struct thaw_dataset_builder *builder) {
    const struct thaw_dataset_config *config = builder->config;
    struct thaw_dataset *dataset = builder->dataset;
    THAW_TRY(copy_classes(config, dataset));
    THAW_TRY(lists[config->format](builder));
    THAW_TRY(thaw_dataset_select_classes(builder));
    if (dataset->class_count < 2 && !config->evaluate_only)
        return thaw_yaml_fail(config->place, "the data have one class, '%s'; two are the least",
                              dataset->classes[0]);
    THAW_TRY(thaw_dataset_split(builder));
    return config->evaluate_only ? THAW_OK : thaw_dataset_select_photos(builder);
}

thaw_status thaw_dataset_open(const struct thaw_dataset_config *config,
                              struct thaw_dataset **ret_dataset) {
    struct thaw_dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    struct thaw_dataset_builder builder = {.config = config, .dataset = dataset};
    thaw_status status = fill(&builder);
    if (status == THAW_OK)
        *ret_dataset = dataset;
    else
        thaw_dataset_destroy(&dataset);
    return status;
}

void thaw_dataset_destroy(struct thaw_dataset **dataset) {
    if (!dataset || !*dataset)
        return;
    thaw_arena_finish(&(*dataset)->arena);
    free(*dataset);
    *dataset = NULL;
}
