/* From text to trees: libyaml's events, made into nodes that remember their place. */
#include "core/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "core/file.h"

#define DEPTH_MAX 64
#define NODES_MAX 100000  /* aliases expanded: ten lines of YAML can ask for billions */
#define ANCHORS_MAX 1000U /* searched one by one */

struct anchor {
    const char *name;
    const thaw_yaml *node;
};

struct parse {
    struct thaw_arena *arena;
    yaml_parser_t parser;
    const char *file, *text;
    size_t size_bytes;
    int first_column; /* of line 1: not 1 for text that starts inside a line */
    size_t node_count;
    struct anchor *anchors;
    size_t anchor_count, anchor_capacity;
};

/* A node without value, to say where something is wrong. */
static thaw_yaml place_of(const struct parse *parse, yaml_mark_t mark) {
    thaw_yaml place = {.file = parse->file};
    place.line = (int)mark.line + 1;
    place.column = (int)mark.column + (mark.line ? 1 : parse->first_column);
    return place;
}

/* Line and column after `size_bytes` of the text. */
static yaml_mark_t count_lines(const struct parse *parse, size_t size_bytes) {
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < size_bytes && i < parse->size_bytes; i++) {
        char c = parse->text[i], next = i + 1 < parse->size_bytes ? parse->text[i + 1] : '\0';
        bool line_ends = c == '\n' || (c == '\r' && next != '\n');
        mark.line += line_ends;
        mark.column = line_ends ? 0 : mark.column + ((c & 0xC0) != 0x80); /* UTF-8 goes on */
    }
    return mark;
}

/* libyaml's reader gives only an offset, its scanner and parser a mark and often a context. At the
 * end of a text without final newline the mark is on a line that does not exist. */
static thaw_status fail_syntax(const struct parse *parse) {
    const yaml_parser_t *parser = &parse->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    yaml_mark_t mark = parser->problem_mark, end = count_lines(parse, parse->size_bytes);
    if (parser->error == YAML_READER_ERROR)
        mark = count_lines(parse, parser->problem_offset);
    else if (mark.line > end.line)
        mark = end;
    thaw_yaml place = place_of(parse, mark);
    if (!parser->context || parser->context_mark.line >= mark.line)
        return thaw_yaml_fail(&place, "%s", parser->problem);
    return thaw_yaml_fail(&place, "%s (%s that starts at line %d)", parser->problem,
                          parser->context, (int)parser->context_mark.line + 1);
}

static thaw_status next_event(struct parse *parse, yaml_event_t *ret_event) {
    return yaml_parser_parse(&parse->parser, ret_event) ? THAW_OK : fail_syntax(parse);
}

/* A new node at `mark`, counted. */
static thaw_status new_node(struct parse *parse, enum thaw_yaml_kind kind, yaml_mark_t mark,
                            thaw_yaml **ret_node) {
    thaw_yaml place = place_of(parse, mark);
    if (++parse->node_count > NODES_MAX)
        return thaw_yaml_fail(&place, "more than %d values", NODES_MAX);
    thaw_yaml *node = thaw_arena_alloc(parse->arena, sizeof *node);
    if (!node)
        return THAW_ERROR_MEMORY;
    *node = place;
    node->kind = kind;
    *ret_node = node;
    return THAW_OK;
}

static thaw_status parse_scalar(struct parse *parse, const yaml_event_t *event,
                                thaw_yaml **ret_node) {
    thaw_yaml *node = NULL;
    THAW_TRY(new_node(parse, THAW_YAML_SCALAR, event->start_mark, &node));
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return thaw_yaml_fail(node, "a NUL character inside a text");
    node->text = thaw_arena_copy(parse->arena, text);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!node->text)
        return THAW_ERROR_MEMORY;
    *ret_node = node;
    return THAW_OK;
}

