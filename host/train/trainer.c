/* The run: set-up, stages, files. */
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/file.h"
#include "train/freeze.h"
#include "train/model.h"
#include "train/norm_stats.h"
#include "train/plan.h"
#include "train/stage.h"
#include "train/trainer_internal.h"

char *thaw_train_folder(struct thaw_arena *arena, const struct thaw_config *config) {
    return thaw_path_join(arena, config->output, config->name);
}

/* ---- set-up --------------------------------------------------------------------------------- */

static thaw_status collect_set(struct thaw_trainer *t, enum thaw_set set,
                               struct thaw_trainer_set *ret) {
    struct thaw_trainer_set members = {0};
    members.photos = thaw_loader_set(t->loader, set, &members.count);
    members.labels = thaw_arena_array(&t->arena, members.count + 1, sizeof *members.labels);
    if (!members.labels)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < members.count; i++)
        members.labels[i] = t->dataset->photos[members.photos[i]].label;
    *ret = members;
    return THAW_OK;
}

static void on_decode(void *user, size_t done, size_t total) {
    const struct thaw_trainer *t = user;
    if (t->events->on_working)
        t->events->on_working(t->events->user, "reading photos", done, total);
}

static thaw_status load_photos(struct thaw_trainer *t) {
    struct thaw_loader_options options =
        thaw_loader_options_make(&t->experiment.data, &t->experiment.input.image);
    options.interrupt = t->events->interrupted;
    options.progress = on_decode;
    options.progress_user = t;
    THAW_TRY(thaw_loader_open(t->dataset, &options, &t->loader));
    THAW_TRY(collect_set(t, THAW_SET_TRAIN, &t->train));
    THAW_TRY(collect_set(t, THAW_SET_VAL, &t->val));
    if (!t->train.count)
        return thaw_yaml_fail(t->config->data, "there is no photo to train on");
    return THAW_OK;
}

static thaw_status say_dead_channels(struct thaw_trainer *t) {
    struct thaw_norm_dead dead;
    struct thaw_text text = {0};
    THAW_TRY(thaw_norm_find_dead(t->graph, &dead));
    thaw_norm_dead_text(&dead, &text);
    if (text.length && !text.failed && t->events->on_message)
        t->events->on_message(t->events->user, text.text);
    thaw_text_finish(&text);
    return THAW_OK;
}

/* Everything that can be wrong with the experiment is found before the photos are read. */
static thaw_status set_up(struct thaw_trainer *t) {
    const struct thaw_config *config = t->config;
    thaw_yaml_emit(config->document, &t->config_text);
    if (t->config_text.failed)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the experiment is not UTF-8 text", config->path);
    THAW_TRY(thaw_experiment_open(config, t->device, &t->experiment));
    t->dataset = t->experiment.dataset;
    t->graph = t->experiment.graph;
    if (config->weights) {
        THAW_TRY(thaw_model_hash_file(config->weights, t->weights_hash));
        THAW_TRY(
            thaw_freeze_loaded(t->freeze, config->weights, t->weights_hash, &t->experiment.report));
        if (t->events->on_load)
            t->events->on_load(t->events->user, config->weights, &t->experiment.report);
        THAW_TRY(say_dead_channels(t));
    }
    THAW_TRY(thaw_stage_memory_init(&t->arena, t->graph, &t->between_stages));
    t->best = thaw_arena_array(&t->arena, t->graph->param_count + 1, sizeof(cl_mem));
    t->changed = thaw_arena_array(&t->arena, t->graph->param_count + 1, sizeof *t->changed);
    t->parts = thaw_arena_array(&t->arena, config->stage_count + 1, sizeof *t->parts);
    if (!t->best || !t->changed || !t->parts)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_metrics_init(&t->arena, (int)t->dataset->class_count, &t->metrics));
    return thaw_augmenter_create(t->device, &t->experiment.input, NULL, config->seed,
                                 &t->eval_augmenter);
}

/* Refuses every stage that can't run, or does not fit, before the first one begins. */
static thaw_status check_stages(struct thaw_trainer *t) {
    enum thaw_param_origin *origins =
        thaw_arena_array(&t->arena, t->graph->param_count + 1, sizeof *origins);
    thaw_status status = origins ? THAW_OK : THAW_ERROR_MEMORY;
    for (size_t i = 0; origins && i < t->graph->param_count; i++)
        origins[i] = t->graph->params[i].origin;
    struct thaw_plan plan = {0};
    if (status == THAW_OK)
        status = thaw_plan_make(&t->experiment, &plan);
    if (status == THAW_OK)
        status = thaw_plan_check_memory(&plan, t->device);
    for (size_t i = 0; status == THAW_OK && i < plan.stage_count; i++)
        t->parts[i] = plan.stages[i].stage.part;
    thaw_plan_finish(&plan);
    for (size_t i = 0; origins && i < t->graph->param_count; i++)
        t->graph->params[i].origin = origins[i];
    return status;
}

