#include "train/conclude.h"

#include <string.h>

#include "core/file.h"
#include "core/text.h"
#include "data/csv.h"
#include "train/evaluate_run.h"
#include "train/report.h"
#include "train/run_data.h"
#include "train/run_folder.h"

static json_t *evaluation_json(const struct thaw_metrics *m) {
    json_t *object =
        json_pack("{s:I, s:f, s:f, s:f, s:f}", "photos", (json_int_t)m->count, "loss", m->loss,
                  "top1", m->top1, "balanced", m->balanced, "macro_f1", m->macro_f1);
    json_object_set_new(object, "confusion", thaw_metrics_confusion_json(m));
    return object;
}

static void append_photos(const struct thaw_evaluation *e, struct thaw_text *text) {
    const char **classes = e->model.info.classes;
    for (uint64_t i = 0; i < e->metrics.count; i++) {
        const struct thaw_evaluated_photo *photo = &e->photos[i];
        const char *fields[] = {e->set, photo->path, classes[photo->label],
                                classes[photo->predicted]};
        for (size_t f = 0; f < 4; f++) {
            thaw_csv_append_field(text, fields[f]);
            thaw_text_append(text, ",");
        }
        thaw_text_append(text, "%.6f\n", (double)photo->probability);
    }
}

/* Adds what the kept weights give on a part. */
static thaw_status evaluate_part(thaw_device *device, const struct thaw_evaluation_options *options,
                                 json_t *root, struct thaw_text *rows) {
    struct thaw_evaluation e = {0};
    THAW_TRY(thaw_evaluate_run(device, options, &e));
    json_object_set_new(root, e.set, evaluation_json(&e.metrics));
    append_photos(&e, rows);
    thaw_evaluation_finish(&e);
    return THAW_OK;
}

static thaw_status write_all(const struct thaw_run_folder *folder, json_t *root,
                             const struct thaw_text *rows) {
    if (rows->failed)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    THAW_TRY(thaw_file_write(folder->predictions, rows->text, rows->length));
    return thaw_run_folder_write_json(folder->evaluation, root);
}

/* The photos in each part of the run's data. */
static thaw_status count_photos(const char *run, size_t counts[THAW_SET_COUNT]) {
    struct thaw_run_data data = {0};
    THAW_TRY(thaw_run_data_open(run, NULL, 0, &data));
    memcpy(counts, data.dataset->set_counts, THAW_SET_COUNT * sizeof *counts);
    thaw_run_data_finish(&data);
    return THAW_OK;
}

static thaw_status conclude(const struct thaw_run_folder *folder, thaw_device *device,
                            struct thaw_evaluation_options *options) {
    size_t counts[THAW_SET_COUNT] = {0};
    struct thaw_text rows = {0};
    json_t *root = json_object();
    thaw_text_append(&rows, "set,path,label,predicted,probability\n");
    thaw_status status = count_photos(folder->path, counts);
    for (int part = THAW_SET_VAL; part <= THAW_SET_TEST && status == THAW_OK; part++) {
        options->part = (enum thaw_set)part;
        if (counts[part])
            status = evaluate_part(device, options, root, &rows);
    }
    if (status == THAW_OK)
        status = write_all(folder, root, &rows);
    json_decref(root);
    thaw_text_finish(&rows);
    return status;
}

thaw_status thaw_train_and_conclude(const struct thaw_config *config, thaw_device *device,
                                    const struct thaw_train_options *options,
                                    const struct thaw_train_events *events) {
    struct thaw_arena arena = {0};
    struct thaw_run_folder folder = {0};
    char *path = thaw_train_folder(&arena, config);
    thaw_status status = path ? thaw_run_folder_init(path, &folder) : THAW_ERROR_MEMORY;
    if (status == THAW_OK)
        status = thaw_train(config, device, options, events);
    if (status == THAW_OK && thaw_path_exists(folder.model)) {
        struct thaw_evaluation_options evaluation_options = {.run = path,
                                                             .batch = config->stages[0].batch,
                                                             .list_photos = true,
                                                             .interrupted = events->interrupted,
                                                             .on_working = events->on_working,
                                                             .user = events->user};
        status = conclude(&folder, device, &evaluation_options);
        if (status == THAW_OK)
            status = thaw_report_write(path);
    }
    thaw_run_folder_finish(&folder);
    thaw_arena_finish(&arena);
    return status;
}
