#include "graph/plan.h"

#include <stdlib.h>

static int larger_first(const void *a, const void *b) {
    const struct thaw_plan_buffer *x = *(struct thaw_plan_buffer *const *)a;
    const struct thaw_plan_buffer *y = *(struct thaw_plan_buffer *const *)b;
    if (x->size_bytes != y->size_bytes)
        return x->size_bytes < y->size_bytes ? 1 : -1;
    if (x->first != y->first) /* a total order keeps the plan the same everywhere */
        return x->first < y->first ? -1 : 1;
    return x < y ? -1 : 1;
}

static bool alive_together(const struct thaw_plan_buffer *a, const struct thaw_plan_buffer *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest aligned offset at which `buffer` meets no placed buffer of an overlapping life.
 * `placed` is sorted by offset. */
static size_t lowest_offset(const struct thaw_plan_buffer *buffer,
                            struct thaw_plan_buffer *const *placed, size_t count,
                            size_t align_bytes) {
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const struct thaw_plan_buffer *other = placed[i];
        if (!alive_together(buffer, other))
            continue;
        if (other->offset_bytes >= offset + buffer->size_bytes)
            break;
        size_t end = other->offset_bytes + other->size_bytes;
        end = (end + align_bytes - 1) / align_bytes * align_bytes;
        offset = end > offset ? end : offset;
    }
    return offset;
}

static void insert_by_offset(struct thaw_plan_buffer **placed, size_t count,
                             struct thaw_plan_buffer *buffer) {
    size_t i = count;
    for (; i > 0 && placed[i - 1]->offset_bytes > buffer->offset_bytes; i--)
        placed[i] = placed[i - 1];
    placed[i] = buffer;
}

static void mark_shared(struct thaw_plan_buffer **placed, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++) {
            if (placed[j]->offset_bytes >= placed[i]->offset_bytes + placed[i]->size_bytes)
                break;
            placed[i]->shared = placed[j]->shared = true;
        }
}

thaw_status thaw_plan_memory(struct thaw_plan_buffer *buffers, size_t count, size_t align_bytes,
                             size_t *ret_pool_bytes) {
    struct thaw_plan_buffer **order = calloc(count + 1, sizeof *order);
    struct thaw_plan_buffer **placed = calloc(count + 1, sizeof *placed);
    if (!order || !placed) {
        free(order);
        free(placed);
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory planning %zu buffers", count);
    }
    size_t used = 0, pool = 0;
    for (size_t i = 0; i < count; i++) {
        buffers[i].offset_bytes = 0;
        buffers[i].shared = false;
        if (buffers[i].size_bytes)
            order[used++] = &buffers[i];
    }
    qsort(order, used, sizeof *order, larger_first);
    for (size_t i = 0; i < used; i++) {
        order[i]->offset_bytes = lowest_offset(order[i], placed, i, align_bytes);
        insert_by_offset(placed, i, order[i]);
        size_t end = order[i]->offset_bytes + order[i]->size_bytes;
        pool = end > pool ? end : pool;
    }
    mark_shared(placed, used);
    free(order);
    free(placed);
    *ret_pool_bytes = (pool + align_bytes - 1) / align_bytes * align_bytes;
    return THAW_OK;
}
