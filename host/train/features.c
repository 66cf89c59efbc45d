#include "train/features.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/memory.h"
#include "io/safetensors.h"
#include "train/feed.h"

#define LABELS "labels" /* the tensor's name */

struct work {
    const struct thaw_features_source *source;
    const struct thaw_features_options *options;
    struct thaw_features_summary summary;
    struct thaw_arena arena;
    int *nodes;
    float **values; /* of each node, for all photos; freed one by one */
    uint32_t *photos, *rows;
    int64_t *labels;
    thaw_loader *loader;
    thaw_augmenter *augmenter;
    thaw_exec *exec;
};

/* ---- nodes ---------------------------------------------------------------------------------- */

static thaw_status no_such_node(const struct thaw_graph *graph, struct thaw_arena *arena,
                                const char *name) {
    size_t count = 0;
    const char **names =
        thaw_arena_array(arena, graph->node_count + graph->stage_count, sizeof *names);
    if (!names)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        names[count++] = graph->nodes[i].name;
    for (size_t i = 0; i < graph->stage_count; i++)
        names[count++] = graph->stages[i].name;
    const char *nearest = thaw_nearest(name, names, count);
    thaw_fail(THAW_ERROR_INPUT, "%s has no node '%s'%s%s%s", graph->name, name,
              nearest ? " (nearest: '" : "", nearest ? nearest : "", nearest ? "')" : "");
    return thaw_hint(THAW_ERROR_INPUT, "its bottleneck is '%s', its output '%s'",
                     graph->nodes[graph->features].name, graph->nodes[graph->output].name);
}

static int find_node(const struct thaw_graph *graph, const char *name) {
    int node = thaw_graph_find_node(graph, name);
    for (size_t stage = 0; node < 0 && stage < graph->stage_count; stage++)
        for (int i = (int)graph->node_count - 1; i > 0 && node < 0; i--)
            if (!strcmp(graph->stages[stage].name, name) &&
                thaw_graph_stage_of(graph, i) == (int)stage)
                node = i;
    return node;
}

static thaw_status find_nodes(struct work *w) {
    const struct thaw_graph *graph = w->source->graph;
    size_t count = w->options->node_count;
    w->nodes = thaw_arena_array(&w->arena, count + 1, sizeof *w->nodes);
    w->values = thaw_arena_array(&w->arena, count + 1, sizeof *w->values);
    w->summary.tensors = thaw_arena_array(&w->summary.arena, count + 1, sizeof *w->summary.tensors);
    if (!w->nodes || !w->values || !w->summary.tensors)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const char *name = w->options->nodes[i];
        int node = find_node(graph, name);
        if (node < 0)
            return no_such_node(graph, &w->arena, name);
        for (size_t j = 0; j < i; j++)
            if (node == w->nodes[j])
                return thaw_fail(THAW_ERROR_INPUT, "'%s' and '%s' are the same node, '%s'",
                                 w->options->nodes[j], name, graph->nodes[node].name);
        if (!strcmp(name, LABELS))
            return thaw_fail(THAW_ERROR_INPUT, "a node named '" LABELS "' can't be saved: the "
                                               "labels of the photos have that name");
        const struct thaw_layout *out = &graph->nodes[node].out;
        w->nodes[i] = node;
        w->summary.tensors[i] = (struct thaw_features_tensor){
            .name = thaw_arena_copy(&w->summary.arena, name),
            .node = node,
            .dims = {(int64_t)w->source->dataset->count, out->c, out->h, out->w}};
        if (!w->summary.tensors[i].name)
            return THAW_ERROR_MEMORY;
    }
    w->summary.tensor_count = count;
    return THAW_OK;
}

/* ---- before anything is computed ------------------------------------------------------------ */

/* What would fail at the very end, or destroy what is read, fails here. */
static thaw_status check_path(struct work *w, const char *path) {
    struct stat weights, output;
    char *folder = thaw_path_beside(&w->arena, path, ".");
    if (!folder)
        return THAW_ERROR_MEMORY;
    if (!thaw_path_is_directory(folder))
        return thaw_fail(THAW_ERROR_INPUT, "%s: its folder does not exist", path);
    if (thaw_path_is_directory(path))
        return thaw_fail(THAW_ERROR_INPUT, "%s: is a folder, expected the name of a file", path);
    if (w->source->weights_file && !stat(w->source->weights_file, &weights) &&
        !stat(path, &output) && weights.st_dev == output.st_dev && weights.st_ino == output.st_ino)
        return thaw_fail(THAW_ERROR_INPUT, "%s: would replace the network's own weights", path);
    return THAW_OK;
}

/* A JSON text is UTF-8. */
static thaw_status check_names(const struct thaw_dataset *dataset) {
    for (size_t i = 0; i < dataset->count; i++) {
        json_t *text = json_string(dataset->photos[i].name);
        if (!text)
            return thaw_fail(THAW_ERROR_INPUT,
                             "%s: the photo's name is not UTF-8 text, and could "
                             "not be saved with its features",
                             dataset->photos[i].name);
        json_decref(text);
    }
    return THAW_OK;
}

