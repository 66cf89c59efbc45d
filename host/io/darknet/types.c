/* The layer types, and what is said of those that Thaw does not have. */
#include <string.h>

#include "io/darknet/net.h"

#define TYPES(X)                                                                                   \
    X(convolutional)                                                                               \
    X(connected)                                                                                   \
    X(batchnorm)                                                                                   \
    X(activation)                                                                                  \
    X(maxpool)                                                                                     \
    X(avgpool)                                                                                     \
    X(local_avgpool)                                                                               \
    X(upsample)                                                                                    \
    X(reorg)                                                                                       \
    X(route)                                                                                       \
    X(shortcut)                                                                                    \
    X(scale_channels)                                                                              \
    X(crop)                                                                                        \
    X(dropout)                                                                                     \
    X(softmax)                                                                                     \
    X(cost)

#define X(name) extern const struct thaw_darknet_type thaw_darknet_##name;
TYPES(X)
#undef X

static const struct thaw_darknet_type *const types[] = {
#define X(name) &thaw_darknet_##name,
    TYPES(X)
#undef X
};
#define TYPE_COUNT (sizeof types / sizeof *types)

static const char *const detection[] = {"yolo", "region", "detection", "Gaussian_yolo", "iseg"};
static const char *const others[] = {
    "reorg3d",       "reorg_old", "local",           "rnn",   "gru",     "lstm",   "crnn",
    "conv_lstm",     "lrn",       "deconvolutional", "sam",   "history", "l2norm", "logistic",
    "normalization", "implicit",  "contrastive",     "empty",
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct thaw_darknet_type *thaw_darknet_type_find(const char *name) {
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (!strcmp(types[i]->name, name) || (types[i]->alias && !strcmp(types[i]->alias, name)))
            return types[i];
    return NULL;
}

static bool is_one_of(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

thaw_status thaw_darknet_unknown_type(const struct thaw_darknet_net *net, size_t layer) {
    const struct thaw_cfg_section *section = &net->cfg.sections[layer + 1];
    const char *type = section->type;
    bool head = is_one_of(type, detection, COUNT(detection));
    if (head || is_one_of(type, others, COUNT(others))) {
        thaw_cfg_fail(&net->cfg, section, NULL, THAW_ERROR_UNSUPPORTED, "%s",
                      head ? "is a detection head; Thaw imports what lies below it"
                           : "is a layer that Thaw does not have");
        return layer ? thaw_hint(THAW_ERROR_UNSUPPORTED,
                                 "--until %zu stops before it, a smaller number (Darknet counts "
                                 "layers from 0) stops earlier",
                                 layer)
                     : THAW_ERROR_UNSUPPORTED;
    }
    const char *names[TYPE_COUNT];
    for (size_t i = 0; i < TYPE_COUNT; i++)
        names[i] = types[i]->name;
    const char *nearest = thaw_nearest(type, names, TYPE_COUNT);
    return thaw_cfg_fail(&net->cfg, section, NULL, THAW_ERROR_INPUT,
                         "is no layer of Darknet's%s%s%s", nearest ? " (nearest: [" : "",
                         nearest ? nearest : "", nearest ? "])" : "");
}
