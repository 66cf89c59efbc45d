/* The key text of a feature cache: everything that its values depend on, for people to read. */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "kernels/tuning.h"
#include "train/feature_cache.h"

static void append_hash(struct thaw_text *text, XXH128_hash_t hash) {
    thaw_text_append(text, "%016llx%016llx", (unsigned long long)hash.high64,
                     (unsigned long long)hash.low64);
}

/* The nodes that `node` is computed from, itself included. */
static void mark_below(const struct thaw_graph *graph, int node, bool *marks) {
    marks[node] = true;
    for (int n = node; n >= 0; n--) /* nodes are in topological order */
        for (int i = 0; marks[n] && i < graph->nodes[n].input_count; i++)
            marks[graph->nodes[n].inputs[i]] = true;
}

static thaw_status append_param(const struct thaw_graph *graph, const struct thaw_param *param,
                                struct thaw_text *text) {
    size_t count = thaw_param_count_values(param);
    float *values = malloc(count * sizeof *values + 1);
    if (!values)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory hashing %s", param->name);
    thaw_status status = thaw_param_read(graph, param, values);
    if (status == THAW_OK) {
        thaw_text_append(text, "  %s ", param->name);
        append_hash(text, XXH3_128bits(values, count * sizeof *values));
        thaw_text_append(text, "\n");
    }
    free(values);
    return status;
}

static thaw_status append_node(const struct thaw_graph *graph, const struct thaw_node *node,
                               struct thaw_text *text) {
    thaw_text_append(text, "node %s: %s, %d x %d x %d, of", node->name,
                     node->op ? node->op->type : "input", node->out.c, node->out.h, node->out.w);
    for (int i = 0; i < node->input_count; i++)
        thaw_text_append(text, " %s", graph->nodes[node->inputs[i]].name);
    thaw_text_append(text, "\n");
    if (node->written)
        thaw_yaml_emit(node->written, text);
    for (int i = 0; i < node->param_count; i++)
        if (node->params[i] >= 0)
            THAW_TRY(append_param(graph, &graph->params[node->params[i]], text));
    return THAW_OK;
}

static thaw_status append_network(const struct thaw_graph *graph, int node,
                                  struct thaw_text *text) {
    bool *marks = calloc(graph->node_count, sizeof *marks);
    if (!marks)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory for a cache's key");
    thaw_status status = THAW_OK;
    mark_below(graph, node, marks);
    for (size_t n = 0; n < graph->node_count && status == THAW_OK; n++)
        if (marks[n])
            status = append_node(graph, &graph->nodes[n], text);
    free(marks);
    return status;
}

static void append_photos(const struct thaw_feature_options *o, struct thaw_text *text) {
    thaw_text_append(text, "photos: %016llx\n",
                     (unsigned long long)thaw_loader_hash_photos(o->loader, o->photos, o->count));
    if (!o->views)
        return;
    thaw_text_append(text, "ids: ");
    append_hash(text, XXH3_128bits(o->photos, o->count * sizeof *o->photos));
    thaw_text_append(text, "\nseed: %llu\naugment:\n", (unsigned long long)o->seed);
    if (o->augment)
        thaw_yaml_emit(o->augment, text);
    thaw_text_append(text, "\n");
}

/* Kernels are chosen by what was measured on the device, too. */
static void append_kernels(const struct thaw_feature_options *o, struct thaw_text *text) {
    const struct thaw_device_caps *caps = &o->graph->caps;
    thaw_text_append(text,
                     "device: %s\nlayout: %s, block %d\nbatch: %d\nconvolution: %s\n"
                     "measured: %016llx\n",
                     thaw_device_key(o->graph->device), caps->is_cpu ? "cpu" : "gpu", caps->block,
                     o->batch, o->conv_candidate ? o->conv_candidate : "chosen",
                     (unsigned long long)thaw_tuning_hash(o->graph->device));
}

thaw_status thaw_feature_key(const struct thaw_feature_options *o, struct thaw_text *text) {
    const struct thaw_node *node = &o->graph->nodes[o->node];
    thaw_text_append(text, "%s at %s, %d x %d x %d %s, ", o->graph->name, node->name, node->out.c,
                     node->out.h, node->out.w, thaw_cache_dtype_names[o->dtype]);
    if (o->views)
        thaw_text_append(text, "%d views of ", o->views);
    thaw_text_append(text, "%zu photos\n", o->count);
    append_kernels(o, text);
    thaw_text_append(text, "input: ");
    thaw_input_spec_emit(o->input, text);
    thaw_text_append(text, "\n");
    append_photos(o, text);
    THAW_TRY(append_network(o->graph, o->node, text));
    return text->failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory for a cache's key") : THAW_OK;
}
