#include "train/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "cl/embedded.h"
#include "core/file.h"
#include "core/text.h"

#define EXTENDS_MAX 16
#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *const thaw_norm_mode_names[THAW_NORM_COUNT] = {"train", "eval", "frozen", "refresh",
                                                           "auto"};
const char *const thaw_metric_names[THAW_METRIC_COUNT] = {"val.loss", "val.top1", "val.balanced",
                                                          "val.macro_f1"};

/* ---- documents ------------------------------------------------------------------------------ */

static const char *embedded_text(const char *name) {
    for (int i = 0; i < thaw_embedded_file_count; i++)
        if (!strcmp(thaw_embedded_files[i].name, name))
            return thaw_embedded_files[i].text;
    return NULL;
}

/* Fails with the names of the built-in files of one kind ("models/", "regimes/"). */
static thaw_status no_such_built_in(const thaw_yaml *place, const char *kind, const char *name) {
    const char *names[128] = {0};
    char stems[128][48];
    size_t count = 0, prefix = strlen(kind);
    for (int i = 0; i < thaw_embedded_file_count && count < 128; i++) {
        const char *file = thaw_embedded_files[i].name;
        if (strncmp(file, kind, prefix) != 0)
            continue;
        size_t length = strcspn(file + prefix, ".");
        if (length >= sizeof stems[0])
            continue;
        memcpy(stems[count], file + prefix, length);
        stems[count][length] = '\0';
        names[count] = stems[count];
        count++;
    }
    const char *nearest = thaw_nearest(name, names, count);
    struct thaw_text list = {0};
    for (size_t i = 0; i < count; i++)
        thaw_text_append(&list, "%s%s", i ? ", " : "", names[i]);
    thaw_status status =
        thaw_yaml_fail(place, "there is no built-in '%s'%s%s%s (%.*s are: %s)", name,
                       nearest ? " (nearest: '" : "", nearest ? nearest : "", nearest ? "')" : "",
                       (int)prefix - 1, kind, list.text ? list.text : "none");
    thaw_text_finish(&list);
    return status;
}

static thaw_status built_in(struct thaw_arena *arena, const char *kind, const char *name,
                            const thaw_yaml *place, thaw_yaml **ret_document) {
    char *file = thaw_arena_format(arena, "%s%s.yaml", kind, name);
    if (!file)
        return THAW_ERROR_MEMORY;
    const char *text = embedded_text(file);
    if (!text)
        return no_such_built_in(place, kind, name);
    return thaw_yaml_parse(arena, text, strlen(text), file, ret_document);
}

bool thaw_model_name_is_path(const char *name) {
    size_t length = strlen(name);
    return strchr(name, '/') || (length > 5 && !strcmp(name + length - 5, ".yaml"));
}

thaw_status thaw_model_document(struct thaw_arena *arena, const char *name, const thaw_yaml *place,
                                thaw_yaml **ret_document) {
    if (!thaw_model_name_is_path(name))
        return built_in(arena, "models/", name, place, ret_document);
    char *path;
    THAW_TRY(thaw_path_expand(arena, name, &path));
    return thaw_yaml_load(arena, path, ret_document);
}

/* Loads `path` and merges it over what it extends. */
static thaw_status load_extended(struct thaw_arena *arena, const char *path, int depth,
                                 thaw_yaml **ret_document) {
    thaw_yaml *document, *base, *merged;
    THAW_TRY(thaw_yaml_load(arena, path, &document));
    THAW_TRY(thaw_yaml_expect(document, THAW_YAML_MAPPING, "an experiment: model, data, train"));
    const thaw_yaml *extends = thaw_yaml_get(document, "extends");
    if (!extends) {
        *ret_document = document;
        return THAW_OK;
    }
    const char *name;
    THAW_TRY(thaw_yaml_string(extends, &name));
    if (depth == EXTENDS_MAX)
        return thaw_yaml_fail(extends, "files extend each other deeper than %d: a circle?",
                              EXTENDS_MAX);
    char *base_path = thaw_path_beside(arena, path, name);
    if (!base_path)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_context(load_extended(arena, base_path, depth + 1, &base), "%s:%d: extends",
                          extends->file, extends->line));
    THAW_TRY(thaw_yaml_merge(arena, base, document, &merged));
    *ret_document = merged;
    return THAW_OK;
}

