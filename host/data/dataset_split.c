/* Which photos are for training and which for validation, and the file that says so. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/rng.h"
#include "data/csv.h"
#include "data/dataset_internal.h"

void thaw_dataset_count_sets(struct thaw_dataset *dataset) {
    memset(dataset->set_counts, 0, sizeof dataset->set_counts);
    for (size_t i = 0; i < dataset->count; i++)
        dataset->set_counts[dataset->photos[i].set]++;
}

/* The photos of one class that are not for testing: the first round(count * val) of a seeded
 * shuffle are for validation, at least one and never all. */
static thaw_status split_class(struct thaw_dataset *dataset, int label,
                               const struct thaw_dataset_config *config, uint32_t *members) {
    size_t count = 0;
    for (size_t i = 0; i < dataset->count; i++)
        if (dataset->photos[i].label == label && dataset->photos[i].set == THAW_SET_TRAIN)
            members[count++] = (uint32_t)i;
    const char *name = dataset->classes[label];
    if (count < 2)
        return thaw_hint(
            thaw_fail(THAW_ERROR_INPUT,
                      "class '%s' has %zu photo%s; at least 2 are needed: one to train, one to "
                      "validate",
                      name, count, count == 1 ? "" : "s"),
            "add photos or remove the class");
    struct thaw_rng rng = thaw_rng_init(config->seed, THAW_RNG_SPLIT, (uint32_t)label, 0);
    thaw_rng_shuffle(&rng, members, count);
    size_t val_count = (size_t)lround((double)count * config->val);
    val_count = val_count < 1 ? 1 : val_count > count - 1 ? count - 1 : val_count;
    for (size_t i = 0; i < count; i++)
        dataset->photos[members[i]].set = i < val_count ? THAW_SET_VAL : THAW_SET_TRAIN;
    return THAW_OK;
}

static thaw_status split_stratified(struct thaw_dataset *dataset,
                                    const struct thaw_dataset_config *config) {
    uint32_t *members = calloc(dataset->count, sizeof *members);
    if (!members)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    thaw_status status = THAW_OK;
    for (size_t i = 0; status == THAW_OK && i < dataset->class_count; i++)
        status = split_class(dataset, (int)i, config, members);
    free(members);
    return status;
}

/* Sets that the data say: test stands in for a validation set, and each class must be trained. */
static thaw_status settle_explicit(struct thaw_dataset *dataset,
                                   const struct thaw_dataset_config *config) {
    const char *source = config->file                         ? config->file
                         : config->idx[THAW_SET_TRAIN].images ? config->idx[THAW_SET_TRAIN].images
                                                              : config->root;
    thaw_dataset_count_sets(dataset);
    bool has_val = dataset->set_counts[THAW_SET_VAL] > 0;
    for (size_t i = 0; !has_val && i < dataset->count; i++)
        if (dataset->photos[i].set == THAW_SET_TEST)
            dataset->photos[i].set = THAW_SET_VAL;
    thaw_dataset_count_sets(dataset);
    if (!dataset->set_counts[THAW_SET_VAL])
        return thaw_fail(THAW_ERROR_INPUT, "'%s': no photo is for validation (set val or test)",
                         source);
    for (size_t label = 0; label < dataset->class_count; label++) {
        bool is_trained = false;
        for (size_t i = 0; !is_trained && i < dataset->count; i++)
            is_trained =
                dataset->photos[i].label == (int)label && dataset->photos[i].set == THAW_SET_TRAIN;
        if (!is_trained)
            return thaw_fail(THAW_ERROR_INPUT, "'%s': class '%s' has no photo for training", source,
                             dataset->classes[label]);
    }
    return THAW_OK;
}

/* ---- the file --------------------------------------------------------------------------------*/

thaw_status thaw_dataset_write_split(const struct thaw_dataset *dataset, const char *path) {
    struct thaw_text text = {0};
    thaw_text_append(&text, "path,label,set\n");
    for (size_t i = 0; i < dataset->count; i++) {
        const struct thaw_photo *photo = &dataset->photos[i];
        thaw_csv_append_field(&text, photo->name);
        thaw_text_append(&text, ",");
        thaw_csv_append_field(&text, dataset->classes[photo->label]);
        thaw_text_append(&text, ",%s\n", thaw_set_names[photo->set]);
    }
    thaw_status status = text.failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory")
                                     : thaw_file_write(path, text.text, text.length);
    thaw_text_finish(&text);
    return status;
}

/* A photo by name; a split may be in another order than the data. */
struct entry {
    const char *name;
    size_t index; /* of the photo */
    bool is_seen;
};

