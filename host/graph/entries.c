/* Entries of a node list. One entry is one of
 *
 *   - relu                                          a bare op type; named after it: relu, relu_2,
 * ...
 *   - bn1: batchnorm                                name: op type
 *   - conv1: {conv: {out: 64, kernel: 3}}           name: {op: attributes}
 *   - maxpool: {kernel: 3, stride: 2}               op type: attributes
 *   - add: [bn2, downsample]                        op type: inputs
 *   - layer1: {block: basic, repeat: 2, with: {out: 64}, first: {stride: 2}}
 *   - features: {nodes: [...]}                      a group: a prefix of names
 *
 * and may carry `from` (a node or a list; `input` is the input of the enclosing block or group),
 * `aka` (its name in other published weights) and `when` (shape_changes, same_shape, or "A == B",
 * "A != B"). An entry whose `when` is false is left out, and its name stands for what it would have
 * read. */
#include "graph/build.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 16
#define REPEAT_MAX 1024
#define VARIABLES_MAX 32

/* ---- names ---------------------------------------------------------------------------------- */

static thaw_status define_name(struct thaw_builder *builder, struct thaw_scope *scope,
                               const char *name, int node) {
    struct thaw_scope_name *entry = thaw_arena_alloc(&builder->graph->arena, sizeof *entry);
    if (!entry)
        return THAW_ERROR_MEMORY;
    *entry = (struct thaw_scope_name){name, node, scope->names};
    scope->names = entry;
    return THAW_OK;
}

static bool name_is_taken(const struct thaw_scope *scope, const char *name) {
    for (const struct thaw_scope_name *n = scope->names; n; n = n->next)
        if (!strcmp(n->name, name))
            return true;
    return false;
}

/* Innermost scope outward, then as a full name. */
static thaw_status resolve(const struct thaw_builder *builder, const struct thaw_scope *scope,
                           const thaw_yaml *reference, int *ret_node) {
    const char *name;
    THAW_TRY(thaw_yaml_string(reference, &name));
    if (!strcmp(name, "input")) {
        *ret_node = scope->input;
        return THAW_OK;
    }
    for (const struct thaw_scope *s = scope; s; s = s->parent)
        for (const struct thaw_scope_name *n = s->names; n; n = n->next)
            if (!strcmp(n->name, name)) {
                *ret_node = n->node;
                return THAW_OK;
            }
    int node = thaw_graph_find_node(builder->graph, name);
    if (node >= 0) {
        *ret_node = node;
        return THAW_OK;
    }
    const char *names[64];
    size_t count = 0;
    for (const struct thaw_scope *s = scope; s; s = s->parent)
        for (const struct thaw_scope_name *n = s->names; n && count < 64; n = n->next)
            names[count++] = n->name;
    const char *nearest = thaw_nearest(name, names, count);
    return thaw_yaml_fail(reference, "there is no node '%s' before this one%s%s%s", name,
                          nearest ? " (nearest: '" : "", nearest ? nearest : "",
                          nearest ? "')" : "");
}

static const char *join_name(struct thaw_arena *arena, const char *prefix, const char *name) {
    return *prefix ? thaw_arena_format(arena, "%s.%s", prefix, name) : thaw_arena_copy(arena, name);
}

static thaw_status resolve_list(const struct thaw_builder *builder, const struct thaw_scope *scope,
                                const thaw_yaml *from, int inputs[THAW_OP_INPUTS_MAX],
                                int *ret_count) {
    if (from->kind == THAW_YAML_SCALAR) {
        *ret_count = 1;
        return resolve(builder, scope, from, &inputs[0]);
    }
    THAW_TRY(thaw_yaml_expect(from, THAW_YAML_SEQUENCE, "a node name or a list of them"));
    if (!from->count || from->count > THAW_OP_INPUTS_MAX)
        return thaw_yaml_fail(from, "expected 1 to %d node names, got %zu", THAW_OP_INPUTS_MAX,
                              from->count);
    for (size_t i = 0; i < from->count; i++)
        THAW_TRY(resolve(builder, scope, from->items[i], &inputs[i]));
    *ret_count = (int)from->count;
    return THAW_OK;
}

