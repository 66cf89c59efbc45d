// Put before every kernel file.
//
// Layout (host/tensor/tensor.h): activations [C/B][N][H+2P][W+2P][B], weights
// [O/BO][I/BI][KH][KW][BI][BO]; halo and padded lanes are zero and stay zero. Kernels that work pixel by
// pixel are built with -DB=<block> and see a pixel's channels as one REAL vector.

#pragma OPENCL FP_CONTRACT ON

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)

#ifndef B
#define B 1
#endif

// REAL: the B channels of a pixel. B = 3 loads and stores exactly three floats.
#if B == 1
#define REAL float
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
#define REAL CAT(float, B)
#define LOAD(p) CAT(vload, B)(0, p)
#define STORE(v, p) CAT(vstore, B)(v, 0, p)
#endif

// clang (pocl, and most CPU implementations) has builtins that OpenCL C lacks; elsewhere they do nothing.
#if defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#define PREFETCH(p) __builtin_prefetch((const void *)(size_t)(p), 0, 3)
#endif
#endif
#ifndef PREFETCH
#define PREFETCH(p)
#endif

// Philox4x32-10 (Salmon et al., SC 2011): the same draws as host/core/rng.c.
static uint4 philox(uint4 c, uint2 k) {
    for (int round = 0; round < 10; round++) {
        uint hi0 = mul_hi(0xD2511F53u, c.x), lo0 = 0xD2511F53u * c.x;
        uint hi1 = mul_hi(0xCD9E8D57u, c.z), lo1 = 0xCD9E8D57u * c.z;
        c = (uint4)(hi1 ^ c.y ^ k.x, lo1, hi0 ^ c.w ^ k.y, lo0);
        k += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

// Activations, act_<name>: kernels with an epilogue are built with -DACT=<name> and call ACTIVATE(value,
// parameter). The parameter is the slope of leaky_relu. All but sigmoid map 0 to 0;
// kernels keep padded lanes zero themselves.
static inline REAL act_none(REAL x, float parameter) {
    return x;
}
static inline REAL act_relu(REAL x, float parameter) {
    return max(x, (REAL)(0.0f));
}
static inline REAL act_relu6(REAL x, float parameter) {
    return min(max(x, (REAL)(0.0f)), (REAL)(6.0f));
}
static inline REAL act_leaky_relu(REAL x, float slope) {
    return max(x, (REAL)(0.0f)) + slope * min(x, (REAL)(0.0f));
}
static inline REAL act_sigmoid(REAL x, float parameter) {
    return 1.0f / (1.0f + exp(-x));
}
static inline REAL act_silu(REAL x, float parameter) {
    return x / (1.0f + exp(-x));
}
static inline REAL act_hardswish(REAL x, float parameter) {
    return x * min(max(x + 3.0f, (REAL)(0.0f)), (REAL)(6.0f)) * (1.0f / 6.0f);
}
#define ACTIVATE(value, parameter) CAT(act_, ACT)(value, parameter)
