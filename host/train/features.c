#include "train/features.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "graph/exec.h"
#include "io/safetensors.h"

struct work {
    struct thaw_graph *graph;
    const struct thaw_input_spec *input;
    const struct thaw_features_photos *photos;
    const struct thaw_features_options *options;
    struct thaw_arena arena;
    size_t count; /* of photos */
    int *nodes;
    float **values; /* for each node, of all photos */
    thaw_exec *exec;
    thaw_augmenter *augmenter;
    struct thaw_image *images; /* of a batch */
};

/* ---- set-up --------------------------------------------------------------------------------- */

static thaw_status no_such_node(const struct thaw_graph *graph, struct thaw_arena *arena,
                                const char *name) {
    const char **names = thaw_arena_array(arena, graph->node_count, sizeof *names);
    if (!names)
        return THAW_ERROR_MEMORY;
    for (size_t i = 1; i < graph->node_count; i++)
        names[i - 1] = graph->nodes[i].name;
    const char *nearest = thaw_nearest(name, names, graph->node_count - 1);
    thaw_fail(THAW_ERROR_INPUT, "%s has no node '%s'%s%s%s", graph->name, name,
              nearest ? " (nearest: '" : "", nearest ? nearest : "", nearest ? "')" : "");
    return thaw_hint(THAW_ERROR_INPUT, "its bottleneck is '%s', its output '%s'",
                     graph->nodes[graph->features].name, graph->nodes[graph->output].name);
}

static thaw_status find_nodes(struct work *w) {
    size_t count = w->options->node_count;
    w->nodes = thaw_arena_array(&w->arena, count + 1, sizeof *w->nodes);
    w->values = thaw_arena_array(&w->arena, count + 1, sizeof *w->values);
    if (!w->nodes || !w->values)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        w->nodes[i] = thaw_graph_find_node(w->graph, w->options->nodes[i]);
        if (w->nodes[i] < 1) /* 0 is the image */
            return no_such_node(w->graph, &w->arena, w->options->nodes[i]);
        for (size_t j = 0; j < i; j++)
            if (w->nodes[i] == w->nodes[j])
                return thaw_fail(THAW_ERROR_INPUT, "node '%s' is named twice",
                                 w->options->nodes[i]);
    }
    return THAW_OK;
}

/* Floats of one photo. */
static size_t node_size(const struct work *w, size_t i) {
    const struct thaw_layout *out = &w->graph->nodes[w->nodes[i]].out;
    return (size_t)out->c * (size_t)out->h * (size_t)out->w;
}

static thaw_status set_up(struct work *w) {
    const struct thaw_features_options *options = w->options;
    THAW_TRY(find_nodes(w));
    w->count = w->photos->dataset ? w->photos->dataset->count : w->photos->file_count;
    if (!w->count)
        return thaw_fail(THAW_ERROR_INPUT, "there are no photos to compute features of");
    for (size_t i = 0; i < options->node_count; i++) {
        w->values[i] = calloc(w->count, node_size(w, i) * sizeof(float));
        if (!w->values[i])
            return thaw_fail(THAW_ERROR_MEMORY,
                             "out of memory: '%s' of %zu photos takes %zu floats each",
                             options->nodes[i], w->count, node_size(w, i));
    }
    w->images = thaw_arena_array(&w->arena, (size_t)options->batch, sizeof *w->images);
    if (!w->images)
        return THAW_ERROR_MEMORY;
    struct thaw_exec_options exec_options = {.batch = options->batch,
                                             .keep = w->nodes,
                                             .keep_count = (int)options->node_count,
                                             .only_keep = true,
                                             .conv_candidate = options->conv_candidate};
    THAW_TRY(thaw_augmenter_create(w->graph->device, w->input, NULL, 0, &w->augmenter));
    return thaw_exec_create(w->graph, &exec_options, &w->exec);
}

/* ---- computing ------------------------------------------------------------------------------ */

static const char *photo_path(const struct work *w, size_t index) {
    return w->photos->dataset ? w->photos->dataset->photos[index].path : w->photos->files[index];
}

