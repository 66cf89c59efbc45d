/* A stage that is written once and run in parts: `unfreeze` and `repeat`. */
#include <string.h>

#include "train/config_internal.h"
#include "train/stage.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define EPOCHS_MAX 1000000
#define PARTS_MAX 1000

/* What `unfreeze` says, in stages of the model from the head down. */
struct ladder {
    int from, step, every;
};

/* ---- the model ------------------------------------------------------------------------------ */

/* The graph for its names alone: no device, whatever number of classes. */
static thaw_status build_names(const struct thaw_config *config, struct thaw_graph **ret_graph) {
    struct thaw_device_caps caps = {.type = THAW_DEVICE_CPU,
                                    .is_cpu = true,
                                    .block = 1,
                                    .compute_units = 1,
                                    .max_work_group_size = 1,
                                    .base_align_bytes = 128};
    struct thaw_graph_options options = {
        .caps = &caps, .size = config->size, .classes = 2, .head = config->head};
    return thaw_graph_build(config->graph, &options, ret_graph);
}

/* How many tensors of the stage lie at most `open` stages below the head. */
static size_t count_open(const struct thaw_graph *graph, const bool *marks, int open) {
    size_t count = 0;
    for (size_t i = 0; i < graph->param_count; i++)
        count += marks[i] && graph->params[i].spec->kind != THAW_PARAM_STATISTIC &&
                 thaw_stage_distance(graph, graph->params[i].node) <= open;
    return count;
}

/* ---- unfreeze ------------------------------------------------------------------------------- */

/* `head`, or the name of a stage of the model. */
static thaw_status read_from(const struct thaw_graph *graph, const thaw_yaml *node, int *ret_from) {
    size_t count = graph->stage_count + 1, index = graph->stage_count;
    const char **names = thaw_arena_array((struct thaw_arena *)&graph->arena, count, sizeof *names);
    if (!names)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->stage_count; i++)
        names[i] = graph->stages[i].name;
    names[graph->stage_count] = "head";
    if (node)
        THAW_TRY(thaw_yaml_choice(node, names, count, &index));
    *ret_from = (int)(graph->stage_count - index);
    return THAW_OK;
}

static thaw_status read_ladder(const struct thaw_graph *graph, const thaw_yaml *map,
                               struct ladder *ret_ladder) {
    static const char *const keys[] = {"from", "every", "step"};
    struct ladder ladder = {.step = 1, .every = 1};
    THAW_TRY(thaw_yaml_only(map, keys, COUNT(keys)));
    if (!graph->stage_count)
        return thaw_yaml_fail(
            map, "`unfreeze` goes by the model's stages, but %s lists no `stages`", graph->name);
    THAW_TRY(thaw_yaml_get_int(map, "every", 1, EPOCHS_MAX, &ladder.every));
    THAW_TRY(thaw_yaml_get_int(map, "step", 1, 1000, &ladder.step));
    THAW_TRY(read_from(graph, thaw_yaml_get(map, "from"), &ladder.from));
    *ret_ladder = ladder;
    return THAW_OK;
}

/* Phases as they thaw something, each to `open[phase]`. */
static thaw_status find_phases(const struct thaw_graph *graph, const struct thaw_stage *written,
                               const thaw_yaml *map, const struct ladder *ladder, int *open,
                               size_t *ret_count) {
    bool *marks =
        thaw_arena_array((struct thaw_arena *)&graph->arena, graph->param_count + 1, sizeof *marks);
    size_t before = 0, count = 0;
    if (!marks)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < written->patterns->count; i++) {
        const char *pattern;
        THAW_TRY(thaw_yaml_string(written->patterns->items[i], &pattern));
        THAW_TRY(thaw_graph_match(graph, written->patterns->items[i], pattern, marks));
    }
    int last = (int)graph->stage_count + ladder->step;
    for (int level = ladder->from; level < last && count < PARTS_MAX; level += ladder->step) {
        size_t tensors = count_open(graph, marks, level);
        if (!tensors)
            return thaw_hint(thaw_yaml_fail(map,
                                            "nothing that stage '%s' trains lies where "
                                            "`unfreeze` starts",
                                            written->name),
                             "add it to `train`, such as train: [all], or start lower with `from`");
        if (tensors > before)
            open[count++] = level;
        before = tensors;
    }
    *ret_count = count;
    return THAW_OK;
}

