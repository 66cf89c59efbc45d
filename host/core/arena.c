#include "core/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE_BYTES ((size_t)64 * 1024)

struct thaw_arena_chunk {
    struct thaw_arena_chunk *next;
    size_t used_bytes, size_bytes;
    alignas(max_align_t) unsigned char bytes[];
};

void thaw_arena_finish(struct thaw_arena *arena) {
    struct thaw_arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct thaw_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    arena->chunks = NULL;
}

void *thaw_arena_alloc(struct thaw_arena *arena, size_t size_bytes) {
    const size_t align = alignof(max_align_t);
    if (size_bytes > SIZE_MAX / 2) {
        thaw_fail(THAW_ERROR_MEMORY, "allocation of %zu bytes is too large", size_bytes);
        return NULL;
    }
    size_bytes = (size_bytes + align - 1) / align * align;
    struct thaw_arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size_bytes - chunk->used_bytes < size_bytes) {
        size_t capacity = size_bytes > CHUNK_SIZE_BYTES ? size_bytes : CHUNK_SIZE_BYTES;
        chunk = calloc(1, sizeof *chunk + capacity);
        if (!chunk) {
            thaw_fail(THAW_ERROR_MEMORY, "out of memory (%zu bytes)", size_bytes);
            return NULL;
        }
        chunk->size_bytes = capacity;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    void *result = chunk->bytes + chunk->used_bytes;
    chunk->used_bytes += size_bytes;
    return result;
}

void *thaw_arena_array(struct thaw_arena *arena, size_t count, size_t size_bytes) {
    if (size_bytes && count > SIZE_MAX / 2 / size_bytes) {
        thaw_fail(THAW_ERROR_MEMORY, "%zu items of %zu bytes are too many", count, size_bytes);
        return NULL;
    }
    return thaw_arena_alloc(arena, count * size_bytes);
}

char *thaw_arena_copy_bytes(struct thaw_arena *arena, const char *bytes, size_t size_bytes) {
    char *copy = thaw_arena_alloc(arena, size_bytes + 1);
    if (copy && size_bytes)
        memcpy(copy, bytes, size_bytes);
    return copy;
}

char *thaw_arena_copy(struct thaw_arena *arena, const char *text) {
    return thaw_arena_copy_bytes(arena, text, strlen(text));
}

char *thaw_arena_format(struct thaw_arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : thaw_arena_alloc(arena, (size_t)length + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void *thaw_arena_grow(struct thaw_arena *arena, void *array, size_t count, size_t *capacity,
                      size_t item_size_bytes) {
    if (count < *capacity)
        return array;
    size_t grown = *capacity ? 2 * *capacity : 8;
    void *moved = thaw_arena_array(arena, grown, item_size_bytes);
    if (!moved)
        return NULL;
    if (count)
        memcpy(moved, array, count * item_size_bytes);
    *capacity = grown;
    return moved;
}
