/* Activations of a network for photos, saved as safetensors: bottleneck features, or the maps of a
 * backbone. A tensor for each node, named after it: (photos, C, H, W), float32. Metadata, each a
 * JSON array with an entry for each photo: "thaw.paths"; "thaw.labels" (names of classes, null
 * where not known) and "thaw.sets" ("train", "val", "test", null). */
#ifndef THAW_TRAIN_FEATURES_H
#define THAW_TRAIN_FEATURES_H

#include <signal.h>

#include "data/dataset.h"
#include "data/input.h"
#include "graph/graph.h"

struct thaw_features_options {
    const char *const *nodes; /* names */
    size_t node_count;
    int batch;
    const char *conv_candidate;               /* forced, or NULL */
    const volatile sig_atomic_t *interrupted; /* or NULL */
    void (*on_working)(void *user, const char *what, size_t done, size_t total); /* or NULL */
    void *user;
};

/* What is computed: the photos of a dataset or, where that is NULL, files. Preprocessing is that of
 * prediction. */
struct thaw_features_photos {
    const struct thaw_dataset *dataset;
    const char *const *files;
    size_t file_count;
};

/* The graph is allocated and has its weights. THAW_ERROR_INPUT for a node that does not exist or is
 * named twice, no photo, and a photo that can't be decoded; nothing is written then. */
thaw_status thaw_features_save(struct thaw_graph *graph, const struct thaw_input_spec *input,
                               const struct thaw_features_photos *photos,
                               const struct thaw_features_options *options, const char *path);

#endif
