// Depthwise convolution for CPU devices: every channel has a filter of its own.
//
//   forward          y[oy,ox] = act(bias + sum over ky, kx of x[oy*s-p+ky*d, ox*s-p+kx*d] * w[ky,kx])
//   backward data    x[iy,ix] = sum over ky, kx of y[(iy+p-ky*d)/s, (ix+p-kx*d)/s] * w[ky,kx], whole quotients only
//   backward weight  w[ky,kx] = sum over n, oy, ox of y[oy,ox] * x[oy*s-p+ky*d, ox*s-p+kx*d]
//
// for each channel; weights [C/B][KH][KW][B]. A vector holds a pixel's B channels, so the work is memory-bound unless
// what is loaded is used often. Both forward and backward data therefore keep a tile of ROWS x COLUMNS sums in
// registers and pass once over the window of input pixels that the tile needs, adding each pixel to every sum that it
// belongs to. Which tap joins a pixel and a sum is known when the kernel is compiled (TAP below): after unrolling, only
// loads and multiply-adds are left, for any stride and dilation. Sums are added in the order of (row, column) of the
// window wherever the tile begins, and every tile, the ragged ones too, reads the pixels it needs and no others: at most
// the halos of thaw_conv_halos().
//
// One work-item per work-group. Built with -D
//   KH KW SH SW DH DW             kernel, stride, dilation
//   ROWS COLUMNS                  tile
//   REST_ROWS REST_COLUMNS        what is left of the map's height and width after whole tiles
// and by kernel: GATHER, BACKWARD PT PL BT BL, ACT BIAS LANES, ACCUMULATE, STREAM; TAP_ROWS, PARTS. The map's size and
// strides are arguments, so that layers and batches of all sizes share a program.

#define ITEM __attribute__((reqd_work_group_size(1, 1, 1))) kernel
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("unroll")
#define TAPS (KH * KW)

#ifndef ACT
#define ACT none
#endif

// The distance in pixels (tap * dilation) between the sum at `i` and the window's pixel `r` along one axis; there is a
// tap where it is one of 0, dilation, ... (kernel - 1) * dilation. SPAN: pixels that a tile of `n` sums needs.
#if BACKWARD
#define TAP_Y(i, r) ((i) + PT + SH * BT - SH * (r))
#define TAP_X(i, r) ((i) + PL + SW * BL - SW * (r))
#define SPAN_Y(n) (((n) - 1 + PT) / SH + BT + 1)
#define SPAN_X(n) (((n) - 1 + PL) / SW + BL + 1)
#define STEP_Y (ROWS / SH)
#define STEP_X (COLUMNS / SW)
#else
#define TAP_Y(i, r) ((r) - (i) * SH)
#define TAP_X(i, r) ((r) - (i) * SW)
#define SPAN_Y(n) (((n) - 1) * SH + (TAP_ROWS - 1) * DH + 1)
#define SPAN_X(n) (((n) - 1) * SW + (KW - 1) * DW + 1)
#define STEP_Y (ROWS * SH)
#define STEP_X (COLUMNS * SW)
#endif
#define JOINS(tap, dilation, kernel_size)                                                               \
    ((tap) >= 0 && (tap) % (dilation) == 0 && (tap) / (dilation) < (kernel_size))

#ifndef TAP_ROWS
#define TAP_ROWS KH // rows of taps of a work-item of backward weight
#endif

// A tensor's strides in floats, and the place of its first pixel that is read or written.
#define TENSOR(t) const long t##_start, const int t##_row, const int t##_image, const long t##_block

// ---- forward, backward data -----------------------------------------------------------------------------------------

#if GATHER

INLINE REAL epilogue(REAL sum, REAL bias, REAL lanes, float parameter) {
#if BACKWARD
    return sum;
#else
#if BIAS
    sum += bias;
#endif
    sum = ACTIVATE(sum, parameter);
#if LANES < B
    sum *= lanes; // sigmoid(0) is not 0
#endif
    return sum;
#endif
}

