/* Building, changing and writing YAML trees. */
#include "core/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#define PATH_DEPTH_MAX 32   /* keys in one --set */
#define ITEM_NAMES_MAX 64   /* of a sequence, to suggest from */
#define FLOW_WIDTH_MAX 76   /* longest [a, b] or {a: b} on one line */
#define LINE_WIDTH_ANY (-1) /* libyaml: never fold */

/* ---- Building -------------------------------------------------------------------------------- */

/* A node of its own without text and items, at the place of `place`. */
static thaw_yaml *new_node(struct thaw_arena *arena, enum thaw_yaml_kind kind,
                           const thaw_yaml *place) {
    thaw_yaml *node = thaw_arena_alloc(arena, sizeof *node);
    if (!node)
        return NULL;
    node->kind = kind;
    if (place) {
        node->file = place->file;
        node->line = place->line;
        node->column = place->column;
    }
    return node;
}

thaw_yaml *thaw_yaml_new_scalar(struct thaw_arena *arena, const char *text,
                                const thaw_yaml *place) {
    thaw_yaml *node = new_node(arena, THAW_YAML_SCALAR, place);
    if (!node || !(node->text = thaw_arena_copy(arena, text)))
        return NULL;
    return node;
}

thaw_status thaw_yaml_append(struct thaw_arena *arena, thaw_yaml *node, thaw_yaml *key,
                             thaw_yaml *value) {
    size_t items_room = node->capacity > node->count ? node->capacity : node->count;
    size_t keys_room = items_room;
    thaw_yaml **items =
        thaw_arena_grow(arena, node->items, node->count, &items_room, sizeof(thaw_yaml *));
    thaw_yaml **keys =
        node->kind != THAW_YAML_MAPPING
            ? NULL
            : thaw_arena_grow(arena, node->keys, node->count, &keys_room, sizeof(thaw_yaml *));
    if (!items || (node->kind == THAW_YAML_MAPPING && !keys))
        return THAW_ERROR_MEMORY;
    node->capacity = items_room;
    node->items = items;
    node->keys = keys;
    node->items[node->count] = value;
    if (keys)
        node->keys[node->count] = key;
    node->count++;
    return THAW_OK;
}

/* The position of `key`, or `map->count`. */
static size_t find_key(const thaw_yaml *map, const char *key) {
    size_t i = 0;
    while (i < map->count && strcmp(map->keys[i]->text, key) != 0)
        i++;
    return i;
}

thaw_status thaw_yaml_put(struct thaw_arena *arena, thaw_yaml *map, const char *key,
                          thaw_yaml *value) {
    THAW_TRY(thaw_yaml_expect(map, THAW_YAML_MAPPING, "what holds a key"));
    size_t i = find_key(map, key);
    if (i < map->count) {
        map->items[i] = value;
        return THAW_OK;
    }
    thaw_yaml *name = thaw_yaml_new_scalar(arena, key, value);
    return name ? thaw_yaml_append(arena, map, name, value) : THAW_ERROR_MEMORY;
}

thaw_status thaw_yaml_copy(struct thaw_arena *arena, const thaw_yaml *node, thaw_yaml **ret_copy) {
    thaw_yaml *copy = new_node(arena, node->kind, node);
    if (!copy)
        return THAW_ERROR_MEMORY;
    copy->text = node->text; /* texts are never changed in place */
    copy->quoted = node->quoted;
    for (size_t i = 0; i < node->count; i++) {
        thaw_yaml *key = NULL, *item = NULL;
        if (node->kind == THAW_YAML_MAPPING)
            THAW_TRY(thaw_yaml_copy(arena, node->keys[i], &key));
        THAW_TRY(thaw_yaml_copy(arena, node->items[i], &item));
        THAW_TRY(thaw_yaml_append(arena, copy, key, item));
    }
    *ret_copy = copy;
    return THAW_OK;
}

thaw_status thaw_yaml_merge(struct thaw_arena *arena, const thaw_yaml *base, const thaw_yaml *over,
                            thaw_yaml **ret_merged) {
    if (base->kind != THAW_YAML_MAPPING || over->kind != THAW_YAML_MAPPING)
        return thaw_yaml_copy(arena, over, ret_merged);
    thaw_yaml *merged = NULL;
    THAW_TRY(thaw_yaml_copy(arena, base, &merged));
    merged->file = over->file;
    merged->line = over->line;
    merged->column = over->column;
    for (size_t i = 0; i < over->count; i++) {
        size_t j = find_key(base, over->keys[i]->text);
        thaw_yaml *key = NULL, *item = NULL;
        THAW_TRY(thaw_yaml_copy(arena, over->keys[i], &key));
        if (j < base->count) {
            THAW_TRY(thaw_yaml_merge(arena, base->items[j], over->items[i], &item));
            merged->keys[j] = key;
            merged->items[j] = item;
        } else {
            THAW_TRY(thaw_yaml_copy(arena, over->items[i], &item));
            THAW_TRY(thaw_yaml_append(arena, merged, key, item));
        }
    }
    *ret_merged = merged;
    return THAW_OK;
}

