#include "train/average.h"

#include <stdlib.h>

#include "train/choice.h"
#include "train/update.h"

#define X(name) extern const struct thaw_average_type thaw_average_##name;
#include "averages.inc"
#undef X

#define X(name) &thaw_average_##name,
const struct thaw_average_type *const thaw_average_types[] = {
#include "averages.inc"
};
#undef X

#define TYPES (sizeof thaw_average_types / sizeof *thaw_average_types)
const size_t thaw_average_type_count = TYPES;

thaw_status thaw_average_parse(struct thaw_arena *arena, const thaw_yaml *node,
                               struct thaw_average *ret_average) {
    const char *names[TYPES];
    const thaw_yaml *map = NULL;
    size_t index = 0;
    *ret_average = (struct thaw_average){0};
    if (!node || thaw_yaml_is_null(node))
        return THAW_OK;
    for (size_t i = 0; i < TYPES; i++)
        names[i] = thaw_average_types[i]->type;
    THAW_TRY(thaw_choice_parse(node, "average", names, TYPES, &index, &map));
    const struct thaw_average_type *type = thaw_average_types[index];
    void *attrs = thaw_arena_alloc(arena, type->attrs_size + 1);
    if (!attrs)
        return THAW_ERROR_MEMORY;
    THAW_TRY(type->parse(map, attrs));
    *ret_average = (struct thaw_average){type, attrs};
    return THAW_OK;
}

thaw_status thaw_average_check(const struct thaw_average *average, const thaw_yaml *place,
                               int64_t total_steps, int64_t steps_per_epoch) {
    if (!average->type || !total_steps)
        return THAW_OK;
    struct thaw_average_clock clock = {.total_steps = total_steps,
                                       .steps_per_epoch = steps_per_epoch};
    for (clock.step = total_steps; clock.step > 0; clock.step--)
        if (thaw_average_share(average, &clock) > 0)
            return THAW_OK;
    return thaw_yaml_fail(place, "%s takes no average in the %lld steps of the stage",
                          average->type->type, (long long)total_steps);
}

double thaw_average_share(const struct thaw_average *average,
                          const struct thaw_average_clock *clock) {
    return average->type->share(average->attrs, clock);
}

static thaw_status launch(thaw_device *device, const struct thaw_update_kernel *kernel,
                          const struct thaw_average_pair *pairs, size_t count) {
    struct thaw_update_tensor *tensors = calloc(count + 1, sizeof *tensors);
    if (!tensors)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory averaging %zu tensors", count);
    for (size_t i = 0; i < count; i++)
        tensors[i] = (struct thaw_update_tensor){.buffers = {pairs[i].value, pairs[i].average},
                                                 .size = pairs[i].size};
    thaw_status status = thaw_update_launch(device, kernel, tensors, count);
    free(tensors);
    return status;
}

thaw_status thaw_average_update(thaw_device *device, const struct thaw_average_pair *pairs,
                                size_t count, double share) {
    struct thaw_update_kernel kernel = {.file = "average.cl",
                                        .name = "average_update",
                                        .buffer_count = 2,
                                        .args = {THAW_ARG_FLOAT(share)},
                                        .arg_count = 1};
    return launch(device, &kernel, pairs, count);
}

thaw_status thaw_average_swap(thaw_device *device, const struct thaw_average_pair *pairs,
                              size_t count) {
    struct thaw_update_kernel kernel = {
        .file = "average.cl", .name = "average_swap", .buffer_count = 2};
    return launch(device, &kernel, pairs, count);
}
