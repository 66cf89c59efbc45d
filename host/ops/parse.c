#include "ops/parse.h"

#include <string.h>

const char *const thaw_axis_names[THAW_AXIS_COUNT] = {"channels", "height", "width"};

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

thaw_status thaw_op_parse_pads(const thaw_yaml *map, int high, const char *also, int pads[4]) {
    const thaw_yaml *node = thaw_yaml_get(map, "pad");
    if (!node)
        return THAW_OK;
    int64_t values[4] = {0, 0, 0, 0};
    if (node->kind == THAW_YAML_SEQUENCE && node->count == 4) {
        for (int i = 0; i < 4; i++)
            THAW_TRY(thaw_yaml_int(node->items[i], 0, high, &values[i]));
        for (int i = 0; i < 4; i++)
            pads[i] = (int)values[i];
        return THAW_OK;
    }
    if (node->kind == THAW_YAML_SEQUENCE && node->count != 2)
        return thaw_yaml_fail(node,
                              "'pad': expected a number, [vertical, horizontal], [top, left, "
                              "bottom, right]%s",
                              also);
    int pair[2] = {0, 0};
    THAW_TRY(thaw_op_parse_pair(map, "pad", 0, high, pair));
    pads[THAW_PAD_TOP] = pads[THAW_PAD_BOTTOM] = pair[0];
    pads[THAW_PAD_LEFT] = pads[THAW_PAD_RIGHT] = pair[1];
    return THAW_OK;
}

thaw_status thaw_op_parse_require(const thaw_yaml *node, const thaw_yaml *map, const char *key) {
    if (thaw_yaml_get(map, key))
        return THAW_OK;
    return thaw_yaml_fail(node, "'%s' is required", key);
}

thaw_status thaw_op_parse_axis(const thaw_yaml *map, enum thaw_axis *axis) {
    const thaw_yaml *node = thaw_yaml_get(map, "axis");
    size_t index;
    if (!node)
        return THAW_OK;
    THAW_TRY(thaw_yaml_choice(node, thaw_axis_names, THAW_AXIS_COUNT, &index));
    *axis = (enum thaw_axis)index;
    return THAW_OK;
}

thaw_status thaw_op_parse_axes(const thaw_yaml *node, const thaw_yaml *map,
                               bool ret_axes[THAW_AXIS_COUNT]) {
    bool axes[THAW_AXIS_COUNT] = {false};
    THAW_TRY(thaw_op_parse_require(node, map, "axes"));
    const thaw_yaml *list = thaw_yaml_get(map, "axes");
    THAW_TRY(thaw_yaml_expect(list, THAW_YAML_SEQUENCE, "'axes'"));
    if (!list->count)
        return thaw_yaml_fail(list, "'axes': expected at least one of channels, height, width");
    for (size_t i = 0; i < list->count; i++) {
        size_t axis;
        THAW_TRY(thaw_yaml_choice(list->items[i], thaw_axis_names, THAW_AXIS_COUNT, &axis));
        if (axes[axis])
            return thaw_yaml_fail(list->items[i], "'axes': %s is named twice",
                                  thaw_axis_names[axis]);
        axes[axis] = true;
    }
    memcpy(ret_axes, axes, sizeof axes);
    return THAW_OK;
}

thaw_status thaw_op_parse_list(const thaw_yaml *map, const char *key, size_t least, size_t most,
                               int low, int high, int *ret_values, int *ret_count) {
    const thaw_yaml *list = thaw_yaml_get(map, key);
    *ret_count = 0;
    if (!list)
        return THAW_OK;
    if (list->kind != THAW_YAML_SEQUENCE || list->count < least || list->count > most)
        return least == most
                   ? thaw_yaml_fail(list, "'%s': expected a list of %zu numbers", key, least)
                   : thaw_yaml_fail(list, "'%s': expected a list of %zu to %zu numbers", key, least,
                                    most);
    for (size_t i = 0; i < list->count; i++) {
        int64_t value;
        THAW_TRY(thaw_yaml_int(list->items[i], low, high, &value));
        ret_values[i] = (int)value;
    }
    *ret_count = (int)list->count;
    return THAW_OK;
}
