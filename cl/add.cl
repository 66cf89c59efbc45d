// y = a + b (in place over either is fine), and dX (+)= dY.

kernel void add_forward(global const float *a, global const float *b, global float *y, WALK, MAP(a), MAP(b),
                        MAP(y)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *p = MAP_AT(a, cb, r), *q = MAP_AT(b, cb, r);
        global float *out = MAP_AT(y, cb, r);
        EACH_PIXEL(i) STORE(LOAD(p + i * B) + LOAD(q + i * B), out + i * B);
    }
}

kernel void add_backward(global const float *dy, global float *dx, int accumulate, WALK, MAP(dy), MAP(dx)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *p = MAP_AT(dy, cb, r);
        global float *q = MAP_AT(dx, cb, r);
        if (accumulate)
            EACH_PIXEL(i) STORE(LOAD(p + i * B) + LOAD(q + i * B), q + i * B);
        else
            EACH_PIXEL(i) STORE(LOAD(p + i * B), q + i * B);
    }
}
