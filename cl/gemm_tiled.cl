// C[m][n] = op(A) op(B) + beta C with local-memory tiles, for GPUs (tile sizes: host/kernels/tile.h).
//
// A work-group computes HEIGHT x WIDTH sums. It brings DEPTH columns of op(A) and rows of op(B) to local memory,
// k-major, so that an item reads its ROWS of A and COLUMNS of B as float4s: neighbours along x read neighbouring
// float4s of B (no bank conflicts) and the same float4 of A (a broadcast). A row is padded by one float4, which
// spreads the transposing writes over the banks. Global loads run along the contiguous index of the source, whichever
// it is. Out of bounds, tiles are zero and C is not touched.
//
// TRANSPOSE_A: A is stored [k][m]. TRANSPOSE_B: B is stored [n][k].
#define HEIGHT (GROUP_Y * ROWS)
#define WIDTH (GROUP_X * COLUMNS)
#define ITEMS (GROUP_X * GROUP_Y)
#define A_PITCH (HEIGHT / 4 + 1)
#define B_PITCH (WIDTH / 4 + 1)

__attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
kernel void gemm_tiled(int m, int n, int depth, const global float *restrict a, long a_offset, int lda,
                       const global float *restrict b, long b_offset, int ldb, global float *restrict c, long c_offset,
                       int ldc, int accumulate) {
    local float4 a_tile[DEPTH * A_PITCH], b_tile[DEPTH * B_PITCH];
    local float *a_floats = (local float *)a_tile, *b_floats = (local float *)b_tile;
    const int tx = get_local_id(0), ty = get_local_id(1), item = ty * GROUP_X + tx;
    const int row0 = (int)get_group_id(1) * HEIGHT, column0 = (int)get_group_id(0) * WIDTH;
    a += a_offset;
    b += b_offset;
    c += c_offset;

    float4 sum[ROWS][COLUMNS / 4];
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int j = 0; j < COLUMNS / 4; j++)
            sum[i][j] = (float4)(0.0f);

    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
#pragma unroll
        for (int j = 0; j < HEIGHT * DEPTH / ITEMS; j++) {
            const int e = j * ITEMS + item;
#if TRANSPOSE_A
            int r = e % HEIGHT, k = e / HEIGHT;
            size_t at = (size_t)(k0 + k) * lda + row0 + r;
#else
            int r = e / DEPTH, k = e % DEPTH;
            size_t at = (size_t)(row0 + r) * lda + k0 + k;
#endif
            a_floats[k * 4 * A_PITCH + r] = row0 + r < m && k0 + k < depth ? a[at] : 0.0f;
        }
#pragma unroll
        for (int j = 0; j < WIDTH * DEPTH / ITEMS; j++) {
            const int e = j * ITEMS + item;
#if TRANSPOSE_B
            int r = e / DEPTH, k = e % DEPTH;
            size_t at = (size_t)(column0 + r) * ldb + k0 + k;
#else
            int r = e % WIDTH, k = e / WIDTH;
            size_t at = (size_t)(k0 + k) * ldb + column0 + r;
#endif
            b_floats[k * 4 * B_PITCH + r] = column0 + r < n && k0 + k < depth ? b[at] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < DEPTH; k++) {
            float ra[ROWS];
            float4 rb[COLUMNS / 4];
#pragma unroll
            for (int i = 0; i < ROWS / 4; i++)
                vstore4(a_tile[k * A_PITCH + ty * (ROWS / 4) + i], i, ra);
#pragma unroll
            for (int j = 0; j < COLUMNS / 4; j++)
                rb[j] = b_tile[k * B_PITCH + GROUP_X * j + tx];
#pragma unroll
            for (int i = 0; i < ROWS; i++)
#pragma unroll
                for (int j = 0; j < COLUMNS / 4; j++)
                    sum[i][j] += ra[i] * rb[j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        int row = row0 + ty * ROWS + i;
#pragma unroll
        for (int j = 0; j < COLUMNS / 4; j++) {
            int column = column0 + (GROUP_X * j + tx) * 4;
            float lanes[4];
            vstore4(sum[i][j], 0, lanes);
#pragma unroll
            for (int l = 0; l < 4; l++)
                if (row < m && column + l < n) {
                    global float *to = c + (size_t)row * ldc + column + l;
                    *to = accumulate ? *to + lanes[l] : lanes[l];
                }
        }
    }
}
