#include "train/evaluate_run.h"

#include <math.h>

#include "core/file.h"
#include "train/evaluate.h"
#include "train/run_data.h"

/* Everything that lives during the evaluation alone. */
struct work {
    const struct thaw_evaluation_options *options;
    struct thaw_arena arena;
    struct thaw_run_data own;
    struct thaw_dataset *folder;        /* of options->data */
    const struct thaw_dataset *dataset; /* one of them */
    thaw_loader *loader;
    thaw_augmenter *augmenter;
    thaw_exec *exec;
    int *labels;
    float *logits; /* photos x classes, when they are to be listed */
};

/* Another folder is all validation set. */
static enum thaw_set part_of(const struct thaw_evaluation_options *options) {
    return options->data ? THAW_SET_VAL : options->part;
}

static thaw_status open_data(struct work *w, const struct thaw_model_info *info,
                             const struct thaw_input_spec *input) {
    struct thaw_dataset_config config;
    const char *run = w->options->run;
    if (w->options->data) {
        config = thaw_dataset_config_folder(w->options->data, info->classes, info->class_count);
        THAW_TRY(thaw_dataset_open(&config, &w->folder));
        w->dataset = w->folder;
    } else {
        thaw_status status = thaw_run_data_open(run, NULL, 0, &w->own);
        if (status != THAW_OK && !thaw_path_is_directory(run))
            thaw_hint(status, "give the folder that thaw train wrote, or --data DIR with photos to "
                              "evaluate a model file on");
        THAW_TRY(status);
        config = w->own.data;
        w->dataset = w->own.dataset;
    }
    if (w->dataset->class_count != info->class_count)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the data has %zu classes, the model %zu",
                         w->options->run, w->dataset->class_count, info->class_count);
    struct thaw_loader_options options = thaw_loader_options_make(&config, &input->image);
    for (int set = 0; set < THAW_SET_COUNT; set++)
        options.sets[set] = set == (int)part_of(w->options);
    options.interrupt = w->options->interrupted;
    return thaw_loader_open(w->dataset, &options, &w->loader);
}

static thaw_status on_batch(void *user, size_t done, size_t total) {
    const struct work *w = user;
    if (w->options->on_working)
        w->options->on_working(w->options->user, "evaluating", done, total);
    if (w->options->interrupted && *w->options->interrupted)
        return thaw_fail(THAW_INTERRUPTED, "interrupted");
    return THAW_OK;
}

static thaw_status no_photos(const struct work *w) {
    const size_t *counts = w->dataset->set_counts;
    if (w->options->data)
        return thaw_fail(THAW_ERROR_INPUT, "%s: there are no photos to evaluate on",
                         w->options->data);
    thaw_fail(THAW_ERROR_INPUT, "%s: there are no photos in the part '%s' of its data",
              w->options->run, thaw_set_names[w->options->part]);
    return thaw_hint(THAW_ERROR_INPUT, "it has %zu to train, %zu to validate, %zu to test",
                     counts[THAW_SET_TRAIN], counts[THAW_SET_VAL], counts[THAW_SET_TEST]);
}

/* The class and its softmax probability for each photo. */
static thaw_status list_photos(const struct work *w, const uint32_t *photos, size_t count,
                               struct thaw_evaluation *e) {
    int classes = e->metrics.classes;
    e->photos = thaw_arena_array(&e->arena, count, sizeof *e->photos);
    if (!e->photos)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const float *logits = w->logits + i * (size_t)classes;
        int best = thaw_argmax(logits, classes);
        double sum = 0;
        for (int c = 0; c < classes; c++)
            sum += exp((double)logits[c] - (double)logits[best]);
        char *path = thaw_arena_copy(&e->arena, w->dataset->photos[photos[i]].path);
        if (!path)
            return THAW_ERROR_MEMORY;
        e->photos[i] = (struct thaw_evaluated_photo){path, w->labels[i], best, (float)(1 / sum)};
    }
    return THAW_OK;
}

static thaw_status evaluate(struct work *w, thaw_device *device, struct thaw_evaluation *e) {
    const struct thaw_model_info *info = &e->model.info;
    struct thaw_input_spec input;
    THAW_TRY(thaw_input_spec_parse(thaw_yaml_get(info->document, "input"), NULL, &input));
    THAW_TRY(open_data(w, info, &input));
    THAW_TRY(thaw_augmenter_create(device, &input, NULL, 0, &w->augmenter));
    struct thaw_exec_options options = {
        .batch = w->options->batch, .loss = true, .conv_candidate = e->model.conv_candidate};
    THAW_TRY(thaw_exec_create(e->model.graph, &options, &w->exec));
    size_t count, classes = info->class_count;
    const uint32_t *photos = thaw_loader_set(w->loader, part_of(w->options), &count);
    if (!count)
        return no_photos(w);
    w->labels = thaw_arena_array(&e->arena, count, sizeof *w->labels);
    if (w->options->list_photos)
        w->logits = thaw_arena_array(&w->arena, count, classes * sizeof *w->logits);
    if (!w->labels || (w->options->list_photos && !w->logits))
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        w->labels[i] = w->dataset->photos[photos[i]].label;
    THAW_TRY(thaw_metrics_init(&e->arena, (int)info->class_count, &e->metrics));
    struct thaw_feed feed = {.device = device, .loader = w->loader, .augmenter = w->augmenter};
    struct thaw_members members = {
        .feed = &feed, .photos = photos, .labels = w->labels, .count = count};
    THAW_TRY(thaw_evaluate(w->exec, e->model.graph, w->options->batch, &members, on_batch, w,
                           &e->metrics, w->logits));
    return w->logits ? list_photos(w, photos, count, e) : THAW_OK;
}

thaw_status thaw_evaluate_run(thaw_device *device, const struct thaw_evaluation_options *options,
                              struct thaw_evaluation *ret_evaluation) {
    struct work w = {.options = options};
    struct thaw_evaluation e = {.set =
                                    options->data ? options->data : thaw_set_names[options->part]};
    thaw_status status = thaw_trained_model_open(options->run, device, &e.model);
    if (status == THAW_OK)
        status = evaluate(&w, device, &e);
    thaw_exec_destroy(&w.exec);
    thaw_augmenter_destroy(&w.augmenter);
    thaw_loader_destroy(&w.loader);
    thaw_dataset_destroy(&w.folder);
    thaw_run_data_finish(&w.own);
    thaw_arena_finish(&w.arena);
    if (status != THAW_OK)
        thaw_evaluation_finish(&e);
    else
        *ret_evaluation = e;
    return status;
}

void thaw_evaluation_finish(struct thaw_evaluation *evaluation) {
    thaw_trained_model_finish(&evaluation->model);
    thaw_arena_finish(&evaluation->arena);
    *evaluation = (struct thaw_evaluation){0};
}
