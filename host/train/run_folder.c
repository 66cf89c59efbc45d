#include "train/run_folder.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"

thaw_status thaw_run_folder_init(const char *path, struct thaw_run_folder *ret_folder) {
    struct thaw_run_folder folder = {0};
    struct thaw_arena *arena = &folder.arena;
    folder.path = thaw_arena_copy(arena, path);
    const struct {
        const char **file, *name;
    } files[] = {
        {&folder.config, "config.yaml"},         {&folder.split, "split.csv"},
        {&folder.metrics, "metrics.jsonl"},      {&folder.model, "model.safetensors"},
        {&folder.last, "last.safetensors"},      {&folder.freeze, "freeze.json"},
        {&folder.choices, "auto.json"},          {&folder.device, "device.json"},
        {&folder.evaluation, "evaluation.json"}, {&folder.predictions, "predictions.csv"},
        {&folder.report, "report.html"},
    };
    bool complete = folder.path != NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        *files[i].file = thaw_path_join(arena, path, files[i].name);
        complete &= *files[i].file != NULL;
    }
    if (!complete) {
        thaw_arena_finish(arena);
        return THAW_ERROR_MEMORY;
    }
    *ret_folder = folder;
    return THAW_OK;
}

void thaw_run_folder_finish(struct thaw_run_folder *folder) {
    thaw_text_finish(&folder->lines);
    thaw_arena_finish(&folder->arena);
    *folder = (struct thaw_run_folder){0};
}

thaw_status thaw_run_folder_clean(const struct thaw_run_folder *folder) {
    DIR *directory = opendir(folder->path);
    if (!directory)
        return thaw_fail(THAW_ERROR_IO, "%s: can't be listed", folder->path);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strstr(entry->d_name, THAW_ATOMIC_PARTIAL))
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    return THAW_OK;
}

thaw_status thaw_run_folder_check(const struct thaw_run_folder *folder) {
    if (!thaw_path_exists(folder->config))
        return THAW_OK;
    thaw_fail(THAW_ERROR_INPUT, "%s: there is already a run in this folder", folder->path);
    return thaw_hint(THAW_ERROR_INPUT, "continue it with --resume, replace it with --overwrite, or "
                                       "give the experiment another `name`");
}

thaw_status thaw_run_folder_create(const struct thaw_run_folder *folder, bool overwrite) {
    const char *files[] = {folder->config,     folder->split,       folder->metrics, folder->model,
                           folder->last,       folder->freeze,      folder->choices, folder->device,
                           folder->evaluation, folder->predictions, folder->report};
    if (!overwrite)
        THAW_TRY(thaw_run_folder_check(folder));
    THAW_TRY(thaw_path_make_directories(folder->path));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (thaw_path_exists(files[i]) && unlink(files[i]))
            return thaw_fail(THAW_ERROR_IO, "%s: can't be removed", files[i]);
    return thaw_run_folder_clean(folder);
}

/* Whether the line is of an epoch before (stage, epoch). */
static bool is_before(const char *line, size_t length, int stage, int epoch) {
    json_t *object = json_loadb(line, length, 0, NULL);
    json_int_t line_stage = json_integer_value(json_object_get(object, "stage_index"));
    json_int_t line_epoch = json_integer_value(json_object_get(object, "epoch"));
    bool before = object && (line_stage < stage || (line_stage == stage && line_epoch <= epoch));
    json_decref(object);
    return before;
}

thaw_status thaw_run_folder_resume(struct thaw_run_folder *folder, int stage, int epoch) {
    struct thaw_map map;
    if (!thaw_path_exists(folder->metrics))
        return THAW_OK;
    THAW_TRY(thaw_map_open(folder->metrics, &map));
    const char *line = (const char *)map.bytes, *end = line + map.size_bytes;
    while (line && line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = newline ? (size_t)(newline - line) : (size_t)(end - line);
        if (is_before(line, length, stage, epoch)) {
            thaw_text_append_bytes(&folder->lines, line, length);
            thaw_text_append(&folder->lines, "\n");
        }
        line = newline ? newline + 1 : end;
    }
    thaw_map_close(&map);
    return folder->lines.failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory") : THAW_OK;
}

thaw_status thaw_run_folder_append(struct thaw_run_folder *folder, json_t *object) {
    char *text = object ? json_dumps(object, JSON_REAL_PRECISION(9)) : NULL;
    if (text)
        thaw_text_append(&folder->lines, "%s\n", text);
    bool failed = !text || folder->lines.failed;
    free(text);
    json_decref(object);
    if (failed)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory writing %s", folder->metrics);
    return thaw_file_write(folder->metrics, folder->lines.text, folder->lines.length);
}

thaw_status thaw_run_folder_write_json(const char *path, json_t *object) {
    char *text = json_dumps(object, JSON_INDENT(1));
    if (!text)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory writing %s", path);
    thaw_status status = thaw_file_write(path, text, strlen(text));
    free(text);
    return status;
}

thaw_status thaw_run_folder_write_device(const struct thaw_run_folder *folder,
                                         const struct thaw_device_info *info) {
    char started[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "thaw", THAW_VERSION, "started", started,
                  "device", info->name, "platform", info->platform, "driver", info->driver,
                  "version", info->version, "compute_units", (int)info->compute_units);
    if (!object)
        return thaw_fail(THAW_ERROR_RUNTIME, "%s: the device's name is not UTF-8", folder->device);
    thaw_status status = thaw_run_folder_write_json(folder->device, object);
    json_decref(object);
    return status;
}
