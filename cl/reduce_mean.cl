// Averages over axes; the maths is in host/ops/reduce_mean.c.
//
//   -D MEAN_C MEAN_H MEAN_W  which axes are averaged

// Outputs are counted over images, rows and columns of y, for one channel block of it. A group takes per_group of
// them and sums the rows and channel blocks of x along its second dimension, the columns along its first. Lanes past
// the last channel are zero, so they may be summed too.
kernel void reduce_mean_forward(global const float *x, global float *y, int x_blocks, int x_h, int x_w, int y_h,
                                int y_w, int outputs, int per_group, float scale, MAP(x), MAP(y)) {
    SCRATCH;
    const int cb = get_global_id(2), blocks = MEAN_C ? x_blocks : 1, lines = MEAN_H ? x_h : 1;
    const int columns = MEAN_W ? x_w : 1, first = ROW_CHUNK * per_group;
    for (int o = first; o < min(outputs, first + per_group); o++) {
        const int oy = o / y_w % y_h, ox = o % y_w, n = o / y_w / y_h;
        REAL sum = (REAL)(0.0f);
        for (int k = get_local_id(1); k < blocks * lines; k += get_local_size(1)) {
            global const float *p = MAP_BASE(x, cb + k / lines) + (long)n * x_image +
                                    (oy + k % lines) * x_row + ox * B;
            REAL line = (REAL)(0.0f);
            for (int i = get_local_id(0); i < columns; i += get_local_size(0))
                line += LOAD(p + i * B);
            sum += line;
        }
        sum = GROUP_SUM(sum) * scale;
        if (GROUP_LEADER) {
            if (MEAN_C)
                sum = keep_lanes((REAL)(lanes_sum(sum)), (REAL)(0.0f), 1);
            STORE(sum, MAP_BASE(y, cb) + (long)n * y_image + oy * y_row + ox * B);
        }
    }
}

kernel void reduce_mean_backward(global const float *dy, global float *dx, int channels, float scale,
                                 int accumulate, WALK, MAP(dy), MAP(dx)) {
    const int cb = get_global_id(2);
    EACH_ROW(r) {
        global const float *p = MAP_BASE(dy, MEAN_C ? 0 : cb) + (long)(r / h) * dy_image +
                                (MEAN_H ? 0 : r % h * dy_row);
        global float *q = MAP_AT(dx, cb, r);
        EACH_PIXEL(i) {
            global const float *from = p + (MEAN_W ? 0 : i * B);
            REAL v = MEAN_C ? keep_lanes((REAL)(*from), (REAL)(0.0f), channels - cb * B) : LOAD(from);
            v *= scale;
            if (accumulate)
                v += LOAD(q + i * B);
            STORE(v, q + i * B);
        }
    }
}
