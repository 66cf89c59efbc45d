/* format: csv. A row for each photo. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "data/csv.h"
#include "data/dataset_internal.h"

/* The table, and which of its columns say what. */
struct table {
    struct thaw_dataset_builder *builder;
    const struct thaw_dataset_config *config;
    struct thaw_arena *arena;
    struct thaw_csv csv;
    size_t first; /* row: 1 after a header */
    size_t path, label;
    int set; /* -1: none */
};

/* A place in the table, for messages and for reading numbers. */
static thaw_yaml cell(const struct table *table, size_t row, const char *text) {
    return (thaw_yaml){.kind = THAW_YAML_SCALAR,
                       .file = table->config->file,
                       .line = table->csv.rows[row].line,
                       .column = 1,
                       .text = text};
}

/* ---- columns ---------------------------------------------------------------------------------*/

static int find_column(const struct table *table, const char *name) {
    for (size_t i = 0; i < table->csv.columns; i++)
        if (!strcmp(table->csv.rows[0].fields[i], name))
            return (int)i;
    return -1;
}

static thaw_status resolve_column(const struct table *table,
                                  const struct thaw_dataset_column *column, size_t *ret_index) {
    const char *file = table->config->file;
    if (!column->name && (size_t)column->index >= table->csv.columns)
        return thaw_yaml_fail(column->place, "no column %d: '%s' has %zu, numbered from 0",
                              column->index, file, table->csv.columns);
    int index = column->name ? find_column(table, column->name) : column->index;
    if (index < 0)
        return thaw_context(thaw_yaml_fail_unknown(column->place, "column", column->name,
                                                   table->csv.rows[0].fields, table->csv.columns),
                            "'%s'", file);
    *ret_index = (size_t)index;
    return THAW_OK;
}

static thaw_status resolve_columns(struct table *table) {
    const struct thaw_dataset_config *config = table->config;
    table->first = config->header;
    if (table->csv.count <= table->first)
        return thaw_fail(THAW_ERROR_INPUT, "'%s' has no rows%s", config->file,
                         config->header ? " after the header" : "");
    THAW_TRY(resolve_column(table, &config->path, &table->path));
    THAW_TRY(resolve_column(table, &config->label, &table->label));
    table->set = -1;
    if (config->set.name || config->set.index >= 0) {
        size_t index = 0;
        THAW_TRY(resolve_column(table, &config->set, &index));
        table->set = (int)index;
    } else if (config->header && !config->ignore_set && !config->split) {
        table->set = find_column(table, "set");
    }
    if (table->set >= 0 && config->val_place)
        return thaw_hint(thaw_yaml_fail(config->val_place,
                                        "`val` and `seed` have no meaning: '%s' has a column `set`",
                                        config->file),
                         "`set: ~` ignores the column");
    return THAW_OK;
}

/* ---- labels ----------------------------------------------------------------------------------*/

static int compare_text(const void *a, const void *b) {
    return thaw_dataset_compare_names(*(const char *const *)a, *(const char *const *)b);
}

/* The classes are the different labels. */
static thaw_status collect_classes(struct table *table) {
    struct thaw_dataset *dataset = table->builder->dataset;
    size_t count = 0, rows = table->csv.count - table->first;
    const char **labels = thaw_arena_array(table->arena, rows, sizeof *labels);
    if (!labels)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < rows; i++)
        labels[i] = table->csv.rows[table->first + i].fields[table->label];
    qsort(labels, rows, sizeof *labels, compare_text);
    for (size_t i = 0; i < rows; i++)
        if (!i || strcmp(labels[i], labels[count - 1]))
            labels[count++] = labels[i];
    dataset->classes = labels;
    dataset->class_count = count;
    return THAW_OK;
}

static bool is_sorted(const struct table *table) {
    return !table->config->class_count && !table->config->mapping_count;
}

static bool same_number(const char *a, const char *b) {
    thaw_yaml first = {.kind = THAW_YAML_SCALAR, .text = a};
    thaw_yaml second = {.kind = THAW_YAML_SCALAR, .text = b};
    double x, y;
    return thaw_yaml_double(&first, -INFINITY, INFINITY, &x) == THAW_OK &&
           thaw_yaml_double(&second, -INFINITY, INFINITY, &y) == THAW_OK && x == y;
}

/* The class that `map` gives for a label: by text, else by number. */
static const char *look_up(const struct thaw_dataset_config *config, const char *label) {
    for (size_t i = 0; i < config->mapping_count; i++)
        if (!strcmp(config->mappings[i].value, label))
            return config->mappings[i].class_name;
    for (size_t i = 0; i < config->mapping_count; i++)
        if (same_number(config->mappings[i].value, label))
            return config->mappings[i].class_name;
    return NULL;
}

