#include "train/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "train/checkpoint.h"
#include "train/conclude.h"
#include "train/plan.h"
#include "train/run_folder.h"
#include "train/run_record.h"

/* ---- devices -------------------------------------------------------------------------------- */

/* One device at a time; opened again when an experiment asks for another block or limit. */
struct device_slot {
    const char *spec;
    thaw_device *device;
    struct thaw_device_options options;
};

static thaw_status slot_open(struct device_slot *slot, const struct thaw_config *config) {
    struct thaw_device_options options = {.block = config->block,
                                          .memory_bytes = config->memory_bytes};
    if (slot->device && slot->options.block == options.block &&
        slot->options.memory_bytes == options.memory_bytes)
        return THAW_OK;
    thaw_device_destroy(&slot->device);
    slot->options = options;
    return thaw_device_open(slot->spec, &options, &slot->device);
}

/* ---- before the first one ------------------------------------------------------------------- */

/* Whether the folder's checkpoint is that of the finished experiment; an error when it is of
 * another. */
static thaw_status read_progress(const struct thaw_run_folder *folder,
                                 const struct thaw_config *config, bool *ret_complete) {
    struct thaw_checkpoint *checkpoint = NULL;
    struct thaw_train_state state;
    struct thaw_text text = {0};
    json_t *freeze = NULL, *choices = NULL;
    *ret_complete = false;
    if (!thaw_path_exists(folder->last))
        return THAW_OK;
    THAW_TRY(thaw_checkpoint_open(folder->last, &checkpoint));
    thaw_yaml_emit(config->document, &text);
    thaw_status status = text.failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory") : THAW_OK;
    if (status == THAW_OK)
        status = thaw_config_compare(thaw_checkpoint_config(checkpoint), text.text, folder->last);
    if (status == THAW_OK)
        status = thaw_checkpoint_state(checkpoint, &state, &freeze, &choices);
    if (status == THAW_OK)
        *ret_complete = state.stage >= (int)config->stage_count;
    json_decref(freeze);
    json_decref(choices);
    thaw_text_finish(&text);
    thaw_checkpoint_close(&checkpoint);
    return status;
}

static thaw_status check_folder(struct thaw_compared *c, const struct thaw_train_options *options) {
    struct thaw_run_folder folder;
    bool complete = false;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_run_folder_init(c->folder, &folder));
    if (options->resume) {
        status = read_progress(&folder, &c->run->config, &complete);
        c->skipped = complete && thaw_path_exists(folder.evaluation);
    } else if (!options->overwrite) {
        status = thaw_run_folder_check(&folder);
    }
    thaw_run_folder_finish(&folder);
    return status;
}

/* The checks of thaw plan, and the figures of the table that come from it. */
static thaw_status check_experiment(struct thaw_compared *c, thaw_device *device) {
    struct thaw_experiment experiment = {0};
    struct thaw_plan plan = {0};
    THAW_TRY(thaw_experiment_open(&c->run->config, device, &experiment));
    thaw_status status = thaw_plan_make(&experiment, &plan);
    for (size_t s = 0; s < plan.stage_count; s++)
        if (plan.stages[s].cache_bytes > c->cache_bytes)
            c->cache_bytes = plan.stages[s].cache_bytes;
    for (size_t i = 0; status == THAW_OK && i < experiment.graph->param_count; i++) {
        bool trained = false;
        for (size_t s = 0; s < plan.stage_count; s++)
            trained |= plan.stages[s].tensors[i].trained && plan.stages[s].session.stage->epochs;
        if (trained)
            c->trained_values += thaw_param_count_values(&experiment.graph->params[i]);
    }
    thaw_plan_finish(&plan);
    thaw_experiment_finish(&experiment);
    return status;
}

