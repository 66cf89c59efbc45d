// Average pooling; the maths is in host/ops/avgpool.c and adaptive_avgpool.c. Backward gathers.
//
//   -D  KH KW kernel, SH SW stride, PT PL PB PR padding, COUNT_PAD whether padding counts in
//       the average;
//       or ADAPTIVE: windows by the ratio of the sizes

// Of one axis, with `in` and `out` the sizes: the window of output o is [first, end) inside the map and counts
// `size` places; the outputs whose windows contain input i are [low, high].
struct window {
    int first, end, size;
};
#if defined(ADAPTIVE)
#define WINDOW(o, in, out, k, s, p, q) adaptive_window(o, in, out)
static struct window adaptive_window(int o, int in, int out) {
    const int first = o * in / out, end = ((o + 1) * in + out - 1) / out;
    return (struct window){first, end, end - first};
}
#define LOW(i, in, out, k, s, p) ((i) * (out) / (in))
#define HIGH(i, in, out, k, s, p) ((((i) + 1) * (out) - 1) / (in))
#define KH 0
#define KW 0
#define SH 0
#define SW 0
#define PT 0
#define PL 0
#define PB 0
#define PR 0
#else
#define WINDOW(o, in, out, k, s, p, q) fixed_window(o, in, k, s, p, q)
static struct window fixed_window(int o, int in, int k, int s, int p, int q) {
    const int first = o * s - p, end = min(first + k, in + q);
    const int inside_first = max(first, 0), inside_end = min(end, in);
    return (struct window){inside_first, inside_end, COUNT_PAD ? end - first : inside_end - inside_first};
}
#define LOW(i, in, out, k, s, p) ((i) + (p) < (k) ? 0 : ((i) + (p) - (k)) / (s) + 1)
#define HIGH(i, in, out, k, s, p) min(((i) + (p)) / (s), (out)-1)
#endif

// `images` is maxpool's.
kernel void avgpool_forward(global const float *x, global float *y, int x_h, int x_w, int images, int unused, WALK,
                            MAP(x), MAP(y)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *map = MAP_BASE(x, cb) + (long)(r / h) * x_image;
        global float *q = MAP_AT(y, cb, r);
        const struct window v = WINDOW(r % h, x_h, h, KH, SH, PT, PB);
        EACH_PIXEL(ox) {
            const struct window u = WINDOW(ox, x_w, w, KW, SW, PL, PR);
            REAL sum = (REAL)(0.0f);
            for (int iy = v.first; iy < v.end; iy++)
                for (int ix = u.first; ix < u.end; ix++)
                    sum += LOAD(map + iy * x_row + ix * B);
            STORE(sum / (float)(v.size * u.size), q + ox * B);
        }
    }
}

kernel void avgpool_backward(global const float *dy, global float *dx, int y_h, int y_w, int images,
                             int accumulate, WALK, MAP(dy), MAP(dx)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        const int iy = r % h;
        global const float *map = MAP_BASE(dy, cb) + (long)(r / h) * dy_image;
        global float *q = MAP_AT(dx, cb, r);
        EACH_PIXEL(ix) {
            REAL sum = (REAL)(0.0f);
            if (accumulate)
                sum = LOAD(q + ix * B);
            for (int oy = LOW(iy, h, y_h, KH, SH, PT); oy <= HIGH(iy, h, y_h, KH, SH, PT); oy++) {
                const int rows_counted = WINDOW(oy, h, y_h, KH, SH, PT, PB).size;
                for (int ox = LOW(ix, w, y_w, KW, SW, PL); ox <= HIGH(ix, w, y_w, KW, SW, PL); ox++)
                    sum += LOAD(map + oy * dy_row + ox * B) /
                           (float)(rows_counted * WINDOW(ox, w, y_w, KW, SW, PL, PR).size);
            }
            STORE(sum, q + ix * B);
        }
    }
}
