/* Inside of the graph builder, shared by build.c (document and nodes) and entries.c (the entries of
 * a node list: templates, repeats, groups, references). */
#ifndef THAW_GRAPH_BUILD_H
#define THAW_GRAPH_BUILD_H

#include "graph/expand.h"
#include "graph/graph.h"

/* A name visible in a scope. */
struct thaw_scope_name {
    const char *name;
    int node;
    struct thaw_scope_name *next;
};

/* Where a node list is being read: the graph itself, an instance of a block, or a group. */
struct thaw_scope {
    const struct thaw_scope *parent;
    const char *prefix; /* "layer1.0", "" at the top */
    const char *alias;  /* the same in other published weights, or NULL */
    struct thaw_variables variables;
    int input;    /* the node that `from: input` means */
    int previous; /* the node that an entry without `from` reads */
    struct thaw_scope_name *names;
};

struct thaw_builder {
    struct thaw_graph *graph;
    const struct thaw_graph_options *options;
    const thaw_yaml *blocks; /* the templates, or NULL */
    const char *classifier;  /* full name of the layer that a new head replaces; NULL in the first
                                pass */
    const struct thaw_op *classifier_op; /* of the model: linear or conv */
    const char *features;                /* its full name */
    int depth;                           /* of nested blocks and groups */
    bool finished;                       /* THAW_HEAD_LINEAR: the head is built, ignore the rest */
};

/* Reads a list of entries into the graph. */
thaw_status thaw_build_entries(struct thaw_builder *builder, struct thaw_scope *scope,
                               const thaw_yaml *list);

/* Appends a node: parses attributes, infers its shape, creates its parameters. */
thaw_status thaw_build_node(struct thaw_builder *builder, const char *name, const char *alias,
                            const struct thaw_op *op, const thaw_yaml *attrs,
                            const thaw_yaml *place, const int *inputs, int input_count,
                            int *ret_node);

#endif
