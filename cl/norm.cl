// Normalisation over some axes of each image; the maths is in host/ops/norm.h. Mean and, `moments` floats behind, inv
// are maps of one value along those axes, `m` (MEAN_SPLAT: channels are among them), as are the averages that backward
// needs; weight and bias are one value along theirs, `w` (W_SPLAT, AFFINE).
//
// norm_statistics and norm_sums take any axes. Over channels alone, norm_channels_* read each value from memory once:
// a work-item takes PIXELS pixels at a time through all channels, which stay in its cache. Lanes past the last
// channel are cleared where they would not come out as zeros.

#define ZERO ((REAL)(0.0f))
#ifndef AFFINE
#define AFFINE 1
#endif
#if AFFINE
#define WEIGHT(p) OPERAND_LOAD(p, W_SPLAT)
#define BIAS(p) OPERAND_LOAD(p, W_SPLAT)
#else
#define WEIGHT(p) ((REAL)(1.0f))
#define BIAS(p) ZERO
#endif
#define MEAN(p) OPERAND_LOAD(p, MEAN_SPLAT)

// `value` with the lanes past the last channel cleared, in the last block.
#define CLEARED(value, lanes) ((lanes) < B ? keep_lanes(value, ZERO, lanes) : (value))

#if B == 1
#define TOTAL(v) (v)
#else
static inline float total(REAL v) { // lanes_sum as a tree
#if B == 16
    const float8 half8 = v.lo + v.hi;
    const float4 half4 = half8.lo + half8.hi;
#elif B == 8
    const float4 half4 = v.lo + v.hi;
#else
    const float4 half4 = v;
#endif
    return (half4.x + half4.y) + (half4.z + half4.w);
}
#define TOTAL(v) total(v)
#endif

// The sums of a group for each value of m: with MEAN_SPLAT over the lanes, too.
#if MEAN_SPLAT
#define VALUE_SUM(v) TOTAL(GROUP_SUM(v))
#define VALUE float
#define STORE_VALUE(v, p) (*(p) = (v))
#define MEAN_VALUE(p) (*(p))
#else
#define VALUE_SUM(v) GROUP_SUM(v)
#define VALUE REAL
#define STORE_VALUE(v, p) STORE(v, p)
#define MEAN_VALUE(p) LOAD(p)
#endif

// Where row r of image n of m and of w begins.
#define OFFSET(t, cb, n, r) (t##_origin + (cb) * t##_block + (long)(n) * t##_image + (r) * t##_row)

#if !CHANNELS_ALONE
kernel void norm_statistics(global const float *x, global float *mean, int moments, float count, float eps,
                            SUMMATION, MAP(x), OPERAND(m)) {
    SCRATCH;
    global float *inv = mean + moments;
    const long at = OFFSET(m, get_group_id(2), TARGET_IMAGE, TARGET_Y);
    EACH_TARGET(tx) {
        REAL sum = ZERO, squares = ZERO;
        EACH_SUMMED_BLOCK(cb) EACH_SUMMED_ROW(y) {
            global const float *p = SUMMED_ROW_AT(x, cb, y);
            REAL row = ZERO;
            EACH_SUMMED_PIXEL(i, tx) row += LOAD(p + i * B);
            sum += row;
        }
        const VALUE average = VALUE_SUM(sum) / count;
        EACH_SUMMED_BLOCK(cb) EACH_SUMMED_ROW(y) {
            global const float *p = SUMMED_ROW_AT(x, cb, y);
            REAL row = ZERO;
            EACH_SUMMED_PIXEL(i, tx) {
                const REAL d = LOAD(p + i * B) - average;
                row += d * d;
            }
            squares += CLEARED(row, channels - cb * B);
        }
        const VALUE variance = VALUE_SUM(squares) / count;
        if (GROUP_LEADER) {
            STORE_VALUE(average, mean + at + tx * m_step);
            STORE_VALUE(1.0f / sqrt(variance + eps), inv + at + tx * m_step);
        }
    }
}

