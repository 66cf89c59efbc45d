/* The stages of an experiment: `train` of its YAML. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/config_internal.h"

#define EPOCHS_MAX 1000000
#define EPOCHS_FACTOR_MAX 1000
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A number of epochs times a factor, where it stands. */
static thaw_status scale(struct thaw_arena *arena, thaw_yaml *map, const char *key, double factor) {
    int epochs = 0;
    THAW_TRY(thaw_yaml_get_int(map, key, 0, EPOCHS_MAX, &epochs));
    if (!epochs)
        return THAW_OK;
    double scaled = floor(epochs * factor + 0.5);
    thaw_yaml *value = thaw_yaml_new_scalar(
        arena, thaw_arena_format(arena, "%.0f", scaled < 1 ? 1 : scaled), thaw_yaml_get(map, key));
    return value ? thaw_yaml_put(arena, map, key, value) : THAW_ERROR_MEMORY;
}

/* Every stage's epochs times a factor, at least one where there were any. */
thaw_status thaw_config_scale_epochs(struct thaw_arena *arena, thaw_yaml *root) {
    const thaw_yaml *node = thaw_yaml_get(root, "epochs"), *train = thaw_yaml_get(root, "train");
    const char *text;
    char *end;
    if (!node)
        return THAW_OK;
    THAW_TRY(thaw_yaml_string(node, &text));
    double factor = strtod(text, &end);
    if (strspn(text, "0123456789.") + 1 != strlen(text) || *end != 'x' ||
        !(factor > 0 && factor <= EPOCHS_FACTOR_MAX))
        return thaw_hint(thaw_yaml_fail(node,
                                        "`epochs` of an experiment is a factor for all stages, "
                                        "such as 0.5x, not '%s'",
                                        text),
                         "a number of epochs stands in a stage: --set train.STAGE.epochs=5");
    for (size_t i = 0; train && train->kind == THAW_YAML_SEQUENCE && i < train->count; i++) {
        thaw_yaml *unfreeze = (thaw_yaml *)thaw_yaml_get(train->items[i], "unfreeze");
        THAW_TRY(scale(arena, train->items[i], "epochs", factor));
        if (unfreeze && unfreeze->kind == THAW_YAML_MAPPING)
            THAW_TRY(scale(arena, unfreeze, "every", factor));
    }
    return THAW_OK;
}

thaw_status thaw_config_read_lr(const thaw_yaml *node, struct thaw_lr *ret_lr) {
    const char *text;
    char *end;
    THAW_TRY(thaw_yaml_string(node, &text));
    double value = strtod(text, &end);
    bool relative = *end == 'x' && !end[1];
    bool decimal = end == text + strspn(text, "0123456789.eE+-"); /* no 0x1p3 */
    if (end == text || !decimal || (*end && !relative) || !(value >= 0 && value <= 1e4))
        return thaw_yaml_fail(node,
                              "'%s' is no learning rate: expected a number such as 0.001, a "
                              "factor such as 0.1x of the weights' own, or probe",
                              text);
    *ret_lr = (struct thaw_lr){value, relative, node};
    return THAW_OK;
}

/* A rate, or {lr: RATE, decay: 0.65, schedule: ...}. */
static thaw_status read_lr_rule(struct thaw_config *config, const thaw_yaml *value, int epochs,
                                struct thaw_lr_rule *rule) {
    static const char *const keys[] = {"lr", "decay", "schedule"};
    const thaw_yaml *lr = value;
    if (value->kind == THAW_YAML_MAPPING && !thaw_config_is_probe(value)) {
        THAW_TRY(thaw_yaml_only(value, keys, COUNT(keys)));
        lr = thaw_yaml_get(value, "lr");
        if (!lr)
            return thaw_yaml_fail(value, "the entry of `lr` needs a rate: {lr: 0.1x, ...}");
        THAW_TRY(thaw_yaml_get_double(value, "decay", 1e-6, 1, &rule->decay));
        rule->schedule = thaw_yaml_get(value, "schedule");
    }
    return thaw_config_is_probe(lr) ? thaw_config_read_probe(config, lr, epochs, rule)
                                    : thaw_config_read_lr(lr, &rule->lr);
}

