/* A trained network on its way out: from a run, a model file, or a model YAML with weights, to ONNX
 * or to a safetensors file that Thaw predicts from. */
#ifndef THAW_TRAIN_EXPORT_H
#define THAW_TRAIN_EXPORT_H

#include "data/input.h"
#include "io/onnx/export.h"
#include "train/model.h"

struct thaw_export_origin {
    const char *model;   /* a run folder, a model file, a built-in model's name or a model YAML */
    const char *weights; /* for the latter two: the weights file; NULL: */
    bool untrained;      /* random weights, */
    int seed;            /* seeded with this */
};

struct thaw_export_source {
    struct thaw_graph *graph; /* allocated; owned below */
    struct thaw_model_info info;
    struct thaw_input_spec input;
    bool has_classes; /* info.classes are names, not numbers that stand in for them */

    struct thaw_arena arena;
    struct thaw_trained_model trained;
    struct thaw_graph *built;
};

/* THAW_ERROR_INPUT for weights that a run has no use for, for a model without any, and for what the
 * files say wrong. */
thaw_status thaw_export_open(const struct thaw_export_origin *origin, thaw_device *device,
                             struct thaw_export_source *ret_source);
void thaw_export_finish(struct thaw_export_source *source); /* accepts {0} */

/* Adds metadata to `options` (whose own are not looked at) and writes:
 *   classes        a JSON list of the classes' names, where they are known
 *   preprocessing  a JSON object: what to do to a photo (layout, channel_order, resize, crop, and
 *                  scale, mean, std of (pixel * scale - mean) / std)
 *   thaw.input     the same as the `input` of a model YAML */
thaw_status thaw_export_onnx(const struct thaw_export_source *source,
                             const struct thaw_onnx_export_options *options, const char *path,
                             struct thaw_onnx_export_summary *ret_summary);

/* Weights, graph, preprocessing and classes, as model.safetensors of a run has them. */
thaw_status thaw_export_safetensors(const struct thaw_export_source *source, const char *path);

#endif
