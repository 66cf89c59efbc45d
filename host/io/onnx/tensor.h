/* A constant of an ONNX graph in host memory: an initializer, or what was computed from such.
 *
 * Floating-point types are held as float and all others as int64_t; `elem` remembers which one it
 * was. In integers that describe shapes, THAW_ONNX_BATCH stands for the size of the batch, which is
 * not known, and THAW_ONNX_UNKNOWN for a number computed from it. */
#ifndef THAW_IO_ONNX_TENSOR_H
#define THAW_IO_ONNX_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "onnx.pb-c.h"

#define THAW_ONNX_RANK_MAX 8
#define THAW_ONNX_BATCH (INT64_MIN + 1)
#define THAW_ONNX_UNKNOWN (INT64_MIN + 2)

struct thaw_onnx_tensor {
    const char *name; /* NULL: none */
    int elem;         /* a THAW__ONNX__TENSOR_PROTO__DATA_TYPE__... */
    int rank;
    int64_t dims[THAW_ONNX_RANK_MAX];
    int64_t count;           /* of elements, the product of dims */
    const float *floats;     /* of floating-point types, else NULL */
    const int64_t *integers; /* of all others, else NULL */
};

/* Whether tensors of the type are held as floats. */
bool thaw_onnx_is_float(int elem);
/* "float32", "int64"; for messages. */
const char *thaw_onnx_elem_name(int elem);

/* Decodes a TensorProto whose values are in the message itself. The data may be borrowed from
 * `proto`. The file's damage is THAW_ERROR_INPUT, strings and complex numbers are
 * THAW_ERROR_UNSUPPORTED; messages name the tensor. */
thaw_status thaw_onnx_tensor_decode(struct thaw_arena *arena, const Thaw__Onnx__TensorProto *proto,
                                    struct thaw_onnx_tensor *ret_tensor);

/* The same with the values as `bytes` from elsewhere; NULL: they are in the message's fields. */
thaw_status thaw_onnx_tensor_decode_bytes(struct thaw_arena *arena,
                                          const Thaw__Onnx__TensorProto *proto, const void *bytes,
                                          size_t size_bytes, struct thaw_onnx_tensor *ret_tensor);

/* The product of `dims`; THAW_ERROR_INPUT when one is negative or the product beyond reason. */
thaw_status thaw_onnx_dims_count(int rank, const int64_t *dims, int64_t *ret_count);

/* A tensor of `arena` with its dims set and room for its data, zeros; write through a
 * cast. THAW_ERROR_UNSUPPORTED for too many dimensions, THAW_ERROR_INPUT for a size beyond reason.
 */
thaw_status thaw_onnx_tensor_make(struct thaw_arena *arena, int elem, int rank, const int64_t *dims,
                                  struct thaw_onnx_tensor *ret_tensor);

#endif
