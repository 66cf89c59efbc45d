// The weight gradient of a direct convolution on CPU devices:
//
//   w[o, i, tap] = sum over pixels of y[pixel, o] * x[pixel at tap, i]
//
// A work-item owns some panels of output channels and some blocks of input channels. It goes over the pixels in
// chunks that its cache keeps; for each chunk, block, panel and tap it sums MR input channels by NV vectors of
// output channels in registers and adds them to the result. Meanwhile the turns of a panel, its taps and parts of a
// block, fetch what the next panel and the next block will read, so that memory is busy all the time. Where that
// gives too few items, the chunks are split among several, each with a result of its own, which
// conv_direct_weight_reduce adds up in their order.

#ifndef NV
#define NV 2
#endif
#ifndef MR
#define MR 8 // input channels of a tile; divides `run`
#endif

#ifndef FETCHES
#define FETCHES NV // vectors of the next panel's y that a turn fetches
#endif

#define NR (NV * B)
#define UNROLL _Pragma("unroll")

// Global size: (groups of panels, groups of blocks, splits).
__attribute__((reqd_work_group_size(1, 1, 1))) kernel void
conv_direct_weight(global const float *restrict x, global const float *restrict y, global float *restrict w,
                   int panels, int blocks, int taps_h, int taps_w, int run, int last_run, long x_offset, long x_block,
                   int x_image, int x_row, int x_pixel, int x_tap_row, int x_tap, long y_offset, long y_block, int y_image,
                   int y_row, int y_pixel, int images, int out_h, int out_w, int chunk_images, int chunk_h,
                   int chunk_w, int panels_per_item, int blocks_per_item, int chunks_per_split, long split_size,
                   int accumulate) {
    const int panel0 = get_global_id(0) * panels_per_item, panel1 = min(panel0 + panels_per_item, panels);
    const int block0 = get_global_id(1) * blocks_per_item, block1 = min(block0 + blocks_per_item, blocks);
    const int chunks_h = (out_h + chunk_h - 1) / chunk_h, chunks_w = (out_w + chunk_w - 1) / chunk_w;
    const int chunks = (images + chunk_images - 1) / chunk_images * chunks_h * chunks_w;
    const int first = get_global_id(2) * chunks_per_split, last = min(first + chunks_per_split, chunks);
    const int taps = taps_h * taps_w;
    x += x_offset;
    y += y_offset;
    w += get_global_id(2) * split_size;
    for (int chunk = first; chunk < last; chunk++) {
        const int n0 = chunk / (chunks_h * chunks_w) * chunk_images, n1 = min(n0 + chunk_images, images);
        const int y0 = chunk / chunks_w % chunks_h * chunk_h, y1 = min(y0 + chunk_h, out_h);
        const int x0 = chunk % chunks_w * chunk_w, x1 = min(x0 + chunk_w, out_w);
        const int add = accumulate || chunk > first;
        // From here to the next chunk; what lies past the last one is fetched in vain.
        const long x_next = x1 < out_w   ? (long)(x1 - x0) * x_pixel
                            : y1 < out_h ? (long)(y1 - y0) * x_row
                                         : (long)(n1 - n0) * x_image - (long)y0 * x_row;
        const long y_next = x1 < out_w   ? (long)(x1 - x0) * y_pixel
                            : y1 < out_h ? (long)(y1 - y0) * y_row
                                         : (long)(n1 - n0) * y_image - (long)y0 * y_row;
        for (int block = block0; block < block1; block++)
            for (int panel = panel0; panel < panel1; panel++)
                for (int tap = 0; tap < taps; tap++)
                    for (int part = 0; part < run; part += MR) {
                        REAL sum[MR][NV];
                        UNROLL for (int m = 0; m < MR; m++)
                            UNROLL for (int v = 0; v < NV; v++)
                                sum[m][v] = (REAL)(0.0f);
                        const int turn = (tap * run + part) / MR * FETCHES;
                        const long x_ahead = block + 1 < block1 ? x_block : x_next + (block0 - block) * x_block;
                        long y_ahead = 0;
                        if (turn < NV && panel + 1 < panel1)
                            y_ahead = (NV + turn) * y_block;
                        else if (turn < NV && block + 1 == block1)
                            y_ahead = y_next + ((panel0 - panel) * NV + turn) * y_block;
                        const int live = block + 1 < blocks || part < last_run; // not all padding
                        for (int n = live ? n0 : n1; n < n1; n++)
                            for (int row = y0; row < y1; row++) {
                                global const float *a = x + block * x_block + (long)n * x_image +
                                                        (long)row * x_row + (long)x0 * x_pixel +
                                                        tap / taps_w * x_tap_row + tap % taps_w * x_tap + part;
                                global const float *b = y + panel * NV * y_block + (long)n * y_image +
                                                        (long)row * y_row + (long)x0 * y_pixel;
                                for (int column = x0; column < x1; column++) {
                                    REAL grad[NV];
                                    PREFETCH(a + x_ahead);
                                    UNROLL for (int v = 0; v < FETCHES; v++)
                                        PREFETCH(b + y_ahead + v * y_block);
                                    UNROLL for (int v = 0; v < NV; v++)
                                        grad[v] = LOAD(b + v * y_block);
                                    UNROLL for (int m = 0; m < MR; m++) {
                                        const REAL pixel = (REAL)(a[m]);
                                        UNROLL for (int v = 0; v < NV; v++)
                                            sum[m][v] = fma(pixel, grad[v], sum[m][v]);
                                    }
                                    a += x_pixel;
                                    b += y_pixel;
                                }
                            }
                        global float *p = w + (((long)panel * blocks + block) * taps + tap) * run * NR + part * NR;
                        UNROLL for (int m = 0; m < MR; m++)
                            UNROLL for (int v = 0; v < NV; v++) {
                                if (add)
                                    sum[m][v] += LOAD(p + m * NR + v * B);
                                STORE(sum[m][v], p + m * NR + v * B);
                            }
                    }
    }
}

// w (+)= the sum of `splits` partial results, 64 vectors to an item.
__attribute__((reqd_work_group_size(1, 1, 1))) kernel void
conv_direct_weight_reduce(global const float *restrict partial, global float *restrict w, int splits,
                          long split_size, int accumulate) {
    const long first = get_global_id(0) * 64L * B, last = min(first + 64L * B, split_size);
    for (long i = first; i < last; i += B) {
        REAL sum = accumulate ? LOAD(w + i) : (REAL)(0.0f);
        for (int split = 0; split < splits; split++)
            sum += LOAD(partial + split * split_size + i);
        STORE(sum, w + i);
    }
}
