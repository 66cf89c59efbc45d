// AdamW; the formula is in host/train/optimizer_adamw.c. Factors of a tensor: keep, 1 - lr decay; rate,
// lr / (1 - beta1^t); root, 1 / sqrt(1 - beta2^t). new1, new2: 1 - beta1, 1 - beta2.

kernel void adamw(global const struct update_row *restrict table, int count, global float *restrict values,
                  global const float *restrict grads, global float *restrict means, global float *restrict squares,
                  float beta1, float new1, float beta2, float new2, float eps) {
    UPDATE_ROW(row, table, count);
    global float *value = values + row.at[0], *mean = means + row.at[2], *square = squares + row.at[3];
    global const float *grad = grads + row.at[1];
    const float keep = row.factors[0], rate = row.factors[1], root = row.factors[2];
    EACH_FLOAT(i, row) {
        const float g = grad[i], m = beta1 * mean[i] + new1 * g, v = beta2 * square[i] + new2 * (g * g);
        mean[i] = m;
        square[i] = v;
        value[i] = value[i] * keep - rate * m / (sqrt(v) * root + eps);
    }
}
