#include "kernels/peak.h"

#include "core/clock.h"

#define REPEATS 5

/* The best of a few launches, after one that compiles and warms up. */
static thaw_status time_launch(thaw_device *device, thaw_kernel *kernel,
                               const struct thaw_range *range, const struct thaw_arg *args,
                               size_t count, double *ret_s) {
    double best = 1e30;
    for (int i = 0; i <= REPEATS; i++) {
        double start = thaw_clock_s();
        THAW_TRY(thaw_launch_args(device, kernel, range, args, count));
        THAW_TRY(thaw_device_finish(device));
        double s = thaw_clock_s() - start;
        if (i > 0 && s < best)
            best = s;
    }
    *ret_s = best;
    return THAW_OK;
}

static thaw_status measure(thaw_device *device, cl_mem in, cl_mem out, size_t size_bytes,
                           struct thaw_peak *ret_peak) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_defines defines = {0};
    int vector = caps->is_cpu ? caps->block : 4, chains = caps->is_cpu ? 16 : 8;
    thaw_define_int(&defines, "B", vector);
    thaw_define_int(&defines, "CHAINS", chains);
    thaw_kernel *fma, *copy;
    THAW_TRY(thaw_kernel_get(device, "peak.cl", "peak_fma", defines.text, &fma));
    THAW_TRY(thaw_kernel_get(device, "peak.cl", "peak_copy", defines.text, &copy));
    size_t items =
        caps->is_cpu ? (size_t)caps->compute_units * 8 : (size_t)caps->compute_units * 2048;
    int rounds = caps->is_cpu ? 1 << 16 : 1 << 12;
    struct thaw_range range = THAW_RANGE1(items);
    struct thaw_arg fma_args[] = {THAW_ARG_BUFFER(out), THAW_ARG_INT(rounds),
                                  THAW_ARG_FLOAT(0.999f), THAW_ARG_FLOAT(0.001f)};
    double fma_s, copy_s;
    THAW_TRY(time_launch(device, fma, &range, fma_args, 4, &fma_s));
    size_t vectors = size_bytes / sizeof(float) / (size_t)vector;
    items = caps->is_cpu ? 256 : vectors / 16;
    struct thaw_arg copy_args[] = {THAW_ARG_BUFFER(in), THAW_ARG_BUFFER(out),
                                   THAW_ARG_INT(vectors / items),
                                   THAW_ARG_INT(caps->is_cpu ? 1 : items)};
    range = THAW_RANGE1(items);
    THAW_TRY(time_launch(device, copy, &range, copy_args, 4, &copy_s));
    items = caps->is_cpu ? (size_t)caps->compute_units * 8 : (size_t)caps->compute_units * 2048;
    ret_peak->fma_gflops = 2e-9 * (double)items * vector * chains * rounds / fma_s;
    ret_peak->copy_gb_per_s = 2e-9 * (double)size_bytes / copy_s;
    return THAW_OK;
}

thaw_status thaw_peak_measure(thaw_device *device, struct thaw_peak *ret_peak) {
    const size_t size_bytes = (size_t)256 << 20; /* beyond any cache */
    cl_mem in = NULL, out = NULL;
    thaw_status status = thaw_buffer_create(device, size_bytes, &in);
    if (status == THAW_OK)
        status = thaw_buffer_create(device, size_bytes, &out);
    if (status == THAW_OK)
        status = measure(device, in, out, size_bytes, ret_peak);
    thaw_buffer_destroy(&in);
    thaw_buffer_destroy(&out);
    return status;
}
