/* Makes an experiment explicit: every default becomes part of its document, every path absolute, so
 * that config.yaml of a run says all that it did and can be run again from anywhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "train/config_internal.h"

struct entry {
    const char *key, *text;
};

static const struct entry defaults[] = {
    {"output", "runs"},       {"seed", "0"},
    {"batch", "32"},          {"metric", "val.top1"},
    {"keep", "best"},         {"optimizer", "{type: sgd, momentum: 0.9}"},
    {"schedule", "constant"}, {"augment", "[]"},
    {"loss", "{}"},           {"checkpoint", "{every: 60s}"},
};
static const struct entry loss_defaults[] = {{"label_smoothing", "0"}, {"class_weights", "none"}};
static const struct entry stage_defaults[] = {{"norm", "train"}, {"cache", "false"}};
static const struct entry unfreeze_defaults[] = {{"from", "head"}, {"every", "1"}, {"step", "1"}};

/* Puts `text`, parsed, under `key` where the mapping has no such key. */
static thaw_status put_default(struct thaw_arena *arena, thaw_yaml *map,
                               const struct entry *entry) {
    thaw_yaml *value;
    if (thaw_yaml_get(map, entry->key))
        return THAW_OK;
    THAW_TRY(thaw_yaml_parse(arena, entry->text, strlen(entry->text), "default", &value));
    return thaw_yaml_put(arena, map, entry->key, value);
}

/* `cache: true`, or a mapping that leaves something out. */
static thaw_status complete_cache(struct thaw_arena *arena, thaw_yaml *stage) {
    static const struct entry all = {"cache", "{views: 0, dtype: f32, disk: true}"};
    static const struct entry parts[] = {{"views", "0"}, {"dtype", "f32"}, {"disk", "true"}};
    thaw_yaml *cache = (thaw_yaml *)thaw_yaml_get(stage, "cache");
    bool on = false;
    for (size_t i = 0; cache->kind == THAW_YAML_MAPPING && i < 3; i++)
        THAW_TRY(put_default(arena, cache, &parts[i]));
    if (cache->kind != THAW_YAML_SCALAR)
        return THAW_OK;
    THAW_TRY(thaw_yaml_bool(cache, &on));
    if (!on)
        return THAW_OK;
    thaw_yaml_drop(stage, "cache");
    return put_default(arena, stage, &all);
}

static thaw_status put_stage_defaults(struct thaw_arena *arena, thaw_yaml *stage) {
    thaw_yaml *unfreeze = (thaw_yaml *)thaw_yaml_get(stage, "unfreeze");
    for (size_t i = 0; i < 2; i++)
        THAW_TRY(put_default(arena, stage, &stage_defaults[i]));
    for (size_t i = 0; i < 3 && unfreeze && unfreeze->kind == THAW_YAML_MAPPING; i++)
        THAW_TRY(put_default(arena, unfreeze, &unfreeze_defaults[i]));
    return complete_cache(arena, stage);
}

/* The paths of the document that are relative to the file which they stand in. */
static thaw_status make_absolute(struct thaw_arena *arena, const thaw_yaml *map, const char *key) {
    thaw_yaml *node = (thaw_yaml *)thaw_yaml_get(map, key);
    if (!node || node->kind != THAW_YAML_SCALAR || thaw_yaml_is_null(node))
        return THAW_OK;
    char *expanded;
    THAW_TRY(thaw_context(thaw_path_expand(arena, node->text, &expanded), "%s:%d:%d: %s",
                          node->file, node->line, node->column, key));
    const char *beside = expanded;
    if (strncmp(node->file, "--", 2) != 0) /* the command line's are relative to where it stands */
        beside = thaw_path_beside(arena, node->file, expanded);
    if (!beside)
        return THAW_ERROR_MEMORY;
    char *real =
        realpath(beside, NULL); /* NULL for what does not exist: reported where it is used */
    node->text = thaw_arena_copy(arena, real ? real : beside);
    free(real);
    return node->text ? THAW_OK : THAW_ERROR_MEMORY;
}

