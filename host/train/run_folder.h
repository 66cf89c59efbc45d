/* The files of a run. Each appears whole or not at all. */
#ifndef THAW_TRAIN_RUN_FOLDER_H
#define THAW_TRAIN_RUN_FOLDER_H

#include <jansson.h>

#include "core/text.h"
#include "thaw/device.h"

struct thaw_run_folder {
    struct thaw_arena arena;
    const char *path;
    /* Files in it. The last line's are there once the run is complete: train/conclude.h. */
    const char *config, *split, *metrics, *model, *last, *freeze, *choices, *device;
    const char *evaluation, *predictions, *report;
    struct thaw_text lines; /* metrics.jsonl so far */
};

thaw_status thaw_run_folder_init(const char *path, struct thaw_run_folder *ret_folder);
void thaw_run_folder_finish(struct thaw_run_folder *folder);

/* Refuses an earlier run in the folder. */
thaw_status thaw_run_folder_check(const struct thaw_run_folder *folder);
/* Makes the folder; an earlier run in it is refused, or with `overwrite` its files are removed. */
thaw_status thaw_run_folder_create(const struct thaw_run_folder *folder, bool overwrite);

/* Removes unfinished files that a killed process has left. */
thaw_status thaw_run_folder_clean(const struct thaw_run_folder *folder);

/* Reads metrics.jsonl back and drops what the checkpoint at (stage, epoch) does not know of. */
thaw_status thaw_run_folder_resume(struct thaw_run_folder *folder, int stage, int epoch);

/* Adds an object to metrics.jsonl; steals the reference. */
thaw_status thaw_run_folder_append(struct thaw_run_folder *folder, json_t *object);
thaw_status thaw_run_folder_write_json(const char *path, json_t *object);
/* device.json: where and with what the run began. */
thaw_status thaw_run_folder_write_device(const struct thaw_run_folder *folder,
                                         const struct thaw_device_info *info);

#endif
