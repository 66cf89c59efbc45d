/* The device floor: buffers, programs and launches over one in-order queue. Everything above it
 * talks to OpenCL through this header alone; CLBlast is called in blas.c alone. */
#ifndef THAW_CL_CL_H
#define THAW_CL_CL_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "thaw/device.h"

/* What selection may ask of a device: derived from queries once, at opening. */
struct thaw_device_caps {
    enum thaw_device_type type;
    bool is_cpu; /* type == THAW_DEVICE_CPU: work-groups of one item, no local memory */
    int block; /* B of the tensor layout: 16, 8 or 4 by native vector width on a CPU, 1 on a GPU */
    int compute_units;
    size_t max_work_group_size;
    uint64_t local_memory_bytes; /* 0 where local memory is global memory */
    uint64_t max_allocation_bytes, global_memory_bytes;
    bool memory_is_limited; /* global_memory_bytes is less than the device has: as it was opened */
    size_t base_align_bytes;
    bool has_fp16, has_fp64, has_subgroups;
    bool has_vectors; /* native vectors of 4 floats or more; compilers without take floatN apart */
};
const struct thaw_device_caps *thaw_device_get_caps(const thaw_device *device);

cl_context thaw_device_context(const thaw_device *device);
cl_command_queue thaw_device_queue(const thaw_device *device);
cl_device_id thaw_device_id(const thaw_device *device);
/* Names device, driver and the Thaw build: the key under which measurements are remembered. */
const char *thaw_device_key(const thaw_device *device);
/* A place for what the kernels floor keeps with a device (its remembered measurements): *slot is
 * NULL at first, and `destroy` is called with it when the device goes. */
void **thaw_device_attachment(thaw_device *device, void (*destroy)(void *attachment));

/* "CL_OUT_OF_RESOURCES" for -5, and so on; "CL error -9999" for an unknown one. */
const char *thaw_cl_error_name(cl_int code);
/* THAW_OK for CL_SUCCESS; else THAW_ERROR_RUNTIME with "<what>: CL_...". */
thaw_status thaw_cl_check(cl_int code, const char *what);

/* ---- buffers ------------------------------------------------------------------------------------
 * A buffer is a cl_mem; sizes and offsets are in bytes. Reads and writes block; zeroing and copying
 * are queued. A buffer that does not fit is THAW_ERROR_RUNTIME with the sizes and a hint. */
thaw_status thaw_buffer_create(thaw_device *device, size_t size_bytes,
                               cl_mem *ret_buffer); /* zeroed */
/* A window of `parent`; offset must be a multiple of caps->base_align_bytes. */
thaw_status thaw_buffer_sub(cl_mem parent, size_t offset_bytes, size_t size_bytes,
                            cl_mem *ret_buffer);
/* Zeroed buffers as windows of one allocation, or of several where the device's largest buffer is
 * smaller: kernels can reach them all through few arguments. Each is destroyed like a buffer of its
 * own; an allocation lives as long as one of its windows. On failure none is created. */
struct thaw_buffer_wish {
    size_t size_bytes;  /* at least 1 */
    cl_mem *ret_buffer; /* set to NULL on failure */
};
thaw_status thaw_buffer_create_group(thaw_device *device, const struct thaw_buffer_wish *wishes,
                                     size_t count);
/* What a buffer of such a group takes: its size with the alignment of windows. */
size_t thaw_buffer_group_bytes(const struct thaw_device_caps *caps, size_t size_bytes);
/* The allocation that a buffer is a window of (itself: it is none), borrowed, and where it begins
 * in it. */
thaw_status thaw_buffer_allocation(cl_mem buffer, cl_mem *ret_allocation, size_t *ret_offset_bytes);
/* A small read-only buffer with contents for one launch, made without waiting for the queue. Not
 * counted by thaw_device_memory, as arguments are not. */
thaw_status thaw_buffer_create_table(thaw_device *device, const void *bytes, size_t size_bytes,
                                     cl_mem *ret_buffer);
void thaw_buffer_destroy(cl_mem *buffer); /* accepts *buffer == NULL */
thaw_status thaw_buffer_write(thaw_device *device, cl_mem buffer, size_t offset_bytes,
                              const void *bytes, size_t size_bytes);
thaw_status thaw_buffer_read(thaw_device *device, cl_mem buffer, size_t offset_bytes,
                             void *ret_bytes, size_t size_bytes);
thaw_status thaw_buffer_zero(thaw_device *device, cl_mem buffer, size_t offset_bytes,
                             size_t size_bytes);
thaw_status thaw_buffer_copy(thaw_device *device, cl_mem from, size_t from_offset_bytes, cl_mem to,
                             size_t to_offset_bytes, size_t size_bytes);
thaw_status thaw_device_finish(thaw_device *device); /* waits for the queue */
/* Bytes in buffers created by thaw_buffer_create now, and their highest value so far. */
void thaw_device_memory(const thaw_device *device, uint64_t *ret_now_bytes,
                        uint64_t *ret_peak_bytes);

