// Convolution by an explicit matrix product (Chellapilla et al., "High Performance Convolutional Neural Networks for
// Document Processing", 2006): what stands between the blocked layouts and the plain matrices
//
//   col  [k][p]   k = (input channel of the group, ky, kx), p = output pixels, from p0 on
//   y    [o][p]   output channels of the group
//   w    [o][k]   of all groups
//
// Every row is `stride` floats after the last; `at` is where a matrix begins in its buffer. Reads of x are checked, so
// no halo is asked for. Dimension 0 runs along pixels: neighbours touch neighbouring floats of matrix and map.

// Item (p, k).
kernel void im2col_unfold(GEOMETRY, const global float *restrict x, global float *restrict col, long at, int stride, int p0,
                          int count, int group) {
    int p = get_global_id(0), k = get_global_id(1);
    if (p < count) {
        int pixel = p0 + p, i = k / TAPS, tap = k % TAPS;
        int iy = pixel % Y_PIXELS / Y_W * STRIDE_H - PAD_TOP + tap / KW * DILATION_H;
        int ix = pixel % Y_W * STRIDE_W - PAD_LEFT + tap % KW * DILATION_W;
        bool inside = iy >= 0 && iy < X_H && ix >= 0 && ix < X_W;
        int from = X_PIXEL(pixel / Y_PIXELS, iy, ix) + X_CHANNEL(group * GROUP_I + i);
        col[at + (size_t)k * stride + p] = inside ? x[from] : 0.0f;
    }
}

// The transpose of unfold, as a gather: item (pixel of x from image n0 on, channel i0 + c) adds what each tap has for
// it. col holds the rows of `channels` input channels and `images` images.
kernel void im2col_fold(GEOMETRY, const global float *restrict col, long at, int stride, global float *restrict x, int n0,
                        int images, int i0, int group) {
    int q = get_global_id(0), c = get_global_id(1);
    if (q < images * X_PIXELS) {
        int n = q / X_PIXELS, iy = q % X_PIXELS / X_W, ix = q % X_W;
        float sum = 0.0f;
        for (int ky = 0; ky < KH; ky++)
            for (int kx = 0; kx < KW; kx++) {
                int sy = iy + PAD_TOP - ky * DILATION_H, sx = ix + PAD_LEFT - kx * DILATION_W;
                int oy = sy / STRIDE_H, ox = sx / STRIDE_W;
                if (sy >= 0 && sx >= 0 && oy * STRIDE_H == sy && ox * STRIDE_W == sx && oy < Y_H && ox < Y_W)
                    sum += col[at + (size_t)(c * TAPS + ky * KW + kx) * stride + (n * Y_H + oy) * Y_W + ox];
            }
        global float *to = x + X_PIXEL(n0 + n, iy, ix) + X_CHANNEL(group * GROUP_I + i0 + c);
        *to = ACCUMULATE ? *to + sum : sum;
    }
}

// Item (p, o): y to a matrix.
kernel void im2col_gather(GEOMETRY, const global float *restrict y, global float *restrict matrix, long at, int stride, int p0,
                          int count, int group) {
    int p = get_global_id(0), o = get_global_id(1);
    if (p < count)
        matrix[at + (size_t)o * stride + p] = y[Y_OF(p0 + p) + Y_CHANNEL(group * GROUP_O + o)];
}

#ifdef ACT
// Item (p, o): a matrix to y, with the epilogue of the convolution.
kernel void im2col_scatter(GEOMETRY, const global float *restrict matrix, long at, int stride, global float *restrict y, int p0,
                           int count, int group, int has_bias, const global float *restrict bias,
                           float parameter) {
    int p = get_global_id(0), o = get_global_id(1), channel = group * GROUP_O + o;
    if (p < count) {
        float value = matrix[at + (size_t)o * stride + p];
        value = ACTIVATE(has_bias ? value + bias[channel] : value, parameter);
        global float *to = y + Y_OF(p0 + p) + Y_CHANNEL(channel);
        *to = ACCUMULATE ? *to + value : value;
    }
}
#endif

#ifdef W_BLOCK_O
// Item (k, o): weights to a matrix, and back.
kernel void im2col_pack(GEOMETRY, const global float *restrict w, global float *restrict matrix, long at) {
    int k = get_global_id(0), o = get_global_id(1);
    if (k < GROUP_I * TAPS)
        matrix[at + (size_t)o * (GROUP_I * TAPS) + k] = w[W_OUT(o) + W_COLUMN(k)];
}

kernel void im2col_unpack(GEOMETRY, const global float *restrict matrix, long at, global float *restrict w) {
    int k = get_global_id(0), o = get_global_id(1);
    if (k < GROUP_I * TAPS) {
        float value = matrix[at + (size_t)o * (GROUP_I * TAPS) + k];
        global float *to = w + W_OUT(o) + W_COLUMN(k);
        *to = ACCUMULATE ? *to + value : value;
    }
}
#endif
