#include "train/model.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/safetensors.h"

/* ---- loading -------------------------------------------------------------------------------- */

static thaw_status pattern_list(struct thaw_arena *arena, const thaw_yaml *sequence,
                                struct thaw_load_patterns *ret_patterns) {
    size_t count = sequence ? sequence->count : 0;
    const char **items = thaw_arena_array(arena, count + 1, sizeof *items);
    if (!items)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        THAW_TRY(thaw_yaml_string(sequence->items[i], &items[i]));
    *ret_patterns = (struct thaw_load_patterns){items, count};
    return THAW_OK;
}

static thaw_status copy_loaded(struct thaw_graph *graph, const struct thaw_load_report *report,
                               const struct thaw_load_wanted *wanted) {
    for (size_t i = 0; i < report->loaded.count; i++) {
        const struct thaw_load_entry *entry = &report->loaded.items[i];
        struct thaw_param *param = &graph->params[entry->wanted - wanted];
        float *values = malloc((thaw_weight_count(entry->weight) + 1) * sizeof *values);
        if (!values)
            return thaw_fail(THAW_ERROR_MEMORY, "out of memory loading %s", param->name);
        thaw_weight_to_float(entry->weight, values);
        thaw_status status = thaw_param_write(graph, param, values);
        free(values);
        THAW_TRY(status);
        param->origin = THAW_ORIGIN_LOADED;
    }
    return THAW_OK;
}

thaw_status thaw_model_load_weights(struct thaw_graph *graph, const char *path,
                                    const struct thaw_model_allow *allow,
                                    struct thaw_weights *weights, struct thaw_load_report *report) {
    THAW_TRY(thaw_weights_open(path, weights));
    struct thaw_arena *arena = &weights->arena; /* the report points at names of this list anyway */
    struct thaw_load_wanted *wanted =
        thaw_arena_array(arena, graph->param_count + 1, sizeof *wanted);
    if (!wanted)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        wanted[i].name = param->name;
        wanted[i].alias = param->alias;
        wanted[i].fresh = param->new_head;
        wanted[i].rank = thaw_param_dims(param, wanted[i].dims);
    }
    struct thaw_load_options options = {0};
    THAW_TRY(pattern_list(arena, allow->missing, &options.allow_missing));
    THAW_TRY(pattern_list(arena, allow->mismatch, &options.allow_mismatch));
    THAW_TRY(pattern_list(arena, allow->unexpected, &options.allow_unexpected));
    THAW_TRY(thaw_load_report_make(wanted, graph->param_count, weights, &options, report));
    THAW_TRY(thaw_load_report_check(report, path));
    return copy_loaded(graph, report, wanted);
}

thaw_status thaw_model_hash_file(const char *path, char ret_hash[THAW_MODEL_HASH_SIZE]) {
    struct thaw_map map;
    THAW_TRY(thaw_map_open(path, &map));
    snprintf(ret_hash, THAW_MODEL_HASH_SIZE, "%016" PRIx64,
             thaw_hash64(map.bytes, map.size_bytes, 0));
    thaw_map_close(&map);
    return THAW_OK;
}

/* ---- the model file's description ----------------------------------------------------------- */

static const char *const head_names[] = {"last", "linear"};

thaw_status thaw_model_info_write(const struct thaw_model_info *info,
                                  struct thaw_weights *weights) {
    struct thaw_text document = {0};
    thaw_yaml_emit(info->document, &document);
    json_t *classes = json_array();
    for (size_t i = 0; i < info->class_count; i++)
        json_array_append_new(classes, json_string(info->classes[i]));
    json_t *root = json_pack(
        "{s:s, s:f, s:i, s:i, s:f, s:i}", "head", head_names[info->options.head], "dropout",
        info->options.dropout, "size", info->options.size, "classes", info->options.classes,
        "reference_lr", info->reference_lr, "reference_batch", info->reference_batch);
    char *class_text = json_dumps(classes, JSON_COMPACT);
    char *root_text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    thaw_status status = THAW_OK;
    if (document.failed || !class_text || !root_text)
        status = thaw_fail(THAW_ERROR_INPUT, "the model's description is not UTF-8 text");
    const char *keys[] = {"thaw.model", "thaw.options", "thaw.classes", "thaw.weights_hash"};
    const char *values[] = {document.text, root_text, class_text, info->weights_hash};
    for (int i = 0; i < 4 && status == THAW_OK; i++)
        status = thaw_weights_set_metadata(weights, keys[i], values[i]);
    free(class_text);
    free(root_text);
    json_decref(classes);
    json_decref(root);
    thaw_text_finish(&document);
    return status;
}

static thaw_status not_a_model(const char *path, const char *what) {
    thaw_fail(THAW_ERROR_INPUT,
              "%s: its metadata has no valid '%s': it is no model that Thaw trained", path, what);
    return thaw_hint(THAW_ERROR_INPUT, "give a run folder, or the model.safetensors in it");
}

static thaw_status read_classes(struct thaw_arena *arena, const char *text, const char *path,
                                struct thaw_model_info *info) {
    json_t *classes = json_loads(text, 0, NULL);
    size_t count = json_array_size(classes);
    info->classes = thaw_arena_array(arena, count + 1, sizeof *info->classes);
    bool valid = info->classes && json_is_array(classes);
    for (size_t i = 0; valid && i < count; i++) {
        const char *name = json_string_value(json_array_get(classes, i));
        info->classes[i] = name ? thaw_arena_copy(arena, name) : NULL;
        valid = info->classes[i] != NULL;
    }
    info->class_count = count;
    json_decref(classes);
    return valid ? THAW_OK : not_a_model(path, "thaw.classes");
}

