/* Inside of the Darknet importer: the network while it is read.
 *
 * A layer type is a `const struct thaw_darknet_type` and a line in the list of types.c. Its convert
 * function reads the section's keys, says the layer's shape, its nodes in the model YAML and its
 * numbers in the weights file; what comes of that (document, weights) knows no types. */
#ifndef THAW_IO_DARKNET_NET_H
#define THAW_IO_DARKNET_NET_H

#include "core/text.h"
#include "io/darknet/cfg.h"
#include "io/darknet/darknet.h"

#define THAW_DARKNET_INPUTS_MAX 8
#define THAW_DARKNET_CHANNELS_MAX (1 << 20)
#define THAW_DARKNET_SIZE_MAX 16384

struct thaw_darknet_shape {
    int c, h, w;
};

/* A run of numbers in the weights file that is one tensor. */
struct thaw_darknet_blob {
    const char *name;
    int rank;
    int64_t dims[4];
    bool connected; /* (outputs, inputs), which old versions store transposed */
    bool variance;  /* never negative */
};

/* What a layer can be at the end of a network. */
enum thaw_darknet_role {
    THAW_DARKNET_BODY,
    THAW_DARKNET_DENSE,   /* fully connected: of the classifier */
    THAW_DARKNET_PLAIN,   /* a 1x1 convolution without batch norm, which can be a classifier */
    THAW_DARKNET_POOL,    /* the global average, which may follow a classifier */
    THAW_DARKNET_PASSIVE, /* dropout, softmax, cost */
};

struct thaw_darknet_layer {
    const struct thaw_cfg_section *section;
    const struct thaw_darknet_type *type;
    struct thaw_darknet_shape in, out; /* `in`: of the layer before */
    const char *entry;  /* its name in the graph; NULL: it adds none and stands for its input */
    const char *value;  /* the entry that holds its output; "input" for the picture */
    const char **nodes; /* "conv: {out: 32, kernel: 3}"; more than one make a group */
    size_t node_count, node_capacity;
    bool names_inputs;                   /* the first node says what it reads (add: [a, b]) */
    int inputs[THAW_DARKNET_INPUTS_MAX]; /* layers; -1: the picture */
    int input_count;
    size_t first_blob, blob_count;
    enum thaw_darknet_role role;
    bool live; /* the output depends on it */
};

struct thaw_darknet_net {
    struct thaw_darknet_import *import;
    struct thaw_cfg cfg;
    const struct thaw_darknet_options *options;
    /* What a picture is resized to, what the network sees, and v -> (v - mean) / std. */
    int resize, size, channels;
    double mean, std, reference_lr;
    int reference_batch; /* 0: the cfg does not say */
    struct thaw_darknet_layer *layers;
    size_t layer_count; /* sections after [net], up to `until` */
    bool cut;           /* sections were left out */
    struct thaw_darknet_blob *blobs;
    size_t blob_count, blob_capacity;
    struct thaw_text ignored; /* keys of training only, with commas */
};

/* What a key of a section means to us. */
enum thaw_darknet_key_kind {
    THAW_KEY_READ,
    THAW_KEY_TRAINING, /* says nothing about what the network computes; listed as ignored */
    THAW_KEY_NEUTRAL,  /* only its neutral value can be had */
};
struct thaw_darknet_key {
    const char *name;
    enum thaw_darknet_key_kind kind;
    double neutral;
};

struct thaw_darknet_type {
    const char *name, *alias; /* "convolutional", "conv"; alias may be NULL */
    const char *label;        /* of entries: "conv" for conv1, conv2 */
    const struct thaw_darknet_key *keys;
    size_t key_count;
    thaw_status (*convert)(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer);
};

/* ---- for convert functions ------------------------------------------------------------------ */

/* Fails with place and section, at `key` if the section has it. */
thaw_status thaw_darknet_fail(const struct thaw_darknet_net *net,
                              const struct thaw_darknet_layer *layer, const char *key,
                              thaw_status status, const char *format, ...) THAW_PRINTF(5, 6);
thaw_status thaw_darknet_int(const struct thaw_darknet_net *net,
                             const struct thaw_darknet_layer *layer, const char *key, int low,
                             int high, int *value);
/* `key`, `key`_x and `key`_y, as stride has them: [vertical, horizontal]. */
thaw_status thaw_darknet_pair(const struct thaw_darknet_net *net,
                              const struct thaw_darknet_layer *layer, const char *key, int low,
                              int high, int pair[2]);
/* The layers that `key` names, as indices. */
thaw_status thaw_darknet_layers(const struct thaw_darknet_net *net,
                                const struct thaw_darknet_layer *layer, const char *key,
                                int *ret_layers, int *ret_count);

/* Sets the layer's entry, which becomes its value. */
thaw_status thaw_darknet_enter(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer);
/* Appends a node. */
thaw_status thaw_darknet_node(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                              const char *format, ...) THAW_PRINTF(3, 4);
/* Appends the node of the section's `activation`, none for linear; `standard` when there is none.
 */
thaw_status thaw_darknet_activate(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                  const char *standard);
thaw_status thaw_darknet_set_out(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                 int64_t c, int64_t h, int64_t w);
/* Appends the tensor "<entry>.<suffix>" to the numbers that the layer takes. */
thaw_status thaw_darknet_add_blob(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                  const char *suffix, const struct thaw_darknet_blob *blob);
thaw_status thaw_darknet_note(struct thaw_darknet_import *import, const char *format, ...)
    THAW_PRINTF(2, 3);

/* ---- the parts ------------------------------------------------------------------------------ */

/* types.c: NULL when there is no such type. */
const struct thaw_darknet_type *thaw_darknet_type_find(const char *name);
/* Fails for a section that is no layer we know, with the nearest name or the way out. */
thaw_status thaw_darknet_unknown_type(const struct thaw_darknet_net *net, size_t layer);
/* layers.c: at the end of DarkNet-19 and others stands a classifier of 1x1 filters, then the
 * average over the map. Both are linear and commute; this swaps the sections, as a classifier over
 * one pixel is cheaper and has inputs that are worth caching. */
void thaw_darknet_move_classifier(struct thaw_darknet_net *net);
/* input.c: reads [net], the first section. */
thaw_status thaw_darknet_read_input(struct thaw_darknet_net *net);
/* keys.c: every key of the section is one of `keys`, or of those that all layers have. */
thaw_status thaw_darknet_check_keys(struct thaw_darknet_net *net,
                                    const struct thaw_cfg_section *section,
                                    const struct thaw_darknet_key *keys, size_t count);
/* document.c */
thaw_status thaw_darknet_write_document(struct thaw_darknet_net *net, const char **ret_yaml);
/* numbers.c: cuts the weights file into the tensors of live layers. */
thaw_status thaw_darknet_read_numbers(struct thaw_darknet_net *net,
                                      const struct thaw_darknet_bytes *file,
                                      struct thaw_weights *weights);

#endif
