/* Layers that read others than the one before. */
#include <string.h>

#include "io/darknet/net.h"

#define READ(name)                                                                                 \
    { name, THAW_KEY_READ, 0 }
#define NEUTRAL(name, value)                                                                       \
    { name, THAW_KEY_NEUTRAL, value }
#define KEYS(array) .keys = (array), .key_count = sizeof(array) / sizeof *(array)

static void set_inputs(struct thaw_darknet_layer *layer, const int *inputs, int count) {
    memcpy(layer->inputs, inputs, (size_t)count * sizeof *inputs);
    layer->input_count = count;
    layer->names_inputs = true;
}

static bool same_map(const struct thaw_darknet_shape *a, const struct thaw_darknet_shape *b) {
    return a->h == b->h && a->w == b->w;
}

/* "op: [a, b]" over the layer's inputs, by these names */
static thaw_status join(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                        const char *op, const char *const *names) {
    struct thaw_text list = {0};
    for (int i = 0; i < layer->input_count; i++)
        thaw_text_append(&list, "%s%s", i ? ", " : "", names[i]);
    thaw_status status = list.failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory")
                                     : thaw_darknet_node(net, layer, "%s: [%s]", op, list.text);
    thaw_text_finish(&list);
    return status;
}

static thaw_status join_values(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                               const char *op) {
    const char *names[THAW_DARKNET_INPUTS_MAX];
    for (int i = 0; i < layer->input_count; i++)
        names[i] = net->layers[layer->inputs[i]].value;
    return join(net, layer, op, names);
}

/* ---- route ---------------------------------------------------------------------------------- */

/* One group of the channels of each input (src/route_layer.c), joined. */
static thaw_status route_group(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                               int groups, int group) {
    const struct thaw_darknet_layer *input = &net->layers[layer->inputs[0]];
    int part = input->out.c / groups;
    if (layer->input_count != 1)
        return thaw_darknet_fail(net, layer, "groups", THAW_ERROR_UNSUPPORTED,
                                 "groups=%d of %d layers at once; route them one by one", groups,
                                 layer->input_count);
    if (input->out.c % groups)
        return thaw_darknet_fail(net, layer, "groups", THAW_ERROR_INPUT,
                                 "groups=%d divides not the %d channels of its input", groups,
                                 input->out.c);
    THAW_TRY(thaw_darknet_set_out(net, layer, part, input->out.h, input->out.w));
    THAW_TRY(thaw_darknet_enter(net, layer));
    return thaw_darknet_node(net, layer, "slice: {channels: [%d, %d]}", group * part,
                             (group + 1) * part);
}

static thaw_status convert_route(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    int inputs[THAW_DARKNET_INPUTS_MAX], count, groups = 1, group = 0;
    int64_t channels = 0;
    THAW_TRY(thaw_darknet_layers(net, layer, "layers", inputs, &count));
    THAW_TRY(thaw_darknet_int(net, layer, "groups", 1, THAW_DARKNET_CHANNELS_MAX, &groups));
    THAW_TRY(thaw_darknet_int(net, layer, "group_id", 0, groups - 1, &group));
    set_inputs(layer, inputs, count);
    const struct thaw_darknet_layer *first = &net->layers[inputs[0]];
    for (int i = 0; i < count; i++) {
        const struct thaw_darknet_shape *shape = &net->layers[inputs[i]].out;
        channels += shape->c;
        if (!same_map(shape, &first->out))
            return thaw_darknet_fail(net, layer, "layers", THAW_ERROR_INPUT,
                                     "its layers have maps of %d x %d and %d x %d", first->out.h,
                                     first->out.w, shape->h, shape->w);
    }
    if (groups == 1 && count == 1) {
        layer->value = first->value;
        layer->out = first->out;
        return THAW_OK;
    }
    if (groups > 1) {
        layer->names_inputs = false;
        return route_group(net, layer, groups, group);
    }
    THAW_TRY(thaw_darknet_set_out(net, layer, channels, first->out.h, first->out.w));
    THAW_TRY(thaw_darknet_enter(net, layer));
    return join_values(net, layer, "concat");
}

static const struct thaw_darknet_key route_keys[] = {READ("layers"), READ("groups"),
                                                     READ("group_id")};

const struct thaw_darknet_type thaw_darknet_route = {
    .name = "route", .label = "route", KEYS(route_keys), .convert = convert_route};

/* ---- shortcut, scale_channels --------------------------------------------------------------- */

/* The layer before and those of `from`. */
static thaw_status read_from(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                             int max) {
    int from[THAW_DARKNET_INPUTS_MAX], count;
    THAW_TRY(thaw_darknet_layers(net, layer, "from", from, &count));
    if (count > max)
        return thaw_darknet_fail(net, layer, "from", THAW_ERROR_UNSUPPORTED, "from: at most %d",
                                 max);
    if (!strcmp(layer->value, "input"))
        return thaw_darknet_fail(net, layer, NULL, THAW_ERROR_UNSUPPORTED,
                                 "reads the picture itself");
    int inputs[THAW_DARKNET_INPUTS_MAX] = {layer->inputs[0]};
    memcpy(inputs + 1, from, (size_t)count * sizeof *from);
    set_inputs(layer, inputs, count + 1);
    return THAW_OK;
}

