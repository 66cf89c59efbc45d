// Backward of a linear layer, y[n][o] = sum w[o][k] x[n][k], k an input channel at a tap, with so few images that
// the weights are all that counts: they are read, or their gradient is written, once, in the order they lie in.
//
//   -D  B channels of a vector, NV vectors of a panel's outputs
//   w [panel][tile][B][NV * B]: a tile is the B input channels of a block at one of TAPS taps

#define ROW (NV * B)
#define TILE (B * ROW)
#define INPUT(t, n) (x_origin + (t) / taps * x_block + (long)(n) * x_image + (t) % taps / kw * x_row + (t) % taps % kw * B)
#define OUTPUT(p, v, n) (y_origin + ((long)(p) * NV + (v)) * y_block + (n) * y_image)
#define PLACES                                                                                                  \
    int panels, int tiles, int taps, int kw, int batch, int accumulate, int x_origin, int x_row, int x_image,   \
        long x_block, int y_origin, int y_image, long y_block

// x[n][k] (+)= sum over o of y[n][o] w[o][k]: TILES tiles for each item. Products are added up lane by lane, and the
// lanes last. PANELS panels at a time, a few pages side by side.
#define IMAGES 8
#define PANELS 8
#if B == 16
#define ROWS 2
#else
#define ROWS 1
#endif
kernel void linear_data(global const float *y, global const float *w, global float *x, int tiles_per_item, PLACES) {
    const int first_tile = get_global_id(0) * TILES, end_tile = min(first_tile + TILES, tiles);
    for (int first = 0; first < batch; first += IMAGES) {
        REAL sums[TILES * B][IMAGES];
        for (int r = 0; r < TILES * B; r++)
            for (int n = 0; n < IMAGES; n++)
                sums[r][n] = (REAL)(0.0f);
        for (int p0 = 0; p0 < panels; p0 += PANELS)
            for (int r = 0; r < (end_tile - first_tile) * B; r += ROWS) {
                REAL sum[ROWS][IMAGES];
#pragma unroll
                for (int k = 0; k < ROWS; k++)
#pragma unroll
                    for (int n = 0; n < IMAGES; n++)
                        sum[k][n] = sums[r + k][n];
                for (int p = p0; p < min(panels, p0 + PANELS); p++) {
                    global const float *from = w + ((long)p * tiles + first_tile) * TILE + r * ROW;
#pragma unroll
                    for (int v = 0; v < NV; v++) {
                        REAL weight[ROWS];
#pragma unroll
                        for (int k = 0; k < ROWS; k++)
                            weight[k] = LOAD(from + k * ROW + v * B);
#pragma unroll
                        for (int n = 0; n < IMAGES; n++) {
                            const REAL dy = LOAD(y + OUTPUT(p, v, min(first + n, batch - 1)));
#pragma unroll
                            for (int k = 0; k < ROWS; k++)
                                sum[k][n] += weight[k] * dy;
                        }
                    }
                }
#pragma unroll
                for (int k = 0; k < ROWS; k++)
#pragma unroll
                    for (int n = 0; n < IMAGES; n++)
                        sums[r + k][n] = sum[k][n];
            }
        for (int t = first_tile; t < end_tile; t++)
            for (int n = first; n < min(first + IMAGES, batch); n++) {
                global float *to = x + INPUT(t, n);
                for (int r = 0; r < B; r++) {
                    const float sum = lanes_sum(sums[(t - first_tile) * B + r][n - first]);
                    to[r] = accumulate ? to[r] + sum : sum;
                }
            }
    }
}

// w[o][k] (+)= sum over n of y[n][o] x[n][k]: tiles_per_item tiles of one panel for each item.
#if B == 16
#define GRADIENT_ROWS 8
#else
#define GRADIENT_ROWS 4
#endif
kernel void linear_weight(global const float *y, global const float *x, global float *w, int tiles_per_item, PLACES) {
    const int p = get_global_id(1), first_tile = get_global_id(0) * tiles_per_item;
    for (int t = first_tile; t < min(first_tile + tiles_per_item, tiles); t++)
        for (int r = 0; r < B; r += GRADIENT_ROWS) {
            REAL sum[GRADIENT_ROWS][NV];
#pragma unroll
            for (int k = 0; k < GRADIENT_ROWS; k++)
#pragma unroll
                for (int v = 0; v < NV; v++)
                    sum[k][v] = (REAL)(0.0f);
            for (int n = 0; n < batch; n++) {
                global const float *from = x + INPUT(t, n) + r;
                REAL dy[NV];
#pragma unroll
                for (int v = 0; v < NV; v++)
                    dy[v] = LOAD(y + OUTPUT(p, v, n));
#pragma unroll
                for (int k = 0; k < GRADIENT_ROWS; k++)
#pragma unroll
                    for (int v = 0; v < NV; v++)
                        sum[k][v] += from[k] * dy[v];
            }
            global float *to = w + ((long)p * tiles + t) * TILE + r * ROW;
#pragma unroll
            for (int k = 0; k < GRADIENT_ROWS; k++)
#pragma unroll
                for (int v = 0; v < NV; v++) {
                    global float *at = to + k * ROW + v * B;
                    if (accumulate)
                        STORE(sum[k][v] + LOAD(at), at);
                    else
                        STORE_OUTPUT(sum[k][v], at);
                }
        }
}
