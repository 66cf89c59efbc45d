/* format: folder. root/<class>/ and whatever folders are below it. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/log.h"
#include "data/dataset_internal.h"

#define DEPTH_MAX 32 /* a link to a folder above would have no end */

/* The walk through one root. */
struct walk {
    struct thaw_dataset_builder *builder;
    struct thaw_arena *arena;
    const char *root;
    enum thaw_set set;
    size_t skipped;
    const char *skipped_example;
    bool has_loose_photos; /* in the root itself */
};

struct names {
    const char **items;
    size_t count, capacity;
};

static bool has_image_suffix(const char *name) {
    static const char *const suffixes[] = {".jpg",  ".jpeg", ".jpe", ".png",  ".webp", ".tif",
                                           ".tiff", ".gif",  ".bmp", ".heic", ".heif", ".avif",
                                           ".jp2",  ".jxl",  ".ppm", ".pgm",  ".pnm"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (!strcasecmp(dot, suffixes[i]))
            return true;
    return false;
}

static int compare_name(const void *a, const void *b) {
    return thaw_dataset_compare_names(*(const char *const *)a, *(const char *const *)b);
}

/* What is in a folder, hidden entries too, sorted. */
static thaw_status list_entries(struct thaw_arena *arena, const char *path, struct names *names) {
    DIR *folder = opendir(path);
    if (!folder)
        return thaw_fail(THAW_ERROR_INPUT, "cannot read folder '%s': %s", path, strerror(errno));
    thaw_status status = THAW_OK;
    for (struct dirent *entry; status == THAW_OK && (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        const char *name = thaw_arena_copy(arena, entry->d_name);
        const char **items =
            thaw_arena_grow(arena, names->items, names->count, &names->capacity, sizeof *items);
        if (!name || !items) {
            status = THAW_ERROR_MEMORY;
        } else {
            names->items = items;
            items[names->count++] = name;
        }
    }
    closedir(folder);
    if (status == THAW_OK && names->count)
        qsort(names->items, names->count, sizeof *names->items, compare_name);
    return status;
}

static thaw_status is_folder(const char *path, bool *ret_is_folder) {
    struct stat info;
    if (stat(path, &info))
        return thaw_fail(THAW_ERROR_INPUT, "cannot read '%s': %s", path, strerror(errno));
    *ret_is_folder = S_ISDIR(info.st_mode);
    return THAW_OK;
}

static void skip(struct walk *walk, const char *path) {
    if (!walk->skipped++)
        walk->skipped_example = path;
}

/* `name` is relative to the root. */
static thaw_status walk_class(struct walk *walk, const char *name, int label, int depth) {
    char *path = thaw_path_join(walk->arena, walk->root, name);
    struct names names = {0};
    if (!path)
        return THAW_ERROR_MEMORY;
    if (depth > DEPTH_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "'%s': folders are nested more than %d deep", path,
                         DEPTH_MAX);
    THAW_TRY(list_entries(walk->arena, path, &names));
    for (size_t i = 0; i < names.count; i++) {
        char *child = thaw_path_join(walk->arena, name, names.items[i]);
        char *child_path = child ? thaw_path_join(walk->arena, walk->root, child) : NULL;
        bool folder = false;
        if (!child_path)
            return THAW_ERROR_MEMORY;
        if (names.items[i][0] == '.') {
            skip(walk, child_path);
            continue;
        }
        THAW_TRY(is_folder(child_path, &folder));
        if (folder)
            THAW_TRY(walk_class(walk, child, label, depth + 1));
        else if (!has_image_suffix(names.items[i]))
            skip(walk, child_path);
        else
            THAW_TRY(thaw_dataset_add(walk->builder, (struct thaw_photo){.path = child_path,
                                                                         .name = child,
                                                                         .label = label,
                                                                         .set = walk->set}));
    }
    return THAW_OK;
}

/* The folders in the root that are classes. */
static thaw_status find_classes(struct walk *walk, struct names *ret_classes) {
    struct names names = {0};
    THAW_TRY(list_entries(walk->arena, walk->root, &names));
    for (size_t i = 0; i < names.count; i++) {
        char *path = thaw_path_join(walk->arena, walk->root, names.items[i]);
        bool folder = false;
        if (!path)
            return THAW_ERROR_MEMORY;
        if (names.items[i][0] != '.')
            THAW_TRY(is_folder(path, &folder));
        if (!folder) {
            walk->has_loose_photos |= has_image_suffix(names.items[i]);
            skip(walk, path);
            continue;
        }
        names.items[ret_classes->count++] = names.items[i];
    }
    ret_classes->items = names.items;
    if (ret_classes->count)
        return THAW_OK;
    return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "no class folders in '%s'", walk->root),
                     walk->has_loose_photos
                         ? "photos lie in it directly: give each class a folder of its own"
                         : "expected %s/<class>/<photo>.jpg",
                     walk->root);
}

