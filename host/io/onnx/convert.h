/* Inside of the import: the state of a conversion and what operators are written with.
 *
 * An operator belongs to a family: host/io/onnx/ops_<family>.c, a line in meson.build's
 * `onnx_families`, and in it the table thaw_onnx_family_<family>. Each has a `fold`, which computes
 * it from constants, a `convert`, which makes nodes or views of it, or both; an attribute that its
 * entry does not list is refused before either is called. Messages say only what is wrong: the
 * caller puts file, node and operator before them. */
#ifndef THAW_IO_ONNX_CONVERT_H
#define THAW_IO_ONNX_CONVERT_H

#include "io/onnx/model.h"
#include "io/onnx/onnx.h"
#include "io/onnx/view.h"
#include "ops/op.h"

#define THAW_ONNX_NODE_PARAMS_MAX 4

/* ---- the Thaw graph in the making ----------------------------------------------------------- */

struct thaw_onnx_param {
    const char *suffix; /* "weight"; NULL: the tensor is called like the node */
    const float *data;
    int rank;
    int64_t dims[4];
};

struct thaw_onnx_node {
    const char *name; /* unique */
    const struct thaw_op *op;
    const char *attrs;            /* of a flow mapping, without braces; "": none */
    bool may_have_bias, has_bias; /* conv, linear: written as `bias: false` without */
    int inputs[THAW_OP_INPUTS_MAX], input_count;
    struct thaw_shape out;
    struct thaw_onnx_param params[THAW_ONNX_NODE_PARAMS_MAX];
    int param_count;
    int readers;            /* nodes that read it, those that were dropped not counted */
    bool dropped;           /* absorbed by another node */
    int64_t window_pads[4]; /* of a pad with zeros, height and width only: top, left, bottom,
                             * right; zeros for all others */
    bool is_zero_pad;
    const char *concat_key; /* of a concat: says what it concatenates, to be found again */
};

/* ---- values ---------------------------------------------------------------------------------- */

struct thaw_onnx_value {
    const char *name;
    bool defined, is_constant, is_input;
    const Thaw__Onnx__TensorProto *initializer; /* not decoded yet; NULL: none */
    struct thaw_onnx_tensor tensor;             /* of a constant */
    int elem;                                   /* type of its elements */
    struct thaw_onnx_view view;                 /* of all others */
    int uses;       /* by operators that are needed, and as an output of the graph */
    bool exclusive; /* nothing but this value shows its node */
};

struct thaw_onnx_converter {
    struct thaw_onnx_model *model;
    struct thaw_arena *arena; /* the result's */
    struct thaw_arena scratch;
    const struct thaw_onnx_options *options;
    struct thaw_onnx_import *result;
    struct thaw_onnx_value *values; /* by name */
    size_t value_count;
    bool *needed;                 /* per ONNX node */
    struct thaw_onnx_node *nodes; /* nodes[0] is the input */
    size_t node_count, node_capacity;
    size_t folded;                  /* elements computed so far */
    size_t numbers_made_parameters; /* scalars that are trained now */
    bool batched;
    int64_t static_batch;  /* the size that the file gives the batch; 0: none */
    const char *name;      /* of the model */
    float mean[3], std[3]; /* of the input, with what was absorbed */
    bool knows_input;      /* options or the file say what they are */
    int input_channels, input_size;
    size_t name_skip;   /* of leading parts that all names share */
    const char **paths; /* the needed nodes' names, sorted */
    size_t path_count;
};

struct thaw_onnx_call {
    struct thaw_onnx_converter *cv;
    const Thaw__Onnx__NodeProto *node;
    const char *base;                   /* name of the Thaw nodes that it makes */
    struct thaw_onnx_value **in, **out; /* NULL: left out */
    int in_count, out_count;
};

struct thaw_onnx_operator {
    const char *type;
    const char *attributes;                           /* those that are read, separated by spaces */
    int outputs;                                      /* how many can be asked for */
    thaw_status (*fold)(struct thaw_onnx_call *call); /* all inputs are constants; NULL: none */
    thaw_status (*convert)(struct thaw_onnx_call *call); /* NULL: on constants only */
    bool folds_shape; /* fold needs only the shapes of its inputs */
};

/* NULL when there is none. */
const struct thaw_onnx_operator *thaw_onnx_operator_find(const char *type);

/* NULL when there is none of that name. */
struct thaw_onnx_value *thaw_onnx_value_find(const struct thaw_onnx_converter *cv,
                                             const char *name);

/* ---- attributes: absent ones leave *value as it was; a wrong type is an error ---------------- */

thaw_status thaw_onnx_attr_int(const struct thaw_onnx_call *call, const char *name, int64_t *value);
thaw_status thaw_onnx_attr_float(const struct thaw_onnx_call *call, const char *name, float *value);
thaw_status thaw_onnx_attr_text(const struct thaw_onnx_call *call, const char *name,
                                const char **value);
/* *count: in, how many fit; out, how many there are; stays when absent. */
thaw_status thaw_onnx_attr_ints(const struct thaw_onnx_call *call, const char *name,
                                int64_t *values, int *count);
bool thaw_onnx_attr_is_there(const struct thaw_onnx_call *call, const char *name);
/* NULL when absent. */
const Thaw__Onnx__AttributeProto *thaw_onnx_attr_find(const struct thaw_onnx_call *call,
                                                      const char *name);
/* An axis from -rank to rank - 1, made non-negative. */
thaw_status thaw_onnx_axis(int64_t axis, int rank, int *ret_axis);

