#include "io/darknet/darknet.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "io/darknet/net.h"

#define LAYERS_MAX 4096

/* ---- for convert functions ------------------------------------------------------------------ */

thaw_status thaw_darknet_note(struct thaw_darknet_import *import, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char **notes = thaw_arena_grow(&import->arena, import->notes, import->note_count,
                                         &import->note_capacity, sizeof *notes);
    char *copy = notes ? thaw_arena_copy(&import->arena, text) : NULL;
    if (!copy)
        return THAW_ERROR_MEMORY;
    import->notes = notes;
    notes[import->note_count++] = copy;
    return THAW_OK;
}

thaw_status thaw_darknet_enter(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer) {
    int number = 0;
    for (const struct thaw_darknet_layer *l = net->layers; l <= layer; l++)
        number += !strcmp(l->type->label, layer->type->label);
    layer->entry = thaw_arena_format(&net->import->arena, "%s%d", layer->type->label, number);
    layer->value = layer->entry;
    return layer->entry ? THAW_OK : THAW_ERROR_MEMORY;
}

thaw_status thaw_darknet_node(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                              const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char **nodes = thaw_arena_grow(&net->import->arena, layer->nodes, layer->node_count,
                                         &layer->node_capacity, sizeof *nodes);
    char *copy = nodes ? thaw_arena_copy(&net->import->arena, text) : NULL;
    if (!copy)
        return THAW_ERROR_MEMORY;
    layer->nodes = nodes;
    nodes[layer->node_count++] = copy;
    return THAW_OK;
}

thaw_status thaw_darknet_set_out(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                 int64_t c, int64_t h, int64_t w) {
    if (h < 1 || w < 1)
        return thaw_darknet_fail(net, layer, NULL, THAW_ERROR_INPUT,
                                 "leaves nothing of its input of %d x %d x %d (channels, height, "
                                 "width)",
                                 layer->in.c, layer->in.h, layer->in.w);
    if (c > THAW_DARKNET_CHANNELS_MAX || h > THAW_DARKNET_SIZE_MAX || w > THAW_DARKNET_SIZE_MAX)
        return thaw_darknet_fail(net, layer, NULL, THAW_ERROR_UNSUPPORTED,
                                 "an output of %lld x %lld x %lld (channels, height, width) is too "
                                 "large",
                                 (long long)c, (long long)h, (long long)w);
    layer->out = (struct thaw_darknet_shape){(int)c, (int)h, (int)w};
    return THAW_OK;
}

thaw_status thaw_darknet_add_blob(struct thaw_darknet_net *net, struct thaw_darknet_layer *layer,
                                  const char *suffix, const struct thaw_darknet_blob *blob) {
    struct thaw_arena *arena = &net->import->arena;
    struct thaw_darknet_blob *blobs =
        thaw_arena_grow(arena, net->blobs, net->blob_count, &net->blob_capacity, sizeof *blobs);
    if (!blobs)
        return THAW_ERROR_MEMORY;
    net->blobs = blobs;
    if (!layer->blob_count++)
        layer->first_blob = net->blob_count;
    struct thaw_darknet_blob *added = &blobs[net->blob_count++];
    *added = *blob;
    added->name = thaw_arena_format(arena, "%s.%s", layer->entry, suffix);
    return added->name ? THAW_OK : THAW_ERROR_MEMORY;
}

/* ---- layers --------------------------------------------------------------------------------- */

/* How many layers are kept. */
static thaw_status find_cut(struct thaw_darknet_net *net) {
    const struct thaw_cfg *cfg = &net->cfg;
    const char *until = net->options->until;
    size_t layers = cfg->count - 1;
    net->layer_count = layers;
    if (until) {
        char *end;
        long number = strtol(until, &end, 10);
        bool is_number = end != until && !*end;
        if (is_number) {
            net->layer_count = number > 0 && (size_t)number <= layers ? (size_t)number : 0;
        } else {
            for (size_t i = layers; i-- > 0;)
                if (!strcmp(cfg->sections[i + 1].type, until))
                    net->layer_count = i;
            if (net->layer_count == layers)
                return thaw_fail(THAW_ERROR_INPUT, "%s: there is no section [%s] to stop at",
                                 cfg->file, until);
        }
        if (!net->layer_count)
            return thaw_fail(THAW_ERROR_INPUT,
                             "%s: cannot stop at '%s': expected a layer from 1 to %zu", cfg->file,
                             until, layers);
    }
    net->cut = net->layer_count < layers;
    if (!net->layer_count)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the network has no layers", cfg->file);
    if (net->layer_count > LAYERS_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "%s: %zu layers are more than %d", cfg->file,
                         net->layer_count, LAYERS_MAX);
    return THAW_OK;
}

static thaw_status convert_layer(struct thaw_darknet_net *net, size_t index) {
    struct thaw_darknet_layer *layer = &net->layers[index];
    layer->section = &net->cfg.sections[index + 1];
    layer->type = thaw_darknet_type_find(layer->section->type);
    if (!layer->type)
        return thaw_darknet_unknown_type(net, index);
    layer->in = (struct thaw_darknet_shape){net->channels, net->size, net->size};
    layer->value = "input";
    if (index > 0) {
        layer->in = net->layers[index - 1].out;
        layer->value = net->layers[index - 1].value;
    }
    layer->out = layer->in;
    layer->inputs[0] = (int)index - 1;
    layer->input_count = 1;
    THAW_TRY(
        thaw_darknet_check_keys(net, layer->section, layer->type->keys, layer->type->key_count));
    return layer->type->convert(net, layer);
}

