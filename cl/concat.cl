// Copies `count` channels of x from x_first on to the channels of y from y_first on, or adds them. Without
// accumulate, the lanes behind them in their last block become zero. Whole vectors where both start at a block's
// first lane, else lane by lane.

kernel void concat_copy(global const float *x, global float *y, int x_first, int y_first, int count,
                        int accumulate, WALK, MAP(x), MAP(y)) {
    const int block = y_first / B + get_global_id(2); // of y
    if (x_first % B == 0 && y_first % B == 0) {
        const int source = block - y_first / B + x_first / B, lanes = count - (block - y_first / B) * B;
        EACH_ROW(r) {
            global const float *p = MAP_AT(x, source, r);
            global float *q = MAP_AT(y, block, r);
            EACH_PIXEL(i) {
                REAL v = keep_lanes(LOAD(p + i * B), (REAL)(0.0f), lanes);
                if (accumulate)
                    v += LOAD(q + i * B);
                STORE(v, q + i * B);
            }
        }
        return;
    }
    for (int lane = 0; lane < B; lane++) {
        const int c = block * B + lane - y_first, from = x_first + c;
        if (c < 0 || (c >= count && accumulate))
            continue;
        EACH_ROW(r) {
            global float *q = MAP_AT(y, block, r) + lane;
            if (c >= count) {
                EACH_PIXEL(i) q[i * B] = 0.0f;
                continue;
            }
            global const float *p = MAP_AT(x, from / B, r) + from % B;
            EACH_PIXEL(i) q[i * B] = accumulate ? q[i * B] + p[i * B] : p[i * B];
        }
    }
}
