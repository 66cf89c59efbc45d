// out[i][j] (+)= sum over k of l[i][k] r[k][j] for each channel of each image: B products side by side in a vector. An
// item computes TILE x TILE places. l and r come with the strides of their i, k and k, j; L_SPLAT and R_SPLAT say
// that one channel stands for all, T_SPLAT that out has one channel, into which all `channels` are summed.

#define TILE 4
#define ZERO ((REAL)(0.0f))
#define EACH(i) for (int i = 0; i < TILE; i++)
#define MATRIX(t) int t##_origin, int t##_image, long t##_block
#define AT(t, cb, image) ((t) + t##_origin + (cb) * t##_block + (long)(image) * t##_image)

kernel void matmul(global const float *l, global const float *r, global float *out, int accumulate, int channels,
                   int images, int rows, int columns, int inner, MATRIX(l), int l_i, int l_k, MATRIX(r), int r_k,
                   int r_j, MATRIX(out), int out_i, int out_j) {
    const int tiles = (rows + TILE - 1) / TILE, image = get_global_id(1) / tiles;
    const int i0 = get_global_id(1) % tiles * TILE, j0 = get_global_id(0) * TILE, block = get_global_id(2);
    if (image >= images || j0 >= columns)
        return;
    REAL sum[TILE][TILE];
    EACH(i) EACH(j) sum[i][j] = ZERO;
    const int end = T_SPLAT ? (channels + B - 1) / B : block + 1;
    for (int cb = block; cb < end; cb++) {
        global const float *p[TILE], *q[TILE]; // past the edge: the last row or column again
        EACH(i) p[i] = AT(l, cb, image) + min(i0 + i, rows - 1) * l_i;
        EACH(j) q[j] = AT(r, cb, image) + min(j0 + j, columns - 1) * r_j;
        for (int k = 0; k < inner; k++) {
            REAL a[TILE], b[TILE];
            EACH(i) a[i] = OPERAND_LOAD(p[i] + k * l_k, L_SPLAT);
            EACH(j) b[j] = OPERAND_LOAD(q[j] + k * r_k, R_SPLAT);
            EACH(i) EACH(j) sum[i][j] += a[i] * b[j];
        }
    }
    const int lanes = channels - block * B;
    EACH(i) EACH(j) {
        if (i0 + i >= rows || j0 + j >= columns)
            continue;
        global float *to = AT(out, block, image) + (i0 + i) * out_i + (j0 + j) * out_j;
        REAL v = T_SPLAT ? splat_sum(sum[i][j]) : sum[i][j];
        v = lanes < B ? keep_lanes(v, ZERO, lanes) : v;
        STORE(accumulate ? v + LOAD(to) : v, to);
    }
}
