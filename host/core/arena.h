/* An arena: many small allocations with one lifetime. Everything allocated is zeroed, aligned for
 * any type, and freed by thaw_arena_finish(). Not thread safe. */
#ifndef THAW_CORE_ARENA_H
#define THAW_CORE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "core/error.h"

struct thaw_arena_chunk;

struct thaw_arena {
    struct thaw_arena_chunk *chunks; /* newest first; NULL for an empty arena */
};

/* An arena starts as `struct thaw_arena arena = {0};`. Frees everything; accepts {0}; may be
 * reused. */
void thaw_arena_finish(struct thaw_arena *arena);

/* Returns `size_bytes` zeroed bytes, or NULL when the host is out of memory (recorded). */
void *thaw_arena_alloc(struct thaw_arena *arena, size_t size_bytes);

/* count * size with overflow check. */
void *thaw_arena_array(struct thaw_arena *arena, size_t count, size_t size_bytes);

char *thaw_arena_copy(struct thaw_arena *arena, const char *text);
char *thaw_arena_copy_bytes(struct thaw_arena *arena, const char *bytes, size_t size_bytes);
char *thaw_arena_format(struct thaw_arena *arena, const char *format, ...) THAW_PRINTF(2, 3);

/* Grows a dynamic array of the arena: when `count` has reached `*capacity`, the array moves to one
 * twice as large (the old one is freed with the arena). Returns NULL when out of memory. */
void *thaw_arena_grow(struct thaw_arena *arena, void *array, size_t count, size_t *capacity,
                      size_t item_size_bytes);

#endif
