/* A model ready to use: graph on a device, weights loaded and accounted for. Also the model file of
 * a run (model.safetensors), whose metadata alone is enough to predict. */
#ifndef THAW_TRAIN_MODEL_H
#define THAW_TRAIN_MODEL_H

#include "graph/graph.h"
#include "io/load_report.h"
#include "io/weights.h"
#include "train/config.h"

/* Patterns of tensors that may differ between model and file; sequences of globs, or NULL. */
struct thaw_model_allow {
    const thaw_yaml *missing, *unexpected, *mismatch;
};

/* Loads `path` into a graph that has device memory. Each parameter is looked for by its name, then
 * its alias; the new head's are not looked for. `report` (with `weights`, which it points into) is
 * for the caller to print and finish, also on failure after it was made; both start as {0}. */
thaw_status thaw_model_load_weights(struct thaw_graph *graph, const char *path,
                                    const struct thaw_model_allow *allow,
                                    struct thaw_weights *weights, struct thaw_load_report *report);

/* Names the content of a weights file: 16 hexadecimal digits, of XXH3. */
#define THAW_MODEL_HASH_SIZE 17
thaw_status thaw_model_hash_file(const char *path, char ret_hash[THAW_MODEL_HASH_SIZE]);

/* What a model file says besides its tensors. */
struct thaw_model_info {
    struct thaw_graph_options options; /* without caps */
    const thaw_yaml *document;         /* the model YAML, with the input size in use */
    const char **classes;
    size_t class_count;
    double reference_lr;
    int reference_batch;
    const char
        *weights_hash; /* of the pretrained weights that training started from; "" from scratch */
};

/* Puts the description into the metadata of `weights`, and reads it back. */
thaw_status thaw_model_info_write(const struct thaw_model_info *info, struct thaw_weights *weights);
thaw_status thaw_model_info_read(struct thaw_arena *arena, const struct thaw_weights *weights,
                                 const char *path, struct thaw_model_info *ret_info);

/* Writes every parameter of the graph to `path`, with the metadata of `weights`, which has no
 * tensors yet. Where instead[param] (instead may be NULL) holds a buffer, its values are written.
 */
thaw_status thaw_model_save(const struct thaw_graph *graph, cl_mem const *instead,
                            struct thaw_weights *weights, const char *path);

/* What the config.yaml of a run folder says of the device (`device: {conv, block}`): a trained
 * model is computed as it was trained. Zeros for a model file alone, or a folder without
 * config.yaml. */
thaw_status thaw_trained_device(const char *path, struct thaw_config_device *ret_device);

/* A trained model from a run folder or a model file. `device` was opened with the block of
 * thaw_trained_device(), where there is one. */
struct thaw_trained_model {
    struct thaw_arena arena;
    struct thaw_graph *graph;
    struct thaw_model_info info;
    const char *conv_candidate; /* of thaw_trained_device() */
};
thaw_status thaw_trained_model_open(const char *path, thaw_device *device,
                                    struct thaw_trained_model *ret_model);
void thaw_trained_model_finish(struct thaw_trained_model *model);

#endif
