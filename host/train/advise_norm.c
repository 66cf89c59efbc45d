/* How far the statistics of photos are from those that batch norm layers have stored: of each
 * layer's input in inference mode, where the layers below use what they have stored. (With
 * thaw_norm_refresh() they would use the photos' own, and a shift would show in one layer alone.)
 */
#include <math.h>
#include <stdlib.h>

#include "ops/batchnorm.h"
#include "train/advise_internal.h"

#define IMAGES 256
#define DEAD_VARIANCE 1e-10
struct layer {
    int node; /* of the norm; what it normalises is its input */
    size_t channels;
    double *mean, *square; /* running moments over images and pixels: mean and M2 */
    float *stored_mean, *stored_variance;
    double count;
};

struct layers {
    struct thaw_advise_work *w;
    struct layer *items;
    int *nodes;
    size_t count;
};

static thaw_status find_layers(struct layers *l) {
    struct thaw_advise_work *w = l->w;
    const struct thaw_graph *graph = w->experiment->graph;
    l->items = thaw_arena_array(&w->scratch, graph->node_count, sizeof *l->items);
    l->nodes = thaw_arena_array(&w->scratch, graph->node_count, sizeof *l->nodes);
    if (!l->items || !l->nodes)
        return THAW_ERROR_MEMORY;
    for (int node = 1; node <= graph->features; node++) {
        if (graph->nodes[node].op != &thaw_op_batchnorm)
            continue;
        struct layer *layer = &l->items[l->count];
        size_t channels = (size_t)graph->nodes[node].out.c;
        *layer = (struct layer){.node = node, .channels = channels};
        layer->mean = thaw_arena_array(&w->scratch, channels, sizeof(double));
        layer->square = thaw_arena_array(&w->scratch, channels, sizeof(double));
        layer->stored_mean = thaw_arena_array(&w->scratch, channels, sizeof(float));
        layer->stored_variance = thaw_arena_array(&w->scratch, channels, sizeof(float));
        if (!layer->mean || !layer->square || !layer->stored_mean || !layer->stored_variance)
            return THAW_ERROR_MEMORY;
        const int *params = graph->nodes[node].params;
        THAW_TRY(thaw_param_read(graph, &graph->params[params[2]], layer->stored_mean));
        THAW_TRY(thaw_param_read(graph, &graph->params[params[3]], layer->stored_variance));
        l->nodes[l->count++] = graph->nodes[node].inputs[0];
    }
    return THAW_OK;
}

/* Adds a batch to the moments (Chan et al.: moments of parts, put together). */
static thaw_status add_batch(void *user, size_t k, size_t first, size_t n, const float *maps) {
    struct layers *l = user;
    struct layer *layer = &l->items[k];
    const struct thaw_layout *out = &l->w->experiment->graph->nodes[l->nodes[k]].out;
    size_t pixels = (size_t)out->h * (size_t)out->w;
    double batch = (double)(n * pixels), total = layer->count + batch;
    (void)first;
    for (size_t c = 0; c < layer->channels; c++) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < n; i++)
            for (size_t p = 0; p < pixels; p++)
                sum += (double)maps[(i * layer->channels + c) * pixels + p];
        double mean = sum / batch, delta = mean - layer->mean[c];
        for (size_t i = 0; i < n; i++)
            for (size_t p = 0; p < pixels; p++) {
                double centred = (double)maps[(i * layer->channels + c) * pixels + p] - mean;
                square += centred * centred;
            }
        layer->mean[c] += delta * batch / total;
        layer->square[c] += square + delta * delta * layer->count * batch / total;
    }
    layer->count = total;
    return THAW_OK;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* `values` is left sorted. */
static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return count ? 0.5 * (values[(count - 1) / 2] + values[count / 2]) : 0;
}

static void judge_layer(const struct thaw_graph *graph, const struct layer *layer,
                        struct thaw_advice_norm *norm) {
    double eps = (double)thaw_batchnorm_eps(graph->nodes[layer->node].attrs), sum = 0;
    norm->channels = layer->channels;
    for (size_t c = 0; c < layer->channels; c++) {
        double variance = (double)layer->stored_variance[c];
        if (variance < DEAD_VARIANCE) { /* as thaw_norm_find_dead() has it: never moved */
            norm->dead++;
            continue;
        }
        double deviation = sqrt(variance + eps);
        double shift = (layer->mean[c] - (double)layer->stored_mean[c]) / deviation;
        double stretch = sqrt(layer->square[c] / layer->count + eps) / deviation - 1;
        sum += shift * shift + stretch * stretch;
    }
    size_t live = norm->channels - norm->dead;
    norm->distance = live ? sum / (double)live : 0;
}

thaw_status thaw_advise_norms(struct thaw_advise_work *w) {
    const struct thaw_graph *graph = w->experiment->graph;
    struct layers l = {.w = w};
    THAW_TRY(find_layers(&l));
    if (!l.count)
        return THAW_OK;
    THAW_TRY(thaw_advise_run(w, l.nodes, l.count, w->count < IMAGES ? w->count : IMAGES,
                             "measuring statistics", add_batch, &l));
    double *scratch = thaw_arena_array(&w->scratch, l.count, sizeof *scratch);
    w->m.norms = thaw_arena_array(w->arena, l.count, sizeof *w->m.norms);
    if (!scratch || !w->m.norms)
        return THAW_ERROR_MEMORY;
    for (size_t k = 0; k < l.count; k++) {
        judge_layer(graph, &l.items[k], &w->m.norms[k]);
        w->m.norms[k].name = thaw_arena_copy(w->arena, graph->nodes[l.items[k].node].name);
        if (!w->m.norms[k].name)
            return THAW_ERROR_MEMORY;
    }
    for (size_t k = 0; k < l.count; k++)
        scratch[k] = w->m.norms[k].distance;
    w->m.norm_count = l.count;
    w->m.norm_median = median(scratch, l.count);
    return THAW_OK;
}
