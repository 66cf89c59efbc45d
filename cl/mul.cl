// Products; the maths is in host/ops/mul.c. out may be a's buffer.

// out (+)= a b; a gate b has one pixel for each image.
kernel void mul_product(global const float *a, global const float *b, global float *out, int gate, int accumulate,
                        WALK, MAP(a), MAP(b), MAP(out)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *p = MAP_AT(a, cb, r);
        global const float *q = gate ? MAP_BASE(b, cb) + (long)(r / h) * b_image : MAP_AT(b, cb, r);
        global float *result = MAP_AT(out, cb, r);
        const int step = gate ? 0 : B;
        EACH_PIXEL(i) {
            REAL v = LOAD(p + i * B) * LOAD(q + i * step);
            if (accumulate)
                v += LOAD(result + i * B);
            STORE(v, result + i * B);
        }
    }
}

// db[n,c] (+)= sum of dy a over the map, a group for an image and a channel block.
kernel void mul_sum(global const float *dy, global const float *a, global float *db, int accumulate, WALK,
                    MAP(dy), MAP(a), MAP(db)) {
    SCRATCH;
    const int cb = get_global_id(2);
    REAL sum = (REAL)(0.0f);
    GROUP_ROWS(r) {
        global const float *p = MAP_AT(dy, cb, r), *q = MAP_AT(a, cb, r);
        REAL row = (REAL)(0.0f);
        GROUP_PIXELS(i) row += LOAD(p + i * B) * LOAD(q + i * B);
        sum += row;
    }
    sum = GROUP_SUM(sum);
    if (GROUP_LEADER) {
        global float *result = MAP_BASE(db, cb) + (long)ROW_CHUNK * db_image;
        if (accumulate)
            sum += LOAD(result);
        STORE(sum, result);
    }
}
