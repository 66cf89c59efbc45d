/* YAML documents as trees that keep file, line and column, so that every complaint about a value
 * can say where it stands. Parsing is libyaml's; strictness (unknown keys, duplicates, types) is
 * here. */
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
    bool quoted;       /* scalar only: '...' or "..." is never a number, bool or null */
    size_t count;      /* items of a sequence, entries of a mapping */
    thaw_yaml **items; /* values */
    thaw_yaml **keys;  /* mapping only: scalars, unique */
};

/* All nodes are of `arena`. A syntax error or a duplicate key is THAW_ERROR_INPUT at its place; so
 * are anchors' misuse, several documents in a file, and nesting deeper than 64. */
thaw_status thaw_yaml_load(struct thaw_arena *arena, const char *path, thaw_yaml **ret_root);
thaw_status thaw_yaml_parse(struct thaw_arena *arena, const char *text, size_t size_bytes,
                            const char *name, thaw_yaml **ret_root);

/* The value under `key`, or NULL when absent (or when `map` is NULL or no mapping). */
const thaw_yaml *thaw_yaml_get(const thaw_yaml *map, const char *key);

/* Fails with "FILE:LINE:COL: <text>" and THAW_ERROR_INPUT. */
thaw_status thaw_yaml_fail(const thaw_yaml *node, const char *format, ...) THAW_PRINTF(2, 3);

/* Typed reads: wrong kind or range fails at the node's place, saying what was expected. */
thaw_status thaw_yaml_string(const thaw_yaml *node, const char **ret_text);
thaw_status thaw_yaml_int(const thaw_yaml *node, int64_t low, int64_t high, int64_t *ret_value);
thaw_status thaw_yaml_double(const thaw_yaml *node, double low, double high, double *ret_value);
thaw_status thaw_yaml_bool(const thaw_yaml *node, bool *ret_value);
/* The index of the scalar in `names`; else an error with the nearest name and the whole list. */
thaw_status thaw_yaml_choice(const thaw_yaml *node, const char *const *names, size_t count,
                             size_t *ret_index);
thaw_status thaw_yaml_expect(const thaw_yaml *node, enum thaw_yaml_kind kind, const char *what);

/* The same for optional keys of a mapping: an absent key leaves *value as it was. */
thaw_status thaw_yaml_get_string(const thaw_yaml *map, const char *key, const char **value);
thaw_status thaw_yaml_get_int(const thaw_yaml *map, const char *key, int low, int high, int *value);
thaw_status thaw_yaml_get_double(const thaw_yaml *map, const char *key, double low, double high,
                                 double *value);
thaw_status thaw_yaml_get_bool(const thaw_yaml *map, const char *key, bool *value);

/* Fails at the first key of `map` that is not among the `count` names, with the nearest of them. */
thaw_status thaw_yaml_only(const thaw_yaml *map, const char *const *names, size_t count);

/* Whether the scalar is an unquoted null (~, null, empty). */
bool thaw_yaml_is_null(const thaw_yaml *node);

/* Building and changing trees. Merge: mappings merge key by key, anything else is replaced. */
thaw_status thaw_yaml_merge(struct thaw_arena *arena, const thaw_yaml *base, const thaw_yaml *over,
                            thaw_yaml **ret_merged);
/* Applies "key.path=value" (value is parsed as YAML) to the tree; `path.0.key` indexes sequences;
 * missing mappings on the way are created. */
thaw_status thaw_yaml_set(struct thaw_arena *arena, thaw_yaml *root, const char *assignment);
/* Sets `key` of a mapping to `value`, replacing or appending. */
thaw_status thaw_yaml_put(struct thaw_arena *arena, thaw_yaml *map, const char *key,
                          thaw_yaml *value);
thaw_yaml *thaw_yaml_new_scalar(struct thaw_arena *arena, const char *text, const thaw_yaml *place);

/* A deep copy in which each "${name}" inside a scalar is replaced by the scalar `name` of the
 * mapping `variables`; an unknown name is an error at its place. "$${" stays as "${". */
thaw_status thaw_yaml_substitute(struct thaw_arena *arena, const thaw_yaml *node,
                                 const thaw_yaml *variables, thaw_yaml **ret_copy);

/* Appends `node` as YAML block text that parses back to the same tree. */
void thaw_yaml_emit(const thaw_yaml *node, struct thaw_text *text);

#endif