static int compare_entry(const void *a, const void *b) {
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool has_class(const struct thaw_dataset *dataset, const char *name) {
    for (size_t i = 0; i < dataset->class_count; i++)
        if (!strcmp(dataset->classes[i], name))
            return true;
    return false;
}

static thaw_status take_row(struct thaw_dataset *dataset, const char *path, bool is_partial,
                            const struct thaw_csv_row *row, struct entry *entries,
                            enum thaw_set *sets) {
    const char *name = row->fields[0], *label = row->fields[1];
    struct entry key = {.name = name};
    struct entry *entry = bsearch(&key, entries, dataset->count, sizeof key, compare_entry);
    if (!entry && is_partial && !has_class(dataset, label))
        return THAW_OK; /* of a class that is not selected */
    if (!entry)
        return thaw_fail(THAW_ERROR_INPUT, "%s:%d: '%s' is not among the photos", path, row->line,
                         name);
    if (entry->is_seen)
        return thaw_fail(THAW_ERROR_INPUT, "%s:%d: '%s' is there twice", path, row->line, name);
    entry->is_seen = true;
    const char *actual = dataset->classes[dataset->photos[entry->index].label];
    if (strcmp(actual, label))
        return thaw_fail(THAW_ERROR_INPUT, "%s:%d: '%s' was '%s' and is '%s' now", path, row->line,
                         name, label, actual);
    for (int set = 0; set < THAW_SET_COUNT; set++)
        if (!strcmp(row->fields[2], thaw_set_names[set])) {
            sets[entry->index] = (enum thaw_set)set;
            return THAW_OK;
        }
    return thaw_fail(THAW_ERROR_INPUT, "%s:%d: set '%s'; expected train, val or test", path,
                     row->line, row->fields[2]);
}

static thaw_status take_rows(struct thaw_dataset *dataset, const char *path, bool is_partial,
                             struct thaw_arena *arena) {
    struct thaw_csv csv = {0};
    THAW_TRY(thaw_csv_read(arena, path, ',', &csv));
    if (!csv.count || csv.columns != 3 || strcmp(csv.rows[0].fields[0], "path") ||
        strcmp(csv.rows[0].fields[1], "label") || strcmp(csv.rows[0].fields[2], "set"))
        return thaw_fail(THAW_ERROR_INPUT, "%s:1: expected the header path,label,set", path);
    struct entry *entries = thaw_arena_array(arena, dataset->count, sizeof *entries);
    enum thaw_set *sets = thaw_arena_array(arena, dataset->count, sizeof *sets);
    if (!entries || !sets)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < dataset->count; i++)
        entries[i] = (struct entry){.name = dataset->photos[i].name, .index = i};
    qsort(entries, dataset->count, sizeof *entries, compare_entry);
    for (size_t i = 1; i < csv.count; i++)
        THAW_TRY(take_row(dataset, path, is_partial, &csv.rows[i], entries, sets));
    for (size_t i = 0; i < dataset->count; i++)
        if (!entries[i].is_seen)
            return thaw_fail(THAW_ERROR_INPUT, "'%s' does not say the set of '%s'", path,
                             entries[i].name);
    for (size_t i = 0; i < dataset->count; i++)
        dataset->photos[i].set = sets[i];
    thaw_dataset_count_sets(dataset);
    return THAW_OK;
}

static thaw_status read_split(struct thaw_dataset *dataset, const char *path, bool is_partial) {
    struct thaw_arena arena = {0};
    thaw_status status = take_rows(dataset, path, is_partial, &arena);
    thaw_arena_finish(&arena);
    return status;
}

thaw_status thaw_dataset_read_split(struct thaw_dataset *dataset, const char *path) {
    return read_split(dataset, path, false);
}

/* ---- the choice ------------------------------------------------------------------------------*/

thaw_status thaw_dataset_split(struct thaw_dataset_builder *builder) {
    struct thaw_dataset *dataset = builder->dataset;
    const struct thaw_dataset_config *config = builder->config;
    if (config->evaluate_only)
        for (size_t i = 0; i < dataset->count; i++)
            dataset->photos[i].set = THAW_SET_VAL;
    else if (config->split)
        THAW_TRY(read_split(dataset, config->split, config->select.classes != NULL));
    else if (builder->has_explicit_sets)
        THAW_TRY(settle_explicit(dataset, config));
    else
        THAW_TRY(split_stratified(dataset, config));
    thaw_dataset_count_sets(dataset);
    return THAW_OK;
}
