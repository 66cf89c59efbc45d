#include "train/features_source.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"

/* A dataset of files that say nothing of their class. */
static thaw_status list_files(struct thaw_features_source *s,
                              const struct thaw_features_origin *origin) {
    s->other = calloc(1, sizeof *s->other);
    struct thaw_photo *photos =
        s->other ? thaw_arena_array(&s->other->arena, origin->file_count, sizeof *photos) : NULL;
    if (!photos)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < origin->file_count; i++)
        photos[i] = (struct thaw_photo){
            .path = origin->files[i], .name = origin->files[i], .label = -1, .set = THAW_SET_VAL};
    s->other->photos = photos;
    s->other->count = s->other->set_counts[THAW_SET_VAL] = origin->file_count;
    s->dataset = s->other;
    s->loading = (struct thaw_loader_options){.image = s->input.image};
    return THAW_OK;
}

static thaw_status list_folder(struct thaw_features_source *s, const char *folder) {
    struct thaw_dataset_config config =
        thaw_dataset_config_folder(folder, (const char **)s->classes, s->class_count);
    THAW_TRY(thaw_dataset_open(&config, &s->other));
    s->dataset = s->other;
    s->loading = thaw_loader_options_make(&config, &s->input.image);
    return THAW_OK;
}

static bool has_other_photos(const struct thaw_features_origin *origin) {
    return origin->file_count || origin->folder;
}

static thaw_status open_experiment(struct thaw_features_source *s,
                                   const struct thaw_features_origin *origin, thaw_device *device) {
    THAW_TRY(thaw_experiment_open(origin->config, device, &s->experiment));
    s->graph = s->experiment.graph;
    s->input = s->experiment.input;
    s->dataset = s->experiment.dataset;
    s->classes = s->experiment.dataset->classes;
    s->class_count = s->experiment.dataset->class_count;
    s->weights_file = origin->config->weights;
    s->conv_candidate = origin->config->conv_candidate;
    s->loading = thaw_loader_options_make(&s->experiment.data, &s->input.image);
    return THAW_OK;
}

/* The network is in the model file as it was trained: a changed config could not change it. */
static thaw_status check_sets(const struct thaw_features_origin *origin) {
    for (size_t i = 0; i < origin->set_count; i++) {
        const char *set = origin->sets[i];
        if (has_other_photos(origin))
            return thaw_fail(THAW_ERROR_INPUT,
                             "--set %s has no effect: the photos are given, and the network is "
                             "that of %s",
                             set, origin->run);
        if (strncmp(set, "data.", 5) != 0)
            return thaw_fail(THAW_ERROR_INPUT,
                             "--set %s: of a finished run only the data can be changed "
                             "(--set data.root=DIR)",
                             set);
    }
    return THAW_OK;
}

static thaw_status open_own_data(struct thaw_features_source *s,
                                 const struct thaw_features_origin *origin) {
    thaw_status status = thaw_run_data_open(origin->run, origin->sets, origin->set_count, &s->own);
    if (status != THAW_OK && !thaw_path_is_directory(origin->run))
        return thaw_hint(
            status, "a model file has no photos: name some with --files or --data, or give the "
                    "run folder or an experiment's .yaml");
    THAW_TRY(status);
    s->dataset = s->own.dataset;
    if (s->dataset->class_count != s->class_count)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the data has %zu classes, the model %zu",
                         origin->run, s->dataset->class_count, s->class_count);
    for (size_t i = 0; i < s->class_count; i++)
        if (strcmp(s->dataset->classes[i], s->classes[i]) != 0)
            return thaw_fail(THAW_ERROR_INPUT,
                             "%s: class %zu of the data is '%s', of the model '%s'", origin->run, i,
                             s->dataset->classes[i], s->classes[i]);
    s->loading = thaw_loader_options_make(&s->own.data, &s->input.image);
    return THAW_OK;
}

static thaw_status open_run(struct thaw_features_source *s,
                            const struct thaw_features_origin *origin, thaw_device *device) {
    THAW_TRY(check_sets(origin));
    THAW_TRY(thaw_trained_model_open(origin->run, device, &s->model));
    const struct thaw_model_info *info = &s->model.info;
    THAW_TRY(thaw_input_spec_parse(thaw_yaml_get(info->document, "input"), NULL, &s->input));
    s->graph = s->model.graph;
    s->conv_candidate = s->model.conv_candidate;
    s->classes = info->classes;
    s->class_count = info->class_count;
    s->weights_file = origin->run;
    if (thaw_path_is_directory(origin->run))
        s->weights_file = thaw_path_join(&s->arena, origin->run, "model.safetensors");
    if (!s->weights_file)
        return THAW_ERROR_MEMORY;
    return has_other_photos(origin) ? THAW_OK : open_own_data(s, origin);
}

thaw_status thaw_features_source_open(const struct thaw_features_origin *origin,
                                      thaw_device *device,
                                      struct thaw_features_source *ret_source) {
    struct thaw_features_source s = {0};
    thaw_status status =
        origin->config ? open_experiment(&s, origin, device) : open_run(&s, origin, device);
    if (status == THAW_OK && origin->folder)
        status = list_folder(&s, origin->folder);
    else if (status == THAW_OK && origin->file_count)
        status = list_files(&s, origin);
    for (int set = 0; set < THAW_SET_COUNT; set++)
        s.loading.sets[set] = true;
    if (status != THAW_OK)
        thaw_features_source_finish(&s);
    else
        *ret_source = s;
    return status;
}

void thaw_features_source_finish(struct thaw_features_source *source) {
    thaw_experiment_finish(&source->experiment);
    thaw_trained_model_finish(&source->model);
    thaw_run_data_finish(&source->own);
    thaw_dataset_destroy(&source->other);
    thaw_arena_finish(&source->arena);
    *source = (struct thaw_features_source){0};
}
