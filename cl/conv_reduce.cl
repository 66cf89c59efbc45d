// Adds the partial weight gradients [split][o][GROUP_I * TAPS] of a backward-weight convolution in the order of the
// splits, so that the result does not depend on scheduling, into w. Item = one weight.
kernel void conv_reduce(GEOMETRY, const global float *restrict partial, global float *restrict w, int splits) {
    const int columns = GROUP_I * TAPS, count = GROUPS * GROUP_O * columns;
    int at = get_global_id(0);
    if (at < count) {
        float sum = 0.0f;
        for (int s = 0; s < splits; s++)
            sum += partial[(size_t)s * count + at];
        int column = at % columns;
        global float *to = w + W_OUT(at / columns) + W_COLUMN(column);
        *to = ACCUMULATE ? *to + sum : sum;
    }
}