static thaw_status check_all(struct thaw_comparison *comparison, struct device_slot *slot,
                             const struct thaw_compare_options *options,
                             const struct thaw_compare_events *events) {
    for (size_t i = 0; i < comparison->count; i++) {
        struct thaw_compared *c = &comparison->runs[i];
        const struct thaw_config *config = &c->run->config;
        if (events->on_check)
            events->on_check(events->user, config, i + 1, comparison->count);
        THAW_TRY(check_folder(c, &options->train));
        THAW_TRY(slot_open(slot, config));
        THAW_TRY(thaw_context(check_experiment(c, slot->device), "%s", config->name));
        if (events->train.interrupted && *events->train.interrupted)
            return thaw_fail(THAW_INTERRUPTED, "nothing was trained yet");
    }
    return THAW_OK;
}

/* ---- running -------------------------------------------------------------------------------- */

static void read_values(const struct thaw_metrics *metrics, double values[THAW_METRIC_COUNT]) {
    for (int m = 0; m < THAW_METRIC_COUNT; m++)
        values[m] = thaw_metrics_value(metrics, (enum thaw_metric)m);
}

static thaw_status read_result(struct thaw_compared *c) {
    struct thaw_run_record record;
    struct thaw_metrics metrics;
    THAW_TRY(thaw_run_record_open(c->folder, &record));
    c->time_s = record.elapsed_s;
    c->has_val = thaw_run_record_metrics(&record, "val", &metrics);
    if (c->has_val)
        read_values(&metrics, c->val);
    c->has_test = thaw_run_record_metrics(&record, "test", &metrics);
    if (c->has_test)
        read_values(&metrics, c->test);
    c->complete = true;
    thaw_run_record_finish(&record);
    return THAW_OK;
}

static thaw_status run_one(struct thaw_compared *c, struct device_slot *slot,
                           const struct thaw_compare_options *options,
                           const struct thaw_compare_events *events) {
    const struct thaw_config *config = &c->run->config;
    if (!c->skipped) {
        THAW_TRY(slot_open(slot, config));
        THAW_TRY(thaw_train_and_conclude(config, slot->device, &options->train, &events->train));
    }
    return read_result(c);
}

static thaw_status run_all(struct thaw_comparison *comparison, struct device_slot *slot,
                           const struct thaw_compare_options *options,
                           const struct thaw_compare_events *events) {
    for (size_t i = 0; i < comparison->count; i++) {
        struct thaw_compared *c = &comparison->runs[i];
        const struct thaw_config *config = &c->run->config;
        if (events->on_begin)
            events->on_begin(events->user, config, i + 1, comparison->count, c->skipped);
        thaw_status status = run_one(c, slot, options, events);
        if (status == THAW_OK)
            continue;
        if (status == THAW_INTERRUPTED)
            return thaw_hint(status, "%zu of %zu experiments are done; --resume continues", i,
                             comparison->count);
        comparison->failures++;
        c->error = thaw_arena_copy(&comparison->arena, thaw_error_message());
        if (!c->error)
            return THAW_ERROR_MEMORY;
        if (events->on_failure)
            events->on_failure(events->user, config, c->error);
    }
    return THAW_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static thaw_status make_rows(struct thaw_comparison *comparison) {
    struct thaw_arena *arena = &comparison->arena;
    size_t count = comparison->count;
    comparison->rows = thaw_arena_array(arena, count, sizeof *comparison->rows);
    if (!comparison->rows)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct thaw_sweep_run *run = comparison->runs[i].run;
        size_t r = 0;
        while (r < comparison->row_count &&
               comparison->runs[comparison->rows[r].members[0]].run->group != run->group)
            r++;
        struct thaw_compared_row *row = &comparison->rows[r];
        if (r == comparison->row_count) {
            row->name = run->row;
            row->members = thaw_arena_array(arena, count, sizeof *row->members);
            if (!row->members)
                return THAW_ERROR_MEMORY;
            comparison->row_count++;
        }
        row->members[row->count++] = i;
    }
    return THAW_OK;
}

