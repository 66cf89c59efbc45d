#include "train/update.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Floats of a chunk, and the work-items that take them in turns. On a CPU an item has one to itself
 * and goes through it with vectors; on a GPU neighbours read neighbouring floats. */
static const struct shape { size_t chunk, lanes; } cpu_shape = {8192, 1}, gpu_shape = {512, 64};

/* struct update_row of common.cl. */
struct row {
    cl_long first; /* chunk */
    cl_long size, at[THAW_UPDATE_BUFFERS_MAX];
    cl_float factors[THAW_UPDATE_FACTORS_MAX];
};
static_assert(sizeof(struct row) == THAW_UPDATE_ROW_BYTES,
              "the kernels' struct update_row has no padding");

/* Where the windows of a tensor are. */
struct place {
    cl_mem allocations[THAW_UPDATE_BUFFERS_MAX];
    cl_long at[THAW_UPDATE_BUFFERS_MAX]; /* in floats */
    bool done;
};

static thaw_status find_place(const struct thaw_update_tensor *tensor, size_t buffer_count,
                              struct place *ret_place) {
    struct place place = {0};
    for (size_t b = 0; b < buffer_count; b++) {
        size_t offset_bytes = 0;
        THAW_TRY(thaw_buffer_allocation(tensor->buffers[b], &place.allocations[b], &offset_bytes));
        place.at[b] = (cl_long)(offset_bytes / sizeof(float));
    }
    *ret_place = place;
    return THAW_OK;
}

/* Puts the tensors that share the allocations of `first` into rows; returns how many there are. */
static size_t fill_rows(const struct thaw_update_tensor *tensors, struct place *places,
                        size_t count, size_t first, const struct shape *shape, struct row *rows,
                        size_t *ret_chunks) {
    size_t row_count = 0, chunks = 0;
    for (size_t i = first; i < count; i++) {
        if (places[i].done || memcmp(places[i].allocations, places[first].allocations,
                                     sizeof places[i].allocations) != 0)
            continue;
        struct row *row = &rows[row_count++];
        row->first = (cl_long)chunks;
        row->size = (cl_long)tensors[i].size;
        memcpy(row->at, places[i].at, sizeof row->at);
        memcpy(row->factors, tensors[i].factors, sizeof row->factors);
        chunks += (tensors[i].size + shape->chunk - 1) / shape->chunk;
        places[i].done = true;
    }
    *ret_chunks = chunks;
    return row_count;
}

static thaw_status launch_rows(thaw_device *device, const struct thaw_update_kernel *what,
                               const struct place *place, const struct row *rows, size_t row_count,
                               size_t chunks, const struct shape *shape) {
    struct thaw_arg args[2 + THAW_UPDATE_BUFFERS_MAX + sizeof what->args / sizeof *what->args];
    struct thaw_range range = THAW_RANGE1(chunks * shape->lanes);
    struct thaw_defines defines = {0};
    thaw_kernel *kernel = NULL;
    cl_mem table = NULL;
    size_t count = 0;
    thaw_define_int(&defines, "UPDATE_CHUNK", (int64_t)shape->chunk);
    thaw_define_int(&defines, "UPDATE_LANES", (int64_t)shape->lanes);
    THAW_TRY(thaw_kernel_get(device, what->file, what->name, defines.text, &kernel));
    THAW_TRY(thaw_buffer_create_table(device, rows, row_count * sizeof *rows, &table));
    args[count++] = THAW_ARG_BUFFER(table);
    args[count++] = THAW_ARG_INT(row_count);
    for (size_t b = 0; b < what->buffer_count; b++)
        args[count++] = THAW_ARG_BUFFER(place->allocations[b]);
    for (size_t a = 0; a < what->arg_count; a++)
        args[count++] = what->args[a];
    thaw_status status = thaw_launch_args(device, kernel, &range, args, count);
    thaw_buffer_destroy(&table); /* the queue holds it until the kernel has run */
    return status;
}

static thaw_status launch(thaw_device *device, const struct thaw_update_kernel *kernel,
                          const struct thaw_update_tensor *tensors, size_t count,
                          struct place *places, struct row *rows) {
    const struct shape *shape = thaw_device_get_caps(device)->is_cpu ? &cpu_shape : &gpu_shape;
    for (size_t i = 0; i < count; i++)
        THAW_TRY(find_place(&tensors[i], kernel->buffer_count, &places[i]));
    for (size_t i = 0; i < count; i++) {
        size_t chunks = 0;
        if (places[i].done)
            continue;
        size_t row_count = fill_rows(tensors, places, count, i, shape, rows, &chunks);
        THAW_TRY(launch_rows(device, kernel, &places[i], rows, row_count, chunks, shape));
    }
    return THAW_OK;
}

thaw_status thaw_update_launch(thaw_device *device, const struct thaw_update_kernel *kernel,
                               const struct thaw_update_tensor *tensors, size_t count) {
    struct place *places = calloc(count + 1, sizeof *places);
    struct row *rows = calloc(count + 1, sizeof *rows);
    thaw_status status =
        places && rows ? launch(device, kernel, tensors, count, places, rows)
                       : thaw_fail(THAW_ERROR_MEMORY, "out of memory updating %zu tensors", count);
    free(places);
    free(rows);
    return status;
}
