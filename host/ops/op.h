/* The op contract. An op is host/ops/<name>.c (a `const struct thaw_op thaw_op_<name>`),
 * cl/<name>.cl and a line in the list `ops` of meson.build; graph, planner and autodiff never name
 * one.
 *
 * The life of a node: parse (YAML -> attrs) -> infer (shapes, parameters, what backward needs) ->
 * prepare (kernels, workspace) once per executable -> forward / backward each step.
 *
 * Rules for all ops:
 * - read and write the interiors of tensors; lanes past C in the last block stay zero in outputs
 * and in gradients; never touch halos (the executor keeps them zero);
 * - use only the first step->batch images;
 * - backward writes the gradients that call->want_grad_in / param->want_grad ask for and no others;
 * a gradient of an input is overwritten, or added to where accumulate_in is set; gradients of
 *   parameters are overwritten;
 * - no allocation, no read-back, no clFinish in forward and backward;
 * - the same inputs give the same bits. */
#ifndef THAW_OPS_OP_H
#define THAW_OPS_OP_H

#include "core/yaml.h"
#include "kernels/conv.h"
#include "tensor/tensor.h"

#define THAW_OP_INPUTS_MAX 8
#define THAW_OP_PARAMS_MAX 4

enum thaw_param_kind {
    THAW_PARAM_WEIGHT,    /* trained, weight decay applies */
    THAW_PARAM_BIAS,      /* trained; a vector: bias, batch-norm scale and shift */
    THAW_PARAM_STATISTIC, /* never has a gradient: running mean and variance */
};

enum thaw_param_init {
    THAW_INIT_ZEROS,
    THAW_INIT_ONES,
    THAW_INIT_CONSTANT,       /* `constant` */
    THAW_INIT_KAIMING_NORMAL, /* He et al. 2015, fan out: std = sqrt(2 / fan) */
    THAW_INIT_LINEAR, /* uniform in +-1/sqrt(fan): PyTorch's default for linear layers, fan in */
};

struct thaw_param_spec {
    const char *name; /* "weight", "bias", "running_mean"; "": its tensor is called like the node */
    struct thaw_filter filter;
    /* In files: 4 (O, I, KH, KW), 2 (O, I*KH*KW), 1 (O), or `rank` times dims, row major, when dims
     * are given (dims[0] is not 0): a map (C, H, W) is the filter thaw_map_filter(). */
    int rank;
    int dims[4];
    enum thaw_param_kind kind;
    enum thaw_param_init init;
    int fan; /* fan in or fan out, as init needs */
    float constant;
};

/* What infer says of a node. Zeroed before infer is called. */
struct thaw_op_spec {
    struct thaw_shape out;
    struct thaw_param_spec params[THAW_OP_PARAMS_MAX];
    int param_count;

    int input_halo[THAW_OP_INPUTS_MAX]; /* zeros that forward or backward read around input i */
    int output_grad_halo; /* zeros that backward reads around the gradient of the output */

    bool alias; /* the output is input 0 itself, no kernel runs (flatten): the buffer is shared */
    bool in_place; /* forward may write over input 0, and backward may write dX0 over dY */
    bool backward_needs_input[THAW_OP_INPUTS_MAX];
    bool backward_needs_output;
    size_t saved_bytes; /* kept from forward to backward: batch statistics, arg max, ... */
    double flops;       /* of forward per image, 0 for memory-bound ops */
};

/* A parameter as an op sees it. */
struct thaw_op_param {
    struct thaw_filter filter;
    cl_mem value; /* filter layout, thaw_filter_size floats */
    cl_mem grad;  /* same layout */
    bool present; /* value will be set; an optional parameter (bias) may be absent */
    bool want_grad;
};

/* What changes from step to step. */
struct thaw_op_step {
    int batch;        /* images in use */
    int first;        /* the image of the whole batch that the first one is: parts of a batch */
    uint64_t seed;    /* of the run */
    uint32_t counter; /* step number: with seed and call->node_id the key of random draws */
    float loss_scale; /* the gradient that flows into a loss: 1 / norm of the targets */
    /* Batch norm: how far the running statistics move to the batch's; 0: as the layer says. */
    float norm_momentum;
};

/* A node bound to an executable. Everything up to `activation_parameter` is set by the executor:
 * layouts and flags before prepare, buffers after it. */
