// A convolution's bias: y[n,o,y,x] = b[o], for convolutions that add to their output; and its gradient,
// db[o] = sum of dY[n,o,y,x] over n, y, x.
//
// partial [chunk][lanes] holds the sums over chunks of rows; combine adds them in order and writes zeros past
// the last channel. `lanes`: channels of dY padded to whole blocks.

kernel void conv_bias_partial(global const float *dy, global float *partial, int lanes, WALK, MAP(dy)) {
    SCRATCH;
    const int cb = get_global_id(2);
    REAL sum = (REAL)(0.0f);
    GROUP_ROWS(r) {
        global const float *p = MAP_AT(dy, cb, r);
        GROUP_PIXELS(i) sum += LOAD(p + i * B);
    }
    sum = GROUP_SUM(sum);
    if (GROUP_LEADER)
        STORE(sum, partial + (long)ROW_CHUNK * lanes + cb * B);
}

kernel void conv_bias_combine(global const float *partial, global float *db, int chunks, int lanes, int size) {
    const int o = get_global_id(0);
    if (o >= size)
        return;
    float sum = 0.0f;
    if (o < lanes)
        for (int chunk = 0; chunk < chunks; chunk++)
            sum += partial[(long)chunk * lanes + o];
    db[o] = sum;
}

// Padded lanes of the bias are zero.
kernel void conv_bias_fill(global const float *bias, global float *y, WALK, MAP(y)) {
    const int cb = get_global_id(2);
    const REAL value = LOAD(bias + cb * B);
    EACH_ROW(r) {
        global float *q = MAP_AT(y, cb, r);
        EACH_PIXEL(i) STORE(value, q + i * B);
    }
}
