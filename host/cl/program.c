#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "cl/internal.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

/* -cl-fast-relaxed-math is left out on purpose: it implies finite-math-only, and checks for NaN
 * would vanish. */
#define BUILD_OPTIONS "-cl-std=CL1.2 -cl-mad-enable -cl-no-signed-zeros"

/* pocl puts Khronos's opencl-c.h before every program; with its guard defined it does not, and
 * builtins.cl stands in for it. */
#define SHORT_HEADER "-D_OPENCL_H_ "

/* One file built with one set of defines. */
struct thaw_program {
    UT_hash_handle hh;
    char *key; /* "<file> <defines>" */
    char *file, *defines;
    cl_program program; /* NULL for pseudo-kernels */
    thaw_kernel *kernels;
};

static void kernel_destroy(thaw_kernel *kernel) {
    if (kernel->kernel)
        clReleaseKernel(kernel->kernel);
    free((char *)kernel->name);
    free(kernel);
}

static void program_destroy(struct thaw_program *program) {
    if (!program)
        return;
    while (program->kernels) {
        thaw_kernel *kernel = program->kernels;
        program->kernels = kernel->next;
        kernel_destroy(kernel);
    }
    if (program->program)
        clReleaseProgram(program->program);
    free(program->key);
    free(program->file);
    free(program->defines);
    free(program);
}

void thaw_programs_destroy(thaw_device *device) {
    struct thaw_program *program, *next;
    HASH_ITER(hh, device->programs, program, next) {
        HASH_DEL(device->programs, program);
        program_destroy(program);
    }
}

void thaw_kernels_visit(const thaw_device *device, void (*visit)(thaw_kernel *, void *),
                        void *user) {
    for (struct thaw_program *p = device->programs; p; p = p->hh.next)
        for (thaw_kernel *kernel = p->kernels; kernel; kernel = kernel->next)
            visit(kernel, user);
}

static const char *find_in(const struct thaw_embedded_file *files, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(files[i].name, name) == 0)
            return files[i].text;
    return NULL;
}

static const char *find_file(const thaw_device *device, const char *name) {
    const char *text = find_in(thaw_embedded_files, thaw_embedded_file_count, name);
    return text ? text : find_in(device->extra_files, device->extra_file_count, name);
}