static thaw_status read_lr_rules(struct thaw_config *config, const thaw_yaml *node,
                                 struct thaw_stage *stage) {
    bool rules = node->kind == THAW_YAML_MAPPING && !thaw_config_is_probe(node);
    size_t count = rules ? node->count : 1, probes = 0;
    if (!count)
        return thaw_yaml_fail(node, "`lr` has no entries");
    const thaw_yaml *misplaced = thaw_yaml_get(node, "decay");
    misplaced = misplaced ? misplaced : thaw_yaml_get(node, "schedule");
    if (misplaced)
        return thaw_hint(thaw_yaml_fail(misplaced, "`lr` maps patterns to rates; decay and "
                                                   "schedule stand in an entry of it"),
                         "lr: {all: {lr: 0.1x, decay: 0.65}}");
    stage->lr_rules = thaw_arena_array(&config->arena, count + 1, sizeof *stage->lr_rules);
    if (!stage->lr_rules)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct thaw_lr_rule *rule = &stage->lr_rules[i];
        const thaw_yaml *value = rules ? node->items[i] : node;
        rule->pattern = rules ? node->keys[i]->text : NULL;
        THAW_TRY(read_lr_rule(config, value, stage->epochs, rule));
        if (rule->probe && probes++)
            return thaw_yaml_fail(value, "stage '%s' probes two rates: one at a time", stage->name);
    }
    if (probes && !stage->epochs)
        return thaw_yaml_fail(node, "stage '%s' probes its lr for 0 epochs", stage->name);
    stage->lr_rule_count = count;
    return THAW_OK;
}

const char *const thaw_cache_dtype_names[THAW_CACHE_DTYPE_COUNT] = {"f32", "f16"};

static thaw_status read_cache(const thaw_yaml *cache, struct thaw_stage *stage) {
    static const char *const keys[] = {"views", "dtype", "disk"};
    size_t dtype = THAW_CACHE_F32;
    stage->cache_disk = true;
    if (!cache)
        return THAW_OK;
    if (cache->kind == THAW_YAML_SCALAR)
        return thaw_yaml_bool(cache, &stage->cache);
    stage->cache = true;
    THAW_TRY(thaw_yaml_only(cache, keys, COUNT(keys)));
    THAW_TRY(
        thaw_config_choice(cache, "dtype", thaw_cache_dtype_names, THAW_CACHE_DTYPE_COUNT, &dtype));
    stage->cache_dtype = (enum thaw_cache_dtype)dtype;
    THAW_TRY(thaw_yaml_get_bool(cache, "disk", &stage->cache_disk));
    return thaw_yaml_get_int(cache, "views", 0, 64, &stage->cache_views);
}

static thaw_status read_early_stop(const thaw_yaml *node, struct thaw_stage *stage) {
    static const char *const keys[] = {"metric", "patience"};
    if (!node)
        return THAW_OK;
    size_t metric = stage->early_stop_metric;
    THAW_TRY(thaw_yaml_only(node, keys, COUNT(keys)));
    THAW_TRY(thaw_config_choice(node, "metric", thaw_metric_names, THAW_METRIC_COUNT, &metric));
    stage->early_stop_metric = (enum thaw_metric)metric;
    stage->early_stop_patience = 5;
    return thaw_yaml_get_int(node, "patience", 1, 100000, &stage->early_stop_patience);
}

/* The value of `key` in the stage, else in the experiment. */
static const thaw_yaml *inherited(const thaw_yaml *node, const thaw_yaml *root, const char *key) {
    const thaw_yaml *own = thaw_yaml_get(node, key);
    return own ? own : thaw_yaml_get(root, key);
}

/* What only a stage that trains has. */
static thaw_status read_training(struct thaw_config *config, const thaw_yaml *node,
                                 struct thaw_stage *stage) {
    stage->epochs = -1;
    THAW_TRY(thaw_yaml_get_int(node, "epochs", 0, EPOCHS_MAX, &stage->epochs));
    if (stage->epochs < 0)
        return thaw_yaml_fail(node, "the stage needs `epochs`");
    const thaw_yaml *lr = thaw_yaml_get(node, "lr");
    if (!lr)
        return thaw_yaml_fail(node, "the stage needs `lr`, such as 0.1x");
    return read_lr_rules(config, lr, stage);
}

/* Statistics are measured once, whatever the optimizer and its schedule. */
static thaw_status read_refresh(const thaw_yaml *node, struct thaw_stage *stage) {
    static const char *const without[] = {"lr",       "epochs",    "early_stop",
                                          "auto",     "optimizer", "schedule",
                                          "unfreeze", "repeat",    "average"};
    for (size_t i = 0; i < COUNT(without); i++)
        if (thaw_yaml_get(node, without[i]))
            return thaw_yaml_fail(thaw_yaml_get(node, without[i]),
                                  "stage '%s' measures statistics (norm: refresh) and trains "
                                  "nothing: it has no `%s`",
                                  stage->name, without[i]);
    stage->epochs = 1;
    return THAW_OK;
}

