#include "support/darknet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- files ---------------------------------------------------------------------------------- */

/* Appends `count` random floats to the file and returns them; freed by the caller. */
static double *draw(struct darknet *net, int count, double low, double high) {
    float *values = malloc((size_t)count * sizeof *values);
    double *exact = malloc((size_t)count * sizeof *exact);
    assert_true(values && exact);
    test_random(values, (size_t)count, net->seed++, (float)low, (float)high);
    for (int i = 0; i < count; i++)
        exact[i] = (double)values[i];
    thaw_text_append_bytes(&net->weights, (const char *)values, (size_t)count * sizeof *values);
    free(values);
    return exact;
}

static struct darknet_map map_new(int c, int h, int w) {
    struct darknet_map map = {calloc((size_t)(c * h * w), sizeof(double)), c, h, w};
    assert_true(map.values && c > 0 && h > 0 && w > 0);
    return map;
}

static double *at(const struct darknet_map *map, int c, int y, int x) {
    return &map->values[(c * map->h + y) * map->w + x];
}

static const struct darknet_map *last(const struct darknet *net) {
    return net->count ? &net->layers[net->count - 1] : &net->input;
}

const struct darknet_map *darknet_output(const struct darknet *net) {
    return last(net);
}

static struct darknet_map *add_layer(struct darknet *net, int c, int h, int w) {
    assert_true(net->count < DARKNET_LAYERS_MAX);
    net->layers[net->count] = map_new(c, h, w);
    return &net->layers[net->count++];
}

static struct darknet_map *copy_layer(struct darknet *net) {
    const struct darknet_map from = *last(net);
    struct darknet_map *to = add_layer(net, from.c, from.h, from.w);
    memcpy(to->values, from.values, (size_t)(from.c * from.h * from.w) * sizeof *to->values);
    return to;
}

struct darknet *darknet_new(int channels, int size, int major, int minor) {
    struct darknet *net = calloc(1, sizeof *net);
    const int32_t version[] = {major, minor, 3};
    const uint64_t seen = 32013312;
    float *picture = malloc((size_t)(channels * size * size) * sizeof *picture);
    assert_true(net && picture);
    net->seed = 1;
    net->transposed = major > 1000 || minor > 1000;
    bool wide = !net->transposed && major * 10 + minor >= 2;
    thaw_text_append_bytes(&net->weights, (const char *)version, sizeof version);
    thaw_text_append_bytes(&net->weights, (const char *)&seen, wide ? 8 : 4);
    thaw_text_append(&net->cfg,
                     "[net]\nwidth=%d\nheight=%d\nchannels=%d\nbatch=64\n"
                     "learning_rate=0.05\n\n",
                     size, size, channels);
    net->input = map_new(channels, size, size);
    test_random(picture, (size_t)(channels * size * size), 77, 0, 1);
    for (int i = 0; i < channels * size * size; i++)
        net->input.values[i] = (double)picture[i];
    free(picture);
    return net;
}

void darknet_free(struct darknet *net) {
    for (int i = 0; i < net->count; i++)
        free(net->layers[i].values);
    free(net->input.values);
    thaw_text_finish(&net->cfg);
    thaw_text_finish(&net->weights);
    free(net);
}

/* ---- parts ---------------------------------------------------------------------------------- */

static double activate(const char *name, double x) {
    double logistic = 1 / (1 + exp(-x));
    if (!strcmp(name, "linear"))
        return x;
    if (!strcmp(name, "leaky"))
        return x > 0 ? x : 0.1 * x;
    if (!strcmp(name, "relie"))
        return x > 0 ? x : 0.01 * x;
    if (!strcmp(name, "relu"))
        return x > 0 ? x : 0;
    if (!strcmp(name, "relu6"))
        return x < 0 ? 0 : x > 6 ? 6 : x;
    if (!strcmp(name, "logistic"))
        return logistic;
    if (!strcmp(name, "swish"))
        return x * logistic;
    if (!strcmp(name, "mish"))
        return x * tanh(log1p(exp(x)));
    if (!strcmp(name, "tanh"))
        return tanh(x);
    if (!strcmp(name, "elu"))
        return x >= 0 ? x : expm1(x);
    if (!strcmp(name, "selu"))
        return 1.0507 * (x >= 0 ? x : 1.6732 * expm1(x));
    if (!strcmp(name, "gelu"))
        return 0.5 * x * (1 + tanh(0.797885 * x + 0.035677 * x * x * x));
    if (!strcmp(name, "hardtan"))
        return x < -1 ? -1 : x > 1 ? 1 : x;
    fail_msg("the test has no activation '%s'", name);
    return 0;
}

