#include "io/onnx/names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/onnx/text.h"

#define PARTS_MAX 32
#define NEIGHBOURS_MAX 64 /* paths that are looked at to see whether one is a container */

/* A path's parts between slashes; empty ones do not count. */
struct parts {
    const char *starts[PARTS_MAX];
    size_t lengths[PARTS_MAX], count;
};

static struct parts split(const char *path) {
    struct parts parts = {0};
    while (*path && parts.count < PARTS_MAX) {
        size_t length = strcspn(path, "/");
        if (length) {
            parts.starts[parts.count] = path;
            parts.lengths[parts.count++] = length;
        }
        path += length + (path[length] == '/');
    }
    return parts;
}

static const char *path_of(const Thaw__Onnx__NodeProto *node) {
    if (node->name && *node->name)
        return node->name;
    return node->n_output && node->output[0] ? node->output[0] : "";
}

static void find_common(struct thaw_onnx_converter *cv) {
    struct parts common = {0};
    bool any = false;
    for (size_t i = 0; i < cv->model->graph->n_node; i++) {
        if (!cv->needed[i])
            continue;
        struct parts parts = split(path_of(cv->model->graph->node[i]));
        if (parts.count < 2)
            continue;
        parts.count--; /* the last one stays */
        if (!any)
            common = parts;
        any = true;
        size_t same = 0;
        while (same < common.count && same < parts.count &&
               common.lengths[same] == parts.lengths[same] &&
               !strncmp(common.starts[same], parts.starts[same], parts.lengths[same]))
            same++;
        common.count = same;
    }
    cv->name_skip = common.count;
}

/* Whether a part is the operator and not a name that a person gave: "Conv", "Conv_3",
 * "BiasAdd__17". */
static bool is_operator(const char *part, size_t length, const char *type) {
    static const char *const tensorflow[] = {
        "Conv2D",  "BiasAdd",   "MatMul",  "Relu6",     "Relu", "FusedBatchNormV3", "depthwise",
        "AvgPool", "AvgPool2d", "MaxPool", "MaxPool2d", "Mean", "Softmax",          "convolution"};
    while (length && isdigit((unsigned char)part[length - 1]) && memchr(part, '_', length))
        length--;
    while (length && part[length - 1] == '_')
        length--;
    if (length == strlen(type) && !strncasecmp(part, type, length))
        return true;
    for (size_t i = 0; i < sizeof tensorflow / sizeof *tensorflow; i++)
        if (length == strlen(tensorflow[i]) && !strncmp(part, tensorflow[i], length))
            return true;
    return false;
}

/* Operators that people give no name to: theirs says which of a block's nodes it is. */
static bool is_nameless(const char *type) {
    static const char *const types[] = {"Add", "Sub", "Mul", "Div", "Sum", "Concat", "Slice"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(type, types[i]))
            return true;
    return false;
}

/* ---- containers: parts of the model that have others inside
 * --------------------------------------- */

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static thaw_status sort_paths(struct thaw_onnx_converter *cv) {
    const Thaw__Onnx__GraphProto *graph = cv->model->graph;
    cv->paths = thaw_arena_array(&cv->scratch, graph->n_node + 1, sizeof *cv->paths);
    if (!cv->paths)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < graph->n_node; i++)
        if (cv->needed[i])
            cv->paths[cv->path_count++] = path_of(graph->node[i]);
    qsort(cv->paths, cv->path_count, sizeof *cv->paths, compare_paths);
    return THAW_OK;
}

/* Whether other paths go through the first `length` characters of `path` and at least two parts
 * more. */
static bool is_container(const struct thaw_onnx_converter *cv, const char *path, size_t length) {
    size_t low = 0, high = cv->path_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strncmp(cv->paths[middle], path, length);
        if (order < 0 || (order == 0 && (unsigned char)cv->paths[middle][length] < '/'))
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < cv->path_count && i < low + NEIGHBOURS_MAX; i++) {
        const char *other = cv->paths[i];
        if (strncmp(other, path, length) != 0 || other[length] != '/')
            return false;
        if (split(other + length).count > 1)
            return true;
    }
    return false;
}

/* Whether the next part repeats this one, as in "layer1/layer1.0". */
static bool is_repeated(const struct parts *parts, size_t i) {
    return i + 1 < parts->count && parts->lengths[i + 1] > parts->lengths[i] &&
           parts->starts[i + 1][parts->lengths[i]] == '.' &&
           !strncmp(parts->starts[i + 1], parts->starts[i], parts->lengths[i]);
}

thaw_status thaw_onnx_find_common_names(struct thaw_onnx_converter *cv) {
    find_common(cv);
    return sort_paths(cv);
}

const char *thaw_onnx_base_name(struct thaw_onnx_converter *cv, const Thaw__Onnx__NodeProto *node) {
    struct parts parts = split(path_of(node));
    struct thaw_text text = {0};
    const char *type = node->op_type ? node->op_type : "";
    size_t skip = cv->name_skip < parts.count ? cv->name_skip : 0;
    bool last_is_operator = parts.count > skip && is_operator(parts.starts[parts.count - 1],
                                                              parts.lengths[parts.count - 1], type);
    bool keep = is_nameless(type);
    if (parts.count > skip + 1 && last_is_operator && !keep) {
        const char *path = path_of(node), *end = parts.starts[parts.count - 1] - 1;
        keep = is_container(cv, path, (size_t)(end - path));
    }
    if (parts.count > skip + 1 && last_is_operator && !keep)
        parts.count--;
    for (size_t i = skip; i < parts.count; i++)
        if (!is_repeated(&parts, i))
            thaw_text_append(&text, "%s%.*s", text.length ? "." : "", (int)parts.lengths[i],
                             parts.starts[i]);
    const char *path = text.text ? text.text : type;
    if (!strncmp(path, "node_", 5)) /* of PyTorch's newer exporter */
        path += 5;
    char *name = text.failed ? NULL : thaw_onnx_plain_name(cv->arena, path);
    char *last = name ? strrchr(name, '.') : NULL;
    if (last_is_operator) /* what remains of it is no name of a person's choice */
        for (char *c = last ? last : name; (parts.count == skip + 1 || keep) && c && *c; c++)
            *c = (char)tolower((unsigned char)*c);
    thaw_text_finish(&text);
    return name;
}
