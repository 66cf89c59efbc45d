#include "train/advise_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "train/linear_probe.h"

#define BATCH 16       /* images at a time: maps of all kept nodes are in memory at once */
#define CLASS_FLOOR 10 /* images of each class in the sample, where there are so many */

/* ---- size and sample ------------------------------------------------------------------------ */

static int compare_sizes(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static thaw_status measure_size(struct thaw_advise_work *w, size_t *counts) {
    const struct thaw_dataset *dataset = w->experiment->dataset;
    size_t classes = dataset->class_count;
    for (size_t i = 0; i < dataset->count; i++)
        if (dataset->photos[i].set == THAW_SET_TRAIN)
            counts[dataset->photos[i].label]++;
    size_t *sorted = thaw_arena_array(&w->scratch, classes, sizeof *sorted);
    if (!sorted)
        return THAW_ERROR_MEMORY;
    memcpy(sorted, counts, classes * sizeof *sorted);
    qsort(sorted, classes, sizeof *sorted, compare_sizes);
    w->m.images = dataset->set_counts[THAW_SET_TRAIN];
    w->m.classes = classes;
    w->m.class_min = sorted[0];
    w->m.class_max = sorted[classes - 1];
    size_t below = (classes - 1) / 2, above = classes / 2;
    w->m.class_median = 0.5 * (double)(sorted[below] + sorted[above]);
    return THAW_OK;
}

/* How many of a class's images the sample takes. */
static size_t share(size_t class_count, size_t images, size_t wanted) {
    size_t part = images <= wanted ? class_count : class_count * wanted / images;
    size_t floor = class_count < CLASS_FLOOR ? class_count : CLASS_FLOOR;
    return part > floor ? part : floor;
}

/* Training photos in random order, each class by its share; as a dataset of its own, so that no
 * other photo is decoded. */
static thaw_status draw_sample(struct thaw_advise_work *w, const size_t *counts) {
    const struct thaw_dataset *dataset = w->experiment->dataset;
    struct thaw_rng rng = thaw_rng_init(w->experiment->config->seed, THAW_RNG_SPLIT, 2, 0);
    uint32_t *order = thaw_arena_array(&w->scratch, dataset->count + 1, sizeof *order);
    size_t *taken = thaw_arena_array(&w->scratch, dataset->class_count, sizeof *taken);
    struct thaw_photo *photos = thaw_arena_array(&w->scratch, dataset->count + 1, sizeof *photos);
    if (!order || !taken || !photos)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < dataset->count; i++)
        order[i] = (uint32_t)i;
    thaw_rng_shuffle(&rng, order, dataset->count);
    w->sample = *dataset;
    w->sample.photos = photos;
    w->sample.count = 0;
    memset(w->sample.set_counts, 0, sizeof w->sample.set_counts);
    w->sample.arena = (struct thaw_arena){0};
    for (size_t i = 0; i < dataset->count; i++) {
        const struct thaw_photo *photo = &dataset->photos[order[i]];
        if (photo->set != THAW_SET_TRAIN ||
            taken[photo->label] == share(counts[photo->label], w->m.images, w->options->images))
            continue;
        taken[photo->label]++;
        photos[w->sample.count++] = *photo;
    }
    w->sample.set_counts[THAW_SET_TRAIN] = w->sample.count;
    return THAW_OK;
}

static void on_decode(void *user, size_t done, size_t total) {
    const struct thaw_advise_work *w = user;
    if (w->options->on_working)
        w->options->on_working(w->options->user, "reading photos", done, total);
}

