// Batch normalisation; the maths is in host/ops/batchnorm.c.
//
// Statistics take one pass over x: each chunk of rows sums x - pivot and its square, where the pivot is the
// chunk's first pixel, so that a large mean does not cancel the digits of the variance; chunks combine by
// the formula of Chan, Golub and LeVeque (1979) in a fixed order.
//
//   saved      [2][lanes]: mean, inv
//   workspace  [2][lanes] coefficients of backward, then [chunk][2][lanes] sums
//
// `lanes`: channels padded to whole blocks. Padded lanes hold zeros in x, dy and the parameters, so that they
// come out as zeros.
//
// The activation that follows, ACT, is one that maps 0 to 0 and whose slope backward takes at its input, computed
// again from x: that is cheaper than a pass of its own over two maps. With RESIDUAL a map r is added before ACT, whose
// slope is then taken at the output y; batchnorm_sums gives r its gradient, the one before ACT.

#define SUMS(workspace, chunk) ((workspace) + (2 + 2 * (long)(chunk)) * lanes + cb * B)
// Of one channel block, and what is computed with them of a pixel of x, and of dy: the gradient before ACT.
#define COEFFICIENTS                                                                                    \
    const REAL mean = LOAD(saved + cb * B), scale = LOAD(saved + lanes + cb * B) * LOAD(weight + cb * B), \
               shift = LOAD(bias + cb * B)
#define NORMALISED(x) (((x) - mean) * scale + shift)
#if RESIDUAL
#define SLOPE(i, x) SLOPE_AT(LOAD(out + (i) * B), parameter)
#else
#define SLOPE(i, x) SLOPE_AT(NORMALISED(x), parameter)
#endif
#define GRADIENT(i, x) (LOAD(grad + (i) * B) * SLOPE(i, x))

kernel void batchnorm_statistics(global const float *x, global float *workspace, int lanes, WALK, MAP(x)) {
    SCRATCH;
    const int cb = get_global_id(2), first = ROW_CHUNK * per_item;
    const REAL pivot = LOAD(MAP_AT(x, cb, first));
    REAL sum = (REAL)(0.0f), squares = (REAL)(0.0f);
    GROUP_ROWS(r) {
        global const float *p = MAP_AT(x, cb, r);
        GROUP_PIXELS(i) {
            const REAL d = LOAD(p + i * B) - pivot;
            sum += d;
            squares += d * d;
        }
    }
    sum = GROUP_SUM(sum);
    squares = GROUP_SUM(squares);
    const float count = (float)(min(per_item, rows - first) * w);
    if (GROUP_LEADER) {
        STORE(pivot + sum / count, SUMS(workspace, ROW_CHUNK));
        STORE(squares - sum * (sum / count), SUMS(workspace, ROW_CHUNK) + lanes);
    }
}

// One item a channel block: the statistics of the batch, into `saved` and the running ones.
kernel void batchnorm_use_batch(global const float *workspace, global float *running_mean,
                                global float *running_var, global float *saved, int lanes, int chunks, int rows,
                                int per_item, int w, float eps, float momentum) {
    const int cb = get_global_id(0);
    if (cb * B >= lanes)
        return;
    REAL mean = (REAL)(0.0f), squares = (REAL)(0.0f);
    float total = 0.0f;
    for (int chunk = 0; chunk < chunks; chunk++) {
        const float count = (float)(min(per_item, rows - chunk * per_item) * w), sum = total + count;
        const REAL delta = LOAD(SUMS(workspace, chunk)) - mean;
        mean += delta * (count / sum);
        squares += LOAD(SUMS(workspace, chunk) + lanes) + delta * delta * (total * (count / sum));
        total = sum;
    }
    squares = max(squares, (REAL)(0.0f));
    const REAL old_mean = LOAD(running_mean + cb * B), old_var = LOAD(running_var + cb * B);
    STORE(mean, saved + cb * B);
    STORE(1.0f / sqrt(squares / total + eps), saved + lanes + cb * B);
    STORE(old_mean * (1.0f - momentum) + mean * momentum, running_mean + cb * B);
    STORE(old_var * (1.0f - momentum) + squares / (total - 1.0f) * momentum, running_var + cb * B);
}

// One item a channel.
kernel void batchnorm_use_running(global const float *running_mean, global const float *running_var,
                                  global float *saved, int lanes, float eps) {
    const int c = get_global_id(0);
    if (c >= lanes)
        return;
    saved[c] = running_mean[c];
    saved[lanes + c] = 1.0f / sqrt(running_var[c] + eps);
}

