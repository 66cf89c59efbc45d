#include "train/choice.h"

#include <string.h>

thaw_status thaw_choice_parse(const thaw_yaml *node, const char *what, const char *const *names,
                              size_t count, size_t *ret_index, const thaw_yaml **ret_map) {
    const thaw_yaml *map = node && node->kind == THAW_YAML_MAPPING ? node : NULL;
    const thaw_yaml *type = map ? thaw_yaml_get(map, "type") : node;
    if (!type)
        return thaw_yaml_fail(node, "'type' is required: the name of the %s", what);
    if (type->kind != THAW_YAML_SCALAR || thaw_yaml_is_null(type))
        return thaw_yaml_fail(type, "expected the name of a %s, found %s", what,
                              thaw_yaml_kind_name(type));
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(type->text, names[i])) {
            *ret_index = i;
            *ret_map = map;
            return THAW_OK;
        }
    }
    return thaw_yaml_fail_unknown(type, what, type->text, names, count);
}
