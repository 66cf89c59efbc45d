/* Which candidate is fastest for a convolution on this device: measured, and only among those whose
 * result is right. What was found is kept by kernels/tuning.h, which selection asks. */
#ifndef THAW_KERNELS_MEASURE_H
#define THAW_KERNELS_MEASURE_H

#include "kernels/conv.h"

enum thaw_measure_outcome {
    THAW_MEASURE_RIGHT,
    THAW_MEASURE_WRONG, /* differs from `simple` by more than rounding */
    THAW_MEASURE_FAILED /* an OpenCL call or an allocation failed */
};

struct thaw_measure_timing {
    const struct thaw_conv_candidate *candidate;
    enum thaw_measure_outcome outcome;
    double time_s;     /* of layout n images, best of several; 0 unless RIGHT */
    bool extrapolated; /* from fewer images: too far behind the best to be worth the time */
};

#define THAW_MEASURE_TIMINGS_MAX 16
struct thaw_measurement {
    struct thaw_measure_timing timings[THAW_MEASURE_TIMINGS_MAX];
    size_t count;
    int best;      /* index of the fastest, or -1 when none may be trusted */
    bool complete; /* false: the time was up before every candidate had its turn */
};

/* Measures every one of `candidates` (thaw_conv_candidates, or others to be compared with them)
 * that applies, on random data, after comparing its whole output with that of the candidate
 * `simple`. A wrong result and a failure are logged as warnings. When nothing agrees with `simple`,
 * `best` is -1: then `simple` may be the wrong one. No candidate begins later than `seconds` after
 * the call; 0 measures nothing. Fails when the problem's own buffers can't be had or `simple`
 * doesn't run. */
thaw_status thaw_measure_conv(thaw_device *device, const struct thaw_conv_problem *problem,
                              const struct thaw_conv_candidate *const *candidates, size_t count,
                              double seconds, struct thaw_measurement *ret_measurement);

/* Remembers the best of a complete measurement; does nothing for others. */
thaw_status thaw_measure_remember(thaw_device *device, const struct thaw_conv_problem *problem,
                                  const struct thaw_measurement *measurement);

#endif
