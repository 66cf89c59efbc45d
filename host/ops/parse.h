/* Reading attributes that several ops have. */
#ifndef THAW_OPS_PARSE_H
#define THAW_OPS_PARSE_H

#include "core/yaml.h"

/* The mapping of attributes checked for unknown keys: *ret_map is NULL when the YAML gives none. */
thaw_status thaw_op_parse_map(const thaw_yaml *node, const char *const *keys, size_t count,
                              const thaw_yaml **ret_map);

/* `key`: n or [vertical, horizontal], each from `low` to `high`; absent: *pair stays as it was. */
thaw_status thaw_op_parse_pair(const thaw_yaml *map, const char *key, int low, int high,
                               int pair[2]);

/* Fails when a required key is absent. */
thaw_status thaw_op_parse_require(const thaw_yaml *node, const thaw_yaml *map, const char *key);

#endif
