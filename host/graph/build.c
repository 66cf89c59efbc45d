/* From a model YAML to a graph. The document:
 *
 *   model: resnet18
 *   input: {channels: 3, size: 224, mean: [...], std: [...], ...}  # preprocessing is read by data/
 *   reference: {lr: 0.1, batch: 256}   # what `lr: 0.1x` is relative to
 *   blocks: {NAME: {params: {out: required, stride: 1}, nodes: [...]}}
 *   graph: [...]                       # entries.c
 *   features: avgpool                  # the bottleneck: everything after it is the head
 *   stages: [{stem: [conv1, bn1]}, layer1, layer2, ...]
 */
#include "graph/build.h"

#include <stdlib.h>
#include <string.h>

/* ---- nodes ---------------------------------------------------------------------------------- */

static thaw_status add_params(struct thaw_graph *graph, int index, bool new_head) {
    struct thaw_node *node = &graph->nodes[index];
    for (int slot = 0; slot < node->spec.param_count; slot++) {
        struct thaw_param *params =
            thaw_arena_grow(&graph->arena, graph->params, graph->param_count,
                            &graph->param_capacity, sizeof *params);
        if (!params)
            return THAW_ERROR_MEMORY;
        graph->params = params;
        const char *suffix = node->spec.params[slot].name;
        struct thaw_param *param = &params[graph->param_count];
        *param = (struct thaw_param){.node = index, .slot = slot, .new_head = new_head};
        const char *dot = *suffix ? "." : "";
        param->name = thaw_arena_format(&graph->arena, "%s%s%s", node->name, dot, suffix);
        if (node->alias)
            param->alias = thaw_arena_format(&graph->arena, "%s%s%s", node->alias, dot, suffix);
        if (!param->name || (node->alias && !param->alias))
            return THAW_ERROR_MEMORY;
        node->params[slot] = (int)graph->param_count++;
    }
    node->param_count = node->spec.param_count;
    return THAW_OK;
}

static thaw_status infer_node(struct thaw_graph *graph, struct thaw_node *node) {
    struct thaw_layout in[THAW_OP_INPUTS_MAX];
    for (int i = 0; i < node->input_count; i++)
        in[i] = graph->nodes[node->inputs[i]].out;
    thaw_status status = THAW_OK;
    if (node->input_count < node->op->inputs_min || node->input_count > node->op->inputs_max)
        status = thaw_fail(THAW_ERROR_INPUT, "takes %d to %d inputs, got %d", node->op->inputs_min,
                           node->op->inputs_max, node->input_count);
    else
        status = node->op->infer(node->attrs, in, node->input_count, &graph->caps, &node->spec);
    if (status != THAW_OK)
        return thaw_context(status, "%s:%d:%d: node '%s' (%s)", node->place->file,
                            node->place->line, node->place->column, node->name, node->op->type);
    node->out = thaw_layout_make(node->spec.out, graph->caps.block, 0);
    if (node->spec.alias)
        node->out.block = in[0].block;
    return THAW_OK;
}

static thaw_status append_node(struct thaw_builder *builder, const char *name, const char *alias,
                               const struct thaw_op *op, const thaw_yaml *attrs,
                               const thaw_yaml *place, const int *inputs, int input_count,
                               bool new_head, int *ret_node) {
    struct thaw_graph *graph = builder->graph;
    if (thaw_graph_find_node(graph, name) >= 0)
        return thaw_yaml_fail(place, "there is already a node '%s'", name);
    struct thaw_node *nodes = thaw_arena_grow(&graph->arena, graph->nodes, graph->node_count,
                                              &graph->node_capacity, sizeof *nodes);
    void *parsed = thaw_arena_alloc(&graph->arena, op->attrs_size + 1);
    if (!nodes || !parsed)
        return THAW_ERROR_MEMORY;
    graph->nodes = nodes;
    struct thaw_node *node = &nodes[graph->node_count];
    *node = (struct thaw_node){
        .name = name, .alias = alias, .op = op, .attrs = parsed, .written = attrs, .place = place};
    node->input_count = input_count;
    memcpy(node->inputs, inputs, (size_t)input_count * sizeof *inputs);
    if (op->parse)
        THAW_TRY(op->parse(attrs, parsed));
    else if (attrs)
        return thaw_yaml_fail(attrs, "%s takes no attributes", op->type);
    THAW_TRY(infer_node(graph, node));
    *ret_node = (int)graph->node_count++;
    return add_params(graph, *ret_node, new_head);
}