// y = (x - mean) inv weight + bias
kernel void norm_apply(global const float *x, global const float *mean, int moments, global const float *weight,
                       global const float *bias, global float *y, int channels, WALK, MAP(x), OPERAND(m),
                       OPERAND(w), MAP(y)) {
    global const float *inv = mean + moments;
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *p = MAP_AT(x, cb, r);
        const long m = OFFSET(m, cb, r / h, r % h), k = OFFSET(w, cb, 0, r % h);
        global float *out = MAP_AT(y, cb, r);
        EACH_PIXEL(i) {
            const REAL normal = (LOAD(p + i * B) - MEAN(mean + m + i * m_step)) * MEAN(inv + m + i * m_step);
            const REAL v = normal * WEIGHT(weight + k + i * w_step) + BIAS(bias + k + i * w_step);
            STORE(CLEARED(v, channels - cb * B), out + i * B);
        }
    }
}

// The averages of g = dy weight and of g n, n = (x - mean) inv, for each value of m.
kernel void norm_sums(global const float *x, global const float *dy, global const float *mean, int moments,
                      global const float *weight, global float *g_average, float count, SUMMATION, MAP(x), MAP(dy),
                      OPERAND(m), OPERAND(w)) {
    SCRATCH;
    global const float *inv = mean + moments;
    global float *gn_average = g_average + moments;
    const long at = OFFSET(m, get_group_id(2), TARGET_IMAGE, TARGET_Y);
    EACH_TARGET(tx) {
        const VALUE average = MEAN_VALUE(mean + at + tx * m_step), scale = MEAN_VALUE(inv + at + tx * m_step);
        REAL sum = ZERO, products = ZERO;
        EACH_SUMMED_BLOCK(cb) EACH_SUMMED_ROW(y) {
            global const float *p = SUMMED_ROW_AT(x, cb, y), *grad = SUMMED_ROW_AT(dy, cb, y);
            const long k = OFFSET(w, cb, 0, y);
            EACH_SUMMED_PIXEL(i, tx) {
                const REAL g = LOAD(grad + i * B) * WEIGHT(weight + k + i * w_step);
                sum += g;
                products += g * ((LOAD(p + i * B) - average) * scale);
            }
        }
        const VALUE g_sum = VALUE_SUM(sum), gn_sum = VALUE_SUM(products);
        if (GROUP_LEADER) {
            STORE_VALUE(g_sum / count, g_average + at + tx * m_step);
            STORE_VALUE(gn_sum / count, gn_average + at + tx * m_step);
        }
    }
}

// dx (+)= inv (g - average g - n average gn)
kernel void norm_apply_backward(global const float *x, global const float *dy, global const float *mean, int moments,
                                global const float *weight, global const float *g_average, global float *dx,
                                int channels, int accumulate, WALK, MAP(x), MAP(dy), OPERAND(m), OPERAND(w),
                                MAP(dx)) {
    global const float *inv = mean + moments, *gn_average = g_average + moments;
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *p = MAP_AT(x, cb, r), *grad = MAP_AT(dy, cb, r);
        const long m = OFFSET(m, cb, r / h, r % h), k = OFFSET(w, cb, 0, r % h);
        global float *out = MAP_AT(dx, cb, r);
        EACH_PIXEL(i) {
            const long j = m + i * m_step;
            const REAL scale = MEAN(inv + j), n = (LOAD(p + i * B) - MEAN(mean + j)) * scale;
            const REAL g = LOAD(grad + i * B) * WEIGHT(weight + k + i * w_step);
            REAL v = scale * (g - MEAN(g_average + j) - n * MEAN(gn_average + j));
            v = CLEARED(v, channels - cb * B);
            if (accumulate)
                v += LOAD(out + i * B);
            STORE(v, out + i * B);
        }
    }
}

