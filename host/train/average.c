#include "train/average.h"

#include "train/choice.h"
#include "train/optimizer.h"

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

thaw_status thaw_average_update(thaw_device *device, cl_mem value, cl_mem average, size_t size,
                                double share) {
    thaw_kernel *kernel = NULL;
    int per_item = 0;
    struct thaw_range range = thaw_optimizer_range(device, size, &per_item);
    THAW_TRY(thaw_kernel_get(device, "average.cl", "average_update", "", &kernel));
    return thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(value), THAW_ARG_BUFFER(average),
                       THAW_ARG_LONG(size), THAW_ARG_INT(per_item), THAW_ARG_FLOAT(share));
}

thaw_status thaw_average_swap(thaw_device *device, cl_mem value, cl_mem average, size_t size) {
    thaw_kernel *kernel = NULL;
    int per_item = 0;
    struct thaw_range range = thaw_optimizer_range(device, size, &per_item);
    THAW_TRY(thaw_kernel_get(device, "average.cl", "average_swap", "", &kernel));
    return thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(value), THAW_ARG_BUFFER(average),
                       THAW_ARG_LONG(size), THAW_ARG_INT(per_item));
}
