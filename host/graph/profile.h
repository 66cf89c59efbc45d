/* Where the time of a network goes: the whole pass, and each node alone. */
#ifndef THAW_GRAPH_PROFILE_H
#define THAW_GRAPH_PROFILE_H

#include "graph/exec.h"

struct thaw_profile_options {
    int batch;
    bool training; /* everything trained, batch statistics; else inference with folded norms */
    bool layers;   /* time each node as well */
    int repeats;   /* the best of so many counts */
    const char *conv_candidate; /* forced, or NULL */
};

struct thaw_profile_node {
    int node;
    double forward_s, backward_s; /* backward_s 0 in inference */
    double flops;                 /* of forward, for the batch */
};

struct thaw_profile {
    double forward_s, backward_s; /* of the whole, in one go */
    double flops;                 /* of forward, for the batch */
    struct thaw_exec_memory memory;
    struct thaw_profile_node *nodes; /* those that run, in order; of the arena */
    size_t node_count;
};

/* The graph must be allocated. Changes its trainable marks and running statistics. */
thaw_status thaw_profile_graph(struct thaw_graph *graph, const struct thaw_profile_options *options,
                               struct thaw_arena *arena, struct thaw_profile *ret_profile);

#endif
