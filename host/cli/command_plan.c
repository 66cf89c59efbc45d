/* thaw plan: what a training run would do, without doing it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "train/plan.h"
#include "train/probe.h"
#include "train/trainer.h"

#define COUNT(n) thaw_format_count((uint64_t)(n), (char[THAW_FORMAT_SIZE]){0})
#define BYTES(n) thaw_format_bytes((uint64_t)(n), (char[THAW_FORMAT_SIZE]){0})

struct view {
    const struct thaw_cli *cli;
    const struct thaw_config *config;
    const struct thaw_experiment *experiment;
    const struct thaw_graph *graph;
    const struct thaw_plan *plan;
};

/* The name of the part of the network that a tensor is in. */
static const char *part_name(const struct thaw_graph *graph, int part) {
    if (part < 0)
        return "(other)";
    return part == (int)graph->stage_count ? "head" : graph->stages[part].name;
}

static int part_of(const struct thaw_graph *graph, size_t param) {
    return thaw_graph_stage_of(graph, graph->params[param].node);
}

/* ---- the model ------------------------------------------------------------------------------ */

static void print_classes(const struct view *v) {
    const struct thaw_dataset *dataset = v->experiment->dataset;
    size_t shown = v->cli->verbose || dataset->class_count <= 8 ? dataset->class_count : 6;
    printf("  classes     %zu: ", dataset->class_count);
    for (size_t i = 0; i < shown; i++)
        printf("%s%s", i ? ", " : "", dataset->classes[i]);
    printf(shown < dataset->class_count ? ", ...\n" : "\n");
}

static void print_head(const struct thaw_graph *graph) {
    printf("  head        after %s:", graph->nodes[graph->features].name);
    for (size_t i = (size_t)graph->features + 1; i < graph->node_count; i++)
        printf(" %s", graph->nodes[i].name);
    printf(", %d classes\n", graph->nodes[graph->output].out.c);
}

static thaw_status print_weights(const struct view *v) {
    if (!v->config->weights) {
        printf("  weights     none: every tensor starts random\n");
        return THAW_OK;
    }
    char *summary = thaw_format_load(&v->experiment->report);
    if (!summary)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    printf("  weights     %s\n              %s\n", v->config->weights, summary);
    free(summary);
    return THAW_OK;
}

static thaw_status print_model(const struct view *v) {
    const struct thaw_graph *graph = v->graph;
    const struct thaw_layout *in = &graph->nodes[0].out;
    const size_t *sets = v->experiment->dataset->set_counts;
    double lr = v->config->reference_lr > 0 ? v->config->reference_lr : graph->reference_lr;
    int batch = v->config->reference_batch ? v->config->reference_batch : graph->reference_batch;
    char *folder = thaw_train_folder(v->cli->arena, v->config);
    if (!folder)
        return THAW_ERROR_MEMORY;
    printf("%s: %s, input %d x %d x %d\n", v->config->name, graph->name, in->c, in->h, in->w);
    printf("  parameters  %s values, %s with statistics and padding\n",
           COUNT(v->plan->parameter_values), BYTES(v->plan->parameter_bytes));
    if (lr > 0)
        printf("  lr 1x       %g at batch %d\n", lr, batch);
    print_head(graph);
    THAW_TRY(print_weights(v));
    print_classes(v);
    printf("  photos      %s to train, %s to validate, %s to test\n", COUNT(sets[THAW_SET_TRAIN]),
           COUNT(sets[THAW_SET_VAL]), COUNT(sets[THAW_SET_TEST]));
    printf("  run folder  %s\n", folder);
    return THAW_OK;
}

/* ---- tensors of a stage --------------------------------------------------------------------- */

static bool same_treatment(const struct thaw_plan_tensor *a, const struct thaw_plan_tensor *b) {
    return a->trained == b->trained && a->rule == b->rule && a->distance == b->distance;
}

/* " = 0.1 x 0.1 x 32/256": how a relative rate became what it is. */
static void print_factors(const struct view *v, const struct thaw_plan_stage *s,
                          const struct thaw_plan_tensor *tensor) {
    const struct thaw_lr_rule *rule = tensor->rule;
    const struct thaw_config *config = v->config;
    double lr = config->reference_lr > 0 ? config->reference_lr : v->graph->reference_lr;
    int batch = config->reference_batch ? config->reference_batch : v->graph->reference_batch;
    if (!rule->lr.relative && !(rule->decay > 0))
        return;
    printf(" = %g", rule->lr.value);
    if (rule->lr.relative)
        printf(" x %g x %d/%d", lr, s->session.stage->batch, batch);
    if (rule->decay > 0)
        printf(" x %g^%d", rule->decay, tensor->distance);
}

