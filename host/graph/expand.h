/* Template text in model YAML: "${out}", "${in * expand}". */
#ifndef THAW_GRAPH_EXPAND_H
#define THAW_GRAPH_EXPAND_H

#include "core/yaml.h"

struct thaw_variable {
    const char *name, *text;
};

struct thaw_variables {
    const struct thaw_variable *items;
    size_t count;
};

/* A deep copy of `node` in which each "${...}" of a scalar is replaced. Inside stand names of
 * variables and integers, joined by + - * and / (whole-number division), left to right. A scalar
 * that held one becomes plain: "${out}" reads as a number. */
thaw_status thaw_expand(struct thaw_arena *arena, const thaw_yaml *node,
                        const struct thaw_variables *variables, thaw_yaml **ret_copy);

/* NULL when there is none. */
const char *thaw_variables_get(const struct thaw_variables *variables, const char *name);

#endif
