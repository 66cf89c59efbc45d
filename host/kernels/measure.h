/* Which candidate, in which variant, is fastest for a problem on this device: measured, and only
 * among those whose result is right. What was found is kept by kernels/tuning.h, which selection
 * asks.
 *
 * What is right: a sample of the output's values, drawn more often at the edges, is computed in
 * double precision on the host; halo, padding and all else that is no value of the output must be
 * as before; and all values must agree with those of the first candidate that was right. */
#ifndef THAW_KERNELS_MEASURE_H
#define THAW_KERNELS_MEASURE_H

#include <signal.h>

#include "kernels/conv.h"
#include "kernels/gemm.h"

enum thaw_measure_outcome {
    THAW_MEASURE_RIGHT,
    THAW_MEASURE_WRONG,  /* differs by more than rounding */
    THAW_MEASURE_FAILED, /* an OpenCL call or an allocation failed */
    THAW_MEASURE_SLOW    /* far behind the best: not checked, the time is an estimate */
};

struct thaw_measure_timing {
    const char *candidate;
    int variant;
    enum thaw_measure_outcome outcome;
    double time_s; /* of the whole problem, best of several; 0 when WRONG or FAILED */
};

#define THAW_MEASURE_TIMINGS_MAX 64
struct thaw_measurement {
    struct thaw_measure_timing timings[THAW_MEASURE_TIMINGS_MAX];
    size_t count;
    int best;      /* what to take, or -1 when nothing is right */
    bool complete; /* false: the time was up before every candidate had its turn */
};

/* How long to measure. */
struct thaw_measure_limits {
    double seconds;                           /* no candidate begins later; 0 measures nothing */
    const volatile sig_atomic_t *interrupted; /* nor once this is not 0; may be NULL */
};

/* Measures every one of `candidates` (thaw_conv_candidates, or some of them, or others) that
 * applies, on random data. The one that selection takes by itself comes first, and stays the best
 * unless another is faster by more than measuring errs. A wrong result and a failure are logged as
 * warnings. Fails when the problem's own buffers can't be had. */
thaw_status thaw_measure_conv(thaw_device *device, const struct thaw_conv_problem *problem,
                              const struct thaw_conv_candidate *const *candidates, size_t count,
                              const struct thaw_measure_limits *limits,
                              struct thaw_measurement *ret_measurement);
/* The same for matrix products. */
thaw_status thaw_measure_gemm(thaw_device *device, const struct thaw_gemm_problem *problem,
                              const struct thaw_gemm_candidate *const *candidates, size_t count,
                              const struct thaw_measure_limits *limits,
                              struct thaw_measurement *ret_measurement);

/* Remembers the best of a complete measurement while the device is open; does nothing for others.
 * thaw_tuning_save() writes it down. */
thaw_status thaw_measure_remember(thaw_device *device, const char *problem_key,
                                  const struct thaw_measurement *measurement);

#endif
