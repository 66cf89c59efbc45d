/* Shared by config.c, config_stage.c and config_defaults.c. */
#ifndef THAW_TRAIN_CONFIG_INTERNAL_H
#define THAW_TRAIN_CONFIG_INTERNAL_H

#include "train/config.h"

/* Writes every default into the document and makes its paths absolute. */
thaw_status thaw_config_apply_defaults(struct thaw_arena *arena, thaw_yaml *root);

/* config_stage.c: reads `train` into config->stages; the other sections were read. */
thaw_status thaw_config_read_stages(struct thaw_config *config, const thaw_yaml *root);

/* An optional list, and an optional word of a set: absent leaves *value as it was. */
thaw_status thaw_config_list(const thaw_yaml *map, const char *key, const thaw_yaml **ret_list);
thaw_status thaw_config_choice(const thaw_yaml *map, const char *key, const char *const *names,
                               size_t count, size_t *value);

/* `epochs: 0.25x` of the experiment: into the stages of its `train`. */
thaw_status thaw_config_scale_epochs(struct thaw_arena *arena, thaw_yaml *root);

#endif
