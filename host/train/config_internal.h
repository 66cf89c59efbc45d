/* Shared by config.c, config_stage.c, config_auto.c and config_defaults.c. */
#ifndef THAW_TRAIN_CONFIG_INTERNAL_H
#define THAW_TRAIN_CONFIG_INTERNAL_H

#include "train/config.h"

/* Writes every default into the document and makes its paths absolute. */
thaw_status thaw_config_apply_defaults(struct thaw_arena *arena, thaw_yaml *root);

/* config_stage.c: reads `train` into config->stages; the other sections were read. */
thaw_status thaw_config_read_stages(struct thaw_config *config, const thaw_yaml *root);

/* "0.001" or "0.1x". */
thaw_status thaw_config_read_lr(const thaw_yaml *node, struct thaw_lr *ret_lr);

/* config_auto.c. Their defaults depend on the stage and the model, so they go into the document
 * here. */
thaw_status thaw_config_read_auto(struct thaw_config *config, const thaw_yaml *node,
                                  struct thaw_stage *stage);
bool thaw_config_is_probe(const thaw_yaml *node);
thaw_status thaw_config_read_probe(struct thaw_config *config, const thaw_yaml *node, int epochs,
                                   struct thaw_lr_rule *rule);

/* config_parts.c: the stages that a stage as written is run as, by its `unfreeze` or `repeat`. */
thaw_status thaw_config_expand_stage(struct thaw_config *config, const struct thaw_stage *written,
                                     struct thaw_stage **ret_parts, size_t *ret_count);

/* An optional list, and an optional word of a set: absent leaves *value as it was. */
thaw_status thaw_config_list(const thaw_yaml *map, const char *key, const thaw_yaml **ret_list);
thaw_status thaw_config_choice(const thaw_yaml *map, const char *key, const char *const *names,
                               size_t count, size_t *value);

/* `epochs: 0.25x` of the experiment: into the stages of its `train`. */
thaw_status thaw_config_scale_epochs(struct thaw_arena *arena, thaw_yaml *root);

#endif
