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

// REAL: the B channels of a pixel. B = 3 loads and stores exactly three floats. pocl's vload reads a vector in pieces,
// and its compiler then computes with the pieces, at half the memory's speed: there a vector of any alignment is read
// as one.
#if B == 1
#define REAL float
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
#define REAL CAT(float, B)
#if defined(POCL_DEVICE_ADDRESS_BITS) && B != 3
typedef REAL __attribute__((aligned(4))) packed_real;
#define PACKED(space)                                                                                   \
    static inline __attribute__((overloadable)) REAL LOAD(const space float *p) {                       \
        return *(const space packed_real *)p;                                                           \
    }                                                                                                   \
    static inline __attribute__((overloadable)) void STORE(REAL v, space float *p) {                    \
        *(space packed_real *)p = v;                                                                    \
    }
PACKED(global)
PACKED(local)
PACKED(private)
#else
#define LOAD(p) CAT(vload, B)(0, p)
#define STORE(v, p) CAT(vstore, B)(v, 0, p)
#endif
#endif

// STORE past the cache: the lines it goes to are not read first. p is aligned to a REAL. STORE_OUTPUT does so with
// -DSTREAM=1 (thaw_layout_streams).
#ifdef __has_builtin
#if __has_builtin(__builtin_nontemporal_store)
#define STORE_PAST(v, p) __builtin_nontemporal_store(v, (global REAL *)(p))
#endif
#endif
#ifndef STORE_PAST
#define STORE_PAST STORE
#endif
#if defined(STREAM) && STREAM
#define STORE_OUTPUT STORE_PAST
#else
#define STORE_OUTPUT STORE
#endif

// pocl's compiler has a prefetch; others have none, or accept it and then can't translate it (rusticl).
#ifdef POCL_DEVICE_ADDRESS_BITS
#define PREFETCH(p) __builtin_prefetch((const void *)(size_t)(p), 0, 3)
#else
#define PREFETCH(p)
#endif

// Updates of many tensors in one launch, host/train/update.h: UPDATE_LANES work-items share a chunk of
// UPDATE_CHUNK floats of one tensor. UPDATE_ROW finds the tensor, EACH_FLOAT runs over the item's floats
// of it; a buffer's part of the tensor begins at buffer + row.at[b].
#ifdef UPDATE_CHUNK
struct update_row {
    long first; // chunk
    long size, at[4];
    float factors[4];
};

// The last row that does not begin after the chunk.
static inline struct update_row update_find(global const struct update_row *table, int count, long chunk) {
    int low = 0, high = count;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (table[middle].first <= chunk)
            low = middle;
        else
            high = middle;
    }
    return table[low];
}

