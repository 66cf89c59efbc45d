// Copies of boxes, for slice, pad and concat (host/ops/copy.h).

#define COPY_OVER 0
#define COPY_CLEAR 1
#define COPY_ADD 2

// Channel x_first + i x_step of x to channel y_first + i y_step of y, for i < count. The maps begin at the boxes'
// first pixels; x_pixel and y_pixel are from one pixel to the next, in floats, and any stride but y_step may be
// negative. Whole vectors where the channels lie alike in both, else lane by lane: items own whole vectors of y.
kernel void copy_box(global const float *x, global float *y, int x_first, int x_step, int y_first, int y_step,
                     int count, int mode, int x_pixel, int y_pixel, WALK, MAP(x), MAP(y)) {
    const int block = y_first / B + get_global_id(2); // of y
    if (x_first % B == 0 && y_first % B == 0 && x_step == 1 && y_step == 1) {
        const int done = block * B - y_first, source = (x_first + done) / B, lanes = count - done;
        EACH_ROW(r) {
            global const float *p = MAP_AT(x, source, r);
            global float *q = MAP_AT(y, block, r);
            EACH_PIXEL(i) {
                REAL v = LOAD(p + i * x_pixel);
                if (mode == COPY_ADD)
                    v = keep_lanes(v, (REAL)(0.0f), lanes) + LOAD(q + i * y_pixel);
                else if (lanes < B)
                    v = keep_lanes(v, mode == COPY_CLEAR ? (REAL)(0.0f) : LOAD(q + i * y_pixel), lanes);
                STORE(v, q + i * y_pixel);
            }
        }
        return;
    }
    for (int lane = 0; lane < B; lane++) {
        const int distance = block * B + lane - y_first, place = distance / y_step;
        const bool behind = place >= count;
        if (distance < 0 || (behind ? mode != COPY_CLEAR : distance % y_step != 0))
            continue;
        const int c = x_first + place * x_step;
        EACH_ROW(r) {
            global float *q = MAP_AT(y, block, r) + lane;
            if (behind) {
                EACH_PIXEL(i) q[i * y_pixel] = 0.0f;
                continue;
            }
            global const float *p = MAP_AT(x, c / B, r) + c % B;
            if (mode == COPY_ADD)
                EACH_PIXEL(i) q[i * y_pixel] += p[i * x_pixel];
            else
                EACH_PIXEL(i) q[i * y_pixel] = p[i * x_pixel];
        }
    }
}

kernel void copy_fill(global float *y, float value, int channels, WALK, MAP(y)) {
    const int cb = get_global_id(2);
    const REAL v = keep_lanes((REAL)(value), (REAL)(0.0f), channels - cb * B);
    EACH_ROW(r) {
        global float *q = MAP_AT(y, cb, r);
        EACH_PIXEL(i) STORE(v, q + i * B);
    }
}
