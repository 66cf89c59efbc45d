// Activations, element by element, with -DACT=<name>:
//
//   forward   y = f(x)
//   backward  dX (+)= dY * f'(.), where f' is computed from the output y (relu, relu6, leaky_relu, sigmoid,
//             hardsigmoid) or from the input x (silu, hardswish, gelu)
//
// In place is fine in both. f itself is in common.cl. The lanes past the last channel stay zero: dY is zero
// there, and forward clears what sigmoid and hardsigmoid make of them.

#define ZERO ((REAL)(0.0f))

// slope_<name>(v, parameter): v is y or x as above. As in PyTorch, f' is 0 (leaky_relu: the slope) at relu's kinks.
static inline REAL slope_relu(REAL y, float parameter) {
    return y > ZERO ? (REAL)(1.0f) : ZERO;
}
// One comparison, because LLVM 15 makes scalar code, 50 times slower, of two.
static inline REAL slope_relu6(REAL y, float parameter) {
    return y * (6.0f - y) > ZERO ? (REAL)(1.0f) : ZERO;
}
static inline REAL slope_leaky_relu(REAL y, float parameter) {
    return y > ZERO ? (REAL)(1.0f) : (REAL)(parameter);
}
static inline REAL slope_sigmoid(REAL y, float parameter) {
    return y * (1.0f - y);
}
static inline REAL slope_silu(REAL x, float parameter) {
    const REAL s = act_sigmoid(x, 0.0f);
    return s * (1.0f + x * (1.0f - s));
}
static inline REAL slope_hardswish(REAL x, float parameter) {
    const REAL inside = x * (1.0f / 3.0f) + 0.5f;
    return x < (REAL)(-3.0f) ? ZERO : x > (REAL)(3.0f) ? (REAL)(1.0f) : inside;
}
static inline REAL slope_hardsigmoid(REAL y, float parameter) {
    return y * (1.0f - y) > ZERO ? (REAL)(1.0f / 6.0f) : ZERO;
}
static inline REAL slope_gelu(REAL x, float parameter) { // the normal distribution's function and density
    return 0.5f * (1.0f + erf(x * 0.70710678f)) + x * 0.39894228f * exp(-0.5f * x * x);
}

kernel void activation_forward(global const float *x, global float *y, int channels, float parameter, WALK,
                               MAP(x), MAP(y)) {
    const int cb = get_global_id(2), lanes = channels - cb * B;
    EACH_ROW(r) {
        global const float *p = MAP_AT(x, cb, r);
        global float *q = MAP_AT(y, cb, r);
        if (lanes >= B)
            EACH_PIXEL(i) STORE(ACTIVATE(LOAD(p + i * B), parameter), q + i * B);
        else
            EACH_PIXEL(i) STORE(keep_lanes(ACTIVATE(LOAD(p + i * B), parameter), ZERO, lanes), q + i * B);
    }
}

kernel void activation_backward(global const float *v, global const float *dy, global float *dx, int accumulate,
                                float parameter, WALK, MAP(v), MAP(dy), MAP(dx)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *value = MAP_AT(v, cb, r), *grad = MAP_AT(dy, cb, r);
        global float *q = MAP_AT(dx, cb, r);
        EACH_PIXEL(i) {
            REAL result = LOAD(grad + i * B) * CAT(slope_, ACT)(LOAD(value + i * B), parameter);
            if (accumulate)
                result += LOAD(q + i * B);
            STORE(result, q + i * B);
        }
    }
}