/* A regime stands for its `train` (and what else it sets); the experiment's own keys come on top.
 */
static thaw_status expand_regime(struct thaw_arena *arena, thaw_yaml **document) {
    const thaw_yaml *regime = thaw_yaml_get(*document, "regime");
    const char *name = NULL;
    thaw_yaml *preset = NULL, *merged = NULL;
    if (!regime || thaw_yaml_is_null(regime))
        return THAW_OK;
    THAW_TRY(thaw_yaml_string(regime, &name));
    THAW_TRY(built_in(arena, "regimes/", name, regime, &preset));
    THAW_TRY(thaw_yaml_merge(arena, preset, *document, &merged));
    *document = merged;
    return THAW_OK;
}

/* ---- sections ------------------------------------------------------------------------------- */

thaw_status thaw_config_list(const thaw_yaml *map, const char *key, const thaw_yaml **ret_list) {
    *ret_list = thaw_yaml_get(map, key);
    return *ret_list ? thaw_yaml_expect(*ret_list, THAW_YAML_SEQUENCE, "a list") : THAW_OK;
}

thaw_status thaw_config_choice(const thaw_yaml *map, const char *key, const char *const *names,
                               size_t count, size_t *value) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    return node ? thaw_yaml_choice(node, names, count, value) : THAW_OK;
}

static thaw_status read_head(struct thaw_config *config, const thaw_yaml *head) {
    static const char *const keys[] = {"type", "dropout"};
    static const char *const types[] = {"last", "linear"};
    size_t type = THAW_HEAD_LAST;
    if (!head)
        return THAW_OK;
    THAW_TRY(thaw_yaml_only(head, keys, COUNT(keys)));
    THAW_TRY(thaw_config_choice(head, "type", types, COUNT(types), &type));
    config->head = (enum thaw_head_type)type;
    return thaw_yaml_get_double(head, "dropout", 0, 0.99, &config->dropout);
}

static thaw_status read_model(struct thaw_config *config, const thaw_yaml *root) {
    static const char *const keys[] = {"graph", "weights",   "size", "resize",
                                       "head",  "reference", "allow"};
    static const char *const reference_keys[] = {"lr", "batch"};
    static const char *const allow_keys[] = {"missing", "unexpected", "mismatch"};
    const thaw_yaml *model = thaw_yaml_get(root, "model");
    if (!model)
        return thaw_yaml_fail(root, "an experiment needs `model: {graph: NAME, weights: FILE}`");
    THAW_TRY(thaw_yaml_only(model, keys, COUNT(keys)));
    const thaw_yaml *graph = thaw_yaml_get(model, "graph");
    thaw_yaml *document = NULL;
    if (!graph)
        return thaw_yaml_fail(model, "`model` needs `graph`, a built-in name or a YAML file");
    THAW_TRY(thaw_yaml_string(graph, &config->graph_name));
    THAW_TRY(thaw_model_document(&config->arena, config->graph_name, graph, &document));
    config->graph = document;
    config->model = model;
    const thaw_yaml *weights = thaw_yaml_get(model, "weights");
    if (weights && !thaw_yaml_is_null(weights))
        THAW_TRY(thaw_yaml_string(weights, &config->weights));
    THAW_TRY(thaw_yaml_get_int(model, "size", 8, 4096, &config->size));
    THAW_TRY(read_head(config, thaw_yaml_get(model, "head")));
    const thaw_yaml *reference = thaw_yaml_get(model, "reference");
    if (reference) {
        THAW_TRY(thaw_yaml_only(reference, reference_keys, COUNT(reference_keys)));
        THAW_TRY(thaw_yaml_get_double(reference, "lr", 1e-9, 1e3, &config->reference_lr));
        THAW_TRY(thaw_yaml_get_int(reference, "batch", 1, 1 << 20, &config->reference_batch));
    }
    const thaw_yaml *allow = thaw_yaml_get(model, "allow");
    if (allow)
        THAW_TRY(thaw_yaml_only(allow, allow_keys, COUNT(allow_keys)));
    THAW_TRY(thaw_config_list(allow, "missing", &config->allow_missing));
    THAW_TRY(thaw_config_list(allow, "unexpected", &config->allow_unexpected));
    return thaw_config_list(allow, "mismatch", &config->allow_mismatch);
}