static thaw_status fail_build(const thaw_device *device, const struct thaw_program *program,
                              cl_program cl, cl_int code) {
    size_t size = 0;
    char *log = NULL;
    if (clGetProgramBuildInfo(cl, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) == CL_SUCCESS)
        log = calloc(1, size + 1);
    if (log)
        clGetProgramBuildInfo(cl, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    thaw_status status =
        thaw_fail(THAW_ERROR_RUNTIME, "%s (%s) does not compile on \"%s\": %s\n%s", program->file,
                  program->defines, device->info.name, thaw_cl_error_name(code), log ? log : "");
    free(log);
    return status;
}

static thaw_status build_parts(const thaw_device *device, const struct thaw_program *program,
                               const char *builtins, const char *text, const char *options,
                               cl_program *ret_program) {
    char line[256]; /* makes the compiler's messages name the file */
    snprintf(line, sizeof line, "\n#line 1 \"%s\"\n", program->file);
    const char *parts[] = {builtins, "\n#line 1 \"common.cl\"\n", find_file(device, "common.cl"),
                           line, text};
    cl_int code = CL_SUCCESS;
    cl_program cl = clCreateProgramWithSource(device->context, 5, parts, NULL, &code);
    if (code != CL_SUCCESS)
        return thaw_cl_check(code, "clCreateProgramWithSource");
    code = clBuildProgram(cl, 1, &device->id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        thaw_status status = fail_build(device, program, cl, code);
        clReleaseProgram(cl);
        return status;
    }
    *ret_program = cl;
    return THAW_OK;
}

static thaw_status build_source(const thaw_device *device, const struct thaw_program *program,
                                const char *text, const char *options, cl_program *ret_program) {
    char quick[sizeof SHORT_HEADER + sizeof BUILD_OPTIONS + THAW_DEFINES_SIZE + 1];
    snprintf(quick, sizeof quick, "%s%s", SHORT_HEADER, options);
    if (strstr(device->info.version, "PoCL") || strstr(device->info.version, "pocl")) {
        if (build_parts(device, program, find_file(device, "builtins.cl"), text, quick,
                        ret_program) == THAW_OK)
            return THAW_OK;
        thaw_log(THAW_LOG_DEBUG, "with all of opencl-c.h: %s", thaw_error_message());
    }
    return build_parts(device, program, "", text, options, ret_program);
}

/* From the cache on disk, where there is one, or from source. */
static thaw_status build(thaw_device *device, const struct thaw_program *program,
                         cl_program *ret_program) {
    const char *text = find_file(device, program->file);
    if (!text)
        return thaw_fail(THAW_ERROR_RUNTIME, "there is no kernel file \"%s\"", program->file);
    char options[sizeof BUILD_OPTIONS + THAW_DEFINES_SIZE + 1];
    snprintf(options, sizeof options, "%s %s", BUILD_OPTIONS, program->defines);
    bool is_cached = device->store_from_ns != THAW_STORE_NEVER;
    struct thaw_text key = {0}; /* the device's key already covers the embedded files */
    if (is_cached) {
        thaw_text_append(&key, "%s | %s | %s | %016llx", device->key, program->file, options,
                         (unsigned long long)thaw_hash64(text, strlen(text), 0));
        is_cached = !key.failed;
    }
    cl_program cl = is_cached ? thaw_program_cache_load(device, key.text, options) : NULL;
    bool was_cached = cl != NULL;
    thaw_status status = THAW_OK;
    double start_s = thaw_clock_s();
    if (!was_cached)
        status = build_source(device, program, text, options, &cl);
    if (status == THAW_OK) {
        double time_ns = 1e9 * (thaw_clock_s() - start_s);
        thaw_log(THAW_LOG_DEBUG, "%s %s (%s)", was_cached ? "loaded" : "built", program->file,
                 program->defines);
        if (is_cached && !was_cached && time_ns >= (double)device->store_from_ns)
            thaw_program_cache_store(cl, key.text);
        *ret_program = cl;
    }
    thaw_text_finish(&key);
    return status;
}

/* Finds or makes the record; a new one has no cl_program yet. */
static thaw_status program_get(thaw_device *device, const char *file, const char *defines,
                               struct thaw_program **ret_program) {
    char key[THAW_DEFINES_SIZE + 256];
    int length = snprintf(key, sizeof key, "%s %s", file, defines);
    if (length < 0 || (size_t)length >= sizeof key)
        return thaw_fail(THAW_ERROR_RUNTIME, "%s: the defines are too long: %.100s...", file,
                         defines);
    struct thaw_program *program = NULL;
    HASH_FIND(hh, device->programs, key, (size_t)length, program);
    if (!program) {
        program = calloc(1, sizeof *program);
        if (program) {
            program->key = strdup(key);
            program->file = strdup(file);
            program->defines = strdup(defines);
        }
        if (!program || !program->key || !program->file || !program->defines) {
            program_destroy(program);
            return thaw_fail(THAW_ERROR_MEMORY, "out of memory while building %s", file);
        }
        HASH_ADD_KEYPTR(hh, device->programs, program->key, (size_t)length, program);
    }
    *ret_program = program;
    return THAW_OK;
}

/* CL_KERNEL_WORK_GROUP_SIZE, or the size that the kernel was compiled for where that is larger:
 * rusticl answers one sub-group whatever the kernel requires. */
static cl_int read_max_group(const thaw_device *device, thaw_kernel *kernel) {
    size_t required[3] = {0, 0, 0};
    cl_int code = clGetKernelWorkGroupInfo(kernel->kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE,
                                           sizeof kernel->max_group, &kernel->max_group, NULL);
    if (code == CL_SUCCESS)
        code =
            clGetKernelWorkGroupInfo(kernel->kernel, device->id, CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
                                     sizeof required, required, NULL);
    size_t items = required[0] * required[1] * required[2];
    if (kernel->max_group < items && items <= device->caps.max_work_group_size)
        kernel->max_group = items;
    return code;
}

/* Fills in what the OpenCL kernel says of itself. */
static thaw_status kernel_open(thaw_device *device, const struct thaw_program *program,
                               thaw_kernel *kernel) {
    cl_int code = CL_SUCCESS;
    kernel->kernel = clCreateKernel(program->program, kernel->name, &code);
    if (code == CL_INVALID_KERNEL_NAME)
        return thaw_fail(THAW_ERROR_RUNTIME, "%s has no kernel \"%s\"", program->file,
                         kernel->name);
    if (code == CL_SUCCESS)
        code = clGetKernelInfo(kernel->kernel, CL_KERNEL_NUM_ARGS, sizeof kernel->argument_count,
                               &kernel->argument_count, NULL);
    if (code == CL_SUCCESS)
        code = read_max_group(device, kernel);
    if (code != CL_SUCCESS)
        return thaw_fail(THAW_ERROR_RUNTIME, "kernel %s of %s (%s): %s", kernel->name,
                         program->file, program->defines, thaw_cl_error_name(code));
    return THAW_OK;
}

static thaw_status kernel_get(thaw_device *device, struct thaw_program *program, const char *name,
                              thaw_kernel **ret_kernel) {
    for (thaw_kernel *kernel = program->kernels; kernel; kernel = kernel->next)
        if (strcmp(kernel->name, name) == 0) {
            if (program->program && !kernel->kernel) /* it was only planned */
                THAW_TRY(kernel_open(device, program, kernel));
            *ret_kernel = kernel;
            return THAW_OK;
        }
    thaw_kernel *kernel = calloc(1, sizeof *kernel);
    if (kernel)
        kernel->name = strdup(name);
    if (!kernel || !kernel->name) {
        free(kernel);
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while building kernel %s", name);
    }
    kernel->file = program->file;
    kernel->defines = program->defines;
    kernel->device = device;
    kernel->program = program;
    thaw_status status = program->program ? kernel_open(device, program, kernel) : THAW_OK;
    if (status != THAW_OK) {
        kernel_destroy(kernel);
        return status;
    }
    kernel->next = program->kernels;
    program->kernels = kernel;
    *ret_kernel = kernel;
    return THAW_OK;
}

thaw_status thaw_kernel_get(thaw_device *device, const char *file, const char *name,
                            const char *defines, thaw_kernel **ret_kernel) {
    struct thaw_program *program = NULL;
    THAW_TRY(program_get(device, file, defines ? defines : "", &program));
    if (!program->program && !device->is_planning) {
        thaw_status status = build(device, program, &program->program);
        if (status != THAW_OK) {
            HASH_DEL(device->programs, program);
            program_destroy(program);
            return status;
        }
    }
    return kernel_get(device, program, name, ret_kernel);
}

thaw_status thaw_kernel_get_pseudo(thaw_device *device, const char *file, const char *name,
                                   const char *defines, thaw_kernel **ret_kernel) {
    struct thaw_program *program = NULL;
    THAW_TRY(program_get(device, file, defines, &program));
    return kernel_get(device, program, name, ret_kernel);
}

size_t thaw_kernel_max_group(thaw_kernel *kernel) {
    struct thaw_program *program = kernel->program;
    if (kernel->kernel)
        return kernel->max_group;
    if ((!program->program && build(kernel->device, program, &program->program) != THAW_OK) ||
        kernel_open(kernel->device, program, kernel) != THAW_OK)
        return 0;
    return kernel->max_group;
}

void thaw_device_set_planning(thaw_device *device, bool is_planning) {
    device->is_planning = is_planning;
}

static void append_define(struct thaw_defines *defines, const char *text, int length) {
    if (defines->failed)
        return;
    size_t need = (size_t)length + (defines->length > 0);
    if (length < 0 || defines->length + need >= sizeof defines->text) {
        defines->failed = true;
        return;
    }
    defines->length +=
        (size_t)snprintf(defines->text + defines->length, sizeof defines->text - defines->length,
                         "%s%s", defines->length > 0 ? " " : "", text);
}

void thaw_define_text(struct thaw_defines *defines, const char *name, const char *value) {
    char text[THAW_DEFINES_SIZE];
    int length = snprintf(text, sizeof text, "-D%s=%s", name, value);
    append_define(defines, text, length < (int)sizeof text ? length : -1);
}

void thaw_define_int(struct thaw_defines *defines, const char *name, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    thaw_define_text(defines, name, text);
}

/* Nine digits give back the same float; the exponent and the suffix keep it from being an int or a
 * double. */
void thaw_define_float(struct thaw_defines *defines, const char *name, double value) {
    char text[48];
    if (isfinite(value))
        snprintf(text, sizeof text, "%.8ef", value);
    else
        snprintf(text, sizeof text, isnan(value) ? "NAN" : value > 0 ? "INFINITY" : "-INFINITY");
    thaw_define_text(defines, name, text);
}