/* ---- when ----------------------------------------------------------------------------------- */

/* Whether the enclosing block changes the shape: its stride is not 1 or its `out` not its input's
 * channels. */
static bool shape_changes(const struct thaw_builder *builder, const struct thaw_scope *scope) {
    const char *stride = thaw_variables_get(&scope->variables, "stride");
    const char *out = thaw_variables_get(&scope->variables, "out");
    const struct thaw_scope *block = scope; /* a group inside a block shares its variables */
    while (block->parent && block->parent->variables.items == scope->variables.items)
        block = block->parent;
    char channels[16];
    snprintf(channels, sizeof channels, "%d", builder->graph->nodes[block->input].out.c);
    return (stride && strcmp(stride, "1") != 0) || (out && strcmp(out, channels) != 0);
}

static thaw_status evaluate_when(struct thaw_builder *builder, const struct thaw_scope *scope,
                                 const thaw_yaml *when, bool *ret_keep) {
    const char *text;
    thaw_yaml *expanded;
    THAW_TRY(thaw_expand(&builder->graph->arena, when, &scope->variables, &expanded));
    THAW_TRY(thaw_yaml_string(expanded, &text));
    if (!strcmp(text, "shape_changes") || !strcmp(text, "same_shape")) {
        *ret_keep = shape_changes(builder, scope) == !strcmp(text, "shape_changes");
        return THAW_OK;
    }
    const char *sign = strstr(text, "==") ? strstr(text, "==") : strstr(text, "!=");
    char *left, *right;
    if (!sign)
        return thaw_yaml_fail(when,
                              "'when' is shape_changes, same_shape or a comparison such as "
                              "\"${expand} != 1\", not '%s'",
                              text);
    left = thaw_arena_copy_bytes(&builder->graph->arena, text, (size_t)(sign - text));
    right = thaw_arena_copy(&builder->graph->arena, sign + 2);
    if (!left || !right)
        return THAW_ERROR_MEMORY;
    right += strspn(right, " ");
    for (size_t n = strlen(left); n && left[n - 1] == ' '; n--)
        left[n - 1] = '\0';
    *ret_keep = !strcmp(left, right) == (*sign == '=');
    return THAW_OK;
}

/* ---- blocks and groups ---------------------------------------------------------------------- */

static thaw_status set_variable(struct thaw_variable *items, size_t count, const thaw_yaml *key,
                                const thaw_yaml *value) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(items[i].name, key->text))
            return thaw_yaml_string(value, &items[i].text);
    const char *names[VARIABLES_MAX];
    for (size_t i = 0; i < count; i++)
        names[i] = items[i].name;
    const char *nearest = thaw_nearest(key->text, names, count);
    return thaw_yaml_fail(key, "'%s' is not a parameter of the block%s%s%s", key->text,
                          nearest ? " (nearest: '" : "", nearest ? nearest : "",
                          nearest ? "')" : "");
}

/* The variables of one instance: the template's defaults, `with`, `first`, and the built-ins in,
 * index. */