/* ---- the head ------------------------------------------------------------------------------- */

static thaw_status insert_dropout(struct thaw_builder *builder, const char *before,
                                  const thaw_yaml *place, int *node) {
    if (builder->options->dropout <= 0)
        return THAW_OK;
    struct thaw_arena *arena = &builder->graph->arena;
    const struct thaw_op *op = thaw_op_find("dropout");
    const char *name = thaw_arena_format(arena, "%s_dropout", before);
    const char *text = thaw_arena_format(arena, "{p: %.9g}", builder->options->dropout);
    thaw_yaml *attrs;
    if (!name || !text)
        return THAW_ERROR_MEMORY;
    if (!op)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "this build has no dropout op");
    THAW_TRY(thaw_yaml_parse(arena, text, strlen(text), "model.head", &attrs));
    return append_node(builder, name, NULL, op, attrs, place, node, 1, false, node);
}

/* A new head starts with equal logits for all images. One that is a convolution may be followed by
 * an activation before its average (SqueezeNet: ReLU), whose gradient is zero at and below zero:
 * it starts at one. */
static void set_new_head(struct thaw_node *node) {
    bool conv = node->op == thaw_op_find("conv");
    for (int slot = 0; slot < node->spec.param_count; slot++) {
        struct thaw_param_spec *spec = &node->spec.params[slot];
        if (spec->kind == THAW_PARAM_BIAS)
            spec->init = conv ? THAW_INIT_ONES : THAW_INIT_ZEROS;
        else if (!conv || node->spec.param_count > 1)
            spec->init = THAW_INIT_ZEROS;
    }
}

/* The layer with `classes` outputs that replaces the model's classifier. */
static thaw_status append_classifier(struct thaw_builder *builder, const char *name,
                                     const char *alias, const struct thaw_op *op,
                                     const thaw_yaml *attrs, const thaw_yaml *place, int input,
                                     int *ret_node) {
    struct thaw_arena *arena = &builder->graph->arena;
    const char *text = thaw_arena_format(arena, "{out: %d}", builder->options->classes);
    thaw_yaml *classes, *merged;
    if (!text)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_parse(arena, text, strlen(text), "model.head", &classes));
    if (attrs)
        THAW_TRY(thaw_yaml_merge(arena, attrs, classes, &merged));
    else
        merged = classes;
    THAW_TRY(insert_dropout(builder, name, place, &input));
    THAW_TRY(append_node(builder, name, alias, op, merged, place, &input, 1, true, ret_node));
    set_new_head(&builder->graph->nodes[*ret_node]);
    return THAW_OK;
}

/* THAW_HEAD_LINEAR: the rest of the graph. Where the model's own classifier is a convolution, its
 * features are maps, which are averaged first. */
static thaw_status append_linear_head(struct thaw_builder *builder, const thaw_yaml *place,
                                      int *node) {
    struct thaw_arena *arena = &builder->graph->arena;
    const struct thaw_op *linear = thaw_op_find("linear");
    const char *classifier = thaw_arena_copy(arena, builder->classifier);
    const char *average = thaw_arena_format(arena, "%s_average", builder->classifier);
    if (!classifier || !average)
        return THAW_ERROR_MEMORY;
    if (builder->classifier_op != linear)
        THAW_TRY(append_node(builder, average, NULL, thaw_op_find("global"), NULL, place, node, 1,
                             false, node));
    builder->finished = true;
    return append_classifier(builder, classifier, NULL, linear, NULL, place, *node, node);
}

thaw_status thaw_build_node(struct thaw_builder *builder, const char *name, const char *alias,
                            const struct thaw_op *op, const thaw_yaml *attrs,
                            const thaw_yaml *place, const int *inputs, int input_count,
                            int *ret_node) {
    bool replace = builder->options->classes > 0 && builder->classifier;
    if (replace && !strcmp(name, builder->classifier))
        return append_classifier(builder, name, alias, op, attrs, place, inputs[0], ret_node);
    THAW_TRY(
        append_node(builder, name, alias, op, attrs, place, inputs, input_count, false, ret_node));
    if (replace && builder->options->head == THAW_HEAD_LINEAR && !strcmp(name, builder->features))
        return append_linear_head(builder, place, ret_node);
    return THAW_OK;
}

/* ---- the document --------------------------------------------------------------------------- */

