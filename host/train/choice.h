/* A YAML value that picks one of several types: its bare name, or {type: name, <its own keys>}. */
#ifndef THAW_TRAIN_CHOICE_H
#define THAW_TRAIN_CHOICE_H

#include "core/yaml.h"

/* *ret_map is NULL for a bare name. `what` is for messages: "optimizer". */
thaw_status thaw_choice_parse(const thaw_yaml *node, const char *what, const char *const *names,
                              size_t count, size_t *ret_index, const thaw_yaml **ret_map);

#endif
