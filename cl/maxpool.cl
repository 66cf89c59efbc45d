// Max pooling; the maths is in host/ops/maxpool.c. Backward gathers: each input pixel asks the
// windows that contain it which tap has won.
//
//   -D  KH KW kernel, SH SW stride, PT PL padding above and to the left, DH DW dilation
//       WINNER the type of a winner; WINNERS: forward stores them
//   winners [C/B][N][OH][OW][B]: the winning tap ky * KW + kx
//
// Bitwise logic and ?: because pocl makes scalar code of || and select().

#if B == 1
#define INDICES int
#define LOAD_WINNERS(p) ((int)*(p))
#define STORE_WINNERS(v, p) (*(p) = (WINNER)(v))
#else
#define INDICES CAT(int, B)
#define LOAD_WINNERS(p) CAT(convert_int, B)(CAT(vload, B)(0, p))
#define STORE_WINNERS(v, p) (*(global CAT(WINNER, B) *)(p) = CAT(CAT(convert_, WINNER), B)(v))
#endif
#if KH * KW <= 16 && defined(POCL_DEVICE_ADDRESS_BITS) // oclgrind gets wrong winners when unrolled
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

// The largest value of a window, and of its taps [first_y, end_y) x [first_x, end_x). NaN is larger
// than all.
#define WINDOW                                                                                     \
    REAL best = (REAL)(-INFINITY);                                                                 \
    INDICES winner = (INDICES)(0)
#define TAP(ky, kx)                                                                                \
    {                                                                                              \
        const REAL v = LOAD(corner + (ky)*DH * x_row + (kx)*DW * B);                               \
        const INDICES larger = (v > best) | (v != v);                                              \
        best = larger ? v : best;                                                                  \
        winner = larger ? (INDICES)((ky)*KW + (kx)) : winner;                                      \
    }
__attribute__((always_inline)) static inline REAL whole_window(global const float *corner,
                                                               int x_row, INDICES *ret_winner) {
    WINDOW;
    UNROLL
    for (int ky = 0; ky < KH; ky++)
        UNROLL
        for (int kx = 0; kx < KW; kx++)
            TAP(ky, kx)
    *ret_winner = winner;
    return best;
}
static inline REAL part_window(global const float *corner, int x_row, int first_y, int end_y,
                               int first_x, int end_x, INDICES *ret_winner) {
    WINDOW;
    for (int ky = first_y; ky < end_y; ky++)
        for (int kx = first_x; kx < end_x; kx++)
            TAP(ky, kx)
    *ret_winner = winner;
    return best;
}

// The rows of later windows, ahead of their use: the processor does not see that they go on side by
// side.
#define AHEAD 32
static inline void fetch_rows(global const float *corner, int x_row) {
#if SERIAL
    for (int ky = KH > SH ? KH - SH : 0; ky < KH; ky++)
        for (int kx = 0; kx < SW; kx++)
            PREFETCH(corner + ky * DH * x_row + (AHEAD + kx) * B);
#endif
}

// The first tap, `step` apart, of a window that is not before the map, and the one after the last
// not behind it.
#define FIRST_TAP(begin, step) ((begin) < 0 ? (-(begin) + (step)-1) / (step) : 0)
#define END_TAP(begin, step, taps, size) min(taps, ((size) - (begin) + (step)-1) / (step))

// x_h, x_w: the input's size; images: N as allocated.
kernel void maxpool_forward(global const float *x, global float *y, int x_h, int x_w, int images,
                            int unused, WALK, MAP(x), MAP(y), global WINNER *winners) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        const int n = r / h, oy = r % h, iy = oy * SH - PT;
        const int first_y = FIRST_TAP(iy, DH), end_y = END_TAP(iy, DH, KH, x_h);
        global const float *map = MAP_BASE(x, cb) + (long)n * x_image + iy * x_row;
        global float *q = MAP_AT(y, cb, r);
        global WINNER *won = winners + (((long)cb * images + n) * h + oy) * w * B;
        EACH_PIXEL(ox) {
            const int ix = ox * SW - PL, first_x = FIRST_TAP(ix, DW),
                      end_x = END_TAP(ix, DW, KW, x_w);
            global const float *corner = map + ix * B;
            INDICES winner;
            fetch_rows(corner, x_row);
            const REAL best =
                first_y == 0 && end_y == KH && first_x == 0 && end_x == KW
                    ? whole_window(corner, x_row, &winner)
                    : part_window(corner, x_row, first_y, end_y, first_x, end_x, &winner);
            STORE_OUTPUT(best, q + ox * B);
            if (WINNERS)
                STORE_WINNERS(winner, won + ox * B);
        }
    }
}

// What the windows over pixel step * SW + phase - PL give to it; sy: the row, counted from the
// first window's beginning. `inside`: all these windows exist.
__attribute__((always_inline)) static inline REAL gather(global const float *dy, int dy_row,
                                                         global const WINNER *won, int y_h, int y_w,
                                                         int sy, int step, int phase, int inside) {
    REAL sum = (REAL)(0.0f);
    UNROLL
    for (int ky = 0; ky < KH; ky++) {
        const int oy = (sy - ky * DH) / SH;
        if (sy < ky * DH || (sy - ky * DH) % SH != 0 || oy >= y_h)
            continue;
        UNROLL
        for (int kx = 0; kx < KW; kx++) {
            const int ox = step + (phase - kx * DW) / SW;
            if ((phase - kx * DW) % SW != 0 || (!inside && (ox < 0 || ox >= y_w)))
                continue;
            const REAL v = LOAD(dy + oy * dy_row + ox * B);
            sum += LOAD_WINNERS(won + (oy * y_w + ox) * B) == (INDICES)(ky * KW + kx)
                       ? v
                       : (REAL)(0.0f);
        }
    }
    return sum;
}

kernel void maxpool_backward(global const float *dy, global float *dx, int y_h, int y_w, int images,
                             int accumulate, WALK, MAP(dy), MAP(dx), global const WINNER *winners) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        const int n = r / h, sy = r % h + PT;
        global const float *map = MAP_BASE(dy, cb) + (long)n * dy_image;
        global const WINNER *won = winners + ((long)cb * images + n) * y_h * y_w * B;
        global float *q = MAP_AT(dx, cb, r);
#define PIXEL(step, phase, inside)                                                                 \
    {                                                                                              \
        global float *p = q + ((step)*SW + (phase)-PL) * B;                                        \
        REAL sum = gather(map, dy_row, won, y_h, y_w, sy, step, phase, inside);                    \
        if (accumulate)                                                                            \
            sum += LOAD(p);                                                                        \
        STORE_OUTPUT(sum, p);                                                                      \
    }
#if SERIAL
        for (int step = PL / SW; step * SW - PL < w; step++) {
            const int ix = step * SW - PL;
            if (ix >= 0 && ix + SW <= w && step >= ((KW - 1) * DW + SW - 1) / SW && step < y_w) {
                UNROLL
                for (int phase = 0; phase < SW; phase++)
                    PIXEL(step, phase, 1)
            } else {
                for (int phase = max(0, -ix); phase < min(SW, w - ix); phase++)
                    PIXEL(step, phase, 0)
            }
        }
#else
        EACH_PIXEL(ix) PIXEL((ix + PL) / SW, (ix + PL) % SW, 0)
#endif
    }
}
