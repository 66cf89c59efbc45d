// Activations, element by element, with -DACT=<name>, and -DFUSED=1 for those of common.cl, whose one parameter is p:
//
//   forward   y = f(x)
//   backward  dX (+)= dY * f'(v), where v is y or x, as the op says (host/ops/<name>.c)
//
// In place is fine in both. The lanes past the last channel stay zero: dY is zero there, and forward clears what
// functions make of them. Branches are arithmetic, or one comparison: LLVM 15 makes scalar code, 50 times slower, of
// two. Names are none of OpenCL's own, which may be macros.

#define ZERO ((REAL)(0.0f))
#define ONE ((REAL)(1.0f))

static inline REAL act_hardsigmoid_with(REAL x, float alpha, float beta) {
    return min(max(alpha * x + beta, ZERO), ONE);
}
static inline REAL act_gelu_tanh(REAL x, float p, float q) {
    return 0.5f * x * (1.0f + tanh(0.79788456f * (x + 0.044715f * x * x * x)));
}
static inline REAL act_hyperbolic_tangent(REAL x, float p, float q) {
    return tanh(x);
}
static inline REAL act_elu(REAL x, float alpha, float q) {
    return max(x, ZERO) + alpha * (exp(min(x, ZERO)) - 1.0f);
}
static inline REAL act_selu(REAL x, float alpha, float gamma) {
    return gamma * act_elu(x, alpha, 0.0f);
}
static inline REAL act_celu(REAL x, float alpha, float q) {
    return max(x, ZERO) + alpha * (exp(min(x, ZERO) / alpha) - 1.0f);
}
static inline REAL act_softplus(REAL x, float p, float q) {
    return max(x, ZERO) + log(1.0f + exp(-fabs(x)));
}
static inline REAL act_softsign(REAL x, float p, float q) {
    return x / (1.0f + fabs(x));
}
// tanh(log(1 + e)) = ((1 + e)^2 - 1) / ((1 + e)^2 + 1), e = exp(x)
static inline REAL mish_tanh(REAL x) {
    const REAL e = exp(min(x, (REAL)(20.0f))), n = e * (e + 2.0f);
    return n / (n + 2.0f);
}
static inline REAL act_mish(REAL x, float p, float q) {
    return x * mish_tanh(x);
}
static inline REAL act_thresholded_relu(REAL x, float alpha, float q) {
    return x > (REAL)(alpha) ? x : ZERO;
}
static inline REAL act_clip(REAL x, float low, float high) {
    return min(max(x, (REAL)(low)), (REAL)(high));
}
static inline REAL act_error_function(REAL x, float p, float q) {
    return error_function(x);
}

// As in PyTorch, f' is 0 at the kinks of relu.
static inline REAL slope_hardsigmoid_with(REAL y, float alpha, float q) {
    return y * (1.0f - y) > ZERO ? (REAL)(alpha) : ZERO;
}
static inline REAL slope_gelu_tanh(REAL x, float p, float q) {
    const REAL t = tanh(0.79788456f * (x + 0.044715f * x * x * x));
    return 0.5f * (1.0f + t) + 0.39894228f * x * (1.0f - t * t) * (1.0f + 0.134145f * x * x);
}
static inline REAL slope_hyperbolic_tangent(REAL y, float p, float q) {
    return 1.0f - y * y;
}
static inline REAL slope_elu(REAL x, float alpha, float q) {
    return x > ZERO ? ONE : alpha * exp(min(x, ZERO));
}
static inline REAL slope_selu(REAL x, float alpha, float gamma) {
    return gamma * slope_elu(x, alpha, 0.0f);
}
static inline REAL slope_celu(REAL x, float alpha, float q) {
    return exp(min(x, ZERO) / alpha); // 1 above 0
}
static inline REAL slope_softplus(REAL x, float p, float q) {
    return act_sigmoid(x, 0.0f);
}
static inline REAL slope_softsign(REAL x, float p, float q) {
    const REAL d = 1.0f + fabs(x);
    return 1.0f / (d * d);
}
static inline REAL slope_mish(REAL x, float p, float q) {
    const REAL t = mish_tanh(x);
    return t + x * act_sigmoid(x, 0.0f) * (1.0f - t * t);
}
static inline REAL slope_thresholded_relu(REAL x, float alpha, float q) {
    return x > (REAL)(alpha) ? ONE : ZERO;
}
static inline REAL slope_clip(REAL x, float low, float high) {
    return act_clip(x, low, high) == x ? ONE : ZERO;
}
static inline REAL slope_error_function(REAL x, float p, float q) {
    return 1.1283792f * exp(-x * x);
}

#if FUSED
#define CALL(x) CAT(act_, ACT)(x, p)
#define SLOPE(v) CAT(slope_, ACT)(v, p)
#else
#define CALL(x) CAT(act_, ACT)(x, p, q)
#define SLOPE(v) CAT(slope_, ACT)(v, p, q)
#endif

kernel void activation_forward(global const float *x, global float *y, int channels, float p, float q, WALK,
                               MAP(x), MAP(y)) {
    const int cb = get_global_id(2), lanes = channels - cb * B;
    EACH_ROW(r) {
        global const float *from = MAP_AT(x, cb, r);
        global float *to = MAP_AT(y, cb, r);
        if (lanes >= B)
            EACH_PIXEL(i) STORE(CALL(LOAD(from + i * B)), to + i * B);
        else
            EACH_PIXEL(i) STORE(keep_lanes(CALL(LOAD(from + i * B)), ZERO, lanes), to + i * B);
    }
}

kernel void activation_backward(global const float *v, global const float *dy, global float *dx, int accumulate,
                                float p, float q, WALK, MAP(v), MAP(dy), MAP(dx)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *value = MAP_AT(v, cb, r), *grad = MAP_AT(dy, cb, r);
        global float *to = MAP_AT(dx, cb, r);
        EACH_PIXEL(i) {
            REAL result = LOAD(grad + i * B) * SLOPE(LOAD(value + i * B));
            if (accumulate)
                result += LOAD(to + i * B);
            STORE(result, to + i * B);
        }
    }
}
