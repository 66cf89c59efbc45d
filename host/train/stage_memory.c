#include "train/stage_memory.h"

#include <stdlib.h>

#include "train/average.h"
#include "train/stage.h"

static size_t size_of(const struct thaw_param *param) {
    return thaw_filter_size(&param->spec->filter);
}

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

static thaw_status fail_memory(void) {
    return thaw_fail(THAW_ERROR_MEMORY, "out of memory preparing a stage");
}

/* A slot of each parameter in one allocation, so that one launch updates all of them. */
static thaw_status create_slots(struct thaw_stage_memory *memory, const struct thaw_graph *graph,
                                size_t slot, struct thaw_buffer_wish *wishes) {
    size_t count = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        cl_mem *buffer = &memory->slots[i * THAW_OPTIMIZER_SLOTS_MAX + slot];
        if (graph->params[i].trainable && !*buffer)
            wishes[count++] =
                (struct thaw_buffer_wish){size_of(&graph->params[i]) * sizeof(float), buffer};
    }
    return thaw_buffer_create_group(graph->device, wishes, count);
}

thaw_status thaw_stage_memory_create(struct thaw_stage_memory *memory,
                                     const struct thaw_graph *graph, int slot_count) {
    struct thaw_buffer_wish *wishes = calloc(graph->param_count + 1, sizeof *wishes);
    thaw_status status = wishes ? THAW_OK : fail_memory();
    for (size_t k = 0; k < (size_t)slot_count && status == THAW_OK; k++)
        status = create_slots(memory, graph, k, wishes);
    free(wishes);
    return status;
}

/* ---- averages ------------------------------------------------------------------------------- */

void thaw_stage_memory_drop_averages(struct thaw_stage_memory *memory,
                                     const struct thaw_graph *graph) {
    for (size_t i = 0; i < graph->param_count; i++)
        thaw_buffer_destroy(&memory->averages[i]);
    memory->averaged = 0;
}

thaw_status thaw_stage_memory_create_averages(struct thaw_stage_memory *memory,
                                              const struct thaw_graph *graph) {
    struct thaw_buffer_wish *wishes = calloc(graph->param_count + 1, sizeof *wishes);
    size_t *params = calloc(graph->param_count + 1, sizeof *params), count = 0;
    thaw_status status = wishes && params ? THAW_OK : fail_memory();
    for (size_t i = 0; i < graph->param_count && status == THAW_OK; i++) {
        const struct thaw_param *param = &graph->params[i];
        if (memory->averages[i] || !thaw_stage_changes(graph, param))
            continue;
        params[count] = i;
        wishes[count++] =
            (struct thaw_buffer_wish){size_of(param) * sizeof(float), &memory->averages[i]};
    }
    if (status == THAW_OK)
        status = thaw_buffer_create_group(graph->device, wishes, count);
    for (size_t w = 0; w < count && status == THAW_OK; w++)
        status = thaw_buffer_copy(graph->device, graph->params[params[w]].value, 0,
                                  memory->averages[params[w]], 0, wishes[w].size_bytes);
    free(wishes);
    free(params);
    return status;
}

/* The parameters that have averages, to be freed by the caller. */
static thaw_status list_pairs(const struct thaw_stage_memory *memory,
                              const struct thaw_graph *graph, struct thaw_average_pair **ret_pairs,
                              size_t *ret_count) {
    struct thaw_average_pair *pairs = malloc((graph->param_count + 1) * sizeof *pairs);
    size_t count = 0;
    if (!pairs)
        return fail_memory();
    for (size_t i = 0; i < graph->param_count; i++)
        if (memory->averages[i])
            pairs[count++] = (struct thaw_average_pair){graph->params[i].value, memory->averages[i],
                                                        size_of(&graph->params[i])};
    *ret_pairs = pairs;
    *ret_count = count;
    return THAW_OK;
}

thaw_status thaw_stage_memory_average(struct thaw_stage_memory *memory,
                                      const struct thaw_graph *graph, double share) {
    struct thaw_average_pair *pairs = NULL;
    size_t count = 0;
    THAW_TRY(list_pairs(memory, graph, &pairs, &count));
    thaw_status status = thaw_average_update(graph->device, pairs, count, share);
    free(pairs);
    if (status == THAW_OK)
        memory->averaged++;
    return status;
}

thaw_status thaw_stage_memory_swap(struct thaw_stage_memory *memory,
                                   const struct thaw_graph *graph) {
    struct thaw_average_pair *pairs = NULL;
    size_t count = 0;
    THAW_TRY(list_pairs(memory, graph, &pairs, &count));
    thaw_status status = thaw_average_swap(graph->device, pairs, count);
    free(pairs);
    return status;
}