// Of each image, the sums of dy n and of dy for each value of weight and bias: partial [image][2][size].
kernel void norm_param_sums(global const float *x, global const float *dy, global const float *mean, int moments,
                            global float *workspace, int partial_at, int size, SUMMATION, MAP(x), MAP(dy),
                            OPERAND(m), OPERAND(t)) {
    SCRATCH;
    global const float *inv = mean + moments;
    global float *partial = workspace + partial_at;
    EACH_TARGET(tx) {
        REAL sum = ZERO, products = ZERO;
        EACH_SUMMED_BLOCK(cb) EACH_SUMMED_ROW(y) {
            global const float *p = SUMMED_ROW_AT(x, cb, y), *grad = SUMMED_ROW_AT(dy, cb, y);
            const long m = OFFSET(m, cb, TARGET_IMAGE, y);
            EACH_SUMMED_PIXEL(i, tx) {
                const REAL g = LOAD(grad + i * B);
                sum += g;
                products += g * ((LOAD(p + i * B) - MEAN(mean + m + i * m_step)) * MEAN(inv + m + i * m_step));
            }
        }
        sum = TARGET_SUM(sum);
        products = TARGET_SUM(products);
        if (GROUP_LEADER) {
            global float *out = partial + OFFSET(t, get_group_id(2), TARGET_IMAGE, TARGET_Y) + tx * t_step;
            STORE(products, out);
            STORE(sum, out + size);
        }
    }
}
#endif

// One item for each float of weight and bias: the chunks of `partial` in order.
kernel void norm_combine(global const float *workspace, int partial_at, global float *dweight, global float *dbias,
                         int want_dweight, int want_dbias, int chunks, int size) {
    global const float *partial = workspace + partial_at;
    const int k = get_global_id(0);
    if (k >= size)
        return;
    float products = 0.0f, sum = 0.0f;
    for (int chunk = 0; chunk < chunks; chunk++) {
        products += partial[2 * (long)chunk * size + k];
        sum += partial[(2 * (long)chunk + 1) * size + k];
    }
    if (want_dweight)
        dweight[k] = products;
    if (want_dbias)
        dbias[k] = sum;
}

#if CHANNELS_ALONE
#if SERIAL
#define PIXELS 8
#else
#define PIXELS 1
#endif
#define EACH_BLOCK(cb) for (int cb = 0; cb * B < channels; cb++)
#define EACH(k) for (int k = 0; k < count; k++)

// `count`, PIXELS or 1, is a constant once this is inlined.
static inline void forward_pixels(global const float *x, global float *y, global float *mean, global float *inv,
                                  global const float *weight, global const float *bias, int channels, float eps,
                                  long x_block, long y_block, const int count) {
    REAL sum[PIXELS];
    float average[PIXELS], scale[PIXELS];
    EACH(k) sum[k] = ZERO;
    EACH_BLOCK(cb) EACH(k) sum[k] += LOAD(x + cb * x_block + k * B);
    EACH(k) {
        average[k] = TOTAL(sum[k]) / channels;
        sum[k] = ZERO;
    }
    EACH_BLOCK(cb) EACH(k) {
        const REAL d = LOAD(x + cb * x_block + k * B) - average[k];
        sum[k] += CLEARED(d * d, channels - cb * B);
    }
    EACH(k) {
        scale[k] = 1.0f / sqrt(TOTAL(sum[k]) / channels + eps);
        mean[k] = average[k];
        inv[k] = scale[k];
    }
    EACH_BLOCK(cb) {
        const REAL w = WEIGHT(weight + cb * B), b = BIAS(bias + cb * B);
        EACH(k) {
            const REAL v = (LOAD(x + cb * x_block + k * B) - average[k]) * scale[k] * w + b;
            STORE(AFFINE ? v : CLEARED(v, channels - cb * B), y + cb * y_block + k * B);
        }
    }
}

