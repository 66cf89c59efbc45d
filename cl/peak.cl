// What the device can do at best: the rooflines that `thaw bench` reports fractions of.
//
// peak_fma: CHAINS independent accumulators of B floats, each updated by x = x * a + b: enough of them to hide
// the latency of a fused multiply-add, few enough to stay in registers. 2 * B * CHAINS * rounds operations a
// work-item. peak_copy: reads and writes SPAN vectors a work-item.

#ifndef CHAINS
#define CHAINS 16
#endif

kernel void peak_fma(global float *out, int rounds, float a, float b) {
    REAL x[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; i++)
        x[i] = (REAL)(i + (float)get_global_id(0));
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < CHAINS; i++)
            x[i] = fma(x[i], (REAL)(a), (REAL)(b));
    }
    REAL sum = x[0];
#pragma unroll
    for (int i = 1; i < CHAINS; i++)
        sum += x[i];
    STORE(sum, out + get_global_id(0) * B);
}

kernel void peak_copy(global const float *restrict in, global float *restrict out, int span, int stride) {
    size_t first = get_global_id(0);
    for (int i = 0; i < span; i++) {
        // neighbours on a GPU take neighbouring vectors; on a CPU stride is 1 and each takes a run
        size_t v = stride == 1 ? first * span + i : first + (size_t)i * stride;
        STORE(LOAD(in + v * B), out + v * B);
    }
}
