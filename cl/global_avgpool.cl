// y[n,c] = scale * sum of x[n,c,:,:], one group for an image and a channel block; dX (+)= scale * dY[n,c].

kernel void global_avgpool_forward(global const float *x, global float *y, float scale, WALK, MAP(x), MAP(y)) {
    SCRATCH;
    const int cb = get_global_id(2);
    REAL sum = (REAL)(0.0f);
    GROUP_ROWS(r) {
        global const float *p = MAP_AT(x, cb, r);
        REAL row = (REAL)(0.0f);
        GROUP_PIXELS(i) row += LOAD(p + i * B);
        sum += row;
    }
    sum = GROUP_SUM(sum);
    if (GROUP_LEADER)
        STORE(sum * scale, MAP_BASE(y, cb) + (long)ROW_CHUNK * y_image);
}

kernel void global_avgpool_backward(global const float *dy, global float *dx, float scale, int accumulate, WALK,
                                    MAP(dy), MAP(dx)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        const REAL grad = LOAD(MAP_BASE(dy, cb) + (long)(r / h) * dy_image) * scale;
        global float *q = MAP_AT(dx, cb, r);
        if (accumulate)
            EACH_PIXEL(i) STORE(LOAD(q + i * B) + grad, q + i * B);
        else
            EACH_PIXEL(i) STORE(grad, q + i * B);
    }
}
