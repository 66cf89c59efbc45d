#include "train/evaluate_run.h"

#include "core/file.h"
#include "train/evaluate.h"
#include "train/run_data.h"

/* Everything that lives during the evaluation alone. */
struct work {
    const struct thaw_evaluation_options *options;
    struct thaw_run_data own;
    struct thaw_dataset *folder;        /* of options->data */
    const struct thaw_dataset *dataset; /* one of them */
    thaw_loader *loader;
    thaw_augmenter *augmenter;
    thaw_exec *exec;
    int *labels;
};

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
    options.sets[THAW_SET_TRAIN] = false;
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

static thaw_status evaluate(struct work *w, thaw_device *device, struct thaw_evaluation *e) {
    const struct thaw_model_info *info = &e->model.info;
    struct thaw_input_spec input;
    THAW_TRY(thaw_input_spec_parse(thaw_yaml_get(info->document, "input"), NULL, &input));
    THAW_TRY(open_data(w, info, &input));
    THAW_TRY(thaw_augmenter_create(device, &input, NULL, 0, &w->augmenter));
    struct thaw_exec_options options = {.batch = w->options->batch, .loss = true};
    THAW_TRY(thaw_exec_create(e->model.graph, &options, &w->exec));
    size_t count;
    const uint32_t *photos = thaw_loader_set(w->loader, THAW_SET_VAL, &count);
    w->labels = thaw_arena_array(&e->arena, count + 1, sizeof *w->labels);
    if (!w->labels)
        return THAW_ERROR_MEMORY;
    if (!count)
        return thaw_fail(THAW_ERROR_INPUT, "%s: there are no photos to evaluate on",
                         w->options->run);
    for (size_t i = 0; i < count; i++)
        w->labels[i] = w->dataset->photos[photos[i]].label;
    THAW_TRY(thaw_metrics_init(&e->arena, (int)info->class_count, &e->metrics));
    struct thaw_feed feed = {.device = device, .loader = w->loader, .augmenter = w->augmenter};
    struct thaw_members members = {
        .feed = &feed, .photos = photos, .labels = w->labels, .count = count};
    return thaw_evaluate(w->exec, e->model.graph, w->options->batch, &members, on_batch, w,
                         &e->metrics, NULL);
}

thaw_status thaw_evaluate_run(thaw_device *device, const struct thaw_evaluation_options *options,
                              struct thaw_evaluation *ret_evaluation) {
    struct work w = {.options = options};
    struct thaw_evaluation e = {.set = options->data ? options->data : "val"};
    thaw_status status = thaw_trained_model_open(options->run, device, &e.model);
    if (status == THAW_OK)
        status = evaluate(&w, device, &e);
    thaw_exec_destroy(&w.exec);
    thaw_augmenter_destroy(&w.augmenter);
    thaw_loader_destroy(&w.loader);
    thaw_dataset_destroy(&w.folder);
    thaw_run_data_finish(&w.own);
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
