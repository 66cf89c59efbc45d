/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw is a pure function of (key, stream, counter), so that a resumed run
 * repeats the draws of an uninterrupted one and a device can compute the same numbers: cl/common.cl
 * has the same function. */
#ifndef THAW_CORE_RNG_H
#define THAW_CORE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* What a stream is drawn for; part of the key, so that no two uses share numbers. */
enum thaw_rng_stream {
    THAW_RNG_SPLIT,
    THAW_RNG_SHUFFLE,
    THAW_RNG_AUGMENT,
    THAW_RNG_DROPOUT,
    THAW_RNG_INIT,
    THAW_RNG_TEST,
    THAW_RNG_FOLDS,
    THAW_RNG_SHARPNESS,
    THAW_RNG_STREAM_COUNT
};

struct thaw_rng {
    uint32_t key[2];     /* seed and stream */
    uint32_t counter[4]; /* [0] advances with each block of four draws; [1..3] chosen by the user */
    uint32_t block[4];
    int used; /* draws taken from `block` */
};

/* A generator for one purpose; `a` and `b` tell uses apart, such as (epoch, image). */
struct thaw_rng thaw_rng_init(uint64_t seed, enum thaw_rng_stream stream, uint32_t a, uint32_t b);

/* The raw function: ten Philox rounds of `counter` under `key` into `ret_block`. */
void thaw_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_block[4]);

uint32_t thaw_rng_u32(struct thaw_rng *rng);
/* Uniform in [0, 1), 24 bits. */
float thaw_rng_uniform(struct thaw_rng *rng);
/* Uniform in [low, high). */
float thaw_rng_between(struct thaw_rng *rng, float low, float high);
/* Standard normal (Box-Muller). */
float thaw_rng_normal(struct thaw_rng *rng);
/* Uniform in 0 .. bound-1 without bias; bound > 0. */
uint32_t thaw_rng_below(struct thaw_rng *rng, uint32_t bound);
/* Fisher-Yates over `items`. */
void thaw_rng_shuffle(struct thaw_rng *rng, uint32_t *items, size_t count);

#endif
