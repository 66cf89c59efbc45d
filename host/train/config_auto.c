/* What a stage leaves to be chosen at run time: `auto` among what it trains, and `lr: probe`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/config_internal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *const thaw_auto_rule_names[THAW_AUTO_RULE_COUNT] = {"one_se", "best"};

/* ---- defaults ------------------------------------------------------------------------------- */

static thaw_status put(struct thaw_arena *arena, thaw_yaml *map, const char *key,
                       const char *text) {
    thaw_yaml *value;
    if (thaw_yaml_get(map, key))
        return THAW_OK;
    if (!text)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_parse(arena, text, strlen(text), "default", &value));
    return thaw_yaml_put(arena, map, key, value);
}

/* So many fifths of a stage's, rounded. Solar cells, ten epochs: after a fifth of them deep
 * candidates still look worse than they become. A probe compares rates
 * at one depth and needs less. `least` epochs where the stage has as many. */
static int pilot_epochs(int epochs, int fifths, int least) {
    int rounded = (fifths * epochs + 2) / 5;
    least = epochs < least ? epochs : least;
    return rounded > least ? rounded : least > 0 ? least : 1;
}

/* Numbers below the count of stages, and `all`. */
static char *default_depths(struct thaw_arena *arena, size_t stages) {
    struct thaw_text text = {0};
    thaw_text_append(&text, "[0");
    for (size_t depth = 1; depth <= 3 && depth < stages; depth++)
        thaw_text_append(&text, ", %zu", depth);
    thaw_text_append(&text, ", all]");
    char *copy = text.failed ? NULL : thaw_arena_copy(arena, text.text);
    thaw_text_finish(&text);
    return copy;
}

static thaw_status put_defaults(struct thaw_config *config, const struct thaw_stage *stage,
                                size_t stages, thaw_yaml *map) {
    struct thaw_arena *arena = &config->arena;
    THAW_TRY(put(arena, map, "depth", default_depths(arena, stages)));
    THAW_TRY(put(arena, map, "also", "[first]"));
    THAW_TRY(put(arena, map, "folds", "3"));
    THAW_TRY(put(arena, map, "rule", "one_se"));
    THAW_TRY(put(arena, map, "epochs",
                 thaw_arena_format(arena, "%d", pilot_epochs(stage->epochs, 2, 4))));
    THAW_TRY(put(arena, map, "metric", thaw_metric_names[config->metric]));
    return put(arena, map, "budget", "none");
}

/* ---- values --------------------------------------------------------------------------------- */

/* "none", "90s", "10min", "1.5h". */
thaw_status thaw_config_budget(const thaw_yaml *node, double *ret_budget_s) {
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"h", 3600}};
    const char *text;
    char *end;
    THAW_TRY(thaw_yaml_string(node, &text));
    *ret_budget_s = 0;
    if (!strcmp(text, "none"))
        return THAW_OK;
    size_t digits = strspn(text, "0123456789.");
    double value = strtod(text, &end);
    if (digits && end == text + digits && value > 0 && value <= 1e6)
        for (size_t i = 0; i < COUNT(units); i++)
            if (!strcmp(end + strspn(end, " "), units[i].unit)) {
                *ret_budget_s = value * units[i].seconds;
                return THAW_OK;
            }
    return thaw_yaml_fail(node,
                          "'%s' is no time: expected a number and a unit, such as 90s, 10min or "
                          "1.5h, or none",
                          text);
}

static thaw_status read_depth(const thaw_yaml *node, size_t stages, int *ret_depth) {
    const char *text;
    char *end;
    THAW_TRY(thaw_yaml_string(node, &text));
    *ret_depth = THAW_DEPTH_ALL;
    if (!strcmp(text, "all"))
        return THAW_OK;
    long depth = strtol(text, &end, 10);
    if (end == text || *end || depth < 0)
        return thaw_yaml_fail(node,
                              "'%s' is no depth: expected how many of the last stages to train "
                              "with the head, 0 to %zu, or all",
                              text, stages);
    if (depth > (long)stages)
        return thaw_yaml_fail(node,
                              "depth %ld is more than the model has: expected 0 to %zu, or all "
                              "(nearest: %zu)",
                              depth, stages, stages);
    *ret_depth = (int)depth;
    return THAW_OK;
}

static int compare_depths(const void *a, const void *b) {
    unsigned x = (unsigned)*(const int *)a, y = (unsigned)*(const int *)b; /* -1, all: last */
    return (x > y) - (x < y);
}