/* "lr 0.00125 = 0.1 x 0.1 x 32/256, decay 0.0001" or "frozen". */
static void print_treatment(const struct view *v, const struct thaw_plan_stage *s,
                            const struct thaw_plan_tensor *tensor) {
    if (!tensor->trained) {
        printf("frozen");
        return;
    }
    const struct thaw_lr_rule *rule = tensor->rule;
    printf("lr %g", tensor->lr);
    print_factors(v, s, tensor);
    if (rule->schedule)
        printf(", schedule %s",
               s->session.rule_schedules[rule - s->session.stage->lr_rules].type->type);
    if (tensor->weight_decay > 0)
        printf(", decay %g", tensor->weight_decay);
}

/* What the norm layers of a part do: of its statistics, all move, none does, or some. */
static const char *norm_text(const struct view *v, const struct thaw_plan_stage *s, int part) {
    size_t count = 0, moving = 0;
    for (size_t i = 0; i < v->graph->param_count; i++)
        if (part_of(v->graph, i) == part &&
            v->graph->params[i].spec->kind == THAW_PARAM_STATISTIC) {
            count++;
            moving += s->tensors[i].moves;
        }
    if (!count)
        return "";
    return !moving           ? "; norm by running statistics"
           : moving == count ? "; norm by batch statistics"
                             : "; norm by batch statistics where trained";
}

/* A line for each treatment within one part of the network. Statistics follow their layer and are
 * not counted. */
static void print_part(const struct view *v, const struct thaw_plan_stage *s, int part) {
    bool first = true;
    const struct thaw_graph *graph = v->graph;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_plan_tensor *tensor = &s->tensors[i];
        size_t tensors = 0, values = 0;
        bool seen = false;
        if (part_of(graph, i) != part || graph->params[i].spec->kind == THAW_PARAM_STATISTIC)
            continue;
        for (size_t j = 0; j < graph->param_count; j++) {
            if (part_of(graph, j) != part || graph->params[j].spec->kind == THAW_PARAM_STATISTIC ||
                !same_treatment(tensor, &s->tensors[j]))
                continue;
            seen |= j < i;
            tensors++;
            values += thaw_param_count_values(&graph->params[j]);
        }
        if (seen)
            continue;
        printf("  %-12s %5zu tensors %13s values  ", first ? part_name(graph, part) : "", tensors,
               COUNT(values));
        print_treatment(v, s, tensor);
        printf("%s\n", first ? norm_text(v, s, part) : "");
        first = false;
    }
}

/* What the norm layer that a tensor belongs to goes by. */
static const char *node_norm(const struct view *v, const struct thaw_plan_stage *s, size_t param) {
    const struct thaw_graph *graph = v->graph;
    int node = graph->params[param].node;
    if (!graph->nodes[node].op->normalises)
        return "";
    for (size_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].node == node && s->tensors[i].moves)
            return "; norm by batch statistics";
    return "; norm by running statistics";
}

/* Where the tensor's first values come from. */
static void print_source(const struct view *v, size_t param) {
    const struct thaw_param *p = &v->graph->params[param];
    const char *source = v->plan->sources[param];
    if (!source)
        printf(p->new_head ? "initialised: new head" : "initialised");
    else if (!strcmp(source, p->name))
        printf("loaded");
    else
        printf("loaded as %s", source);
}

static void print_tensors(const struct view *v, const struct thaw_plan_stage *s) {
    for (size_t i = 0; i < v->graph->param_count; i++) {
        const struct thaw_param *param = &v->graph->params[i];
        int64_t dims[4];
        char shape[THAW_SHAPE_TEXT_SIZE];
        thaw_shape_text(thaw_param_dims(param, dims), dims, shape);
        printf("    %-48s %-16s ", param->name, shape);
        if (s->tensors[i].moves)
            printf("moves with the batches");
        else
            print_treatment(v, s, &s->tensors[i]);
        printf("%s; ", node_norm(v, s, i));
        print_source(v, i);
        printf("\n");
    }
}

/* ---- stages --------------------------------------------------------------------------------- */