/* ---- programs -----------------------------------------------------------------------------------
 * A kernel is named by its file under cl/ (embedded in the binary), its name and a string of -D
 * options; common.cl is put before every file. Built once per device and remembered; the handle
 * belongs to the device and lives as long as it does. A build failure carries the compiler's log.
 * On devices whose implementation keeps no cache itself, binaries are kept in THAW_CACHE/kernels.
 */
typedef struct thaw_kernel thaw_kernel;
thaw_status thaw_kernel_get(thaw_device *device, const char *file, const char *name,
                            const char *defines, thaw_kernel **ret_kernel);
/* The work-group limit of this kernel on this device: CL_KERNEL_WORK_GROUP_SIZE. Compiles it if it
 * was only planned; 0 if that fails. */
size_t thaw_kernel_max_group(thaw_kernel *kernel);
/* While planning, thaw_kernel_get() compiles nothing, and what it gives may not be launched:
 * getting it again afterwards compiles it. */
void thaw_device_set_planning(thaw_device *device, bool is_planning);

/* A string of -D options, built up piece by piece; starts as {0}. `failed` when it would not fit.
 */
#define THAW_DEFINES_SIZE 2048
struct thaw_defines {
    char text[THAW_DEFINES_SIZE];
    size_t length;
    bool failed;
};
void thaw_define_int(struct thaw_defines *defines, const char *name, int64_t value);
void thaw_define_float(struct thaw_defines *defines, const char *name, double value);
void thaw_define_text(struct thaw_defines *defines, const char *name, const char *value);

/* ---- launches -----------------------------------------------------------------------------------
 * Arguments in the kernel's order:
 *
 *     struct thaw_range range = THAW_RANGE2(rows, images);
 *     thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(x), THAW_ARG_BUFFER(y), THAW_ARG_INT(n));
 */
enum thaw_arg_kind {
    THAW_ARG_KIND_BUFFER,
    THAW_ARG_KIND_INT,
    THAW_ARG_KIND_FLOAT,
    THAW_ARG_KIND_LONG,
    THAW_ARG_KIND_LOCAL
};
struct thaw_arg {
    enum thaw_arg_kind kind;
    union {
        cl_mem buffer;
        cl_int i;
        cl_float f;
        cl_long l;
        size_t local_bytes;
    } value;
};
#define THAW_ARG_BUFFER(b) ((struct thaw_arg){THAW_ARG_KIND_BUFFER, {.buffer = (b)}})
#define THAW_ARG_INT(v) ((struct thaw_arg){THAW_ARG_KIND_INT, {.i = (cl_int)(v)}})
#define THAW_ARG_FLOAT(v) ((struct thaw_arg){THAW_ARG_KIND_FLOAT, {.f = (cl_float)(v)}})
#define THAW_ARG_LONG(v) ((struct thaw_arg){THAW_ARG_KIND_LONG, {.l = (cl_long)(v)}})
#define THAW_ARG_LOCAL(bytes) ((struct thaw_arg){THAW_ARG_KIND_LOCAL, {.local_bytes = (bytes)}})

/* global[i] is rounded up to a multiple of local[i] (kernels check bounds); local[0] == 0 means
 * (1, 1, 1) on a CPU and (64, 1, 1), cut to the kernel's limit, elsewhere. A zero global size is no
 * launch. */
struct thaw_range {
    int dims;
    size_t global[3], local[3];
};
#define THAW_RANGE1(a) ((struct thaw_range){1, {(a), 1, 1}, {0, 0, 0}})
#define THAW_RANGE2(a, b) ((struct thaw_range){2, {(a), (b), 1}, {0, 0, 0}})
#define THAW_RANGE3(a, b, c) ((struct thaw_range){3, {(a), (b), (c)}, {0, 0, 0}})

thaw_status thaw_launch_args(thaw_device *device, thaw_kernel *kernel,
                             const struct thaw_range *range, const struct thaw_arg *args,
                             size_t count);
#define thaw_launch(device, kernel, range, ...)                                                    \
    thaw_launch_args((device), (kernel), (range), (const struct thaw_arg[]){__VA_ARGS__},          \
                     sizeof((struct thaw_arg[]){__VA_ARGS__}) / sizeof(struct thaw_arg))

/* With profiling on: what each kernel has cost since the last reset, most expensive first. The
 * array is of `arena`. Without profiling: count 0. */
struct thaw_kernel_time {
    const char *file, *name, *defines;
    uint64_t launches, time_ns;
};
thaw_status thaw_device_profile(thaw_device *device, struct thaw_arena *arena,
                                struct thaw_kernel_time **ret_times, size_t *ret_count);
void thaw_device_profile_reset(thaw_device *device);

/* ---- CLBlast ------------------------------------------------------------------------------------
 * Row-major C[m][n] = alpha * op(A) op(B) + beta * C, leading dimensions and offsets in floats. */
struct thaw_gemm_call {
    bool transpose_a, transpose_b;
    size_t m, n, k;
    float alpha, beta;
    cl_mem a, b, c;
    size_t a_offset, b_offset, c_offset;
    size_t a_stride, b_stride, c_stride;
};
thaw_status thaw_blas_gemm(thaw_device *device, const struct thaw_gemm_call *call);

#endif