static thaw_status load_sample(struct thaw_advise_work *w) {
    const struct thaw_experiment *e = w->experiment;
    struct thaw_loader_options loading = thaw_loader_options_make(&e->data, &e->input.image);
    loading.interrupt = w->options->interrupted;
    loading.progress = on_decode;
    loading.progress_user = w;
    THAW_TRY(thaw_loader_open(&w->sample, &loading, &w->loader));
    THAW_TRY(thaw_augmenter_create(e->graph->device, &e->input, NULL, 0, &w->augmenter));
    const uint32_t *members = thaw_loader_set(w->loader, THAW_SET_TRAIN, &w->count);
    w->photos = thaw_arena_array(&w->scratch, w->count, sizeof *w->photos);
    w->labels = thaw_arena_array(&w->scratch, w->count, sizeof *w->labels);
    w->folds = thaw_arena_array(&w->scratch, w->count, sizeof *w->folds);
    if (!w->photos || !w->labels || !w->folds)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < w->count; i++) {
        w->photos[i] = members[i];
        w->labels[i] = w->sample.photos[members[i]].label;
    }
    w->m.sampled = w->count;
    return thaw_linear_probe_deal(w->labels, w->count, (int)w->m.classes, THAW_ADVISE_FOLDS,
                                  e->config->seed, w->folds);
}

/* ---- running the network -------------------------------------------------------------------- */

static size_t map_floats(const struct thaw_graph *graph, int node) {
    const struct thaw_layout *out = &graph->nodes[node].out;
    return (size_t)out->c * (size_t)out->h * (size_t)out->w;
}

struct run {
    struct thaw_advise_work *w;
    const int *nodes;
    size_t node_count;
    thaw_exec *exec;
    float *maps;
    thaw_advise_use *use;
    void *user;
};

static thaw_status run_batch(struct run *r, size_t first, size_t n) {
    struct thaw_graph *graph = r->w->experiment->graph;
    struct thaw_feed feed = {
        .device = graph->device, .loader = r->w->loader, .augmenter = r->w->augmenter};
    struct thaw_op_step step = {.batch = (int)n};
    size_t left = r->w->count - first - n;
    uint32_t rows[BATCH];
    for (size_t i = 0; i < n; i++)
        rows[i] = (uint32_t)(first + i);
    THAW_TRY(thaw_feed_fill(&feed, r->w->photos, rows, (int)n, 0, false, thaw_exec_input(r->exec),
                            NULL));
    THAW_TRY(
        thaw_loader_prefetch(r->w->loader, r->w->photos + first + n, left < BATCH ? left : BATCH));
    THAW_TRY(thaw_exec_forward(r->exec, &step));
    for (size_t k = 0; k < r->node_count; k++) {
        THAW_TRY(thaw_tensor_read(graph->device, thaw_exec_output(r->exec, r->nodes[k]), (int)n,
                                  r->maps));
        THAW_TRY(r->use(r->user, k, first, n, r->maps));
    }
    return THAW_OK;
}

static thaw_status run_batches(struct run *r, size_t count, const char *what) {
    const struct thaw_advise_options *options = r->w->options;
    for (size_t first = 0; first < count; first += BATCH) {
        size_t n = count - first < BATCH ? count - first : BATCH;
        if (options->interrupted && *options->interrupted)
            return thaw_fail(THAW_INTERRUPTED, "interrupted; nothing was written");
        THAW_TRY(run_batch(r, first, n));
        if (options->on_working)
            options->on_working(options->user, what, first + n, count);
    }
    return THAW_OK;
}

thaw_status thaw_advise_run(struct thaw_advise_work *w, const int *nodes, size_t node_count,
                            size_t count, const char *what, thaw_advise_use *use, void *user) {
    struct thaw_graph *graph = w->experiment->graph;
    struct run r = {.w = w, .nodes = nodes, .node_count = node_count, .use = use, .user = user};
    struct thaw_exec_options options = {.batch = BATCH,
                                        .keep = nodes,
                                        .keep_count = (int)node_count,
                                        .only_keep = true,
                                        .conv_candidate = w->experiment->config->conv_candidate};
    size_t largest = 0;
    for (size_t k = 0; k < node_count; k++)
        largest = map_floats(graph, nodes[k]) > largest ? map_floats(graph, nodes[k]) : largest;
    r.maps = malloc(largest * BATCH * sizeof *r.maps + 1);
    thaw_status status = r.maps ? thaw_exec_create(graph, &options, &r.exec)
                                : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (status == THAW_OK)
        status = run_batches(&r, count, what);
    thaw_exec_destroy(&r.exec);
    free(r.maps);
    return status;
}