/* ---- files ---------------------------------------------------------------------------------- */

static thaw_status save_model(struct thaw_trainer *t) {
    const struct thaw_config *config = t->config;
    struct thaw_model_info info = {
        .options = thaw_experiment_options(&t->experiment, t->device),
        .document = t->experiment.document,
        .classes = t->dataset->classes,
        .class_count = t->dataset->class_count,
        .reference_lr = config->reference_lr > 0 ? config->reference_lr : t->graph->reference_lr,
        .reference_batch =
            config->reference_batch ? config->reference_batch : t->graph->reference_batch,
        .weights_hash = t->weights_hash,
    };
    struct thaw_weights weights = {0};
    thaw_status status = thaw_model_info_write(&info, &weights);
    if (status == THAW_OK)
        status = thaw_model_save(t->graph, t->best, &weights, t->folder.model);
    thaw_weights_finish(&weights);
    if (status == THAW_OK)
        t->best_unsaved = false;
    return status;
}

/* The model file goes first: the checkpoint must never know of a best epoch that is not on disk. */
thaw_status thaw_trainer_checkpoint(struct thaw_trainer *t) {
    if (t->best_unsaved) {
        THAW_TRY(save_model(t));
        THAW_TRY(thaw_freeze_kept(t->freeze, t->graph, t->best, t->state.best_stage,
                                  t->state.best_epoch));
        THAW_TRY(thaw_run_folder_write_json(t->folder.freeze, t->freeze));
    }
    struct thaw_train_state state = t->state;
    state.elapsed_s += thaw_clock_s() - t->started_s;
    const struct thaw_stage_memory *memory =
        t->session.graph ? &t->session.memory : &t->between_stages;
    THAW_TRY(thaw_checkpoint_save(t->folder.last, t->graph, memory, &state, t->freeze, t->choices,
                                  t->config_text.text));
    t->saved_s = thaw_clock_s();
    t->saved_counter = t->state.counter;
    return THAW_OK;
}

static thaw_status begin_run(struct thaw_trainer *t, const struct thaw_train_options *options) {
    THAW_TRY(thaw_run_folder_create(&t->folder, options->overwrite));
    THAW_TRY(thaw_file_write(t->folder.config, t->config_text.text, t->config_text.length));
    THAW_TRY(thaw_run_folder_write_device(&t->folder, thaw_device_get_info(t->device)));
    return thaw_dataset_write_split(t->dataset, t->folder.split);
}

/* The kept epoch's values of tensors that later epochs have changed come back from the model file.
 */
static thaw_status restore_best(struct thaw_trainer *t) {
    struct thaw_weights weights = {0};
    if (!t->state.has_best)
        return THAW_OK;
    thaw_status status = thaw_weights_open(t->folder.model, &weights);
    for (size_t i = 0; i < t->graph->param_count && status == THAW_OK; i++) {
        const struct thaw_param *param = &t->graph->params[i];
        const struct thaw_weight *weight = thaw_weights_find(&weights, param->name);
        if (!t->changed[i])
            continue; /* as it was when the graph was loaded */
        size_t count = thaw_param_count_values(param);
        if (!weight || thaw_weight_count(weight) != count) {
            status = thaw_fail(THAW_ERROR_INPUT, "%s: has no %s that fits", t->folder.model,
                               param->name);
            break;
        }
        float *values = malloc(count * sizeof *values);
        status = values ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
        if (status == THAW_OK) {
            thaw_weight_to_float(weight, values);
            status = thaw_buffer_create(
                t->device, thaw_filter_size(&param->spec->filter) * sizeof(float), &t->best[i]);
        }
        if (status == THAW_OK)
            status = thaw_filter_write(t->device, &param->spec->filter, t->best[i], values);
        free(values);
    }
    thaw_weights_finish(&weights);
    return status;
}

/* What earlier stages trained is not random any more; what they and this one change is noted. */
static thaw_status replay_stages(struct thaw_trainer *t) {
    for (int i = 0; i <= t->state.stage && i < (int)t->config->stage_count; i++) {
        struct thaw_session session = {0};
        struct thaw_stage stage;
        THAW_TRY(thaw_trainer_chosen_stage(t, i, &stage));
        THAW_TRY(thaw_session_init(t->config, &stage, t->graph, (int)t->train.count, &session));
        for (size_t p = 0; p < t->graph->param_count; p++)
            t->changed[p] |= thaw_stage_changes(t->graph, &t->graph->params[p]);
        thaw_session_finish(&session);
        if (stage.epochs > 0 && i < t->state.stage)
            thaw_stage_mark_trained(t->graph);
    }
    return THAW_OK;
}

