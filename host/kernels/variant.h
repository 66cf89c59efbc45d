/* Numbers that a candidate can be built with, such as the sizes of its tiles: its variants.
 *
 * A candidate that has some says so with one table; a problem's field `variant` says which one is
 * meant: 0 what the candidate chooses itself, i the table's row i - 1. In files a variant is the
 * numbers with their names, so that a table may grow or change its order. */
#ifndef THAW_KERNELS_VARIANT_H
#define THAW_KERNELS_VARIANT_H

#include "core/yaml.h"

struct thaw_variants {
    const char *const *names; /* of the numbers */
    size_t name_count;
    const int *rows; /* `count` of them, of name_count numbers */
    size_t count;
};

/* "group_x: 16, rows: 8"; nothing for variant 0. */
void thaw_variant_append(const struct thaw_variants *variants, int variant, struct thaw_text *text);

/* The variant that a mapping {name: number, ...} stands for; NULL is 0. THAW_ERROR_INPUT at the
 * YAML's place for an unknown name, a missing one, and numbers that are no row of the table.
 * `variants` may be NULL: a candidate without. */
thaw_status thaw_variant_read(const struct thaw_variants *variants, const thaw_yaml *map,
                              int *ret_variant);

#endif
