/* What the files of the device floor share. Nothing above host/cl/ includes this, except tests. */
#ifndef THAW_CL_INTERNAL_H
#define THAW_CL_INTERNAL_H

#include <stdatomic.h>

#include "cl/cl.h"
#include "cl/embedded.h"

/* Bytes in buffers. Outlives the device when buffers do: each of them holds a reference. */
struct thaw_memory_count {
    atomic_uint_fast64_t now_bytes, peak_bytes;
    atomic_int references;
};
void thaw_memory_count_release(struct thaw_memory_count *count); /* accepts NULL */

struct thaw_kernel {
    struct thaw_kernel *next; /* of the same program */
    const char *file, *name, *defines;
    thaw_device *device;
    struct thaw_program *program;
    cl_kernel kernel; /* NULL for the pseudo-kernels under which CLBlast calls are profiled, and
                       * for what was only planned so far */
    cl_uint argument_count;
    size_t max_group;
    uint64_t launches, time_ns; /* folded so far; profiling only */
};

/* A launch whose time is not folded yet. `begin` is a marker before it, or NULL where `end` is the
 * event of the one kernel that was launched. */
struct thaw_pending_time {
    struct thaw_kernel *kernel;
    cl_event begin, end;
};

struct thaw_program; /* program.c */

struct thaw_device {
    struct thaw_device_info info;
    struct thaw_device_caps caps;
    char *key;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    struct thaw_memory_count *memory;
    uint64_t store_from_ns;        /* programs that took this long to build are kept on disk */
    struct thaw_program *programs; /* uthash, by file and defines */
    const struct thaw_embedded_file *extra_files; /* kernel files beside the embedded ones: tests */
    int extra_file_count;
    void *attachment;
    void (*destroy_attachment)(void *attachment);
    bool uses_clblast;
    bool profiling;
    bool is_planning; /* thaw_kernel_get() compiles nothing */
    struct thaw_pending_time *pending;
    size_t pending_count, pending_capacity;
};

void thaw_programs_destroy(thaw_device *device);
/* The kernel under (file, name, defines) without an OpenCL kernel behind it: a line in the profile.
 */
thaw_status thaw_kernel_get_pseudo(thaw_device *device, const char *file, const char *name,
                                   const char *defines, thaw_kernel **ret_kernel);
/* Calls `visit` for every kernel of the device. */
void thaw_kernels_visit(const thaw_device *device, void (*visit)(thaw_kernel *, void *),
                        void *user);

/* Programs on disk, under a key that names all they depend on. NULL when there is none. */
cl_program thaw_program_cache_load(const thaw_device *device, const char *key, const char *options);
void thaw_program_cache_store(cl_program program, const char *key);
#define THAW_STORE_NEVER UINT64_MAX

/* Takes the events; folds earlier ones when many are pending. */
thaw_status thaw_profile_add(thaw_device *device, thaw_kernel *kernel, cl_event begin,
                             cl_event end);
void thaw_profile_finish(thaw_device *device);
void thaw_blas_finish(thaw_device *device);

/* What hint goes with a failure to get `size_bytes` of device memory; records the message too. */
thaw_status thaw_fail_memory(const thaw_device *device, size_t size_bytes, cl_int code);

#endif
