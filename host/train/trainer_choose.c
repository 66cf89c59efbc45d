/* What a stage leaves to be chosen when it begins: its depth and its learning rate. */
#include "train/auto.h"
#include "train/probe.h"
#include "train/trainer_internal.h"

json_t *thaw_trainer_choice(const struct thaw_trainer *t, const char *stage, const char *key) {
    return json_object_get(json_object_get(t->choices, stage), key);
}

static thaw_status apply(struct thaw_trainer *t, struct thaw_stage *stage) {
    const json_t *lr = thaw_trainer_choice(t, stage->name, "lr");
    const json_t *depth = thaw_trainer_choice(t, stage->name, "depth");
    if (thaw_probe_rule(stage) && lr)
        THAW_TRY(thaw_probe_apply(&t->arena, lr, t->folder.last, stage));
    return stage->automatic && depth ? thaw_auto_apply(depth, t->folder.last, stage) : THAW_OK;
}

thaw_status thaw_trainer_chosen_stage(struct thaw_trainer *t, int index,
                                      struct thaw_stage *ret_stage) {
    struct thaw_stage stage = t->config->stages[index];
    stage.part = t->parts[index];
    THAW_TRY(apply(t, &stage));
    *ret_stage = stage;
    return THAW_OK;
}

static thaw_status poll(void *user, const char *what, size_t done, size_t total) {
    const struct thaw_trainer *t = user;
    if (t->events->on_working)
        t->events->on_working(t->events->user, what, done, total);
    return thaw_trainer_poll(t);
}

static struct thaw_pilot_options pilot_options(struct thaw_trainer *t) {
    return (struct thaw_pilot_options){.config = t->config,
                                       .graph = t->graph,
                                       .loader = t->loader,
                                       .input = &t->experiment.input,
                                       .photos = t->train.photos,
                                       .labels = t->train.labels,
                                       .count = t->train.count,
                                       .class_weights = t->class_weights,
                                       .classes = (int)t->dataset->class_count,
                                       .stage = t->state.stage,
                                       .poll = poll,
                                       .user = t};
}

thaw_status thaw_trainer_record(struct thaw_trainer *t, const char *key, json_t *choice,
                                void (*table)(const json_t *, const char *, struct thaw_text *)) {
    const char *name = t->stage.name;
    json_t *of_stage = json_object_get(t->choices, name);
    if (!of_stage) {
        of_stage = json_object();
        json_object_set_new(t->choices, name, of_stage);
    }
    if (json_object_set_new(of_stage, key, choice))
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    THAW_TRY(thaw_run_folder_write_json(t->folder.choices, t->choices));
    THAW_TRY(thaw_trainer_checkpoint(t));
    struct thaw_text text = {0};
    table(choice, name, &text);
    if (t->events->on_message && text.text)
        t->events->on_message(t->events->user, text.text);
    thaw_text_finish(&text);
    return THAW_OK;
}

thaw_status thaw_trainer_choose(struct thaw_trainer *t) {
    struct thaw_pilot_options options = pilot_options(t);
    const char *const *classes = (const char *const *)t->dataset->classes;
    json_t *choice = NULL;
    THAW_TRY(thaw_trainer_chosen_stage(t, t->state.stage, &t->stage));
    if (thaw_probe_rule(&t->stage) && !thaw_trainer_choice(t, t->stage.name, "lr")) {
        THAW_TRY(thaw_probe_choose(&options, &t->stage, classes, &choice));
        THAW_TRY(thaw_trainer_record(t, "lr", choice, thaw_probe_table));
        THAW_TRY(apply(t, &t->stage));
    }
    if (t->stage.automatic && !thaw_trainer_choice(t, t->stage.name, "depth")) {
        THAW_TRY(thaw_auto_choose(&options, &t->stage, classes, &choice));
        THAW_TRY(thaw_trainer_record(t, "depth", choice, thaw_auto_table));
        THAW_TRY(apply(t, &t->stage));
    }
    return THAW_OK;
}
