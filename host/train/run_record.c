#include "train/run_record.h"

#include <string.h>

/* Lines of metrics.jsonl; what is no JSON ends the list. */
static thaw_status read_epochs(struct thaw_run_record *r) {
    struct thaw_map map;
    r->epochs = json_array();
    THAW_TRY(thaw_map_open(r->folder.metrics, &map));
    const char *line = (const char *)map.bytes, *end = line + map.size_bytes;
    while (line && line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = newline ? (size_t)(newline - line) : (size_t)(end - line);
        json_t *object = json_loadb(line, length, 0, NULL);
        if (!object)
            break;
        json_array_append_new(r->epochs, object);
        line = newline ? newline + 1 : end;
    }
    thaw_map_close(&map);
    for (size_t i = 0; i < json_array_size(r->epochs); i++) {
        const json_t *epoch = json_array_get(r->epochs, i);
        if (json_is_true(json_object_get(epoch, "kept")))
            r->kept = epoch;
        r->elapsed_s = json_number_value(json_object_get(epoch, "elapsed_s"));
    }
    return THAW_OK;
}

static thaw_status read_config(struct thaw_run_record *r) {
    size_t metric = THAW_METRIC_TOP1;
    THAW_TRY(thaw_yaml_load(&r->arena, r->folder.config, &r->config));
    const thaw_yaml *node = thaw_yaml_get(r->config, "metric");
    if (node)
        THAW_TRY(thaw_yaml_choice(node, thaw_metric_names, THAW_METRIC_COUNT, &metric));
    r->metric = (enum thaw_metric)metric;
    return THAW_OK;
}

static thaw_status open_all(struct thaw_run_record *r, const char *path) {
    if (!thaw_path_is_directory(path))
        return thaw_fail(THAW_ERROR_INPUT, "%s: is no run folder", path);
    char *copy = thaw_arena_copy(&r->arena, path);
    if (!copy)
        return THAW_ERROR_MEMORY;
    for (size_t length = strlen(copy); length > 1 && copy[length - 1] == '/'; length--)
        copy[length - 1] = '\0';
    const char *slash = strrchr(copy, '/');
    r->name = slash && slash[1] ? slash + 1 : copy;
    THAW_TRY(thaw_run_folder_init(copy, &r->folder));
    if (!thaw_path_exists(r->folder.config))
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "%s: is no run folder", path),
                         "give the folder that thaw train wrote");
    if (!thaw_path_exists(r->folder.model))
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "%s: the run has kept no weights yet", path),
                         "continue it with thaw train --resume");
    THAW_TRY(read_config(r));
    THAW_TRY(read_epochs(r));
    THAW_TRY(thaw_weights_open(r->folder.model, &r->weights));
    THAW_TRY(thaw_model_info_read(&r->arena, &r->weights, r->folder.model, &r->info));
    r->freeze = json_load_file(r->folder.freeze, 0, NULL);
    r->device = json_load_file(r->folder.device, 0, NULL);
    r->evaluation = json_load_file(r->folder.evaluation, 0, NULL);
    return THAW_OK;
}

thaw_status thaw_run_record_open(const char *path, struct thaw_run_record *ret_record) {
    struct thaw_run_record record = {0};
    thaw_status status = open_all(&record, path);
    if (status != THAW_OK)
        thaw_run_record_finish(&record);
    else
        *ret_record = record;
    return status;
}

void thaw_run_record_finish(struct thaw_run_record *record) {
    json_decref(record->epochs);
    json_decref(record->freeze);
    json_decref(record->device);
    json_decref(record->evaluation);
    thaw_weights_finish(&record->weights);
    thaw_run_folder_finish(&record->folder);
    thaw_arena_finish(&record->arena);
    *record = (struct thaw_run_record){0};
}

bool thaw_run_record_metrics(struct thaw_run_record *record, const char *part,
                             struct thaw_metrics *ret_metrics) {
    const json_t *object = json_object_get(record->evaluation, part);
    const json_t *rows = json_object_get(object, "confusion");
    if (!object && !strcmp(part, "val")) {
        object = json_object_get(record->kept, "val");
        rows = json_object_get(record->kept, "confusion");
    }
    struct thaw_metrics metrics;
    if (!object ||
        thaw_metrics_init(&record->arena, (int)record->info.class_count, &metrics) != THAW_OK ||
        !thaw_metrics_from_confusion(&metrics, rows))
        return false;
    metrics.loss = json_number_value(json_object_get(object, "loss"));
    *ret_metrics = metrics;
    return true;
}