static void print_cache(const struct view *v, const struct thaw_plan_stage *s) {
    const struct thaw_layout *out = &v->graph->nodes[s->session.start].out;
    printf("  cache        %s of %s images x %d x %d x %d %s, computed once at %s",
           BYTES(s->cache_bytes), COUNT(s->cache_images), out->c, out->h, out->w,
           thaw_cache_dtype_names[s->session.stage->cache_dtype],
           v->graph->nodes[s->session.start].name);
    if (s->session.stage->cache_views)
        printf(" (%d augmented views to train)", s->session.stage->cache_views);
    printf("\n");
}

static void print_memory(const struct thaw_plan_stage *s) {
    printf("  memory       %s to train, %s to validate, %s for the optimizer",
           BYTES(thaw_plan_exec_bytes(&s->memory)), BYTES(thaw_plan_exec_bytes(&s->evaluation)),
           BYTES(s->optimizer_bytes));
    if (s->session.start)
        printf("; %s to fill the cache", BYTES(thaw_plan_exec_bytes(&s->caching)));
    printf("\n  arithmetic   %.3g GFLOP a step, %.3g TFLOP in all\n", 1e-9 * s->step_flops,
           1e-12 * (s->step_flops * (double)s->steps + s->cache_flops));
}

/* What pilots decide when the stage begins. */
static void print_choices(const struct thaw_stage *stage) {
    const struct thaw_auto *a = stage->automatic;
    const struct thaw_lr_rule *rule = thaw_probe_rule(stage);
    for (size_t i = 0; rule && i < rule->probe->count; i++)
        printf("%s%s", i ? ", " : "  probe        the lr is chosen when the stage begins: ",
               rule->probe->rates[i].place->text);
    if (rule)
        printf("; by the loss after %d epochs on a fold; shown at %s\n", rule->probe->epochs,
               rule->lr.place->text);
    for (size_t i = 0; a && i < a->candidate_count; i++)
        printf("%s%s", i ? ", " : "  auto         the depth is chosen when the stage begins: ",
               a->candidates[i].name);
    if (a)
        printf("; by %s over %d folds x %d epochs, %s; shown as %s\n", thaw_metric_names[a->metric],
               a->folds, a->epochs, thaw_auto_rule_names[a->rule], a->deepest ? a->deepest : "0");
}

static const char *duration(double time_s, char text[THAW_FORMAT_SIZE]) {
    int whole_s = (int)(time_s + 0.5);
    if (time_s < 60)
        snprintf(text, THAW_FORMAT_SIZE, "%.3g s", time_s);
    else
        snprintf(text, THAW_FORMAT_SIZE, "%d:%02d:%02d", whole_s / 3600, whole_s / 60 % 60,
                 whole_s % 60);
    return text;
}
#define DURATION(time_s) duration((time_s), (char[THAW_FORMAT_SIZE]){0})

static void print_time(const struct view *v, const struct thaw_plan_stage *s) {
    struct thaw_plan_time time = thaw_plan_time(v->experiment, s);
    printf("  time         %s a step, %s an epoch with validation", DURATION(s->step_s),
           DURATION(time.epoch_s));
    if (s->session.start)
        printf(", %s to fill the cache", DURATION(time.caching_s));
    printf(", %s in all%s\n", DURATION(time.total_s),
           s->session.stage->early_stop_patience ? " unless it stops early" : "");
}

static void print_stage(const struct view *v, size_t index) {
    const struct thaw_plan_stage *s = &v->plan->stages[index];
    const struct thaw_stage *stage = s->session.stage;
    printf("\nstage %zu of %zu, %s: %d epochs x %lld steps of %d images = %s steps\n", index + 1,
           v->plan->stage_count, stage->name, stage->epochs, (long long)s->session.steps_per_epoch,
           stage->batch, COUNT(s->steps));
    if (stage->phase)
        printf("  thaws with '%s': epochs %d to %d of %d\n", stage->written, stage->first_epoch + 1,
               stage->first_epoch + stage->epochs, stage->whole_epochs);
    printf("  %s, schedule %s, norm %s, %s of %s values trained\n", s->session.optimizer.type->type,
           s->session.schedule.type->type, thaw_norm_mode_names[stage->norm],
           COUNT(s->trained_values), COUNT(v->plan->parameter_values));
    print_choices(stage);
    if (s->session.average.type)
        printf("  averages     %s: %s\n", s->session.average.type->type,
               s->session.average.type->summary);
    for (int part = 0; part < (int)v->graph->stage_count; part++)
        print_part(v, s, part);
    print_part(v, s, -1);
    print_part(v, s, (int)v->graph->stage_count);
    if (v->cli->verbose)
        print_tensors(v, s);
    if (s->session.start)
        print_cache(v, s);
    else if (stage->cache)
        printf("  cache        none: every node has something to train\n");
    print_memory(s);
    if (s->step_s > 0)
        print_time(v, s);
}