kernel void batchnorm_apply(global const float *x, global float *y, global const float *saved,
                            global const float *weight, global const float *bias, float parameter, int lanes,
                            global const float *r, WALK, MAP(x), MAP(y), MAP(r)) {
    const int cb = get_global_id(2);
    COEFFICIENTS;
    EACH_ROW(row) {
        global const float *p = MAP_AT(x, cb, row), *added = MAP_AT(r, cb, row);
        global float *q = MAP_AT(y, cb, row);
        EACH_PIXEL(i) {
            REAL value = NORMALISED(LOAD(p + i * B));
#if RESIDUAL
            value += LOAD(added + i * B);
#endif
            STORE_OUTPUT(ACTIVATE(value, parameter), q + i * B);
        }
    }
}

// Sums of dy and of dy (x - mean). dr, which may be dy, is written or, with RESIDUAL_ADDS, added to.
#define RESIDUAL_NONE 0
#define RESIDUAL_ADDS 2
kernel void batchnorm_sums(global const float *x, global const float *dy, global const float *saved,
                           global const float *weight, global const float *bias, float parameter,
                           global float *workspace, int lanes, global const float *y, global float *dr,
                           int residual, WALK, MAP(x), MAP(dy), MAP(y), MAP(dr)) {
    SCRATCH;
    const int cb = get_global_id(2);
    COEFFICIENTS;
    REAL sum = (REAL)(0.0f), products = (REAL)(0.0f);
    GROUP_ROWS(r) {
        global const float *p = MAP_AT(x, cb, r), *grad = MAP_AT(dy, cb, r), *out = MAP_AT(y, cb, r);
        global float *q = MAP_AT(dr, cb, r);
        GROUP_PIXELS(i) {
            const REAL value = LOAD(p + i * B), g = GRADIENT(i, value);
#if RESIDUAL
            if (residual != RESIDUAL_NONE)
                STORE(residual == RESIDUAL_ADDS ? g + LOAD(q + i * B) : g, q + i * B);
#endif
            sum += g;
            products += g * (value - mean);
        }
    }
    sum = GROUP_SUM(sum);
    products = GROUP_SUM(products);
    if (GROUP_LEADER) {
        STORE(sum, SUMS(workspace, ROW_CHUNK));
        STORE(products, SUMS(workspace, ROW_CHUNK) + lanes);
    }
}

// One item a channel block. The coefficients are dbias / M and inv dweight / M.
kernel void batchnorm_combine(global float *workspace, global const float *saved, global float *dweight,
                              global float *dbias, int want_dweight, int want_dbias, int lanes, int chunks,
                              int values) {
    const int cb = get_global_id(0);
    if (cb * B >= lanes)
        return;
    REAL sum = (REAL)(0.0f), products = (REAL)(0.0f);
    for (int chunk = 0; chunk < chunks; chunk++) {
        sum += LOAD(SUMS(workspace, chunk));
        products += LOAD(SUMS(workspace, chunk) + lanes);
    }
    const REAL inv = LOAD(saved + lanes + cb * B);
    if (want_dweight)
        STORE(inv * products, dweight + cb * B);
    if (want_dbias)
        STORE(sum, dbias + cb * B);
    STORE(sum / (float)values, workspace + cb * B);
    STORE(inv * inv * products / (float)values, workspace + lanes + cb * B);
}

kernel void batchnorm_apply_backward(global const float *x, global const float *dy, global float *dx,
                                     global const float *saved, global const float *weight,
                                     global const float *bias, float parameter,
                                     global const float *workspace, int lanes, int accumulate,
                                     global const float *y, WALK, MAP(x), MAP(dy), MAP(dx), MAP(y)) {
    const int cb = get_global_id(2);
    COEFFICIENTS;
    const REAL average = LOAD(workspace + cb * B), slope = LOAD(workspace + lanes + cb * B);
    EACH_ROW(r) {
        global const float *p = MAP_AT(x, cb, r), *grad = MAP_AT(dy, cb, r), *out = MAP_AT(y, cb, r);
        global float *q = MAP_AT(dx, cb, r);
        EACH_PIXEL(i) {
            const REAL value = LOAD(p + i * B), g = GRADIENT(i, value);
            REAL result = scale * (g - average - (value - mean) * slope);
            if (accumulate)
                result += LOAD(q + i * B);
            STORE(result, q + i * B);
        }
    }
}

// x is not read without an activation, nor with RESIDUAL.
kernel void batchnorm_scale_backward(global const float *x, global const float *dy, global float *dx,
                                     global const float *saved, global const float *weight,
                                     global const float *bias, float parameter, int lanes, int accumulate,
                                     global const float *y, WALK, MAP(x), MAP(dy), MAP(dx), MAP(y)) {
    const int cb = get_global_id(2);
    COEFFICIENTS;
    EACH_ROW(r) {
        global const float *p = MAP_AT(x, cb, r), *grad = MAP_AT(dy, cb, r), *out = MAP_AT(y, cb, r);
        global float *q = MAP_AT(dx, cb, r);
        EACH_PIXEL(i) {
            REAL result = scale * GRADIENT(i, LOAD(p + i * B));
            if (accumulate)
                result += LOAD(q + i * B);
            STORE(result, q + i * B);
        }
    }
}
