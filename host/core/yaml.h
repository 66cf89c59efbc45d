/* YAML documents as trees that keep file, line and column, so that every complaint about a value
 * can say where it stands. Parsing is libyaml's; strictness (unknown keys, duplicates, types) is
 * here. yaml.c parses, yaml_read.c reads values, yaml_edit.c changes and writes trees.
 *
 * Of YAML 1.2's core schema: decimal numbers (1e-4, .5; no 0x, 1_000, .inf), true and false, null.
 * Aliases become copies of what they name; "<<" is a key like any other; tags are errors. */
#ifndef THAW_CORE_YAML_H
#define THAW_CORE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/text.h"

enum thaw_yaml_kind { THAW_YAML_SCALAR, THAW_YAML_SEQUENCE, THAW_YAML_MAPPING };

typedef struct thaw_yaml thaw_yaml;
struct thaw_yaml {
    enum thaw_yaml_kind kind;
    const char *file;  /* as given to load; "--set" for overrides; "preset" for built-in text */
    int line, column;  /* 1-based */
    const char *text;  /* scalar only */
    bool quoted;       /* scalar only: '...', "...", | and > are never a number, bool or null */
    size_t count;      /* items of a sequence, entries of a mapping */
    size_t capacity;   /* room in `items` and `keys`; thaw_yaml_append() looks after it */
    thaw_yaml **items; /* values */
    thaw_yaml **keys;  /* mapping only: scalars, unique */
};

/* All nodes are of `arena`. A syntax error or a duplicate key is THAW_ERROR_INPUT at its place; so
 * are anchors' misuse, several documents in a file, nesting deeper than 64, and more than 100000
 * values. An empty text is null. */
thaw_status thaw_yaml_load(struct thaw_arena *arena, const char *path, thaw_yaml **ret_root);
thaw_status thaw_yaml_parse(struct thaw_arena *arena, const char *text, size_t size_bytes,
                            const char *name, thaw_yaml **ret_root);
/* The same for text that starts at `first_column` of its line. */
thaw_status thaw_yaml_parse_at(struct thaw_arena *arena, const char *text, size_t size_bytes,
                               const char *name, int first_column, thaw_yaml **ret_root);

/* The value under `key`, or NULL when absent (or when `map` is NULL or no mapping). */
const thaw_yaml *thaw_yaml_get(const thaw_yaml *map, const char *key);

/* Fails with "FILE:LINE:COL: <text>" and THAW_ERROR_INPUT; without place for NULL and for nodes
 * that have none. */
thaw_status thaw_yaml_fail(const thaw_yaml *node, const char *format, ...) THAW_PRINTF(2, 3);
/* Fails with "unknown <what> '<word>' (nearest: 'x'; expected one of: x, y)". */
thaw_status thaw_yaml_fail_unknown(const thaw_yaml *node, const char *what, const char *word,
                                   const char *const *names, size_t count);
/* "a mapping", "a sequence", "a single value" or "nothing" (null), for messages. */
const char *thaw_yaml_kind_name(const thaw_yaml *node);

#ifdef __clang_analyzer__
#define thaw_yaml_fail(...) ((thaw_yaml_fail)(__VA_ARGS__), THAW_ERROR_INPUT)
#endif

/* Typed reads: wrong kind or range fails at the node's place, saying what was expected. A text is
 * any scalar but null. An infinite bound, or one at the end of int's range, is none; NaN and
 * infinity are never numbers. */
thaw_status thaw_yaml_string(const thaw_yaml *node, const char **ret_text);
thaw_status thaw_yaml_int(const thaw_yaml *node, int64_t low, int64_t high, int64_t *ret_value);
thaw_status thaw_yaml_double(const thaw_yaml *node, double low, double high, double *ret_value);
thaw_status thaw_yaml_bool(const thaw_yaml *node, bool *ret_value);
/* The index of the scalar in `names`; else an error with the nearest name and the whole list. */
thaw_status thaw_yaml_choice(const thaw_yaml *node, const char *const *names, size_t count,
                             size_t *ret_index);
/* "<what> must be a mapping, not 'sgd'"; fails for NULL too. */
thaw_status thaw_yaml_expect(const thaw_yaml *node, enum thaw_yaml_kind kind, const char *what);

/* The same for optional keys of a mapping: an absent key leaves *value as it was. */
thaw_status thaw_yaml_get_string(const thaw_yaml *map, const char *key, const char **value);
thaw_status thaw_yaml_get_int(const thaw_yaml *map, const char *key, int low, int high, int *value);
thaw_status thaw_yaml_get_double(const thaw_yaml *map, const char *key, double low, double high,
                                 double *value);
thaw_status thaw_yaml_get_bool(const thaw_yaml *map, const char *key, bool *value);

/* Fails at the first key of `map` that is not among the `count` names, with the nearest of them;
 * also if `map` is no mapping. NULL is fine. */
thaw_status thaw_yaml_only(const thaw_yaml *map, const char *const *names, size_t count);

/* Fails at the second of two equal keys. */
thaw_status thaw_yaml_check_keys(struct thaw_arena *arena, const thaw_yaml *map);

/* Whether the scalar is an unquoted null (~, null, empty). */
bool thaw_yaml_is_null(const thaw_yaml *node);

/* Building and changing trees. A zeroed node with `kind` set is an empty sequence or mapping. */
/* Unquoted: set `quoted` for a text that could be read as a number, bool or null. `place` lends
 * file, line and column and may be NULL. NULL when out of memory. */
thaw_yaml *thaw_yaml_new_scalar(struct thaw_arena *arena, const char *text, const thaw_yaml *place);
/* Appends an item; `key` is a scalar not yet in the mapping, or NULL for a sequence. */
thaw_status thaw_yaml_append(struct thaw_arena *arena, thaw_yaml *node, thaw_yaml *key,
                             thaw_yaml *value);
thaw_status thaw_yaml_copy(struct thaw_arena *arena, const thaw_yaml *node, thaw_yaml **ret_copy);
/* A new tree: mappings merge key by key, in the order of `base`, anything else is replaced. */
thaw_status thaw_yaml_merge(struct thaw_arena *arena, const thaw_yaml *base, const thaw_yaml *over,
                            thaw_yaml **ret_merged);
/* Applies "key.path=value" (value is parsed as YAML) to the tree; `path.0.key` indexes sequences,
 * and so does the first value of an item that is a mapping: train.tune.lr for {stage: tune, ...}.
 * Missing mappings on the way are created, null ones too. Places are "--set:1:COL", columns of
 * `assignment`. */
thaw_status thaw_yaml_set(struct thaw_arena *arena, thaw_yaml *root, const char *assignment);
/* The same with a value of a document, copied; `path` is a scalar "key.path", whose place mistakes
 * in it get. */
thaw_status thaw_yaml_set_value(struct thaw_arena *arena, thaw_yaml *root, const thaw_yaml *path,
                                const thaw_yaml *value);
/* Sets `key` of a mapping to `value`, replacing or appending. */
thaw_status thaw_yaml_put(struct thaw_arena *arena, thaw_yaml *map, const char *key,
                          thaw_yaml *value);
/* Takes `key` out of a mapping; fine if it has none. */
void thaw_yaml_drop(thaw_yaml *map, const char *key);

/* Appends `node` as YAML block text that parses back to the same tree; short sequences and mappings
 * of scalars are on one line. Sets `text->failed` when out of memory or when a text is not UTF-8.
 */
void thaw_yaml_emit(const thaw_yaml *node, struct thaw_text *text);

#endif
