/* What features are computed from: a network with its weights, and photos. The network is that of a
 * finished run, or that of an experiment before training, with its pretrained weights. */
#ifndef THAW_TRAIN_FEATURES_SOURCE_H
#define THAW_TRAIN_FEATURES_SOURCE_H

#include "data/loader.h"
#include "train/experiment.h"
#include "train/model.h"
#include "train/run_data.h"

struct thaw_features_origin {
    const struct thaw_config *config; /* an experiment; or NULL, and */
    const char *run;                  /* a run folder or a model file */
    const char *const *sets;          /* "data.x=value" for the data of the run folder */
    size_t set_count;
    /* Photos instead of those of the data: files, or a folder of one folder per class. */
    const char *const *files;
    size_t file_count;
    const char *folder; /* or NULL */
};

struct thaw_features_source {
    struct thaw_graph *graph; /* allocated; owned below, like all that is pointed at */
    struct thaw_input_spec input;
    const struct thaw_dataset *dataset; /* for files: labels are -1, there is no class */
    struct thaw_loader_options loading; /* every set; the caller adds progress and interrupt */
    const char *const *classes;
    size_t class_count;
    const char *weights_file; /* NULL: random weights */
    const char *conv_candidate;

    struct thaw_arena arena;
    struct thaw_experiment experiment;
    struct thaw_trained_model model;
    struct thaw_run_data own;
    struct thaw_dataset *other; /* of files or a folder */
};

/* THAW_ERROR_INPUT for a model file without other photos, for `sets` that change anything but the
 * data, and when data and network do not have the same classes. */
thaw_status thaw_features_source_open(const struct thaw_features_origin *origin,
                                      thaw_device *device, struct thaw_features_source *ret_source);
void thaw_features_source_finish(struct thaw_features_source *source); /* accepts {0} */

#endif
