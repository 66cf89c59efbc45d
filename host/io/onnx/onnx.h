/* ONNX in: a file's graph as a Thaw model YAML, and its weights as a list to be written as
 * safetensors. Opsets 7 to 21.
 *
 * The first axis of every graph input is the batch, which stays symbolic; everything else must have
 * a size. What follows from constants and shapes is computed here on the host; the rest becomes
 * nodes. A value is a lazy view of a node's (C, H, W): transposes, reshapes and the like only
 * change the view, constants are permuted to fit it, and a `rearrange` node is made only where a
 * consumer needs another order.
 *
 * Failures: THAW_ERROR_INPUT for a damaged or hostile file and for options that do not fit it,
 * THAW_ERROR_UNSUPPORTED for valid graphs that Thaw cannot hold, with node, operator and
 * attribute. */
#ifndef THAW_IO_ONNX_ONNX_H
#define THAW_IO_ONNX_ONNX_H

#include "io/onnx/tensor.h"
#include "io/weights.h"

struct thaw_onnx_options {
    /* A model to train, for pictures (as_is is false). */
    const char *name;       /* of the model; NULL: the file's */
    const char *layout;     /* "nchw" or "nhwc", for the input; NULL: by its dimensions */
    int size;               /* height and width where the file leaves them open; 0: it must not */
    const char *output;     /* the graph output to keep; NULL: the first */
    const char *mean, *std; /* "0.485,0.456,0.406", of 0..1; NULL: what the file's metadata say */

    /* The graph as it stands, for comparing single operators: all outputs are kept, nothing at the
     * end is dropped, and the inputs, of whatever rank, are packed one after the other into the
     * channels of `input: {channels: all of them, size: 1}`. */
    bool as_is;
    bool whole; /* with as_is: the first axis is no batch; all of a tensor is one image */
    /* Values for graph inputs that are to be constants, by name; borrowed. */
    const struct thaw_onnx_tensor *constants;
    size_t constant_count;
};

/* A graph input or output. In memory, an image of it is `count` floats in the order of the ONNX
 * tensor (row major), and images follow each other as the batch, its first axis. */
struct thaw_onnx_port {
    const char *name;
    int rank;
    int64_t dims[THAW_ONNX_RANK_MAX]; /* -1: the batch, always the first one */
    int64_t count;                    /* of floats per image */
    /* as_is, inputs: they are the channels [offset, offset + count) of the node `input`. */
    int64_t offset;
    /* Outputs: the node whose (C, H, W), row major, is the value; NULL: it does not depend on the
     * inputs and is `constant`. */
    const char *node;
    const struct thaw_onnx_tensor *constant;
};

struct thaw_onnx_import {
    struct thaw_arena arena; /* of everything but the weights */
    const char *yaml;        /* the model document; as_is: NULL when all outputs are constants */
    struct thaw_weights weights; /* float32, named as the document's parameters */
    struct thaw_onnx_port *inputs, *outputs;
    size_t input_count, output_count;
    const char **notes; /* what a person should know: what was assumed, dropped or turned into
                         * parameters; one sentence each */
    size_t note_count, note_capacity;
    void *model; /* the file, and what was computed of it: weights may borrow from either */
    struct thaw_arena scratch;
};

/* Whether the bytes look like an ONNX file. */
bool thaw_onnx_matches(const unsigned char *bytes, size_t size_bytes);

/* Reads the file at `path`. *ret_import is finished by the caller. */
thaw_status thaw_onnx_import_file(const char *path, const struct thaw_onnx_options *options,
                                  struct thaw_onnx_import *ret_import);

/* The same for bytes, `name` being for messages; external data is not looked for. */
thaw_status thaw_onnx_import_bytes(const void *bytes, size_t size_bytes, const char *name,
                                   const struct thaw_onnx_options *options,
                                   struct thaw_onnx_import *ret_import);

void thaw_onnx_import_finish(struct thaw_onnx_import *import); /* accepts {0} */

#endif
