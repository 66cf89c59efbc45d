// SGD; the formula is in host/train/optimizer_sgd.c. Factors of a tensor: rate and decay.

kernel void sgd_plain(global const struct update_row *restrict table, int count, global float *restrict values,
                      global const float *restrict grads) {
    UPDATE_ROW(row, table, count);
    global float *value = values + row.at[0];
    global const float *grad = grads + row.at[1];
    const float lr = row.factors[0], decay = row.factors[1];
    EACH_FLOAT(i, row) value[i] -= lr * (grad[i] + decay * value[i]);
}

kernel void sgd_momentum(global const struct update_row *restrict table, int count, global float *restrict values,
                         global const float *restrict grads, global float *restrict velocities, float momentum,
                         int nesterov) {
    UPDATE_ROW(row, table, count);
    global float *value = values + row.at[0], *velocity = velocities + row.at[2];
    global const float *grad = grads + row.at[1];
    const float lr = row.factors[0], decay = row.factors[1];
    // v's factor in the step is 1, d's 0; nesterov: momentum and 1
    const float of_velocity = nesterov ? momentum : 1.0f, of_gradient = nesterov ? 1.0f : 0.0f;
    EACH_FLOAT(i, row) {
        const float d = grad[i] + decay * value[i], v = momentum * velocity[i] + d;
        velocity[i] = v;
        value[i] -= lr * (of_velocity * v + of_gradient * d);
    }
}
