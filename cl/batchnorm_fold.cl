// Folds batch norm into the weights and the bias of the convolution before it:
//
//   s = gamma / sqrt(var + eps),  w'[o,...] = w[o,...] s[o],  b'[o] = beta[o] + (b[o] - mean[o]) s[o]
//
// One item for each float of the weights, [O/BO][...][BO]: a panel of BO outputs is `panel` floats. The first
// `outs` (O padded to BO) items write the bias too, zero past O.

kernel void batchnorm_fold(global const float *weight, global const float *bias, int has_bias,
                           global const float *gamma, global const float *beta, global const float *mean,
                           global const float *var, global float *ret_weight, global float *ret_bias, int o_count,
                           int outs, int block_o, long panel, long size, float eps) {
    const long i = get_global_id(0);
    if (i >= size)
        return;
    const int o = (int)(i / panel) * block_o + (int)(i % block_o);
    ret_weight[i] = o < o_count ? weight[i] * (gamma[o] / sqrt(var[o] + eps)) : 0.0f;
    if (i < outs) {
        const int at = (int)i;
        const float before = has_bias ? bias[at] : 0.0f;
        ret_bias[at] =
            at < o_count ? beta[at] + (before - mean[at]) * (gamma[at] / sqrt(var[at] + eps)) : 0.0f;
    }
}