static thaw_status instance_variables(struct thaw_builder *builder, const struct thaw_scope *scope,
                                      const thaw_yaml *block, const thaw_yaml *entry, int index,
                                      int input, struct thaw_variables *ret_variables) {
    struct thaw_arena *arena = &builder->graph->arena;
    const thaw_yaml *params = thaw_yaml_get(block, "params");
    size_t count = params ? params->count : 0;
    if (params)
        THAW_TRY(thaw_yaml_expect(params, THAW_YAML_MAPPING, "the parameters of a block"));
    if (count + 2 > VARIABLES_MAX)
        return thaw_yaml_fail(params, "a block has at most %d parameters", VARIABLES_MAX - 2);
    struct thaw_variable *items = thaw_arena_array(arena, count + 2, sizeof *items);
    if (!items)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        items[i].name = params->keys[i]->text;
        THAW_TRY(thaw_yaml_string(params->items[i], &items[i].text));
    }
    const char *sources[] = {"with", index == 0 ? "first" : NULL};
    for (int s = 0; s < 2; s++) {
        const thaw_yaml *source = sources[s] ? thaw_yaml_get(entry, sources[s]) : NULL;
        if (!source)
            continue;
        thaw_yaml *values;
        THAW_TRY(thaw_yaml_expect(source, THAW_YAML_MAPPING, "block parameters"));
        THAW_TRY(thaw_expand(arena, source, &scope->variables, &values));
        for (size_t i = 0; i < values->count; i++)
            THAW_TRY(set_variable(items, count, values->keys[i], values->items[i]));
    }
    for (size_t i = 0; i < count; i++)
        if (!strcmp(items[i].text, "required"))
            return thaw_yaml_fail(entry, "the block needs '%s' in `with`", items[i].name);
    items[count] = (struct thaw_variable){
        "in", thaw_arena_format(arena, "%d", builder->graph->nodes[input].out.c)};
    items[count + 1] = (struct thaw_variable){"index", thaw_arena_format(arena, "%d", index)};
    *ret_variables = (struct thaw_variables){items, count + 2};
    return items[count].text && items[count + 1].text ? THAW_OK : THAW_ERROR_MEMORY;
}

/* Reads `list` as a scope of its own; the last node of it becomes *node. */
static thaw_status build_scope(struct thaw_builder *builder, const struct thaw_scope *parent,
                               const char *prefix, const char *alias,
                               struct thaw_variables variables, const thaw_yaml *list,
                               const thaw_yaml *place, int *node) {
    if (builder->depth == DEPTH_MAX)
        return thaw_yaml_fail(place, "blocks are nested deeper than %d", DEPTH_MAX);
    if (!list)
        return thaw_yaml_fail(place, "expected `nodes`, a list");
    struct thaw_scope scope = {.parent = parent,
                               .prefix = prefix,
                               .alias = alias,
                               .variables = variables,
                               .input = *node,
                               .previous = *node};
    builder->depth++;
    THAW_TRY(thaw_build_entries(builder, &scope, list));
    builder->depth--;
    *node = scope.previous;
    return THAW_OK;
}

static thaw_status find_block(const struct thaw_builder *builder, const thaw_yaml *reference,
                              const thaw_yaml **ret_block) {
    const char *name;
    THAW_TRY(thaw_yaml_string(reference, &name));
    *ret_block = thaw_yaml_get(builder->blocks, name);
    if (*ret_block)
        return thaw_yaml_expect(*ret_block, THAW_YAML_MAPPING, "a block: params and nodes");
    const char *names[64];
    size_t count = 0;
    for (; builder->blocks && count < builder->blocks->count && count < 64; count++)
        names[count] = builder->blocks->keys[count]->text;
    const char *nearest = thaw_nearest(name, names, count);
    return thaw_yaml_fail(reference, "there is no block '%s'%s%s%s", name,
                          nearest ? " (nearest: '" : "", nearest ? nearest : "",
                          nearest ? "')" : "");
}

/* The alias of instance `index`: `aka` is a name, or a list with one for each instance. */
static thaw_status instance_alias(struct thaw_builder *builder, const struct thaw_scope *scope,
                                  const thaw_yaml *entry, const char *name, int index, int repeat,
                                  bool repeated, const char **ret_alias) {
    const thaw_yaml *aka = thaw_yaml_get(entry, "aka");
    struct thaw_arena *arena = &builder->graph->arena;
    if (!aka) {
        if (!scope->alias)
            return THAW_OK;
        const char *base = join_name(arena, scope->alias, name);
        if (!base)
            return THAW_ERROR_MEMORY;
        *ret_alias = repeated ? thaw_arena_format(arena, "%s.%d", base, index) : base;
        return *ret_alias ? THAW_OK : THAW_ERROR_MEMORY;
    }
    if (aka->kind == THAW_YAML_SCALAR && !repeated)
        return thaw_yaml_string(aka, ret_alias);
    THAW_TRY(thaw_yaml_expect(aka, THAW_YAML_SEQUENCE, "a list of names, one for each instance"));
    if (aka->count != (size_t)repeat)
        return thaw_yaml_fail(aka, "`aka` has %zu names for %d instances", aka->count, repeat);
    return thaw_yaml_string(aka->items[index], ret_alias);
}

