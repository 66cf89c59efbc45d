#include "train/export.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/text.h"

/* ---- the network ---------------------------------------------------------------------------- */

static bool has_suffix(const char *path, const char *suffix) {
    size_t length = strlen(path), end = strlen(suffix);
    return length >= end && !strcmp(path + length - end, suffix);
}

static bool is_model_yaml(const char *name) {
    if (thaw_path_is_directory(name))
        return false;
    return !thaw_model_name_is_path(name) || has_suffix(name, ".yaml") || has_suffix(name, ".yml");
}

static thaw_status load(struct thaw_export_source *s, const char *path) {
    struct thaw_weights weights = {0};
    struct thaw_load_report report = {0};
    struct thaw_model_allow allow = {0};
    char hash[THAW_MODEL_HASH_SIZE];
    thaw_status status = thaw_model_load_weights(s->graph, path, &allow, &weights, &report);
    thaw_load_report_finish(&report);
    thaw_weights_finish(&weights);
    THAW_TRY(status);
    THAW_TRY(thaw_model_hash_file(path, hash));
    s->info.weights_hash = thaw_arena_copy(&s->arena, hash);
    return s->info.weights_hash ? THAW_OK : THAW_ERROR_MEMORY;
}

/* Published weights say nothing of their classes: numbers stand in for the names. */
static thaw_status number_classes(struct thaw_export_source *s) {
    size_t count = (size_t)s->graph->nodes[s->graph->output].out.c;
    s->info.classes = thaw_arena_array(&s->arena, count, sizeof *s->info.classes);
    for (size_t i = 0; s->info.classes && i < count; i++)
        if (!(s->info.classes[i] = thaw_arena_format(&s->arena, "%zu", i)))
            return THAW_ERROR_MEMORY;
    s->info.class_count = count;
    s->info.options.classes = (int)count;
    return s->info.classes ? THAW_OK : THAW_ERROR_MEMORY;
}

static thaw_status open_model(const struct thaw_export_origin *origin, thaw_device *device,
                              struct thaw_export_source *s) {
    thaw_yaml *document;
    if (!origin->weights && !origin->untrained) {
        thaw_fail(THAW_ERROR_INPUT, "'%s' is a model without weights", origin->model);
        return thaw_hint(THAW_ERROR_INPUT, "name a weights file with --weights FILE, or give a run "
                                           "folder; --untrained 0 exports random weights");
    }
    THAW_TRY(thaw_model_document(&s->arena, origin->model, NULL, &document));
    THAW_TRY(thaw_input_spec_parse(thaw_yaml_get(document, "input"), NULL, &s->input));
    struct thaw_graph_options options = {.caps = thaw_device_get_caps(device),
                                         .size = s->input.size};
    THAW_TRY(thaw_graph_build(document, &options, &s->built));
    s->graph = s->built;
    THAW_TRY(thaw_graph_create_params(s->graph, device));
    s->info = (struct thaw_model_info){.options.size = s->input.size,
                                       .document = document,
                                       .reference_lr = s->graph->reference_lr,
                                       .reference_batch = s->graph->reference_batch,
                                       .weights_hash = ""};
    if (origin->weights)
        THAW_TRY(load(s, origin->weights));
    THAW_TRY(thaw_graph_initialise(s->graph, (uint64_t)origin->seed));
    return number_classes(s);
}

static thaw_status open_trained(const struct thaw_export_origin *origin, thaw_device *device,
                                struct thaw_export_source *s) {
    if (origin->weights || origin->untrained)
        return thaw_fail(THAW_ERROR_INPUT, "'%s' has its own weights: %s has no effect",
                         origin->model, origin->weights ? "--weights" : "--untrained");
    THAW_TRY(thaw_trained_model_open(origin->model, device, &s->trained));
    s->graph = s->trained.graph;
    s->info = s->trained.info;
    s->has_classes = true;
    return thaw_input_spec_parse(thaw_yaml_get(s->info.document, "input"), NULL, &s->input);
}

thaw_status thaw_export_open(const struct thaw_export_origin *origin, thaw_device *device,
                             struct thaw_export_source *ret_source) {
    struct thaw_export_source source = {0};
    thaw_status status = is_model_yaml(origin->model) ? open_model(origin, device, &source)
                                                      : open_trained(origin, device, &source);
    if (status != THAW_OK)
        thaw_export_finish(&source);
    else
        *ret_source = source;
    return status;
}

void thaw_export_finish(struct thaw_export_source *source) {
    thaw_graph_destroy(&source->built);
    thaw_trained_model_finish(&source->trained);
    thaw_arena_finish(&source->arena);
    *source = (struct thaw_export_source){0};
}

/* ---- ONNX ----------------------------------------------------------------------------------- */

static json_t *numbers(const float *values, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_real((double)values[i]));
    return list;
}

static json_t *preprocessing(const struct thaw_input_spec *input) {
    int channels = input->image.channels;
    return json_pack("{s:s, s:s, s:{s:s, s:i, s:s}, s:{s:s, s:i}, s:f, s:o, s:o}", "layout", "NCHW",
                     "channel_order", channels == 3 ? "RGB" : "grey", "resize", "mode",
                     input->image.mode == THAW_RESIZE_SHORT ? "short" : "stretch", "size",
                     input->image.size, "filter", "bilinear, antialiased", "crop", "mode", "center",
                     "size", input->size, "scale", 1.0 / 255, "mean",
                     numbers(input->mean, channels), "std", numbers(input->std, channels));
}

static json_t *class_names(const struct thaw_model_info *info) {
    json_t *list = json_array();
    for (size_t i = 0; i < info->class_count; i++)
        json_array_append_new(list, json_string(info->classes[i]));
    return list;
}

/* Takes the reference. */
static thaw_status dump(struct thaw_arena *arena, json_t *json, const char **ret_text) {
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9));
    *ret_text = text ? thaw_arena_copy(arena, text) : NULL;
    free(text);
    json_decref(json);
    return *ret_text ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
}

thaw_status thaw_export_onnx(const struct thaw_export_source *source,
                             const struct thaw_onnx_export_options *options, const char *path,
                             struct thaw_onnx_export_summary *ret_summary) {
    struct thaw_arena arena = {0};
    struct thaw_text input = {0};
    struct thaw_onnx_export_options complete = *options;
    struct thaw_onnx_entry metadata[3] = {
        {.key = "preprocessing"}, {.key = "thaw.input"}, {.key = "classes"}};
    thaw_input_spec_emit(&source->input, &input);
    metadata[1].value = input.text;
    complete.metadata = metadata;
    complete.metadata_count = source->has_classes ? 3 : 2;
    thaw_status status = input.failed
                             ? THAW_ERROR_MEMORY
                             : dump(&arena, preprocessing(&source->input), &metadata[0].value);
    if (status == THAW_OK && source->has_classes)
        status = dump(&arena, class_names(&source->info), &metadata[2].value);
    if (status == THAW_OK)
        status = thaw_onnx_export(source->graph, &complete, path, ret_summary);
    thaw_text_finish(&input);
    thaw_arena_finish(&arena);
    return status;
}

/* ---- safetensors ---------------------------------------------------------------------------- */

thaw_status thaw_export_safetensors(const struct thaw_export_source *source, const char *path) {
    struct thaw_weights weights = {0};
    thaw_status status = thaw_model_info_write(&source->info, &weights);
    if (status == THAW_OK)
        status = thaw_model_save(source->graph, NULL, &weights, path);
    thaw_weights_finish(&weights);
    return status;
}