/* Darknet adds what fits (src/blas.c, shortcut_cpu): of a larger map every second pixel, the
 * channels that both have. Here: a part of the input `number`, widened with zeros; *ret_name is the
 * node. */
static thaw_status fit_input(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                             int number, const char **ret_name) {
    const struct thaw_darknet_layer *input = &net->layers[layer->inputs[number]];
    const struct thaw_darknet_shape *from = &input->out, *to = &layer->in;
    int step = from->h / to->h;
    bool fits =
        step > 0 && (from->h + step - 1) / step == to->h && (from->w + step - 1) / step == to->w;
    if (!fits)
        return thaw_darknet_fail(net, layer, "from", THAW_ERROR_UNSUPPORTED,
                                 "adds %d x %d x %d (channels, height, width) to %d x %d x %d",
                                 from->c, from->h, from->w, to->c, to->h, to->w);
    const char *name = input->value;
    struct thaw_arena *arena = &net->import->arena;
    if (step > 1 || from->c > to->c) {
        const char *part = thaw_arena_format(arena, "part%d", number);
        int channels = from->c > to->c ? to->c : from->c;
        THAW_TRY(thaw_darknet_node(net, layer,
                                   "part%d: {slice: {channels: [0, %d], height: [0, null, %d], "
                                   "width: [0, null, %d]}, from: %s}",
                                   number, channels, step, step, name));
        name = part;
    }
    if (from->c < to->c) {
        const char *wide = thaw_arena_format(arena, "wide%d", number);
        THAW_TRY(thaw_darknet_node(net, layer, "wide%d: {pad: {channels: [0, %d]}, from: %s}",
                                   number, to->c - from->c, name));
        name = wide;
    }
    *ret_name = name;
    return name ? THAW_OK : THAW_ERROR_MEMORY;
}

static thaw_status convert_shortcut(struct thaw_darknet_net *net,
                                    struct thaw_darknet_layer *layer) {
    const struct thaw_cfg_option *weights = thaw_cfg_find(layer->section, "weights_type");
    const char *names[THAW_DARKNET_INPUTS_MAX] = {layer->value};
    if (weights && strcmp(weights->value, "none") != 0)
        return thaw_darknet_fail(net, layer, "weights_type", THAW_ERROR_UNSUPPORTED,
                                 "weights_type=%s: Thaw has this only as weights_type=none",
                                 weights->value);
    THAW_TRY(read_from(net, layer, THAW_DARKNET_INPUTS_MAX - 1));
    THAW_TRY(thaw_darknet_enter(net, layer));
    for (int i = 1; i < layer->input_count; i++)
        THAW_TRY(fit_input(net, layer, i, &names[i]));
    THAW_TRY(join(net, layer, "add", names));
    return thaw_darknet_activate(net, layer, "linear");
}

static const struct thaw_darknet_key shortcut_keys[] = {
    READ("from"),        READ("activation"), READ("weights_type"), READ("weights_normalizion"),
    NEUTRAL("alpha", 1), NEUTRAL("beta", 1),
};

const struct thaw_darknet_type thaw_darknet_shortcut = {
    .name = "shortcut", .label = "shortcut", KEYS(shortcut_keys), .convert = convert_shortcut};

/* A map times one number for each channel, which the layer before gives (squeeze and excitation).
 */
static thaw_status convert_scale_channels(struct thaw_darknet_net *net,
                                          struct thaw_darknet_layer *layer) {
    THAW_TRY(read_from(net, layer, 1));
    int gate = layer->inputs[0];
    const struct thaw_darknet_shape *map = &net->layers[layer->inputs[1]].out;
    if (layer->in.h != 1 || layer->in.w != 1 || layer->in.c != map->c)
        return thaw_darknet_fail(net, layer, "from", THAW_ERROR_INPUT,
                                 "scales %d channels with %d x %d x %d numbers (channels, height, "
                                 "width), expected %d x 1 x 1",
                                 map->c, layer->in.c, layer->in.h, layer->in.w, map->c);
    layer->inputs[0] = layer->inputs[1]; /* the map comes first in Thaw */
    layer->inputs[1] = gate;
    THAW_TRY(thaw_darknet_set_out(net, layer, map->c, map->h, map->w));
    THAW_TRY(thaw_darknet_enter(net, layer));
    THAW_TRY(join_values(net, layer, "mul"));
    return thaw_darknet_activate(net, layer, "linear");
}

static const struct thaw_darknet_key scale_keys[] = {READ("from"), READ("activation"),
                                                     NEUTRAL("scale_wh", 0)};

const struct thaw_darknet_type thaw_darknet_scale_channels = {.name = "scale_channels",
                                                              .label = "scale",
                                                              KEYS(scale_keys),
                                                              .convert = convert_scale_channels};