thaw_status thaw_config_apply_defaults(struct thaw_arena *arena, thaw_yaml *root) {
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        THAW_TRY(put_default(arena, root, &defaults[i]));
    thaw_yaml *loss = (thaw_yaml *)thaw_yaml_get(root, "loss");
    for (size_t i = 0; i < 2 && loss->kind == THAW_YAML_MAPPING; i++)
        THAW_TRY(put_default(arena, loss, &loss_defaults[i]));
    const thaw_yaml *train = thaw_yaml_get(root, "train");
    for (size_t s = 0; train && train->kind == THAW_YAML_SEQUENCE && s < train->count; s++)
        if (train->items[s]->kind == THAW_YAML_MAPPING)
            THAW_TRY(put_stage_defaults(arena, train->items[s]));
    const thaw_yaml *model = thaw_yaml_get(root, "model"), *graph = thaw_yaml_get(model, "graph");
    THAW_TRY(make_absolute(arena, model, "weights"));
    if (graph && graph->kind == THAW_YAML_SCALAR && thaw_model_name_is_path(graph->text))
        THAW_TRY(make_absolute(arena, model, "graph"));
    static const char *const data_paths[] = {
        "root",   "file",       "val_root",   "split",       "images",
        "labels", "val_images", "val_labels", "test_images", "test_labels"};
    for (size_t i = 0; i < sizeof data_paths / sizeof *data_paths; i++)
        THAW_TRY(make_absolute(arena, thaw_yaml_get(root, "data"), data_paths[i]));
    return THAW_OK;
}

/* ---- comparison ----------------------------------------------------------------------------- */

/* Appends the paths of what differs between two trees, at most a few. */
static void differences(const thaw_yaml *a, const thaw_yaml *b, const char *path,
                        struct thaw_text *out, int *left) {
    if (*left <= 0)
        return;
    if (a && b && a->kind == THAW_YAML_MAPPING && b->kind == THAW_YAML_MAPPING) {
        for (int side = 0; side < 2; side++) {
            const thaw_yaml *here = side ? b : a, *there = side ? a : b;
            for (size_t i = 0; i < here->count; i++) {
                const char *key = here->keys[i]->text;
                const thaw_yaml *other = thaw_yaml_get(there, key);
                char inner[256];
                snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", key);
                if (!side || !other)
                    differences(here->items[i], other, inner, out, left);
            }
        }
        return;
    }
    bool same = a && b && a->kind == b->kind;
    if (same && a->kind == THAW_YAML_SCALAR) {
        same = !strcmp(a->text, b->text);
    } else if (same) {
        same = a->count == b->count;
        for (size_t i = 0; same && i < a->count; i++) {
            char inner[256];
            snprintf(inner, sizeof inner, "%s.%zu", path, i);
            differences(a->items[i], b->items[i], inner, out, left);
        }
    }
    if (!same) {
        thaw_text_append(out, "%s%s", out->length ? ", " : "", path);
        --*left;
    }
}

thaw_status thaw_config_compare(const char *before, const char *now, const char *what) {
    struct thaw_arena arena = {0};
    struct thaw_text changed = {0};
    static const char *const harmless[] = {"output", "checkpoint"};
    thaw_yaml *a, *b;
    int left = 5;
    thaw_status status = thaw_yaml_parse(&arena, before, strlen(before), what, &a);
    if (status == THAW_OK)
        status = thaw_yaml_parse(&arena, now, strlen(now), "config", &b);
    if (status == THAW_OK) {
        for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
            thaw_yaml_drop(a, harmless[i]);
            thaw_yaml_drop(b, harmless[i]);
        }
        differences(a, b, "", &changed, &left);
        if (changed.length) {
            thaw_fail(THAW_ERROR_INPUT, "%s: the experiment changed since this run began: %s", what,
                      changed.text);
            status = thaw_hint(THAW_ERROR_INPUT, "undo the change, or train under another `name`");
        }
    }
    thaw_text_finish(&changed);
    thaw_arena_finish(&arena);
    return status;
}