static thaw_status read_loss(struct thaw_config *config, const thaw_yaml *loss) {
    static const char *const keys[] = {"label_smoothing", "class_weights"};
    static const char *const words[] = {"none", "balanced"};
    if (!loss)
        return THAW_OK;
    THAW_TRY(thaw_yaml_only(loss, keys, COUNT(keys)));
    THAW_TRY(thaw_yaml_get_double(loss, "label_smoothing", 0, 0.99, &config->label_smoothing));
    const thaw_yaml *weights = thaw_yaml_get(loss, "class_weights");
    if (!weights)
        return THAW_OK;
    if (weights->kind == THAW_YAML_SEQUENCE) {
        config->class_weights = weights;
        return THAW_OK;
    }
    size_t word = 0;
    THAW_TRY(thaw_yaml_choice(weights, words, COUNT(words), &word));
    config->balanced_weights = word == 1;
    return THAW_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* "configs/solar-cells.yaml" -> "solar-cells". */
static thaw_status default_name(struct thaw_config *config) {
    const char *slash = strrchr(config->path, '/');
    const char *base = slash ? slash + 1 : config->path;
    const char *dot = strrchr(base, '.');
    config->name = thaw_arena_copy_bytes(&config->arena, base,
                                         dot && dot > base ? (size_t)(dot - base) : strlen(base));
    return config->name ? THAW_OK : THAW_ERROR_MEMORY;
}

static thaw_status read_conv_candidate(const thaw_yaml *node, const char **ret_name) {
    const char *names[32];
    size_t count =
        thaw_conv_candidate_count < COUNT(names) ? thaw_conv_candidate_count : COUNT(names);
    size_t index;
    if (!node)
        return THAW_OK;
    for (size_t i = 0; i < count; i++)
        names[i] = thaw_conv_candidates[i]->name;
    THAW_TRY(thaw_yaml_choice(node, names, count, &index));
    *ret_name = names[index];
    return THAW_OK;
}

/* "60s" or "100 steps". */
static thaw_status read_checkpoint(struct thaw_config *config, const thaw_yaml *checkpoint) {
    static const char *const keys[] = {"every"};
    const thaw_yaml *every = thaw_yaml_get(checkpoint, "every");
    const char *text;
    config->checkpoint_s = 60;
    if (checkpoint)
        THAW_TRY(thaw_yaml_only(checkpoint, keys, COUNT(keys)));
    if (!every)
        return THAW_OK;
    THAW_TRY(thaw_yaml_string(every, &text));
    size_t digits = strspn(text, "0123456789");
    long value = digits && digits < 9 ? strtol(text, NULL, 10) : 0;
    bool steps = !strcmp(text + digits, " steps");
    if (value < 1 || (!steps && strcmp(text + digits, "s") != 0))
        return thaw_yaml_fail(every,
                              "'%s': expected a time such as 60s, or a number such as "
                              "100 steps",
                              text);
    if (steps)
        config->checkpoint_steps = (int)value;
    else
        config->checkpoint_s = (double)value;
    return THAW_OK;
}

/* As large as a device may be asked to be; NULL: no limit. */
static thaw_status read_memory(const thaw_yaml *node, uint64_t *ret_bytes) {
    uint64_t bytes = 0;
    if (node && (node->kind != THAW_YAML_SCALAR || !thaw_text_bytes(node->text, &bytes) || !bytes))
        return thaw_yaml_fail(node, "'memory': expected a size such as 2GiB or 800MiB");
    *ret_bytes = bytes;
    return THAW_OK;
}

thaw_status thaw_config_read_device(const thaw_yaml *root, struct thaw_config_device *ret_device) {
    static const char *const keys[] = {"conv", "block", "memory"};
    const thaw_yaml *node = thaw_yaml_get(root, "device");
    struct thaw_config_device device = {0};
    if (node) {
        THAW_TRY(thaw_yaml_only(node, keys, COUNT(keys)));
        THAW_TRY(read_conv_candidate(thaw_yaml_get(node, "conv"), &device.conv_candidate));
        THAW_TRY(thaw_yaml_get_int(node, "block", 1, 16, &device.block));
        THAW_TRY(read_memory(thaw_yaml_get(node, "memory"), &device.memory_bytes));
    }
    *ret_device = device;
    return THAW_OK;
}

static thaw_status read_general(struct thaw_config *config, const thaw_yaml *root) {
    int64_t seed = 0;
    size_t metric = THAW_METRIC_TOP1;
    THAW_TRY(default_name(config));
    THAW_TRY(thaw_yaml_get_string(root, "name", &config->name));
    if (!*config->name || strchr(config->name, '/') || config->name[0] == '.')
        return thaw_yaml_fail(thaw_yaml_get(root, "name"), "'%s' can't name a folder",
                              config->name);
    config->output = "runs";
    THAW_TRY(thaw_yaml_get_string(root, "output", &config->output));
    if (thaw_yaml_get(root, "seed"))
        THAW_TRY(thaw_yaml_int(thaw_yaml_get(root, "seed"), 0, INT64_MAX, &seed));
    config->seed = (uint64_t)seed;
    THAW_TRY(thaw_config_choice(root, "metric", thaw_metric_names, THAW_METRIC_COUNT, &metric));
    config->metric = (enum thaw_metric)metric;
    static const char *const keep_names[] = {"best", "last"};
    size_t keep = 0;
    THAW_TRY(thaw_config_choice(root, "keep", keep_names, COUNT(keep_names), &keep));
    config->keep_last = keep == 1;
    THAW_TRY(read_checkpoint(config, thaw_yaml_get(root, "checkpoint")));
    struct thaw_config_device device;
    THAW_TRY(thaw_config_read_device(root, &device));
    config->conv_candidate = device.conv_candidate;
    config->block = device.block;
    config->memory_bytes = device.memory_bytes;
    return THAW_OK;
}

thaw_status thaw_config_document(struct thaw_arena *arena, const char *path,
                                 thaw_yaml **ret_document) {
    return load_extended(arena, path, 0, ret_document);
}

/* What the command line and a sweep say over the file. */
struct overrides {
    const char *const *sets;
    size_t set_count;
    const struct thaw_config_change *changes;
    size_t change_count;
    bool untrained; /* what it says of training is left out */
};

/* Those of one key before all others; tells whether there are any. */
static thaw_status apply_early(struct thaw_config *config, const struct overrides *o,
                               const char *key, bool *ret_overridden) {
    struct thaw_arena *arena = &config->arena;
    size_t length = strlen(key);
    bool overridden = false;
    for (size_t i = 0; i < o->set_count; i++)
        if (!strncmp(o->sets[i], key, length) && o->sets[i][length] == '=') {
            overridden = true;
            THAW_TRY(thaw_yaml_set(arena, config->document, o->sets[i]));
        }
    for (size_t i = 0; i < o->change_count; i++)
        if (!strcmp(o->changes[i].path->text, key)) {
            overridden = true;
            THAW_TRY(thaw_yaml_set_value(arena, config->document, o->changes[i].path,
                                         o->changes[i].value));
        }
    *ret_overridden = overridden;
    return THAW_OK;
}

/* The regime and the factor of all epochs first, so that an override reaches into the stages that
 * they make. */
static thaw_status apply_regime(struct thaw_config *config, const struct overrides *o) {
    bool overridden = false, scaled = false;
    THAW_TRY(apply_early(config, o, "regime", &overridden));
    THAW_TRY(apply_early(config, o, "epochs", &scaled));
    if (overridden && thaw_yaml_get(config->document, "train"))
        return thaw_hint(thaw_yaml_fail(thaw_yaml_get(config->document, "regime"),
                                        "the experiment writes its stages out, which a regime "
                                        "does not replace"),
                         "take `train` out of %s", config->path);
    THAW_TRY(expand_regime(&config->arena, &config->document));
    return thaw_config_scale_epochs(&config->arena, config->document);
}

static thaw_status apply_overrides(struct thaw_config *config, const struct overrides *o) {
    struct thaw_arena *arena = &config->arena;
    THAW_TRY(apply_regime(config, o));
    for (size_t i = 0; i < o->set_count; i++)
        THAW_TRY(thaw_yaml_set(arena, config->document, o->sets[i]));
    for (size_t i = 0; i < o->change_count; i++)
        THAW_TRY(
            thaw_yaml_set_value(arena, config->document, o->changes[i].path, o->changes[i].value));
    thaw_yaml_drop(config->document, "epochs"); /* the stages say it now */
    const thaw_yaml *extends = thaw_yaml_get(config->document, "extends");
    const thaw_yaml *sweep = thaw_yaml_get(config->document, "sweep");
    if (extends || sweep)
        return thaw_yaml_fail(extends ? extends : sweep, "`%s` stands in a file only",
                              extends ? "extends" : "sweep");
    return THAW_OK;
}

static thaw_status leave_training_out(struct thaw_config *config, const struct overrides *o) {
    static const char *const keys[] = {"regime", "train", "epochs"};
    for (size_t k = 0; k < COUNT(keys); k++) {
        size_t length = strlen(keys[k]);
        thaw_yaml_drop(config->document, keys[k]);
        for (size_t i = 0; i < o->set_count; i++)
            if (!strncmp(o->sets[i], keys[k], length) && strchr(".=", o->sets[i][length]))
                return thaw_fail(THAW_ERROR_INPUT,
                                 "--set %s has no effect: how the experiment is trained is not "
                                 "looked at",
                                 o->sets[i]);
    }
    return THAW_OK;
}

/* Completes and reads config->document. */
static thaw_status read_document(struct thaw_config *config, const struct overrides *overrides) {
    static const char *const keys[] = {"name",  "extends", "sweep",     "regime", "model",
                                       "data",  "augment", "loss",      "metric", "schedule",
                                       "batch", "seed",    "optimizer", "output", "device",
                                       "train", "keep",    "checkpoint"};
    THAW_TRY(apply_overrides(config, overrides));
    THAW_TRY(thaw_config_apply_defaults(&config->arena, config->document));
    const thaw_yaml *root = config->document;
    THAW_TRY(thaw_yaml_only(root, keys, COUNT(keys)));
    THAW_TRY(read_general(config, root));
    THAW_TRY(read_model(config, root));
    THAW_TRY(read_loss(config, thaw_yaml_get(root, "loss")));
    config->data = thaw_yaml_get(root, "data");
    if (!config->data)
        return thaw_yaml_fail(root, "an experiment needs `data: {format: folder, root: DIR}`");
    return overrides->untrained ? THAW_OK : thaw_config_read_stages(config, root);
}

static thaw_status load(const char *path, const struct overrides *overrides,
                        struct thaw_config *config) {
    config->path = thaw_arena_copy(&config->arena, path);
    if (!config->path)
        return THAW_ERROR_MEMORY;
    THAW_TRY(load_extended(&config->arena, path, 0, &config->document));
    /* What these say is done, and config.yaml of a run stands alone. */
    thaw_yaml_drop(config->document, "extends");
    thaw_yaml_drop(config->document, "sweep");
    if (overrides->untrained)
        THAW_TRY(leave_training_out(config, overrides));
    return read_document(config, overrides);
}

thaw_status thaw_config_read_untrained(const thaw_yaml *document, const char *path,
                                       struct thaw_config *ret_config) {
    struct thaw_config config = {0};
    struct overrides overrides = {.untrained = true};
    config.path = thaw_arena_copy(&config.arena, path);
    thaw_status status = config.path ? THAW_OK : THAW_ERROR_MEMORY;
    if (status == THAW_OK)
        status = thaw_yaml_copy(&config.arena, document, &config.document);
    if (status == THAW_OK)
        status = read_document(&config, &overrides);
    if (status != THAW_OK)
        thaw_config_finish(&config);
    else
        *ret_config = config;
    return status;
}

static thaw_status set_regime(const struct thaw_config *base, const char *regime,
                              struct thaw_config *config) {
    static const char *const others[] = {"train", "epochs", "optimizer", "schedule"};
    struct overrides overrides = {0};
    config->path = thaw_arena_copy(&config->arena, base->path);
    if (!config->path)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_copy(&config->arena, base->document, &config->document));
    for (size_t i = 0; i < COUNT(others); i++)
        thaw_yaml_drop(config->document, others[i]);
    const thaw_yaml *augment = thaw_yaml_get(config->document, "augment");
    if (augment && augment->file && !strcmp(augment->file, "default"))
        thaw_yaml_drop(config->document, "augment"); /* the regime's, where none was asked for */
    thaw_yaml *name = thaw_yaml_new_scalar(&config->arena, regime, NULL);
    if (!name)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_put(&config->arena, config->document, "regime", name));
    return read_document(config, &overrides);
}

