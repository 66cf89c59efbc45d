#include "core/rng.h"

#include <math.h>
#include <string.h>

#define PHILOX_ROUNDS 10

void thaw_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_block[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    ret_block[0] = c0;
    ret_block[1] = c1;
    ret_block[2] = c2;
    ret_block[3] = c3;
}

struct thaw_rng thaw_rng_init(uint64_t seed, enum thaw_rng_stream stream, uint32_t a, uint32_t b) {
    struct thaw_rng rng = {
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32) ^ ((uint32_t)stream << 24)},
        .counter = {0, a, b, 0},
        .used = 4};
    return rng;
}

uint32_t thaw_rng_u32(struct thaw_rng *rng) {
    if (rng->used == 4) {
        thaw_philox(rng->counter, rng->key, rng->block);
        rng->counter[0]++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

float thaw_rng_uniform(struct thaw_rng *rng) {
    return (float)(thaw_rng_u32(rng) >> 8) * 0x1p-24f;
}

float thaw_rng_between(struct thaw_rng *rng, float low, float high) {
    return low + (high - low) * thaw_rng_uniform(rng);
}

float thaw_rng_normal(struct thaw_rng *rng) {
    double u = 1.0 - (double)thaw_rng_uniform(rng), v = thaw_rng_uniform(rng);
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

uint32_t thaw_rng_below(struct thaw_rng *rng, uint32_t bound) {
    uint32_t limit =
        UINT32_MAX - UINT32_MAX % bound; /* draws at or above it would favour small values */
    uint32_t draw;
    do
        draw = thaw_rng_u32(rng);
    while (draw >= limit);
    return draw % bound;
}

void thaw_rng_shuffle(struct thaw_rng *rng, uint32_t *items, size_t count) {
    for (size_t i = count; i > 1; i--) {
        size_t j = thaw_rng_below(rng, (uint32_t)i);
        uint32_t item = items[i - 1];
        items[i - 1] = items[j];
        items[j] = item;
    }
}
