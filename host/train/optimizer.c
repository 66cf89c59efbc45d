#include "train/optimizer.h"

#include "train/choice.h"

#define FLOATS_PER_ITEM 8192 /* on a CPU */

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
                                  const struct thaw_optimizer_update *update) {
    return optimizer->type->update(device, optimizer->attrs, update);
}

struct thaw_range thaw_optimizer_range(const thaw_device *device, size_t size, int *ret_per_item) {
    int per_item = thaw_device_get_caps(device)->is_cpu ? FLOATS_PER_ITEM : 1;
    *ret_per_item = per_item;
    return THAW_RANGE1((size + (size_t)per_item - 1) / (size_t)per_item);
}