/* Floats of one photo. */
static size_t photo_floats(const struct work *w, size_t tensor) {
    const int64_t *dims = w->summary.tensors[tensor].dims;
    return (size_t)dims[1] * (size_t)dims[2] * (size_t)dims[3];
}

static thaw_status too_large(uint64_t size_bytes, uint64_t available_bytes, size_t photos) {
    thaw_fail(THAW_ERROR_MEMORY, "the features of %zu photos take %.1f GiB, %.1f GiB are free",
              photos, (double)size_bytes / (1 << 30), (double)available_bytes / (1 << 30));
    return thaw_hint(THAW_ERROR_MEMORY, "ask for fewer nodes or smaller maps, or compute parts of "
                                        "the photos with --files");
}

/* Room for the values; the loader may have half of what is left. */
static thaw_status reserve(struct work *w, struct thaw_loader_options *loading) {
    uint64_t available_bytes = thaw_memory_available_bytes(), size_bytes = 0;
    size_t photos = w->source->dataset->count;
    for (size_t i = 0; i < w->summary.tensor_count; i++)
        size_bytes += (uint64_t)photos * photo_floats(w, i) * sizeof(float);
    if (size_bytes > available_bytes)
        return too_large(size_bytes, available_bytes, photos);
    for (size_t i = 0; i < w->summary.tensor_count; i++) {
        w->values[i] = calloc(photos + 1, photo_floats(w, i) * sizeof(float));
        if (!w->values[i])
            return too_large(size_bytes, available_bytes, photos);
    }
    if (!loading->memory_bytes) /* 0 would be half of what is free now, values not yet touched */
        loading->memory_bytes = (available_bytes - size_bytes) / 2 + 1;
    return THAW_OK;
}

/* ---- photos --------------------------------------------------------------------------------- */

static void on_decode(void *user, size_t done, size_t total) {
    const struct work *w = user;
    if (w->options->on_working)
        w->options->on_working(w->options->user, "reading photos", done, total);
}

/* The photos that could be decoded, of all sets, in the dataset's order. */
static thaw_status list_photos(struct work *w) {
    const struct thaw_dataset *dataset = w->source->dataset;
    bool *usable = thaw_arena_array(&w->arena, dataset->count, sizeof *usable);
    w->photos = thaw_arena_array(&w->arena, dataset->count, sizeof *w->photos);
    w->labels = thaw_arena_array(&w->arena, dataset->count, sizeof *w->labels);
    w->rows = thaw_arena_array(&w->arena, (size_t)w->options->batch, sizeof *w->rows);
    if (!usable || !w->photos || !w->labels || !w->rows)
        return THAW_ERROR_MEMORY;
    for (int set = 0; set < THAW_SET_COUNT; set++) {
        size_t count;
        const uint32_t *members = thaw_loader_set(w->loader, (enum thaw_set)set, &count);
        for (size_t i = 0; i < count; i++)
            usable[members[i]] = true;
    }
    for (size_t i = 0; i < dataset->count; i++)
        if (usable[i]) {
            w->labels[w->summary.photos] = dataset->photos[i].label;
            w->photos[w->summary.photos++] = (uint32_t)i;
        }
    w->summary.skipped = thaw_loader_skipped(w->loader);
    w->summary.has_labels = dataset->class_count > 0;
    for (size_t i = 0; i < w->summary.tensor_count; i++) {
        w->summary.tensors[i].dims[0] = (int64_t)w->summary.photos;
        w->summary.size_bytes += w->summary.photos * photo_floats(w, i) * sizeof(float);
    }
    return THAW_OK;
}

static thaw_status set_up(struct work *w, const char *path) {
    const struct thaw_features_source *source = w->source;
    struct thaw_loader_options loading = source->loading;
    THAW_TRY(find_nodes(w));
    THAW_TRY(check_path(w, path));
    THAW_TRY(reserve(w, &loading));
    THAW_TRY(check_names(source->dataset));
    loading.interrupt = w->options->interrupted;
    loading.progress = on_decode;
    loading.progress_user = w;
    THAW_TRY(thaw_loader_open(source->dataset, &loading, &w->loader));
    THAW_TRY(list_photos(w));
    THAW_TRY(thaw_augmenter_create(source->graph->device, &source->input, NULL, 0, &w->augmenter));
    struct thaw_exec_options exec_options = {.batch = w->options->batch,
                                             .keep = w->nodes,
                                             .keep_count = (int)w->options->node_count,
                                             .only_keep = true,
                                             .conv_candidate = source->conv_candidate};
    return thaw_exec_create(source->graph, &exec_options, &w->exec);
}

/* ---- computing ------------------------------------------------------------------------------ */