static thaw_status read_depths(struct thaw_config *config, const thaw_yaml *list, size_t stages,
                               int **ret_depths) {
    THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, "a list of depths: [0, 1, 2, 3, all]"));
    if (!list->count)
        return thaw_yaml_fail(list, "`depth` names no candidate: expected [0, 1, 2, 3, all]");
    int *depths = thaw_arena_array(&config->arena, list->count, sizeof *depths);
    if (!depths)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < list->count; i++) {
        THAW_TRY(read_depth(list->items[i], stages, &depths[i]));
        for (size_t j = 0; j < i; j++)
            if (depths[j] == depths[i])
                return thaw_yaml_fail(list->items[i], "depth %s is there twice",
                                      list->items[i]->text);
    }
    qsort(depths, list->count, sizeof *depths, compare_depths);
    *ret_depths = depths;
    return THAW_OK;
}

static thaw_status read_also(const thaw_yaml *list, bool *ret_first) {
    static const char *const names[] = {"first"};
    size_t index;
    *ret_first = false;
    THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, "a list: [first] or []"));
    for (size_t i = 0; i < list->count; i++) {
        THAW_TRY(thaw_yaml_choice(list->items[i], names, COUNT(names), &index));
        *ret_first = true;
    }
    return THAW_OK;
}

/* ---- candidates ----------------------------------------------------------------------------- */

/* The stages of the model document, from the input on. */
static const thaw_yaml *model_stages(const struct thaw_config *config) {
    const thaw_yaml *stages = thaw_yaml_get(config->graph, "stages");
    return stages && stages->kind == THAW_YAML_SEQUENCE && stages->count ? stages : NULL;
}

static const char *first_stage(const thaw_yaml *stages) {
    const thaw_yaml *item = stages->items[0];
    return item->kind == THAW_YAML_MAPPING && item->count ? item->keys[0]->text : item->text;
}

static thaw_status add_candidate(struct thaw_auto *automatic, const char *name,
                                 const char *pattern) {
    if (!name)
        return THAW_ERROR_MEMORY;
    automatic->candidates[automatic->candidate_count++] =
        (struct thaw_auto_candidate){name, pattern};
    return THAW_OK;
}

/* By what they train, `first` and `all` at the end. */
static thaw_status make_candidates(struct thaw_config *config, const thaw_yaml *stages,
                                   const int *depths, size_t count, struct thaw_auto *automatic) {
    struct thaw_arena *arena = &config->arena;
    automatic->candidates = thaw_arena_array(arena, count + 1, sizeof *automatic->candidates);
    if (!automatic->candidates)
        return THAW_ERROR_MEMORY;
    bool has_all = depths[count - 1] == THAW_DEPTH_ALL;
    automatic->deepest = NULL;
    for (size_t i = 0; i < count - has_all; i++) {
        const char *pattern = NULL;
        if (depths[i] && !(pattern = thaw_arena_format(arena, "last:%d", depths[i])))
            return THAW_ERROR_MEMORY;
        THAW_TRY(add_candidate(automatic, thaw_arena_format(arena, "%d", depths[i]), pattern));
        automatic->deepest = pattern;
    }
    if (automatic->also_first)
        THAW_TRY(add_candidate(automatic, "first", first_stage(stages)));
    if (has_all)
        THAW_TRY(add_candidate(automatic, "all", "all"));
    if (has_all || automatic->also_first)
        automatic->deepest = "all";
    return THAW_OK;
}

/* ---- `auto` --------------------------------------------------------------------------------- */

static bool trains_auto(const struct thaw_stage *stage) {
    for (size_t i = 0; i < stage->patterns->count; i++)
        if (!strcmp(stage->patterns->items[i]->text, "auto"))
            return true;
    return false;
}

static thaw_status parse_auto(struct thaw_config *config, const thaw_yaml *map,
                              const thaw_yaml *stages, const struct thaw_stage *stage,
                              struct thaw_auto *automatic) {
    const thaw_yaml *list = thaw_yaml_get(map, "depth");
    size_t rule = 0, metric = 0;
    int *depths = NULL;
    THAW_TRY(read_depths(config, list, stages->count, &depths));
    if (!depths[0] && stage->patterns->count == 1)
        return thaw_yaml_fail(stage->patterns,
                              "depth 0 would train nothing in stage '%s': add the head: "
                              "train: [auto, head]",
                              stage->name);
    THAW_TRY(read_also(thaw_yaml_get(map, "also"), &automatic->also_first));
    THAW_TRY(make_candidates(config, stages, depths, list->count, automatic));
    THAW_TRY(thaw_yaml_get_int(map, "folds", 2, THAW_AUTO_FOLDS_MAX, &automatic->folds));
    THAW_TRY(thaw_config_choice(map, "rule", thaw_auto_rule_names, THAW_AUTO_RULE_COUNT, &rule));
    THAW_TRY(thaw_yaml_get_int(map, "epochs", 1, 100000, &automatic->epochs));
    THAW_TRY(thaw_config_choice(map, "metric", thaw_metric_names, THAW_METRIC_COUNT, &metric));
    automatic->rule = (enum thaw_auto_rule)rule;
    automatic->metric = (enum thaw_metric)metric;
    return thaw_config_budget(thaw_yaml_get(map, "budget"), &automatic->budget_s);
}