static void activate_map(struct darknet_map *map, const char *name) {
    for (int i = 0; i < map->c * map->h * map->w; i++)
        map->values[i] = activate(name ? name : "logistic", map->values[i]);
}

/* y = (x - mean) / sqrt(variance + eps) * scale + bias, or + bias alone for scales == NULL */
static void normalise(struct darknet_map *map, const double *biases, const double *scales,
                      const double *means, const double *variances) {
    for (int c = 0; c < map->c; c++)
        for (int i = 0; i < map->h * map->w; i++) {
            double *value = &map->values[c * map->h * map->w + i];
            if (scales)
                *value = (*value - means[c]) / sqrt(variances[c] + 1e-5) * scales[c];
            *value += biases[c];
        }
}

struct norm {
    double *scales, *means, *variances; /* NULL: no batch norm */
};

static struct norm draw_norm(struct darknet *net, int count, bool batch_normalize) {
    struct norm norm = {0};
    if (batch_normalize) {
        norm.scales = draw(net, count, 0.5, 1.5);
        norm.means = draw(net, count, -0.5, 0.5);
        norm.variances = draw(net, count, 0.1, 2);
    }
    return norm;
}

static void finish_layer(struct darknet_map *map, double *biases, struct norm norm,
                         const char *activation) {
    normalise(map, biases, norm.scales, norm.means, norm.variances);
    activate_map(map, activation);
    free(biases);
    free(norm.scales);
    free(norm.means);
    free(norm.variances);
}

static void write_key(struct darknet *net, const char *key, int value) {
    if (value)
        thaw_text_append(&net->cfg, "%s=%d\n", key, value);
}

static void write_activation(struct darknet *net, const char *activation) {
    if (activation)
        thaw_text_append(&net->cfg, "activation=%s\n", activation);
    thaw_text_append(&net->cfg, "\n");
}

/* ---- layers --------------------------------------------------------------------------------- */

/* Padding is zeros; `groups` convolutions beside each other. */
static double convolve(const struct darknet_map *in, const double *weights, int first, int channels,
                       int size, int dilation, int y0, int x0) {
    double sum = 0;
    for (int c = 0; c < channels; c++)
        for (int ky = 0; ky < size; ky++)
            for (int kx = 0; kx < size; kx++) {
                int y = y0 + ky * dilation, x = x0 + kx * dilation;
                if (y >= 0 && y < in->h && x >= 0 && x < in->w)
                    sum += *at(in, first + c, y, x) * weights[(c * size + ky) * size + kx];
            }
    return sum;
}

void darknet_convolutional(struct darknet *net, const struct darknet_conv *conv) {
    const struct darknet_map in = *last(net);
    int size = conv->size ? conv->size : 1, stride = conv->stride ? conv->stride : 1;
    int groups = conv->groups ? conv->groups : 1, dilation = conv->dilation ? conv->dilation : 1;
    int pad = (conv->pad ? size / 2 : conv->padding) * dilation, reach = (size - 1) * dilation + 1;
    thaw_text_append(&net->cfg, "[convolutional]\n");
    write_key(net, "batch_normalize", conv->batch_normalize);
    write_key(net, "filters", conv->filters);
    write_key(net, "size", conv->size);
    write_key(net, "stride", conv->stride);
    write_key(net, "padding", conv->padding);
    write_key(net, "pad", conv->pad);
    write_key(net, "groups", conv->groups);
    write_key(net, "dilation", conv->dilation);
    write_activation(net, conv->activation);

    int channels = in.c / groups, length = channels * size * size;
    double *biases = draw(net, conv->filters, -0.5, 0.5), bound = sqrt(3.0 / length);
    struct norm norm = draw_norm(net, conv->filters, conv->batch_normalize);
    double *weights = draw(net, conv->filters * length, -bound, bound);
    struct darknet_map *out = add_layer(net, conv->filters, (in.h + 2 * pad - reach) / stride + 1,
                                        (in.w + 2 * pad - reach) / stride + 1);
    for (int f = 0; f < out->c; f++)
        for (int y = 0; y < out->h; y++)
            for (int x = 0; x < out->w; x++)
                *at(out, f, y, x) =
                    convolve(&in, weights + f * length, f / (out->c / groups) * channels, channels,
                             size, dilation, y * stride - pad, x * stride - pad);
    free(weights);
    finish_layer(out, biases, norm, conv->activation);
}

