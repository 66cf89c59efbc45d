#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/internal.h"

/* Pending events are folded when there are this many: drivers keep state for each. */
#define MAX_PENDING 4096

static thaw_status set_argument(cl_kernel kernel, cl_uint index, const struct thaw_arg *arg,
                                cl_int *ret_code) {
    switch (arg->kind) {
    case THAW_ARG_KIND_BUFFER:
        *ret_code = clSetKernelArg(kernel, index, sizeof arg->value.buffer, &arg->value.buffer);
        break;
    case THAW_ARG_KIND_INT:
        *ret_code = clSetKernelArg(kernel, index, sizeof arg->value.i, &arg->value.i);
        break;
    case THAW_ARG_KIND_FLOAT:
        *ret_code = clSetKernelArg(kernel, index, sizeof arg->value.f, &arg->value.f);
        break;
    case THAW_ARG_KIND_LONG:
        *ret_code = clSetKernelArg(kernel, index, sizeof arg->value.l, &arg->value.l);
        break;
    case THAW_ARG_KIND_LOCAL:
        *ret_code = clSetKernelArg(kernel, index, arg->value.local_bytes, NULL);
        break;
    }
    return *ret_code == CL_SUCCESS ? THAW_OK : THAW_ERROR_RUNTIME;
}

static thaw_status fail_launch(const thaw_kernel *kernel, const char *what) {
    return thaw_fail(THAW_ERROR_RUNTIME, "kernel %s of %s (%s): %s", kernel->name, kernel->file,
                     kernel->defines, what);
}

static thaw_status set_arguments(const thaw_kernel *kernel, const struct thaw_arg *args,
                                 size_t count) {
    char what[96];
    if (count != kernel->argument_count) {
        snprintf(what, sizeof what, "takes %u arguments, %zu were given", kernel->argument_count,
                 count);
        return fail_launch(kernel, what);
    }
    for (size_t i = 0; i < count; i++) {
        cl_int code = CL_SUCCESS;
        if (set_argument(kernel->kernel, (cl_uint)i, &args[i], &code) != THAW_OK) {
            snprintf(what, sizeof what, "argument %zu: %s", i, thaw_cl_error_name(code));
            return fail_launch(kernel, what);
        }
    }
    return THAW_OK;
}

/* Local sizes as given or by default; global sizes rounded up to them. */
static void resolve_range(const thaw_device *device, const thaw_kernel *kernel,
                          const struct thaw_range *range, size_t *global, size_t *local) {
    for (int i = 0; i < range->dims; i++)
        local[i] = range->local[0] && range->local[i] ? range->local[i] : 1;
    if (range->local[0] == 0 && !device->caps.is_cpu)
        local[0] = kernel->max_group < 64 ? kernel->max_group : 64;
    for (int i = 0; i < range->dims; i++)
        global[i] = (range->global[i] + local[i] - 1) / local[i] * local[i];
}

static thaw_status fail_enqueue(const thaw_device *device, const thaw_kernel *kernel, int dims,
                                const size_t *global, const size_t *local, cl_int code) {
    char what[384];
    snprintf(what, sizeof what,
             "%s (%d-d: %zu x %zu x %zu items in groups of %zu x %zu x %zu, limit %zu)",
             thaw_cl_error_name(code), dims, global[0], global[1], global[2], local[0], local[1],
             local[2], kernel->max_group);
    thaw_status status = fail_launch(kernel, what);
    if (code == CL_OUT_OF_RESOURCES || code == CL_MEM_OBJECT_ALLOCATION_FAILURE)
        return thaw_hint(status,
                         "the device \"%s\" ran out of memory or registers: try a smaller batch",
                         device->info.name);
    return status;
}

thaw_status thaw_launch_args(thaw_device *device, thaw_kernel *kernel,
                             const struct thaw_range *range, const struct thaw_arg *args,
                             size_t count) {
    for (int i = 0; i < range->dims; i++)
        if (range->global[i] == 0)
            return THAW_OK;
    THAW_TRY(set_arguments(kernel, args, count));
    size_t global[3] = {1, 1, 1}, local[3] = {1, 1, 1};
    resolve_range(device, kernel, range, global, local);
    cl_event event = NULL;
    cl_int code = clEnqueueNDRangeKernel(device->queue, kernel->kernel, (cl_uint)range->dims, NULL,
                                         global, local, 0, NULL, device->profiling ? &event : NULL);
    if (code != CL_SUCCESS)
        return fail_enqueue(device, kernel, range->dims, global, local, code);
    return device->profiling ? thaw_profile_add(device, kernel, NULL, event) : THAW_OK;
}

