// Running averages of weights; host/train/average.h. A work-item takes per_item floats.

#define EACH_FLOAT(i)                                                                                   \
    for (long i = (long)get_global_id(0) * per_item, i##_end = min(size, i + per_item); i < i##_end; i++)

// average moves by `share` of the way to value; share 1 copies it to the bit.
kernel void average_update(global const float *restrict value, global float *restrict average, long size,
                           int per_item, float share) {
    EACH_FLOAT(i) average[i] = share == 1.0f ? value[i] : average[i] + share * (value[i] - average[i]);
}

kernel void average_swap(global float *restrict value, global float *restrict average, long size, int per_item) {
    EACH_FLOAT(i) {
        const float v = value[i];
        value[i] = average[i];
        average[i] = v;
    }
}
