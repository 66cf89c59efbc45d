/* The section `data` of an experiment. */
#include <limits.h>
#include <string.h>

#include "core/file.h"
#include "data/dataset_internal.h"

#define VAL_DEFAULT 0.2
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Expands the path under `key` and makes it relative to its YAML file. */
static thaw_status parse_path(struct thaw_arena *arena, const thaw_yaml *data, const char *key,
                              const char **path) {
    const thaw_yaml *node = thaw_yaml_get(data, key);
    if (!node)
        return THAW_OK;
    const char *text = NULL;
    char *expanded = NULL;
    THAW_TRY(thaw_yaml_string(node, &text));
    if (!*text)
        return thaw_yaml_fail(node, "`%s` is empty; expected a path", key);
    thaw_status status = thaw_path_expand(arena, text, &expanded);
    if (status != THAW_OK)
        return thaw_context(status, "%s:%d:%d", node->file, node->line, node->column);
    *path = thaw_path_beside(arena, node->file, expanded);
    return *path ? THAW_OK : THAW_ERROR_MEMORY;
}

/* At least two different names. */
static thaw_status check_class_list(const thaw_yaml *list) {
    THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, "`classes`"));
    if (list->count < 2)
        return thaw_yaml_fail(list, "`classes` has %zu names; two are the least", list->count);
    for (size_t i = 0; i < list->count; i++) {
        const char *name = NULL;
        THAW_TRY(thaw_yaml_string(list->items[i], &name));
        for (size_t j = 0; j < i; j++)
            if (!strcmp(list->items[j]->text, name))
                return thaw_yaml_fail(list->items[i], "class '%s' is named twice", name);
    }
    return THAW_OK;
}

static thaw_status parse_classes(struct thaw_arena *arena, const thaw_yaml *data,
                                 struct thaw_dataset_config *config) {
    const thaw_yaml *list = thaw_yaml_get(data, "classes");
    if (!list)
        return THAW_OK;
    THAW_TRY(check_class_list(list));
    config->classes = thaw_arena_array(arena, list->count, sizeof *config->classes);
    if (!config->classes)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < list->count; i++)
        config->classes[i] = list->items[i]->text;
    config->class_count = list->count;
    return THAW_OK;
}

/* val, seed, val_root and split: one way to split alone. */
static thaw_status parse_split(struct thaw_arena *arena, const thaw_yaml *data,
                               struct thaw_dataset_config *config) {
    THAW_TRY(parse_path(arena, data, "val_root", &config->val_root));
    THAW_TRY(parse_path(arena, data, "split", &config->split));
    config->val = VAL_DEFAULT;
    config->val_place = thaw_yaml_get(data, "val");
    if (!config->val_place)
        config->val_place = thaw_yaml_get(data, "seed");
    THAW_TRY(thaw_yaml_get_double(data, "val", 0.001, 0.9, &config->val));
    int64_t seed = 0;
    const thaw_yaml *node = thaw_yaml_get(data, "seed");
    if (node)
        THAW_TRY(thaw_yaml_int(node, 0, INT64_MAX, &seed));
    config->seed = (uint64_t)seed;
    if (config->val_root && config->split)
        return thaw_yaml_fail(thaw_yaml_get(data, "split"),
                              "`split` and `val_root` both say what is for validation");
    if (config->val_place && (config->val_root || config->split))
        return thaw_yaml_fail(config->val_place, "`val` and `seed` have no meaning beside `%s`",
                              config->val_root ? "val_root" : "split");
    return THAW_OK;
}

static thaw_status parse_delimiter(const thaw_yaml *data, char *delimiter) {
    const char *text = ",";
    const thaw_yaml *node = thaw_yaml_get(data, "delimiter");
    THAW_TRY(thaw_yaml_get_string(data, "delimiter", &text));
    if (!strcmp(text, "whitespace"))
        *delimiter = ' ';
    else if (strlen(text) == 1 && !strchr(" \"\r\n", *text))
        *delimiter = *text;
    else
        return thaw_yaml_fail(node, "`delimiter` is '%s'; expected one character or `whitespace`",
                              text);
    return THAW_OK;
}