/* ---- inputs -----------------------------------------------------------------------------------
 */

bool thaw_onnx_has_input(const struct thaw_onnx_call *call, int index);
/* The dims of either kind of value; the batch's is THAW_ONNX_BATCH for constants' purposes and -1
 * in views. */
int thaw_onnx_rank(const struct thaw_onnx_value *value);
/* A constant: decoded. THAW_ERROR_UNSUPPORTED, naming `what`, when it is computed from the input.
 */
thaw_status thaw_onnx_constant(const struct thaw_onnx_call *call, int index, const char *what,
                               const struct thaw_onnx_tensor **ret_tensor);
/* A constant list of integers, at most *count of them; *count is how many there are. */
thaw_status thaw_onnx_constant_ints(const struct thaw_onnx_call *call, int index, const char *what,
                                    int64_t *ret_values, int *count);
thaw_status thaw_onnx_constant_float(const struct thaw_onnx_call *call, int index, const char *what,
                                     float *ret_value);
/* Axes, from the attribute or the input of that number; none: *count stays. Sorted, unique. */
thaw_status thaw_onnx_axes(const struct thaw_onnx_call *call, int index, int rank, int *ret_axes,
                           int *count);
/* A view of a value that is computed from the input; a constant is THAW_ERROR_UNSUPPORTED. */
thaw_status thaw_onnx_data(const struct thaw_onnx_call *call, int index,
                           struct thaw_onnx_value **ret_value);

/* ---- results ----------------------------------------------------------------------------------
 */

void thaw_onnx_return_view(struct thaw_onnx_call *call, int index,
                           const struct thaw_onnx_view *view);
void thaw_onnx_return_constant(struct thaw_onnx_call *call, int index,
                               const struct thaw_onnx_tensor *tensor);
/* Another look at input 0's node: nothing is computed. */
void thaw_onnx_return_alias(struct thaw_onnx_call *call, const struct thaw_onnx_view *view);
/* A tensor to be filled, counted against what may be computed at import. */
thaw_status thaw_onnx_fold_make(struct thaw_onnx_call *call, int elem, int rank,
                                const int64_t *dims, struct thaw_onnx_tensor *ret_tensor);

/* ---- nodes ------------------------------------------------------------------------------------
 */

/* Adds a node, whose shape the op itself works out. `suffix`: of its name, for helpers; NULL: it
 * gets the operator's name. */
thaw_status thaw_onnx_emit(struct thaw_onnx_call *call, const char *suffix, const char *op,
                           const int *inputs, int input_count, int *ret_node, const char *attrs,
                           ...) THAW_PRINTF(7, 8);
/* The same for one input, and a view like `view` on it becomes the operator's result: for ops that
 * work on each element alone. */
thaw_status thaw_onnx_emit_unary(struct thaw_onnx_call *call, const char *op, const char *attrs,
                                 ...) THAW_PRINTF(3, 4);
/* Gives a node a parameter; `data` lives as long as the import. */
thaw_status thaw_onnx_add_param(struct thaw_onnx_call *call, int node, const char *suffix,
                                const float *data, int rank, const int64_t *dims);
/* Names the operator's nodes after its weight, where that has a telling name. */
void thaw_onnx_name_after(struct thaw_onnx_call *call, const struct thaw_onnx_value *weight);
float *thaw_onnx_floats(struct thaw_onnx_call *call, int64_t count);
thaw_status thaw_onnx_note(struct thaw_onnx_converter *cv, const char *format, ...)
    THAW_PRINTF(2, 3);

/* Whether `value`'s node may be changed in place of adding one after it: no other sees it. */
bool thaw_onnx_is_only_use(const struct thaw_onnx_converter *cv,
                           const struct thaw_onnx_value *value);
/* Takes `node`, which nobody reads, out of the graph. */
void thaw_onnx_drop(struct thaw_onnx_converter *cv, int node);

/* Makes the value's node one with this layout, with a `rearrange` where it has another; the value's
 * view is changed along, for its other readers. */
thaw_status thaw_onnx_arrange(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                              const struct thaw_onnx_layout *layout);
/* The same for the content in ONNX order, in whatever slots. */
thaw_status thaw_onnx_arrange_plain(struct thaw_onnx_call *call, struct thaw_onnx_value *value);
/* The value as an image: [N, C, H, W] in slots C, H, W, or [N, C, W]; whole images have N = 1. */
thaw_status thaw_onnx_arrange_image(struct thaw_onnx_call *call, struct thaw_onnx_value *value);
/* Makes dimension `dim` a slot (C when `only_c`), whatever the others are. */
thaw_status thaw_onnx_arrange_dim(struct thaw_onnx_call *call, struct thaw_onnx_value *value,
                                  int dim, bool only_c, int *ret_slot);
/* A layout in which `dim` is alone in a slot: one dimension in each where there are three at most,
 * else (those before it), dim, (those after it). */
struct thaw_onnx_layout thaw_onnx_layout_around(const struct thaw_onnx_view *view, int dim);
/* The shape of the view's node. */
struct thaw_shape thaw_onnx_shape(const struct thaw_onnx_call *call,
                                  const struct thaw_onnx_value *value);
extern const char *const thaw_onnx_slot_names[THAW_SLOT_COUNT]; /* "channels", "height", "width" */

/* Writes the document and fills in the result's weights. */
thaw_status thaw_onnx_write_document(struct thaw_onnx_converter *cv, int output);

#endif
