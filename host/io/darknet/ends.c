/* What stands at the ends of a network, and dropout. */
#include <string.h>

#include "io/darknet/net.h"

#define READ(name)                                                                                 \
    { name, THAW_KEY_READ, 0 }
#define TRAINING(name)                                                                             \
    { name, THAW_KEY_TRAINING, 0 }
#define NEUTRAL(name, value)                                                                       \
    { name, THAW_KEY_NEUTRAL, value }
#define KEYS(array) .keys = (array), .key_count = sizeof(array) / sizeof *(array)

/* ---- crop ----------------------------------------------------------------------------------- */

/* The first layer of older networks (src/crop_layer.c): in use, the middle of the picture, and
 * 2 v - 1 unless `noadjust` says otherwise. That is preprocessing, which the model's `input` says.
 */
static thaw_status convert_crop(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    int height = 1, width = 1, noadjust = 0;
    if (layer != net->layers)
        return thaw_darknet_fail(net, layer, NULL, THAW_ERROR_UNSUPPORTED,
                                 "can only be the first layer");
    THAW_TRY(thaw_darknet_int(net, layer, "crop_height", 1, net->size, &height));
    THAW_TRY(thaw_darknet_int(net, layer, "crop_width", 1, net->size, &width));
    THAW_TRY(thaw_darknet_int(net, layer, "noadjust", 0, 1, &noadjust));
    if (height != width)
        return thaw_darknet_fail(net, layer, "crop_height", THAW_ERROR_UNSUPPORTED,
                                 "pictures of %d x %d: Thaw's are square", width, height);
    net->size = height;
    if (!noadjust)
        net->mean = net->std = 0.5;
    return thaw_darknet_set_out(net, layer, net->channels, height, width);
}

static const struct thaw_darknet_key crop_keys[] = {
    READ("crop_height"), READ("crop_width"),     READ("noadjust"),     TRAINING("flip"),
    TRAINING("angle"),   TRAINING("saturation"), TRAINING("exposure"), TRAINING("shift"),
};

const struct thaw_darknet_type thaw_darknet_crop = {
    .name = "crop", .label = "crop", KEYS(crop_keys), .convert = convert_crop};

/* ---- dropout -------------------------------------------------------------------------------- */

static thaw_status convert_dropout(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    double probability = 0.2;
    THAW_TRY(thaw_cfg_double(&net->cfg, layer->section, "probability", 0, 0.999, &probability));
    layer->role = THAW_DARKNET_PASSIVE;
    THAW_TRY(thaw_darknet_enter(net, layer));
    return thaw_darknet_node(net, layer, "dropout: {p: %.9g}", probability);
}

static const struct thaw_darknet_key dropout_keys[] = {
    READ("probability"),
    TRAINING("dropblock"),
    TRAINING("dropblock_size_rel"),
    TRAINING("dropblock_size_abs"),
};

const struct thaw_darknet_type thaw_darknet_dropout = {
    .name = "dropout", .label = "dropout", KEYS(dropout_keys), .convert = convert_dropout};

/* ---- softmax, cost -------------------------------------------------------------------------- */

extern const struct thaw_darknet_type thaw_darknet_cost;

/* Whether what is kept of the network ends here, but for these. */
static bool ends(const struct thaw_darknet_net *net, const struct thaw_darknet_layer *layer) {
    for (size_t i = (size_t)(layer - net->layers) + 1; i < net->layer_count; i++)
        if (thaw_darknet_type_find(net->cfg.sections[i + 1].type) != &thaw_darknet_cost)
            return false;
    return true;
}

static thaw_status convert_softmax(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    if (thaw_cfg_find(layer->section, "tree"))
        return thaw_darknet_fail(net, layer, "tree", THAW_ERROR_UNSUPPORTED,
                                 "tree: Thaw has no hierarchies of classes");
    if (!ends(net, layer))
        return thaw_darknet_fail(net, layer, NULL, THAW_ERROR_UNSUPPORTED,
                                 "stands inside the network, Thaw imports it only at its end");
    layer->role = THAW_DARKNET_PASSIVE;
    return thaw_darknet_note(net->import,
                             "%s:%d: [softmax] left out: training and prediction add "
                             "it themselves",
                             net->cfg.file, layer->section->line);
}

static const struct thaw_darknet_key softmax_keys[] = {
    NEUTRAL("groups", 1),  NEUTRAL("temperature", 1), READ("tree"),
    NEUTRAL("spatial", 0), TRAINING("noloss"),
};

const struct thaw_darknet_type thaw_darknet_softmax = {.name = "softmax",
                                                       .alias = "soft",
                                                       .label = "softmax",
                                                       KEYS(softmax_keys),
                                                       .convert = convert_softmax};

static thaw_status convert_cost(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    layer->role = THAW_DARKNET_PASSIVE;
    return thaw_darknet_note(net->import, "%s:%d: [cost] left out: training has its own loss",
                             net->cfg.file, layer->section->line);
}

static const struct thaw_darknet_key cost_keys[] = {
    TRAINING("type"), TRAINING("scale"), TRAINING("ratio"), TRAINING("noobj"), TRAINING("thresh"),
};

const struct thaw_darknet_type thaw_darknet_cost = {
    .name = "cost", .label = "cost", KEYS(cost_keys), .convert = convert_cost};
