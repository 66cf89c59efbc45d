#include "cli/plan_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "train/probe.h"
#include "train/trainer.h"

#define COUNT(n) thaw_format_count((uint64_t)(n), (char[THAW_FORMAT_SIZE]){0})
#define BYTES(n) thaw_format_bytes((uint64_t)(n), (char[THAW_FORMAT_SIZE]){0})

const char *thaw_plan_part_name(const struct thaw_graph *graph, int part) {
    if (part < 0)
        return "(other)";
    return part == (int)graph->stage_count ? "head" : graph->stages[part].name;
}

int thaw_plan_part_of(const struct thaw_graph *graph, size_t param) {
    return thaw_graph_stage_of(graph, graph->params[param].node);
}

/* ---- the model ------------------------------------------------------------------------------ */

static void print_classes(const struct thaw_plan_view *v) {
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

static thaw_status print_weights(const struct thaw_plan_view *v) {
    if (!v->config->weights) {
        printf("  weights     none: every tensor starts random\n");
        return THAW_OK;
    }
    char *summary = thaw_format_load(&v->experiment->report);
    if (!summary)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    printf("  weights     %s\n              %s\n", v->config->weights, summary);
    free(summary);
    struct thaw_text dead = {0};
    thaw_norm_dead_text(v->dead, &dead);
    if (dead.length && !dead.failed)
        printf("              %s\n", dead.text);
    thaw_text_finish(&dead);
    return THAW_OK;
}

static thaw_status print_model(const struct thaw_plan_view *v) {
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
static void print_factors(const struct thaw_plan_view *v, const struct thaw_plan_stage *s,
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
static void print_treatment(const struct thaw_plan_view *v, const struct thaw_plan_stage *s,
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
static const char *norm_text(const struct thaw_plan_view *v, const struct thaw_plan_stage *s,
                             int part) {
    size_t count = 0, moving = 0;
    for (size_t i = 0; i < v->graph->param_count; i++)
        if (thaw_plan_part_of(v->graph, i) == part &&
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
static void print_part(const struct thaw_plan_view *v, const struct thaw_plan_stage *s, int part) {
    bool first = true;
    const struct thaw_graph *graph = v->graph;
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_plan_tensor *tensor = &s->tensors[i];
        size_t tensors = 0, values = 0;
        bool seen = false;
        if (thaw_plan_part_of(graph, i) != part ||
            graph->params[i].spec->kind == THAW_PARAM_STATISTIC)
            continue;
        for (size_t j = 0; j < graph->param_count; j++) {
            if (thaw_plan_part_of(graph, j) != part ||
                graph->params[j].spec->kind == THAW_PARAM_STATISTIC ||
                !same_treatment(tensor, &s->tensors[j]))
                continue;
            seen |= j < i;
            tensors++;
            values += thaw_param_count_values(&graph->params[j]);
        }
        if (seen)
            continue;
        printf("  %-12s %5zu tensors %13s values  ", first ? thaw_plan_part_name(graph, part) : "",
               tensors, COUNT(values));
        print_treatment(v, s, tensor);
        printf("%s\n", first ? norm_text(v, s, part) : "");
        first = false;
    }
}

/* What the norm layer that a tensor belongs to goes by. */
static const char *node_norm(const struct thaw_plan_view *v, const struct thaw_plan_stage *s,
                             size_t param) {
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
static void print_source(const struct thaw_plan_view *v, size_t param) {
    const struct thaw_param *p = &v->graph->params[param];
    const char *source = v->plan->sources[param];
    if (!source)
        printf(p->new_head ? "initialised: new head" : "initialised");
    else if (!strcmp(source, p->name))
        printf("loaded");
    else
        printf("loaded as %s", source);
}

static void print_tensors(const struct thaw_plan_view *v, const struct thaw_plan_stage *s) {
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

static void print_cache(const struct thaw_plan_view *v, const struct thaw_plan_stage *s) {
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
    if (s->stage.part)
        printf("  batches      in parts of %d images, whose gradients add up: device.memory\n",
               s->stage.part);
    printf("  memory       %s to train, %s to validate, %s for the optimizer",
           BYTES(thaw_exec_memory_bytes(&s->memory)), BYTES(thaw_exec_memory_bytes(&s->evaluation)),
           BYTES(s->optimizer_bytes));
    if (s->session.start)
        printf("; %s to fill the cache", BYTES(thaw_exec_memory_bytes(&s->caching)));
    if (s->refreshing.pool_bytes)
        printf("; %s to measure statistics", BYTES(thaw_exec_memory_bytes(&s->refreshing)));
    if (s->choosing_bytes)
        printf("; %s in all for pilots", BYTES(s->choosing_bytes));
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

static void print_time(const struct thaw_plan_view *v, const struct thaw_plan_stage *s) {
    struct thaw_plan_time time = thaw_plan_time(v->experiment, s);
    printf("  time         %s a step, %s an epoch with validation", DURATION(s->step_s),
           DURATION(time.epoch_s));
    if (s->session.start)
        printf(", %s to fill the cache", DURATION(time.caching_s));
    printf(", %s in all%s\n", DURATION(time.total_s),
           s->session.stage->early_stop_patience ? " unless it stops early" : "");
}

static void print_stage(const struct thaw_plan_view *v, size_t index) {
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

thaw_status thaw_plan_print_document(const struct thaw_config *config, const char *title) {
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

thaw_status thaw_plan_print(const struct thaw_plan_view *v) {
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
        THAW_TRY(
            thaw_plan_print_document(v->config, "The experiment with all that it stands for:"));
    return THAW_OK;
}
