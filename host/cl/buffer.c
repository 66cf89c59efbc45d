#include <stdlib.h>
#include <sys/mman.h>

#include "cl/internal.h"

#define MIB (1024.0 * 1024.0)
#define LARGE_PAGE_BYTES ((uintptr_t)2 << 20)

/* Goes with a buffer: the last release of the buffer gives its bytes back. */
struct buffer_record {
    struct thaw_memory_count *memory;
    size_t size_bytes;
};

void thaw_memory_count_release(struct thaw_memory_count *count) {
    if (count && atomic_fetch_sub(&count->references, 1) == 1)
        free(count);
}

/* The implementation may call this from a thread of its own. */
static void CL_CALLBACK buffer_released(cl_mem buffer, void *user) {
    (void)buffer;
    struct buffer_record *record = user;
    atomic_fetch_sub(&record->memory->now_bytes, record->size_bytes);
    thaw_memory_count_release(record->memory);
    free(record);
}

thaw_status thaw_fail_memory(const thaw_device *device, size_t size_bytes, cl_int code) {
    const struct thaw_device_caps *caps = &device->caps;
    thaw_status status = thaw_fail(
        THAW_ERROR_RUNTIME,
        "\"%s\" can't hold a buffer of %.1f MiB: %s (%.1f MiB are in use, %.1f MiB is %s, "
        "%.1f MiB its largest buffer)",
        device->info.name, (double)size_bytes / MIB, thaw_cl_error_name(code),
        (double)atomic_load(&device->memory->now_bytes) / MIB,
        (double)caps->global_memory_bytes / MIB,
        caps->memory_is_limited ? "the limit (device.memory)" : "the device's memory",
        (double)caps->max_allocation_bytes / MIB);
    return thaw_hint(status,
                     "a smaller batch or image size needs less; so does a stage that trains "
                     "fewer layers; --device picks another device");
}

/* Counts the buffer and arranges for its bytes to be given back. */
static thaw_status buffer_count(thaw_device *device, cl_mem buffer, size_t size_bytes) {
    struct buffer_record *record = malloc(sizeof *record);
    if (!record)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while creating a buffer");
    *record = (struct buffer_record){device->memory, size_bytes};
    cl_int code = clSetMemObjectDestructorCallback(buffer, buffer_released, record);
    if (code != CL_SUCCESS) {
        free(record);
        return thaw_cl_check(code, "clSetMemObjectDestructorCallback");
    }
    atomic_fetch_add(&device->memory->references, 1);
    uint64_t now = atomic_fetch_add(&device->memory->now_bytes, size_bytes) + size_bytes;
    if (now > atomic_load(&device->memory->peak_bytes)) /* only this thread creates */
        atomic_store(&device->memory->peak_bytes, now);
    return THAW_OK;
}

/* Asks for large pages where a buffer is host memory: walks over maps of many megabytes miss the
 * address cache otherwise. A wish, which the system may refuse. */
static void prefer_large_pages(thaw_device *device, cl_mem buffer, size_t size_bytes) {
    if (!device->caps.is_cpu || size_bytes < 4 * LARGE_PAGE_BYTES)
        return;
    void *memory =
        clEnqueueMapBuffer(device->queue, buffer, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0,
                           size_bytes, 0, NULL, NULL, NULL);
    if (!memory)
        return;
    uintptr_t begin = ((uintptr_t)memory + LARGE_PAGE_BYTES - 1) & ~(LARGE_PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)memory + size_bytes) & ~(LARGE_PAGE_BYTES - 1);
    (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
    (void)clEnqueueUnmapMemObject(device->queue, buffer, memory, 0, NULL, NULL);
}

