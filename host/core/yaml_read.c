/* Typed reads of YAML trees, and the complaints about what is wrong in them. */
#include "core/yaml.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Complaints ------------------------------------------------------------------------------ */

#undef thaw_yaml_fail /* the analyzer's, of the header */
thaw_status thaw_yaml_fail(const thaw_yaml *node, const char *format, ...) {
    char text[THAW_ERROR_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!node || !node->file)
        return thaw_fail(THAW_ERROR_INPUT, "%s", text);
    return thaw_fail(THAW_ERROR_INPUT, "%s:%d:%d: %s", node->file, node->line, node->column, text);
}

/* "a, b, c" */
static void append_names(struct thaw_text *text, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        thaw_text_append(text, "%s%s", i ? ", " : "", names[i]);
}

thaw_status thaw_yaml_fail_unknown(const thaw_yaml *node, const char *what, const char *word,
                                   const char *const *names, size_t count) {
    if (count == 0)
        return thaw_yaml_fail(node, "unknown %s '%s' (there is none)", what, word);
    struct thaw_text text = {0};
    const char *nearest = thaw_nearest(word, names, count);
    if (nearest)
        thaw_text_append(&text, "nearest: '%s'; ", nearest);
    thaw_text_append(&text, "expected one of: ");
    append_names(&text, names, count);
    thaw_status status =
        thaw_yaml_fail(node, "unknown %s '%s' (%s)", what, word, text.text ? text.text : "");
    thaw_text_finish(&text);
    return status;
}

/* Fails with "'key': expected ..., found ..."; `key` may be NULL. */
static thaw_status fail_type(const thaw_yaml *node, const char *key, const char *expected) {
    const char *before = key ? "'" : "", *after = key ? "': " : "";
    key = key ? key : "";
    if (!node)
        return thaw_yaml_fail(NULL, "%s%s%sexpected %s, found no value", before, key, after,
                              expected);
    if (node->kind == THAW_YAML_SCALAR && !thaw_yaml_is_null(node))
        return thaw_yaml_fail(node, "%s%s%sexpected %s, found %s'%s'", before, key, after, expected,
                              node->quoted ? "the quoted text " : "", node->text);
    return thaw_yaml_fail(node, "%s%s%sexpected %s, found %s", before, key, after, expected,
                          thaw_yaml_kind_name(node));
}

const char *thaw_yaml_kind_name(const thaw_yaml *node) {
    if (thaw_yaml_is_null(node))
        return "nothing";
    return node->kind == THAW_YAML_MAPPING    ? "a mapping"
           : node->kind == THAW_YAML_SEQUENCE ? "a sequence"
                                              : "a single value";
}

/* ---- Kinds of scalars ------------------------------------------------------------------------ */

static bool is_scalar(const thaw_yaml *node) {
    return node && node->kind == THAW_YAML_SCALAR;
}

static bool is_plain_word(const thaw_yaml *node, const char *a, const char *b, const char *c) {
    return is_scalar(node) && !node->quoted &&
           (!strcmp(node->text, a) || !strcmp(node->text, b) || !strcmp(node->text, c));
}

bool thaw_yaml_is_null(const thaw_yaml *node) {
    return is_plain_word(node, "null", "Null", "NULL") || is_plain_word(node, "~", "", "");
}

/* Decimal digits only: strtod() would also take hexadecimal, infinity and NaN. */
static bool looks_like_number(const thaw_yaml *node, const char *characters) {
    return is_scalar(node) && !node->quoted && *node->text &&
           !node->text[strspn(node->text, characters)];
}

/* Whether the whole scalar is an integer; one beyond 64 bits gives the nearest that fits. */
static bool parse_int(const thaw_yaml *node, int64_t *value) {
    if (!looks_like_number(node, "+-0123456789"))
        return false;
    char *end;
    *value = strtoll(node->text, &end, 10);
    return !*end && end != node->text;
}

static bool parse_double(const thaw_yaml *node, double *value) {
    if (!looks_like_number(node, "+-.eE0123456789"))
        return false;
    char *end;
    *value = strtod(node->text, &end);
    return !*end && end != node->text;
}

/* ---- Typed reads ----------------------------------------------------------------------------- */

static thaw_status read_string(const thaw_yaml *node, const char *key, const char **ret_text) {
    if (!is_scalar(node) || thaw_yaml_is_null(node))
        return fail_type(node, key, "a text");
    *ret_text = node->text;
    return THAW_OK;
}

/* "a number", "a number of at least 0", "a number from 0 to 1"; an infinite bound is none. */
static void describe_range(char *text, size_t size, const char *what, double low, double high) {
    if (isinf(low) && isinf(high))
        snprintf(text, size, "%s", what);
    else if (isinf(high))
        snprintf(text, size, "%s of at least %.15g", what, low);
    else if (isinf(low))
        snprintf(text, size, "%s of at most %.15g", what, high);
    else
        snprintf(text, size, "%s from %.15g to %.15g", what, low, high);
}

static thaw_status read_int(const thaw_yaml *node, const char *key, int64_t low, int64_t high,
                            int64_t *ret_value) {
    int64_t value;
    errno = 0;
    if (parse_int(node, &value) && !errno && value >= low && value <= high) {
        *ret_value = value;
        return THAW_OK;
    }
    char expected[96];
    describe_range(expected, sizeof expected, "an integer",
                   low <= INT_MIN ? -INFINITY : (double)low,
                   high >= INT_MAX ? INFINITY : (double)high);
    return fail_type(node, key, expected);
}

