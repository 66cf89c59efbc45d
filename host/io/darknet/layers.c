/* Layers with weights, and activations. */
#include <string.h>

#include "io/darknet/net.h"

#define FEATURES_MAX (1 << 28)
#define READ(name)                                                                                 \
    { name, THAW_KEY_READ, 0 }
#define TRAINING(name)                                                                             \
    { name, THAW_KEY_TRAINING, 0 }
#define NEUTRAL(name, value)                                                                       \
    { name, THAW_KEY_NEUTRAL, value }
#define KEYS(array) .keys = (array), .key_count = sizeof(array) / sizeof *(array)

/* ---- activations (src/activations.h) -------------------------------------------------------- */

static const struct {
    const char *name, *node; /* NULL: none */
} activations[] = {
    {"linear", NULL},
    {"leaky", "leaky_relu: {slope: 0.1}"},
    {"relu", "relu"},
    {"logistic", "sigmoid"},
    {"relu6", "relu6"},
    {"swish", "silu"},
    {"mish", "mish"},
    {"tanh", "tanh"},
    {"elu", "elu"},
    {"selu", "selu: {alpha: 1.6732, gamma: 1.0507}"},
    {"gelu", "gelu: {approximate: tanh}"},
    {"relie", "leaky_relu: {slope: 0.01}"},
    {"hardtan", "clip: {min: -1, max: 1}"},
};
#define ACTIVATION_COUNT (sizeof activations / sizeof *activations)

static thaw_status find_activation(const struct thaw_darknet_net *net,
                                   const struct thaw_darknet_layer *layer, const char *standard,
                                   const char **ret_node) {
    static const char *const missing[] = {"loggy",
                                          "ramp",
                                          "plse",
                                          "stair",
                                          "lhtan",
                                          "hard_mish",
                                          "normalize_channels",
                                          "normalize_channels_softmax",
                                          "normalize_channels_softmax_maxval"};
    const struct thaw_cfg_option *option = thaw_cfg_find(layer->section, "activation");
    const char *name = option ? option->value : standard, *names[ACTIVATION_COUNT];
    for (size_t i = 0; i < ACTIVATION_COUNT; i++) {
        names[i] = activations[i].name;
        if (!strcmp(name, names[i])) {
            *ret_node = activations[i].node;
            return THAW_OK;
        }
    }
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        if (!strcmp(name, missing[i]))
            return thaw_darknet_fail(net, layer, "activation", THAW_ERROR_UNSUPPORTED,
                                     "activation=%s: Thaw does not have it", name);
    const char *nearest = thaw_nearest(name, names, ACTIVATION_COUNT);
    return thaw_darknet_fail(
        net, layer, "activation", THAW_ERROR_INPUT, "activation=%s is none of Darknet's%s%s%s",
        name, nearest ? " (nearest: '" : "", nearest ? nearest : "", nearest ? "')" : "");
}

thaw_status thaw_darknet_activate(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                  const char *standard) {
    const char *node = NULL;
    THAW_TRY(find_activation(net, layer, standard, &node));
    return node ? thaw_darknet_node(net, layer, "%s", node) : THAW_OK;
}

static thaw_status convert_activation(struct thaw_darknet_net *net,
                                      struct thaw_darknet_layer *layer) {
    const char *node = NULL;
    THAW_TRY(find_activation(net, layer, "linear", &node));
    if (!node)
        return THAW_OK;
    THAW_TRY(thaw_darknet_enter(net, layer));
    return thaw_darknet_node(net, layer, "%s", node);
}

static const struct thaw_darknet_key activation_keys[] = {READ("activation")};

const struct thaw_darknet_type thaw_darknet_activation = {.name = "activation",
                                                          .label = "activation",
                                                          KEYS(activation_keys),
                                                          .convert = convert_activation};

/* ---- numbers -------------------------------------------------------------------------------- */

static thaw_status add_vector(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                              const char *suffix, int count, bool variance) {
    const struct thaw_darknet_blob blob = {.rank = 1, .dims = {count}, .variance = variance};
    return thaw_darknet_add_blob(net, layer, suffix, &blob);
}

/* Scales and statistics of a batch norm named `prefix`: "bn." or "" */
static thaw_status add_norm(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                            const char *weight, const char *mean, const char *variance, int count) {
    THAW_TRY(add_vector(net, layer, weight, count, false));
    THAW_TRY(add_vector(net, layer, mean, count, false));
    return add_vector(net, layer, variance, count, true);
}