static thaw_status run_batch(struct work *w, size_t first, size_t count) {
    thaw_device *device = w->source->graph->device;
    struct thaw_feed feed = {.device = device, .loader = w->loader, .augmenter = w->augmenter};
    struct thaw_op_step step = {.batch = (int)count};
    size_t left = w->summary.photos - first - count, batch = (size_t)w->options->batch;
    for (size_t i = 0; i < count; i++)
        w->rows[i] = (uint32_t)(first + i);
    THAW_TRY(thaw_feed_fill(&feed, w->photos, w->rows, (int)count, 0, false,
                            thaw_exec_input(w->exec), NULL));
    THAW_TRY(
        thaw_loader_prefetch(w->loader, w->photos + first + count, left < batch ? left : batch));
    THAW_TRY(thaw_exec_forward(w->exec, &step));
    for (size_t i = 0; i < w->summary.tensor_count; i++)
        THAW_TRY(thaw_tensor_read(device, thaw_exec_output(w->exec, w->nodes[i]), (int)count,
                                  w->values[i] + first * photo_floats(w, i)));
    return THAW_OK;
}

static thaw_status run_all(struct work *w) {
    const struct thaw_features_options *options = w->options;
    size_t total = w->summary.photos, batch = (size_t)options->batch;
    for (size_t first = 0; first < total; first += batch) {
        size_t count = total - first < batch ? total - first : batch;
        if (options->interrupted && *options->interrupted)
            return thaw_fail(THAW_INTERRUPTED, "interrupted; nothing was written");
        THAW_TRY(run_batch(w, first, count));
        if (options->on_working)
            options->on_working(options->user, "computing features", first + count, total);
    }
    return THAW_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Adds a JSON array of `count` texts to the metadata. */
static thaw_status set_texts(struct work *w, struct thaw_weights *weights, const char *key,
                             const char *const *texts, size_t count) {
    struct thaw_text json = {0};
    for (size_t i = 0; i < count; i++) {
        thaw_text_append(&json, i ? "," : "[");
        thaw_text_append_json(&json, texts[i]);
    }
    thaw_text_append(&json, count ? "]" : "[]");
    thaw_status status =
        json.failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory for the names of %zu photos",
                                w->summary.photos)
                    : thaw_weights_set_metadata(weights, key, json.text);
    thaw_text_finish(&json);
    return status;
}

static thaw_status describe(struct work *w, struct thaw_weights *weights) {
    const struct thaw_features_source *source = w->source;
    const struct thaw_dataset *dataset = source->dataset;
    const size_t count = w->summary.photos;
    const char **names = thaw_arena_array(&w->arena, count + 1, sizeof *names);
    const char **sets = thaw_arena_array(&w->arena, count + 1, sizeof *sets);
    char hash[THAW_MODEL_HASH_SIZE] = "";
    if (!names || !sets)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        names[i] = dataset->photos[w->photos[i]].name;
        sets[i] = thaw_set_names[dataset->photos[w->photos[i]].set];
    }
    THAW_TRY(set_texts(w, weights, "thaw.photos", names, count));
    if (w->summary.has_labels)
        THAW_TRY(set_texts(w, weights, "thaw.sets", sets, count));
    THAW_TRY(set_texts(w, weights, "thaw.classes", source->classes, source->class_count));
    if (source->weights_file)
        THAW_TRY(thaw_model_hash_file(source->weights_file, hash));
    THAW_TRY(thaw_weights_set_metadata(weights, "thaw.model_name", source->graph->name));
    return thaw_weights_set_metadata(weights, "thaw.weights_hash", hash);
}

static thaw_status add_tensors(struct work *w, struct thaw_weights *weights) {
    const int64_t count = (int64_t)w->summary.photos;
    for (size_t i = 0; i < w->summary.tensor_count; i++)
        THAW_TRY(thaw_weights_add(weights, w->summary.tensors[i].name, THAW_DTYPE_F32, 4,
                                  w->summary.tensors[i].dims, w->values[i]));
    return w->summary.has_labels
               ? thaw_weights_add(weights, LABELS, THAW_DTYPE_I64, 1, &count, w->labels)
               : THAW_OK;
}

static thaw_status write_file(struct work *w, const char *path) {
    struct thaw_weights weights = {0};
    thaw_status status = describe(w, &weights);
    if (status == THAW_OK)
        status = add_tensors(w, &weights);
    if (status == THAW_OK)
        status = thaw_safetensors_write(path, &weights, NULL, NULL);
    thaw_weights_finish(&weights);
    return status;
}

thaw_status thaw_features_write(const struct thaw_features_source *source,
                                const struct thaw_features_options *options, const char *path,
                                struct thaw_features_summary *ret_summary) {
    struct work w = {.source = source, .options = options};
    thaw_status status = set_up(&w, path);
    if (status == THAW_OK)
        status = run_all(&w);
    if (status == THAW_OK)
        status = write_file(&w, path);
    for (size_t i = 0; w.values && i < options->node_count; i++)
        free(w.values[i]);
    thaw_exec_destroy(&w.exec);
    thaw_augmenter_destroy(&w.augmenter);
    thaw_loader_destroy(&w.loader);
    thaw_arena_finish(&w.arena);
    if (status != THAW_OK)
        thaw_features_summary_finish(&w.summary);
    else
        *ret_summary = w.summary;
    return status;
}

void thaw_features_summary_finish(struct thaw_features_summary *summary) {
    thaw_arena_finish(&summary->arena);
    *summary = (struct thaw_features_summary){0};
}