static thaw_status expand_unfreeze(struct thaw_config *config, const struct thaw_graph *graph,
                                   const struct thaw_stage *written, const thaw_yaml *map,
                                   struct thaw_stage **ret_parts, size_t *ret_count) {
    struct ladder ladder = {0};
    size_t count = 0;
    THAW_TRY(read_ladder(graph, map, &ladder));
    int *open = thaw_arena_array(&config->arena, graph->stage_count + 2, sizeof *open);
    if (!open)
        return THAW_ERROR_MEMORY;
    THAW_TRY(find_phases(graph, written, map, &ladder, open, &count));
    int before = ladder.every * (int)(count - 1);
    if (written->epochs <= before)
        return thaw_hint(
            thaw_yaml_fail(map,
                           "stage '%s' thaws in %zu phases of %d epochs, which needs at least %d "
                           "epochs, not %d",
                           written->name, count, ladder.every, before + 1, written->epochs),
            "more `epochs`, a larger `step`, or less in `train`");
    struct thaw_stage *parts = thaw_arena_array(&config->arena, count, sizeof *parts);
    if (!parts)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        parts[i] = *written;
        parts[i].phase = true;
        parts[i].open = open[i];
        parts[i].first_epoch = ladder.every * (int)i;
        parts[i].epochs = i + 1 < count ? ladder.every : written->epochs - before;
    }
    *ret_parts = parts;
    *ret_count = count;
    return THAW_OK;
}

/* ---- repeat --------------------------------------------------------------------------------- */

static thaw_status expand_repeat(struct thaw_config *config, const struct thaw_stage *written,
                                 const thaw_yaml *node, struct thaw_stage **ret_parts,
                                 size_t *ret_count) {
    int64_t count = 1;
    THAW_TRY(thaw_yaml_int(node, 1, PARTS_MAX, &count));
    struct thaw_stage *parts = thaw_arena_array(&config->arena, (size_t)count, sizeof *parts);
    if (!parts)
        return THAW_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        parts[i] = *written;
    *ret_parts = parts;
    *ret_count = (size_t)count;
    return THAW_OK;
}

/* ---- both ----------------------------------------------------------------------------------- */

/* Parts must be the same whenever the stage begins. */
static thaw_status check_choices(const struct thaw_stage *written, const thaw_yaml *place,
                                 const char *key) {
    bool probes = false;
    for (size_t i = 0; i < written->lr_rule_count; i++)
        probes |= written->lr_rules[i].probe != NULL;
    if (!written->automatic && !probes)
        return THAW_OK;
    return thaw_hint(thaw_yaml_fail(place, "stage '%s' has `%s`, which does not go with %s",
                                    written->name, key,
                                    written->automatic ? "`auto` in `train`" : "lr: probe"),
                     "write out what was chosen: it is in auto.json of a run");
}

/* "tune.1", "tune.2", ... */
static thaw_status name_parts(struct thaw_config *config, const struct thaw_stage *written,
                              struct thaw_stage *parts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        parts[i].written = written->name;
        parts[i].name = thaw_arena_format(&config->arena, "%s.%zu", written->name, i + 1);
        parts[i].continues = i > 0;
        if (!parts[i].name)
            return THAW_ERROR_MEMORY;
    }
    return THAW_OK;
}

thaw_status thaw_config_expand_stage(struct thaw_config *config, const struct thaw_stage *written,
                                     struct thaw_stage **ret_parts, size_t *ret_count) {
    const thaw_yaml *unfreeze = thaw_yaml_get(written->place, "unfreeze");
    const thaw_yaml *repeat = thaw_yaml_get(written->place, "repeat");
    struct thaw_stage *parts = NULL;
    size_t count = 0;
    if (unfreeze && repeat)
        return thaw_yaml_fail(repeat, "stage '%s' has `unfreeze`, too: one of them", written->name);
    if (!unfreeze && !repeat) {
        parts = thaw_arena_array(&config->arena, 1, sizeof *parts);
        if (!parts)
            return THAW_ERROR_MEMORY;
        *parts = *written;
        *ret_parts = parts;
        *ret_count = 1;
        return THAW_OK;
    }
    THAW_TRY(check_choices(written, repeat ? repeat : unfreeze, repeat ? "repeat" : "unfreeze"));
    if (repeat) {
        THAW_TRY(expand_repeat(config, written, repeat, &parts, &count));
    } else {
        struct thaw_graph *graph = NULL;
        THAW_TRY(build_names(config, &graph));
        thaw_status status = expand_unfreeze(config, graph, written, unfreeze, &parts, &count);
        thaw_graph_destroy(&graph);
        THAW_TRY(status);
    }
    THAW_TRY(name_parts(config, written, parts, count));
    *ret_parts = parts;
    *ret_count = count;
    return THAW_OK;
}
