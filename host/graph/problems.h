/* The convolutions that executables run: each different problem once, for measuring. */
#ifndef THAW_GRAPH_PROBLEMS_H
#define THAW_GRAPH_PROBLEMS_H

#include "graph/exec.h"
#include "kernels/conv.h"

struct thaw_problem {
    struct thaw_conv_problem conv;
    char key[THAW_CONV_KEY_SIZE];
    int node, uses; /* the first one, and how many there are */
};

/* Starts as {0}. */
struct thaw_problems {
    struct thaw_problem *items; /* of an arena */
    size_t count, capacity;
};

/* Adds those of the executable that the options would make (plan_only is set here). The graph must
 * be allocated. */
thaw_status thaw_problems_add(struct thaw_problems *problems, struct thaw_arena *arena,
                              struct thaw_graph *graph, const struct thaw_exec_options *options);

/* Most work first. */
void thaw_problems_sort(struct thaw_problems *problems);

#endif