/* By name with a header, by number without one. `fallback` names the column when there is none. */
static thaw_status parse_column(const thaw_yaml *data, const char *key, bool header,
                                const char *fallback, struct thaw_dataset_column *column) {
    const thaw_yaml *node = thaw_yaml_get(data, key);
    *column = (struct thaw_dataset_column){.name = header ? fallback : NULL, .index = -1};
    column->place = node ? node : data;
    if (!node)
        return THAW_OK;
    if (header)
        return thaw_yaml_string(node, &column->name);
    int64_t index = 0;
    THAW_TRY(thaw_yaml_int(node, 0, INT_MAX, &index));
    column->index = (int)index;
    return THAW_OK;
}

static thaw_status parse_columns(const thaw_yaml *data, struct thaw_dataset_config *config) {
    config->header = true;
    THAW_TRY(thaw_yaml_get_bool(data, "header", &config->header));
    THAW_TRY(parse_column(data, "path", config->header, "path", &config->path));
    THAW_TRY(parse_column(data, "label", config->header, "label", &config->label));
    const thaw_yaml *set = thaw_yaml_get(data, "set");
    if (set && thaw_yaml_is_null(set))
        config->set = (struct thaw_dataset_column){.index = -1, .place = set};
    else
        THAW_TRY(parse_column(data, "set", config->header, NULL, &config->set));
    config->ignore_set = set && thaw_yaml_is_null(set);
    const char *missing = config->path.index < 0    ? "path"
                          : config->label.index < 0 ? "label"
                                                    : NULL;
    if (!config->header && missing)
        return thaw_yaml_fail(data, "without a header `%s` must be a column number", missing);
    return THAW_OK;
}

/* The classes of a map, in the order in which they appear. */
static thaw_status add_class(struct thaw_arena *arena, const char *name,
                             struct thaw_dataset_config *config, size_t *capacity) {
    for (size_t i = 0; i < config->class_count; i++)
        if (!strcmp(config->classes[i], name))
            return THAW_OK;
    const char **classes =
        thaw_arena_grow(arena, config->classes, config->class_count, capacity, sizeof *classes);
    if (!classes)
        return THAW_ERROR_MEMORY;
    config->classes = classes;
    classes[config->class_count++] = name;
    return THAW_OK;
}

static thaw_status parse_map(struct thaw_arena *arena, const thaw_yaml *data,
                             struct thaw_dataset_config *config) {
    const thaw_yaml *map = thaw_yaml_get(data, "map");
    if (!map)
        return THAW_OK;
    THAW_TRY(thaw_yaml_expect(map, THAW_YAML_MAPPING, "`map`"));
    config->mappings = thaw_arena_array(arena, map->count, sizeof *config->mappings);
    if (!config->mappings)
        return THAW_ERROR_MEMORY;
    bool is_free = !config->class_count;
    size_t capacity = 0;
    for (size_t i = 0; i < map->count; i++) {
        const char *name = NULL;
        size_t index;
        THAW_TRY(thaw_yaml_string(map->items[i], &name));
        if (is_free)
            THAW_TRY(add_class(arena, name, config, &capacity));
        else
            THAW_TRY(thaw_yaml_choice(map->items[i], config->classes, config->class_count, &index));
        config->mappings[i] = (struct thaw_dataset_mapping){map->keys[i]->text, name};
    }
    config->mapping_count = map->count;
    if (!map->count)
        return thaw_yaml_fail(map, "`map` is empty; expected label: class");
    return THAW_OK;
}

static thaw_status parse_threshold(const thaw_yaml *data, struct thaw_dataset_config *config) {
    const thaw_yaml *node = thaw_yaml_get(data, "threshold");
    if (!node)
        return THAW_OK;
    THAW_TRY(thaw_yaml_double(node, -1e300, 1e300, &config->threshold));
    config->has_threshold = true;
    if (thaw_yaml_get(data, "map"))
        return thaw_yaml_fail(node, "`threshold` and `map` both say the classes");
    if (config->class_count != 2)
        return thaw_yaml_fail(node, "`threshold` needs `classes: [BELOW, FROM_HERE_ON]`");
    return THAW_OK;
}

