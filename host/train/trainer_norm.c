/* Norm layers in a run: their statistics measured anew, and a stage that would wreck the network,
 * or is doing so, told apart from one that learns. */
#include <stdarg.h>
#include <stdio.h>

#include "train/norm_stats.h"
#include "train/sharpness.h"
#include "train/trainer_internal.h"

#define STEEP 1.5 /* times the limit: below, training hovers and gets along */

static void tell(const struct thaw_trainer *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(const struct thaw_trainer *t, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (t->events->on_message)
        t->events->on_message(t->events->user, text);
}

/* ---- refresh -------------------------------------------------------------------------------- */

static thaw_status on_refresh(void *user, size_t done, size_t total) {
    const struct thaw_trainer *t = user;
    if (t->events->on_working)
        t->events->on_working(t->events->user, "measuring norm statistics", done, total);
    return thaw_trainer_poll(t);
}

/* thaw_stage_apply() has set the layers' batch_statistics. */
thaw_status thaw_trainer_refresh_norm(struct thaw_trainer *t) {
    struct thaw_graph *graph = t->graph;
    bool *nodes = thaw_arena_array(&t->session.arena, graph->node_count + 1, sizeof *nodes);
    if (!nodes)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        nodes[i] = graph->nodes[i].batch_statistics;
    struct thaw_norm_refresh refresh = {.graph = graph,
                                        .nodes = nodes,
                                        .start = t->session.start,
                                        .members = t->fit.o.train,
                                        .augment = true,
                                        .epoch = thaw_fit_augment_epoch(&t->state),
                                        .batch = t->session.stage->batch,
                                        .conv_candidate = t->config->conv_candidate,
                                        .seed = t->config->seed,
                                        .progress = on_refresh,
                                        .user = t};
    return thaw_norm_refresh(&refresh);
}

/* ---- before the first step ------------------------------------------------------------------ */

/* norm: auto with a small batch. The divisor is a choice of the run, so that a resumed one has it.
 */
static void divisor_table(const json_t *choice, const char *stage, struct thaw_text *text) {
    thaw_text_append(text,
                     "stage '%s': batches are small, so norm layers keep their statistics (norm: "
                     "eval); a sharpness of %.3g asks for rates divided by %d",
                     stage, json_number_value(json_object_get(choice, "sharpness")),
                     (int)json_integer_value(json_object_get(choice, "divisor")));
}

static thaw_status settle_rates(struct thaw_trainer *t) {
    const json_t *known = thaw_trainer_choice(t, t->stage.name, "norm");
    if (!known) {
        double sharpness = 0;
        THAW_TRY(thaw_sharpness_measure(&t->fit, &sharpness));
        THAW_TRY(
            thaw_trainer_record(t, "norm",
                                json_pack("{s:s, s:f, s:i}", "mode", "eval", "sharpness", sharpness,
                                          "divisor", thaw_sharpness_divisor(sharpness)),
                                divisor_table));
        known = thaw_trainer_choice(t, t->stage.name, "norm");
    }
    json_int_t divisor = json_integer_value(json_object_get(known, "divisor"));
    if (divisor < 1 || divisor > 1000000)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the divisor of stage '%s' is damaged",
                         t->folder.last, t->stage.name);
    thaw_sharpness_divide(&t->session, (int)divisor);
    return THAW_OK;
}

thaw_status thaw_trainer_check_steepness(struct thaw_trainer *t) {
    const struct thaw_stage *stage = t->session.stage;
    double sharpness = 0;
    if (!thaw_sharpness_matters(&t->fit))
        return THAW_OK;
    if (stage->norm_auto)
        return settle_rates(t);
    if (t->state.stage_steps > 0)
        return THAW_OK;
    THAW_TRY(thaw_sharpness_measure(&t->fit, &sharpness));
    double times = sharpness / THAW_SHARPNESS_LIMIT;
    if (times > STEEP)
        tell(t,
             "warning: the rates of stage '%s' are about %.3g times what the network stands with "
             "norm: %s, where norm layers are fixed gains: write norm: train, or divide the "
             "rates by %d",
             stage->name, times, thaw_norm_mode_names[stage->norm],
             thaw_sharpness_divisor(sharpness));
    return THAW_OK;
}

/* ---- after each step ------------------------------------------------------------------------ */

void thaw_trainer_watch(struct thaw_trainer *t) {
    const struct thaw_stage *stage = t->session.stage;
    if (!thaw_collapse_step(&t->collapse, t->fit.step_loss, (int)t->dataset->class_count))
        return;
    tell(t,
         "warning: stage '%s' is wrecking the network: its loss went from %.3g to %.3g within %d "
         "steps. Stop it and %sdivide its lr by ten",
         stage->name, t->collapse.first, thaw_collapse_recent_loss(&t->collapse), t->collapse.steps,
         stage->norm == THAW_NORM_TRAIN ? "" : "write norm: train, or ");
}
