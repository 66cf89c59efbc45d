#include "ops/parse.h"

thaw_status thaw_op_parse_map(const thaw_yaml *node, const char *const *keys, size_t count,
                              const thaw_yaml **ret_map) {
    if (node && thaw_yaml_is_null(node))
        node = NULL;
    THAW_TRY(thaw_yaml_only(node, keys, count));
    *ret_map = node;
    return THAW_OK;
}

thaw_status thaw_op_parse_pair(const thaw_yaml *map, const char *key, int low, int high,
                               int pair[2]) {
    const thaw_yaml *node = thaw_yaml_get(map, key);
    if (node && node->kind == THAW_YAML_SEQUENCE) {
        int64_t values[2] = {0, 0};
        if (node->count != 2)
            return thaw_yaml_fail(node, "'%s': expected a number or [vertical, horizontal]", key);
        for (int i = 0; i < 2; i++)
            THAW_TRY(thaw_yaml_int(node->items[i], low, high, &values[i]));
        pair[0] = (int)values[0];
        pair[1] = (int)values[1];
        return THAW_OK;
    }
    THAW_TRY(thaw_yaml_get_int(map, key, low, high, &pair[0]));
    if (node)
        pair[1] = pair[0];
    return THAW_OK;
}

thaw_status thaw_op_parse_require(const thaw_yaml *node, const thaw_yaml *map, const char *key) {
    if (thaw_yaml_get(map, key))
        return THAW_OK;
    return thaw_yaml_fail(node, "'%s' is required", key);
}