static thaw_status run_batch(struct work *w, size_t first, size_t count) {
    struct thaw_augment_batch batch = {.images = w->images, .count = (int)count};
    struct thaw_op_step step = {.batch = (int)count};
    for (size_t i = 0; i < count; i++)
        THAW_TRY(thaw_image_decode(photo_path(w, first + i), &w->input->image, &w->images[i]));
    THAW_TRY(thaw_augmenter_run(w->augmenter, &batch, thaw_exec_input(w->exec), NULL, NULL));
    THAW_TRY(thaw_exec_forward(w->exec, &step));
    for (size_t i = 0; i < w->options->node_count; i++)
        THAW_TRY(thaw_tensor_read(w->graph->device, thaw_exec_output(w->exec, w->nodes[i]),
                                  (int)count, w->values[i] + first * node_size(w, i)));
    return THAW_OK;
}

static void free_images(struct work *w) {
    for (int i = 0; w->images && i < w->options->batch; i++) {
        thaw_image_finish(&w->images[i]);
        w->images[i] = (struct thaw_image){0};
    }
}

static thaw_status run_all(struct work *w) {
    const struct thaw_features_options *options = w->options;
    for (size_t first = 0; first < w->count; first += (size_t)options->batch) {
        size_t left = w->count - first;
        if (options->interrupted && *options->interrupted)
            return thaw_fail(THAW_INTERRUPTED, "interrupted; nothing was written");
        THAW_TRY(
            run_batch(w, first, left < (size_t)options->batch ? left : (size_t)options->batch));
        free_images(w);
        if (options->on_working)
            options->on_working(options->user, "computing features", first, w->count);
    }
    return THAW_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

static thaw_status set_list(struct thaw_weights *weights, const char *key, json_t *list) {
    char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    thaw_status status = text ? thaw_weights_set_metadata(weights, key, text)
                              : thaw_fail(THAW_ERROR_MEMORY, "out of memory saving features");
    free(text);
    return status;
}

static thaw_status set_metadata(const struct work *w, struct thaw_weights *weights) {
    const struct thaw_dataset *dataset = w->photos->dataset;
    json_t *paths = json_array(), *labels = json_array(), *sets = json_array();
    bool valid = true;
    for (size_t i = 0; i < w->count; i++) {
        const struct thaw_photo *photo = dataset ? &dataset->photos[i] : NULL;
        valid &= !json_array_append_new(paths, json_string(photo_path(w, i)));
        valid &= !json_array_append_new(labels, photo ? json_string(dataset->classes[photo->label])
                                                      : json_null());
        valid &= !json_array_append_new(sets, photo ? json_string(thaw_set_names[photo->set])
                                                    : json_null());
    }
    thaw_status status = THAW_OK;
    if (!valid)
        status = thaw_fail(THAW_ERROR_INPUT, "a path or a class is not UTF-8 text");
    const char *keys[] = {"thaw.paths", "thaw.labels", "thaw.sets"};
    json_t *lists[] = {paths, labels, sets};
    for (int i = 0; i < 3; i++)
        if (status == THAW_OK)
            status = set_list(weights, keys[i], lists[i]);
        else
            json_decref(lists[i]);
    return status;
}

static thaw_status write_file(const struct work *w, const char *path) {
    struct thaw_weights weights = {0};
    thaw_status status = set_metadata(w, &weights);
    for (size_t i = 0; i < w->options->node_count && status == THAW_OK; i++) {
        const struct thaw_layout *out = &w->graph->nodes[w->nodes[i]].out;
        const int64_t dims[] = {(int64_t)w->count, out->c, out->h, out->w};
        status =
            thaw_weights_add(&weights, w->options->nodes[i], THAW_DTYPE_F32, 4, dims, w->values[i]);
    }
    if (status == THAW_OK)
        status = thaw_safetensors_write(path, &weights, NULL, NULL);
    thaw_weights_finish(&weights);
    return status;
}

thaw_status thaw_features_save(struct thaw_graph *graph, const struct thaw_input_spec *input,
                               const struct thaw_features_photos *photos,
                               const struct thaw_features_options *options, const char *path) {
    struct work w = {.graph = graph, .input = input, .photos = photos, .options = options};
    thaw_status status = set_up(&w);
    if (status == THAW_OK)
        status = run_all(&w);
    if (status == THAW_OK)
        status = write_file(&w, path);
    free_images(&w);
    for (size_t i = 0; w.values && i < options->node_count; i++)
        free(w.values[i]);
    thaw_exec_destroy(&w.exec);
    thaw_augmenter_destroy(&w.augmenter);
    thaw_arena_finish(&w.arena);
    return status;
}
