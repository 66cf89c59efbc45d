// Depthwise convolution for GPUs: GROUP_I is 1, each input channel has GROUP_O output channels. Bound by memory, so
// dimension 0 runs along the pixels of a channel, where neighbours read neighbouring floats, and the channel, with its
// weights, is the same for a whole work-group.
//
//   forward          y[n,o,oy,ox] = act(bias[o] + sum x[n,c,oy*s-p+ky*d,ox*s-p+kx*d] * w[o,ky,kx]),  c = o / GROUP_O
//   backward data    each pixel of x gathers the outputs that read it
//   backward weight  a work-group adds one row of taps over a part of the pixels
//
// Built with one of DEPTHWISE_FORWARD, DEPTHWISE_BACKWARD_DATA, DEPTHWISE_BACKWARD_WEIGHT; the kernel,
// strides and dilations are constants.

#ifdef DEPTHWISE_FORWARD
// Item = Y_ROWS outputs below each other, which share the rows of x between them.
#define STRIPS ((Y_H + Y_ROWS - 1) / Y_ROWS)
#define X_ROWS ((Y_ROWS - 1) * STRIDE_H + (KH - 1) * DILATION_H + 1)

kernel void depthwise_forward(GEOMETRY, const global float *restrict x, const global float *restrict w,
                              int has_bias,
                              const global float *restrict bias, global float *restrict y, int batch,
                              float parameter) {
    int q = get_global_id(0), o = get_global_id(1);
    if (q >= batch * (STRIPS * Y_W))
        return;
    int n = q / (STRIPS * Y_W), oy = q % (STRIPS * Y_W) / Y_W * Y_ROWS, ox = q % Y_W;
    x += X_PIXEL(n, oy * STRIDE_H - PAD_TOP, ox * STRIDE_W - PAD_LEFT) + X_CHANNEL(o / GROUP_O);
    w += W_OUT(o);
    // A last strip with outputs missing must not read below what the others need.
    const int last_row = (Y_H - 1 - oy) * STRIDE_H + (KH - 1) * DILATION_H;
    float sum[Y_ROWS];
#pragma unroll
    for (int j = 0; j < Y_ROWS; j++)
        sum[j] = 0.0f;
#pragma unroll
    for (int r = 0; r < X_ROWS; r++) {
#pragma unroll
        for (int kx = 0; kx < KW; kx++) {
            float value = x[min(r, last_row) * X_ROW + kx * (DILATION_W * X_BLOCK)];
#pragma unroll
            for (int j = 0; j < Y_ROWS; j++) {
                const int reach = r - j * STRIDE_H, ky = reach / DILATION_H;
                if (reach >= 0 && reach % DILATION_H == 0 && ky < KH)
                    sum[j] += value * w[(ky * KW + kx) * W_TAP];
            }
        }
    }
#pragma unroll
    for (int j = 0; j < Y_ROWS; j++)
        if (oy + j < Y_H) {
            float value = ACTIVATE(has_bias ? sum[j] + bias[o] : sum[j], parameter);
            global float *to = y + Y_PIXEL(n, oy + j, ox) + Y_CHANNEL(o);
            *to = ACCUMULATE ? *to + value : value;
        }
}
#endif

#ifdef DEPTHWISE_BACKWARD_DATA
// Item = one pixel of x.
kernel void depthwise_backward_data(GEOMETRY, const global float *restrict y, const global float *restrict w,
                                    global float *restrict x, int batch) {
    int q = get_global_id(0), c = get_global_id(1);
    if (q >= batch * X_PIXELS)
        return;
    int n = q / X_PIXELS, iy = q % X_PIXELS / X_W, ix = q % X_W;
    float sum = 0.0f;
    for (int m = 0; m < GROUP_O; m++) {
        const global float *weights = w + W_OUT(c * GROUP_O + m);
        const global float *map = y + Y_PIXEL(n, 0, 0) + Y_CHANNEL(c * GROUP_O + m);
#pragma unroll
        for (int ky = 0; ky < KH; ky++) {
            int sy = iy + PAD_TOP - ky * DILATION_H, oy = sy / STRIDE_H;
            if (sy < 0 || oy * STRIDE_H != sy || oy >= Y_H)
                continue;
#pragma unroll
            for (int kx = 0; kx < KW; kx++) {
                int sx = ix + PAD_LEFT - kx * DILATION_W, ox = sx / STRIDE_W;
                if (sx >= 0 && ox * STRIDE_W == sx && ox < Y_W)
                    sum += map[oy * Y_ROW + ox * Y_BLOCK] * weights[(ky * KW + kx) * W_TAP];
            }
        }
    }
    global float *to = x + X_PIXEL(n, iy, ix) + X_CHANNEL(c);
    *to = ACCUMULATE ? *to + sum : sum;
}
#endif

#ifdef DEPTHWISE_BACKWARD_WEIGHT
// Work-group = (split of the pixels, ky, output channel), GROUP items. With several splits, `w` receives the partial
// sums [split][o][tap], which conv_reduce of conv_reduce.cl adds up in order.
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void depthwise_backward_weight(GEOMETRY, const global float *restrict x, const global float *restrict y,
                                      global float *restrict w, int batch, int splits, int chunk) {
    SCRATCH;
    const int lane = get_local_id(0), split = get_group_id(0), ky = get_group_id(1), o = get_group_id(2);
    const int last = min(split * chunk + chunk, batch * Y_PIXELS);
    x += X_CHANNEL(o / GROUP_O) + ky * (DILATION_H * X_ROW);
    y += Y_CHANNEL(o);
    float sum[KW];
#pragma unroll
    for (int kx = 0; kx < KW; kx++)
        sum[kx] = 0.0f;
    for (int p = split * chunk + lane; p < last; p += GROUP) {
        const global float *window = x + X_OF(p);
        float gradient = y[Y_OF(p)];
#pragma unroll
        for (int kx = 0; kx < KW; kx++)
            sum[kx] += gradient * window[kx * (DILATION_W * X_BLOCK)];
    }
#pragma unroll
    for (int kx = 0; kx < KW; kx++) {
        const float total = GROUP_SUM(sum[kx]);
        if (GROUP_LEADER) {
            if (splits > 1) {
                w[((size_t)split * (GROUPS * GROUP_O) + o) * TAPS + ky * KW + kx] = total;
            } else {
                global float *to = w + W_OUT(o) + (ky * KW + kx) * W_TAP;
                *to = ACCUMULATE ? *to + total : total;
            }
        }
    }
}
#endif
