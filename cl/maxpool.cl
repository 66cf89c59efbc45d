// Max pooling; the maths is in host/ops/maxpool.c. Backward gathers: each input pixel asks the windows that
// contain it which tap has won.
//
//   -D  KH KW kernel, SH SW stride, PT PL padding above and to the left, DH DW dilation
//   winners [C/B][N][OH][OW][B]: the winning tap ky * KW + kx

#if B == 1
#define INDICES int
#define LOAD_WINNERS(p) ((int)*(p))
#define STORE_WINNERS(v, p) (*(p) = (ushort)(v))
#else
#define INDICES CAT(int, B)
#define LOAD_WINNERS(p) CAT(convert_int, B)(CAT(vload, B)(0, p))
#define STORE_WINNERS(v, p) CAT(vstore, B)(CAT(convert_ushort, B)(v), 0, p)
#endif

// x_h, x_w: the input's size; images: N as allocated.
kernel void maxpool_forward(global const float *x, global float *y, int x_h, int x_w, int images, int unused, WALK,
                            MAP(x), MAP(y), global ushort *winners) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        const int n = r / h, oy = r % h;
        global const float *map = MAP_BASE(x, cb) + (long)n * x_image;
        global float *q = MAP_AT(y, cb, r);
        global ushort *won = winners + (((long)cb * images + n) * h + oy) * w * B;
        EACH_PIXEL(ox) {
            REAL best = (REAL)(-INFINITY);
            INDICES winner = (INDICES)(0);
            for (int ky = 0; ky < KH; ky++) {
                const int iy = oy * SH - PT + ky * DH;
                if (iy < 0 || iy >= x_h)
                    continue;
                for (int kx = 0; kx < KW; kx++) {
                    const int ix = ox * SW - PL + kx * DW;
                    if (ix < 0 || ix >= x_w)
                        continue;
                    const REAL v = LOAD(map + iy * x_row + ix * B);
                    const INDICES larger = v > best || isnan(v);
                    best = select(best, v, larger);
                    winner = select(winner, (INDICES)(ky * KW + kx), larger);
                }
            }
            STORE(best, q + ox * B);
            STORE_WINNERS(winner, won + ox * B);
        }
    }
}

kernel void maxpool_backward(global const float *dy, global float *dx, int y_h, int y_w, int images,
                             int accumulate, WALK, MAP(dy), MAP(dx), global const ushort *winners) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        const int n = r / h, iy = r % h;
        global const float *map = MAP_BASE(dy, cb) + (long)n * dy_image;
        global const ushort *won = winners + ((long)cb * images + n) * y_h * y_w * B;
        global float *q = MAP_AT(dx, cb, r);
        EACH_PIXEL(ix) {
            REAL sum = (REAL)(0.0f);
            if (accumulate)
                sum = LOAD(q + ix * B);
            for (int ky = 0; ky < KH; ky++) {
                const int sy = iy + PT - ky * DH, oy = sy / SH;
                if (sy < 0 || sy % SH != 0 || oy >= y_h)
                    continue;
                for (int kx = 0; kx < KW; kx++) {
                    const int sx = ix + PL - kx * DW, ox = sx / SW;
                    if (sx < 0 || sx % SW != 0 || ox >= y_w)
                        continue;
                    const INDICES winner = LOAD_WINNERS(won + (oy * y_w + ox) * B);
                    sum += select((REAL)(0.0f), LOAD(map + oy * dy_row + ox * B), winner == ky * KW + kx);
                }
            }
            STORE(sum, q + ix * B);
        }
    }
}
