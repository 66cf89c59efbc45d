#include "train/stage_memory.h"

thaw_status thaw_stage_memory_init(struct thaw_arena *arena, const struct thaw_graph *graph,
                                   struct thaw_stage_memory *ret_memory) {
    struct thaw_stage_memory memory = {
        .slots = thaw_arena_array(arena, graph->param_count * THAW_OPTIMIZER_SLOTS_MAX + 1,
                                  sizeof *memory.slots),
        .updates = thaw_arena_array(arena, graph->param_count + 1, sizeof *memory.updates),
    };
    if (!memory.slots || !memory.updates)
        return THAW_ERROR_MEMORY;
    *ret_memory = memory;
    return THAW_OK;
}

void thaw_stage_memory_clear(struct thaw_stage_memory *memory, const struct thaw_graph *graph) {
    if (!memory->slots)
        return;
    for (size_t i = 0; i < graph->param_count * THAW_OPTIMIZER_SLOTS_MAX; i++)
        thaw_buffer_destroy(&memory->slots[i]);
    for (size_t i = 0; i < graph->param_count; i++)
        memory->updates[i] = 0;
}

void thaw_stage_memory_take(struct thaw_stage_memory *memory, struct thaw_stage_memory *from,
                            const struct thaw_graph *graph) {
    thaw_stage_memory_clear(memory, graph);
    for (size_t i = 0; i < graph->param_count; i++) {
        if (!graph->params[i].trainable)
            continue;
        memory->updates[i] = from->updates[i];
        for (size_t k = 0; k < THAW_OPTIMIZER_SLOTS_MAX; k++) {
            cl_mem *slot = &from->slots[i * THAW_OPTIMIZER_SLOTS_MAX + k];
            memory->slots[i * THAW_OPTIMIZER_SLOTS_MAX + k] = *slot;
            *slot = NULL;
        }
    }
    thaw_stage_memory_clear(from, graph);
}

thaw_status thaw_stage_memory_create(struct thaw_stage_memory *memory,
                                     const struct thaw_graph *graph, int slot_count) {
    for (size_t i = 0; i < graph->param_count; i++) {
        size_t size_bytes = thaw_filter_size(&graph->params[i].spec->filter) * sizeof(float);
        for (int k = 0; graph->params[i].trainable && k < slot_count; k++) {
            cl_mem *slot = &memory->slots[i * THAW_OPTIMIZER_SLOTS_MAX + (size_t)k];
            if (!*slot)
                THAW_TRY(thaw_buffer_create(graph->device, size_bytes, slot));
        }
    }
    return THAW_OK;
}