static thaw_status read_stage(struct thaw_config *config, const thaw_yaml *root,
                              const thaw_yaml *node, size_t index, struct thaw_stage *stage) {
    static const char *const keys[] = {"stage",     "train",    "lr",         "epochs",
                                       "norm",      "cache",    "early_stop", "schedule",
                                       "optimizer", "batch",    "augment",    "allow_random",
                                       "auto",      "unfreeze", "repeat",     "average"};
    THAW_TRY(
        thaw_yaml_expect(node, THAW_YAML_MAPPING, "a stage: {train: [...], lr: 0.1x, epochs: 5}"));
    THAW_TRY(thaw_yaml_only(node, keys, COUNT(keys)));
    stage->place = node;
    stage->name = thaw_arena_format(&config->arena, "stage%zu", index + 1);
    if (!stage->name)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_get_string(node, "stage", &stage->name));
    stage->patterns = thaw_yaml_get(node, "train");
    if (!stage->patterns)
        return thaw_yaml_fail(node, "the stage needs `train`, a list of what it trains");
    THAW_TRY(
        thaw_yaml_expect(stage->patterns, THAW_YAML_SEQUENCE, "a list of patterns over names"));
    if (!stage->patterns->count)
        return thaw_yaml_fail(stage->patterns, "`train` of the stage is empty");
    for (size_t i = 0; i < stage->patterns->count; i++) {
        const char *pattern;
        THAW_TRY(thaw_yaml_string(stage->patterns->items[i], &pattern));
    }
    size_t norm = THAW_NORM_TRAIN;
    THAW_TRY(thaw_config_choice(node, "norm", thaw_norm_mode_names, THAW_NORM_COUNT, &norm));
    stage->norm = (enum thaw_norm_mode)norm;
    THAW_TRY(stage->norm == THAW_NORM_REFRESH ? read_refresh(node, stage)
                                              : read_training(config, node, stage));
    stage->whole_epochs = stage->epochs;
    THAW_TRY(thaw_config_read_auto(config, node, stage));
    THAW_TRY(read_cache(thaw_yaml_get(node, "cache"), stage));
    stage->batch = 32;
    THAW_TRY(thaw_yaml_get_int(root, "batch", 1, 65536, &stage->batch));
    THAW_TRY(thaw_yaml_get_int(node, "batch", 1, 65536, &stage->batch));
    stage->norm_auto = stage->norm == THAW_NORM_AUTO;
    if (stage->norm_auto)
        stage->norm = stage->batch >= THAW_NORM_BATCH ? THAW_NORM_TRAIN : THAW_NORM_EVAL;
    stage->early_stop_metric = config->metric;
    THAW_TRY(read_early_stop(thaw_yaml_get(node, "early_stop"), stage));
    stage->augment = inherited(node, root, "augment");
    if (stage->augment && (thaw_yaml_is_null(stage->augment) || !stage->augment->count))
        stage->augment = NULL;
    stage->optimizer = inherited(node, root, "optimizer");
    stage->schedule = inherited(node, root, "schedule");
    stage->average = thaw_yaml_get(node, "average");
    if (stage->cache && !stage->cache_views) /* plain features: nothing to augment */
        stage->augment = NULL;
    return thaw_config_list(node, "allow_random", &stage->allow_random);
}

static thaw_status add_stage(struct thaw_config *config, const struct thaw_stage *stage) {
    struct thaw_stage *stages =
        thaw_arena_array(&config->arena, config->stage_count + 1, sizeof *stages);
    if (!stages)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < config->stage_count; i++) {
        stages[i] = config->stages[i];
        if (!strcmp(stages[i].name, stage->name))
            return thaw_yaml_fail(stage->place, "there is already a stage '%s'", stage->name);
    }
    stages[config->stage_count] = *stage;
    config->stages = stages;
    config->stage_count++;
    return THAW_OK;
}

static thaw_status read_stage_parts(struct thaw_config *config, const thaw_yaml *root,
                                    const thaw_yaml *node, size_t index) {
    struct thaw_stage written = {0}, *parts;
    size_t count = 0;
    THAW_TRY(read_stage(config, root, node, index, &written));
    THAW_TRY(thaw_config_expand_stage(config, &written, &parts, &count));
    for (size_t i = 0; i < count; i++)
        THAW_TRY(add_stage(config, &parts[i]));
    return THAW_OK;
}

thaw_status thaw_config_read_stages(struct thaw_config *config, const thaw_yaml *root) {
    const thaw_yaml *train = thaw_yaml_get(root, "train");
    if (!train)
        return thaw_hint(
            thaw_yaml_fail(root, "an experiment needs `regime` or `train: [stages]`"),
            "regime: small_similar, small_different, large_similar or large_different");
    THAW_TRY(thaw_yaml_expect(train, THAW_YAML_SEQUENCE, "a list of stages"));
    if (!train->count)
        return thaw_yaml_fail(train, "`train` has no stages");
    for (size_t i = 0; i < train->count; i++)
        THAW_TRY(read_stage_parts(config, root, train->items[i], i));
    return THAW_OK;
}