static thaw_status build_block(struct thaw_builder *builder, struct thaw_scope *scope,
                               const char *name, const thaw_yaml *entry, int *node) {
    static const char *const keys[] = {"block", "repeat", "with", "first", "from", "aka", "when"};
    static const char *const block_keys[] = {"params", "nodes"};
    THAW_TRY(thaw_yaml_only(entry, keys, sizeof keys / sizeof *keys));
    const thaw_yaml *block;
    THAW_TRY(find_block(builder, thaw_yaml_get(entry, "block"), &block));
    THAW_TRY(thaw_yaml_only(block, block_keys, sizeof block_keys / sizeof *block_keys));
    bool repeated = thaw_yaml_get(entry, "repeat") != NULL;
    int repeat = 1;
    THAW_TRY(thaw_yaml_get_int(entry, "repeat", 1, REPEAT_MAX, &repeat));
    const char *prefix = join_name(&builder->graph->arena, scope->prefix, name);
    for (int index = 0; index < repeat && prefix; index++) {
        struct thaw_variables variables = {0};
        const char *alias = NULL;
        THAW_TRY(instance_variables(builder, scope, block, entry, index, *node, &variables));
        THAW_TRY(instance_alias(builder, scope, entry, name, index, repeat, repeated, &alias));
        const char *instance =
            repeated ? thaw_arena_format(&builder->graph->arena, "%s.%d", prefix, index) : prefix;
        if (!instance)
            return THAW_ERROR_MEMORY;
        THAW_TRY(build_scope(builder, scope, instance, alias, variables,
                             thaw_yaml_get(block, "nodes"), entry, node));
    }
    return prefix ? THAW_OK : THAW_ERROR_MEMORY;
}

static thaw_status build_group(struct thaw_builder *builder, struct thaw_scope *scope,
                               const char *name, const thaw_yaml *entry, int *node) {
    static const char *const keys[] = {"nodes", "from", "aka", "when"};
    THAW_TRY(thaw_yaml_only(entry, keys, sizeof keys / sizeof *keys));
    const char *alias = NULL;
    THAW_TRY(instance_alias(builder, scope, entry, name, 0, 1, false, &alias));
    const char *prefix = join_name(&builder->graph->arena, scope->prefix, name);
    if (!prefix)
        return THAW_ERROR_MEMORY;
    return build_scope(builder, scope, prefix, alias, scope->variables,
                       thaw_yaml_get(entry, "nodes"), entry, node);
}

/* ---- plain nodes ---------------------------------------------------------------------------- */

/* What an entry says, whichever form it has. */
struct entry {
    const char *name; /* NULL: named after the op */
    const struct thaw_op *op;
    const thaw_yaml *attrs;  /* NULL: none */
    const thaw_yaml *inputs; /* of the form `add: [a, b]` */
    const thaw_yaml *body;   /* the mapping with from, aka, when; NULL: none */
};

static const char *nearest_op(const char *type) {
    const char *names[64];
    size_t count = 0;
    for (; count < thaw_op_count && count < 64; count++)
        names[count] = thaw_ops[count]->type;
    return thaw_nearest(type, names, count);
}

static thaw_status unknown_op(const thaw_yaml *place, const char *type) {
    const char *nearest = nearest_op(type);
    return thaw_yaml_fail(place, "there is no op '%s'%s%s%s", type, nearest ? " (nearest: '" : "",
                          nearest ? nearest : "", nearest ? "')" : "");
}

static bool is_modifier(const char *key) {
    return !strcmp(key, "from") || !strcmp(key, "aka") || !strcmp(key, "when");
}

