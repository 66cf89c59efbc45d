// C[m][n] = op(A) op(B) + beta C for CPU devices: the structure of Goto and van de Geijn ("Anatomy of
// High-Performance Matrix Multiplication", TOMS 2008). A is packed to [m / MR][k][MR], B to [n / NR][k][NR], both
// padded with zeros, so that the inner loop reads two streams and keeps MR x NR sums in registers.
//
// One work-item per work-group, no local memory. A panel may be read whole; of C only elements inside are touched.

// PACK_R: rows of a packed panel (MR or NR). PACK_K_UNIT: whether k is the source's contiguous index.
#ifdef PACK_R

// Item = one panel. Source element (r, k) is source[offset + r * stride + k], or with the strides swapped.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_pack(const global float *restrict source, long offset, int stride, int rows, int depth,
                      global float *restrict packed, long packed_offset) {
    int r0 = (int)get_global_id(0) * PACK_R;
    int here = min(PACK_R, rows - r0);
    global float *to = packed + packed_offset + (size_t)r0 * depth;
#if PACK_K_UNIT
    const global float *from = source + offset + (size_t)r0 * stride;
    for (int k = 0; k < depth; k++, to += PACK_R)
        for (int r = 0; r < PACK_R; r++)
            to[r] = r < here ? from[(size_t)r * stride + k] : 0.0f;
#else
    const global float *from = source + offset + r0;
    for (int k = 0; k < depth; k++, to += PACK_R, from += stride)
        if (here == PACK_R)
            for (int r = 0; r < PACK_R; r++)
                to[r] = from[r];
        else
            for (int r = 0; r < PACK_R; r++)
                to[r] = r < here ? from[r] : 0.0f;
#endif
}

#else

// MR rows by NR = 2 V columns of sums; V lanes a vector. With AVX-512 (32 registers): 14 x 32.
#define VEC CAT(float, V)
#define VLOAD(p) CAT(vload, V)(0, p)
#define VSTORE(v, p) CAT(vstore, V)(v, 0, p)
#define NR (2 * V)
// Depth of a pass: NR * KC floats of B stay in the second-level cache while the row tiles go by.
#define KC 1024

// Item (panel of B, group of `tiles` row tiles).
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_panel(int m, int n, int depth, const global float *restrict packed, long b_offset,
                       global float *restrict c, long c_offset, int ldc, int accumulate, int tiles) {
    int column = (int)get_global_id(0) * NR;
    int first = (int)get_global_id(1) * tiles, last = min(first + tiles, (m + MR - 1) / MR);
    int width = min(NR, n - column);
    float edge[NR];
    for (int r = 0; r < NR; r++)
        edge[r] = 0.0f;
    for (int k0 = 0; k0 < depth; k0 += KC) {
        int pass = min(KC, depth - k0);
        bool add = accumulate || k0 > 0;
        for (int tile = first; tile < last; tile++) {
            const global float *a = packed + ((size_t)tile * depth + k0) * MR;
            const global float *b = packed + b_offset + (size_t)column * depth + (size_t)k0 * NR;
            VEC sum[MR][2];
#pragma unroll
            for (int i = 0; i < MR; i++)
                sum[i][0] = sum[i][1] = (VEC)(0.0f);
            for (int k = 0; k < pass; k++, a += MR, b += NR) {
                VEC b0 = VLOAD(b), b1 = VLOAD(b + V);
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    sum[i][0] = fma((VEC)(a[i]), b0, sum[i][0]);
                    sum[i][1] = fma((VEC)(a[i]), b1, sum[i][1]);
                }
            }
            int rows = min(MR, m - tile * MR);
            global float *to = c + c_offset + (size_t)tile * MR * ldc + column;
#pragma unroll
            for (int i = 0; i < MR; i++) {
                if (i < rows && width == NR) {
                    VSTORE(add ? sum[i][0] + VLOAD(to) : sum[i][0], to);
                    VSTORE(add ? sum[i][1] + VLOAD(to + V) : sum[i][1], to + V);
                } else if (i < rows) {
                    VSTORE(sum[i][0], edge);
                    VSTORE(sum[i][1], edge + V);
                    for (int r = 0; r < width; r++)
                        to[r] = add ? to[r] + edge[r] : edge[r];
                }
                to += ldc;
            }
        }
    }
}

#endif
