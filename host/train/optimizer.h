/* Optimizers: how a parameter moves along its gradient. An optimizer is
 * host/train/optimizer_<name>.c (a `const struct thaw_optimizer_type thaw_optimizer_<name>`),
 * cl/optimizer_<name>.cl and a line in the list `optimizers` of meson.build.
 *
 * An optimizer keeps `slots` floats for each float of a parameter, zero before its first update.
 * Parameters, gradients and slots are vectors of `size` floats, padding included: padding has zero
 * values and gradients, which every update keeps zero. */
#ifndef THAW_TRAIN_OPTIMIZER_H
#define THAW_TRAIN_OPTIMIZER_H

#include "cl/cl.h"
#include "core/yaml.h"
#include "train/update.h"

#define THAW_OPTIMIZER_SLOTS_MAX 2

struct thaw_optimizer_update {
    cl_mem value, grad;
    cl_mem slots[THAW_OPTIMIZER_SLOTS_MAX];
    size_t size;        /* in floats */
    float lr;           /* of this step and parameter */
    float weight_decay; /* of this parameter: thaw_optimizer_weight_decay() or 0 */
    uint64_t step; /* of the optimizer, from 1: updates of this parameter so far, and this one */
};

struct thaw_optimizer_type {
    const char *type; /* in YAML */
    const char *summary;
    size_t attrs_size;
    /* `map` may be NULL (the type's bare name); "type" is one of its keys. */
    thaw_status (*parse)(const thaw_yaml *map, void *ret_attrs);
    int (*slots)(const void *attrs);
    float (*weight_decay)(const void *attrs);
    /* What computes an update: buffers are value, gradient and the slots. */
    struct thaw_update_kernel (*kernel)(const void *attrs);
    /* The kernel's factors of one parameter. */
    void (*factors)(const void *attrs, const struct thaw_optimizer_update *update,
                    float ret_factors[THAW_UPDATE_FACTORS_MAX]);
};

/* A parsed optimizer, of the arena it was parsed into. */
struct thaw_optimizer {
    const struct thaw_optimizer_type *type;
    const void *attrs;
};

extern const struct thaw_optimizer_type *const thaw_optimizer_types[];
extern const size_t thaw_optimizer_type_count;

/* Reads "sgd" or {type: sgd, momentum: 0.9, ...}. */
thaw_status thaw_optimizer_parse(struct thaw_arena *arena, const thaw_yaml *node,
                                 struct thaw_optimizer *ret_optimizer);
int thaw_optimizer_slots(const struct thaw_optimizer *optimizer);
float thaw_optimizer_weight_decay(const struct thaw_optimizer *optimizer);
/* Queues the updates of `count` parameters: in one launch, when their values, their gradients and
 * each of their slots are windows of one allocation (update.h). */
thaw_status thaw_optimizer_update(thaw_device *device, const struct thaw_optimizer *optimizer,
                                  const struct thaw_optimizer_update *updates, size_t count);

#endif