static thaw_status read_double(const thaw_yaml *node, const char *key, double low, double high,
                               double *ret_value) {
    double value;
    if (parse_double(node, &value) && isfinite(value) && value >= low && value <= high) {
        *ret_value = value;
        return THAW_OK;
    }
    char expected[96];
    describe_range(expected, sizeof expected, "a number", low, high);
    return fail_type(node, key, expected);
}

static thaw_status read_bool(const thaw_yaml *node, const char *key, bool *ret_value) {
    bool is_true = is_plain_word(node, "true", "True", "TRUE");
    if (!is_true && !is_plain_word(node, "false", "False", "FALSE"))
        return fail_type(node, key, "true or false");
    *ret_value = is_true;
    return THAW_OK;
}

thaw_status thaw_yaml_string(const thaw_yaml *node, const char **ret_text) {
    return read_string(node, NULL, ret_text);
}

thaw_status thaw_yaml_int(const thaw_yaml *node, int64_t low, int64_t high, int64_t *ret_value) {
    return read_int(node, NULL, low, high, ret_value);
}

thaw_status thaw_yaml_double(const thaw_yaml *node, double low, double high, double *ret_value) {
    return read_double(node, NULL, low, high, ret_value);
}

thaw_status thaw_yaml_bool(const thaw_yaml *node, bool *ret_value) {
    return read_bool(node, NULL, ret_value);
}

thaw_status thaw_yaml_choice(const thaw_yaml *node, const char *const *names, size_t count,
                             size_t *ret_index) {
    if (!is_scalar(node)) {
        struct thaw_text expected = {0};
        thaw_text_append(&expected, "one of: ");
        append_names(&expected, names, count);
        thaw_status status = fail_type(node, NULL, expected.text ? expected.text : "a name");
        thaw_text_finish(&expected);
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(node->text, names[i])) {
            *ret_index = i;
            return THAW_OK;
        }
    }
    return thaw_yaml_fail_unknown(node, "value", node->text, names, count);
}

thaw_status thaw_yaml_expect(const thaw_yaml *node, enum thaw_yaml_kind kind, const char *what) {
    if (node && node->kind == kind)
        return THAW_OK;
    thaw_yaml wanted = {.kind = kind, .text = "x"};
    if (node && node->kind == THAW_YAML_SCALAR && !thaw_yaml_is_null(node))
        return thaw_yaml_fail(node, "%s must be %s, not '%s'", what, thaw_yaml_kind_name(&wanted),
                              node->text);
    return thaw_yaml_fail(node, "%s must be %s, not %s", what, thaw_yaml_kind_name(&wanted),
                          node ? thaw_yaml_kind_name(node) : "missing");
}

/* ---- Mappings -------------------------------------------------------------------------------- */

const thaw_yaml *thaw_yaml_get(const thaw_yaml *map, const char *key) {
    if (!map || map->kind != THAW_YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (!strcmp(map->keys[i]->text, key))
            return map->items[i];
    return NULL;
}

thaw_status thaw_yaml_get_string(const thaw_yaml *map, const char *key, const char **value) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    return node ? read_string(node, key, value) : THAW_OK;
}

thaw_status thaw_yaml_get_int(const thaw_yaml *map, const char *key, int low, int high,
                              int *value) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    int64_t wide = 0;
    if (!node)
        return THAW_OK;
    THAW_TRY(read_int(node, key, low, high, &wide));
    *value = (int)wide;
    return THAW_OK;
}

thaw_status thaw_yaml_get_double(const thaw_yaml *map, const char *key, double low, double high,
                                 double *value) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    return node ? read_double(node, key, low, high, value) : THAW_OK;
}

thaw_status thaw_yaml_get_bool(const thaw_yaml *map, const char *key, bool *value) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    return node ? read_bool(node, key, value) : THAW_OK;
}

thaw_status thaw_yaml_only(const thaw_yaml *map, const char *const *names, size_t count) {
    if (!map)
        return THAW_OK;
    if (map->kind != THAW_YAML_MAPPING)
        return fail_type(map, NULL, "a mapping");
    for (size_t i = 0; i < map->count; i++) {
        size_t j = 0;
        while (j < count && strcmp(map->keys[i]->text, names[j]) != 0)
            j++;
        if (j == count)
            return thaw_yaml_fail_unknown(map->keys[i], "key", map->keys[i]->text, names, count);
    }
    return THAW_OK;
}

static int compare_keys(const void *a, const void *b) {
    const thaw_yaml *x = *(const thaw_yaml *const *)a, *y = *(const thaw_yaml *const *)b;
    int order = strcmp(x->text, y->text);
    if (!order)
        order = (x->line > y->line) - (x->line < y->line);
    return order ? order : (x->column > y->column) - (x->column < y->column);
}

thaw_status thaw_yaml_check_keys(struct thaw_arena *arena, const thaw_yaml *map) {
    if (map->count < 2)
        return THAW_OK;
    const thaw_yaml **sorted = thaw_arena_array(arena, map->count, sizeof(thaw_yaml *));
    if (!sorted)
        return THAW_ERROR_MEMORY;
    memcpy(sorted, map->keys, map->count * sizeof *sorted);
    qsort(sorted, map->count, sizeof *sorted, compare_keys);
    for (size_t i = 1; i < map->count; i++)
        if (!strcmp(sorted[i]->text, sorted[i - 1]->text))
            return thaw_yaml_fail(sorted[i], "duplicate key '%s' (first at line %d)",
                                  sorted[i]->text, sorted[i - 1]->line);
    return THAW_OK;
}