/* `name: {op: attributes, from: ..., ...}`; *ret_found says whether the mapping has that form. */
static thaw_status read_named_op(const thaw_yaml *value, struct entry *entry, bool *ret_found) {
    for (size_t i = 0; i < value->count; i++) {
        const struct thaw_op *op = thaw_op_find(value->keys[i]->text);
        if (is_modifier(value->keys[i]->text) || !op)
            continue;
        if (*ret_found)
            return thaw_yaml_fail(value->keys[i], "a node has one op, this is a second: '%s'",
                                  op->type);
        *ret_found = true;
        entry->op = op;
        entry->body = value;
        if (value->items[i]->kind == THAW_YAML_SEQUENCE)
            entry->inputs = value->items[i];
        else
            entry->attrs = value->items[i];
    }
    for (size_t i = 0; *ret_found && i < value->count; i++) {
        const char *key = value->keys[i]->text;
        if (!is_modifier(key) && !thaw_op_find(key)) {
            const char *known[] = {"from", "aka", "when"};
            const char *nearest = thaw_nearest(key, known, 3);
            return thaw_yaml_fail(
                value->keys[i], "unknown key '%s' beside the op%s%s%s (expected from, aka or when)",
                key, nearest ? " (nearest: '" : "", nearest ? nearest : "", nearest ? "')" : "");
        }
    }
    return THAW_OK;
}

static bool all_numbers(const thaw_yaml *list) {
    double number;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i]->kind != THAW_YAML_SCALAR ||
            thaw_yaml_double(list->items[i], -INFINITY, INFINITY, &number) != THAW_OK)
            return false;
    return true;
}

/* Attributes can be called like ops: in `maxpool: {kernel: 3, pad: 1}` nothing but pad is an op,
 * and in `resize: {scale: [2, 2]}` the value is no op's. */
static bool is_attributes(const struct thaw_op *own, const thaw_yaml *value) {
    for (size_t i = 0; own && i < value->count; i++) {
        const thaw_yaml *inner = value->items[i];
        const struct thaw_op *op = thaw_op_find(value->keys[i]->text);
        if (op == own)
            return false;
        if (is_modifier(value->keys[i]->text))
            continue;
        if (!op || (inner->kind == THAW_YAML_SCALAR && !thaw_yaml_is_null(inner)) ||
            (inner->kind == THAW_YAML_SEQUENCE && all_numbers(inner)))
            return true;
    }
    return false;
}

static thaw_status read_entry(const thaw_yaml *item, struct entry *ret_entry) {
    struct entry entry = {0};
    if (item->kind == THAW_YAML_SCALAR) {
        entry.op = thaw_op_find(item->text);
        if (!entry.op)
            return unknown_op(item, item->text);
        *ret_entry = entry;
        return THAW_OK;
    }
    const char *key = item->keys[0]->text;
    const thaw_yaml *value = item->items[0];
    bool named = false;
    const struct thaw_op *own = thaw_op_find(key);
    if (value->kind == THAW_YAML_MAPPING && !is_attributes(own, value))
        THAW_TRY(read_named_op(value, &entry, &named));
    const struct thaw_op *scalar =
        value->kind == THAW_YAML_SCALAR ? thaw_op_find(value->text) : NULL;
    if (named) {
        entry.name = key;
    } else if (scalar) { /* before the next: in `avgpool: global` both are ops */
        entry.name = key;
        entry.op = scalar;
    } else if (own) {
        entry.op = own;
        if (value->kind == THAW_YAML_SEQUENCE)
            entry.inputs = value;
        else
            entry.attrs = value;
    } else if (value->kind == THAW_YAML_SCALAR) {
        return unknown_op(value, value->text);
    } else if (value->kind == THAW_YAML_MAPPING && value->count &&
               nearest_op(value->keys[0]->text)) {
        return unknown_op(value->keys[0], value->keys[0]->text);
    } else if (value->kind == THAW_YAML_MAPPING && value->count && !nearest_op(key)) {
        return thaw_yaml_fail(item->keys[0], "neither '%s' nor '%s' is an op", key,
                              value->keys[0]->text);
    } else {
        return unknown_op(item->keys[0], key);
    }
    *ret_entry = entry;
    return THAW_OK;
}

static thaw_status automatic_name(struct thaw_builder *builder, const struct thaw_scope *scope,
                                  const char *type, const char **ret_name) {
    const char *name = thaw_arena_copy(&builder->graph->arena, type);
    for (int n = 2; name && name_is_taken(scope, name); n++)
        name = thaw_arena_format(&builder->graph->arena, "%s_%d", type, n);
    *ret_name = name;
    return name ? THAW_OK : THAW_ERROR_MEMORY;
}

