/* An ONNX file in memory: checked, unpacked, with its external data. */
#ifndef THAW_IO_ONNX_MODEL_H
#define THAW_IO_ONNX_MODEL_H

#include "core/file.h"
#include "io/onnx/tensor.h"

/* Files of opsets before 7 are read as far as their attributes are the later ones, or spelled out
 * in the tables of the families: ONNX's own tests and PyTorch's first exporter wrote such. */
#define THAW_ONNX_OPSET_MIN 1
#define THAW_ONNX_OPSET_MAX 21

/* A file that tensors' values stand in. */
struct thaw_onnx_external {
    const char *location; /* as the model says it */
    struct thaw_map map;
    struct thaw_onnx_external *next;
};

struct thaw_onnx_model {
    struct thaw_arena arena;
    const char *path;  /* for messages */
    bool has_folder;   /* path is a file's, whose neighbours may be read */
    size_t size_bytes; /* of the file and of what external data was read: a measure of what may be
                        * asked of memory */
    Thaw__Onnx__ModelProto *proto;
    const Thaw__Onnx__GraphProto *graph;
    int opset;
    struct thaw_onnx_external *externals;
};

/* Opens and checks a file, or bytes, which must outlive the model. *ret_model is finished by the
 * caller. Messages start with the path. */
thaw_status thaw_onnx_model_open(const char *path, struct thaw_onnx_model *ret_model);
thaw_status thaw_onnx_model_open_bytes(const void *bytes, size_t size_bytes, const char *name,
                                       struct thaw_onnx_model *ret_model);
void thaw_onnx_model_finish(struct thaw_onnx_model *model); /* accepts {0} */

/* An initializer or a tensor of an attribute, from wherever its values stand. External data has to
 * be in the model's folder or below it. The data may be borrowed from the model. */
thaw_status thaw_onnx_model_tensor(struct thaw_onnx_model *model,
                                   const Thaw__Onnx__TensorProto *proto,
                                   struct thaw_onnx_tensor *ret_tensor);

/* The value of a key of metadata_props; NULL: there is none. */
const char *thaw_onnx_model_metadata(const struct thaw_onnx_model *model, const char *key);

#endif
