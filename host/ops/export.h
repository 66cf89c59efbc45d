/* How an op says what it is in ONNX: as a few nodes of the standard's operators (opset
 * THAW_ONNX_OPSET, https://onnx.ai/onnx/operators), in the hook `onnx` of struct thaw_op. The graph
 * is written by io/onnx/export.c; nothing here knows the file format.
 *
 * Values are (N, C, H, W) as in Thaw, or "flat", (N, C), where maps have one pixel: linear layers
 * and what follows them. A hook asks for the form that its operator needs. N is the batch, which is
 * not known; the other dimensions are those of the layouts in the call.
 *
 * All functions add to call->model. Memory that runs out is remembered there (`failed`), so hooks
 * need no checks; they return THAW_ERROR_UNSUPPORTED for what ONNX cannot say. */
#ifndef THAW_OPS_EXPORT_H
#define THAW_OPS_EXPORT_H

#include "ops/op.h"

#define THAW_ONNX_OPSET 17 /* the first with LayerNormalization */
#define THAW_EXPORT_RANK_MAX 8

struct thaw_export_attribute {
    const char *name;
    enum { THAW_EXPORT_INT, THAW_EXPORT_INTS, THAW_EXPORT_FLOAT, THAW_EXPORT_TEXT } kind;
    const int64_t *ints;
    size_t int_count;
    float number;
    const char *text;
    struct thaw_export_attribute *next;
};

struct thaw_export_node {
    const char *type, *name;
    const char **inputs; /* "" for an optional one left out */
    size_t input_count;
    const char *output;
    struct thaw_export_attribute *attributes;
    size_t attribute_count;
};

/* A constant: numbers, or the values of a parameter of the graph. */
struct thaw_export_tensor {
    const char *name;
    int rank;
    int64_t dims[THAW_EXPORT_RANK_MAX];
    const int64_t *ints;
    const float *floats;
    int param; /* index in the graph; where ints and floats are NULL */
    int norm;  /* node of the batch norm that is folded in (then param may be -1: no bias); or -1 */
};

/* Starts as {0}. */
struct thaw_export_model {
    struct thaw_arena arena;
    struct thaw_export_node *nodes;
    size_t node_count, node_capacity;
    struct thaw_export_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    bool failed;
};

struct thaw_export_call {
    struct thaw_export_model *model;
    const char *name; /* of the node in Thaw */
    const void *attrs;
    int input_count;
    const char *inputs[THAW_OP_INPUTS_MAX];
    bool flat_inputs[THAW_OP_INPUTS_MAX];
    struct thaw_layout in[THAW_OP_INPUTS_MAX], out;
    int param_count; /* with a folded batch norm a bias counts, though the op may have none */
    struct thaw_export_tensor params[THAW_OP_PARAMS_MAX]; /* dims as in weights files */

    const char *output; /* of the node added last: the op's when the hook returns */
    bool flat;          /* set by the hook where the output is (N, C); starts as false */
    int added;          /* nodes and constants so far: for their names */
};

/* Adds a node that reads `inputs` (NULL: an optional input left out) and returns the name of its
 * output. */
const char *thaw_export_node(struct thaw_export_call *call, const char *type,
                             const char *const *inputs, size_t count);
#define THAW_EXPORT_NODE(call, type, ...)                                                          \
    thaw_export_node((call), (type), (const char *const[]){__VA_ARGS__},                           \
                     sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* Attributes of the node added last. Texts are borrowed and must be constants. */
void thaw_export_int(struct thaw_export_call *call, const char *name, int64_t value);
void thaw_export_ints(struct thaw_export_call *call, const char *name, const int64_t *values,
                      size_t count);
void thaw_export_float(struct thaw_export_call *call, const char *name, float value);
void thaw_export_text(struct thaw_export_call *call, const char *name, const char *text);
#define THAW_EXPORT_INTS(call, name, ...)                                                          \
    thaw_export_ints((call), (name), (const int64_t[]){__VA_ARGS__},                               \
                     sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* Names of constants and of parameters, to be read by nodes. */
const char *thaw_export_constant_ints(struct thaw_export_call *call, const int64_t *values,
                                      size_t count);
#define THAW_EXPORT_CONSTANT_INTS(call, ...)                                                       \
    thaw_export_constant_ints((call), (const int64_t[]){__VA_ARGS__},                              \
                              sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
const char *thaw_export_constant(struct thaw_export_call *call, int rank, const int64_t *dims,
                                 const float *values);
const char *thaw_export_constant_float(struct thaw_export_call *call, float value); /* rank 0 */
const char *thaw_export_param(struct thaw_export_call *call, int slot);
/* The same values in other dimensions. */
const char *thaw_export_param_as(struct thaw_export_call *call, int slot, int rank,
                                 const int64_t *dims);

/* Input i as (N, C, H, W), and as (N, C H W). */
const char *thaw_export_maps(struct thaw_export_call *call, int i);
const char *thaw_export_flat(struct thaw_export_call *call, int i);

/* All inputs in one form, which becomes the output's: (N, C) if they are all flat. */
void thaw_export_alike(struct thaw_export_call *call, const char **ret_names);

/* Element by element: input 0 as it comes, and the output likewise. */
const char *thaw_export_unary(struct thaw_export_call *call, const char *type);
/* A binary operator over all inputs, from the first to the last. */
const char *thaw_export_combine(struct thaw_export_call *call, const char *type);

#endif
