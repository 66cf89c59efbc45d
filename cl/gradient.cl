// sum += grad: a parameter's gradient over the parts of a batch. A work-item adds per_item floats.

kernel void gradient_add(global float *restrict sum, global const float *restrict grad, long size, int per_item) {
    const long begin = (long)get_global_id(0) * per_item;
    for (long i = begin; i < min(size, begin + per_item); i++)
        sum[i] += grad[i];
}