static thaw_status print_document(const struct thaw_config *config, const char *title) {
    struct thaw_text text = {0};
    thaw_yaml_emit(config->document, &text);
    if (!text.failed)
        printf("\n# %s\n%s", title, text.text);
    thaw_status status =
        text.failed
            ? thaw_fail(THAW_ERROR_INPUT, "%s: the experiment is not UTF-8 text", config->path)
            : THAW_OK;
    thaw_text_finish(&text);
    return status;
}

/* The stages in place of the regime that stands for them, and the name that the file gave. */
static thaw_status print_expanded(struct thaw_config *config) {
    thaw_yaml *name = thaw_yaml_new_scalar(&config->arena, config->name, config->document);
    if (!name)
        return THAW_ERROR_MEMORY;
    thaw_yaml_drop(config->document, "regime");
    THAW_TRY(thaw_yaml_put(&config->arena, config->document, "name", name));
    return print_document(config, "The experiment with its regime and defaults written out");
}

static thaw_status print_plan(const struct view *v) {
    THAW_TRY(print_model(v));
    for (size_t i = 0; i < v->plan->stage_count; i++)
        print_stage(v, i);
    printf("\n%s of device memory at most, parameters included\n", BYTES(v->plan->peak_bytes));
    double total_s = 0;
    for (size_t i = 0; i < v->plan->stage_count; i++)
        total_s += thaw_plan_time(v->experiment, &v->plan->stages[i]).total_s;
    if (total_s > 0)
        printf("%s in all, from a few steps on random images: reading photos and pilots come on "
               "top\n",
               DURATION(total_s));
    if (v->cli->verbose)
        THAW_TRY(print_document(v->config, "The experiment with all that it stands for:"));
    return THAW_OK;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *tensors_json(const struct view *v, const struct thaw_plan_stage *s) {
    json_t *list = json_array();
    for (size_t i = 0; i < v->graph->param_count; i++) {
        const struct thaw_param *param = &v->graph->params[i];
        const struct thaw_plan_tensor *tensor = &s->tensors[i];
        int64_t dims[4];
        int rank = thaw_param_dims(param, dims);
        json_t *shape = json_array();
        for (int d = 0; d < rank; d++)
            json_array_append_new(shape, json_integer((json_int_t)dims[d]));
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:s, s:b, s:f, s:f, s:b, s:o, s:b}", "name",
                            thaw_json_text(param->name), "shape", shape, "part",
                            part_name(v->graph, part_of(v->graph, i)), "trained",
                            (int)tensor->trained, "lr", tensor->lr, "weight_decay",
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

static json_t *time_json(const struct view *v, const struct thaw_plan_stage *s) {
    struct thaw_plan_time time = thaw_plan_time(v->experiment, s);
    if (!(s->step_s > 0))
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f}", "step_s", s->step_s, "caching_s", time.caching_s,
                     "epoch_s", time.epoch_s, "total_s", time.total_s);
}

static json_t *stage_json(const struct view *v, const struct thaw_plan_stage *s) {
    json_t *cache = json_null();
    if (s->session.start)
        cache = json_pack("{s:s, s:I}", "node", v->graph->nodes[s->session.start].name, "bytes",
                          (json_int_t)s->cache_bytes);
    json_t *memory = json_pack("{s:I, s:I, s:I, s:I}", "training_bytes",
                               (json_int_t)thaw_plan_exec_bytes(&s->memory), "evaluation_bytes",
                               (json_int_t)thaw_plan_exec_bytes(&s->evaluation), "caching_bytes",
                               (json_int_t)thaw_plan_exec_bytes(&s->caching), "optimizer_bytes",
                               (json_int_t)s->optimizer_bytes);
    json_object_set_new(memory, "peak_bytes", json_integer((json_int_t)s->peak_bytes));
    return json_pack(
        "{s:s, s:i, s:i, s:I, s:I, s:s, s:s, s:s, s:I, s:o, s:o, s:f, s:o, s:o, s:o, s:o}", "stage",
        s->session.stage->name, "epochs", s->session.stage->epochs, "batch",
        s->session.stage->batch, "steps_per_epoch", (json_int_t)s->session.steps_per_epoch, "steps",
        (json_int_t)s->steps, "optimizer", s->session.optimizer.type->type, "schedule",
        s->session.schedule.type->type, "norm", thaw_norm_mode_names[s->session.stage->norm],
        "trained_values", (json_int_t)s->trained_values, "cache", cache, "memory", memory,
        "step_flops", s->step_flops, "auto", auto_json(s->session.stage->automatic), "probe",
        probe_json(thaw_probe_rule(s->session.stage)), "tensors", tensors_json(v, s), "time",
        time_json(v, s));
}

