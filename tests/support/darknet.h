/* Makes Darknet networks for tests: each call appends a section to a .cfg and its random numbers to
 * a .weights file, and computes the layer in double precision the way Darknet's C code does, one
 * pixel at a time. Nothing of it is shared with the importer. */
#ifndef THAW_TESTS_DARKNET_H
#define THAW_TESTS_DARKNET_H

#include "core/text.h"
#include "support/support.h"

#define DARKNET_LAYERS_MAX 64

struct darknet_map {
    double *values; /* (C, H, W) */
    int c, h, w;
};

struct darknet {
    struct thaw_text cfg, weights;
    struct darknet_map input, layers[DARKNET_LAYERS_MAX];
    int count;
    bool transposed; /* by the version: connected weights stand as (inputs, outputs) */
    uint32_t seed;
};

/* [net] with pictures of `size` and a random one as the input; the header of version
 * major.minor. */
struct darknet *darknet_new(int channels, int size, int major, int minor);
void darknet_free(struct darknet *net);

struct darknet_conv {
    int filters, size, stride, padding, groups, dilation; /* 0: not written */
    bool pad, batch_normalize;
    const char *activation; /* NULL: not written, which is logistic */
};
void darknet_convolutional(struct darknet *net, const struct darknet_conv *conv);
#define DARKNET_CONV(net, ...) darknet_convolutional((net), &(struct darknet_conv){__VA_ARGS__})
void darknet_connected(struct darknet *net, int output, bool batch_normalize,
                       const char *activation);
void darknet_batchnorm(struct darknet *net);
void darknet_activation(struct darknet *net, const char *activation);
/* padding < 0: not written, which is size - 1 */
void darknet_maxpool(struct darknet *net, int size, int stride, int padding);
void darknet_avgpool(struct darknet *net);
void darknet_upsample(struct darknet *net, int stride);
void darknet_reorg(struct darknet *net, int stride);
/* `layers` as in the cfg, "-1,-4" */
void darknet_route(struct darknet *net, const char *layers, int groups, int group);
void darknet_shortcut(struct darknet *net, int from, const char *activation);
void darknet_scale_channels(struct darknet *net, int from);
/* The crop of the first layer; the network's input becomes what it puts out. */
void darknet_crop(struct darknet *net, int size, bool noadjust);
/* A section that changes nothing. */
void darknet_section(struct darknet *net, const char *text);

const struct darknet_map *darknet_output(const struct darknet *net);

#endif