/* Layers that the output does not depend on are left out, though their numbers are in the file. */
static thaw_status mark_live(struct thaw_darknet_net *net) {
    net->layers[net->layer_count - 1].live = true;
    for (size_t i = net->layer_count; i-- > 0;) {
        const struct thaw_darknet_layer *layer = &net->layers[i];
        for (int k = 0; layer->live && k < layer->input_count; k++)
            if (layer->inputs[k] >= 0)
                net->layers[layer->inputs[k]].live = true;
    }
    for (size_t i = 0; i < net->layer_count; i++) {
        const struct thaw_darknet_layer *layer = &net->layers[i];
        if (!layer->live)
            THAW_TRY(thaw_darknet_note(net->import,
                                       "%s:%d: [%s] left out: the output does not depend on it",
                                       net->cfg.file, layer->section->line, layer->section->type));
    }
    return THAW_OK;
}

static thaw_status convert_layers(struct thaw_darknet_net *net) {
    THAW_TRY(find_cut(net));
    thaw_darknet_move_classifier(net);
    net->layers = thaw_arena_array(&net->import->arena, net->layer_count, sizeof *net->layers);
    if (!net->layers)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < net->layer_count; i++)
        THAW_TRY(convert_layer(net, i));
    return mark_live(net);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* The graph as Thaw will build it: what no layer here refused may still break one of an op's own
 * limits. */
static thaw_status check_document(struct thaw_darknet_net *net, const char *yaml) {
    struct thaw_device_caps caps = {.type = THAW_DEVICE_CPU,
                                    .is_cpu = true,
                                    .block = 8, /* stricter than 1 */
                                    .compute_units = 1,
                                    .max_work_group_size = 1,
                                    .base_align_bytes = 128};
    struct thaw_graph_options options = {.caps = &caps};
    struct thaw_arena arena = {0};
    struct thaw_graph *graph = NULL;
    thaw_yaml *document = NULL;
    thaw_status status = thaw_yaml_parse(&arena, yaml, strlen(yaml), "imported", &document);
    if (status == THAW_OK)
        status = thaw_graph_build(document, &options, &graph);
    thaw_graph_destroy(&graph);
    thaw_arena_finish(&arena);
    return thaw_context(status, "%s: the network does not fit Thaw", net->cfg.file);
}

static thaw_status tell_ignored(struct thaw_darknet_net *net) {
    if (!net->ignored.length)
        return THAW_OK;
    if (net->ignored.failed)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    return thaw_darknet_note(net->import, "ignored, being about training only: %s",
                             net->ignored.text);
}

static thaw_status import_network(const struct thaw_darknet_bytes *cfg,
                                  const struct thaw_darknet_bytes *weights,
                                  struct thaw_darknet_net *net) {
    struct thaw_darknet_import *import = net->import;
    THAW_TRY(thaw_cfg_parse(&import->arena, (const char *)cfg->bytes, cfg->size_bytes, cfg->name,
                            &net->cfg));
    THAW_TRY(thaw_darknet_read_input(net));
    THAW_TRY(convert_layers(net));
    THAW_TRY(thaw_darknet_write_document(net, &import->yaml));
    THAW_TRY(check_document(net, import->yaml));
    if (weights->size_bytes)
        THAW_TRY(thaw_darknet_read_numbers(net, weights, &import->weights));
    else
        THAW_TRY(thaw_darknet_note(import, "no .weights were given: training starts from random "
                                           "ones"));
    return tell_ignored(net);
}

thaw_status thaw_darknet_import_bytes(const struct thaw_darknet_bytes *cfg,
                                      const struct thaw_darknet_bytes *weights,
                                      const struct thaw_darknet_options *options,
                                      struct thaw_darknet_import *ret_import) {
    struct thaw_darknet_import import = {0};
    struct thaw_darknet_net net = {.import = &import, .options = options, .std = 1};
    thaw_status status = import_network(cfg, weights, &net);
    thaw_text_finish(&net.ignored);
    if (status != THAW_OK)
        thaw_darknet_import_finish(&import);
    else
        *ret_import = import;
    return status;
}

thaw_status thaw_darknet_import_files(const char *cfg_path, const char *weights_path,
                                      const struct thaw_darknet_options *options,
                                      struct thaw_darknet_import *ret_import) {
    struct thaw_map cfg_map = {0}, weights_map = {0};
    THAW_TRY(thaw_map_open(cfg_path, &cfg_map));
    thaw_status status = weights_path ? thaw_map_open(weights_path, &weights_map) : THAW_OK;
    if (status == THAW_OK && weights_path && !weights_map.size_bytes)
        status = thaw_fail(THAW_ERROR_INPUT, "%s: the file is empty", weights_path);
    struct thaw_darknet_bytes cfg = {cfg_map.bytes, cfg_map.size_bytes, cfg_path};
    struct thaw_darknet_bytes weights = {weights_map.bytes, weights_map.size_bytes, weights_path};
    if (status == THAW_OK)
        status = thaw_darknet_import_bytes(&cfg, &weights, options, ret_import);
    thaw_map_close(&cfg_map);
    if (status == THAW_OK)
        ret_import->weights.file = weights_map;
    else
        thaw_map_close(&weights_map);
    return status;
}

bool thaw_darknet_matches(const unsigned char *bytes, size_t size_bytes) {
    return thaw_cfg_matches((const char *)bytes, size_bytes);
}

void thaw_darknet_import_finish(struct thaw_darknet_import *import) {
    thaw_weights_finish(&import->weights);
    thaw_arena_finish(&import->arena);
    *import = (struct thaw_darknet_import){0};
}
