/* A trained model: open the folder of a run, predict photos. Classes and preprocessing come from
 * the model file, so nothing has to be repeated. See examples/predict.c. */
#ifndef THAW_MODEL_H
#define THAW_MODEL_H

#include <stddef.h>

#include "thaw/device.h"
#include "thaw/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thaw_model thaw_model;

/* `path` is a run folder or a model.safetensors that Thaw wrote. `device` is borrowed and must
 * outlive the model. `batch` is the largest number of photos that are computed at once. *ret_model
 * is destroyed by the caller. */
thaw_status thaw_model_open(const char *path, thaw_device *device, int batch,
                            thaw_model **ret_model);
void thaw_model_destroy(thaw_model **model); /* accepts NULL and *model == NULL */

size_t thaw_model_class_count(const thaw_model *model);
/* NULL when `index` is not below the count. Owned by the model. */
const char *thaw_model_class_name(const thaw_model *model, size_t index);

/* Reads photos from files and fills `ret_probabilities`, (count, classes), each row summing to 1.
 * Stops at the first photo that can't be read, with THAW_ERROR_INPUT and its path. */
thaw_status thaw_model_predict_files(thaw_model *model, const char *const *paths, size_t count,
                                     float *ret_probabilities);

#ifdef __cplusplus
}
#endif
#endif