/* ---- Setting by path ------------------------------------------------------------------------- */

/* What an item of a sequence goes by: the first value of a mapping, as in {stage: tune, ...}. */
static const char *item_name(const thaw_yaml *item) {
    bool named =
        item->kind == THAW_YAML_MAPPING && item->count && item->items[0]->kind == THAW_YAML_SCALAR;
    return named ? item->items[0]->text : NULL;
}

static thaw_status find_item(const thaw_yaml *node, const thaw_yaml *key, size_t *ret_index) {
    const char *names[ITEM_NAMES_MAX];
    size_t name_count = 0;
    char *end;
    errno = 0;
    unsigned long index = strtoul(key->text, &end, 10);
    bool numeric = *key->text >= '0' && *key->text <= '9' && !*end && !errno;
    if (numeric && index < node->count) {
        *ret_index = index;
        return THAW_OK;
    }
    for (size_t i = 0; i < node->count; i++) {
        const char *name = item_name(node->items[i]);
        if (!name)
            continue;
        if (!numeric && !strcmp(name, key->text)) {
            *ret_index = i;
            return THAW_OK;
        }
        if (name_count < ITEM_NAMES_MAX)
            names[name_count++] = name;
    }
    const char *nearest = thaw_nearest(key->text, names, name_count);
    return thaw_yaml_fail(key, "'%s' is no item of a sequence of %zu (counted from 0)%s%s%s",
                          key->text, node->count, nearest ? "; nearest: '" : "",
                          nearest ? nearest : "", nearest ? "'" : "");
}

/* Where the value of `key` in `node` is kept; a missing one is appended as null. */
static thaw_status find_slot(struct thaw_arena *arena, thaw_yaml *node, const thaw_yaml *key,
                             thaw_yaml ***ret_slot) {
    if (thaw_yaml_is_null(node)) { /* "head:" with nothing after it is as good as missing */
        node->kind = THAW_YAML_MAPPING;
        node->text = NULL;
    }
    if (node->kind == THAW_YAML_SCALAR)
        return thaw_yaml_fail(key, "cannot set '%s' inside the value '%s': it is no mapping",
                              key->text, node->text);
    size_t i = 0;
    if (node->kind == THAW_YAML_SEQUENCE) {
        THAW_TRY(find_item(node, key, &i));
    } else {
        i = find_key(node, key->text);
        if (i == node->count) {
            thaw_yaml *name = thaw_yaml_new_scalar(arena, key->text, key);
            thaw_yaml *value = thaw_yaml_new_scalar(arena, "", key);
            if (!name || !value)
                return THAW_ERROR_MEMORY;
            THAW_TRY(thaw_yaml_append(arena, node, name, value));
        }
    }
    *ret_slot = &node->items[i];
    return THAW_OK;
}

/* Splits "a.b.c" (`length` characters, from column place->column) into scalars that know their
 * column. */
static thaw_status split_path(struct thaw_arena *arena, const char *path, size_t length,
                              const thaw_yaml *place, thaw_yaml *keys[PATH_DEPTH_MAX],
                              size_t *ret_count) {
    size_t count = 0;
    for (size_t start = 0; start <= length; count++) {
        size_t end = start;
        while (end < length && path[end] != '.')
            end++;
        const thaw_yaml here = {
            .file = place->file, .line = place->line, .column = place->column + (int)start};
        if (end == start)
            return thaw_yaml_fail(&here, "'%s': a key is empty; expected key.path=value", path);
        if (count == PATH_DEPTH_MAX)
            return thaw_yaml_fail(&here, "'%s': more than %d keys", path, PATH_DEPTH_MAX);
        char *text = thaw_arena_copy_bytes(arena, path + start, end - start);
        keys[count] = text ? thaw_yaml_new_scalar(arena, text, &here) : NULL;
        if (!keys[count])
            return THAW_ERROR_MEMORY;
        start = end + 1;
    }
    *ret_count = count;
    return THAW_OK;
}

static thaw_status set_path(struct thaw_arena *arena, thaw_yaml *root, const char *path,
                            size_t length, const thaw_yaml *place, thaw_yaml *value) {
    thaw_yaml *keys[PATH_DEPTH_MAX], **slot = &root;
    size_t count = 0;
    THAW_TRY(split_path(arena, path, length, place, keys, &count));
    for (size_t i = 0; i < count; i++)
        THAW_TRY(find_slot(arena, *slot, keys[i], &slot));
    *slot = value;
    return THAW_OK;
}