#define UPDATE_ROW(row, table, count)                                                                   \
    const long row##_chunk = (long)get_global_id(0) / UPDATE_LANES;                                     \
    const struct update_row row = update_find(table, count, row##_chunk);                               \
    const long row##_begin = (row##_chunk - row.first) * UPDATE_CHUNK,                                  \
               row##_end = min(row.size, row##_begin + UPDATE_CHUNK)
#define EACH_FLOAT(i, row)                                                                              \
    for (long i = row##_begin + (long)get_global_id(0) % UPDATE_LANES; i < row##_end; i += UPDATE_LANES)
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
// parameter). The parameter is the slope of leaky_relu. All but sigmoid and hardsigmoid map 0 to 0;
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
static inline REAL act_hardsigmoid(REAL x, float parameter) {
    return min(max(x + 3.0f, (REAL)(0.0f)), (REAL)(6.0f)) * (1.0f / 6.0f);
}
// erf to 1e-7, a polynomial each for small and large x (minimax fits published by N. Juffa): pocl's own is scalar code,
// five times slower.
static inline REAL error_function(REAL x) {
    const REAL t = min(fabs(x), (REAL)(10.0f)), s = t * t;
    REAL p = (-1.72853470e-5f * t + 3.83197126e-4f) * s + (-3.88396438e-3f * t + 2.42546219e-2f);
    p = ((p * t - 0.106777877f) * t - 0.634846687f) * t - 0.128717512f;
    REAL q = ((-5.96761703e-4f * s + 4.99119423e-3f) * s - 2.67681349e-2f) * s + 0.112819925f;
    q = (q * s - 0.376125336f) * s + 0.128379166f;
    const REAL large = 1.0f - exp(p * t - t), small = q * t + t;
    return copysign(t > (REAL)(0.927734375f) ? large : small, x);
}
static inline REAL act_gelu(REAL x, float parameter) {
    return 0.5f * x * (1.0f + error_function(x * 0.70710678f));
}
#define ACTIVATE(value, parameter) CAT(act_, ACT)(value, parameter)

// Their derivatives, slope_<name>: of sigmoid and hardsigmoid at the output, of relu, relu6 and leaky_relu at the input
// or the output, of the others at the input. As in PyTorch, 0 (leaky_relu: the slope) at the kinks of relu.
static inline REAL slope_none(REAL x, float parameter) {
    return (REAL)(1.0f);
}
static inline REAL slope_relu(REAL y, float parameter) {
    return y > (REAL)(0.0f) ? (REAL)(1.0f) : (REAL)(0.0f);
}
static inline REAL slope_relu6(REAL y, float parameter) {
    return y * (6.0f - y) > (REAL)(0.0f) ? (REAL)(1.0f) : (REAL)(0.0f);
}
static inline REAL slope_leaky_relu(REAL y, float slope) {
    return y > (REAL)(0.0f) ? (REAL)(1.0f) : (REAL)(slope);
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
    return x < (REAL)(-3.0f) ? (REAL)(0.0f) : x > (REAL)(3.0f) ? (REAL)(1.0f) : inside;
}
static inline REAL slope_hardsigmoid(REAL y, float parameter) {
    return y * (1.0f - y) > (REAL)(0.0f) ? (REAL)(1.0f / 6.0f) : (REAL)(0.0f);
}
static inline REAL slope_gelu(REAL x, float parameter) { // the normal distribution's function and density
    return 0.5f * (1.0f + error_function(x * 0.70710678f)) + x * 0.39894228f * exp(-0.5f * x * x);
}
#define SLOPE_AT(value, parameter) CAT(slope_, ACT)(value, parameter)

// Kernels that walk over whole maps (host/ops/walk.h). With SERIAL a work-item takes per_item rows alone; else
// each pixel has a work-item or, between GROUP_ROWS and GROUP_PIXELS, a work-group of GROUP items shares
// per_item rows. Row r is row r % h of image r / h.
#ifndef SERIAL
#define SERIAL 1
#endif
#ifndef GROUP
#define GROUP 1 // a power of two
#endif
#define WALK int rows, int h, int w, int per_item
#define MAP(t) int t##_origin, int t##_row, int t##_image, long t##_block
#define MAP_BASE(t, cb) ((t) + t##_origin + (cb) * t##_block)
#define MAP_AT(t, cb, r) (MAP_BASE(t, cb) + (long)((r) / h) * t##_image + (r) % h * t##_row)

#define ROW_CHUNK get_group_id(1)
#define EACH_ROW(r)                                                                                     \
    for (int r = get_global_id(1) * per_item, r##_end = min(rows, r + per_item); r < r##_end; r++)
#if SERIAL
#define EACH_PIXEL(i) for (int i = 0; i < w; i++)
#define GROUP_ROWS(r)                                                                                   \
    for (int r = ROW_CHUNK * per_item, r##_end = min(rows, r + per_item); r < r##_end; r++)
#define GROUP_PIXELS(i) for (int i = 0; i < w; i++)
#else
#define EACH_PIXEL(i) for (int i = get_global_id(0); i < w; i += get_global_size(0))
#define GROUP_ROWS(r)                                                                                   \
    for (int r = ROW_CHUNK * per_item + get_local_id(1),                                                \
             r##_end = min(rows, (int)(ROW_CHUNK + 1) * per_item);                                      \
         r < r##_end; r += get_local_size(1))
#define GROUP_PIXELS(i) for (int i = get_local_id(0); i < w; i += get_local_size(0))
#endif

// The sum and the maximum over a work-group, in a fixed order; every item of the group calls them and gets the
// result. SCRATCH declares the memory at the start of a kernel.
#if GROUP == 1
#define SCRATCH
#define GROUP_SUM(value) (value)
#define GROUP_MAX(value) (value)
#define GROUP_LEADER 1
#else
#ifdef POCL_DEVICE_ADDRESS_BITS
// pocl 3.1 lets work-groups of different threads share local memory whose address goes to a function: each has a
// part of its own.
#define SCRATCH_PARTS 64
#define GROUP_NUMBER                                                                                    \
    ((get_group_id(2) * get_num_groups(1) + get_group_id(1)) * get_num_groups(0) + get_group_id(0))
#define SCRATCH                                                                                         \
    local REAL scratch_parts[GROUP * SCRATCH_PARTS];                                                    \
    local REAL *scratch = scratch_parts + GROUP_NUMBER % SCRATCH_PARTS * GROUP
#else
#define SCRATCH local REAL scratch[GROUP]
#endif
#define GROUP_ITEM (get_local_id(1) * get_local_size(0) + get_local_id(0))
#define GROUP_LEADER (GROUP_ITEM == 0)
#define GROUP_SUM(value) group_sum(value, scratch)
#define GROUP_MAX(value) group_max(value, scratch)
static REAL group_sum(REAL value, local REAL *scratch) {
    const int item = GROUP_ITEM;
    barrier(CLK_LOCAL_MEM_FENCE);
    scratch[item] = value;
    for (int half_size = GROUP / 2; half_size > 0; half_size /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_size)
            scratch[item] += scratch[item + half_size];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return scratch[0];
}
static REAL group_max(REAL value, local REAL *scratch) {
    const int item = GROUP_ITEM;
    barrier(CLK_LOCAL_MEM_FENCE);
    scratch[item] = value;
    for (int half_size = GROUP / 2; half_size > 0; half_size /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_size)
            scratch[item] = max(scratch[item], scratch[item + half_size]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return scratch[0];
}
#endif

// Maps that may be one value along any axis of the map they are combined with (struct thaw_operand): strides are 0
// there; `splat`, a constant, says that one channel stands for all.
#define OPERAND(t) MAP(t), int t##_step
#define OPERAND_LOAD(p, splat) ((splat) ? (REAL)(*(p)) : LOAD(p))

// A work-group's sum over the part of a map (channels, h, w) that one value of a smaller map T stands for (struct
// thaw_summation), whose axes of 1 are summed over; with T_SPLAT so are channels. A group takes a row of T:
//
//   EACH_TARGET(tx) { REAL sum; EACH_SUMMED_BLOCK(cb) EACH_SUMMED_ROW(y) EACH_SUMMED_PIXEL(x, tx) ...; TARGET_SUM }
#define SUMMATION int channels, int h, int w, int t_h, int t_w, int group_rows
#define TARGET_IMAGE ((int)get_group_id(1) / t_h)
#define TARGET_Y ((int)get_group_id(1) % t_h)
#define EACH_TARGET(tx) for (int tx = 0; tx < t_w; tx++)
#if T_SPLAT
#define EACH_SUMMED_BLOCK(cb)                                                                           \
    for (int cb = get_local_id(1) / group_rows; cb * B < channels; cb += get_local_size(1) / group_rows)
#else
#define EACH_SUMMED_BLOCK(cb)                                                                           \
    for (int cb = get_group_id(2), cb##_end = get_local_id(1) < group_rows ? cb + 1 : cb; cb < cb##_end; cb++)
#endif
#define EACH_SUMMED_ROW(y)                                                                              \
    for (int y = (t_h == 1 ? 0 : TARGET_Y) + get_local_id(1) % group_rows,                              \
             y##_end = t_h == 1 ? h : TARGET_Y + 1;                                                     \
         y < y##_end; y += group_rows)
#define EACH_SUMMED_PIXEL(x, tx)                                                                        \
    for (int x = (t_w == 1 ? 0 : tx) + get_local_id(0), x##_end = t_w == 1 ? w : tx + 1; x < x##_end;   \
         x += get_local_size(0))
#define SUMMED_ROW_AT(t, cb, y) (MAP_BASE(t, cb) + (long)TARGET_IMAGE * t##_image + (y) * t##_row)
#if T_SPLAT
#define TARGET_SUM(value) splat_sum(GROUP_SUM(value))
#else
#define TARGET_SUM(value) GROUP_SUM(value)
#endif

// `value` in the lanes of channels below `count`, `other` in the rest.
#if B == 1
static inline REAL keep_lanes(REAL value, REAL other, int count) {
    return count > 0 ? value : other;
}
static inline float lanes_sum(REAL v) {
    return v;
}
static inline float lanes_max(REAL v) {
    return v;
}
#else
constant int lane_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static inline REAL keep_lanes(REAL value, REAL other, int count) {
    return select(other, value, CAT(vload, B)(0, lane_numbers) < (CAT(int, B))(count));
}
static inline float lanes_sum(REAL v) {
    float lanes[B], sum = 0.0f;
    CAT(vstore, B)(v, 0, lanes);
    for (int i = 0; i < B; i++)
        sum += lanes[i];
    return sum;
}
static inline float lanes_max(REAL v) {
    float lanes[B];
    CAT(vstore, B)(v, 0, lanes);
    float most = lanes[0];
    for (int i = 1; i < B; i++)
        most = max(most, lanes[i]);
    return most;
}
#endif

#if B == 4 || B == 8 || B == 16
// Row i of the result interleaves rows i/2 and i/2 + B/2: log2(B) times that exchanges rows and columns.
static inline void transpose(REAL rows[B]) {
    _Pragma("unroll") for (int step = 1; step < B; step *= 2) {
        REAL next[B];
        _Pragma("unroll") for (int i = 0; i < B / 2; i++) {
            next[2 * i].even = rows[i].lo;
            next[2 * i].odd = rows[i + B / 2].lo;
            next[2 * i + 1].even = rows[i].hi;
            next[2 * i + 1].odd = rows[i + B / 2].hi;
        }
        _Pragma("unroll") for (int i = 0; i < B; i++)
            rows[i] = next[i];
    }
}
#endif

// The sum of all lanes in the first one, zeros in the others.
static inline REAL splat_sum(REAL v) {
#if B == 1
    return v;
#else
    float lanes[B] = {lanes_sum(v)};
    return CAT(vload, B)(0, lanes);
#endif
}

// Geometry of a convolution, for kernels launched by host/kernels/conv_launch.h: GEOMETRY opens their parameter list.
// What a file wants as a constant it is built with (-DKH=3); blocks always are. Below, where channels, taps and pixels
// lie, in floats.
#ifdef X_BLOCK
#define GEOMETRY                                                                                                       \
    int g_x_h, int g_x_w, int g_x_origin, int g_x_row, int g_x_image, int g_x_channels, int g_y_h, int g_y_w,          \
        int g_y_origin, int g_y_row, int g_y_image, int g_y_channels, int g_groups, int g_group_i, int g_group_o,      \
        int g_kh, int g_kw, int g_stride_h, int g_stride_w, int g_dilation_h, int g_dilation_w, int g_pad_top,         \
        int g_pad_left, int g_accumulate
#define X_H g_x_h
#define X_W g_x_w
#define Y_H g_y_h
#define Y_W g_y_w
#define X_PIXELS (X_H * X_W)
#define Y_PIXELS (Y_H * Y_W)
#define GROUPS g_groups
#define GROUP_I g_group_i
#define GROUP_O g_group_o
#define PAD_TOP g_pad_top
#define PAD_LEFT g_pad_left
#define ACCUMULATE g_accumulate
#ifndef KH
#define KH g_kh
#define KW g_kw
#define STRIDE_H g_stride_h
#define STRIDE_W g_stride_w
#define DILATION_H g_dilation_h
#define DILATION_W g_dilation_w
#endif
#define TAPS (KH * KW)
#define X_ROW g_x_row
#define Y_ROW g_y_row

#if X_BLOCK == 1
#define X_CHANNEL(c) ((c) * g_x_channels)
#else
#define X_CHANNEL(c) ((c) / X_BLOCK * g_x_channels + (c) % X_BLOCK)
#endif
#if Y_BLOCK == 1
#define Y_CHANNEL(c) ((c) * g_y_channels)
#else
#define Y_CHANNEL(c) ((c) / Y_BLOCK * g_y_channels + (c) % Y_BLOCK)
#endif
// A weight is at W_OUT(o) + W_COLUMN(k), k = i * TAPS + tap: also W_OUT(o) + W_IN(i) + tap * W_TAP. i counts within the
// group.
#define W_TAP (W_BLOCK_I * W_BLOCK_O)
#if W_BLOCK_I == 1 && W_BLOCK_O == 1
#define W_OUT(o) ((o) * (GROUP_I * TAPS))
#define W_IN(i) ((i) * TAPS)
#define W_COLUMN(k) (k)
#else
#define W_OUT(o) ((o) / W_BLOCK_O * ((GROUP_I + W_BLOCK_I - 1) / W_BLOCK_I * TAPS * W_TAP) + (o) % W_BLOCK_O)
#define W_IN(i) ((i) / W_BLOCK_I * (TAPS * W_TAP) + (i) % W_BLOCK_I * W_BLOCK_O)
#define W_COLUMN(k) (W_IN((k) / TAPS) + (k) % TAPS * W_TAP)
#endif
// Pixel (iy, ix) of image n of x; may point into the halo. How far tap (ky, kx) is from a window's beginning.
#define X_PIXEL(n, iy, ix) (g_x_origin + (n) * g_x_image + (iy) * X_ROW + (ix) * X_BLOCK)
#define Y_PIXEL(n, oy, ox) (g_y_origin + (n) * g_y_image + (oy) * Y_ROW + (ox) * Y_BLOCK)
#define X_TAP(ky, kx) ((ky) * (DILATION_H * X_ROW) + (kx) * (DILATION_W * X_BLOCK))
// Output pixels counted over the batch, p = (n * Y_H + oy) * Y_W + ox: where p is in y, and where in x its window
// begins.
#define Y_OF(p) Y_PIXEL((p) / Y_PIXELS, (p) % Y_PIXELS / Y_W, (p) % Y_W)
#define X_OF(p) X_PIXEL((p) / Y_PIXELS, (p) % Y_PIXELS / Y_W * STRIDE_H - PAD_TOP, (p) % Y_W * STRIDE_W - PAD_LEFT)
#endif
