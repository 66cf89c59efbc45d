#include "io/onnx/stages.h"

#include <string.h>

static bool is_op(const struct thaw_onnx_node *node, const char *type) {
    return node->op && !node->dropped && !strcmp(node->op->type, type);
}

static int find_last(const struct thaw_onnx_converter *cv, const char *type) {
    for (size_t i = cv->node_count; i-- > 1;)
        if (is_op(&cv->nodes[i], type))
            return (int)i;
    return 0;
}

int thaw_onnx_find_features(const struct thaw_onnx_converter *cv, int output) {
    int classifier = find_last(cv, "linear");
    if (!classifier)
        classifier = find_last(cv, "conv");
    if (!classifier)
        classifier = output;
    int features = cv->nodes[classifier].inputs[0];
    while (is_op(&cv->nodes[features], "dropout"))
        features = cv->nodes[features].inputs[0];
    return features;
}

/* ---- groups of nodes ---------------------------------------------------------------------------
 */

/* groups[i]: the stage of node i, from 0; -1 for what comes after `features`. */
static void group_nodes(const struct thaw_onnx_converter *cv, int features, const int *last_reader,
                        int *groups) {
    int group = 0, begin = 1, reach = 0;
    int64_t area = 0;
    for (int i = 0; i <= features; i++) {
        const struct thaw_onnx_node *node = &cv->nodes[i];
        if (i == 0 || node->dropped) {
            reach = reach > last_reader[i] ? reach : last_reader[i];
            continue;
        }
        if (reach <= i) { /* nothing after this node reads an earlier one */
            int64_t now = (int64_t)node->out.h * node->out.w;
            if (area && now < area)
                group++;
            area = now;
            for (; begin <= i; begin++)
                groups[begin] = group;
        }
        reach = reach > last_reader[i] ? reach : last_reader[i];
    }
    for (; begin <= features; begin++)
        groups[begin] = group;
}

static thaw_status make_groups(struct thaw_onnx_converter *cv, int features, int **ret_groups) {
    int *groups = thaw_arena_array(&cv->scratch, cv->node_count, sizeof *groups);
    int *last_reader = thaw_arena_array(&cv->scratch, cv->node_count, sizeof *last_reader);
    if (!groups || !last_reader)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < cv->node_count; i++) {
        const struct thaw_onnx_node *node = &cv->nodes[i];
        groups[i] = -1;
        for (int j = 0; j < node->input_count && !node->dropped; j++)
            last_reader[node->inputs[j]] = (int)i;
    }
    group_nodes(cv, features, last_reader, groups);
    *ret_groups = groups;
    return THAW_OK;
}

/* ---- their names -------------------------------------------------------------------------------
 */

static bool owns_tensors(const struct thaw_onnx_node *node) {
    return node->param_count && !node->dropped;
}

static bool has_prefix(const char *name, const char *prefix, size_t length) {
    return name && !strncmp(name, prefix, length) && (!name[length] || name[length] == '.');
}

/* Whether all tensors below the prefix are of one group. */
static bool is_of_group(const struct thaw_onnx_converter *cv, const int *groups, int group,
                        const char *prefix, size_t length) {
    for (size_t i = 1; i < cv->node_count; i++)
        if (owns_tensors(&cv->nodes[i]) && groups[i] != group &&
            has_prefix(cv->nodes[i].name, prefix, length))
            return false;
    return true;
}

/* The shortest prefix of the name that stays within the group. */
static size_t shortest_prefix(const struct thaw_onnx_converter *cv, const int *groups, int group,
                              const char *name) {
    size_t length = strcspn(name, ".");
    while (name[length] && !is_of_group(cv, groups, group, name, length))
        length += 1 + strcspn(name + length + 1, ".");
    return length;
}

static void write_stage(struct thaw_onnx_converter *cv, const int *groups, int group, int number,
                        struct thaw_text *text) {
    struct thaw_text list = {0};
    const char *last = NULL;
    size_t last_length = 0, count = 0;
    for (size_t i = 1; i < cv->node_count; i++) {
        const char *name = cv->nodes[i].name;
        if (!owns_tensors(&cv->nodes[i]) || groups[i] != group ||
            (last && has_prefix(name, last, last_length)))
            continue;
        bool listed = false; /* by an entry before the last one */
        size_t length = shortest_prefix(cv, groups, group, name);
        for (size_t j = 1; j < i && !listed; j++)
            listed = owns_tensors(&cv->nodes[j]) && groups[j] == group &&
                     has_prefix(cv->nodes[j].name, name, length);
        if (listed)
            continue;
        last = name;
        last_length = length;
        count++;
        thaw_text_append(&list, "%s%.*s", list.length ? ", " : "", (int)length, name);
    }
    if (count == 1 && !strchr(list.text, '.') && strncmp(list.text, "stage", 5) != 0)
        thaw_text_append(text, "  - %s\n", list.text);
    else
        thaw_text_append(text, "  - stage%d: [%s]\n", number, list.text ? list.text : "");
    if (list.failed)
        text->failed = true;
    thaw_text_finish(&list);
}

thaw_status thaw_onnx_write_stages(struct thaw_onnx_converter *cv, int features,
                                   struct thaw_text *text) {
    int *groups, number = 0;
    THAW_TRY(make_groups(cv, features, &groups));
    for (int group = 0; features > 0 && group <= groups[features]; group++) {
        bool any = false;
        for (size_t i = 1; i < cv->node_count && !any; i++)
            any = groups[i] == group && owns_tensors(&cv->nodes[i]);
        if (!any)
            continue;
        if (number == 0)
            thaw_text_append(text, "stages:\n");
        write_stage(cv, groups, group, ++number, text);
    }
    return THAW_OK;
}