/* A layer of one node is named as a whole, else its first node is: "conv1.weight" or
 * "conv1.conv.weight". */
static const char *suffix_of(const struct thaw_darknet_layer *layer, const char *grouped,
                             const char *alone) {
    return layer->node_count > 1 ? grouped : alone;
}

/* ---- convolutional -------------------------------------------------------------------------- */

struct convolution {
    int filters, kernel, stride[2], pad, dilation, groups;
    int normalised; /* not a bool only because it is read as a number */
};

static thaw_status read_convolution(const struct thaw_darknet_net *net,
                                    const struct thaw_darknet_layer *layer,
                                    struct convolution *conv) {
    struct convolution c = *conv; /* what Darknet takes for absent keys */
    int half = 0;
    THAW_TRY(thaw_darknet_int(net, layer, "filters", 1, THAW_DARKNET_CHANNELS_MAX, &c.filters));
    THAW_TRY(thaw_darknet_int(net, layer, "size", 1, 255, &c.kernel));
    THAW_TRY(thaw_darknet_pair(net, layer, "stride", 1, 255, c.stride));
    THAW_TRY(thaw_darknet_int(net, layer, "padding", 0, 255, &c.pad));
    THAW_TRY(thaw_darknet_int(net, layer, "pad", 0, 255, &half)); /* a flag, and wins */
    THAW_TRY(thaw_darknet_int(net, layer, "dilation", 1, 255, &c.dilation));
    THAW_TRY(thaw_darknet_int(net, layer, "groups", 1, THAW_DARKNET_CHANNELS_MAX, &c.groups));
    THAW_TRY(thaw_darknet_int(net, layer, "batch_normalize", 0, 1, &c.normalised));
    if (thaw_cfg_find(layer->section, "share_index"))
        return thaw_darknet_fail(net, layer, "share_index", THAW_ERROR_UNSUPPORTED,
                                 "share_index: Thaw's layers share no weights");
    if (half)
        c.pad = c.kernel / 2;
    if (c.kernel == 1)
        c.dilation = 1;
    if (layer->in.c % c.groups || c.filters % c.groups)
        return thaw_darknet_fail(net, layer, "groups", THAW_ERROR_INPUT,
                                 "groups=%d divides not both its %d input channels and its %d "
                                 "filters",
                                 c.groups, layer->in.c, c.filters);
    *conv = c;
    return THAW_OK;
}

/* Darknet counts outputs as if there were no dilation, which agrees where the padding is half of
 * the kernel; elsewhere what it computes is an accident. */
static thaw_status infer_convolution(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                     const struct convolution *c) {
    if (c->dilation > 1 && (2 * c->pad != c->kernel - 1 || c->stride[0] != 1 || c->stride[1] != 1))
        return thaw_darknet_fail(net, layer, "dilation", THAW_ERROR_UNSUPPORTED,
                                 "dilation=%d needs an odd size, pad=1 and stride=1", c->dilation);
    int room[2] = {layer->in.h + 2 * c->pad - c->kernel, layer->in.w + 2 * c->pad - c->kernel};
    return thaw_darknet_set_out(net, layer, c->filters,
                                room[0] < 0 ? 0 : room[0] / c->stride[0] + 1,
                                room[1] < 0 ? 0 : room[1] / c->stride[1] + 1);
}

static thaw_status add_convolution_node(struct thaw_darknet_net *net,
                                        struct thaw_darknet_layer *layer,
                                        const struct convolution *c) {
    struct thaw_text attrs = {0};
    thaw_text_append(&attrs, "out: %d, kernel: %d", c->filters, c->kernel);
    if (c->stride[0] != c->stride[1])
        thaw_text_append(&attrs, ", stride: [%d, %d]", c->stride[0], c->stride[1]);
    else if (c->stride[0] > 1)
        thaw_text_append(&attrs, ", stride: %d", c->stride[0]);
    if (c->pad)
        thaw_text_append(&attrs, ", pad: %d", c->pad * c->dilation);
    if (c->dilation > 1)
        thaw_text_append(&attrs, ", dilation: %d", c->dilation);
    if (c->groups > 1)
        thaw_text_append(&attrs, ", groups: %d", c->groups);
    if (c->normalised)
        thaw_text_append(&attrs, ", bias: false");
    thaw_status status = attrs.failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory")
                                      : thaw_darknet_node(net, layer, "conv: {%s}", attrs.text);
    thaw_text_finish(&attrs);
    return status;
}

