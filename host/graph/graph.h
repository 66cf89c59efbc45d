/* A model as a graph: nodes in topological order, the parameters that they own, and the names by
 * which people select them. Built from a model YAML (the grammar is in build.c and the README).
 *
 * A graph needs device capabilities (they decide layouts) but no device until
 * thaw_graph_allocate(). */
#ifndef THAW_GRAPH_GRAPH_H
#define THAW_GRAPH_GRAPH_H

#include "ops/op.h"

#define THAW_GRAPH_CHANNELS_MAX (1 << 20) /* of the input */

struct thaw_node {
    const char *name;         /* full name: "layer1.0.conv1" */
    const char *alias;        /* its full name in other published weights, or NULL */
    const struct thaw_op *op; /* NULL for the input node, which is node 0 */
    const void *attrs;
    const thaw_yaml *written; /* the attributes, variables filled in; NULL: none were given */
    const thaw_yaml *place;   /* where the YAML says so */
    int inputs[THAW_OP_INPUTS_MAX], input_count;
    struct thaw_layout out;   /* for n = 1, halo 0 */
    struct thaw_op_spec spec; /* for n = 1 */
    int params[THAW_OP_PARAMS_MAX], param_count;
    bool batch_statistics; /* norm layers: batch statistics in training; set by the stage */
};

enum thaw_param_origin {
    THAW_ORIGIN_INITIALISED, /* random or constant: never trained */
    THAW_ORIGIN_LOADED,      /* from a weights file */
    THAW_ORIGIN_TRAINED,     /* initialised, then trained by an earlier stage */
};

struct thaw_param {
    const char *name, *alias; /* "layer1.0.conv1.weight"; alias or NULL */
    int node, slot;           /* params[slot] of that node */
    const struct thaw_param_spec *spec;
    bool trainable; /* set by the stage; false for statistics */
    bool new_head;  /* of the replaced classifier: its weights are not looked for in files */
    enum thaw_param_origin origin;
    cl_mem value; /* NULL until thaw_graph_allocate */
};

struct thaw_stage_name {
    const char *name;
    const char **prefixes; /* of node names */
    size_t prefix_count;
};

struct thaw_graph {
    struct thaw_arena arena;
    struct thaw_device_caps caps;
    thaw_device *device; /* NULL until thaw_graph_allocate; borrowed */
    const char *name;
    const thaw_yaml *document; /* the model YAML */
    struct thaw_node *nodes;
    size_t node_count, node_capacity;
    struct thaw_param *params;
    size_t param_count, param_capacity;
    int features; /* the bottleneck: nodes after it are the head */
    int output;   /* logits */
    double reference_lr;
    int reference_batch;
    struct thaw_stage_name *stages; /* from input to features */
    size_t stage_count;
};

enum thaw_head_type {
    THAW_HEAD_LAST,   /* the model's own head; its last linear layer or convolution gets `classes`
                         outputs */
    THAW_HEAD_LINEAR, /* one new linear layer on the bottleneck features (on their average over the
                         map, where the model's classifier is a convolution) */
};

struct thaw_graph_options {
    const struct thaw_device_caps *caps;
    int size;    /* input height and width; 0: the model's own */
    int classes; /* 0: the model's own head, unchanged */
    enum thaw_head_type head;
    double dropout; /* before the classifier; 0: none */
};

/* Builds from a parsed model document, which must outlive the graph. Errors name file, line and
 * node. */
thaw_status thaw_graph_build(const thaw_yaml *document, const struct thaw_graph_options *options,
                             struct thaw_graph **ret_graph);
void thaw_graph_destroy(struct thaw_graph **graph); /* frees device memory too */

/* Creates parameter buffers and initialises them from `seed`: the same numbers on every device,
 * whatever its layout. */
thaw_status thaw_graph_allocate(struct thaw_graph *graph, thaw_device *device, uint64_t seed);

/* The two halves of that, for weights to be loaded in between: what was loaded needs no random
 * numbers, which take longer than a file. */
thaw_status thaw_graph_create_params(struct thaw_graph *graph, thaw_device *device);
thaw_status thaw_graph_initialise(struct thaw_graph *graph, uint64_t seed);

/* Gives the parameter its initial value, as thaw_graph_allocate() does. */
thaw_status thaw_param_initialise(const struct thaw_graph *graph, const struct thaw_param *param,
                                  uint64_t seed);

/* Parameters in file order (spec.rank dimensions) to and from host memory. */
size_t thaw_param_count_values(const struct thaw_param *param);           /* without padding */
int thaw_param_dims(const struct thaw_param *param, int64_t ret_dims[4]); /* returns the rank */
thaw_status thaw_param_write(const struct thaw_graph *graph, const struct thaw_param *param,
                             const float *data);
thaw_status thaw_param_read(const struct thaw_graph *graph, const struct thaw_param *param,
                            float *ret_data);

int thaw_graph_find_node(const struct thaw_graph *graph, const char *name);  /* -1: none */
int thaw_graph_find_param(const struct thaw_graph *graph, const char *name); /* -1: none */
/* The place of a node in the network's own terms: its stage's index, stage_count for the head, -1
 * none. */
int thaw_graph_stage_of(const struct thaw_graph *graph, int node);

/* Selects parameters by a pattern over tensor names and marks them in `marks` (param_count bools,
 * not cleared first). A pattern is: a stage, node or prefix of names ("layer4"), a glob
 * ("*.bn?.weight"), a range of stages ("layer2..layer4"), the last stages ("last:3", "last:50%"),
 * "head", "all", or "re:" with a POSIX extended regex. One that matches nothing fails at `place`
 * with the nearest name. */
thaw_status thaw_graph_match(const struct thaw_graph *graph, const thaw_yaml *place,
                             const char *pattern, bool *marks);

/* The node at which a feature cache can cut: the last node such that no trainable parameter, no
 * norm layer with batch statistics and no active dropout lies at or before it and nothing after it
 * reads an earlier node. 0 (the input) when there is none. */
int thaw_graph_cut(const struct thaw_graph *graph);

#endif
