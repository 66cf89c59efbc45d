/* Inside of the executor, shared by exec.c (creation and running), exec_fuse.c (which nodes run and
 * how they combine) and exec_memory.c (sharing, lifetimes, buffers). */
#ifndef THAW_GRAPH_EXEC_INTERNAL_H
#define THAW_GRAPH_EXEC_INTERNAL_H

#include "graph/exec.h"
#include "graph/plan.h"

/* A node of the executable: those of the graph at their own index, then targets and loss. */
struct thaw_exec_item {
    const struct thaw_node *node;
    bool active;        /* needed for the outputs */
    bool external;      /* given from outside: the start, the targets */
    bool asked;         /* the caller wants its output */
    bool kept;          /* stays readable after forward: asked for, or standing for what is */
    bool requires_grad; /* takes part in backward */
    int stands_for;     /* itself, or the item whose output it is (alias, folded, fused) */
    int inputs[THAW_OP_INPUTS_MAX];
    int input_count; /* the node's, and a residual */
    int uses;        /* how often active items read it */
    int fold_norm;   /* batch norm folded into this convolution, or -1 */
    cl_mem fold_weight, fold_bias;
    struct thaw_op_spec spec; /* for the executable's batch */
    struct thaw_layout layout, grad_layout;
    int act_root, grad_root; /* items that share an activation or a gradient buffer have one root */
    int time;                /* of forward; backward is at 2 * times - 1 - time */
    cl_mem act, grad, saved;
    struct thaw_tensor output;            /* what callers see of it */
    bool clear_act_halo, clear_grad_halo; /* memory is shared: zero the halo before each use */
    struct thaw_op_call call;
};

struct thaw_exec {
    struct thaw_graph *graph;
    struct thaw_exec_options options;
    struct thaw_arena arena;
    struct thaw_exec_item *items;
    int count;                 /* of items */
    int targets, loss;         /* items, or -1 */
    int output;                /* the item of the logits, resolved; -1 with only_keep */
    int times;                 /* number of forward steps */
    struct thaw_node extra[2]; /* targets and loss, which the graph does not have */
    cl_mem pool, workspace;
    cl_mem
        *param_grads;   /* per parameter of the graph; with adds_up one part's, while it is added */
    cl_mem *param_sums; /* likewise, with adds_up: over the parts of a batch */
    thaw_kernel *halo_kernel, *add_kernel;
    struct thaw_exec_memory memory;
};

/* exec_fuse.c: marks active items, infers their specs for the batch, decides on folding. */
thaw_status thaw_exec_select(thaw_exec *exec);

/* exec_memory.c: decides what shares memory, then layouts (before kernels are prepared). */
void thaw_exec_layouts(thaw_exec *exec);
/* exec_memory.c: plans and creates buffers (after kernels told their workspace). */
thaw_status thaw_exec_allocate(thaw_exec *exec);

static inline int thaw_exec_backward_time(const thaw_exec *exec,
                                          const struct thaw_exec_item *item) {
    return 2 * exec->times - 1 - item->time;
}

#endif
