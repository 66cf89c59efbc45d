#include "train/stage_memory.h"

#include "train/average.h"
#include "train/stage.h"

thaw_status thaw_stage_memory_init(struct thaw_arena *arena, const struct thaw_graph *graph,
                                   struct thaw_stage_memory *ret_memory) {
    struct thaw_stage_memory memory = {
        .slots = thaw_arena_array(arena, graph->param_count * THAW_OPTIMIZER_SLOTS_MAX + 1,
                                  sizeof *memory.slots),
        .updates = thaw_arena_array(arena, graph->param_count + 1, sizeof *memory.updates),
        .averages = thaw_arena_array(arena, graph->param_count + 1, sizeof *memory.averages),
    };
    if (!memory.slots || !memory.updates || !memory.averages)
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
    thaw_stage_memory_drop_averages(memory, graph);
}

void thaw_stage_memory_take(struct thaw_stage_memory *memory, struct thaw_stage_memory *from,
                            const struct thaw_graph *graph) {
    thaw_stage_memory_clear(memory, graph);
    memory->averaged = from->averaged;
    for (size_t i = 0; i < graph->param_count; i++) {
        if (!thaw_stage_changes(graph, &graph->params[i]))
            continue;
        memory->averages[i] = from->averages[i];
        from->averages[i] = NULL;
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

/* ---- averages ------------------------------------------------------------------------------- */

static size_t size_of(const struct thaw_param *param) {
    return thaw_filter_size(&param->spec->filter);
}

void thaw_stage_memory_drop_averages(struct thaw_stage_memory *memory,
                                     const struct thaw_graph *graph) {
    for (size_t i = 0; i < graph->param_count; i++)
        thaw_buffer_destroy(&memory->averages[i]);
    memory->averaged = 0;
}

thaw_status thaw_stage_memory_create_averages(struct thaw_stage_memory *memory,
                                              const struct thaw_graph *graph) {
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        size_t size_bytes = size_of(param) * sizeof(float);
        if (memory->averages[i] || !thaw_stage_changes(graph, param))
            continue;
        THAW_TRY(thaw_buffer_create(graph->device, size_bytes, &memory->averages[i]));
        THAW_TRY(
            thaw_buffer_copy(graph->device, param->value, 0, memory->averages[i], 0, size_bytes));
    }
    return THAW_OK;
}

thaw_status thaw_stage_memory_average(struct thaw_stage_memory *memory,
                                      const struct thaw_graph *graph, double share) {
    for (size_t i = 0; i < graph->param_count; i++)
        if (memory->averages[i])
            THAW_TRY(thaw_average_update(graph->device, graph->params[i].value, memory->averages[i],
                                         size_of(&graph->params[i]), share));
    memory->averaged++;
    return THAW_OK;
}

thaw_status thaw_stage_memory_swap(struct thaw_stage_memory *memory,
                                   const struct thaw_graph *graph) {
    for (size_t i = 0; i < graph->param_count; i++)
        if (memory->averages[i])
            THAW_TRY(thaw_average_swap(graph->device, graph->params[i].value, memory->averages[i],
                                       size_of(&graph->params[i])));
    return THAW_OK;
}
