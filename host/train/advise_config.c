#include "train/advise_config.h"

#include <string.h>
#include <sys/stat.h>

#include "core/file.h"

thaw_status thaw_advise_config_check(const struct thaw_config *config, const char *path,
                                     bool overwrite) {
    struct thaw_arena arena = {0};
    struct stat asked, output;
    char *folder = thaw_path_beside(&arena, path, ".");
    bool has_folder = folder && thaw_path_is_directory(folder);
    thaw_arena_finish(&arena);
    if (!has_folder)
        return thaw_fail(THAW_ERROR_INPUT, "%s: its folder does not exist", path);
    if (thaw_path_is_directory(path))
        return thaw_fail(THAW_ERROR_INPUT, "%s: is a folder, expected the name of a file", path);
    if (stat(path, &output) != 0)
        return THAW_OK;
    if (config && !stat(config->path, &asked) && asked.st_dev == output.st_dev &&
        asked.st_ino == output.st_ino)
        return thaw_hint(
            thaw_fail(THAW_ERROR_INPUT, "%s: is the experiment that was asked about", path),
            "write the advice to another file");
    return overwrite ? THAW_OK
                     : thaw_hint(thaw_fail(THAW_ERROR_INPUT, "%s: exists already", path),
                                 "--overwrite replaces it");
}

static void emit_evidence(const struct thaw_measurements *m, const struct thaw_advice *advice,
                          struct thaw_text *text) {
    thaw_text_append(text, "# %s\n#\n", advice->sentence);
    thaw_text_append(text,
                     "# size        %zu training images, %zu classes of %zu to %zu (median %g);\n"
                     "#             %s\n",
                     m->images, m->classes, m->class_min, m->class_max, m->class_median,
                     advice->size);
    for (int i = 0; i < THAW_SIGNAL_COUNT; i++)
        thaw_text_append(text, "# %-11s %s: %s\n", thaw_advice_signal_names[i],
                         thaw_advice_answer_names[advice->votes[i].answer],
                         advice->votes[i].evidence);
    if (m->pilots && m->pilot_best >= 0)
        thaw_text_append(text, "# %-11s %s did best in short trainings\n", "pilots",
                         thaw_regime_names[m->pilot_best]);
    thaw_text_append(text, "#\n# As `thaw advise` measured it, on %zu of the images.\n",
                     m->sampled);
}

/* What of the experiment goes over, in this order. */
static const char *const kept[] = {"model", "data",   "augment", "loss",  "batch",
                                   "seed",  "metric", "keep",    "device"};
/* Values that the program puts where a file says nothing. */
static const struct {
    const char *key, *text;
} defaults[] = {{"batch", "32"}, {"seed", "0"}, {"metric", "val.top1"}, {"keep", "best"}};

/* Whether there is nothing in `value` that a file without the key would not say too. */
static bool says_nothing(const char *key, const thaw_yaml *value) {
    if (!strcmp(key, "augment")) /* an empty list was written, or put there: see below */
        return false;
    if (!strcmp(key, "loss")) {
        const thaw_yaml *smoothing = thaw_yaml_get(value, "label_smoothing");
        const thaw_yaml *weights = thaw_yaml_get(value, "class_weights");
        return smoothing && smoothing->text && !strcmp(smoothing->text, "0") && weights &&
               weights->text && !strcmp(weights->text, "none");
    }
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!strcmp(key, defaults[i].key) && value->text && !strcmp(value->text, defaults[i].text))
            return true;
    return false;
}

/* The regime brings augmentation of its own, unless the experiment says which, or that there is
 * none. */
static bool is_default(const thaw_yaml *value) {
    return value->file && !strcmp(value->file, "default");
}

thaw_status thaw_advise_config_emit(const struct thaw_config *config, const char *name,
                                    const struct thaw_measurements *m,
                                    const struct thaw_advice *advice, struct thaw_text *text) {
    struct thaw_arena arena = {0};
    thaw_yaml map = {.kind = THAW_YAML_MAPPING};
    thaw_status status = THAW_OK;
    thaw_yaml *regime = thaw_yaml_new_scalar(&arena, advice->regime, NULL);
    thaw_yaml *called = name ? thaw_yaml_new_scalar(&arena, name, NULL) : NULL;
    if (!regime || (name && !called))
        status = THAW_ERROR_MEMORY;
    if (status == THAW_OK && name) {
        called->quoted = true;
        status = thaw_yaml_put(&arena, &map, "name", called);
    }
    if (status == THAW_OK)
        status = thaw_yaml_put(&arena, &map, "regime", regime);
    for (size_t i = 0; i < sizeof kept / sizeof *kept && status == THAW_OK; i++) {
        thaw_yaml *value = (thaw_yaml *)thaw_yaml_get(config->document, kept[i]);
        if (value && !is_default(value) && !says_nothing(kept[i], value))
            status = thaw_yaml_put(&arena, &map, kept[i], value);
    }
    if (status == THAW_OK) {
        emit_evidence(m, advice, text);
        thaw_yaml_emit(&map, text);
        if (text->failed)
            status = thaw_fail(THAW_ERROR_INPUT,
                               "%s: the experiment is not UTF-8 text, or there "
                               "is no memory for it",
                               config->path);
    }
    thaw_arena_finish(&arena);
    return status;
}
