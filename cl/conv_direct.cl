// Direct convolution for CPU devices: a work-item makes a tile of MR pixels by NV vectors of output channels
// in registers, one tile after the other, and never splits the sum. Work-groups of one item, no local memory.
//
//   y[pixel, o] (+)= act(bias[o] + sum over channel blocks, taps and k of x[pixel at tap, k] * w[k, o])
//
// Backward-data is the same kernel on the gradient of y with the weights of conv_direct_transpose. What a pixel,
// a tap or an image is, is strides (host/kernels/conv_direct.h), so that one program serves most layers of a
// network; only what shapes the inner loop is a macro. The halo stands for the padding; no index is checked.
//
// A tile at the right or bottom edge is moved inwards and does not store the pixels of its neighbour again.

#ifndef NV
#define NV 2 // vectors of B output channels: a panel of the weights
#endif
#ifndef MR
#define MR 14 // pixels of a tile
#endif
#ifndef TW
#define TW MR // of which in a row
#endif
#ifndef XP
#define XP B // floats from one pixel of a tile's row to the next, in x
#endif
#ifndef YP
#define YP B // and in y
#endif
#ifndef ACT
#define ACT none
#endif
// ZERO_PADDING: the activation makes padded lanes non-zero. STREAM: y is too large for the cache to keep.

#define TH (MR / TW)
// Offset of pixel m of a tile from its first, in x and in y.
#define IN(m) ((m) / TW * (long)x_row + (m) % TW * XP)
#define OUT(m) ((m) / TW * (long)y_row + (m) % TW * YP)
#define UNROLL _Pragma("unroll")
#define TILES_AHEAD (NV == 1 ? 3 : 1) // tiles of one vector take less time than memory
#define ROLLED _Pragma("unroll 1") // with the tile unrolled, more makes the loop slower

// What becomes of one vector of one pixel, of whose channels `lanes` are real.
static inline void finish(REAL value, global float *p, float parameter, int accumulate, int lanes) {
    value = ACTIVATE(value, parameter);
    if (accumulate)
        value += LOAD(p);
    STORE_OUTPUT(value, p);
#ifdef ZERO_PADDING
    for (int lane = lanes; lane < B; lane++)
        p[lane] = 0.0f;
#endif
}

// Global size: (panels, blocks of tiles), or the other way round with tiles_first.
__attribute__((reqd_work_group_size(1, 1, 1))) kernel void
conv_direct(global const float *restrict x, global const float *restrict w, global float *restrict y,
            global const float *restrict bias, int has_bias, float parameter, int accumulate, int channels, int blocks, int taps_h, int taps_w,
            int run, int last_run, long x_offset, long x_block, int x_image, int x_row, int x_tap_row, int x_tap,
            long w_offset, long w_panel, int w_block, int w_tap_row, int w_tap, long y_offset, long y_block, int y_image,
            int y_row, int images, int out_h, int out_w, int tiles_per_item, int tiles_first) {
    const int panel = get_global_id(tiles_first), first = get_global_id(1 - tiles_first) * tiles_per_item;
    const int tiles_h = (out_h + TH - 1) / TH, tiles_w = (out_w + TW - 1) / TW;
    const int last = min(first + tiles_per_item, images * tiles_h * tiles_w);
    for (int tile = first; tile < last; tile++) {
        const int n = tile / (tiles_h * tiles_w), ty = tile / tiles_w % tiles_h, tx = tile % tiles_w;
        const int y0 = min(ty * TH, out_h - TH), x0 = max(min(tx * TW, out_w - TW), 0);
        global const float *corner = x + x_offset + (long)n * x_image + (long)y0 * x_row + (long)x0 * XP;
        REAL sum[MR][NV];
        UNROLL for (int v = 0; v < NV; v++) {
            const REAL start = has_bias ? LOAD(bias + (panel * NV + v) * B) : (REAL)(0.0f);
            UNROLL for (int m = 0; m < MR; m++)
                sum[m][v] = start;
        }
        for (int block = 0; block < blocks; block++) {
            global const float *pixels = corner + block * x_block;
            const int steps = block + 1 < blocks ? run : last_run;
            if (panel == 0) // the first to come here: fetch what a later tile needs
                UNROLL for (int m = 0; m < MR; m++)
                    PREFETCH(pixels + IN(m) + TILES_AHEAD * TW * XP);
            for (int ky = 0; ky < taps_h; ky++)
                for (int kx = 0; kx < taps_w; kx++) {
                    global const float *a = pixels + ky * x_tap_row + kx * x_tap;
                    global const float *b = w + w_offset + panel * w_panel + (long)block * w_block +
                                            ky * w_tap_row + kx * w_tap;
                    ROLLED for (int k = 0; k < steps; k++) {
                        REAL weight[NV];
                        UNROLL for (int v = 0; v < NV; v++)
                            weight[v] = LOAD(b + v * B);
                        UNROLL for (int m = 0; m < MR; m++) {
                            const REAL pixel = (REAL)(a[IN(m)]);
                            UNROLL for (int v = 0; v < NV; v++)
                                sum[m][v] = fma(pixel, weight[v], sum[m][v]);
                        }
                        a++;
                        b += NV * B;
                    }
                }
        }
        global float *out = y + y_offset + panel * NV * y_block + (long)n * y_image + (long)y0 * y_row +
                            (long)x0 * YP;
        UNROLL for (int m = 0; m < MR; m++)
            if (y0 + m / TW >= ty * TH && x0 + m % TW >= tx * TW && x0 + m % TW < out_w)
                UNROLL for (int v = 0; v < NV; v++)
                    finish(sum[m][v], out + OUT(m) + v * y_block, parameter, accumulate,
                           channels - (panel * NV + v) * B);
    }
}

// Weights for backward-data: [O/BO][I/B][taps][B][BO] -> [I/NR][O/B][taps][B][NR], NR = NV * B. Global size:
// (panels of input channels, blocks of output channels).
#ifndef BO
#define BO (2 * B)
#endif

__attribute__((reqd_work_group_size(1, 1, 1))) kernel void
conv_direct_transpose(global const float *restrict w, global float *restrict t, int blocks_i, int taps) {
    const int panel = get_global_id(0), block = get_global_id(1), blocks = get_global_size(1);
    const int o = block * B;
    t += ((long)panel * blocks + block) * taps * (B * NV * B);
    for (int v = 0; v < NV; v++)
        for (int tap = 0; tap < taps; tap++) {
            const int i = panel * NV + v; // block of input channels
            global const float *from = w + (((long)(o / BO) * blocks_i + i) * taps + tap) * (B * BO) + o % BO;
            global float *to = t + (long)tap * (B * NV * B) + v * B;
            REAL rows[B];
            UNROLL for (int lane = 0; lane < B; lane++)
                rows[lane] = LOAD(from + lane * BO);
            transpose(rows);
            UNROLL for (int k = 0; k < B; k++)
                STORE(rows[k], to + k * NV * B);
        }
}