static thaw_status parse_csv(struct thaw_arena *arena, const thaw_yaml *data,
                             struct thaw_dataset_config *config) {
    THAW_TRY(parse_path(arena, data, "file", &config->file));
    if (!config->file)
        return thaw_yaml_fail(data, "`format: csv` needs `file`");
    if (!config->root) {
        const char *slash = strrchr(config->file, '/');
        size_t length = slash ? (size_t)(slash - config->file) : 0;
        config->root = !slash   ? "."
                       : length ? thaw_arena_copy_bytes(arena, config->file, length)
                                : "/";
        if (!config->root)
            return THAW_ERROR_MEMORY;
    }
    THAW_TRY(parse_delimiter(data, &config->delimiter));
    THAW_TRY(parse_columns(data, config));
    THAW_TRY(parse_threshold(data, config));
    THAW_TRY(parse_map(arena, data, config));
    bool has_set = thaw_yaml_get(data, "set") && !config->ignore_set;
    if (has_set && config->val_place)
        return thaw_yaml_fail(config->val_place, "`val` and `seed` have no meaning beside `set`");
    if (has_set && config->split)
        return thaw_yaml_fail(config->set.place,
                              "`split` and `set` both say what is for validation");
    return THAW_OK;
}

static thaw_status parse_loading(const thaw_yaml *data, struct thaw_dataset_config *config) {
    static const char *const choices[] = {"fail", "skip"};
    const thaw_yaml *broken = thaw_yaml_get(data, "broken");
    size_t choice = 0;
    if (broken)
        THAW_TRY(thaw_yaml_choice(broken, choices, COUNT_OF(choices), &choice));
    config->skip_broken = choice == 1;
    THAW_TRY(thaw_yaml_get_int(data, "memory", 1, INT_MAX, &config->memory_mib));
    return thaw_yaml_get_int(data, "workers", 1, 256, &config->workers);
}

/* ---- idx and select ---------------------------------------------------------------------------*/

static thaw_status parse_idx(struct thaw_arena *arena, const thaw_yaml *data,
                             struct thaw_dataset_config *config) {
    static const char *const keys[THAW_SET_COUNT][2] = {
        {"images", "labels"}, {"val_images", "val_labels"}, {"test_images", "test_labels"}};
    for (int set = 0; set < THAW_SET_COUNT; set++) {
        struct thaw_dataset_idx *part = &config->idx[set];
        THAW_TRY(parse_path(arena, data, keys[set][0], &part->images));
        THAW_TRY(parse_path(arena, data, keys[set][1], &part->labels));
        if (!part->images != !part->labels)
            return thaw_yaml_fail(thaw_yaml_get(data, keys[set][!part->images]),
                                  "`%s` needs `%s` beside it", keys[set][!part->images],
                                  keys[set][!part->labels]);
    }
    if (!config->idx[THAW_SET_TRAIN].images)
        return thaw_yaml_fail(data, "`format: idx` needs `images` and `labels`");
    bool has_val = config->idx[THAW_SET_VAL].images;
    if (has_val && (config->val_place || config->split))
        return thaw_yaml_fail(config->val_place ? config->val_place : thaw_yaml_get(data, "split"),
                              "`val_images` says already what is for validation");
    return THAW_OK;
}

static thaw_status parse_select(const thaw_yaml *data, struct thaw_dataset_select *select) {
    static const char *const keys[] = {"classes", "per_class", "val_per_class", "seed"};
    const thaw_yaml *map = thaw_yaml_get(data, "select");
    int64_t seed = 0;
    if (!map)
        return THAW_OK;
    THAW_TRY(thaw_yaml_expect(map, THAW_YAML_MAPPING, "`select`"));
    THAW_TRY(thaw_yaml_only(map, keys, COUNT_OF(keys)));
    THAW_TRY(thaw_yaml_get_int(map, "per_class", 1, INT_MAX, &select->per_class));
    THAW_TRY(thaw_yaml_get_int(map, "val_per_class", 1, INT_MAX, &select->val_per_class));
    const thaw_yaml *seed_node = thaw_yaml_get(map, "seed"), *list = thaw_yaml_get(map, "classes");
    if (seed_node)
        THAW_TRY(thaw_yaml_int(seed_node, 0, INT64_MAX, &seed));
    select->seed = (uint64_t)seed;
    if (seed_node && !select->per_class && !select->val_per_class)
        return thaw_yaml_fail(seed_node, "`seed` has no meaning without `per_class`");
    select->classes = list;
    return list ? check_class_list(list) : THAW_OK;
}