static thaw_status fail_unmapped(const struct table *table, const thaw_yaml *place) {
    size_t count = table->config->mapping_count;
    const char **values = thaw_arena_array(table->arena, count, sizeof *values);
    if (!values)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        values[i] = table->config->mappings[i].value;
    return thaw_yaml_fail_unknown(place, "label (`map` does not have it)", place->text, values,
                                  count);
}

static thaw_status find_label(const struct table *table, size_t row, int *ret_label) {
    const struct thaw_dataset_config *config = table->config;
    const struct thaw_dataset *dataset = table->builder->dataset;
    const char *label = table->csv.rows[row].fields[table->label];
    const thaw_yaml place = cell(table, row, label);
    if (config->has_threshold) {
        double number = 0;
        THAW_TRY(thaw_yaml_double(&place, -INFINITY, INFINITY, &number));
        *ret_label = number >= config->threshold;
        return THAW_OK;
    }
    if (config->mapping_count) {
        label = look_up(config, label);
        if (!label)
            return fail_unmapped(table, &place);
    }
    if (is_sorted(table)) {
        const char **found = bsearch(&label, dataset->classes, dataset->class_count,
                                     sizeof *dataset->classes, compare_text);
        *ret_label = (int)(found - dataset->classes);
        return THAW_OK;
    }
    for (size_t i = 0; i < dataset->class_count; i++)
        if (!strcmp(dataset->classes[i], label)) {
            *ret_label = (int)i;
            return THAW_OK;
        }
    return thaw_yaml_fail_unknown(&place, "label", label, dataset->classes, dataset->class_count);
}

/* ---- rows ------------------------------------------------------------------------------------*/

static thaw_status add_row(struct table *table, size_t row) {
    const char *const *fields = table->csv.rows[row].fields;
    const char *name = fields[table->path];
    const thaw_yaml place = cell(table, row, name);
    struct thaw_photo photo = {.name = name, .line = place.line};
    if (!*name)
        return thaw_yaml_fail(&place, "the path is empty");
    photo.path = *name == '/' ? name : thaw_path_join(table->arena, table->config->root, name);
    if (!photo.path)
        return THAW_ERROR_MEMORY;
    if (!thaw_path_exists(photo.path))
        return thaw_yaml_fail(&place, "no file '%s'", photo.path);
    if (thaw_path_is_directory(photo.path))
        return thaw_yaml_fail(&place, "'%s' is a folder; expected a photo", photo.path);
    THAW_TRY(find_label(table, row, &photo.label));
    if (table->set >= 0) {
        const thaw_yaml set = cell(table, row, fields[table->set]);
        size_t index = 0;
        if (thaw_yaml_choice(&set, thaw_set_names, THAW_SET_COUNT, &index) != THAW_OK)
            return thaw_yaml_fail_unknown(&set, "set", set.text, thaw_set_names, THAW_SET_COUNT);
        photo.set = (enum thaw_set)index;
    }
    return thaw_dataset_add(table->builder, photo);
}

static int compare_photo(const void *a, const void *b) {
    const struct thaw_photo *x = *(const struct thaw_photo *const *)a;
    const struct thaw_photo *y = *(const struct thaw_photo *const *)b;
    int order = strcmp(x->path, y->path);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static thaw_status check_duplicates(const struct table *table) {
    const struct thaw_dataset *dataset = table->builder->dataset;
    const struct thaw_photo **sorted =
        thaw_arena_array(table->arena, dataset->count, sizeof *sorted);
    if (!sorted)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < dataset->count; i++)
        sorted[i] = &dataset->photos[i];
    qsort(sorted, dataset->count, sizeof *sorted, compare_photo);
    for (size_t i = 1; i < dataset->count; i++)
        if (!strcmp(sorted[i - 1]->path, sorted[i]->path))
            return thaw_fail(THAW_ERROR_INPUT, "%s:%d: '%s' is in line %d already",
                             table->config->file, sorted[i]->line, sorted[i]->name,
                             sorted[i - 1]->line);
    return THAW_OK;
}

thaw_status thaw_dataset_list_csv(struct thaw_dataset_builder *builder) {
    struct table table = {
        .builder = builder, .config = builder->config, .arena = &builder->dataset->arena};
    THAW_TRY(thaw_csv_read(table.arena, table.config->file, table.config->delimiter, &table.csv));
    THAW_TRY(resolve_columns(&table));
    if (is_sorted(&table))
        THAW_TRY(collect_classes(&table));
    for (size_t row = table.first; row < table.csv.count; row++)
        THAW_TRY(add_row(&table, row));
    builder->has_explicit_sets = table.set >= 0;
    return check_duplicates(&table);
}