struct thaw_op_call {
    thaw_device *device;
    const void *attrs;
    const char *conv_candidate; /* forced by the user, or NULL */
    uint32_t node_id;
    bool training;         /* dropout is active */
    bool batch_statistics; /* batch norm uses the batch's statistics and moves the running ones */
    bool needs_backward;   /* backward will be called: keep what it needs in `saved` */

    int input_count;
    struct thaw_tensor in[THAW_OP_INPUTS_MAX], out;
    struct thaw_tensor grad_in[THAW_OP_INPUTS_MAX], grad_out;
    bool want_grad_in[THAW_OP_INPUTS_MAX], accumulate_in[THAW_OP_INPUTS_MAX];
    int param_count;
    struct thaw_op_param params[THAW_OP_PARAMS_MAX];
    cl_mem saved, workspace; /* NULL when no bytes were asked for */

    /* An op with fuses_activation or trains_activation may be given the activation that follows it.
     * A folded batch norm shows as params[0].value holding the scaled weights and params[1] (bias)
     * being present. */
    enum thaw_activation activation;
    float activation_parameter;

    size_t workspace_bytes; /* set by prepare */
    size_t table_bytes;     /* likewise: of buffers that prepare has created, freed by release */
    void *state;            /* the op's own: allocated by prepare, freed by thaw_op_release */
};

struct thaw_export_call;

struct thaw_op {
    const char *type;    /* the YAML key */
    const char *summary; /* one line for people */
    size_t attrs_size;
    int inputs_min, inputs_max;
    bool folds_norm;       /* a batch norm after it may go into its weights (conv, linear) */
    bool fuses_activation; /* call->activation may be set where no backward runs (conv, add) */
    /* call->activation may be set where backward runs, too, which then begins with its gradient:
     * to those that thaw_activation_is_cheap() (batch norm). */
    bool trains_activation;
    /* The call may have one input more than the node: a map like the output that is added before
     * the activation. Backward needs the output then, the activation is one of those whose slope
     * shows there (thaw_activation_slope_shows()), and the map's gradient may be written over that
     * of the output (batch norm). */
    bool trains_residual;
    bool sums;       /* the output is the sum of the inputs, which may be broadcast (add) */
    bool stochastic; /* forward draws random numbers in training (dropout) */
    bool normalises; /* batch_statistics means something to it (batch norm) */
    enum thaw_activation activation; /* of an activation op; NONE for all others */
    /* Reads the attributes; `node` is NULL or a null scalar when the YAML gives none. Strict. */
    thaw_status (*parse)(const thaw_yaml *node, void *ret_attrs);
    /* `in` has final shapes and blocks; halos are not known yet (0). Errors say what does not fit.
     */
    thaw_status (*infer)(const void *attrs, const struct thaw_layout *in, int input_count,
                         const struct thaw_device_caps *caps, struct thaw_op_spec *ret_spec);
    thaw_status (*prepare)(struct thaw_op_call *call);
    thaw_status (*forward)(const struct thaw_op_call *call, const struct thaw_op_step *step);
    thaw_status (*backward)(const struct thaw_op_call *call, const struct thaw_op_step *step);
    /* Frees what the state owns, but not the state itself; NULL: nothing. */
    void (*release)(struct thaw_op_call *call);
    /* For activation ops: whether `activation` is all that attrs say (NULL: yes), and its parameter
     * (slope) in them (NULL: 0). */
    bool (*fusable)(const void *attrs);
    float (*activation_parameter)(const void *attrs);
    /* For ops that run convolutions, after prepare: the problem of a direction; false when the call
     * has no use for that direction. NULL: no convolutions. */
    bool (*conv_problem)(const struct thaw_op_call *call, enum thaw_conv_direction direction,
                         struct thaw_conv_problem *ret_problem);
    /* Says the op, at inference, as ONNX nodes (ops/export.h). NULL: it is not exported. */
    thaw_status (*onnx)(struct thaw_export_call *call);
};

extern const struct thaw_op *const thaw_ops[];
extern const size_t thaw_op_count;
/* Ends what prepare has begun, also when it failed: call->state is freed, then NULL. */
void thaw_op_release(const struct thaw_op *op, struct thaw_op_call *call);
/* NULL when there is no such type. */
const struct thaw_op *thaw_op_find(const char *type);

#endif
