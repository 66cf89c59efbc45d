/* What a stage remembers of each parameter besides its value: the optimizer's slots and how often
 * it was updated. The phases of one written stage hand it on: what stays trained goes on with its
 * momentum, what thaws starts from zero. */
#ifndef THAW_TRAIN_STAGE_MEMORY_H
#define THAW_TRAIN_STAGE_MEMORY_H

#include "graph/graph.h"
#include "train/optimizer.h"

struct thaw_stage_memory {
    cl_mem *slots;     /* [param][THAW_OPTIMIZER_SLOTS_MAX], NULL where there is none */
    uint64_t *updates; /* [param] */
    cl_mem *averages;  /* [param], NULL where there is none: average.h */
    int64_t averaged;  /* how often an average was taken */
};

/* Empty; the arrays are of the arena, the buffers of the memory. */
thaw_status thaw_stage_memory_init(struct thaw_arena *arena, const struct thaw_graph *graph,
                                   struct thaw_stage_memory *ret_memory);
/* Frees the buffers; accepts {0} and may be called again. */
void thaw_stage_memory_clear(struct thaw_stage_memory *memory, const struct thaw_graph *graph);

/* Moves what is remembered of parameters that the stage changes over; the rest is forgotten. */
void thaw_stage_memory_take(struct thaw_stage_memory *memory, struct thaw_stage_memory *from,
                            const struct thaw_graph *graph);
/* Creates the slots that trainable parameters lack, zero. */
thaw_status thaw_stage_memory_create(struct thaw_stage_memory *memory,
                                     const struct thaw_graph *graph, int slot_count);

/* Creates the averages that parameters which the stage changes lack, as copies of their values: for
 * one that was frozen until now, this is what averaging it from the start on would have given. */
thaw_status thaw_stage_memory_create_averages(struct thaw_stage_memory *memory,
                                              const struct thaw_graph *graph);
/* Takes a share of the values into the averages. */
thaw_status thaw_stage_memory_average(struct thaw_stage_memory *memory,
                                      const struct thaw_graph *graph, double share);
/* Exchanges averages and values; a second time restores both, to the bit. */
thaw_status thaw_stage_memory_swap(struct thaw_stage_memory *memory,
                                   const struct thaw_graph *graph);
void thaw_stage_memory_drop_averages(struct thaw_stage_memory *memory,
                                     const struct thaw_graph *graph);

#endif
