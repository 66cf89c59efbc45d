#include "train/freeze.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

void thaw_freeze_hash(const float *values, size_t count, char ret_hash[THAW_FREEZE_HASH_SIZE]) {
    snprintf(ret_hash, THAW_FREEZE_HASH_SIZE, "%016" PRIx64,
             thaw_hash64(values, count * sizeof *values, 0));
}

/* `buffer` holds the parameter's values: its own, or a copy. */
static thaw_status hash_param(const struct thaw_graph *graph, const struct thaw_param *param,
                              cl_mem buffer, char ret_hash[THAW_FREEZE_HASH_SIZE]) {
    size_t count = thaw_param_count_values(param);
    float *values = malloc(count * sizeof *values);
    if (!values)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory hashing %s", param->name);
    thaw_status status = thaw_filter_read(graph->device, &param->spec->filter, buffer, values);
    if (status == THAW_OK)
        thaw_freeze_hash(values, count, ret_hash);
    free(values);
    return status;
}

/* A statistic moves with its layer's batch statistics, anything else with its gradient. */
static bool may_change(const struct thaw_graph *graph, const struct thaw_param *param) {
    if (param->spec->kind == THAW_PARAM_STATISTIC)
        return graph->nodes[param->node].batch_statistics;
    return param->trainable;
}

thaw_status thaw_freeze_loaded(json_t *record, const char *file, const char *file_hash,
                               const struct thaw_load_report *report) {
    json_t *tensors = json_object();
    for (size_t i = 0; i < report->loaded.count; i++) {
        const struct thaw_load_entry *entry = &report->loaded.items[i];
        json_object_set_new(tensors, entry->wanted->name, json_string(entry->weight->name));
    }
    json_t *loaded =
        json_pack("{s:s, s:s, s:o}", "file", file, "hash", file_hash, "tensors", tensors);
    if (!loaded || json_object_set_new(record, "loaded", loaded))
        return thaw_fail(THAW_ERROR_INPUT, "%s: its name or a tensor's is not UTF-8 text", file);
    return THAW_OK;
}

thaw_status thaw_freeze_begin(json_t *record, const struct thaw_graph *graph, const char *stage) {
    json_t *stages = json_object_get(record, "stages");
    if (!stages) {
        stages = json_array();
        json_object_set_new(record, "stages", stages);
    }
    json_t *tensors = json_object();
    json_array_append_new(stages, json_pack("{s:s, s:o}", "stage", stage, "tensors", tensors));
    for (size_t i = 0; i < graph->param_count; i++) {
        char hash[THAW_FREEZE_HASH_SIZE];
        THAW_TRY(hash_param(graph, &graph->params[i], graph->params[i].value, hash));
        json_object_set_new(tensors, graph->params[i].name,
                            json_pack("{s:b, s:s}", "trained", may_change(graph, &graph->params[i]),
                                      "before", hash));
    }
    return THAW_OK;
}

thaw_status thaw_freeze_end(json_t *record, const struct thaw_graph *graph) {
    json_t *stages = json_object_get(record, "stages");
    json_t *stage = json_array_get(stages, json_array_size(stages) - 1);
    json_t *tensors = json_object_get(stage, "tensors");
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        json_t *entry = json_object_get(tensors, param->name);
        const char *before = json_string_value(json_object_get(entry, "before"));
        char hash[THAW_FREEZE_HASH_SIZE];
        THAW_TRY(hash_param(graph, param, param->value, hash));
        json_object_set_new(entry, "after", json_string(hash));
        if (!may_change(graph, param) && (!before || strcmp(before, hash) != 0))
            return thaw_fail(THAW_ERROR_RUNTIME, "%s is frozen but its values changed",
                             param->name);
    }
    return THAW_OK;
}

thaw_status thaw_freeze_kept(json_t *record, const struct thaw_graph *graph, cl_mem const *instead,
                             int stage, int epoch) {
    json_t *tensors = json_object();
    json_object_set_new(record, "kept",
                        json_pack("{s:i, s:i, s:o}", "stage", stage, "epoch", epoch, "tensors",
                                  tensors)); /* owned by the record from here on */
    for (size_t i = 0; i < graph->param_count; i++) {
        char hash[THAW_FREEZE_HASH_SIZE];
        cl_mem buffer = instead && instead[i] ? instead[i] : graph->params[i].value;
        THAW_TRY(hash_param(graph, &graph->params[i], buffer, hash));
        json_object_set_new(tensors, graph->params[i].name, json_string(hash));
    }
    return THAW_OK;
}