/* ---- the section ------------------------------------------------------------------------------*/

/* What belongs to which formats. */
enum {
    FOLDER = 1 << THAW_DATASET_FOLDER,
    CSV = 1 << THAW_DATASET_CSV,
    IDX = 1 << THAW_DATASET_IDX
};
static const struct {
    const char *name;
    int formats;
} data_keys[] = {
    {"format", FOLDER | CSV | IDX},
    {"val", FOLDER | CSV | IDX},
    {"seed", FOLDER | CSV | IDX},
    {"split", FOLDER | CSV | IDX},
    {"classes", FOLDER | CSV | IDX},
    {"select", FOLDER | CSV | IDX},
    {"broken", FOLDER | CSV},
    {"memory", FOLDER | CSV | IDX},
    {"workers", FOLDER | CSV | IDX},
    {"root", FOLDER | CSV},
    {"val_root", FOLDER},
    {"file", CSV},
    {"delimiter", CSV},
    {"header", CSV},
    {"path", CSV},
    {"label", CSV},
    {"set", CSV},
    {"threshold", CSV},
    {"map", CSV},
    {"images", IDX},
    {"labels", IDX},
    {"val_images", IDX},
    {"val_labels", IDX},
    {"test_images", IDX},
    {"test_labels", IDX},
};
static const char *const formats[THAW_DATASET_FORMAT_COUNT] = {"folder", "csv", "idx"};

static thaw_status check_keys(const thaw_yaml *data, enum thaw_dataset_format format) {
    const char *names[COUNT_OF(data_keys)];
    for (size_t i = 0; i < COUNT_OF(data_keys); i++)
        names[i] = data_keys[i].name;
    THAW_TRY(thaw_yaml_only(data, names, COUNT_OF(names)));
    for (size_t i = 0; i < COUNT_OF(data_keys); i++) {
        int allowed = data_keys[i].formats;
        const thaw_yaml *node = thaw_yaml_get(data, names[i]);
        if (node && !(allowed & 1 << format))
            return thaw_yaml_fail(node, "`%s` is for `format: %s`%s only", names[i],
                                  formats[__builtin_ctz((unsigned)allowed)],
                                  allowed == (FOLDER | CSV) ? " and `csv`" : "");
    }
    return THAW_OK;
}

thaw_status thaw_dataset_config_parse(struct thaw_arena *arena, const thaw_yaml *data,
                                      struct thaw_dataset_config *ret_config) {
    struct thaw_dataset_config config = {.place = data};
    size_t format = 0;
    THAW_TRY(thaw_yaml_expect(data, THAW_YAML_MAPPING, "`data`"));
    if (!thaw_yaml_get(data, "format"))
        return thaw_yaml_fail(data, "`data` needs `format: folder`, `csv` or `idx`");
    THAW_TRY(thaw_yaml_choice(thaw_yaml_get(data, "format"), formats, COUNT_OF(formats), &format));
    config.format = (enum thaw_dataset_format)format;
    THAW_TRY(check_keys(data, config.format));
    THAW_TRY(parse_path(arena, data, "root", &config.root));
    THAW_TRY(parse_classes(arena, data, &config));
    THAW_TRY(parse_split(arena, data, &config));
    THAW_TRY(parse_select(data, &config.select));
    THAW_TRY(parse_loading(data, &config));
    if (config.format == THAW_DATASET_CSV)
        THAW_TRY(parse_csv(arena, data, &config));
    else if (config.format == THAW_DATASET_IDX)
        THAW_TRY(parse_idx(arena, data, &config));
    else if (!config.root)
        return thaw_yaml_fail(data, "`format: folder` needs `root`");
    *ret_config = config;
    return THAW_OK;
}

struct thaw_dataset_config thaw_dataset_config_folder(const char *root, const char **classes,
                                                      size_t class_count) {
    return (struct thaw_dataset_config){.format = THAW_DATASET_FOLDER,
                                        .root = root,
                                        .classes = classes,
                                        .class_count = class_count,
                                        .evaluate_only = true};
}
