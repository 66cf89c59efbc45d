// Softmax over `classes`, a work-group for each image; the maths is in host/ops/softmax.c. In place is fine.

#define EACH_BLOCK(cb) for (int cb = get_local_id(0); cb * B < classes; cb += GROUP)
#define IMAGE_AT(t, cb) (MAP_BASE(t, cb) + (long)get_group_id(1) * t##_image)
#define ZERO ((REAL)(0.0f))

kernel void softmax_forward(global const float *x, global float *y, int classes, MAP(x), MAP(y)) {
    SCRATCH;
    REAL most = (REAL)(-INFINITY), sum = ZERO;
    EACH_BLOCK(cb) most = max(most, keep_lanes(LOAD(IMAGE_AT(x, cb)), (REAL)(-INFINITY), classes - cb * B));
    const float shift = lanes_max(GROUP_MAX(most));
    EACH_BLOCK(cb) sum += keep_lanes(exp(LOAD(IMAGE_AT(x, cb)) - shift), ZERO, classes - cb * B);
    const float scale = 1.0f / lanes_sum(GROUP_SUM(sum));
    EACH_BLOCK(cb)
        STORE(keep_lanes(exp(LOAD(IMAGE_AT(x, cb)) - shift) * scale, ZERO, classes - cb * B), IMAGE_AT(y, cb));
}

kernel void softmax_backward(global const float *y, global const float *dy, global float *dx, int classes,
                             int accumulate, MAP(y), MAP(dy), MAP(dx)) {
    SCRATCH;
    REAL sum = ZERO;
    EACH_BLOCK(cb) sum += LOAD(IMAGE_AT(y, cb)) * LOAD(IMAGE_AT(dy, cb));
    const float average = lanes_sum(GROUP_SUM(sum));
    EACH_BLOCK(cb) {
        REAL result = LOAD(IMAGE_AT(y, cb)) * (LOAD(IMAGE_AT(dy, cb)) - average);
        if (accumulate)
            result += LOAD(IMAGE_AT(dx, cb));
        STORE(result, IMAGE_AT(dx, cb));
    }
}