static thaw_status build_plain(struct thaw_builder *builder, struct thaw_scope *scope,
                               const struct entry *entry, const thaw_yaml *place, const char *name,
                               const int *inputs, int input_count, int *ret_node) {
    struct thaw_arena *arena = &builder->graph->arena;
    thaw_yaml *attrs = NULL;
    if (entry->attrs && !thaw_yaml_is_null(entry->attrs))
        THAW_TRY(thaw_expand(arena, entry->attrs, &scope->variables, &attrs));
    const char *alias = NULL;
    const thaw_yaml *aka = entry->body ? thaw_yaml_get(entry->body, "aka") : NULL;
    if (aka) {
        THAW_TRY(thaw_yaml_string(aka, &alias));
        alias = join_name(arena, scope->alias ? scope->alias : "", alias);
    } else if (scope->alias) {
        alias = join_name(arena, scope->alias, name);
    }
    const char *full = join_name(arena, scope->prefix, name);
    if (!full || ((aka || scope->alias) && !alias))
        return THAW_ERROR_MEMORY;
    return thaw_build_node(builder, full, alias, entry->op, attrs, place, inputs, input_count,
                           ret_node);
}

/* ---- one entry ------------------------------------------------------------------------------ */

static thaw_status build_entry(struct thaw_builder *builder, struct thaw_scope *scope,
                               const thaw_yaml *item) {
    if (item->kind == THAW_YAML_SEQUENCE || (item->kind == THAW_YAML_MAPPING && item->count != 1))
        return thaw_yaml_fail(item, "a node is an op type or one `name: ...` pair");
    const thaw_yaml *value = item->kind == THAW_YAML_MAPPING ? item->items[0] : NULL;
    bool block = thaw_yaml_get(value, "block") != NULL,
         group = thaw_yaml_get(value, "nodes") != NULL;
    struct entry entry = {0};
    if (block || group) {
        entry.name = item->keys[0]->text;
        entry.body = value;
    } else {
        THAW_TRY(read_entry(item, &entry));
    }
    const char *name = entry.name;
    if (!name)
        THAW_TRY(automatic_name(builder, scope, entry.op ? entry.op->type : "", &name));
    if (name_is_taken(scope, name))
        return thaw_yaml_fail(item, "there is already a node '%s' here", name);

    int inputs[THAW_OP_INPUTS_MAX] = {scope->previous}, input_count = 1;
    const thaw_yaml *from = entry.body ? thaw_yaml_get(entry.body, "from") : NULL;
    if (from && entry.inputs)
        return thaw_yaml_fail(from, "`from` and a list of inputs say the same thing twice");
    if (from || entry.inputs)
        THAW_TRY(resolve_list(builder, scope, from ? from : entry.inputs, inputs, &input_count));
    const thaw_yaml *when = entry.body ? thaw_yaml_get(entry.body, "when") : NULL;
    bool keep = true;
    if (when)
        THAW_TRY(evaluate_when(builder, scope, when, &keep));
    if (!keep)
        return define_name(builder, scope, name, inputs[0]);

    int node = inputs[0];
    if ((block || group) && input_count != 1)
        return thaw_yaml_fail(from, "a block or group reads one node");
    if (block)
        THAW_TRY(build_block(builder, scope, name, value, &node));
    else if (group)
        THAW_TRY(build_group(builder, scope, name, value, &node));
    else
        THAW_TRY(build_plain(builder, scope, &entry, item, name, inputs, input_count, &node));
    scope->previous = node;
    return define_name(builder, scope, name, node);
}

thaw_status thaw_build_entries(struct thaw_builder *builder, struct thaw_scope *scope,
                               const thaw_yaml *list) {
    THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, "a list of nodes"));
    if (!list->count)
        return thaw_yaml_fail(list, "expected at least one node");
    for (size_t i = 0; i < list->count && !builder->finished; i++)
        THAW_TRY(build_entry(builder, scope, list->items[i]));
    return THAW_OK;
}
