#include "train/norm_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEAD_VARIANCE 1e-10 /* far below the eps of any network, 1e-5 to 1e-3 */

/* A layer at work: its statistics so far, and those to put back. */
struct layer {
    const struct thaw_node *node;
    const struct thaw_param *mean_param, *var_param;
    size_t channels;
    double count; /* values of a channel */
    double *mean, *m2;
    float *batch_mean, *batch_var, *old_mean, *old_var;
};

struct work {
    const struct thaw_norm_refresh *r;
    struct thaw_arena arena;
    struct layer *layers;
    size_t layer_count;
    int last;                           /* node */
    bool *trainable, *batch_statistics; /* of the graph, as they were */
    thaw_exec *exec;
    uint32_t *rows;
};

/* ---- set-up --------------------------------------------------------------------------------- */

/* The statistics of a node are two parameters, mean before variance. */
static bool find_statistics(const struct thaw_graph *graph, const struct thaw_node *node,
                            const struct thaw_param **ret_mean, const struct thaw_param **ret_var) {
    const struct thaw_param *found[2] = {NULL, NULL};
    int count = 0;
    for (int p = 0; p < node->param_count; p++) {
        const struct thaw_param *param = &graph->params[node->params[p]];
        if (param->spec->kind == THAW_PARAM_STATISTIC && count < 2)
            found[count++] = param;
    }
    *ret_mean = found[0];
    *ret_var = found[1];
    return count == 2 && node->op && node->op->normalises;
}

static thaw_status make_layer(struct work *w, const struct thaw_node *node) {
    struct layer *layer = &w->layers[w->layer_count];
    *layer = (struct layer){.node = node, .channels = (size_t)node->out.c};
    find_statistics(w->r->graph, node, &layer->mean_param, &layer->var_param);
    size_t channels = layer->channels;
    layer->mean = thaw_arena_array(&w->arena, 2 * channels, sizeof *layer->mean);
    layer->batch_mean = thaw_arena_array(&w->arena, 4 * channels, sizeof(float));
    if (!layer->mean || !layer->batch_mean)
        return THAW_ERROR_MEMORY;
    layer->m2 = layer->mean + channels;
    layer->batch_var = layer->batch_mean + channels;
    layer->old_mean = layer->batch_var + channels;
    layer->old_var = layer->old_mean + channels;
    THAW_TRY(thaw_param_read(w->r->graph, layer->mean_param, layer->old_mean));
    THAW_TRY(thaw_param_read(w->r->graph, layer->var_param, layer->old_var));
    w->layer_count++;
    return THAW_OK;
}

/* For the executable nothing is trained, and the chosen layers alone use batch statistics. */
static thaw_status mark_graph(struct work *w) {
    struct thaw_graph *graph = w->r->graph;
    bool *trainable = thaw_arena_array(&w->arena, graph->param_count + 1, sizeof *trainable);
    bool *statistics = thaw_arena_array(&w->arena, graph->node_count + 1, sizeof *statistics);
    if (!trainable || !statistics)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->param_count; i++) {
        trainable[i] = graph->params[i].trainable;
        graph->params[i].trainable = false;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        statistics[i] = graph->nodes[i].batch_statistics;
        graph->nodes[i].batch_statistics = w->r->nodes[i];
    }
    w->trainable = trainable;
    w->batch_statistics = statistics;
    return THAW_OK;
}

static void unmark_graph(struct work *w) {
    struct thaw_graph *graph = w->r->graph;
    for (size_t i = 0; w->trainable && i < graph->param_count; i++)
        graph->params[i].trainable = w->trainable[i];
    for (size_t i = 0; w->batch_statistics && i < graph->node_count; i++)
        graph->nodes[i].batch_statistics = w->batch_statistics[i];
}

static thaw_status set_up(struct work *w, bool plan_only) {
    const struct thaw_norm_refresh *r = w->r;
    struct thaw_graph *graph = r->graph;
    w->layers = thaw_arena_array(&w->arena, graph->node_count + 1, sizeof *w->layers);
    w->rows = thaw_arena_array(&w->arena, (size_t)r->batch + 1, sizeof *w->rows);
    if (!w->layers || !w->rows)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        if (r->nodes[i]) {
            THAW_TRY(make_layer(w, &graph->nodes[i]));
            w->last = (int)i;
        }
    THAW_TRY(mark_graph(w));
    struct thaw_exec_options options = {.batch = r->batch,
                                        .start = r->start,
                                        .keep = &w->last,
                                        .keep_count = 1,
                                        .only_keep = true,
                                        .training = true,
                                        .plan_only = plan_only,
                                        .conv_candidate = r->conv_candidate};
    return thaw_exec_create(graph, &options, &w->exec);
}

/* ---- measuring ------------------------------------------------------------------------------ */

/* The running statistics of a layer are now those of a batch of `images`. */
static thaw_status add_batch(struct work *w, struct layer *layer, int images) {
    const struct thaw_graph *graph = w->r->graph;
    double n = (double)images * layer->node->out.h * layer->node->out.w, total = layer->count + n;
    THAW_TRY(thaw_param_read(graph, layer->mean_param, layer->batch_mean));
    THAW_TRY(thaw_param_read(graph, layer->var_param, layer->batch_var));
    for (size_t c = 0; c < layer->channels; c++) {
        double delta = (double)layer->batch_mean[c] - layer->mean[c];
        layer->mean[c] += delta * n / total;
        layer->m2[c] +=
            (double)layer->batch_var[c] * (n - 1) + delta * delta * layer->count * n / total;
    }
    layer->count = total;
    return THAW_OK;
}