thaw_status thaw_config_with_regime(const struct thaw_config *base, const char *regime,
                                    struct thaw_config *ret_config) {
    struct thaw_config config = {0};
    thaw_status status = set_regime(base, regime, &config);
    if (status != THAW_OK)
        thaw_config_finish(&config);
    else
        *ret_config = config;
    return status;
}

static thaw_status load_config(const char *path, const struct overrides *overrides,
                               struct thaw_config *ret_config) {
    struct thaw_config config = {0};
    thaw_status status = load(path, overrides, &config);
    if (status != THAW_OK)
        thaw_config_finish(&config);
    else
        *ret_config = config;
    return status;
}

thaw_status thaw_config_load_changed(const char *path, const char *const *sets, size_t set_count,
                                     const struct thaw_config_change *changes, size_t change_count,
                                     struct thaw_config *ret_config) {
    struct overrides overrides = {sets, set_count, changes, change_count, false};
    return load_config(path, &overrides, ret_config);
}

thaw_status thaw_config_load_untrained(const char *path, const char *const *sets, size_t set_count,
                                       struct thaw_config *ret_config) {
    struct overrides overrides = {sets, set_count, NULL, 0, true};
    return load_config(path, &overrides, ret_config);
}

thaw_status thaw_config_load(const char *path, const char *const *sets, size_t set_count,
                             struct thaw_config *ret_config) {
    return thaw_config_load_changed(path, sets, set_count, NULL, 0, ret_config);
}

void thaw_config_finish(struct thaw_config *config) {
    thaw_arena_finish(&config->arena);
    *config = (struct thaw_config){0};
}

double thaw_lr_resolve(const struct thaw_lr *lr, double reference_lr, int reference_batch,
                       int batch) {
    return lr->relative ? lr->value * reference_lr * batch / reference_batch : lr->value;
}