thaw_status thaw_model_info_read(struct thaw_arena *arena, const struct thaw_weights *weights,
                                 const char *path, struct thaw_model_info *ret_info) {
    struct thaw_model_info info = {0};
    const char *document = thaw_weights_get_metadata(weights, "thaw.model");
    const char *options = thaw_weights_get_metadata(weights, "thaw.options");
    const char *classes = thaw_weights_get_metadata(weights, "thaw.classes");
    const char *hash = thaw_weights_get_metadata(weights, "thaw.weights_hash");
    if (!document || !options || !classes || !hash)
        return not_a_model(path, "thaw.model");
    info.weights_hash = thaw_arena_copy(arena, hash);
    THAW_TRY(read_classes(arena, classes, path, &info));
    const char *head = NULL;
    json_t *root = json_loads(options, 0, NULL);
    int failed = json_unpack(root, "{s:s, s:f, s:i, s:i, s:f, s:i}", "head", &head, "dropout",
                             &info.options.dropout, "size", &info.options.size, "classes",
                             &info.options.classes, "reference_lr", &info.reference_lr,
                             "reference_batch", &info.reference_batch);
    info.options.head = head && !strcmp(head, "linear") ? THAW_HEAD_LINEAR : THAW_HEAD_LAST;
    json_decref(root);
    if (failed || (size_t)info.options.classes != info.class_count)
        return not_a_model(path, "thaw.options");
    thaw_yaml *parsed;
    const char *name = thaw_arena_format(arena, "%s: thaw.model", path);
    char *text = thaw_arena_copy(arena, document);
    if (!name || !text || !info.weights_hash)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_parse(arena, text, strlen(text), name, &parsed));
    info.document = parsed;
    *ret_info = info;
    return THAW_OK;
}

/* ---- saving --------------------------------------------------------------------------------- */

struct supply {
    const struct thaw_graph *graph;
    cl_mem const *instead;
    float *values; /* room for the largest parameter */
};

static thaw_status supply_param(void *user, size_t index, const void **ret_data) {
    struct supply *supply = user;
    const struct thaw_param *param = &supply->graph->params[index];
    cl_mem buffer =
        supply->instead && supply->instead[index] ? supply->instead[index] : param->value;
    THAW_TRY(thaw_filter_read(supply->graph->device, &param->spec->filter, buffer, supply->values));
    *ret_data = supply->values;
    return THAW_OK;
}

thaw_status thaw_model_save(const struct thaw_graph *graph, cl_mem const *instead,
                            struct thaw_weights *weights, const char *path) {
    struct supply supply = {.graph = graph, .instead = instead};
    size_t largest = 1;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        int64_t dims[4];
        int rank = thaw_param_dims(param, dims);
        size_t count = thaw_param_count_values(param);
        largest = count > largest ? count : largest;
        THAW_TRY(thaw_weights_add(weights, param->name, THAW_DTYPE_F32, rank, dims, NULL));
    }
    supply.values = malloc(largest * sizeof *supply.values);
    if (!supply.values)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory saving the model");
    thaw_status status = thaw_safetensors_write(path, weights, supply_param, &supply);
    free(supply.values);
    return status;
}

/* ---- a trained model ------------------------------------------------------------------------ */

thaw_status thaw_trained_device(const char *path, struct thaw_config_device *ret_device) {
    struct thaw_arena arena = {0};
    struct thaw_config_device device = {0};
    thaw_yaml *document;
    thaw_status status = THAW_OK;
    char *file = thaw_path_is_directory(path) ? thaw_path_join(&arena, path, "config.yaml") : NULL;
    if (file && thaw_path_exists(file)) {
        status = thaw_config_document(&arena, file, &document);
        if (status == THAW_OK)
            status = thaw_config_read_device(document, &device);
    }
    thaw_arena_finish(&arena);
    if (status == THAW_OK)
        *ret_device = device;
    return status;
}

static thaw_status open_trained(const char *path, thaw_device *device, struct thaw_weights *weights,
                                struct thaw_trained_model *model) {
    struct thaw_load_report report = {0};
    struct thaw_config_device settings;
    THAW_TRY(thaw_trained_device(path, &settings));
    model->conv_candidate = settings.conv_candidate;
    if (thaw_path_is_directory(path))
        path = thaw_path_join(&model->arena, path, "model.safetensors");
    if (!path)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_weights_open(path, weights));
    THAW_TRY(thaw_model_info_read(&model->arena, weights, path, &model->info));
    thaw_weights_finish(weights);
    *weights = (struct thaw_weights){0};
    model->info.options.caps = thaw_device_get_caps(device);
    THAW_TRY(thaw_graph_build(model->info.document, &model->info.options, &model->graph));
    THAW_TRY(thaw_graph_create_params(model->graph, device));
    for (size_t i = 0; i < model->graph->param_count; i++) /* here the head comes from the file */
        model->graph->params[i].new_head = false;
    struct thaw_model_allow allow = {0};
    thaw_status status = thaw_model_load_weights(model->graph, path, &allow, weights, &report);
    thaw_load_report_finish(&report);
    return status == THAW_OK ? thaw_graph_initialise(model->graph, 0) : status;
}

thaw_status thaw_trained_model_open(const char *path, thaw_device *device,
                                    struct thaw_trained_model *ret_model) {
    struct thaw_trained_model model = {0};
    struct thaw_weights weights = {0};
    thaw_status status = open_trained(path, device, &weights, &model);
    thaw_weights_finish(&weights);
    if (status != THAW_OK)
        thaw_trained_model_finish(&model);
    else
        *ret_model = model;
    return status;
}

void thaw_trained_model_finish(struct thaw_trained_model *model) {
    thaw_graph_destroy(&model->graph);
    thaw_arena_finish(&model->arena);
    *model = (struct thaw_trained_model){0};
}
