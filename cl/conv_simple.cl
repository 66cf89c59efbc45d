// Convolution one output element at a time: the slow, obvious form that any device and every problem can
// fall back to, and the one to compare others with.
//
//   forward          y[n,o,oy,ox] = act(bias[o] + sum x[n,i,oy*s-p+ky*d,ox*s-p+kx*d] * w[o,i,ky,kx])
//   backward data    x[n,i,iy,ix] = sum of y[n,o,oy,ox] * w[o,i,ky,kx] where iy = oy*s-p+ky*d, and ix
//                    likewise
//   backward weight  w[o,i,ky,kx] = sum over n, oy, ox of y * x
//
// Bounds are checked, so no halo is needed. Geometry is arguments: one program serves every shape.

#ifndef XB
#define XB 1 // channels in a block of x
#endif
#ifndef YB
#define YB 1 // channels in a block of y
#endif
#ifndef BO
#define BO 1 // blocks of the weights
#endif
#ifndef BI
#define BI 1
#endif
#ifndef ACT
#define ACT none
#endif

// Of a tensor: channels, height, width, then the strides of tensor.h in floats.
#define TENSOR(t)                                                                                       \
    int t##_c, int t##_h, int t##_w, int t##_origin, int t##_row, int t##_image, long t##_block

#define PROBLEM                                                                                         \
    TENSOR(x), TENSOR(y), int w_o, int w_i, int kh, int kw, int groups, int stride_h, int stride_w,     \
        int dilation_h, int dilation_w, int pad_top, int pad_left, int accumulate, int batch

#define X_AT(n, c, py, px)                                                                              \
    (x_origin + (c) / XB * x_block + (long)(n) * x_image + (py) * x_row + (px) * XB + (c) % XB)
#define Y_AT(n, c, py, px)                                                                              \
    (y_origin + (c) / YB * y_block + (long)(n) * y_image + (py) * y_row + (px) * YB + (c) % YB)
#define W_AT(o, i, ky, kx)                                                                              \
    ((((((long)((o) / BO) * ((w_i + BI - 1) / BI) + (i) / BI) * kh + (ky)) * kw + (kx)) * BI +          \
      (i) % BI) * BO + (o) % BO)

kernel void conv_simple_forward(global const float *x, global const float *w, global float *y,
                                global const float *bias, int has_bias, float parameter, PROBLEM) {
    const int ox = get_global_id(0), oy = get_global_id(1);
    const int n = get_global_id(2) % batch, block = get_global_id(2) / batch;
    if (ox >= y_w || oy >= y_h || block * YB >= y_c)
        return;
    for (int o = block * YB; o < block * YB + YB; o++) {
        float sum = 0.0f;
        if (o < y_c) {
            const int first = o / (w_o / groups) * w_i;
            for (int i = 0; i < w_i; i++)
                for (int ky = 0; ky < kh; ky++)
                    for (int kx = 0; kx < kw; kx++) {
                        const int iy = oy * stride_h - pad_top + ky * dilation_h;
                        const int ix = ox * stride_w - pad_left + kx * dilation_w;
                        if (iy >= 0 && iy < x_h && ix >= 0 && ix < x_w)
                            sum = fma(x[X_AT(n, first + i, iy, ix)], w[W_AT(o, i, ky, kx)], sum);
                    }
            sum = ACTIVATE(has_bias ? sum + bias[o] : sum, parameter);
        }
        const long at = Y_AT(n, o, oy, ox);
        y[at] = accumulate ? y[at] + sum : sum;
    }
}

kernel void conv_simple_backward_data(global const float *y, global const float *w, global float *x,
                                      PROBLEM) {
    const int ix = get_global_id(0), iy = get_global_id(1);
    const int n = get_global_id(2) % batch, block = get_global_id(2) / batch;
    if (ix >= x_w || iy >= x_h || block * XB >= x_c)
        return;
    for (int c = block * XB; c < block * XB + XB; c++) {
        float sum = 0.0f;
        if (c < x_c) {
            const int group = c / w_i, outs = w_o / groups;
            for (int o = group * outs; o < group * outs + outs; o++)
                for (int ky = 0; ky < kh; ky++)
                    for (int kx = 0; kx < kw; kx++) {
                        const int sy = iy + pad_top - ky * dilation_h;
                        const int sx = ix + pad_left - kx * dilation_w;
                        const int oy = sy / stride_h, ox = sx / stride_w;
                        if (sy >= 0 && sx >= 0 && sy % stride_h == 0 && sx % stride_w == 0 && oy < y_h &&
                            ox < y_w)
                            sum = fma(y[Y_AT(n, o, oy, ox)], w[W_AT(o, c % w_i, ky, kx)], sum);
                    }
        }
        const long at = X_AT(n, c, iy, ix);
        x[at] = accumulate ? x[at] + sum : sum;
    }
}

// One item for each weight, padding included: padding becomes zero.
kernel void conv_simple_backward_weight(global const float *x, global const float *y, global float *w,
                                        PROBLEM) {
    const int tap = get_global_id(0), i = get_global_id(1), o = get_global_id(2);
    if (tap >= kh * kw || i >= (w_i + BI - 1) / BI * BI || o >= (w_o + BO - 1) / BO * BO)
        return;
    const int ky = tap / kw, kx = tap % kw;
    float sum = 0.0f;
    if (o < w_o && i < w_i) {
        const int c = o / (w_o / groups) * w_i + i;
        for (int n = 0; n < batch; n++)
            for (int oy = 0; oy < y_h; oy++)
                for (int ox = 0; ox < y_w; ox++) {
                    const int iy = oy * stride_h - pad_top + ky * dilation_h;
                    const int ix = ox * stride_w - pad_left + kx * dilation_w;
                    if (iy >= 0 && iy < x_h && ix >= 0 && ix < x_w)
                        sum = fma(x[X_AT(n, c, iy, ix)], y[Y_AT(n, o, oy, ox)], sum);
                }
    }
    const long at = W_AT(o, i, ky, kx);
    w[at] = accumulate ? w[at] + sum : sum;
}
