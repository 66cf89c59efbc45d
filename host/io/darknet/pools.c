/* Layers that change the size of maps. */
#include <stdio.h>

#include "io/darknet/net.h"

#define READ(name)                                                                                 \
    { name, THAW_KEY_READ, 0 }
#define NEUTRAL(name, value)                                                                       \
    { name, THAW_KEY_NEUTRAL, value }
#define KEYS(array) .keys = (array), .key_count = sizeof(array) / sizeof *(array)

/* Darknet's rule (src/maxpool_layer.c): `padding`, by default size - 1, is the sum of both sides,
 * the smaller half of it before. A window of 2 with stride 1 so keeps the map's size. */
static thaw_status convert_pool(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                const char *op, const char *more) {
    int stride[2] = {1, 1}, size, padding;
    THAW_TRY(thaw_darknet_pair(net, layer, "stride", 1, 255, stride));
    size = stride[0];
    THAW_TRY(thaw_darknet_int(net, layer, "size", 1, 255, &size));
    padding = size - 1;
    THAW_TRY(thaw_darknet_int(net, layer, "padding", 0, 255, &padding));
    int before = padding / 2, after = padding - before;
    int room[2] = {layer->in.h + padding - size, layer->in.w + padding - size};
    THAW_TRY(thaw_darknet_set_out(net, layer, layer->in.c,
                                  room[0] < 0 ? 0 : room[0] / stride[0] + 1,
                                  room[1] < 0 ? 0 : room[1] / stride[1] + 1));
    char pad[64] = "", strides[32];
    if (before != after)
        snprintf(pad, sizeof pad, ", pad: [%d, %d, %d, %d]", before, before, after, after);
    else if (before)
        snprintf(pad, sizeof pad, ", pad: %d", before);
    if (stride[0] != stride[1])
        snprintf(strides, sizeof strides, "[%d, %d]", stride[0], stride[1]);
    else
        snprintf(strides, sizeof strides, "%d", stride[0]);
    THAW_TRY(thaw_darknet_enter(net, layer));
    return thaw_darknet_node(net, layer, "%s: {kernel: %d, stride: %s%s%s}", op, size, strides, pad,
                             more);
}

static thaw_status convert_maxpool(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    return convert_pool(net, layer, "maxpool", "");
}

static thaw_status convert_local_avgpool(struct thaw_darknet_net *net,
                                         struct thaw_darknet_layer *layer) {
    return convert_pool(net, layer, "avgpool", ", count_include_pad: false");
}

static const struct thaw_darknet_key pool_keys[] = {
    READ("size"),
    READ("stride"),
    READ("stride_x"),
    READ("stride_y"),
    READ("padding"),
    NEUTRAL("maxpool_depth", 0),
    NEUTRAL("out_channels", 1),
    NEUTRAL("antialiasing", 0),
};

const struct thaw_darknet_type thaw_darknet_maxpool = {.name = "maxpool",
                                                       .alias = "max",
                                                       .label = "maxpool",
                                                       KEYS(pool_keys),
                                                       .convert = convert_maxpool};

const struct thaw_darknet_type thaw_darknet_local_avgpool = {.name = "local_avgpool",
                                                             .alias = "local_avg",
                                                             .label = "local_avgpool",
                                                             KEYS(pool_keys),
                                                             .convert = convert_local_avgpool};

/* Of the whole map. */
static thaw_status convert_avgpool(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    layer->role = THAW_DARKNET_POOL;
    THAW_TRY(thaw_darknet_set_out(net, layer, layer->in.c, 1, 1));
    THAW_TRY(thaw_darknet_enter(net, layer));
    return thaw_darknet_node(net, layer, "global");
}

const struct thaw_darknet_type thaw_darknet_avgpool = {
    .name = "avgpool", .alias = "avg", .label = "avgpool", .convert = convert_avgpool};

/* Each pixel becomes a square. */
static thaw_status convert_upsample(struct thaw_darknet_net *net,
                                    struct thaw_darknet_layer *layer) {
    int stride = 2;
    THAW_TRY(thaw_darknet_int(net, layer, "stride", 1, 64, &stride));
    THAW_TRY(thaw_darknet_set_out(net, layer, layer->in.c, (int64_t)layer->in.h * stride,
                                  (int64_t)layer->in.w * stride));
    THAW_TRY(thaw_darknet_enter(net, layer));
    return thaw_darknet_node(net, layer,
                             "resize: {scale: [%d, %d], mode: nearest, coordinates: asymmetric, "
                             "nearest: floor}",
                             stride, stride);
}

static const struct thaw_darknet_key upsample_keys[] = {READ("stride"), NEUTRAL("scale", 1)};

const struct thaw_darknet_type thaw_darknet_upsample = {
    .name = "upsample", .label = "upsample", KEYS(upsample_keys), .convert = convert_upsample};

/* YOLOv2's passthrough (src/blas.c, reorg_cpu): the input, of C x H x W, is read as if it were C /
 * s^2 maps of H s x W s, whose squares of s x s pixels go into as many groups of channels; the
 * result is in turn read as C s^2 maps of H / s x W / s. */
static thaw_status convert_reorg(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    const struct thaw_darknet_shape *in = &layer->in;
    int s = 1;
    THAW_TRY(thaw_darknet_int(net, layer, "stride", 1, 64, &s));
    if (in->c % (s * s) || in->h % s || in->w % s)
        return thaw_darknet_fail(net, layer, "stride", THAW_ERROR_INPUT,
                                 "stride=%d does not divide its input of %d x %d x %d (channels, "
                                 "height, width)",
                                 s, in->c, in->h, in->w);
    THAW_TRY(thaw_darknet_set_out(net, layer, (int64_t)in->c * s * s, in->h / s, in->w / s));
    THAW_TRY(thaw_darknet_enter(net, layer));
    return thaw_darknet_node(net, layer,
                             "rearrange: {view: [%d, %d, %d, %d, %d], order: [2, 4, 0, 1, 3], out: "
                             "[%d, %d, %d]}",
                             in->c / (s * s), in->h, s, in->w, s, layer->out.c, layer->out.h,
                             layer->out.w);
}

static const struct thaw_darknet_key reorg_keys[] = {READ("stride"), NEUTRAL("reverse", 0)};

const struct thaw_darknet_type thaw_darknet_reorg = {
    .name = "reorg", .label = "reorg", KEYS(reorg_keys), .convert = convert_reorg};