static thaw_status resume_run(struct thaw_trainer *t, struct thaw_checkpoint *checkpoint) {
    json_t *freeze, *choices;
    THAW_TRY(thaw_checkpoint_state(checkpoint, &t->state, &freeze, &choices));
    json_decref(t->freeze);
    json_decref(t->choices);
    t->freeze = freeze;
    t->choices = choices;
    if (json_object_size(choices))
        THAW_TRY(thaw_run_folder_write_json(t->folder.choices, choices));
    THAW_TRY(replay_stages(t));
    THAW_TRY(thaw_checkpoint_load_params(checkpoint, t->graph));
    THAW_TRY(restore_best(t));
    t->saved_counter = t->state.counter;
    THAW_TRY(thaw_run_folder_clean(&t->folder));
    THAW_TRY(thaw_file_write(t->folder.config, t->config_text.text, t->config_text.length));
    return thaw_run_folder_resume(&t->folder, t->state.stage, t->state.epoch);
}

/* ---- stages --------------------------------------------------------------------------------- */

static thaw_status on_cache(void *user, size_t done, size_t total) {
    const struct thaw_trainer *t = user;
    if (t->events->on_working)
        t->events->on_working(t->events->user, "computing features", done, total);
    return thaw_trainer_poll(t);
}

static thaw_status open_cache(struct thaw_trainer *t, const struct thaw_trainer_set *set, int views,
                              struct thaw_feature_cache *cache) {
    const struct thaw_stage *stage = t->session.stage;
    struct thaw_feature_options options = {
        .graph = t->graph,
        .node = t->session.start,
        .loader = t->loader,
        .augmenter = views ? t->augmenter : t->eval_augmenter,
        .input = &t->experiment.input,
        .augment = stage->augment,
        .seed = t->config->seed,
        .photos = set->photos,
        .count = set->count,
        .views = views,
        .batch = thaw_stage_part(stage),
        .conv_candidate = t->config->conv_candidate,
        .dtype = stage->cache_dtype,
        .disk = stage->cache_disk,
        .progress = on_cache,
        .user = t,
    };
    return thaw_feature_cache_open(&options, cache);
}

static thaw_status set_up_feeds(struct thaw_trainer *t) {
    const struct thaw_stage *stage = t->session.stage;
    THAW_TRY(thaw_augmenter_create(t->device, &t->experiment.input, &t->session.augment,
                                   t->config->seed, &t->augmenter));
    t->train_feed = (struct thaw_feed){t->device, t->loader, t->augmenter, NULL, t->config->seed};
    t->val_feed =
        (struct thaw_feed){t->device, t->loader, t->eval_augmenter, NULL, t->config->seed};
    if (t->session.start == 0)
        return THAW_OK;
    THAW_TRY(open_cache(t, &t->train, stage->cache_views, &t->train_cache));
    THAW_TRY(open_cache(t, &t->val, 0, &t->val_cache));
    t->train_feed.cache = &t->train_cache;
    t->val_feed.cache = &t->val_cache;
    return THAW_OK;
}

static void close_stage(struct thaw_trainer *t) {
    thaw_fit_finish(&t->fit);
    t->collapse = (struct thaw_collapse){0};
    thaw_augmenter_destroy(&t->augmenter);
    thaw_session_finish(&t->session);
    thaw_feature_cache_finish(&t->train_cache);
    thaw_feature_cache_finish(&t->val_cache);
}

static void say_stage(const struct thaw_trainer *t) {
    const struct thaw_graph *graph = t->graph;
    size_t trained = 0, values = 0;
    char text[512];
    for (size_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].trainable) {
            trained++;
            values += thaw_param_count_values(&graph->params[i]);
        }
    snprintf(text, sizeof text, "stage %d/%zu '%s': %zu tensors (%.3g M values) trained%s%s",
             t->state.stage + 1, t->config->stage_count, t->session.stage->name, trained,
             1e-6 * (double)values, t->session.start ? ", features cached at " : "",
             t->session.start ? graph->nodes[t->session.start].name : "");
    if (t->events->on_message)
        t->events->on_message(t->events->user, text);
}