/* Whether nothing with weights follows, in what is kept of the network. */
static bool is_last(const struct thaw_darknet_net *net, size_t layer) {
    for (size_t i = layer + 1; i < net->layer_count; i++) {
        const struct thaw_darknet_type *type =
            thaw_darknet_type_find(net->cfg.sections[i + 1].type);
        if (!type || (strcmp(type->name, "softmax") && strcmp(type->name, "cost") &&
                      strcmp(type->name, "dropout")))
            return false;
    }
    return true;
}

/* A classifier over one pixel. */
static thaw_status convert_to_linear(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                     const struct convolution *c) {
    const struct thaw_darknet_blob weight = {.rank = 2, .dims = {c->filters, layer->in.c}};
    layer->role = THAW_DARKNET_DENSE;
    THAW_TRY(thaw_darknet_node(net, layer, "linear: {out: %d}", c->filters));
    THAW_TRY(add_vector(net, layer, "bias", c->filters, false));
    return thaw_darknet_add_blob(net, layer, "weight", &weight);
}

static thaw_status convert_convolutional(struct thaw_darknet_net *net,
                                         struct thaw_darknet_layer *layer) {
    struct convolution c = {
        .filters = 1, .kernel = 1, .stride = {1, 1}, .dilation = 1, .groups = 1};
    const char *activation = NULL;
    THAW_TRY(read_convolution(net, layer, &c));
    THAW_TRY(infer_convolution(net, layer, &c));
    THAW_TRY(thaw_darknet_enter(net, layer));
    THAW_TRY(find_activation(net, layer, "logistic", &activation));
    bool plain = c.kernel == 1 && !c.pad && c.groups == 1 && !c.normalised && c.stride[0] == 1 &&
                 c.stride[1] == 1;
    layer->role = plain ? THAW_DARKNET_PLAIN : THAW_DARKNET_BODY;
    if (plain && !activation && layer->in.h == 1 && layer->in.w == 1 &&
        is_last(net, (size_t)(layer - net->layers)))
        return convert_to_linear(net, layer, &c);
    const struct thaw_darknet_blob weight = {
        .rank = 4, .dims = {c.filters, layer->in.c / c.groups, c.kernel, c.kernel}};
    THAW_TRY(add_convolution_node(net, layer, &c));
    if (c.normalised)
        THAW_TRY(thaw_darknet_node(net, layer, "bn: {batchnorm: {eps: 1e-5}}"));
    if (activation)
        THAW_TRY(thaw_darknet_node(net, layer, "%s", activation));
    if (c.normalised) {
        THAW_TRY(add_vector(net, layer, "bn.bias", c.filters, false));
        THAW_TRY(add_norm(net, layer, "bn.weight", "bn.running_mean", "bn.running_var", c.filters));
    } else {
        THAW_TRY(add_vector(net, layer, suffix_of(layer, "conv.bias", "bias"), c.filters, false));
    }
    return thaw_darknet_add_blob(net, layer, suffix_of(layer, "conv.weight", "weight"), &weight);
}

static const struct thaw_darknet_key convolutional_keys[] = {
    READ("filters"),
    READ("size"),
    READ("stride"),
    READ("stride_x"),
    READ("stride_y"),
    READ("pad"),
    READ("padding"),
    READ("dilation"),
    READ("groups"),
    READ("batch_normalize"),
    READ("activation"),
    NEUTRAL("binary", 0),
    NEUTRAL("xnor", 0),
    NEUTRAL("bin_output", 0),
    NEUTRAL("cbn", 0),
    NEUTRAL("antialiasing", 0),
    NEUTRAL("flipped", 0),
    READ("share_index"),
    NEUTRAL("sway", 0),
    NEUTRAL("rotate", 0),
    NEUTRAL("stretch", 0),
    NEUTRAL("stretch_sway", 0),
    NEUTRAL("grad_centr", 0),
    TRAINING("dot"),
    TRAINING("assisted_excitation"),
    TRAINING("angle"),
    TRAINING("reverse"),
    TRAINING("coordconv"),
};

const struct thaw_darknet_type thaw_darknet_convolutional = {.name = "convolutional",
                                                             .alias = "conv",
                                                             .label = "conv",
                                                             KEYS(convolutional_keys),
                                                             .convert = convert_convolutional};

static bool has_value(const struct thaw_cfg_section *section, const char *key, const char *value,
                      bool standard) {
    const struct thaw_cfg_option *option = thaw_cfg_find(section, key);
    return option ? !strcmp(option->value, value) : standard;
}

