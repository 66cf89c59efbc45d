/* Darknet in: a network's .cfg as a Thaw model YAML, and its .weights as a list to be written as
 * safetensors.
 *
 * Layers are named by kind and number, as people count them: conv1 (with conv1.conv and conv1.bn
 * where it is normalised), maxpool1, shortcut1, fc1. Batch norms get the epsilon 1e-5 that
 * Darknet's CUDA code has inside the root (src/blas_kernels.cu, and what it hands to cuDNN when it
 * trains); its C code adds 1e-6 outside, which differs where a variance is nearly 0.
 *
 * A softmax at the end is left out, as training and prediction add their own. A classifier that is
 * a 1x1 convolution next to a global average pool becomes a linear layer behind the pool: the same
 * mathematics. A network without classifier, whole or cut with `until`, gets an average pool and a
 * new linear layer, which has no weights in the list.
 *
 * Failures: THAW_ERROR_INPUT for a damaged file and files that don't fit each other,
 * THAW_ERROR_UNSUPPORTED for what Thaw has no layer for, both with file, line, section and key. */
#ifndef THAW_IO_DARKNET_DARKNET_H
#define THAW_IO_DARKNET_DARKNET_H

#include "io/weights.h"

struct thaw_darknet_options {
    const char *name; /* of the model */
    /* Where to stop: a section's number, as Darknet counts layers (0 is the first after [net]), or
     * its type, "yolo" for the first such section. NULL: at the end. */
    const char *until;
};

struct thaw_darknet_import {
    struct thaw_arena arena;     /* of everything but the weights */
    const char *yaml;            /* the model document */
    struct thaw_weights weights; /* float32, named as the document's parameters; borrow the file */
    const char **notes; /* what a person should know: what was left out, ignored, assumed */
    size_t note_count, note_capacity;
};

/* Whether the bytes look like a .cfg file. */
bool thaw_darknet_matches(const unsigned char *bytes, size_t size_bytes);

/* Reads the .cfg at `cfg_path` and, unless it is NULL, the .weights at `weights_path`.
 * *ret_import is finished by the caller. */
thaw_status thaw_darknet_import_files(const char *cfg_path, const char *weights_path,
                                      const struct thaw_darknet_options *options,
                                      struct thaw_darknet_import *ret_import);

/* The same for bytes, which outlive the import; the names are for messages. No weights for
 * weights->size_bytes == 0. */
struct thaw_darknet_bytes {
    const unsigned char *bytes;
    size_t size_bytes;
    const char *name;
};
thaw_status thaw_darknet_import_bytes(const struct thaw_darknet_bytes *cfg,
                                      const struct thaw_darknet_bytes *weights,
                                      const struct thaw_darknet_options *options,
                                      struct thaw_darknet_import *ret_import);

void thaw_darknet_import_finish(struct thaw_darknet_import *import); /* accepts {0} */

#endif
