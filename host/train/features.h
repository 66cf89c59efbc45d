/* Activations of a network for photos, as a safetensors file: bottleneck features, or the maps of a
 * backbone. Inference mode: running statistics, no dropout, no augmentation, the preprocessing of
 * prediction. The rows of every tensor are the photos in the order of the data.
 *
 *   <node>  F32 (N, C, H, W)   a tensor for each node that is asked for
 *   labels  I64 (N)            indices into thaw.classes; not for files that were named one by one
 *
 * Metadata: thaw.photos (a JSON array with the name of each row's photo), thaw.sets (likewise
 * "train", "val" or "test"; not for files), thaw.classes (a JSON array), thaw.model_name, and
 * thaw.weights_hash (of the file that the weights came from, "" for random ones). */
#ifndef THAW_TRAIN_FEATURES_H
#define THAW_TRAIN_FEATURES_H

#include "train/features_source.h"

struct thaw_features_options {
    const char *const *nodes; /* names of nodes, or of stages: the last node of each */
    size_t node_count;
    int batch;
    const volatile sig_atomic_t *interrupted;                                    /* or NULL */
    void (*on_working)(void *user, const char *what, size_t done, size_t total); /* or NULL */
    void *user;
};

struct thaw_features_tensor {
    const char *name; /* as it was asked for */
    int node;
    int64_t dims[4];
};

/* What was written. */
struct thaw_features_summary {
    struct thaw_arena arena;
    struct thaw_features_tensor *tensors; /* one for each node */
    size_t tensor_count, photos, skipped;
    uint64_t size_bytes; /* of all tensors */
    bool has_labels;
};

/* Computes and writes `path`, whole or not at all; everything is held in memory until then.
 * THAW_ERROR_INPUT for a node that does not exist or is named twice, a photo that cannot be
 * decoded, a `path` that cannot be written; THAW_ERROR_MEMORY when it would not fit. */
thaw_status thaw_features_write(const struct thaw_features_source *source,
                                const struct thaw_features_options *options, const char *path,
                                struct thaw_features_summary *ret_summary);
void thaw_features_summary_finish(struct thaw_features_summary *summary); /* accepts {0} */

#endif
