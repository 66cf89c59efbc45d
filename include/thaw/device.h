/* OpenCL devices: listing, choosing, opening. */
#ifndef THAW_DEVICE_H
#define THAW_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thaw/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An opened device: context, in-order queue, program cache. One thread at a time. */
typedef struct thaw_device thaw_device;

enum thaw_device_type { THAW_DEVICE_CPU, THAW_DEVICE_GPU, THAW_DEVICE_OTHER };

/* What a device says of itself; every value is queried, none is guessed from a vendor. */
struct thaw_device_info {
    int index; /* position in the list over all platforms: a valid device spec */
    enum thaw_device_type type;
    char name[128], vendor[128], version[128], driver[128], c_version[64], platform[128];
    char unusable[256]; /* "" or why Thaw can't use it: no compiler, no fp32, ... */
    uint32_t compute_units, clock_mhz;
    uint32_t native_vector_width_float; /* CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT */
    uint64_t global_memory_bytes, max_allocation_bytes, local_memory_bytes;
    uint32_t base_align_bytes; /* sub-buffer origin alignment */
    size_t max_work_group_size;
    size_t max_work_item_sizes[3];
    bool local_memory_is_global; /* CL_DEVICE_LOCAL_MEM_TYPE == CL_GLOBAL: no gain from it */
    bool unified_memory, has_fp16, has_fp64, has_subgroups;
};

/* Every device of every platform, in the loader's order; `*ret_devices` is freed with free().
 * THAW_ERROR_DEVICE, with a hint on what to install, when there is none. */
thaw_status thaw_device_list(struct thaw_device_info **ret_devices, size_t *ret_count);

/* Picks by `spec`: an index, "cpu", "gpu" or a case-insensitive part of a device or platform name.
 * NULL or "" reads THAW_DEVICE, and without it takes the strongest usable GPU, else CPU (by compute
 * units x clock x vector width). */
thaw_status thaw_device_choose(const char *spec, struct thaw_device_info *ret_info);

struct thaw_device_options {
    bool profiling;        /* time every kernel: CL_QUEUE_PROFILING_ENABLE */
    int block;             /* channels per block of the tensor layout; 0: chosen for the device */
    uint64_t memory_bytes; /* most that buffers may take; 0: the device's own limit */
};

/* Opens the device that `spec` picks. `options` may be NULL. *ret_device is destroyed by the
 * caller. */
thaw_status thaw_device_open(const char *spec, const struct thaw_device_options *options,
                             thaw_device **ret_device);
void thaw_device_destroy(thaw_device **device); /* accepts NULL and *device == NULL */

const struct thaw_device_info *thaw_device_get_info(const thaw_device *device);

#ifdef __cplusplus
}
#endif
#endif