static thaw_status run_stage(struct thaw_trainer *t, const struct thaw_checkpoint *checkpoint) {
    const struct thaw_stage *stage = &t->stage;
    THAW_TRY(thaw_trainer_choose(t));
    THAW_TRY(thaw_session_init(t->config, stage, t->graph, (int)t->train.count, &t->session));
    THAW_TRY(thaw_session_continue(&t->session, &t->between_stages));
    if (checkpoint)
        THAW_TRY(thaw_checkpoint_load_memory(checkpoint, t->graph, &t->session.memory));
    say_stage(t);
    if (!t->state.stage_begun)
        THAW_TRY(thaw_freeze_begin(t->freeze, t->graph, stage->name));
    t->state.stage_begun = true;
    THAW_TRY(set_up_feeds(t));
    THAW_TRY(thaw_session_start(&t->session));
    THAW_TRY(thaw_trainer_epochs(t));
    const struct thaw_stage *next = t->state.stage + 1 < (int)t->config->stage_count
                                        ? &t->config->stages[t->state.stage + 1]
                                        : NULL;
    if (!next || !next->continues || !next->phase)
        THAW_TRY(thaw_trainer_settle_average(t));
    THAW_TRY(thaw_freeze_end(t->freeze, t->graph));
    THAW_TRY(thaw_run_folder_write_json(t->folder.freeze, t->freeze));
    if (stage->epochs > 0)
        thaw_stage_mark_trained(t->graph);
    t->state.stage++;
    if (t->state.stage < (int)t->config->stage_count && t->config->stages[t->state.stage].continues)
        thaw_stage_memory_take(&t->between_stages, &t->session.memory, t->graph);
    close_stage(t);
    t->state.epoch = t->state.step = t->state.stage_steps = t->state.stale_epochs = 0;
    t->state.stage_begun = t->state.stage_has_best = false;
    return thaw_trainer_checkpoint(t);
}

static thaw_status run(struct thaw_trainer *t, const struct thaw_train_options *options,
                       struct thaw_checkpoint *checkpoint) {
    THAW_TRY(set_up(t));
    if (checkpoint)
        THAW_TRY(thaw_config_compare(thaw_checkpoint_config(checkpoint), t->config_text.text,
                                     t->folder.last));
    THAW_TRY(check_stages(t));
    THAW_TRY(load_photos(t));
    THAW_TRY(thaw_fit_class_weights(t->config, t->train.labels, t->train.count,
                                    t->dataset->class_count, &t->arena, &t->class_weights));
    if (checkpoint)
        THAW_TRY(resume_run(t, checkpoint));
    else
        THAW_TRY(begin_run(t, options));
    if (checkpoint && t->state.stage >= (int)t->config->stage_count && t->events->on_message)
        t->events->on_message(t->events->user, "the run is complete already");
    bool resumed = checkpoint != NULL;
    while (t->state.stage < (int)t->config->stage_count) {
        thaw_status status = run_stage(t, resumed ? checkpoint : NULL);
        if (status == THAW_INTERRUPTED) {
            THAW_TRY(thaw_trainer_checkpoint(t));
            return thaw_fail(status, "a checkpoint was written to %s", t->folder.last);
        }
        THAW_TRY(status);
        resumed = false;
    }
    return THAW_OK;
}

static void finish(struct thaw_trainer *t) {
    close_stage(t);
    thaw_stage_memory_clear(&t->between_stages, t->graph);
    for (size_t i = 0; t->best && i < t->graph->param_count; i++)
        thaw_buffer_destroy(&t->best[i]);
    thaw_augmenter_destroy(&t->eval_augmenter);
    thaw_loader_destroy(&t->loader);
    thaw_experiment_finish(&t->experiment);
    thaw_run_folder_finish(&t->folder);
    thaw_text_finish(&t->config_text);
    json_decref(t->freeze);
    json_decref(t->choices);
    thaw_arena_finish(&t->arena);
}

thaw_status thaw_train(const struct thaw_config *config, thaw_device *device,
                       const struct thaw_train_options *options,
                       const struct thaw_train_events *events) {
    struct thaw_trainer t = {.config = config, .events = events, .device = device};
    struct thaw_checkpoint *checkpoint = NULL;
    t.started_s = t.saved_s = thaw_clock_s();
    t.freeze = json_object();
    t.choices = json_object();
    char *folder = thaw_train_folder(&t.arena, config);
    thaw_status status = folder && t.freeze && t.choices ? thaw_run_folder_init(folder, &t.folder)
                                                         : THAW_ERROR_MEMORY;
    if (status == THAW_OK && options->resume && thaw_path_exists(t.folder.last))
        status = thaw_checkpoint_open(t.folder.last, &checkpoint);
    struct thaw_train_options begin = *options;
    begin.overwrite |= options->resume; /* killed before its first checkpoint: begin anew */
    if (status == THAW_OK)
        status = run(&t, &begin, checkpoint);
    thaw_checkpoint_close(&checkpoint);
    finish(&t);
    return status;
}