INLINE void tile(const global float *in, int in_row, const REAL *w, REAL bias, REAL lanes, float parameter,
                 global float *out, int out_row, int rows, int columns) {
    REAL sum[ROWS][COLUMNS];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++)
            sum[i][j] = (REAL)(0.0f);
    // What the tile below this one will need and this one does not.
    UNROLL for (int r = 0; r < STEP_Y; r++)
        UNROLL for (int c = 0; c < STEP_X; c++)
            PREFETCH(in + (SPAN_Y(ROWS) + r) * in_row + c * B);
    UNROLL for (int r = 0; r < SPAN_Y(rows); r++)
        UNROLL for (int c = 0; c < SPAN_X(columns); c++) {
            const REAL pixel = LOAD(in + r * in_row + c * B);
            UNROLL for (int i = 0; i < rows; i++)
                UNROLL for (int j = 0; j < columns; j++)
                    if (JOINS(TAP_Y(i, r), DH, KH) && JOINS(TAP_X(j, c), DW, KW))
                        sum[i][j] = fma(w[TAP_Y(i, r) / DH * KW + TAP_X(j, c) / DW], pixel, sum[i][j]);
        }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++) {
            global float *to = out + i * out_row + j * B;
            const REAL value = epilogue(sum[i][j], bias, lanes, parameter);
#if ACCUMULATE
            STORE(LOAD(to) + value, to);
#else
            STORE_OUTPUT(value, to);
#endif
        }
}

INLINE void strip(const global float *in, int in_row, const REAL *w, REAL bias, REAL lanes, float parameter,
                  global float *out, int out_row, int rows, int tiles) {
    for (int t = 0; t < tiles; t++, in += STEP_X * B, out += COLUMNS * B)
        tile(in, in_row, w, bias, lanes, parameter, out, out_row, rows, COLUMNS);
#if REST_COLUMNS
    tile(in, in_row, w, bias, lanes, parameter, out, out_row, rows, REST_COLUMNS);
#endif
}

// Item (group of `strips` strips of ROWS rows, group of `images` images, channel block). `whole`: strips of ROWS rows
// in the map; `tiles`: whole tiles in its width.
ITEM void depthwise_gather(const global float *restrict in, TENSOR(in), const global float *restrict weights,
                           global float *restrict out, TENSOR(out), const global float *restrict bias_vector,
                           float parameter, int whole, int tiles, int strips, int images, int batch) {
    const int first = get_global_id(0) * strips, n0 = get_global_id(1) * images, block = get_global_id(2);
    REAL w[TAPS];
    UNROLL for (int t = 0; t < TAPS; t++)
        w[t] = LOAD(weights + ((size_t)block * TAPS + t) * B);
    REAL bias = (REAL)(0.0f), lanes = (REAL)(1.0f);
#if BIAS
    bias = LOAD(bias_vector + (size_t)block * B);
#endif
#if LANES < B
    if (block == (int)get_global_size(2) - 1) {
        float live[B];
        for (int i = 0; i < B; i++)
            live[i] = i < LANES ? 1.0f : 0.0f;
        lanes = LOAD(live);
    }
#endif
    in += in_start + block * in_block;
    out += out_start + block * out_block;
    for (int n = n0; n < min(n0 + images, batch); n++) {
        const global float *from = in + (long)n * in_image + first * STEP_Y * in_row;
        global float *to = out + (long)n * out_image + first * ROWS * out_row;
        const int last = min(first + strips, whole);
        for (int s = first; s < last; s++, from += STEP_Y * in_row, to += ROWS * out_row)
            strip(from, in_row, w, bias, lanes, parameter, to, out_row, ROWS, tiles);
#if REST_ROWS
        if (whole < first + strips)
            strip(from, in_row, w, bias, lanes, parameter, to, out_row, REST_ROWS, tiles);
#endif
    }
}

#endif

// ---- backward weight ------------------------------------------------------------------------------------------------

#ifdef PARTS

