/* Where the time of a network goes: the whole pass, and each node alone. */
#ifndef THAW_GRAPH_PROFILE_H
#define THAW_GRAPH_PROFILE_H

#include "graph/exec.h"
#include "graph/problems.h"

struct thaw_profile_options {
    int batch;
    bool training; /* everything trained, batch statistics; else inference with folded norms */
    bool layers;   /* time each node as well */
    int repeats;   /* the best of so many counts */
    const char *conv_candidate; /* forced, or NULL */
    /* What ends a training step, from the gradients of `exec`; NULL: nothing. */
    thaw_status (*update)(void *user, thaw_exec *exec);
    void *update_user;
};

struct thaw_profile_node {
    int node;
    double forward_s, backward_s; /* backward_s 0 in inference */
    double flops;                 /* of forward, for the batch */
};

struct thaw_profile {
    double forward_s, backward_s, update_s; /* of the whole: the best of the repeats */
    double step_s; /* forward, and in training backward and update: the median */
    double flops;  /* of forward, for the batch */
    struct thaw_exec_memory memory;
    struct thaw_profile_node *nodes; /* those that run, in order; of the arena */
    size_t node_count;
};

/* The graph must be allocated. Changes its trainable marks and running statistics. */
thaw_status thaw_profile_graph(struct thaw_graph *graph, const struct thaw_profile_options *options,
                               struct thaw_arena *arena, struct thaw_profile *ret_profile);

/* The convolutions of inference and, if asked for, of training everything, those with the most work
 * first; of the arena. The graph must be allocated. */
thaw_status thaw_profile_problems(struct thaw_graph *graph, int batch, bool training,
                                  struct thaw_arena *arena, struct thaw_problems *ret_problems);

#endif
