// Softmax cross-entropy of `classes` logits with dense targets, a work-group for each image; the maths is in
// host/ops/softmax_cross_entropy.c.
//
//   saved  [n][3]: the largest logit, log-sum-exp of the logits less that, sum of the targets

#define EACH_BLOCK(cb) for (int cb = get_local_id(0); cb * B < classes; cb += GROUP)
#define IMAGE_AT(t, cb) (MAP_BASE(t, cb) + (long)get_group_id(1) * t##_image)
#define ZERO ((REAL)(0.0f))

kernel void softmax_cross_entropy_forward(global const float *x, global const float *t, global float *loss,
                                          global float *saved, int classes, MAP(x), MAP(t), MAP(loss)) {
    SCRATCH;
    REAL most = (REAL)(-INFINITY), sum = ZERO, terms = ZERO, targets = ZERO;
    EACH_BLOCK(cb) most = max(most, keep_lanes(LOAD(IMAGE_AT(x, cb)), (REAL)(-INFINITY), classes - cb * B));
    const float shift = lanes_max(GROUP_MAX(most));
    EACH_BLOCK(cb) sum += keep_lanes(exp(LOAD(IMAGE_AT(x, cb)) - shift), ZERO, classes - cb * B);
    const float log_sum = log(lanes_sum(GROUP_SUM(sum)));
    EACH_BLOCK(cb) {
        const REAL target = LOAD(IMAGE_AT(t, cb));
        terms += target * (log_sum - (LOAD(IMAGE_AT(x, cb)) - shift));
        targets += target;
    }
    terms = GROUP_SUM(terms);
    targets = GROUP_SUM(targets);
    if (GROUP_LEADER) {
        STORE(keep_lanes((REAL)(lanes_sum(terms)), ZERO, 1), IMAGE_AT(loss, 0));
        vstore3((float3)(shift, log_sum, lanes_sum(targets)), get_group_id(1), saved);
    }
}

kernel void softmax_cross_entropy_backward(global const float *x, global const float *t, global float *dx,
                                           global const float *saved, int classes, float loss_scale,
                                           int accumulate, MAP(x), MAP(t), MAP(dx)) {
    const float3 s = vload3(get_group_id(1), saved); // shift, log-sum-exp, targets
    EACH_BLOCK(cb) {
        const REAL softmax = exp(LOAD(IMAGE_AT(x, cb)) - s.x - s.y);
        REAL result = keep_lanes(loss_scale * (softmax * s.z - LOAD(IMAGE_AT(t, cb))), ZERO, classes - cb * B);
        if (accumulate)
            result += LOAD(IMAGE_AT(dx, cb));
        STORE(result, IMAGE_AT(dx, cb));
    }
}