// mean and inv: a float for each pixel of the batch.
kernel void norm_channels_forward(global const float *x, global float *mean, int moments,
                                  global const float *weight, global const float *bias, global float *y,
                                  int channels, float eps, WALK, MAP(x), MAP(y)) {
    global float *inv = mean + moments;
    EACH_ROW(r) {
        global const float *p = MAP_AT(x, 0, r);
        global float *q = MAP_AT(y, 0, r), *m = mean + (long)r * w, *s = inv + (long)r * w;
#if SERIAL
        int i = 0;
        for (; i + PIXELS <= w; i += PIXELS)
            forward_pixels(p + i * B, q + i * B, m + i, s + i, weight, bias, channels, eps, x_block, y_block, PIXELS);
        for (; i < w; i++)
#else
        EACH_PIXEL(i)
#endif
            forward_pixels(p + i * B, q + i * B, m + i, s + i, weight, bias, channels, eps, x_block, y_block, 1);
    }
}

// dx of some pixels and, with SERIAL, what they add to the item's sums of dy n and dy (partial, 2 size floats).
static inline void backward_pixels(global const float *x, global const float *dy, global const float *mean,
                                   global const float *inv, global const float *weight, global float *dx,
                                   global float *partial, int channels, int size, int want_dx, int want_params,
                                   int accumulate, long x_block, long dy_block, long dx_block, const int count) {
    REAL sum[PIXELS], products[PIXELS];
    float average[PIXELS], scale[PIXELS];
    EACH(k) {
        sum[k] = products[k] = ZERO;
        average[k] = mean[k];
        scale[k] = inv[k];
    }
    EACH_BLOCK(cb) {
        const REAL w = WEIGHT(weight + cb * B);
        REAL dw = ZERO, db = ZERO;
        EACH(k) {
            const REAL g = LOAD(dy + cb * dy_block + k * B);
            const REAL gn = g * ((LOAD(x + cb * x_block + k * B) - average[k]) * scale[k]);
            sum[k] += g * w;
            products[k] += gn * w;
            db += g;
            dw += gn;
        }
#if SERIAL
        if (want_params) {
            STORE(LOAD(partial + cb * B) + dw, partial + cb * B);
            STORE(LOAD(partial + size + cb * B) + db, partial + size + cb * B);
        }
#endif
    }
    if (!want_dx)
        return;
    float g_average[PIXELS], gn_average[PIXELS];
    EACH(k) {
        g_average[k] = TOTAL(sum[k]) / channels;
        gn_average[k] = TOTAL(products[k]) / channels;
    }
    EACH_BLOCK(cb) {
        const REAL w = WEIGHT(weight + cb * B);
        EACH(k) {
            const REAL n = (LOAD(x + cb * x_block + k * B) - average[k]) * scale[k];
            const REAL g = LOAD(dy + cb * dy_block + k * B) * w;
            REAL v = scale[k] * (g - g_average[k] - n * gn_average[k]);
            v = CLEARED(v, channels - cb * B);
            if (accumulate)
                v += LOAD(dx + cb * dx_block + k * B);
            STORE(v, dx + cb * dx_block + k * B);
        }
    }
}

kernel void norm_channels_backward(global const float *x, global const float *dy, global const float *mean,
                                   int moments, global const float *weight, global float *dx, global float *workspace,
                                   int channels, int size, int want_dx, int want_params, int accumulate, WALK, MAP(x),
                                   MAP(dy), MAP(dx)) {
    global const float *inv = mean + moments;
    global float *partial = workspace + 2 * (long)get_global_id(1) * size;
#if SERIAL
    for (int k = 0; want_params && k < 2 * size; k++)
        partial[k] = 0.0f;
#endif
    EACH_ROW(r) {
        global const float *p = MAP_AT(x, 0, r), *grad = MAP_AT(dy, 0, r), *m = mean + (long)r * w,
                           *s = inv + (long)r * w;
        global float *q = MAP_AT(dx, 0, r);
#define BACKWARD(count)                                                                                            \
    backward_pixels(p + i * B, grad + i * B, m + i, s + i, weight, q + i * B, partial, channels, size, want_dx,    \
                    want_params, accumulate, x_block, dy_block, dx_block, count)
#if SERIAL
        int i = 0;
        for (; i + PIXELS <= w; i += PIXELS)
            BACKWARD(PIXELS);
        for (; i < w; i++)
#else
        EACH_PIXEL(i)
#endif
            BACKWARD(1);
    }
}
#endif
