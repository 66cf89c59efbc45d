// Padding that repeats the input; the maths is in host/ops/pad.c. Channels may be padded too, so lanes are taken one
// by one.
//
//   -D REFLECT  1: reflect, 0: edge

// Along an axis with n places and `before` more in front: where place o of the output comes from, ...
static inline int source(int o, int before, int n) {
#if REFLECT
    const int i = abs(o - before);
    return i < n ? i : 2 * (n - 1) - i;
#else
    return clamp(o - before, 0, n - 1);
#endif
}

// ... and the three ranges [first, end) of places that come from i; some are empty.
struct readers {
    int first[3], end[3];
};
static struct readers readers_of(int i, int before, int after, int n) {
    struct readers r;
#if REFLECT
    const bool low = i > 0 && i <= before, high = i < n - 1 && i >= n - 1 - after;
    r.first[0] = before - i;
    r.end[0] = r.first[0] + (low ? 1 : 0);
    r.first[2] = before + 2 * (n - 1) - i;
    r.end[2] = r.first[2] + (high ? 1 : 0);
#else
    r.first[0] = 0;
    r.end[0] = i == 0 ? before : 0;
    r.first[2] = before + n;
    r.end[2] = before + n + (i == n - 1 ? after : 0);
#endif
    r.first[1] = before + i;
    r.end[1] = before + i + 1;
    return r;
}

// Of one channel's map.
static float sum_readers(global const float *map, int row, struct readers rows, struct readers columns) {
    float sum = 0.0f;
    for (int a = 0; a < 3; a++)
        for (int y = rows.first[a]; y < rows.end[a]; y++)
            for (int b = 0; b < 3; b++)
                for (int x = columns.first[b]; x < columns.end[b]; x++)
                    sum += map[y * row + x * B];
    return sum;
}

#define CHANNEL(t, c, n) (MAP_BASE(t, (c) / B) + (long)(n) * t##_image + (c) % B)

kernel void pad_forward(global const float *x, global float *y, int x_c, int x_h, int x_w, int front, int top,
                        int left, int back, int bottom, int right, int unused, WALK, MAP(x), MAP(y)) {
    const int cb = get_global_id(2), channels = front + x_c + back;
    for (int lane = 0; lane < B; lane++) {
        const int c = cb * B + lane, from = source(c, front, x_c);
        EACH_ROW(r) {
            global float *q = MAP_AT(y, cb, r) + lane;
            if (c >= channels) {
                EACH_PIXEL(i) q[i * B] = 0.0f;
                continue;
            }
            global const float *p = CHANNEL(x, from, r / h) + source(r % h, top, x_h) * x_row;
            EACH_PIXEL(i) q[i * B] = p[source(i, left, x_w) * B];
        }
    }
}

kernel void pad_backward(global const float *dy, global float *dx, int x_c, int x_h, int x_w, int front, int top,
                         int left, int back, int bottom, int right, int accumulate, WALK, MAP(dy), MAP(dx)) {
    const int cb = get_global_id(2);
    for (int lane = 0; lane < B; lane++) {
        const int c = cb * B + lane;
        const struct readers channels = readers_of(c, front, back, x_c);
        EACH_ROW(r) {
            const struct readers lines = readers_of(r % h, top, bottom, x_h);
            global float *q = MAP_AT(dx, cb, r) + lane;
            EACH_PIXEL(i) {
                const struct readers columns = readers_of(i, left, right, x_w);
                float sum = accumulate ? q[i * B] : 0.0f;
                for (int k = 0; k < 3 && c < x_c; k++)
                    for (int o = channels.first[k]; o < channels.end[k]; o++)
                        sum += sum_readers(CHANNEL(dy, o, r / h), dy_row, lines, columns);
                q[i * B] = sum;
            }
        }
    }
}
