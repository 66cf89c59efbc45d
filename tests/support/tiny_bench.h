/* The tiny experiment opened by hand: for tests of what the trainer is made of. */
#ifndef THAW_TESTS_TINY_BENCH_H
#define THAW_TESTS_TINY_BENCH_H

#include "train/experiment.h"
#include "train/fit.h"
#include "train/pilot.h"

struct tiny_bench {
    struct thaw_config config;
    struct thaw_experiment experiment;
    struct thaw_graph *graph;
    thaw_loader *loader;
    thaw_augmenter *augmenter; /* plain */
    struct thaw_feed feed;     /* photos, not augmented */
    const uint32_t *photos;    /* of the training set */
    int *labels;
    size_t count;
    int polls, stop_at; /* of the pilots' poll: interrupts at that call; 0: never */
};

/* tiny_make() must have been called. */
void tiny_bench_open(const char *name, const char *stages, const char *more,
                     struct tiny_bench *bench);
void tiny_bench_close(struct tiny_bench *bench);
/* For pilots of `epochs` on it. */
struct thaw_pilot_options tiny_bench_pilots(struct tiny_bench *bench, int epochs);
/* Every value of the graph, concatenated; freed by the caller. */
float *tiny_bench_values(const struct tiny_bench *bench, size_t *ret_count);

#endif