static thaw_status add_input(struct thaw_graph *graph, const thaw_yaml *document, int size) {
    const thaw_yaml *input = thaw_yaml_get(document, "input");
    if (!input)
        return thaw_yaml_fail(document, "a model needs `input: {channels: 3, size: 224, ...}`");
    int channels = 3, own_size = 0;
    THAW_TRY(thaw_yaml_expect(input, THAW_YAML_MAPPING, "channels, size, mean, std"));
    THAW_TRY(thaw_yaml_get_int(input, "channels", 1, THAW_GRAPH_CHANNELS_MAX, &channels));
    THAW_TRY(thaw_yaml_get_int(input, "size", 1, 16384, &own_size));
    size = size ? size : own_size;
    if (!size)
        return thaw_yaml_fail(input, "`input` needs a `size`");
    graph->nodes =
        thaw_arena_grow(&graph->arena, NULL, 0, &graph->node_capacity, sizeof *graph->nodes);
    if (!graph->nodes)
        return THAW_ERROR_MEMORY;
    /* Few channels on a blocked device: the image keeps its channels together instead of padding
     * them. */
    int block = graph->caps.block > 1 && channels < 4 ? channels : graph->caps.block;
    struct thaw_shape shape = {1, channels, size, size};
    graph->nodes[0] = (struct thaw_node){.name = "input", .place = input};
    graph->nodes[0].out = thaw_layout_make(shape, block, 0);
    graph->nodes[0].spec.out = shape;
    graph->node_count = 1;
    return THAW_OK;
}

static thaw_status read_stages(struct thaw_graph *graph, const thaw_yaml *document) {
    const thaw_yaml *stages = thaw_yaml_get(document, "stages");
    if (!stages)
        return THAW_OK;
    THAW_TRY(thaw_yaml_expect(stages, THAW_YAML_SEQUENCE, "a list of stages, from the input on"));
    graph->stages = thaw_arena_array(&graph->arena, stages->count + 1, sizeof *graph->stages);
    if (!graph->stages)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < stages->count; i++) {
        const thaw_yaml *item = stages->items[i], *list = item;
        struct thaw_stage_name *stage = &graph->stages[i];
        if (item->kind == THAW_YAML_MAPPING) {
            if (item->count != 1 || item->items[0]->kind != THAW_YAML_SEQUENCE)
                return thaw_yaml_fail(item, "a stage is a node's name or {name: [nodes]}");
            stage->name = item->keys[0]->text;
            list = item->items[0];
        } else {
            THAW_TRY(thaw_yaml_string(item, &stage->name));
        }
        stage->prefix_count = list->kind == THAW_YAML_SEQUENCE ? list->count : 1;
        stage->prefixes = thaw_arena_array(&graph->arena, stage->prefix_count + 1, sizeof(char *));
        if (!stage->prefixes)
            return THAW_ERROR_MEMORY;
        for (size_t j = 0; j < stage->prefix_count; j++) {
            const thaw_yaml *prefix = list->kind == THAW_YAML_SEQUENCE ? list->items[j] : list;
            bool *marks = thaw_arena_array(&graph->arena, graph->param_count + 1, sizeof *marks);
            THAW_TRY(thaw_yaml_string(prefix, &stage->prefixes[j]));
            if (!marks)
                return THAW_ERROR_MEMORY;
            THAW_TRY(thaw_graph_match(graph, prefix, stage->prefixes[j], marks));
        }
        graph->stage_count++;
    }
    return THAW_OK;
}

static thaw_status read_reference(struct thaw_graph *graph, const thaw_yaml *document) {
    static const char *const keys[] = {"lr", "batch", "optimizer"};
    const thaw_yaml *reference = thaw_yaml_get(document, "reference");
    graph->reference_batch = 256;
    if (!reference)
        return THAW_OK;
    THAW_TRY(thaw_yaml_only(reference, keys, 3));
    THAW_TRY(thaw_yaml_get_double(reference, "lr", 1e-9, 1e3, &graph->reference_lr));
    return thaw_yaml_get_int(reference, "batch", 1, 1 << 20, &graph->reference_batch);
}

