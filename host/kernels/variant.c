#include "kernels/variant.h"

#include <limits.h>

void thaw_variant_append(const struct thaw_variants *variants, int variant,
                         struct thaw_text *text) {
    if (!variants || !variant)
        return;
    const int *row = variants->rows + (size_t)(variant - 1) * variants->name_count;
    for (size_t i = 0; i < variants->name_count; i++)
        thaw_text_append(text, "%s%s: %d", i ? ", " : "", variants->names[i], row[i]);
}

static thaw_status matches(const struct thaw_variants *variants, const int *row,
                           const thaw_yaml *map, bool *ret_matches) {
    *ret_matches = true;
    for (size_t i = 0; i < variants->name_count; i++) {
        int64_t value;
        THAW_TRY(thaw_yaml_int(thaw_yaml_get(map, variants->names[i]), 0, INT_MAX, &value));
        *ret_matches = *ret_matches && value == row[i];
    }
    return THAW_OK;
}

thaw_status thaw_variant_read(const struct thaw_variants *variants, const thaw_yaml *map,
                              int *ret_variant) {
    *ret_variant = 0;
    if (!map)
        return THAW_OK;
    if (!variants)
        return thaw_yaml_fail(map, "this candidate has no variants");
    THAW_TRY(thaw_yaml_only(map, variants->names, variants->name_count));
    for (size_t i = 0; i < variants->name_count; i++)
        if (!thaw_yaml_get(map, variants->names[i]))
            return thaw_yaml_fail(map, "'%s' is missing", variants->names[i]);
    for (size_t i = 0; i < variants->count; i++) {
        bool found;
        THAW_TRY(matches(variants, variants->rows + i * variants->name_count, map, &found));
        if (found) {
            *ret_variant = (int)i + 1;
            return THAW_OK;
        }
    }
    return thaw_yaml_fail(map, "the candidate has no variant with these numbers");
}
