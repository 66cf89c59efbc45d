#include "train/run_data.h"

#include "core/file.h"

static thaw_status open_all(struct thaw_run_data *data, const char *run, const char *const *sets,
                            size_t set_count) {
    if (!thaw_path_is_directory(run))
        return thaw_fail(THAW_ERROR_INPUT, "%s: is no run folder", run);
    char *file = thaw_path_join(&data->arena, run, "config.yaml");
    char *split = thaw_path_join(&data->arena, run, "split.csv");
    if (!file || !split)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_config_load(file, sets, set_count, &data->config));
    THAW_TRY(thaw_dataset_config_parse(&data->arena, data->config.data, &data->data));
    THAW_TRY(thaw_dataset_open(&data->data, &data->dataset));
    return thaw_dataset_read_split(data->dataset, split);
}

thaw_status thaw_run_data_open(const char *run, const char *const *sets, size_t set_count,
                               struct thaw_run_data *ret_data) {
    struct thaw_run_data data = {0};
    thaw_status status = open_all(&data, run, sets, set_count);
    if (status != THAW_OK)
        thaw_run_data_finish(&data);
    else
        *ret_data = data;
    return status;
}

void thaw_run_data_finish(struct thaw_run_data *data) {
    thaw_dataset_destroy(&data->dataset);
    thaw_config_finish(&data->config);
    thaw_arena_finish(&data->arena);
    *data = (struct thaw_run_data){0};
}