static cl_ulong event_time(cl_event event, cl_profiling_info what) {
    cl_ulong time = 0;
    return clGetEventProfilingInfo(event, what, sizeof time, &time, NULL) == CL_SUCCESS ? time : 0;
}

static void pending_release(struct thaw_pending_time *pending) {
    if (pending->begin)
        clReleaseEvent(pending->begin);
    clReleaseEvent(pending->end);
}

/* Adds the pending times to their kernels; waits for the queue. */
static thaw_status fold(thaw_device *device) {
    cl_int code = clFinish(device->queue);
    for (size_t i = 0; i < device->pending_count; i++) {
        struct thaw_pending_time *pending = &device->pending[i];
        cl_ulong begin = pending->begin ? event_time(pending->begin, CL_PROFILING_COMMAND_END)
                                        : event_time(pending->end, CL_PROFILING_COMMAND_START);
        cl_ulong end = event_time(pending->end, CL_PROFILING_COMMAND_END);
        pending->kernel->launches++;
        pending->kernel->time_ns += end > begin ? end - begin : 0;
        pending_release(pending);
    }
    device->pending_count = 0;
    return thaw_cl_check(code, "waiting for the device");
}

thaw_status thaw_profile_add(thaw_device *device, thaw_kernel *kernel, cl_event begin,
                             cl_event end) {
    struct thaw_pending_time entry = {kernel, begin, end};
    if (!device->pending)
        device->pending = malloc(MAX_PENDING * sizeof *device->pending);
    if (!device->pending) {
        pending_release(&entry);
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while profiling");
    }
    device->pending[device->pending_count++] = entry;
    return device->pending_count == MAX_PENDING ? fold(device) : THAW_OK;
}

void thaw_profile_finish(thaw_device *device) {
    for (size_t i = 0; i < device->pending_count; i++)
        pending_release(&device->pending[i]);
    device->pending_count = 0;
    free(device->pending);
    device->pending = NULL;
}

struct collection {
    struct thaw_kernel_time *times; /* NULL while counting */
    size_t count;
};

static void collect(thaw_kernel *kernel, void *user) {
    struct collection *collection = user;
    if (kernel->launches == 0)
        return;
    if (collection->times)
        collection->times[collection->count] = (struct thaw_kernel_time){
            kernel->file, kernel->name, kernel->defines, kernel->launches, kernel->time_ns};
    collection->count++;
}

static int by_time(const void *a, const void *b) {
    uint64_t left = ((const struct thaw_kernel_time *)a)->time_ns;
    uint64_t right = ((const struct thaw_kernel_time *)b)->time_ns;
    return (left < right) - (left > right);
}

thaw_status thaw_device_profile(thaw_device *device, struct thaw_arena *arena,
                                struct thaw_kernel_time **ret_times, size_t *ret_count) {
    THAW_TRY(fold(device));
    struct collection collection = {0};
    thaw_kernels_visit(device, collect, &collection);
    if (collection.count > 0) {
        collection.times = thaw_arena_array(arena, collection.count, sizeof *collection.times);
        if (!collection.times)
            return THAW_ERROR_MEMORY;
        collection.count = 0;
        thaw_kernels_visit(device, collect, &collection);
        qsort(collection.times, collection.count, sizeof *collection.times, by_time);
    }
    *ret_times = collection.times;
    *ret_count = collection.count;
    return THAW_OK;
}

static void forget(thaw_kernel *kernel, void *user) {
    (void)user;
    kernel->launches = kernel->time_ns = 0;
}

void thaw_device_profile_reset(thaw_device *device) {
    for (size_t i = 0; i < device->pending_count; i++)
        pending_release(&device->pending[i]);
    device->pending_count = 0;
    thaw_kernels_visit(device, forget, NULL);
}