/* ---- the ladder ----------------------------------------------------------------------------- */

struct ladder {
    struct thaw_advise_work *w;
    int *nodes;
    size_t count;     /* rungs, and one more when the classifier reads another node */
    float **features; /* of each: (images, channels) */
};

/* The last node of a stage, and the activation that follows it. */
static int end_of_stage(const struct thaw_graph *graph, size_t stage) {
    int node = graph->features;
    while (node > 0 && thaw_graph_stage_of(graph, node) != (int)stage)
        node--;
    const struct thaw_node *next = &graph->nodes[node + 1];
    bool active = node > 0 && node < graph->features && next->inputs[0] == node &&
                  next->op->activation != THAW_ACTIVATION_NONE;
    return active ? node + 1 : node;
}

/* A stage that ends with the bottleneck, or in maps whose mean the bottleneck is, is no rung of its
 * own. */
static bool is_bottleneck(const struct thaw_graph *graph, int node) {
    while (node < graph->features && graph->nodes[node + 1].inputs[0] == node &&
           graph->nodes[node + 1].input_count == 1 && !graph->nodes[node + 1].param_count &&
           graph->nodes[node + 1].op->activation == THAW_ACTIVATION_NONE)
        node++;
    return node >= graph->features;
}

static thaw_status find_rungs(struct ladder *l) {
    struct thaw_advise_work *w = l->w;
    const struct thaw_graph *graph = w->experiment->graph;
    size_t most = graph->stage_count + 2;
    l->nodes = thaw_arena_array(&w->scratch, most, sizeof *l->nodes);
    l->features = thaw_arena_array(&w->scratch, most, sizeof *l->features);
    w->m.rungs = thaw_arena_array(w->arena, most, sizeof *w->m.rungs);
    if (!l->nodes || !l->features || !w->m.rungs)
        return THAW_ERROR_MEMORY;
    for (size_t stage = 0; stage < graph->stage_count; stage++) {
        int node = end_of_stage(graph, stage);
        if (node <= 0 || is_bottleneck(graph, node))
            continue;
        w->m.rungs[l->count].name = thaw_arena_copy(w->arena, graph->stages[stage].name);
        l->nodes[l->count++] = node;
    }
    w->m.rungs[l->count].name = thaw_arena_copy(w->arena, graph->nodes[graph->features].name);
    l->nodes[l->count++] = graph->features;
    w->m.rung_count = l->count;
    int classifier = thaw_advise_classifier_input(w);
    if (classifier >= 0 && classifier != graph->features)
        l->nodes[l->count++] = classifier;
    for (size_t k = 0; k < l->count; k++) {
        size_t width = (size_t)graph->nodes[l->nodes[k]].out.c;
        l->features[k] = thaw_arena_array(&w->scratch, w->count * width, sizeof **l->features);
        if (!l->features[k] || (k < w->m.rung_count && !w->m.rungs[k].name))
            return THAW_ERROR_MEMORY;
        if (k < w->m.rung_count)
            w->m.rungs[k].width = width;
    }
    return THAW_OK;
}

static thaw_status pool(void *user, size_t k, size_t first, size_t n, const float *maps) {
    struct ladder *l = user;
    const struct thaw_layout *out = &l->w->experiment->graph->nodes[l->nodes[k]].out;
    size_t channels = (size_t)out->c, pixels = (size_t)out->h * (size_t)out->w;
    for (size_t i = 0; i < n * channels; i++) {
        double sum = 0;
        for (size_t p = 0; p < pixels; p++)
            sum += (double)maps[i * pixels + p];
        l->features[k][first * channels + i] = (float)(sum / (double)pixels);
    }
    return THAW_OK;
}

