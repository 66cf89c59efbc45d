#include "graph/expand.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 64
#define VARIABLES_MAX 32

const char *thaw_variables_get(const struct thaw_variables *variables, const char *name) {
    for (size_t i = 0; i < variables->count; i++)
        if (!strcmp(variables->items[i].name, name))
            return variables->items[i].text;
    return NULL;
}

static thaw_status unknown_variable(const thaw_yaml *place, const struct thaw_variables *variables,
                                    const char *name) {
    const char *names[VARIABLES_MAX];
    size_t count = variables->count < VARIABLES_MAX ? variables->count : VARIABLES_MAX;
    for (size_t i = 0; i < count; i++)
        names[i] = variables->items[i].name;
    const char *nearest = thaw_nearest(name, names, count);
    return thaw_yaml_fail(place, "'${%s}' is not a parameter of this block%s%s%s", name,
                          nearest ? " (nearest: '" : "", nearest ? nearest : "",
                          nearest ? "')" : "");
}

/* Reads one name or integer at *cursor; its text goes to ret_text. */
static thaw_status read_term(const thaw_yaml *place, const struct thaw_variables *variables,
                             const char **cursor, const char **ret_text, char word[NAME_SIZE]) {
    while (**cursor == ' ')
        ++*cursor;
    size_t length = 0;
    while (isalnum((unsigned char)**cursor) || **cursor == '_') {
        if (length + 1 < NAME_SIZE)
            word[length++] = **cursor;
        ++*cursor;
    }
    word[length] = '\0';
    while (**cursor == ' ')
        ++*cursor;
    if (!length)
        return thaw_yaml_fail(place, "expected a name or a number in '%s'", place->text);
    *ret_text = isdigit((unsigned char)word[0]) ? word : thaw_variables_get(variables, word);
    return *ret_text ? THAW_OK : unknown_variable(place, variables, word);
}

static thaw_status whole_number(const thaw_yaml *place, const char *text, long *ret_value) {
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value > 1 << 24 || value < -(1 << 24))
        return thaw_yaml_fail(place, "'%s' in '%s' is not a whole number", text, place->text);
    *ret_value = value;
    return THAW_OK;
}

/* Evaluates what stands between "${" and "}" and appends it. */
static thaw_status append_expression(const thaw_yaml *place, const struct thaw_variables *variables,
                                     const char **cursor, struct thaw_text *out) {
    char word[NAME_SIZE];
    const char *text;
    THAW_TRY(read_term(place, variables, cursor, &text, word));
    if (**cursor == '}') {
        ++*cursor;
        thaw_text_append(out, "%s", text);
        return THAW_OK;
    }
    long value = 0, term = 0;
    THAW_TRY(whole_number(place, text, &value));
    while (**cursor != '}') {
        char sign = **cursor;
        if (!sign || !strchr("+-*/", sign))
            return thaw_yaml_fail(place, "expected '}' or one of + - * / in '%s'", place->text);
        ++*cursor;
        THAW_TRY(read_term(place, variables, cursor, &text, word));
        THAW_TRY(whole_number(place, text, &term));
        if (sign == '/' && term == 0)
            return thaw_yaml_fail(place, "division by zero in '%s'", place->text);
        value = sign == '+'   ? value + term
                : sign == '-' ? value - term
                : sign == '*' ? value * term
                              : value / term;
    }
    ++*cursor;
    thaw_text_append(out, "%ld", value);
    return THAW_OK;
}

static thaw_status expand_scalar(struct thaw_arena *arena, const thaw_yaml *node,
                                 const struct thaw_variables *variables, thaw_yaml *copy) {
    if (!strstr(node->text, "${"))
        return THAW_OK;
    struct thaw_text out = {0};
    thaw_status status = THAW_OK;
    for (const char *cursor = node->text; *cursor && status == THAW_OK;) {
        if (cursor[0] == '$' && cursor[1] == '{') {
            cursor += 2;
            status = append_expression(node, variables, &cursor, &out);
        } else {
            thaw_text_append_bytes(&out, cursor++, 1);
        }
    }
    if (status == THAW_OK) {
        copy->quoted = false;
        copy->text = out.failed ? NULL : thaw_arena_copy(arena, out.text ? out.text : "");
        if (!copy->text)
            status = thaw_fail(THAW_ERROR_MEMORY, "out of memory expanding a template");
    }
    thaw_text_finish(&out);
    return status;
}

thaw_status thaw_expand(struct thaw_arena *arena, const thaw_yaml *node,
                        const struct thaw_variables *variables, thaw_yaml **ret_copy) {
    thaw_yaml *copy = thaw_arena_alloc(arena, sizeof *copy);
    if (!copy)
        return THAW_ERROR_MEMORY;
    *copy = *node;
    if (node->kind == THAW_YAML_SCALAR) {
        THAW_TRY(expand_scalar(arena, node, variables, copy));
    } else {
        copy->items = thaw_arena_array(arena, node->count + 1, sizeof(thaw_yaml *));
        if (!copy->items)
            return THAW_ERROR_MEMORY;
        for (size_t i = 0; i < node->count; i++)
            THAW_TRY(thaw_expand(arena, node->items[i], variables, &copy->items[i]));
    }
    *ret_copy = copy;
    return THAW_OK;
}