static int find_class(const struct thaw_dataset *dataset, const char *name) {
    for (size_t i = 0; i < dataset->class_count; i++)
        if (!strcmp(dataset->classes[i], name))
            return (int)i;
    return -1;
}

/* The folders against the classes that are known already: of the config or of `root`. */
static thaw_status check_classes(const struct walk *walk, const struct names *found) {
    const struct thaw_dataset *dataset = walk->builder->dataset;
    for (size_t i = 0; i < found->count; i++)
        if (find_class(dataset, found->items[i]) < 0) {
            thaw_status status = thaw_fail(THAW_ERROR_INPUT, "'%s' in '%s' is not a known class",
                                           found->items[i], walk->root);
            const char *nearest =
                thaw_nearest(found->items[i], dataset->classes, dataset->class_count);
            return nearest ? thaw_hint(status, "nearest: '%s'", nearest) : status;
        }
    for (size_t i = 0; i < dataset->class_count && !walk->builder->config->evaluate_only; i++) {
        bool is_there = false;
        for (size_t j = 0; j < found->count; j++)
            is_there |= !strcmp(dataset->classes[i], found->items[j]);
        if (!is_there)
            return thaw_fail(THAW_ERROR_INPUT, "class '%s' has no folder in '%s'",
                             dataset->classes[i], walk->root);
    }
    return THAW_OK;
}

static thaw_status walk_root(struct walk *walk) {
    struct thaw_dataset *dataset = walk->builder->dataset;
    struct names found = {0};
    THAW_TRY(find_classes(walk, &found));
    if (!dataset->class_count) {
        dataset->classes = found.items;
        dataset->class_count = found.count;
    }
    THAW_TRY(check_classes(walk, &found));
    for (size_t i = 0; i < found.count; i++) {
        size_t before = dataset->count;
        THAW_TRY(walk_class(walk, found.items[i], find_class(dataset, found.items[i]), 0));
        if (dataset->count == before && !walk->builder->config->evaluate_only)
            return thaw_fail(THAW_ERROR_INPUT, "class '%s' has no photos in '%s/%s'",
                             found.items[i], walk->root, found.items[i]);
    }
    if (walk->skipped)
        thaw_log(THAW_LOG_INFO,
                 "%zu file%s of '%s' skipped: not photos by their names (such as %s)",
                 walk->skipped, walk->skipped == 1 ? "" : "s", walk->root, walk->skipped_example);
    return THAW_OK;
}

thaw_status thaw_dataset_list_folder(struct thaw_dataset_builder *builder) {
    const struct thaw_dataset_config *config = builder->config;
    struct walk walk = {.builder = builder,
                        .arena = &builder->dataset->arena,
                        .root = config->root,
                        .set = THAW_SET_TRAIN};
    THAW_TRY(walk_root(&walk));
    if (config->val_root) {
        builder->has_explicit_sets = true;
        walk = (struct walk){
            .builder = builder, .arena = walk.arena, .root = config->val_root, .set = THAW_SET_VAL};
        THAW_TRY(walk_root(&walk));
    }
    if (!builder->dataset->count)
        return thaw_fail(THAW_ERROR_INPUT, "no photos in '%s'", config->root);
    return THAW_OK;
}