/* A last batch of one image has no variance where the map is one pixel: it takes one from the batch
 * before it. */
static int choose_batch(const struct work *w, size_t first) {
    const struct thaw_norm_refresh *r = w->r;
    size_t batch = (size_t)r->batch, left = r->members.count - first;
    size_t count = left == batch + 1 && batch > 2 ? batch - 1 : left < batch ? left : batch;
    for (size_t i = 0; i < count; i++)
        w->rows[i] = thaw_members_row(&r->members, first + i);
    return (int)count;
}

static thaw_status measure_batch(struct work *w, size_t first, int *ret_count) {
    const struct thaw_norm_refresh *r = w->r;
    const struct thaw_members *members = &r->members;
    int count = choose_batch(w, first);
    THAW_TRY(thaw_feed_fill(members->feed, members->photos, w->rows, count, r->epoch, r->augment,
                            thaw_exec_input(w->exec), NULL));
    int next = choose_batch(w, first + (size_t)count);
    THAW_TRY(thaw_feed_announce(members->feed, members->photos, w->rows, next));
    struct thaw_op_step step = {
        .batch = count, .seed = r->seed, .counter = (uint32_t)first, .norm_momentum = 1};
    THAW_TRY(thaw_exec_forward(w->exec, &step));
    for (size_t i = 0; i < w->layer_count; i++)
        THAW_TRY(add_batch(w, &w->layers[i], count));
    *ret_count = count;
    return THAW_OK;
}

static thaw_status measure(struct work *w) {
    const struct thaw_norm_refresh *r = w->r;
    for (size_t first = 0; first < r->members.count;) {
        int count = 0;
        THAW_TRY(measure_batch(w, first, &count));
        first += (size_t)count;
        if (r->progress)
            THAW_TRY(r->progress(r->user, first, r->members.count));
    }
    return THAW_OK;
}

/* ---- the result ----------------------------------------------------------------------------- */

static thaw_status write_layer(const struct work *w, const struct layer *layer, bool restore) {
    const struct thaw_graph *graph = w->r->graph;
    for (size_t c = 0; c < layer->channels && !restore; c++) {
        layer->batch_mean[c] = (float)layer->mean[c];
        layer->batch_var[c] = (float)(layer->m2[c] / (layer->count - 1));
    }
    THAW_TRY(
        thaw_param_write(graph, layer->mean_param, restore ? layer->old_mean : layer->batch_mean));
    return thaw_param_write(graph, layer->var_param, restore ? layer->old_var : layer->batch_var);
}

static void finish(struct work *w) {
    thaw_exec_destroy(&w->exec);
    unmark_graph(w);
    thaw_arena_finish(&w->arena);
}

thaw_status thaw_norm_refresh(const struct thaw_norm_refresh *refresh) {
    struct work w = {.r = refresh};
    thaw_status status = set_up(&w, false);
    if (status == THAW_OK)
        status = measure(&w);
    for (size_t i = 0; i < w.layer_count; i++) {
        thaw_status written = write_layer(&w, &w.layers[i], status != THAW_OK);
        status = status == THAW_OK ? written : status;
    }
    finish(&w);
    return status;
}

thaw_status thaw_norm_refresh_memory(const struct thaw_norm_refresh *refresh,
                                     struct thaw_exec_memory *ret_memory) {
    struct work w = {.r = refresh};
    thaw_status status = set_up(&w, true);
    if (status == THAW_OK)
        *ret_memory = thaw_exec_memory(w.exec);
    finish(&w);
    return status;
}

/* ---- dead channels -------------------------------------------------------------------------- */

void thaw_norm_dead_text(const struct thaw_norm_dead *dead, struct thaw_text *text) {
    if (dead->dead)
        thaw_text_append(text,
                         "%zu of %zu channels of norm layers have no variance, in %d layer%s (%zu "
                         "in %s): their outputs are constants",
                         dead->dead, dead->channels, dead->layers, dead->layers == 1 ? "" : "s",
                         dead->worst_dead, dead->worst);
}

thaw_status thaw_norm_find_dead(const struct thaw_graph *graph, struct thaw_norm_dead *ret_dead) {
    struct thaw_norm_dead dead = {0};
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct thaw_param *mean, *var;
        if (!find_statistics(graph, &graph->nodes[n], &mean, &var))
            continue;
        size_t count = thaw_param_count_values(var), here = 0;
        float *values = malloc((count + 1) * sizeof *values);
        thaw_status status = values ? thaw_param_read(graph, var, values)
                                    : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
        for (size_t c = 0; status == THAW_OK && c < count; c++)
            here += (double)values[c] < DEAD_VARIANCE;
        free(values);
        THAW_TRY(status);
        dead.channels += count;
        dead.dead += here;
        dead.layers += here > 0;
        if (here > dead.worst_dead) {
            dead.worst = graph->nodes[n].name;
            dead.worst_dead = here;
        }
    }
    *ret_dead = dead;
    return THAW_OK;
}
