#include "cl/device_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PLATFORMS 64
#define MAX_DEVICES 64 /* of one platform */

static const char install_hint[] =
    "an OpenCL driver is missing: for any CPU install pocl (Debian, Ubuntu: apt install "
    "pocl-opencl-icd); for a GPU its vendor's driver, intel-opencl-icd or mesa-opencl-icd";

static void query_text(cl_device_id id, cl_device_info what, char *ret_text, size_t size_bytes) {
    char text[1024] = "";
    if (clGetDeviceInfo(id, what, sizeof text, text, NULL) != CL_SUCCESS)
        text[0] = '\0';
    text[sizeof text - 1] = '\0';
    const char *start = text + strspn(text, " ");
    size_t length = strlen(start);
    while (length > 0 && start[length - 1] == ' ')
        length--;
    snprintf(ret_text, size_bytes, "%.*s", (int)length, start);
}

static cl_uint query_uint(cl_device_id id, cl_device_info what) {
    cl_uint value = 0;
    return clGetDeviceInfo(id, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

static cl_ulong query_ulong(cl_device_id id, cl_device_info what) {
    cl_ulong value = 0;
    return clGetDeviceInfo(id, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

static bool query_bool(cl_device_id id, cl_device_info what) {
    cl_bool value = CL_FALSE;
    return clGetDeviceInfo(id, what, sizeof value, &value, NULL) == CL_SUCCESS && value;
}

/* Whether the space-separated list `words` contains `word`. */
static bool has_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static void query_extensions(cl_device_id id, struct thaw_device_info *info) {
    size_t size = 0;
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS || size == 0)
        return;
    char *words = calloc(1, size + 1);
    if (!words)
        return; /* as if there were none: extensions only ever add */
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, size, words, NULL) == CL_SUCCESS) {
        info->has_fp16 = has_word(words, "cl_khr_fp16");
        info->has_fp64 = has_word(words, "cl_khr_fp64");
        info->has_subgroups =
            has_word(words, "cl_khr_subgroups") || has_word(words, "cl_intel_subgroups");
    }
    free(words);
}

static void query_usability(cl_device_id id, struct thaw_device_info *info) {
    char *reason = info->unusable;
    size_t size = sizeof info->unusable;
    int major = 0, minor = 0;
    cl_ulong float_needs = CL_FP_INF_NAN | CL_FP_ROUND_TO_NEAREST;
    if (!query_bool(id, CL_DEVICE_AVAILABLE))
        snprintf(reason, size, "the driver says it is not available");
    else if (!query_bool(id, CL_DEVICE_COMPILER_AVAILABLE))
        snprintf(reason, size, "its driver has no compiler for OpenCL C");
    else if (sscanf(info->c_version, "OpenCL C %d.%d", &major, &minor) != 2 ||
             major * 10 + minor < 12)
        snprintf(reason, size, "it needs OpenCL C 1.2, but has \"%s\"", info->c_version);
    else if ((query_ulong(id, CL_DEVICE_SINGLE_FP_CONFIG) & float_needs) != float_needs)
        snprintf(reason, size, "its fp32 does not round to nearest with infinities and NaN");
}

static enum thaw_device_type query_type(cl_device_id id) {
    cl_ulong type = query_ulong(id, CL_DEVICE_TYPE);
    /* A simulator may claim several types: the one with more to get wrong counts. */
    if (type & CL_DEVICE_TYPE_GPU)
        return THAW_DEVICE_GPU;
    return type & CL_DEVICE_TYPE_CPU ? THAW_DEVICE_CPU : THAW_DEVICE_OTHER;
}

static void query_device(cl_platform_id platform, cl_device_id id, struct thaw_device_info *info) {
    info->type = query_type(id);
    query_text(id, CL_DEVICE_NAME, info->name, sizeof info->name);
    query_text(id, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    query_text(id, CL_DEVICE_VERSION, info->version, sizeof info->version);
    query_text(id, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    query_text(id, CL_DEVICE_OPENCL_C_VERSION, info->c_version, sizeof info->c_version);
    char name[sizeof info->platform] = "";
    if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL) == CL_SUCCESS)
        memcpy(info->platform, name, sizeof name);
    info->compute_units = query_uint(id, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->clock_mhz = query_uint(id, CL_DEVICE_MAX_CLOCK_FREQUENCY);
    info->native_vector_width_float = query_uint(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    info->global_memory_bytes = query_ulong(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->max_allocation_bytes = query_ulong(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    info->local_memory_bytes = query_ulong(id, CL_DEVICE_LOCAL_MEM_SIZE);
    info->local_memory_is_global = query_uint(id, CL_DEVICE_LOCAL_MEM_TYPE) == CL_GLOBAL;
    info->base_align_bytes = query_uint(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8; /* it is in bits */
    info->unified_memory = query_bool(id, CL_DEVICE_HOST_UNIFIED_MEMORY);
    size_t group = 1, items[16] = {1, 1, 1};
    clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items, NULL);
    info->max_work_group_size = group;
    memcpy(info->max_work_item_sizes, items, sizeof info->max_work_item_sizes);
    query_extensions(id, info);
    query_usability(id, info);
}

static thaw_status set_append(struct thaw_device_set *set, cl_platform_id platform,
                              const cl_device_id *ids, size_t count) {
    size_t total = set->count + count;
    cl_device_id *all_ids = realloc(set->ids, total * sizeof *all_ids);
    if (all_ids)
        set->ids = all_ids;
    struct thaw_device_info *infos = realloc(set->infos, total * sizeof *infos);
    if (infos)
        set->infos = infos;
    if (!all_ids || !infos)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while listing OpenCL devices");
    for (size_t i = 0; i < count; i++) {
        size_t index = set->count++;
        set->ids[index] = ids[i];
        set->infos[index] = (struct thaw_device_info){.index = (int)index};
        query_device(platform, ids[i], &set->infos[index]);
    }
    return THAW_OK;
}

thaw_status thaw_device_set_query(struct thaw_device_set *ret_set) {
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint platform_count = 0;
    cl_int code = clGetPlatformIDs(MAX_PLATFORMS, platforms, &platform_count);
    if (code != CL_SUCCESS || platform_count == 0)
        return thaw_hint(thaw_fail(THAW_ERROR_DEVICE, "no OpenCL platform is installed (%s)",
                                   thaw_cl_error_name(code)),
                         "%s", install_hint);
    struct thaw_device_set set = {0};
    for (cl_uint i = 0; i < platform_count && i < MAX_PLATFORMS; i++) {
        cl_device_id ids[MAX_DEVICES];
        cl_uint count = 0;
        /* A platform that fails has no devices: others may work. */
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &count) !=
            CL_SUCCESS)
            continue;
        count = count < MAX_DEVICES ? count : MAX_DEVICES;
        thaw_status status = count ? set_append(&set, platforms[i], ids, count) : THAW_OK;
        if (status != THAW_OK) {
            thaw_device_set_finish(&set);
            return status;
        }
    }
    if (set.count == 0)
        return thaw_hint(thaw_fail(THAW_ERROR_DEVICE,
                                   "%u OpenCL platform%s installed, but none has a device",
                                   platform_count, platform_count == 1 ? " is" : "s are"),
                         "%s", install_hint);
    *ret_set = set;
    return THAW_OK;
}

void thaw_device_set_finish(struct thaw_device_set *set) {
    free(set->ids);
    free(set->infos);
    *set = (struct thaw_device_set){0};
}
