/* An executable: the part of a graph between a start and its outputs, bound to a device and a batch
 * size, with every buffer planned before the first step.
 *
 * Creation reads what the stage has set in the graph (param.trainable, node.batch_statistics) and
 * derives: which nodes run, which gradients exist (none below the lowest trainable parameter, none
 * of frozen tensors), which batch norms fold into the convolution before them (running statistics,
 * no gradient through them), which activations run in a convolution's epilogue or, with gradients
 * too, in a batch norm's, what is computed in place, and each buffer's place in one pool. Change
 * the stage: make a new executable. */
#ifndef THAW_GRAPH_EXEC_H
#define THAW_GRAPH_EXEC_H

#include "graph/graph.h"

struct thaw_exec_options {
    int batch;       /* largest number of images of a step */
    int start;       /* the node whose output is given from outside; 0: the input image */
    const int *keep; /* nodes whose outputs stay readable after forward, besides the logits */
    int keep_count;
    bool only_keep; /* leave out what `keep` does not need: the logits are not computed */
    bool training; /* dropout active, batch statistics where the stage says so, backward possible */
    bool loss;     /* softmax cross-entropy against targets, at the end */
    bool adds_up;  /* gradients of the parameters add up over the parts of a batch (step.first) */
    bool plan_only; /* stop before memory is allocated: for thaw_exec_memory and thaw_exec_node */
    const char *conv_candidate; /* forced, or NULL */
};

typedef struct thaw_exec thaw_exec;

/* The graph must be allocated, and must outlive the executable. */
thaw_status thaw_exec_create(struct thaw_graph *graph, const struct thaw_exec_options *options,
                             thaw_exec **ret_exec);
void thaw_exec_destroy(thaw_exec **exec);

/* To be filled by the caller before forward: `start`'s output, and the (N, K, 1, 1) targets. */
const struct thaw_tensor *thaw_exec_input(const thaw_exec *exec);
const struct thaw_tensor *thaw_exec_targets(const thaw_exec *exec); /* NULL without loss */
/* Outputs: a kept node or the logits; NULL when `node` is neither. */
const struct thaw_tensor *thaw_exec_output(const thaw_exec *exec, int node);
/* (N, 1, 1, 1): the loss of each image, before division by the targets' norm; NULL without loss. */
const struct thaw_tensor *thaw_exec_losses(const thaw_exec *exec);
/* The gradient of a parameter, from backward until the next forward, or with adds_up until the next
 * backward of a part that begins a batch; NULL when it is not trainable. */
cl_mem thaw_exec_gradient(const thaw_exec *exec, int param);

thaw_status thaw_exec_forward(thaw_exec *exec, const struct thaw_op_step *step);
thaw_status thaw_exec_backward(thaw_exec *exec, const struct thaw_op_step *step);

/* Computes folded weights anew: after parameters of folded layers changed. Done by create. */
thaw_status thaw_exec_fold(thaw_exec *exec);

struct thaw_exec_memory {
    size_t pool_bytes;                                    /* the one allocation for all below */
    size_t activation_bytes, gradient_bytes, saved_bytes; /* sums without sharing */
    size_t parameter_gradient_bytes, workspace_bytes;     /* with adds_up: the sums, too */
    size_t folded_bytes; /* copies of folded weights, outside the pool */
    size_t table_bytes;  /* what ops keep on the device besides, outside the pool */
};
/* Device memory of an executable. */
static inline size_t thaw_exec_memory_bytes(const struct thaw_exec_memory *memory) {
    return memory->pool_bytes + memory->folded_bytes + memory->table_bytes;
}
struct thaw_exec_memory thaw_exec_memory(const thaw_exec *exec);

/* What became of a node, for `thaw plan` and the bench. */
struct thaw_exec_node_info {
    bool runs;     /* has a kernel of its own in this executable */
    bool folded;   /* into the node before it (batch norm, activation), or an alias */
    bool backward; /* takes part in backward */
    double flops;  /* of forward, per image */
};
struct thaw_exec_node_info thaw_exec_node(const thaw_exec *exec, int node);
/* The convolution that a node runs in a direction; false when it runs none. */
bool thaw_exec_conv_problem(const thaw_exec *exec, int node, enum thaw_conv_direction direction,
                            struct thaw_conv_problem *ret_problem);
/* Runs one node's forward or backward alone, for the bench: `backward` needs a run of both before.
 */
thaw_status thaw_exec_run_node(thaw_exec *exec, int node, bool backward,
                               const struct thaw_op_step *step);

#endif
