// AdamW; the formula is in host/train/optimizer_adamw.c. keep: 1 - lr decay; new1, new2: 1 - beta1, 1 - beta2;
// rate: lr / (1 - beta1^t); root: 1 / sqrt(1 - beta2^t). A work-item updates per_item floats.

kernel void adamw(global float *restrict value, global const float *restrict grad, global float *restrict mean,
                  global float *restrict square, long size, int per_item, float keep, float beta1, float new1,
                  float beta2, float new2, float rate, float root, float eps) {
    const long first = (long)get_global_id(0) * per_item, end = min(size, first + per_item);
    for (long i = first; i < end; i++) {
        const float g = grad[i], m = beta1 * mean[i] + new1 * g, v = beta2 * square[i] + new2 * (g * g);
        mean[i] = m;
        square[i] = v;
        value[i] = value[i] * keep - rate * m / (sqrt(v) * root + eps);
    }
}