/* One pass over the document. `classifier` and `features` are of an earlier pass, or NULL. */
static thaw_status build_pass(const thaw_yaml *document, const struct thaw_graph_options *options,
                              const struct thaw_node *classifier, const char *features,
                              struct thaw_graph *graph) {
    const thaw_yaml *list = thaw_yaml_get(document, "graph");
    graph->caps = *options->caps;
    graph->document = document;
    THAW_TRY(add_input(graph, document, options->size));
    if (!list)
        return thaw_yaml_fail(document, "a model needs `graph: [...]`, its list of nodes");
    const thaw_yaml *blocks = thaw_yaml_get(document, "blocks");
    if (blocks)
        THAW_TRY(thaw_yaml_expect(blocks, THAW_YAML_MAPPING, "the blocks"));
    struct thaw_builder builder = {.graph = graph,
                                   .options = options,
                                   .blocks = blocks,
                                   .classifier = classifier ? classifier->name : NULL,
                                   .classifier_op = classifier ? classifier->op : NULL,
                                   .features = features ? features : ""};
    struct thaw_scope scope = {.prefix = ""};
    THAW_TRY(thaw_build_entries(&builder, &scope, list));
    graph->output = scope.previous;
    return THAW_OK;
}

static thaw_status find_features(struct thaw_graph *graph, const thaw_yaml *document) {
    const thaw_yaml *features = thaw_yaml_get(document, "features");
    const char *name;
    if (!features)
        return thaw_yaml_fail(document, "a model needs `features: NODE`, its bottleneck");
    THAW_TRY(thaw_yaml_string(features, &name));
    graph->features = thaw_graph_find_node(graph, name);
    if (graph->features >= 0)
        return THAW_OK;
    const char **names = thaw_arena_array(&graph->arena, graph->node_count, sizeof *names);
    for (size_t i = 0; names && i < graph->node_count; i++)
        names[i] = graph->nodes[i].name;
    const char *nearest = names ? thaw_nearest(name, names, graph->node_count) : NULL;
    return thaw_yaml_fail(features, "there is no node '%s'%s%s%s", name,
                          nearest ? " (nearest: '" : "", nearest ? nearest : "",
                          nearest ? "')" : "");
}

/* The last linear layer or convolution after the features. NULL when there is none. */
static const struct thaw_node *find_classifier(const struct thaw_graph *graph) {
    const struct thaw_op *linear = thaw_op_find("linear"), *conv = thaw_op_find("conv");
    for (int i = (int)graph->node_count - 1; i > graph->features; i--)
        if (graph->nodes[i].op == linear || graph->nodes[i].op == conv)
            return &graph->nodes[i];
    return NULL;
}

static thaw_status build_graph(const thaw_yaml *document, const struct thaw_graph_options *options,
                               struct thaw_graph *first, struct thaw_graph *graph) {
    static const char *const keys[] = {"model", "input",    "reference", "blocks",
                                       "graph", "features", "stages"};
    THAW_TRY(thaw_yaml_expect(document, THAW_YAML_MAPPING, "a model: input, graph, features"));
    THAW_TRY(thaw_yaml_only(document, keys, sizeof keys / sizeof *keys));
    const struct thaw_node *classifier = NULL;
    const char *features = NULL;
    if (options->classes > 0) { /* look at the model first, to know which layer is its classifier */
        struct thaw_graph_options plain = {.caps = options->caps, .size = options->size};
        THAW_TRY(build_pass(document, &plain, NULL, NULL, first));
        THAW_TRY(find_features(first, document));
        classifier = find_classifier(first);
        features = first->nodes[first->features].name;
        if (!classifier)
            return thaw_yaml_fail(document, "the model has no linear layer or convolution after "
                                            "`features` to replace as its head");
    }
    THAW_TRY(build_pass(document, options, classifier, features, graph));
    THAW_TRY(find_features(graph, document));
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        graph->params[i].spec = &graph->nodes[param->node].spec.params[param->slot];
    }
    const char *name = "model";
    THAW_TRY(thaw_yaml_get_string(document, "model", &name));
    graph->name = thaw_arena_copy(&graph->arena, name);
    THAW_TRY(read_reference(graph, document));
    return read_stages(graph, document);
}

thaw_status thaw_graph_build(const thaw_yaml *document, const struct thaw_graph_options *options,
                             struct thaw_graph **ret_graph) {
    struct thaw_graph first = {0};
    struct thaw_graph *graph = calloc(1, sizeof *graph);
    if (!graph)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    thaw_status status = build_graph(document, options, &first, graph);
    thaw_arena_finish(&first.arena);
    if (status != THAW_OK)
        thaw_graph_destroy(&graph);
    else
        *ret_graph = graph;
    return status;
}

void thaw_graph_destroy(struct thaw_graph **graph) {
    if (!graph || !*graph)
        return;
    for (size_t i = 0; i < (*graph)->param_count; i++)
        thaw_buffer_destroy(&(*graph)->params[i].value);
    thaw_arena_finish(&(*graph)->arena);
    free(*graph);
    *graph = NULL;
}