static thaw_status climb(struct ladder *l) {
    struct thaw_advise_work *w = l->w;
    struct thaw_linear_probe probe = {.count = w->count,
                                      .labels = w->labels,
                                      .folds = w->folds,
                                      .classes = (int)w->m.classes,
                                      .fold_count = THAW_ADVISE_FOLDS};
    for (size_t k = 0; k < w->m.rung_count; k++) {
        struct thaw_linear_probe_result result;
        if (w->options->on_working)
            w->options->on_working(w->options->user, "linear probes", k, w->m.rung_count);
        if (w->options->interrupted && *w->options->interrupted)
            return thaw_fail(THAW_INTERRUPTED, "interrupted; nothing was written");
        probe.features = l->features[k];
        probe.width = w->m.rungs[k].width;
        THAW_TRY(thaw_linear_probe_run(&probe, &result));
        w->m.rungs[k].accuracy = result.accuracy;
        w->m.rungs[k].standard_error = result.standard_error;
    }
    return THAW_OK;
}

/* ---- together ------------------------------------------------------------------------------- */

static thaw_status measure_ladder_and_source(struct thaw_advise_work *w) {
    struct ladder l = {.w = w};
    THAW_TRY(find_rungs(&l));
    THAW_TRY(thaw_advise_run(w, l.nodes, l.count, w->count, "computing features", pool, &l));
    THAW_TRY(climb(&l));
    size_t last = w->m.rung_count - 1;
    if (w->options->source)
        return thaw_advise_means(w, l.features[last], w->m.rungs[last].width);
    if (thaw_advise_classifier_input(w) >= 0)
        return thaw_advise_classifier(w, l.features[l.count - 1]);
    return THAW_OK;
}

static thaw_status check(const struct thaw_experiment *e) {
    const char *path = e->config->path;
    if (!e->config->weights)
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT,
                                   "%s: the experiment starts from random weights, which have "
                                   "seen no images that others could be like",
                                   path),
                         "name pretrained weights: model: {graph: ..., weights: FILE}");
    if (e->dataset->class_count < 2)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the data has one class, expected two or more",
                         path);
    if (e->dataset->set_counts[THAW_SET_TRAIN] < THAW_ADVISE_FOLDS)
        return thaw_fail(THAW_ERROR_INPUT, "%s: %zu training images, expected %d or more", path,
                         e->dataset->set_counts[THAW_SET_TRAIN], THAW_ADVISE_FOLDS);
    return THAW_OK;
}

static thaw_status measure(struct thaw_advise_work *w) {
    THAW_TRY(check(w->experiment));
    size_t *counts =
        thaw_arena_array(&w->scratch, w->experiment->dataset->class_count, sizeof *counts);
    if (!counts)
        return THAW_ERROR_MEMORY;
    THAW_TRY(measure_size(w, counts));
    THAW_TRY(draw_sample(w, counts));
    THAW_TRY(load_sample(w));
    THAW_TRY(measure_ladder_and_source(w));
    THAW_TRY(thaw_advise_norms(w));
    return w->options->probe_s > 0 ? thaw_advise_pilots(w) : THAW_OK;
}

thaw_status thaw_advise_measure(const struct thaw_experiment *experiment,
                                const struct thaw_advise_options *options, struct thaw_arena *arena,
                                struct thaw_measurements *ret_measurements) {
    struct thaw_advise_work w = {.experiment = experiment, .options = options, .arena = arena};
    thaw_status status = measure(&w);
    thaw_augmenter_destroy(&w.augmenter);
    thaw_loader_destroy(&w.loader);
    thaw_arena_finish(&w.scratch);
    if (status == THAW_OK)
        *ret_measurements = w.m;
    return status;
}
