// y = ACT(F(a, b)) element by element, where a and b may be one value along any axis; built with -DFUNCTION=<name>
// (host/ops/broadcast.h has the list) and, for gradients, -DSIDE=a or b: whose. A_SPLAT and B_SPLAT say that
// an operand has one channel for all. y may be a's buffer, dx that of dy.
//
// Lanes past the last channel are cleared, as b may be zero or splat there.

#define ZERO ((REAL)(0.0f))

static inline REAL f_add(REAL a, REAL b) {
    return a + b;
}
static inline REAL f_sub(REAL a, REAL b) {
    return a - b;
}
static inline REAL f_mul(REAL a, REAL b) {
    return a * b;
}
static inline REAL f_div(REAL a, REAL b) {
    return a / b;
}
static inline REAL f_prelu(REAL a, REAL b) {
    return max(a, ZERO) + b * min(a, ZERO);
}

// g dF/da and g dF/db
static inline REAL a_add(REAL g, REAL a, REAL b) {
    return g;
}
static inline REAL b_add(REAL g, REAL a, REAL b) {
    return g;
}
static inline REAL a_sub(REAL g, REAL a, REAL b) {
    return g;
}
static inline REAL b_sub(REAL g, REAL a, REAL b) {
    return -g;
}
static inline REAL a_mul(REAL g, REAL a, REAL b) {
    return g * b;
}
static inline REAL b_mul(REAL g, REAL a, REAL b) {
    return g * a;
}
static inline REAL a_div(REAL g, REAL a, REAL b) {
    return g / b;
}
static inline REAL b_div(REAL g, REAL a, REAL b) {
    return -(g / b) * (a / b);
}
static inline REAL a_prelu(REAL g, REAL a, REAL b) {
    return g * (a > ZERO ? (REAL)(1.0f) : b);
}
static inline REAL b_prelu(REAL g, REAL a, REAL b) {
    return g * min(a, ZERO);
}

#define LOAD_A(p) OPERAND_LOAD(p, A_SPLAT)
#define LOAD_B(p) OPERAND_LOAD(p, B_SPLAT)

#ifndef SIDE
#define VALUE(i) ACTIVATE(CAT(f_, FUNCTION)(LOAD_A(p + i * a_step), LOAD_B(q + i * b_step)), parameter)

kernel void broadcast_forward(global const float *a, global const float *b, global float *y, float parameter,
                              int channels, WALK, OPERAND(a), OPERAND(b), MAP(y)) {
    const int cb = get_global_id(2), lanes = channels - cb * B;
    EACH_ROW(r) {
        global const float *p = MAP_AT(a, cb, r), *q = MAP_AT(b, cb, r);
        global float *out = MAP_AT(y, cb, r);
        if (lanes >= B)
            EACH_PIXEL(i) STORE(VALUE(i), out + i * B);
        else
            EACH_PIXEL(i) STORE(keep_lanes(VALUE(i), ZERO, lanes), out + i * B);
    }
}

#else
#define TERM CAT(SIDE, CAT(_, FUNCTION))
#define SLOPE(i) TERM(LOAD(grad + i * B), LOAD_A(p + i * a_step), LOAD_B(q + i * b_step))

// For an operand of y's shape.
kernel void broadcast_gradient(global const float *dy, global const float *a, global const float *b,
                               global float *dx, int channels, int accumulate, WALK, MAP(dy), OPERAND(a),
                               OPERAND(b), MAP(dx)) {
    const int cb = get_global_id(2), lanes = channels - cb * B;
    EACH_ROW(r) {
        global const float *grad = MAP_AT(dy, cb, r), *p = MAP_AT(a, cb, r), *q = MAP_AT(b, cb, r);
        global float *out = MAP_AT(dx, cb, r);
        EACH_PIXEL(i) {
            REAL v = lanes < B ? keep_lanes(SLOPE(i), ZERO, lanes) : SLOPE(i);
            if (accumulate)
                v += LOAD(out + i * B);
            STORE(v, out + i * B);
        }
    }
}

// For a smaller one: t (+)= the sum over what a value of it stands for, in each image.
kernel void broadcast_sum(global const float *dy, global const float *a, global const float *b, global float *t,
                          int accumulate, SUMMATION, MAP(dy), OPERAND(a), OPERAND(b), OPERAND(t)) {
    SCRATCH;
    EACH_TARGET(tx) {
        REAL sum = ZERO;
        EACH_SUMMED_BLOCK(cb) {
            const int lanes = channels - cb * B;
            EACH_SUMMED_ROW(y) {
                global const float *grad = SUMMED_ROW_AT(dy, cb, y), *p = SUMMED_ROW_AT(a, cb, y),
                                   *q = SUMMED_ROW_AT(b, cb, y);
                REAL row = ZERO;
                EACH_SUMMED_PIXEL(i, tx) row += SLOPE(i);
                sum += lanes < B ? keep_lanes(row, ZERO, lanes) : row;
            }
        }
        sum = TARGET_SUM(sum);
        if (GROUP_LEADER) {
            global float *out = SUMMED_ROW_AT(t, get_group_id(2), TARGET_Y) + tx * t_step;
            if (accumulate)
                sum += LOAD(out);
            STORE(sum, out);
        }
    }
}
#endif
