// SGD; the formula is in host/train/optimizer_sgd.c. A work-item updates per_item floats.

#define EACH_FLOAT(i)                                                                                   \
    for (long i = (long)get_global_id(0) * per_item, i##_end = min(size, i + per_item); i < i##_end; i++)

kernel void sgd_plain(global float *restrict value, global const float *restrict grad, long size, int per_item,
                      float lr, float decay) {
    EACH_FLOAT(i) value[i] -= lr * (grad[i] + decay * value[i]);
}

kernel void sgd_momentum(global float *restrict value, global const float *restrict grad,
                         global float *restrict velocity, long size, int per_item, float lr, float decay,
                         float momentum, int nesterov) {
    // v's factor in the step is 1, d's 0; nesterov: momentum and 1
    const float of_velocity = nesterov ? momentum : 1.0f, of_gradient = nesterov ? 1.0f : 0.0f;
    EACH_FLOAT(i) {
        const float d = grad[i] + decay * value[i], v = momentum * velocity[i] + d;
        velocity[i] = v;
        value[i] -= lr * (of_velocity * v + of_gradient * d);
    }
}
