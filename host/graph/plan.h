/* The memory planner: gives buffers with lifetimes their offsets in one pool, so that buffers that
 * are never alive together share memory. Knows nothing of ops or devices.
 *
 * Method: greedy by size (Pisarchyk and Lee, "Efficient memory management for deep neural net
 * inference", 2020): the largest buffer first, each at the lowest offset free during its whole
 * life. */
#ifndef THAW_GRAPH_PLAN_H
#define THAW_GRAPH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct thaw_plan_buffer {
    size_t size_bytes;   /* 0: takes no place */
    int first, last;     /* steps, both inclusive, at which the contents matter */
    size_t offset_bytes; /* result */
    bool shared;         /* result: another buffer uses some of the same bytes at another time */
};

/* Offsets are multiples of `align_bytes`. */
thaw_status thaw_plan_memory(struct thaw_plan_buffer *buffers, size_t count, size_t align_bytes,
                             size_t *ret_pool_bytes);

#endif
