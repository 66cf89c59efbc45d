/* Between config.c and config_defaults.c. */
#ifndef THAW_TRAIN_CONFIG_INTERNAL_H
#define THAW_TRAIN_CONFIG_INTERNAL_H

#include "train/config.h"

/* Writes every default into the document and makes its paths absolute. */
thaw_status thaw_config_apply_defaults(struct thaw_arena *arena, thaw_yaml *root);

#endif