thaw_status thaw_buffer_create(thaw_device *device, size_t size_bytes, cl_mem *ret_buffer) {
    const struct thaw_device_caps *caps = &device->caps;
    if (size_bytes == 0)
        return thaw_fail(THAW_ERROR_RUNTIME, "a buffer of 0 bytes was asked for");
    /* Checked here because implementations allocate lazily: without this, a host that overcommits
     * would kill the process at the first touch. */
    uint64_t now = atomic_load(&device->memory->now_bytes);
    if (size_bytes > caps->max_allocation_bytes)
        return thaw_fail_memory(device, size_bytes, CL_INVALID_BUFFER_SIZE);
    if (size_bytes > caps->global_memory_bytes || now > caps->global_memory_bytes - size_bytes)
        return thaw_fail_memory(device, size_bytes, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    cl_int code = CL_SUCCESS;
    cl_mem buffer = clCreateBuffer(device->context, CL_MEM_READ_WRITE, size_bytes, NULL, &code);
    if (code != CL_SUCCESS)
        return thaw_fail_memory(device, size_bytes, code);
    thaw_status status = buffer_count(device, buffer, size_bytes);
    if (status == THAW_OK)
        prefer_large_pages(device, buffer, size_bytes);
    /* Filling makes a lazy implementation allocate; finishing makes it say so. */
    if (status == THAW_OK)
        status = thaw_buffer_zero(device, buffer, 0, size_bytes);
    if (status == THAW_OK && (code = clFinish(device->queue)) != CL_SUCCESS)
        status = thaw_fail_memory(device, size_bytes, code);
    if (status != THAW_OK) {
        thaw_buffer_destroy(&buffer);
        return status;
    }
    *ret_buffer = buffer;
    return THAW_OK;
}

thaw_status thaw_buffer_sub(cl_mem parent, size_t offset_bytes, size_t size_bytes,
                            cl_mem *ret_buffer) {
    cl_buffer_region region = {offset_bytes, size_bytes};
    cl_int code = CL_SUCCESS;
    cl_mem buffer =
        clCreateSubBuffer(parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (code != CL_SUCCESS)
        return thaw_fail(THAW_ERROR_RUNTIME, "a window of %zu bytes at %zu of a buffer: %s",
                         size_bytes, offset_bytes, thaw_cl_error_name(code));
    *ret_buffer = buffer;
    return THAW_OK;
}

size_t thaw_buffer_group_bytes(const struct thaw_device_caps *caps, size_t size_bytes) {
    size_t align = caps->base_align_bytes ? caps->base_align_bytes : 1;
    return (size_bytes + align - 1) / align * align;
}

/* How many of the wishes fit one allocation, and its size; at least one. */
static size_t group_length(const struct thaw_device_caps *caps,
                           const struct thaw_buffer_wish *wishes, size_t count,
                           size_t *ret_size_bytes) {
    size_t length = 0, size_bytes = 0;
    while (length < count) {
        size_t end = thaw_buffer_group_bytes(caps, size_bytes) + wishes[length].size_bytes;
        if (length > 0 && end > caps->max_allocation_bytes)
            break;
        size_bytes = end;
        length++;
    }
    *ret_size_bytes = size_bytes;
    return length;
}

/* The windows keep the allocation alive: its own handle is not needed any longer. */
static thaw_status create_windows(thaw_device *device, const struct thaw_buffer_wish *wishes,
                                  size_t count, size_t size_bytes) {
    cl_mem allocation = NULL;
    THAW_TRY(thaw_buffer_create(device, size_bytes, &allocation));
    thaw_status status = THAW_OK;
    size_t offset_bytes = 0;
    for (size_t i = 0; i < count && status == THAW_OK; i++) {
        status =
            thaw_buffer_sub(allocation, offset_bytes, wishes[i].size_bytes, wishes[i].ret_buffer);
        offset_bytes = thaw_buffer_group_bytes(&device->caps, offset_bytes + wishes[i].size_bytes);
    }
    thaw_buffer_destroy(&allocation);
    return status;
}

thaw_status thaw_buffer_create_group(thaw_device *device, const struct thaw_buffer_wish *wishes,
                                     size_t count) {
    thaw_status status = THAW_OK;
    for (size_t i = 0; i < count; i++)
        *wishes[i].ret_buffer = NULL;
    for (size_t first = 0; first < count && status == THAW_OK;) {
        size_t size_bytes = 0;
        size_t length = group_length(&device->caps, wishes + first, count - first, &size_bytes);
        status = create_windows(device, wishes + first, length, size_bytes);
        first += length;
    }
    for (size_t i = 0; i < count && status != THAW_OK; i++)
        thaw_buffer_destroy(wishes[i].ret_buffer);
    return status;
}

thaw_status thaw_buffer_allocation(cl_mem buffer, cl_mem *ret_allocation,
                                   size_t *ret_offset_bytes) {
    cl_mem parent = NULL;
    size_t offset_bytes = 0;
    THAW_TRY(thaw_cl_check(
        clGetMemObjectInfo(buffer, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL),
        "the allocation of a buffer"));
    if (parent)
        THAW_TRY(thaw_cl_check(
            clGetMemObjectInfo(buffer, CL_MEM_OFFSET, sizeof offset_bytes, &offset_bytes, NULL),
            "the place of a buffer in its allocation"));
    *ret_allocation = parent ? parent : buffer;
    *ret_offset_bytes = offset_bytes;
    return THAW_OK;
}

thaw_status thaw_buffer_create_table(thaw_device *device, const void *bytes, size_t size_bytes,
                                     cl_mem *ret_buffer) {
    cl_int code = CL_SUCCESS;
    /* clCreateBuffer takes what it only copies without const */
    cl_mem buffer = clCreateBuffer(device->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
                                   size_bytes, (void *)(uintptr_t)bytes, &code);
    if (code != CL_SUCCESS)
        return thaw_fail_memory(device, size_bytes, code);
    *ret_buffer = buffer;
    return THAW_OK;
}

void thaw_buffer_destroy(cl_mem *buffer) {
    if (buffer && *buffer) {
        clReleaseMemObject(*buffer);
        *buffer = NULL;
    }
}

static thaw_status check_transfer(cl_int code, const char *what, size_t offset_bytes,
                                  size_t size_bytes) {
    if (code == CL_SUCCESS)
        return THAW_OK;
    return thaw_fail(THAW_ERROR_RUNTIME, "%s %zu bytes at %zu of a buffer: %s", what, size_bytes,
                     offset_bytes, thaw_cl_error_name(code));
}

thaw_status thaw_buffer_write(thaw_device *device, cl_mem buffer, size_t offset_bytes,
                              const void *bytes, size_t size_bytes) {
    if (size_bytes == 0)
        return THAW_OK;
    return check_transfer(clEnqueueWriteBuffer(device->queue, buffer, CL_TRUE, offset_bytes,
                                               size_bytes, bytes, 0, NULL, NULL),
                          "writing", offset_bytes, size_bytes);
}

thaw_status thaw_buffer_read(thaw_device *device, cl_mem buffer, size_t offset_bytes,
                             void *ret_bytes, size_t size_bytes) {
    if (size_bytes == 0)
        return THAW_OK;
    return check_transfer(clEnqueueReadBuffer(device->queue, buffer, CL_TRUE, offset_bytes,
                                              size_bytes, ret_bytes, 0, NULL, NULL),
                          "reading", offset_bytes, size_bytes);
}

thaw_status thaw_buffer_zero(thaw_device *device, cl_mem buffer, size_t offset_bytes,
                             size_t size_bytes) {
    if (size_bytes == 0)
        return THAW_OK;
    /* The pattern's size must divide both; drivers fill faster with a large one. */
    static const unsigned char zeros[128];
    size_t pattern = sizeof zeros;
    while (pattern > 1 && (offset_bytes % pattern || size_bytes % pattern))
        pattern /= 2;
    return check_transfer(clEnqueueFillBuffer(device->queue, buffer, zeros, pattern, offset_bytes,
                                              size_bytes, 0, NULL, NULL),
                          "zeroing", offset_bytes, size_bytes);
}

thaw_status thaw_buffer_copy(thaw_device *device, cl_mem from, size_t from_offset_bytes, cl_mem to,
                             size_t to_offset_bytes, size_t size_bytes) {
    if (size_bytes == 0)
        return THAW_OK;
    return check_transfer(clEnqueueCopyBuffer(device->queue, from, to, from_offset_bytes,
                                              to_offset_bytes, size_bytes, 0, NULL, NULL),
                          "copying", from_offset_bytes, size_bytes);
}

void thaw_device_memory(const thaw_device *device, uint64_t *ret_now_bytes,
                        uint64_t *ret_peak_bytes) {
    *ret_now_bytes = atomic_load(&device->memory->now_bytes);
    *ret_peak_bytes = atomic_load(&device->memory->peak_bytes);
}
