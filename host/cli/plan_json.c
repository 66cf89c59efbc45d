#include "cli/format.h"
#include "cli/plan_view.h"
#include "train/probe.h"

static json_t *tensors_json(const struct thaw_plan_view *v, const struct thaw_plan_stage *s) {
    json_t *list = json_array();
    for (size_t i = 0; i < v->graph->param_count; i++) {
        const struct thaw_param *param = &v->graph->params[i];
        const struct thaw_plan_tensor *tensor = &s->tensors[i];
        int64_t dims[4];
        int rank = thaw_param_dims(param, dims);
        json_t *shape = json_array();
        for (int d = 0; d < rank; d++)
            json_array_append_new(shape, json_integer((json_int_t)dims[d]));
        const struct thaw_lr_rule *rule = tensor->rule;
        const struct thaw_schedule *schedules = s->session.rule_schedules;
        const char *schedule = !tensor->trained ? NULL
                               : rule->schedule
                                   ? schedules[rule - s->session.stage->lr_rules].type->type
                                   : s->session.schedule.type->type;
        json_array_append_new(
            list, json_pack("{s:s?, s:o, s:o, s:s, s:b, s:f, s:f, s:b, s:o, s:b}", "schedule",
                            schedule, "name", thaw_json_text(param->name), "shape", shape, "part",
                            thaw_plan_part_name(v->graph, thaw_plan_part_of(v->graph, i)),
                            "trained", (int)tensor->trained, "lr", tensor->lr, "weight_decay",
                            tensor->weight_decay, "moves", (int)tensor->moves, "loaded_as",
                            v->plan->sources[i] ? thaw_json_text(v->plan->sources[i]) : json_null(),
                            "new_head", (int)param->new_head));
    }
    return list;
}

/* Null for what the experiment says itself. */
static json_t *auto_json(const struct thaw_auto *a) {
    if (!a)
        return json_null();
    json_t *depths = json_array();
    for (size_t i = 0; i < a->candidate_count; i++)
        json_array_append_new(depths, json_string(a->candidates[i].name));
    return json_pack("{s:o, s:i, s:i, s:s, s:s, s:f}", "depth", depths, "folds", a->folds, "epochs",
                     a->epochs, "metric", thaw_metric_names[a->metric], "rule",
                     thaw_auto_rule_names[a->rule], "budget_s", a->budget_s);
}

static json_t *probe_json(const struct thaw_lr_rule *rule) {
    if (!rule)
        return json_null();
    json_t *rates = json_array();
    for (size_t i = 0; i < rule->probe->count; i++)
        json_array_append_new(rates, json_string(rule->probe->rates[i].place->text));
    return json_pack("{s:o, s:i}", "rates", rates, "epochs", rule->probe->epochs);
}

static json_t *time_json(const struct thaw_plan_view *v, const struct thaw_plan_stage *s) {
    struct thaw_plan_time time = thaw_plan_time(v->experiment, s);
    if (!(s->step_s > 0))
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f}", "step_s", s->step_s, "caching_s", time.caching_s,
                     "epoch_s", time.epoch_s, "total_s", time.total_s);
}

static json_t *stage_json(const struct thaw_plan_view *v, const struct thaw_plan_stage *s) {
    json_t *cache = json_null();
    if (s->session.start)
        cache = json_pack("{s:s, s:I}", "node", v->graph->nodes[s->session.start].name, "bytes",
                          (json_int_t)s->cache_bytes);
    json_t *memory = json_pack("{s:I, s:I, s:I, s:I}", "training_bytes",
                               (json_int_t)thaw_exec_memory_bytes(&s->memory), "evaluation_bytes",
                               (json_int_t)thaw_exec_memory_bytes(&s->evaluation), "caching_bytes",
                               (json_int_t)thaw_exec_memory_bytes(&s->caching), "optimizer_bytes",
                               (json_int_t)s->optimizer_bytes);
    json_object_set_new(memory, "images_at_once", json_integer(thaw_stage_part(&s->stage)));
    json_object_set_new(memory, "staging_bytes", json_integer((json_int_t)s->staging_bytes));
    json_object_set_new(memory, "pilots_bytes", json_integer((json_int_t)s->choosing_bytes));
    json_object_set_new(memory, "peak_bytes", json_integer((json_int_t)s->peak_bytes));
    return json_pack(
        "{s:s, s:i, s:i, s:I, s:I, s:s, s:s, s:s, s:I, s:o, s:o, s:f, s:o, s:o, s:o, s:o, s:s?}",
        "stage", s->session.stage->name, "epochs", s->session.stage->epochs, "batch",
        s->session.stage->batch, "steps_per_epoch", (json_int_t)s->session.steps_per_epoch, "steps",
        (json_int_t)s->steps, "optimizer", s->session.optimizer.type->type, "schedule",
        s->session.schedule.type->type, "norm", thaw_norm_mode_names[s->session.stage->norm],
        "trained_values", (json_int_t)s->trained_values, "cache", cache, "memory", memory,
        "step_flops", s->step_flops, "auto", auto_json(s->session.stage->automatic), "probe",
        probe_json(thaw_probe_rule(s->session.stage)), "tensors", tensors_json(v, s), "time",
        time_json(v, s), "average", s->session.average.type ? s->session.average.type->type : NULL);
}

json_t *thaw_plan_json(const struct thaw_plan_view *v) {
    const struct thaw_dataset *dataset = v->experiment->dataset;
    const struct thaw_layout *in = &v->graph->nodes[0].out;
    json_t *stages = json_array(), *classes = json_array();
    for (size_t i = 0; i < v->plan->stage_count; i++)
        json_array_append_new(stages, stage_json(v, &v->plan->stages[i]));
    for (size_t i = 0; i < dataset->class_count; i++)
        json_array_append_new(classes, thaw_json_text(dataset->classes[i]));
    json_t *photos =
        json_pack("{s:I, s:I, s:I}", "train", (json_int_t)dataset->set_counts[THAW_SET_TRAIN],
                  "val", (json_int_t)dataset->set_counts[THAW_SET_VAL], "test",
                  (json_int_t)dataset->set_counts[THAW_SET_TEST]);
    json_t *weights = v->config->weights
                          ? thaw_json_load(v->config->weights, &v->experiment->report)
                          : json_null();
    return json_pack(
        "{s:o, s:o, s:[i, i, i], s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:I, s:I}", "name",
        thaw_json_text(v->config->name), "model", thaw_json_text(v->graph->name), "input", in->c,
        in->h, in->w, "parameters", (json_int_t)v->plan->parameter_values, "parameter_bytes",
        (json_int_t)v->plan->parameter_bytes, "weights", weights, "classes", classes, "photos",
        photos, "peak_bytes", (json_int_t)v->plan->peak_bytes, "stages", stages, "norm_channels",
        (json_int_t)v->dead->channels, "dead_channels", (json_int_t)v->dead->dead);
}
