#include "cli/bench_step.h"

#include <string.h>

#define RATE 1e-4f /* small: the random network stays as it is while it is measured */

thaw_status thaw_bench_step_init(struct thaw_arena *arena, struct thaw_graph *graph,
                                 struct thaw_bench_step *ret_step) {
    static const char optimizer[] = "{type: sgd, momentum: 0.9}";
    struct thaw_bench_step step = {.graph = graph};
    thaw_yaml *node = NULL;
    step.updates = thaw_arena_array(arena, graph->param_count + 1, sizeof *step.updates);
    if (!step.updates)
        return THAW_ERROR_MEMORY;
    THAW_TRY(thaw_yaml_parse(arena, optimizer, strlen(optimizer), "bench", &node));
    THAW_TRY(thaw_optimizer_parse(arena, node, &step.optimizer));
    THAW_TRY(thaw_stage_memory_init(arena, graph, &step.memory));
    *ret_step = step;
    return THAW_OK;
}

void thaw_bench_step_finish(struct thaw_bench_step *step) {
    if (step->graph)
        thaw_stage_memory_clear(&step->memory, step->graph);
    *step = (struct thaw_bench_step){0};
}

thaw_status thaw_bench_step_update(void *user, thaw_exec *exec) {
    struct thaw_bench_step *step = user;
    const struct thaw_graph *graph = step->graph;
    size_t count = 0;
    if (!step->ready)
        THAW_TRY(
            thaw_stage_memory_create(&step->memory, graph, thaw_optimizer_slots(&step->optimizer)));
    step->ready = true;
    for (size_t i = 0; i < graph->param_count; i++) {
        cl_mem grad = thaw_exec_gradient(exec, (int)i);
        if (!graph->params[i].trainable || !grad)
            continue;
        step->updates[count++] = (struct thaw_optimizer_update){
            .value = graph->params[i].value,
            .grad = grad,
            .slots = {step->memory.slots[i * THAW_OPTIMIZER_SLOTS_MAX]},
            .size = thaw_filter_size(&graph->params[i].spec->filter),
            .lr = RATE,
            .step = ++step->memory.updates[i],
        };
    }
    return thaw_optimizer_update(graph->device, &step->optimizer, step->updates, count);
}
