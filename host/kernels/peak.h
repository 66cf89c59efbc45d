/* The device's measured limits. */
#ifndef THAW_KERNELS_PEAK_H
#define THAW_KERNELS_PEAK_H

#include "cl/cl.h"

struct thaw_peak {
    double fma_gflops;    /* fp32, a fused multiply-add counts as two */
    double copy_gb_per_s; /* bytes read and written */
};

/* Measures for about half a second. */
thaw_status thaw_peak_measure(thaw_device *device, struct thaw_peak *ret_peak);

#endif
