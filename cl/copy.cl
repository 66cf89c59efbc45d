// Copies of boxes, for slice, pad and concat (host/ops/copy.h).

#define COPY_OVER 0
#define COPY_CLEAR 1
#define COPY_ADD 2

// Channel x_first + i x_step of x to channel y_first + i y_step of y, for i < count. The maps begin at the boxes'
// first pixels; x_pixel and y_pixel are from one pixel to the next, in floats, and any stride but y_step may be
// negative. Items own whole vectors of y.
//
// Runs of channels that fill a vector of y come from one vector of x, or from the end of one and the start of the next
// block's: two loads, shifted so that their lanes fall where they belong. All else goes lane by lane.
kernel void copy_box(global const float *x, global float *y, int x_first, int x_step, int y_first, int y_step,
                     int count, int mode, int x_pixel, int y_pixel, WALK, MAP(x), MAP(y)) {
    const int block = y_first / B + get_global_id(2), done = block * B - y_first; // of y; channels before this block
    const bool run = x_step == 1 && y_step == 1, aligned = run && x_first % B == 0 && y_first % B == 0;
    if (aligned || (run && done >= 0 && done + B <= count)) {
        const int source = x_first + done, lanes = count - done, shift = source % B;
        EACH_ROW(r) {
            global const float *p = MAP_AT(x, source / B, r) + shift;
            global const float *next = shift ? MAP_AT(x, source / B + 1, r) - (B - shift) : p;
            global float *q = MAP_AT(y, block, r);
            EACH_PIXEL(i) {
                REAL v = keep_lanes(LOAD(p + i * x_pixel), LOAD(next + i * x_pixel), B - shift);
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
        const int distance = done + lane, place = distance / y_step;
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
