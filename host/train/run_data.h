/* The photos of a finished run, in the sets that it had. */
#ifndef THAW_TRAIN_RUN_DATA_H
#define THAW_TRAIN_RUN_DATA_H

#include "data/dataset.h"
#include "train/config.h"

struct thaw_run_data {
    struct thaw_arena arena;
    struct thaw_config config; /* as the run has resolved it */
    struct thaw_dataset_config data;
    struct thaw_dataset *dataset;
};

/* Lists the data of a run folder; `sets` ("key.path=value") change its config. THAW_ERROR_INPUT
 * when `run` is no folder, or when the photos are not those that the run had. */
thaw_status thaw_run_data_open(const char *run, const char *const *sets, size_t set_count,
                               struct thaw_run_data *ret_data);
void thaw_run_data_finish(struct thaw_run_data *data); /* accepts {0} */

#endif
