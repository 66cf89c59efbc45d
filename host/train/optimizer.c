#include "train/optimizer.h"

#include <stdlib.h>

#include "train/choice.h"

#define X(name) extern const struct thaw_optimizer_type thaw_optimizer_##name;
#include "optimizers.inc"
#undef X

#define X(name) &thaw_optimizer_##name,
const struct thaw_optimizer_type *const thaw_optimizer_types[] = {
#include "optimizers.inc"
};
#undef X

#define TYPES (sizeof thaw_optimizer_types / sizeof *thaw_optimizer_types)
const size_t thaw_optimizer_type_count = TYPES;

thaw_status thaw_optimizer_parse(struct thaw_arena *arena, const thaw_yaml *node,
                                 struct thaw_optimizer *ret_optimizer) {
    const char *names[TYPES];
    for (size_t i = 0; i < TYPES; i++)
        names[i] = thaw_optimizer_types[i]->type;
    const thaw_yaml *map = NULL;
    size_t index = 0;
    THAW_TRY(thaw_choice_parse(node, "optimizer", names, TYPES, &index, &map));
    const struct thaw_optimizer_type *type = thaw_optimizer_types[index];
    void *attrs = thaw_arena_alloc(arena, type->attrs_size + 1);
    if (!attrs)
        return THAW_ERROR_MEMORY;
    THAW_TRY(type->parse(map, attrs));
    *ret_optimizer = (struct thaw_optimizer){type, attrs};
    return THAW_OK;
}

int thaw_optimizer_slots(const struct thaw_optimizer *optimizer) {
    return optimizer->type->slots(optimizer->attrs);
}

float thaw_optimizer_weight_decay(const struct thaw_optimizer *optimizer) {
    return optimizer->type->weight_decay(optimizer->attrs);
}

thaw_status thaw_optimizer_update(thaw_device *device, const struct thaw_optimizer *optimizer,
                                  const struct thaw_optimizer_update *updates, size_t count) {
    const struct thaw_optimizer_type *type = optimizer->type;
    struct thaw_update_kernel kernel = type->kernel(optimizer->attrs);
    struct thaw_update_tensor *tensors = calloc(count + 1, sizeof *tensors);
    if (!tensors)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory updating %zu parameters", count);
    for (size_t i = 0; i < count; i++) {
        const struct thaw_optimizer_update *update = &updates[i];
        tensors[i] = (struct thaw_update_tensor){
            .buffers = {update->value, update->grad, update->slots[0], update->slots[1]},
            .size = update->size};
        type->factors(optimizer->attrs, update, tensors[i].factors);
    }
    thaw_status status = thaw_update_launch(device, &kernel, tensors, count);
    free(tensors);
    return status;
}
