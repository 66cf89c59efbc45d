/* The experiment that an advice stands for, as a YAML file: what the experiment asked about says of
 * model, data and the rest, the regime in place of its training, and the evidence as comments. */
#ifndef THAW_TRAIN_ADVISE_CONFIG_H
#define THAW_TRAIN_ADVISE_CONFIG_H

#include "train/advice.h"
#include "train/config.h"

/* Refuses a `path` that exists, unless `overwrite`, or whose folder does not; and always one that
 * is the experiment asked about. For before anything is measured. */
thaw_status thaw_advise_config_check(const struct thaw_config *config, const char *path,
                                     bool overwrite);
/* Appends the file's text. Paths in it are absolute. The name is the new file's; optimizer and
 * schedule are the regime's. `name`: of the experiment; NULL: left to the file's. */
thaw_status thaw_advise_config_emit(const struct thaw_config *config, const char *name,
                                    const struct thaw_measurements *measurements,
                                    const struct thaw_advice *advice, struct thaw_text *text);

#endif
