/* What measure.c, which times and compares, wants to know of a kind of problem: measure_conv.c and
 * measure_gemm.c tell it. */
#ifndef THAW_KERNELS_MEASURE_INTERNAL_H
#define THAW_KERNELS_MEASURE_INTERNAL_H

#include "core/rng.h"
#include "kernels/measure.h"

/* Random values from a table, none of them 0. Its size is a prime, so that no stride of a tensor
 * repeats it: as good as fresh draws here, and far faster for tensors of many millions. */
#define THAW_SOURCE_SIZE 65521
struct thaw_source {
    float table[THAW_SOURCE_SIZE]; /* in [-1, 1) */
    size_t at;
    struct thaw_rng rng;
};
float thaw_source_next(struct thaw_source *source);
/* 0..count-1; every other time within two of an end. */
int thaw_source_place(struct thaw_source *source, int count);

/* A value of the output, as it should be. */
struct thaw_bench_sample {
    size_t at;
    double expected;
};
#define THAW_BENCH_SAMPLES_MAX 1024
/* How many samples of sums of so many terms are worth their time. */
size_t thaw_bench_sample_count(double terms);

/* One problem with its data. */
struct thaw_bench {
    thaw_device *device;
    const char *key;
    const void *problem, *data; /* the kind's own */
    int parts;                  /* a run may compute fewer, at the same speed for each: images */
    double tolerance;           /* of a value */
    cl_mem out;                 /* what runs write */
    size_t out_count;           /* floats */
    float *start;               /* what it holds before; 0 where it is no value of the output */
    struct thaw_bench_sample samples[THAW_BENCH_SAMPLES_MAX];
    size_t sample_count;
    float *accepted, *actual; /* of the first right candidate, once there is one; of the last */
    bool has_accepted;
};

/* A candidate that applies, in a variant. */
struct thaw_bench_way {
    const void *candidate;
    const char *name;
    int variant;
};

struct thaw_bench_kind {
    /* Makes `way` ready: *ret_trial is passed on, also to `close` after a failure. */
    thaw_status (*open)(const struct thaw_bench *bench, const struct thaw_bench_way *way,
                        void **ret_trial);
    thaw_status (*run)(const struct thaw_bench *bench, void *trial, int parts);
    void (*close)(void *trial);
};

/* Of rounding in a sum of that many products of values from the source, in any order: a few
 * 2^-24 sqrt(K) (1 + sqrt(K) / 3); the factor leaves Winograd's transforms two digits more. A
 * forgotten or doubled row of terms is far outside. */
double thaw_bench_tolerance(double terms);

/* A host array of zeros; fails when out of memory. */
thaw_status thaw_bench_array(size_t count, float **ret_array);
/* A buffer of the device with the array's values. */
thaw_status thaw_bench_buffer(thaw_device *device, const float *values, size_t count,
                              cl_mem *ret_buffer);

/* Tries the ways in their order. `bench` has all but accepted and actual. */
thaw_status thaw_bench_measure(struct thaw_bench *bench, const struct thaw_bench_kind *kind,
                               const struct thaw_bench_way *ways, size_t count,
                               const struct thaw_measure_limits *limits,
                               struct thaw_measurement *measurement);

/* A source with its table; free() it. NULL when out of memory. */
struct thaw_source *thaw_source_create(void);

#endif