INLINE void weight_tile(const global float *x, int x_row, const global float *y, int y_row, REAL *sum, int rows,
                        int columns) {
    REAL d[ROWS][COLUMNS];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++)
            d[i][j] = LOAD(y + i * y_row + j * B);
    UNROLL for (int r = 0; r < STEP_Y; r++)
        UNROLL for (int c = 0; c < STEP_X; c++)
            PREFETCH(x + (SPAN_Y(ROWS) + r) * x_row + c * B);
    UNROLL for (int i = 0; i < ROWS; i++)
        UNROLL for (int j = 0; j < COLUMNS; j++)
            PREFETCH(y + (ROWS + i) * y_row + j * B);
    UNROLL for (int r = 0; r < SPAN_Y(rows); r++)
        UNROLL for (int c = 0; c < SPAN_X(columns); c++) {
            const REAL pixel = LOAD(x + r * x_row + c * B);
            UNROLL for (int i = 0; i < rows; i++)
                UNROLL for (int j = 0; j < columns; j++)
                    if (JOINS(TAP_Y(i, r), DH, TAP_ROWS) && JOINS(TAP_X(j, c), DW, KW)) {
                        const int t = TAP_Y(i, r) / DH * KW + TAP_X(j, c) / DW;
                        sum[t] = fma(d[i][j], pixel, sum[t]);
                    }
        }
}

INLINE void weight_strip(const global float *x, int x_row, const global float *y, int y_row, REAL *sum, int rows,
                         int tiles) {
    for (int t = 0; t < tiles; t++, x += STEP_X * B, y += COLUMNS * B)
        weight_tile(x, x_row, y, y_row, sum, rows, COLUMNS);
#if REST_COLUMNS
    weight_tile(x, x_row, y, y_row, sum, rows, REST_COLUMNS);
#endif
}

// Item (part, group of TAP_ROWS rows of taps, channel block): the sum over a part of the strips of all images, in a
// copy of the weights of its own; with one part, in the weights themselves. `whole`, `tiles`: as above.
ITEM void depthwise_weight(const global float *restrict x, TENSOR(x), const global float *restrict y, TENSOR(y),
                           global float *restrict out, int whole, int tiles, int batch) {
    const int part = get_global_id(0), group = get_global_id(1), block = get_global_id(2);
    const int strips = whole + (REST_ROWS > 0), total = strips * batch;
    const int last = (int)((long)total * (part + 1) / PARTS);
    REAL sum[TAP_ROWS * KW];
    UNROLL for (int t = 0; t < TAP_ROWS * KW; t++)
        sum[t] = (REAL)(0.0f);
    x += x_start + block * x_block + (long)group * TAP_ROWS * DH * x_row;
    y += y_start + block * y_block;
    for (int s = (int)((long)total * part / PARTS); s < last; s++) {
        const int n = s / strips, row = s % strips;
        const global float *from = x + (long)n * x_image + row * STEP_Y * x_row;
        const global float *grad = y + (long)n * y_image + row * ROWS * y_row;
#if REST_ROWS
        if (row == whole)
            weight_strip(from, x_row, grad, y_row, sum, REST_ROWS, tiles);
        else
#endif
            weight_strip(from, x_row, grad, y_row, sum, ROWS, tiles);
    }
    out += (((size_t)part * get_global_size(2) + block) * TAPS + group * TAP_ROWS * KW) * B;
    UNROLL for (int t = 0; t < TAP_ROWS * KW; t++) {
#if ACCUMULATE && PARTS == 1
        sum[t] += LOAD(out + t * B);
#endif
        STORE(sum[t], out + t * B);
    }
}

// Item = channel block: adds the parts in their order.
ITEM void depthwise_reduce(const global float *restrict parts, global float *restrict out) {
    const size_t from = (size_t)get_global_id(0) * TAPS * B, stride = get_global_size(0) * TAPS * B;
    for (int t = 0; t < TAPS; t++) {
        const size_t at = from + t * B;
        REAL sum = LOAD(parts + at);
        for (int part = 1; part < PARTS; part++)
            sum += LOAD(parts + part * stride + at);
#if ACCUMULATE
        sum += LOAD(out + at);
#endif
        STORE(sum, out + at);
    }
}

#endif
