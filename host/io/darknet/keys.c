/* Keys of sections: strict, as everywhere in Thaw, but for those that only training reads. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/darknet/net.h"

#define KEYS_MAX 128

/* What Darknet reads for every layer (parse_network_cfg_custom). */
static const struct thaw_darknet_key common[] = {
    {"clip", THAW_KEY_TRAINING, 0},          {"onlyforward", THAW_KEY_TRAINING, 0},
    {"dont_update", THAW_KEY_TRAINING, 0},   {"burnin_update", THAW_KEY_TRAINING, 0},
    {"stopbackward", THAW_KEY_TRAINING, 0},  {"learning_rate", THAW_KEY_TRAINING, 0},
    {"train_only_bn", THAW_KEY_TRAINING, 0}, {"dontload", THAW_KEY_NEUTRAL, 0},
    {"dontloadscales", THAW_KEY_NEUTRAL, 0},
};
#define COMMON_COUNT (sizeof common / sizeof *common)

thaw_status thaw_darknet_fail(const struct thaw_darknet_net *net,
                              const struct thaw_darknet_layer *layer, const char *key,
                              thaw_status status, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const struct thaw_cfg_option *option = key ? thaw_cfg_find(layer->section, key) : NULL;
    return thaw_cfg_fail(&net->cfg, layer->section, option, status, "%s", message);
}

thaw_status thaw_darknet_int(const struct thaw_darknet_net *net,
                             const struct thaw_darknet_layer *layer, const char *key, int low,
                             int high, int *value) {
    return thaw_cfg_int(&net->cfg, layer->section, key, low, high, value);
}

thaw_status thaw_darknet_pair(const struct thaw_darknet_net *net,
                              const struct thaw_darknet_layer *layer, const char *key, int low,
                              int high, int pair[2]) {
    char name[32];
    if (thaw_cfg_find(layer->section, key)) {
        THAW_TRY(thaw_darknet_int(net, layer, key, low, high, &pair[0]));
        pair[1] = pair[0];
    }
    snprintf(name, sizeof name, "%s_y", key);
    THAW_TRY(thaw_darknet_int(net, layer, name, low, high, &pair[0]));
    snprintf(name, sizeof name, "%s_x", key);
    return thaw_darknet_int(net, layer, name, low, high, &pair[1]);
}

thaw_status thaw_darknet_layers(const struct thaw_darknet_net *net,
                                const struct thaw_darknet_layer *layer, const char *key,
                                int *ret_layers, int *ret_count) {
    int numbers[THAW_DARKNET_INPUTS_MAX], count;
    int self = (int)(layer - net->layers);
    THAW_TRY(
        thaw_cfg_ints(&net->cfg, layer->section, key, THAW_DARKNET_INPUTS_MAX, numbers, &count));
    if (!count)
        return thaw_darknet_fail(net, layer, NULL, THAW_ERROR_INPUT,
                                 "needs '%s=', the layer to read", key);
    for (int i = 0; i < count; i++) {
        int index = numbers[i] < 0 ? self + numbers[i] : numbers[i];
        if (index < 0 || index >= self)
            return thaw_darknet_fail(net, layer, key, THAW_ERROR_INPUT,
                                     "%s: %d is none of the %d layers before this one", key,
                                     numbers[i], self);
        if (!strcmp(net->layers[index].value, "input"))
            return thaw_darknet_fail(net, layer, key, THAW_ERROR_UNSUPPORTED,
                                     "%s: %d is the picture itself", key, numbers[i]);
        numbers[i] = index;
    }
    memcpy(ret_layers, numbers, (size_t)count * sizeof *numbers);
    *ret_count = count;
    return THAW_OK;
}

/* ---- strictness ----------------------------------------------------------------------------- */

static const struct thaw_darknet_key *find(const struct thaw_darknet_key *keys, size_t count,
                                           const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(keys[i].name, name))
            return &keys[i];
    return NULL;
}

static thaw_status unknown_key(const struct thaw_darknet_net *net,
                               const struct thaw_cfg_section *section,
                               const struct thaw_cfg_option *option,
                               const struct thaw_darknet_key *keys, size_t count) {
    const char *names[KEYS_MAX];
    size_t used = 0;
    for (size_t i = 0; i < count && used < KEYS_MAX; i++)
        names[used++] = keys[i].name;
    for (size_t i = 0; i < COMMON_COUNT && used < KEYS_MAX; i++)
        names[used++] = common[i].name;
    const char *nearest = thaw_nearest(option->key, names, used);
    thaw_cfg_fail(&net->cfg, section, option, THAW_ERROR_INPUT, "has no key '%s'%s%s%s",
                  option->key, nearest ? " (nearest: '" : "", nearest ? nearest : "",
                  nearest ? "')" : "");
    return thaw_hint(THAW_ERROR_INPUT,
                     "take the line out if it matters to Darknet's training alone");
}

/* Adds `name` to the list of what is ignored, once. */
static void ignore(struct thaw_text *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list->text; at && (at = strstr(at, name)); at += length)
        if ((at == list->text || at[-1] == ' ') && (!at[length] || at[length] == ','))
            return;
    thaw_text_append(list, "%s%s", list->length ? ", " : "", name);
}

static thaw_status check_neutral(const struct thaw_darknet_net *net,
                                 const struct thaw_cfg_section *section,
                                 const struct thaw_cfg_option *option,
                                 const struct thaw_darknet_key *key) {
    char *end;
    double value = strtod(option->value, &end);
    if (end != option->value && !*end && !(value < key->neutral) && !(value > key->neutral))
        return THAW_OK;
    return thaw_cfg_fail(&net->cfg, section, option, THAW_ERROR_UNSUPPORTED,
                         "%s=%s: Thaw has this only as %s=%g", option->key, option->value,
                         option->key, key->neutral);
}

thaw_status thaw_darknet_check_keys(struct thaw_darknet_net *net,
                                    const struct thaw_cfg_section *section,
                                    const struct thaw_darknet_key *keys, size_t count) {
    for (size_t i = 0; i < section->count; i++) {
        const struct thaw_cfg_option *option = &section->options[i],
                                     *first = thaw_cfg_find(section, option->key);
        const struct thaw_darknet_key *key = find(keys, count, option->key);
        key = key ? key : find(common, COMMON_COUNT, option->key);
        if (!key)
            return unknown_key(net, section, option, keys, count);
        if (key->kind == THAW_KEY_TRAINING) {
            ignore(&net->ignored, option->key);
        } else if (first != option) {
            if (strcmp(first->value, option->value) != 0)
                THAW_TRY(thaw_darknet_note(
                    net->import, "%s:%d: %s=%s ignored: in Darknet %s=%s of line %d holds",
                    net->cfg.file, option->line, option->key, option->value, option->key,
                    first->value, first->line));
        } else if (key->kind == THAW_KEY_NEUTRAL) {
            THAW_TRY(check_neutral(net, section, option, key));
        }
    }
    return THAW_OK;
}