bool thaw_compared_val(const struct thaw_compared *run, int which, double *ret_value) {
    *ret_value = run->val[which];
    return run->has_val;
}

bool thaw_compared_test(const struct thaw_compared *run, int which, double *ret_value) {
    *ret_value = run->test[which];
    return run->has_test;
}

bool thaw_compared_time(const struct thaw_compared *run, int which, double *ret_value) {
    (void)which;
    *ret_value = run->time_s;
    return true;
}

struct thaw_estimate thaw_compared_estimate(const struct thaw_comparison *comparison,
                                            const struct thaw_compared_row *row,
                                            thaw_compared_value *value, int which) {
    struct thaw_estimate e = {0};
    double squares = 0, x;
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0;
        e.count = 0;
        for (size_t i = 0; i < row->count; i++) {
            const struct thaw_compared *run = &comparison->runs[row->members[i]];
            if (!run->complete || !value(run, which, &x))
                continue;
            sum += x;
            squares += pass ? (x - e.mean) * (x - e.mean) : 0;
            e.count++;
        }
        if (!pass && e.count)
            e.mean = sum / (double)e.count;
    }
    if (e.count > 1)
        e.error = sqrt(squares / (double)(e.count - 1) / (double)e.count);
    return e;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static thaw_status write_files(const struct thaw_comparison *comparison) {
    struct thaw_arena arena = {0};
    struct thaw_text table = {0};
    json_t *root = thaw_comparison_json(comparison);
    thaw_comparison_table(comparison, &table);
    char *json = thaw_path_join(&arena, comparison->folder, "comparison.json");
    char *markdown = thaw_path_join(&arena, comparison->folder, "comparison.md");
    thaw_status status = root && json && markdown && !table.failed
                             ? THAW_OK
                             : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (status == THAW_OK)
        status = thaw_path_make_directories(comparison->folder);
    if (status == THAW_OK)
        status = thaw_run_folder_write_json(json, root);
    if (status == THAW_OK)
        status = thaw_file_write(markdown, table.text, table.length);
    json_decref(root);
    thaw_text_finish(&table);
    thaw_arena_finish(&arena);
    return status;
}

static thaw_status set_up(struct thaw_comparison *comparison) {
    const struct thaw_sweep *sweep = comparison->sweep;
    struct thaw_arena *arena = &comparison->arena;
    comparison->folder = thaw_path_join(arena, sweep->output, sweep->name);
    comparison->runs = thaw_arena_array(arena, sweep->count, sizeof *comparison->runs);
    if (!comparison->folder || !comparison->runs)
        return THAW_ERROR_MEMORY;
    comparison->count = sweep->count;
    for (size_t i = 0; i < sweep->count; i++) {
        struct thaw_compared *c = &comparison->runs[i];
        c->run = &sweep->runs[i];
        c->folder = thaw_train_folder(arena, &c->run->config);
        if (!c->folder)
            return THAW_ERROR_MEMORY;
    }
    return make_rows(comparison);
}

thaw_status thaw_compare(const struct thaw_sweep *sweep, const struct thaw_compare_options *options,
                         const struct thaw_compare_events *events,
                         struct thaw_comparison *ret_comparison) {
    struct thaw_comparison comparison = {.sweep = sweep};
    struct device_slot slot = {.spec = options->device};
    thaw_status status = set_up(&comparison);
    if (status == THAW_OK)
        status = check_all(&comparison, &slot, options, events);
    if (status == THAW_OK)
        status = run_all(&comparison, &slot, options, events);
    thaw_device_destroy(&slot.device);
    if (status == THAW_OK)
        status = write_files(&comparison);
    if (status != THAW_OK)
        thaw_comparison_finish(&comparison);
    else
        *ret_comparison = comparison;
    return status;
}

void thaw_comparison_finish(struct thaw_comparison *comparison) {
    thaw_arena_finish(&comparison->arena);
    *comparison = (struct thaw_comparison){0};
}