void darknet_connected(struct darknet *net, int output, bool batch_normalize,
                       const char *activation) {
    const struct darknet_map in = *last(net);
    int inputs = in.c * in.h * in.w;
    thaw_text_append(&net->cfg, "[connected]\noutput=%d\n", output);
    write_key(net, "batch_normalize", batch_normalize);
    write_activation(net, activation);
    double *biases = draw(net, output, -0.5, 0.5), bound = sqrt(3.0 / inputs);
    double *weights = draw(net, output * inputs, -bound, bound);
    struct norm norm = draw_norm(net, output, batch_normalize);
    struct darknet_map *out = add_layer(net, output, 1, 1);
    for (int o = 0; o < output; o++)
        for (int i = 0; i < inputs; i++)
            out->values[o] += in.values[i] *
                              (net->transposed ? weights[i * output + o] : weights[o * inputs + i]);
    free(weights);
    finish_layer(out, biases, norm, activation);
}

void darknet_batchnorm(struct darknet *net) {
    struct darknet_map *out = copy_layer(net);
    thaw_text_append(&net->cfg, "[batchnorm]\n\n");
    double *biases = draw(net, out->c, -0.5, 0.5);
    finish_layer(out, biases, draw_norm(net, out->c, true), "linear");
}

void darknet_activation(struct darknet *net, const char *activation) {
    thaw_text_append(&net->cfg, "[activation]\n");
    write_activation(net, activation);
    activate_map(copy_layer(net), activation);
}

void darknet_maxpool(struct darknet *net, int size, int stride, int padding) {
    const struct darknet_map in = *last(net);
    thaw_text_append(&net->cfg, "[maxpool]\nsize=%d\nstride=%d\n", size, stride);
    if (padding >= 0)
        thaw_text_append(&net->cfg, "padding=%d\n", padding);
    thaw_text_append(&net->cfg, "\n");
    int pad = padding < 0 ? size - 1 : padding, offset = -pad / 2;
    struct darknet_map *out =
        add_layer(net, in.c, (in.h + pad - size) / stride + 1, (in.w + pad - size) / stride + 1);
    for (int c = 0; c < out->c; c++)
        for (int y = 0; y < out->h; y++)
            for (int x = 0; x < out->w; x++) {
                double largest = -INFINITY;
                for (int ky = 0; ky < size; ky++)
                    for (int kx = 0; kx < size; kx++) {
                        int iy = offset + y * stride + ky, ix = offset + x * stride + kx;
                        if (iy >= 0 && iy < in.h && ix >= 0 && ix < in.w)
                            largest = fmax(largest, *at(&in, c, iy, ix));
                    }
                *at(out, c, y, x) = largest;
            }
}

void darknet_avgpool(struct darknet *net) {
    const struct darknet_map in = *last(net);
    struct darknet_map *out = add_layer(net, in.c, 1, 1);
    thaw_text_append(&net->cfg, "[avgpool]\n\n");
    for (int c = 0; c < in.c; c++)
        for (int i = 0; i < in.h * in.w; i++)
            out->values[c] += in.values[c * in.h * in.w + i] / (in.h * in.w);
}

void darknet_upsample(struct darknet *net, int stride) {
    const struct darknet_map in = *last(net);
    struct darknet_map *out = add_layer(net, in.c, in.h * stride, in.w * stride);
    thaw_text_append(&net->cfg, "[upsample]\nstride=%d\n\n", stride);
    for (int c = 0; c < out->c; c++)
        for (int y = 0; y < out->h; y++)
            for (int x = 0; x < out->w; x++)
                *at(out, c, y, x) = *at(&in, c, y / stride, x / stride);
}

