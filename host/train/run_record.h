/* What a run folder says about its run, read from its files alone: no device, no photos. */
#ifndef THAW_TRAIN_RUN_RECORD_H
#define THAW_TRAIN_RUN_RECORD_H

#include "io/weights.h"
#include "train/metrics.h"
#include "train/model.h"
#include "train/run_folder.h"

struct thaw_run_record {
    struct thaw_arena arena;
    struct thaw_run_folder folder;
    const char *name;            /* the folder's last part */
    thaw_yaml *config;           /* config.yaml */
    enum thaw_metric metric;     /* which the kept epoch is best in */
    json_t *epochs;              /* the objects of metrics.jsonl */
    const json_t *kept;          /* of them, the one whose weights were kept; NULL: none yet */
    double elapsed_s;            /* until the last epoch */
    struct thaw_weights weights; /* model.safetensors */
    struct thaw_model_info info; /* classes and reference rate */
    json_t *freeze, *device, *evaluation; /* NULL where the file is missing or damaged */
};

/* THAW_ERROR_INPUT when `path` is no run folder, or holds no kept weights yet. */
thaw_status thaw_run_record_open(const char *path, struct thaw_run_record *ret_record);
void thaw_run_record_finish(struct thaw_run_record *record); /* accepts {0} */

/* The kept weights' metrics on a part, "val" or "test", from evaluation.json; of `val`, else from
 * metrics.jsonl. False when the run has none. Memory is of the record. */
bool thaw_run_record_metrics(struct thaw_run_record *record, const char *part,
                             struct thaw_metrics *ret_metrics);

#endif