/* Whether the section is sure to be a linear map of each pixel. */
static bool is_linear_map(const struct thaw_cfg_section *section) {
    return thaw_darknet_type_find(section->type) == &thaw_darknet_convolutional &&
           has_value(section, "size", "1", true) && has_value(section, "stride", "1", true) &&
           has_value(section, "activation", "linear", false) &&
           has_value(section, "batch_normalize", "0", true) &&
           has_value(section, "groups", "1", true) && has_value(section, "padding", "0", true) &&
           !thaw_cfg_find(section, "stride_x") && !thaw_cfg_find(section, "stride_y");
}

void thaw_darknet_move_classifier(struct thaw_darknet_net *net) {
    for (size_t i = 0; i + 1 < net->layer_count; i++) {
        struct thaw_cfg_section *conv = &net->cfg.sections[i + 1], *pool = conv + 1;
        const struct thaw_darknet_type *next = thaw_darknet_type_find(pool->type);
        if (next && !strcmp(next->name, "avgpool") && is_linear_map(conv) && is_last(net, i + 1)) {
            struct thaw_cfg_section swap = *conv;
            *conv = *pool;
            *pool = swap;
            return;
        }
    }
}

/* ---- connected ------------------------------------------------------------------------------ */

static thaw_status convert_connected(struct thaw_darknet_net *net,
                                     struct thaw_darknet_layer *layer) {
    int outputs = 1, normalised = 0;
    const char *activation = NULL;
    int64_t inputs = (int64_t)layer->in.c * layer->in.h * layer->in.w;
    THAW_TRY(thaw_darknet_int(net, layer, "output", 1, THAW_DARKNET_CHANNELS_MAX, &outputs));
    THAW_TRY(thaw_darknet_int(net, layer, "batch_normalize", 0, 1, &normalised));
    if (inputs > FEATURES_MAX)
        return thaw_darknet_fail(net, layer, NULL, THAW_ERROR_UNSUPPORTED,
                                 "%lld inputs are more than %d", (long long)inputs, FEATURES_MAX);
    THAW_TRY(thaw_darknet_set_out(net, layer, outputs, 1, 1));
    THAW_TRY(thaw_darknet_enter(net, layer));
    THAW_TRY(find_activation(net, layer, "logistic", &activation));
    layer->role = normalised ? THAW_DARKNET_BODY : THAW_DARKNET_DENSE;
    THAW_TRY(thaw_darknet_node(net, layer, "linear: {out: %d%s}", outputs,
                               normalised ? ", bias: false" : ""));
    if (normalised)
        THAW_TRY(thaw_darknet_node(net, layer, "bn: {batchnorm: {eps: 1e-5}}"));
    if (activation)
        THAW_TRY(thaw_darknet_node(net, layer, "%s", activation));
    const char *bias = normalised ? "bn.bias" : suffix_of(layer, "linear.bias", "bias");
    const struct thaw_darknet_blob weight = {
        .rank = 2, .dims = {outputs, inputs}, .connected = true};
    THAW_TRY(add_vector(net, layer, bias, outputs, false));
    THAW_TRY(
        thaw_darknet_add_blob(net, layer, suffix_of(layer, "linear.weight", "weight"), &weight));
    return normalised
               ? add_norm(net, layer, "bn.weight", "bn.running_mean", "bn.running_var", outputs)
               : THAW_OK;
}

static const struct thaw_darknet_key connected_keys[] = {READ("output"), READ("activation"),
                                                         READ("batch_normalize")};

const struct thaw_darknet_type thaw_darknet_connected = {.name = "connected",
                                                         .alias = "conn",
                                                         .label = "fc",
                                                         KEYS(connected_keys),
                                                         .convert = convert_connected};

/* ---- batchnorm ------------------------------------------------------------------------------ */

static thaw_status convert_batchnorm(struct thaw_darknet_net *net,
                                     struct thaw_darknet_layer *layer) {
    THAW_TRY(thaw_darknet_enter(net, layer));
    THAW_TRY(thaw_darknet_node(net, layer, "batchnorm: {eps: 1e-5}"));
    THAW_TRY(add_vector(net, layer, "bias", layer->in.c, false));
    return add_norm(net, layer, "weight", "running_mean", "running_var", layer->in.c);
}

const struct thaw_darknet_type thaw_darknet_batchnorm = {
    .name = "batchnorm", .label = "bn", .convert = convert_batchnorm};