void darknet_reorg(struct darknet *net, int stride) {
    const struct darknet_map in = *last(net);
    struct darknet_map *out = add_layer(net, in.c * stride * stride, in.h / stride, in.w / stride);
    int channels = in.c / (stride * stride);
    thaw_text_append(&net->cfg, "[reorg]\nstride=%d\n\n", stride);
    for (int k = 0; k < in.c; k++)
        for (int j = 0; j < in.h; j++)
            for (int i = 0; i < in.w; i++) {
                int offset = k / channels, x = i * stride + offset % stride;
                int y = j * stride + offset / stride;
                out->values[i + in.w * (j + in.h * k)] =
                    in.values[x + in.w * stride * (y + in.h * stride * (k % channels))];
            }
}

/* ---- layers that read others ---------------------------------------------------------------- */

static const struct darknet_map *layer_at(const struct darknet *net, int index) {
    index = index < 0 ? net->count + index : index;
    assert_true(index >= 0 && index < net->count);
    return &net->layers[index];
}

void darknet_route(struct darknet *net, const char *layers, int groups, int group) {
    const struct darknet_map *inputs[8];
    int count = 0, channels = 0;
    thaw_text_append(&net->cfg, "[route]\nlayers=%s\n", layers);
    if (groups > 1)
        thaw_text_append(&net->cfg, "groups=%d\ngroup_id=%d\n", groups, group);
    thaw_text_append(&net->cfg, "\n");
    for (const char *cursor = layers; cursor; cursor = strchr(cursor, ',')) {
        cursor += *cursor == ',';
        inputs[count] = layer_at(net, atoi(cursor));
        channels += inputs[count++]->c / groups;
    }
    struct darknet_map *out = add_layer(net, channels, inputs[0]->h, inputs[0]->w);
    double *to = out->values;
    for (int i = 0; i < count; i++) {
        size_t part = (size_t)(inputs[i]->c / groups * inputs[i]->h * inputs[i]->w);
        memcpy(to, inputs[i]->values + (size_t)group * part, part * sizeof *to);
        to += part;
    }
}

void darknet_shortcut(struct darknet *net, int from, const char *activation) {
    const struct darknet_map other = *layer_at(net, from);
    struct darknet_map *out = copy_layer(net);
    thaw_text_append(&net->cfg, "[shortcut]\nfrom=%d\n", from);
    write_activation(net, activation);
    int stride = other.w / out->w, channels = other.c < out->c ? other.c : out->c;
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < out->h; y++)
            for (int x = 0; x < out->w; x++)
                *at(out, c, y, x) += *at(&other, c, y * stride, x * stride);
    activate_map(out, activation ? activation : "linear");
}

void darknet_scale_channels(struct darknet *net, int from) {
    const struct darknet_map gate = *last(net), map = *layer_at(net, from);
    struct darknet_map *out = add_layer(net, map.c, map.h, map.w);
    thaw_text_append(&net->cfg, "[scale_channels]\nfrom=%d\n\n", from);
    for (int i = 0; i < map.c * map.h * map.w; i++)
        out->values[i] = map.values[i] * gate.values[i / (map.h * map.w)];
}

void darknet_crop(struct darknet *net, int size, bool noadjust) {
    const struct darknet_map in = net->input;
    struct darknet_map *out = add_layer(net, in.c, size, size);
    thaw_text_append(&net->cfg, "[crop]\ncrop_height=%d\ncrop_width=%d\nflip=1\n", size, size);
    thaw_text_append(&net->cfg, "%s\n", noadjust ? "noadjust=1\n" : "");
    int offset = (in.h - size) / 2;
    for (int c = 0; c < in.c; c++)
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++) {
                double value = *at(&in, c, y + offset, x + offset);
                *at(out, c, y, x) = noadjust ? value : 2 * value - 1;
            }
    free(in.values);
    net->input = map_new(in.c, size, size);
    memcpy(net->input.values, out->values, (size_t)(in.c * size * size) * sizeof(double));
}

void darknet_section(struct darknet *net, const char *text) {
    thaw_text_append(&net->cfg, "%s\n", text);
    copy_layer(net);
}