static json_t *plan_json(const struct view *v) {
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
        "{s:o, s:o, s:[i, i, i], s:I, s:I, s:o, s:o, s:o, s:I, s:o}", "name",
        thaw_json_text(v->config->name), "model", thaw_json_text(v->graph->name), "input", in->c,
        in->h, in->w, "parameters", (json_int_t)v->plan->parameter_values, "parameter_bytes",
        (json_int_t)v->plan->parameter_bytes, "weights", weights, "classes", classes, "photos",
        photos, "peak_bytes", (json_int_t)v->plan->peak_bytes, "stages", stages);
}

/* ---- the command ---------------------------------------------------------------------------- */

struct values {
    bool measure, expand;
};

static const struct thaw_option options[] = {
    {"measure", 0, THAW_OPTION_FLAG, offsetof(struct values, measure), NULL,
     "run a few steps of each stage on random images, and estimate the time", 0, 0},
    {"expand", 0, THAW_OPTION_FLAG, offsetof(struct values, expand), NULL,
     "print the experiment with its regime and defaults written out as YAML, and nothing else", 0,
     0},
};

static thaw_status plan_experiment(const struct thaw_cli *cli, const struct thaw_config *config,
                                   thaw_device *device, bool measure) {
    struct thaw_experiment experiment = {0};
    struct thaw_plan plan = {0};
    thaw_progress_update(cli->progress, "reading data and weights");
    thaw_status status = thaw_experiment_open(config, device, &experiment);
    if (status == THAW_OK)
        status = measure ? thaw_plan_make_measured(&experiment, &plan)
                         : thaw_plan_make(&experiment, &plan);
    thaw_progress_clear(cli->progress);
    struct view view = {cli, config, &experiment, experiment.graph, &plan};
    if (status == THAW_OK)
        status = cli->json ? thaw_cli_print_json(plan_json(&view)) : print_plan(&view);
    if (status == THAW_OK) /* shown, and refused as train does */
        status = thaw_plan_check_memory(&plan, device);
    thaw_plan_finish(&plan);
    thaw_experiment_finish(&experiment);
    return status;
}

static thaw_status expand(const struct thaw_cli *cli) {
    struct thaw_config config;
    if (cli->json)
        return thaw_fail(THAW_ERROR_INPUT, "--expand prints YAML: leave out --json");
    THAW_TRY(thaw_config_load(cli->arguments.items[0], cli->sets.items, cli->sets.count, &config));
    thaw_status status = print_expanded(&config);
    thaw_config_finish(&config);
    return status;
}

static thaw_status run(const struct thaw_cli *cli, const void *raw) {
    const struct values *values = raw;
    struct thaw_config config;
    if (values->expand)
        return expand(cli);
    thaw_device *device = NULL;
    THAW_TRY(thaw_cli_open_experiment(cli, cli->arguments.items[0], &config, &device));
    thaw_status status = plan_experiment(cli, &config, device, values->measure);
    thaw_device_destroy(&device);
    thaw_config_finish(&config);
    return status;
}

const struct thaw_command thaw_command_plan = {
    .name = "plan",
    .summary = "show what `train` would do: what is trained at which rate, memory, steps",
    .usage = "CONFIG [--set KEY=VALUE]... [--measure | --expand] [--json] [-v]",
    .help =
        "Checks an experiment as `thaw train` would, and shows for each stage what is trained\n"
        "and what is frozen, learning rates, weight decay and norm layers, cached features,\n"
        "steps and memory. With -v also each tensor, and the experiment with its regime\n"
        "written out as YAML. A stage that the device's memory can't hold is refused. Nothing is\n"
        "trained and nothing is written.\n\n"
        "example:\n"
        "  thaw plan pets.yaml --set batch=16 --measure\n"
        "  thaw plan pets.yaml --expand > written-out.yaml\n",
    .takes = THAW_TAKES_DEVICE | THAW_TAKES_SET | THAW_TAKES_JSON,
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .values_size = sizeof(struct values),
    .run = run,
};
