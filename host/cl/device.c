#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/device_query.h"
#include "cl/internal.h"
#include "core/file.h"

/* 16, 8 or 4 floats: what a vector register of this CPU holds. 1 elsewhere, where work-items are
 * the lanes. */
static int default_block(const struct thaw_device_info *info) {
    if (info->type != THAW_DEVICE_CPU)
        return 1;
    if (info->native_vector_width_float >= 16)
        return 16;
    return info->native_vector_width_float >= 8 ? 8 : 4;
}

static struct thaw_device_caps caps_make(const struct thaw_device_info *info, int block,
                                         uint64_t memory_bytes) {
    bool limited = memory_bytes && memory_bytes < info->global_memory_bytes;
    return (struct thaw_device_caps){
        .type = info->type,
        .is_cpu = info->type == THAW_DEVICE_CPU,
        .block = block ? block : default_block(info),
        .compute_units = info->compute_units ? (int)info->compute_units : 1,
        .max_work_group_size = info->max_work_group_size,
        .local_memory_bytes = info->local_memory_is_global ? 0 : info->local_memory_bytes,
        .max_allocation_bytes = info->max_allocation_bytes,
        .global_memory_bytes = limited ? memory_bytes : info->global_memory_bytes,
        .memory_is_limited = limited,
        .base_align_bytes = info->base_align_bytes ? info->base_align_bytes : 1,
        .has_fp16 = info->has_fp16,
        .has_fp64 = info->has_fp64,
        .has_subgroups = info->has_subgroups,
        .has_vectors = info->native_vector_width_float >= 4,
    };
}

/* Anything that can change which kernel is fastest changes the key: hardware, driver, how many
 * units the driver uses, and the kernels themselves. */
static char *key_make(const struct thaw_device_info *info) {
    uint64_t build = 0;
    for (int i = 0; i < thaw_embedded_file_count; i++) {
        const char *text = thaw_embedded_files[i].text;
        build = thaw_hash64(text, strlen(text), build);
    }
    char key[640];
    snprintf(key, sizeof key, "%s | %u units | %s | %s | %s | thaw %s %016llx", info->name,
             info->compute_units, info->platform, info->version, info->driver, THAW_VERSION,
             (unsigned long long)build);
    return strdup(key);
}

/* Asking an implementation for a CPU for binaries makes it compile generic forms of all kernels
 * that nothing uses (pocl), and it keeps what it really runs in a cache of its own. Elsewhere a
 * build that took long came from no cache, so keeping it pays. */
static uint64_t store_from_ns(const struct thaw_device_info *info) {
    return info->type == THAW_DEVICE_CPU ? THAW_STORE_NEVER : 100000000;
}

static thaw_status open_queue(thaw_device *device) {
    cl_int code = CL_SUCCESS;
    device->context = clCreateContext(NULL, 1, &device->id, NULL, NULL, &code);
    if (code == CL_SUCCESS)
        device->queue = clCreateCommandQueue(
            device->context, device->id, device->profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    if (code != CL_SUCCESS)
        return thaw_hint(
            thaw_fail(THAW_ERROR_DEVICE, "cannot open the OpenCL device \"%s\" (%s): %s",
                      device->info.name, device->info.platform, thaw_cl_error_name(code)),
            "another program may hold it, or its driver may be broken; --device cpu "
            "works with pocl-opencl-icd installed");
    return THAW_OK;
}

thaw_status thaw_device_open(const char *spec, const struct thaw_device_options *options,
                             thaw_device **ret_device) {
    int block = options ? options->block : 0;
    if (block != 0 && block != 1 && block != 2 && block != 4 && block != 8 && block != 16)
        return thaw_fail(THAW_ERROR_INPUT, "device.block is %d: expected 1, 2, 4, 8 or 16", block);
    struct thaw_device_set set;
    THAW_TRY(thaw_device_set_query(&set));
    thaw_device *device = NULL;
    size_t index = 0;
    thaw_status status;
    THAW_TRY_GOTO(status, end, thaw_device_set_choose(&set, spec, &index));
    device = calloc(1, sizeof *device);
    if (device) {
        device->info = set.infos[index];
        device->caps = caps_make(&device->info, block, options ? options->memory_bytes : 0);
        device->id = set.ids[index];
        device->store_from_ns = store_from_ns(&device->info);
        device->profiling = options && options->profiling;
        device->key = key_make(&device->info);
        device->memory = calloc(1, sizeof *device->memory);
    }
    if (!device || !device->key || !device->memory) {
        status = thaw_fail(THAW_ERROR_MEMORY, "out of memory while opening a device");
        goto end;
    }
    device->memory->references = 1;
    THAW_TRY_GOTO(status, end, open_queue(device));
    *ret_device = device;
    device = NULL;
end:
    thaw_device_destroy(&device);
    thaw_device_set_finish(&set);
    return status;
}

void thaw_device_destroy(thaw_device **device) {
    if (!device || !*device)
        return;
    thaw_device *d = *device;
    if (d->queue)
        clFinish(d->queue);
    if (d->attachment)
        d->destroy_attachment(d->attachment);
    thaw_profile_finish(d);
    thaw_programs_destroy(d);
    thaw_blas_finish(d);
    if (d->queue)
        clReleaseCommandQueue(d->queue);
    if (d->context)
        clReleaseContext(d->context);
    thaw_memory_count_release(d->memory);
    free(d->key);
    free(d);
    *device = NULL;
}

const struct thaw_device_info *thaw_device_get_info(const thaw_device *device) {
    return &device->info;
}

const struct thaw_device_caps *thaw_device_get_caps(const thaw_device *device) {
    return &device->caps;
}

cl_context thaw_device_context(const thaw_device *device) {
    return device->context;
}

cl_command_queue thaw_device_queue(const thaw_device *device) {
    return device->queue;
}

cl_device_id thaw_device_id(const thaw_device *device) {
    return device->id;
}

const char *thaw_device_key(const thaw_device *device) {
    return device->key;
}

void **thaw_device_attachment(thaw_device *device, void (*destroy)(void *attachment)) {
    device->destroy_attachment = destroy;
    return &device->attachment;
}

thaw_status thaw_device_finish(thaw_device *device) {
    return thaw_cl_check(clFinish(device->queue), "waiting for the device");
}
