/* The model YAML of a network that was read. */
#include <stdlib.h>
#include <string.h>

#include "io/darknet/net.h"

#define LINE_WIDTH 96
#define NEW_CLASSES 1000 /* of a new classifier: training gives it those of the data */

/* ---- input ---------------------------------------------------------------------------------- */

static bool is_plain(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t first = strspn(name, letters);
    return first &&
           !name[first + strspn(name + first, "0123456789_-abcdefghijklmnopqrstuvwxyz"
                                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] &&
           strcmp(name, "null") != 0;
}

static void write_numbers(struct thaw_text *yaml, const char *key, double value, int count) {
    thaw_text_append(yaml, "  %s: [", key);
    for (int i = 0; i < count; i++)
        thaw_text_append(yaml, "%s%g", i ? ", " : "", value);
    thaw_text_append(yaml, "]\n");
}

static void write_input(const struct thaw_darknet_net *net, struct thaw_text *yaml) {
    const char *name = net->options->name;
    thaw_text_append(yaml, "# Imported from Darknet.\nmodel: ");
    if (is_plain(name))
        thaw_text_append(yaml, "%s", name);
    else
        thaw_text_append_json(yaml, name);
    thaw_text_append(yaml, "\ninput:\n  channels: %d\n  size: %d\n", net->channels, net->size);
    write_numbers(yaml, "mean", net->mean, net->channels);
    write_numbers(yaml, "std", net->std, net->channels);
    thaw_text_append(yaml, "  resize: {mode: short, size: %d}\n  crop: center\n", net->resize);
    if (net->reference_batch)
        thaw_text_append(yaml, "reference: {lr: %.9g, batch: %d}\n", net->reference_lr,
                         net->reference_batch);
}

/* ---- graph ---------------------------------------------------------------------------------- */

static void write_layer(const struct thaw_darknet_layer *layer, const char *from,
                        struct thaw_text *yaml) {
    const char *node = layer->nodes[0];
    bool bare = !strchr(node, ':');
    thaw_text_append(yaml, "  - %s:", layer->entry);
    if (layer->node_count > 1) {
        thaw_text_append(yaml, "\n");
        if (from)
            thaw_text_append(yaml, "      from: %s\n", from);
        thaw_text_append(yaml, "      nodes:\n");
        for (size_t i = 0; i < layer->node_count; i++)
            thaw_text_append(yaml, "        - %s\n", layer->nodes[i]);
    } else if (from) {
        thaw_text_append(yaml, " {%s%s, from: %s}\n", node, bare ? ": ~" : "", from);
    } else {
        thaw_text_append(yaml, bare ? " %s\n" : " {%s}\n", node);
    }
}

static void write_graph(const struct thaw_darknet_net *net, struct thaw_text *yaml) {
    const char *last = "input";
    thaw_text_append(yaml, "graph:\n");
    for (size_t i = 0; i < net->layer_count; i++) {
        const struct thaw_darknet_layer *layer = &net->layers[i];
        if (!layer->live || !layer->entry)
            continue;
        const char *input = layer->inputs[0] < 0 ? "input" : net->layers[layer->inputs[0]].value;
        write_layer(layer, layer->names_inputs || !strcmp(input, last) ? NULL : input, yaml);
        last = layer->entry;
    }
}

/* ---- the classifier ------------------------------------------------------------------------- */

/* The layer that `value` names, walking up from `index`; -1 for the picture. */
static int layer_of_value(const struct thaw_darknet_net *net, int index, const char *value) {
    while (index >= 0 && !(net->layers[index].entry && !strcmp(net->layers[index].entry, value)))
        index--;
    return index;
}

static bool has_role(const struct thaw_darknet_net *net, int index, enum thaw_darknet_role role) {
    return index >= 0 && net->layers[index].role == role;
}

/* The last layer below the network's own classifier; layer_count when it has none. */
static int find_features(const struct thaw_darknet_net *net) {
    const struct thaw_darknet_layer *output = &net->layers[net->layer_count - 1];
    int index = (int)net->layer_count - 1;
    if (output->out.h != 1 || output->out.w != 1)
        return (int)net->layer_count;
    while (has_role(net, index, THAW_DARKNET_PASSIVE) || has_role(net, index, THAW_DARKNET_POOL))
        index--;
    if (has_role(net, index, THAW_DARKNET_DENSE)) {
        while (has_role(net, index, THAW_DARKNET_DENSE) ||
               has_role(net, index, THAW_DARKNET_PASSIVE))
            index--;
        return index;
    }
    if (!has_role(net, index, THAW_DARKNET_PLAIN))
        return (int)net->layer_count;
    do
        index--;
    while (has_role(net, index, THAW_DARKNET_PASSIVE));
    return index;
}

/* "conv1.leaky_relu": the node that holds the value of the layer. */
static void write_node_name(const struct thaw_darknet_layer *layer, struct thaw_text *yaml) {
    thaw_text_append(yaml, "%s", layer->entry);
    if (layer->node_count > 1) {
        const char *node = layer->nodes[layer->node_count - 1];
        thaw_text_append(yaml, ".");
        thaw_text_append_bytes(yaml, node, strcspn(node, ":"));
    }
}

/* Ends the graph and returns the last layer that counts as the body. */
static thaw_status write_features(struct thaw_darknet_net *net, struct thaw_text *yaml,
                                  int *ret_last) {
    int features = find_features(net), last = (int)net->layer_count - 1;
    if (features <= last) {
        int layer = features < 0 ? -1 : layer_of_value(net, features, net->layers[features].value);
        thaw_text_append(yaml, "features: ");
        if (layer < 0)
            thaw_text_append(yaml, "input");
        else
            write_node_name(&net->layers[layer], yaml);
        thaw_text_append(yaml, "\n");
        *ret_last = features;
        return THAW_OK;
    }
    thaw_text_append(yaml,
                     "  - avgpool: {global: ~, from: %s}\n"
                     "  - classifier: {linear: {out: %d}}    # new: it has no weights\n"
                     "features: avgpool\n",
                     net->layers[last].value, NEW_CLASSES);
    *ret_last = last;
    return thaw_darknet_note(net->import,
                             "the network has no classifier: an average pool and a new one are put "
                             "on top, for training");
}

/* ---- stages --------------------------------------------------------------------------------- */

/* A stage is what works on maps of one size. */
static void write_stages(const struct thaw_darknet_net *net, int last, struct thaw_text *yaml) {
    int stage = 0, height = 0;
    size_t line = 0;
    for (int i = 0; i <= last; i++) {
        const struct thaw_darknet_layer *layer = &net->layers[i];
        if (!layer->live || !layer->blob_count)
            continue;
        if (!stage || (layer->out.h < height && layer->out.h > 1)) {
            height = layer->out.h;
            line = yaml->length;
            thaw_text_append(yaml, "%s  - stage%d: [%s", stage ? "]\n" : "stages:\n", stage + 1,
                             layer->entry);
            stage++;
        } else if (yaml->length - line > LINE_WIDTH) {
            line = yaml->length;
            thaw_text_append(yaml, ",\n             %s", layer->entry);
        } else {
            thaw_text_append(yaml, ", %s", layer->entry);
        }
    }
    if (stage)
        thaw_text_append(yaml, "]\n");
}

thaw_status thaw_darknet_write_document(struct thaw_darknet_net *net, const char **ret_yaml) {
    struct thaw_text yaml = {0};
    int last = 0;
    write_input(net, &yaml);
    write_graph(net, &yaml);
    thaw_status status = write_features(net, &yaml, &last);
    write_stages(net, last, &yaml);
    char *copy = NULL;
    if (status == THAW_OK && !yaml.failed)
        copy = thaw_arena_copy(&net->import->arena, yaml.text);
    thaw_text_finish(&yaml);
    if (status == THAW_OK && !copy)
        status = thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (status == THAW_OK)
        *ret_yaml = copy;
    return status;
}