/* Adds the nodes of a tree to *count; returns how many levels it has. */
static int measure(const thaw_yaml *node, size_t *count) {
    int deepest = 0;
    *count += node->kind == THAW_YAML_MAPPING ? 1 + node->count : 1;
    for (size_t i = 0; i < node->count; i++) {
        int depth = measure(node->items[i], count);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

/* An alias becomes a copy: the tree may be edited later, in one place and not in the other. */
static thaw_status expand_alias(struct parse *parse, const yaml_event_t *event, int depth,
                                thaw_yaml **ret_node) {
    const char *name = (const char *)event->data.alias.anchor;
    thaw_yaml place = place_of(parse, event->start_mark);
    size_t i = parse->anchor_count;
    while (i > 0 && strcmp(parse->anchors[i - 1].name, name) != 0)
        i--;
    if (i == 0)
        return thaw_yaml_fail(&place, "unknown anchor '*%s': none before it is complete", name);
    const thaw_yaml *node = parse->anchors[i - 1].node;
    if (depth + measure(node, &parse->node_count) > DEPTH_MAX)
        return thaw_yaml_fail(&place, "nested deeper than %d levels", DEPTH_MAX);
    if (parse->node_count > NODES_MAX)
        return thaw_yaml_fail(&place, "more than %d values, aliases expanded", NODES_MAX);
    return thaw_yaml_copy(parse->arena, node, ret_node);
}

static thaw_status remember_anchor(struct parse *parse, const char *name, const thaw_yaml *node) {
    if (parse->anchor_count == ANCHORS_MAX)
        return thaw_yaml_fail(node, "more than %u anchors", ANCHORS_MAX);
    parse->anchors = thaw_arena_grow(parse->arena, parse->anchors, parse->anchor_count,
                                     &parse->anchor_capacity, sizeof *parse->anchors);
    if (!parse->anchors)
        return THAW_ERROR_MEMORY;
    parse->anchors[parse->anchor_count++] = (struct anchor){name, node};
    return THAW_OK;
}

static thaw_status parse_node(struct parse *parse, yaml_event_t *event, int depth,
                              thaw_yaml **ret_node);

static thaw_status parse_next(struct parse *parse, int depth, thaw_yaml **ret_node) {
    yaml_event_t event;
    THAW_TRY(next_event(parse, &event));
    return parse_node(parse, &event, depth, ret_node);
}

/* Everything between the start event and the end event of a sequence or mapping. */
static thaw_status parse_items(struct parse *parse, thaw_yaml *node, int depth) {
    for (;;) {
        yaml_event_t event;
        THAW_TRY(next_event(parse, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        thaw_yaml *key = NULL, *item = NULL;
        THAW_TRY(parse_node(parse, &event, depth + 1, &item));
        if (node->kind == THAW_YAML_MAPPING) {
            key = item;
            if (key->kind != THAW_YAML_SCALAR)
                return thaw_yaml_fail(key, "a key must be a text or number, not %s",
                                      key->kind == THAW_YAML_MAPPING ? "a mapping" : "a sequence");
            THAW_TRY(parse_next(parse, depth + 1, &item));
        }
        THAW_TRY(thaw_yaml_append(parse->arena, node, key, item));
    }
    return node->kind == THAW_YAML_MAPPING ? thaw_yaml_check_keys(parse->arena, node) : THAW_OK;
}

/* Anchor and tag of a node's first event, NULL if it has none. */
static void get_properties(const yaml_event_t *event, const char **anchor, const char **tag) {
    const yaml_char_t *raw_anchor = NULL, *raw_tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        raw_anchor = event->data.scalar.anchor;
        raw_tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        raw_anchor = event->data.sequence_start.anchor;
        raw_tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        raw_anchor = event->data.mapping_start.anchor;
        raw_tag = event->data.mapping_start.tag;
    }
    *anchor = (const char *)raw_anchor;
    *tag = (const char *)raw_tag;
}

/* The node that `event` starts; uses up the event. */
static thaw_status parse_node(struct parse *parse, yaml_event_t *event, int depth,
                              thaw_yaml **ret_node) {
    const char *anchor, *tag;
    get_properties(event, &anchor, &tag);
    thaw_yaml place = place_of(parse, event->start_mark), *node = NULL;
    thaw_status status = THAW_OK;
    if (depth > DEPTH_MAX)
        status = thaw_yaml_fail(&place, "nested deeper than %d levels", DEPTH_MAX);
    else if (tag)
        status =
            thaw_yaml_fail(&place, "tag '%s' is not supported; a text is marked by quotes", tag);
    else if (event->type == YAML_ALIAS_EVENT)
        status = expand_alias(parse, event, depth - 1, &node);
    else if (event->type == YAML_SCALAR_EVENT)
        status = parse_scalar(parse, event, &node);
    else
        status = new_node(
            parse, event->type == YAML_MAPPING_START_EVENT ? THAW_YAML_MAPPING : THAW_YAML_SEQUENCE,
            event->start_mark, &node);
    bool is_container =
        event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
    if (status == THAW_OK && anchor && !(anchor = thaw_arena_copy(parse->arena, anchor)))
        status = THAW_ERROR_MEMORY;
    yaml_event_delete(event);
    THAW_TRY(status);
    if (is_container)
        THAW_TRY(parse_items(parse, node, depth));
    if (anchor) /* only now: an alias inside its own anchor would never end */
        THAW_TRY(remember_anchor(parse, anchor, node));
    *ret_node = node;
    return THAW_OK;
}

/* The one document of a stream; a stream without any is null. */
static thaw_status parse_stream(struct parse *parse, thaw_yaml **ret_root) {
    yaml_event_t event;
    THAW_TRY(next_event(parse, &event));
    yaml_event_delete(&event); /* stream start */
    THAW_TRY(next_event(parse, &event));
    yaml_event_type_t type = event.type;
    yaml_event_delete(&event);
    thaw_yaml *root = NULL;
    if (type == YAML_STREAM_END_EVENT) {
        THAW_TRY(new_node(parse, THAW_YAML_SCALAR, (yaml_mark_t){0}, &root));
        root->text = "";
        *ret_root = root;
        return THAW_OK;
    }
    THAW_TRY(parse_next(parse, 1, &root));
    THAW_TRY(next_event(parse, &event));
    yaml_event_delete(&event); /* document end */
    THAW_TRY(next_event(parse, &event));
    thaw_yaml place = place_of(parse, event.start_mark);
    type = event.type;
    yaml_event_delete(&event);
    if (type != YAML_STREAM_END_EVENT)
        return thaw_yaml_fail(&place, "a second document; expected one");
    *ret_root = root;
    return THAW_OK;
}

thaw_status thaw_yaml_parse_at(struct thaw_arena *arena, const char *text, size_t size_bytes,
                               const char *name, int first_column, thaw_yaml **ret_root) {
    struct parse parse = {
        .arena = arena, .text = text, .size_bytes = size_bytes, .first_column = first_column};
    parse.file = thaw_arena_copy(arena, name);
    if (!parse.file)
        return THAW_ERROR_MEMORY;
    if (!yaml_parser_initialize(&parse.parser))
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    static const unsigned char nothing[1];
    yaml_parser_set_input_string(&parse.parser, text ? (const unsigned char *)text : nothing,
                                 size_bytes);
    thaw_status status = parse_stream(&parse, ret_root);
    yaml_parser_delete(&parse.parser);
    return status;
}

thaw_status thaw_yaml_parse(struct thaw_arena *arena, const char *text, size_t size_bytes,
                            const char *name, thaw_yaml **ret_root) {
    return thaw_yaml_parse_at(arena, text, size_bytes, name, 1, ret_root);
}

thaw_status thaw_yaml_load(struct thaw_arena *arena, const char *path, thaw_yaml **ret_root) {
    struct thaw_map map = {0};
    THAW_TRY(thaw_map_open(path, &map));
    thaw_status status =
        thaw_yaml_parse(arena, (const char *)map.bytes, map.size_bytes, path, ret_root);
    thaw_map_close(&map);
    return status;
}