thaw_status thaw_config_read_auto(struct thaw_config *config, const thaw_yaml *node,
                                  struct thaw_stage *stage) {
    static const char *const keys[] = {"depth",  "also",   "folds", "rule",
                                       "epochs", "metric", "budget"};
    const thaw_yaml *map = thaw_yaml_get(node, "auto"), *stages = model_stages(config);
    thaw_yaml *empty;
    if (!trains_auto(stage))
        return map ? thaw_yaml_fail(map,
                                    "stage '%s' has `auto` but does not train it: expected "
                                    "train: [auto, head]",
                                    stage->name)
                   : THAW_OK;
    if (!stages)
        return thaw_yaml_fail(stage->patterns,
                              "`auto` needs a model whose YAML lists its `stages`");
    if (!stage->epochs)
        return thaw_yaml_fail(node, "stage '%s' trains `auto` for 0 epochs", stage->name);
    if (!map || thaw_yaml_is_null(map)) {
        THAW_TRY(thaw_yaml_parse(&config->arena, "{}", 2, "default", &empty));
        THAW_TRY(thaw_yaml_put(&config->arena, (thaw_yaml *)node, "auto", empty));
        map = empty;
    }
    THAW_TRY(thaw_yaml_only(map, keys, COUNT(keys)));
    THAW_TRY(put_defaults(config, stage, stages->count, (thaw_yaml *)map));
    struct thaw_auto *automatic = thaw_arena_alloc(&config->arena, sizeof *automatic);
    if (!automatic)
        return THAW_ERROR_MEMORY;
    THAW_TRY(parse_auto(config, map, stages, stage, automatic));
    stage->automatic = automatic;
    stage->automatic_pattern = automatic->deepest;
    return THAW_OK;
}

/* ---- `lr: probe` ---------------------------------------------------------------------------- */

static bool is_probe_word(const thaw_yaml *node) {
    return node->kind == THAW_YAML_SCALAR && !strcmp(node->text, "probe");
}

bool thaw_config_is_probe(const thaw_yaml *node) {
    return is_probe_word(node) || thaw_yaml_get(node, "probe");
}

/* `probe` becomes {probe: [...], epochs: N} in the document, in place. */
static thaw_status expand_probe(struct thaw_config *config, int epochs, thaw_yaml *node) {
    if (is_probe_word(node)) {
        node->kind = THAW_YAML_MAPPING;
        node->text = NULL;
    }
    THAW_TRY(put(&config->arena, node, "probe", "[0.03x, 0.1x, 0.3x, 1x]"));
    return put(&config->arena, node, "epochs",
               thaw_arena_format(&config->arena, "%d", pilot_epochs(epochs, 1, 1)));
}

static int compare_rates(const void *a, const void *b) {
    double x = ((const struct thaw_lr *)a)->value, y = ((const struct thaw_lr *)b)->value;
    return (x > y) - (x < y);
}

thaw_status thaw_config_read_probe(struct thaw_config *config, const thaw_yaml *node, int epochs,
                                   struct thaw_lr_rule *rule) {
    static const char *const keys[] = {"probe", "epochs"};
    THAW_TRY(expand_probe(config, epochs, (thaw_yaml *)node));
    THAW_TRY(thaw_yaml_only(node, keys, COUNT(keys)));
    const thaw_yaml *list = thaw_yaml_get(node, "probe");
    THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, "a list of rates: [0.03x, 0.1x, 0.3x]"));
    if (list->count < 2)
        return thaw_yaml_fail(list, "a probe needs at least two rates to choose from");
    struct thaw_lr_probe *probe = thaw_arena_alloc(&config->arena, sizeof *probe);
    if (!probe ||
        !(probe->rates = thaw_arena_array(&config->arena, list->count, sizeof *probe->rates)))
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < list->count; i++) {
        THAW_TRY(thaw_config_read_lr(list->items[i], &probe->rates[i]));
        if (!(probe->rates[i].value > 0))
            return thaw_yaml_fail(list->items[i], "a rate to probe must be above 0");
        if (probe->rates[i].relative != probe->rates[0].relative)
            return thaw_yaml_fail(list->items[i],
                                  "a probe takes factors such as 0.1x or rates such as 0.001, not "
                                  "both");
    }
    probe->count = list->count;
    qsort(probe->rates, probe->count, sizeof *probe->rates, compare_rates);
    for (size_t i = 1; i < probe->count; i++)
        if (probe->rates[i].value == probe->rates[i - 1].value)
            return thaw_yaml_fail(list, "the rate %s is there twice", probe->rates[i].place->text);
    THAW_TRY(thaw_yaml_get_int(node, "epochs", 1, 100000, &probe->epochs));
    rule->probe = probe;
    rule->lr = probe->rates[probe->count - 1];
    return THAW_OK;
}