thaw_status thaw_yaml_set(struct thaw_arena *arena, thaw_yaml *root, const char *assignment) {
    static const thaw_yaml place = {.file = "--set", .line = 1, .column = 1};
    const char *equals = strchr(assignment, '=');
    thaw_yaml *value = NULL;
    if (!equals)
        return thaw_fail(THAW_ERROR_INPUT, "--set: '%s': expected key.path=value", assignment);
    size_t length = (size_t)(equals - assignment);
    THAW_TRY(thaw_yaml_parse_at(arena, equals + 1, strlen(equals + 1), "--set", (int)length + 2,
                                &value));
    return set_path(arena, root, assignment, length, &place, value);
}

thaw_status thaw_yaml_set_value(struct thaw_arena *arena, thaw_yaml *root, const thaw_yaml *path,
                                const thaw_yaml *value) {
    thaw_yaml *copy = NULL;
    THAW_TRY(thaw_yaml_copy(arena, value, &copy));
    return set_path(arena, root, path->text, strlen(path->text), path, copy);
}

void thaw_yaml_drop(thaw_yaml *map, const char *key) {
    size_t kept = 0;
    for (size_t i = 0; i < map->count; i++) {
        if (!strcmp(map->keys[i]->text, key))
            continue;
        map->keys[kept] = map->keys[i];
        map->items[kept++] = map->items[i];
    }
    map->count = kept;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Whether some YAML reader could take the text for something else than a text. */
static bool looks_typed(const char *text) {
    static const char *const words[] = {"",   "~",  "null", "true", "false", "yes",
                                        "no", "on", "off",  "y",    "n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcasecmp(text, words[i]))
            return true;
    return strchr("0123456789+-.", *text) != NULL;
}

/* libyaml quotes what could not stand plain; here only what would be read as something else. */
static int start_scalar(yaml_event_t *event, const thaw_yaml *node, bool is_key) {
    const char *text = !*node->text && !node->quoted && !is_key ? "null" : node->text;
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    if (strpbrk(text, "\r\n"))
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    else if (node->quoted && looks_typed(text))
        style = YAML_SINGLE_QUOTED_SCALAR_STYLE;
    return yaml_scalar_event_initialize(event, NULL, NULL, (const yaml_char_t *)text,
                                        (int)strlen(text), 1, 1, style);
}

/* Whether a sequence or mapping is written on one line: short, and only scalars in it. */
static bool is_short(const thaw_yaml *node, int depth) {
    size_t width = 2 * (size_t)depth;
    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i]->kind != THAW_YAML_SCALAR)
            return false;
        width += strlen(node->items[i]->text) + 2;
        width += node->kind == THAW_YAML_MAPPING ? strlen(node->keys[i]->text) + 2 : 0;
        if (width > FLOW_WIDTH_MAX)
            return false;
    }
    return true;
}

static bool emit_event(yaml_emitter_t *emitter, int initialized, yaml_event_t *event) {
    return initialized && yaml_emitter_emit(emitter, event);
}

static bool emit_node(yaml_emitter_t *emitter, const thaw_yaml *node, int depth, bool is_key) {
    yaml_event_t event;
    if (node->kind == THAW_YAML_SCALAR)
        return emit_event(emitter, start_scalar(&event, node, is_key), &event);
    bool is_map = node->kind == THAW_YAML_MAPPING, flow = depth > 0 && is_short(node, depth);
    int ready = is_map ? yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
                                                             flow ? YAML_FLOW_MAPPING_STYLE
                                                                  : YAML_BLOCK_MAPPING_STYLE)
                       : yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
                                                              flow ? YAML_FLOW_SEQUENCE_STYLE
                                                                   : YAML_BLOCK_SEQUENCE_STYLE);
    if (!emit_event(emitter, ready, &event))
        return false;
    for (size_t i = 0; i < node->count; i++) {
        if (is_map && !emit_node(emitter, node->keys[i], depth + 1, true))
            return false;
        if (!emit_node(emitter, node->items[i], depth + 1, false))
            return false;
    }
    ready = is_map ? yaml_mapping_end_event_initialize(&event)
                   : yaml_sequence_end_event_initialize(&event);
    return emit_event(emitter, ready, &event);
}

static int append_output(void *user, unsigned char *bytes, size_t size_bytes) {
    struct thaw_text *text = user;
    thaw_text_append_bytes(text, (const char *)bytes, size_bytes);
    return !text->failed;
}

void thaw_yaml_emit(const thaw_yaml *node, struct thaw_text *text) {
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (!yaml_emitter_initialize(&emitter)) {
        text->failed = true;
        return;
    }
    yaml_emitter_set_output(&emitter, append_output, text);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, LINE_WIDTH_ANY);
    bool written =
        emit_event(&emitter, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING),
                   &event) &&
        emit_event(&emitter, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1),
                   &event) &&
        emit_node(&emitter, node, 0, false) &&
        emit_event(&emitter, yaml_document_end_event_initialize(&event, 1), &event) &&
        emit_event(&emitter, yaml_stream_end_event_initialize(&event), &event) &&
        yaml_emitter_flush(&emitter);
    if (!written)
        text->failed = true;
    yaml_emitter_delete(&emitter);
}
