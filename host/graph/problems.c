#include "graph/problems.h"

#include <stdlib.h>
#include <string.h>

static thaw_status add(struct thaw_problems *problems, struct thaw_arena *arena, int node,
                       const struct thaw_conv_problem *conv) {
    struct thaw_problem problem = {.conv = *conv, .node = node, .uses = 1};
    thaw_conv_problem_key(conv, problem.key);
    for (size_t i = 0; i < problems->count; i++)
        if (strcmp(problems->items[i].key, problem.key) == 0) {
            problems->items[i].uses++;
            return THAW_OK;
        }
    struct thaw_problem *grown = thaw_arena_grow(arena, problems->items, problems->count,
                                                 &problems->capacity, sizeof *grown);
    if (!grown)
        return THAW_ERROR_MEMORY;
    problems->items = grown;
    problems->items[problems->count++] = problem;
    return THAW_OK;
}

thaw_status thaw_problems_add(struct thaw_problems *problems, struct thaw_arena *arena,
                              struct thaw_graph *graph, const struct thaw_exec_options *options) {
    thaw_exec *exec = NULL;
    thaw_status status = THAW_OK;
    struct thaw_exec_options plan_only = *options;
    plan_only.plan_only = true;
    THAW_TRY(thaw_exec_create(graph, &plan_only, &exec));
    for (int i = 0; i < (int)graph->node_count; i++)
        for (int d = 0; d < THAW_CONV_DIRECTION_COUNT && status == THAW_OK; d++) {
            struct thaw_conv_problem conv;
            if (thaw_exec_conv_problem(exec, i, (enum thaw_conv_direction)d, &conv))
                status = add(problems, arena, i, &conv);
        }
    thaw_exec_destroy(&exec);
    return status;
}

static double work(const struct thaw_problem *problem) {
    const struct thaw_conv_geometry *geometry = &problem->conv.geometry;
    return problem->uses * thaw_conv_flops(geometry, geometry->x.n);
}

/* Else in the network's order. */
static int compare_work(const void *a_, const void *b_) {
    const struct thaw_problem *a = a_, *b = b_;
    double difference = work(b) - work(a);
    if (difference != 0)
        return difference > 0 ? 1 : -1;
    return a->node != b->node ? a->node - b->node : (int)a->conv.direction - (int)b->conv.direction;
}

void thaw_problems_sort(struct thaw_problems *problems) {
    if (problems->count)
        qsort(problems->items, problems->count, sizeof *problems->items, compare_work);
}
