// Matrix products and convolutions with local-memory tiles, for GPUs. Built with one of TILED_GEMM, TILED_FORWARD,
// TILED_BACKWARD_DATA, TILED_BACKWARD_WEIGHT and with a tile of host/kernels/tile.h.
//
// All four compute sum_k L[row][k] R[k][column]. A work-group makes HEIGHT x WIDTH sums. It brings DEPTH steps of k to
// local memory, k-major, so that an item reads its ROWS of L and COLUMNS of R as float4s: neighbours along x read
// neighbouring float4s of R (no bank conflicts) and the same float4 of L (a broadcast). Rows of the tiles are padded by
// one float4, which spreads transposing writes over the banks. Global loads run along whatever is contiguous in the
// source. What is out of bounds is zero in the tiles and untouched in the result.
//
// The convolutions are implicit GEMMs (Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014): the
// unfolded image exists in the tiles only. Its index arithmetic is kept out of the loads: what depends on the column is
// computed once per item, what depends on k by DEPTH items, one step ahead, into a small table.
#define HEIGHT (GROUP_Y * ROWS)
#define WIDTH (GROUP_X * COLUMNS)
#define ITEMS (GROUP_X * GROUP_Y)
#define L_PITCH (HEIGHT / 4 + 1)
#define R_PITCH (WIDTH / 4 + 1)
#define VECTORS (COLUMNS / 4)
// Places of the tiles by row or column and k.
#define L_AT(r, k) ((k) * (4 * L_PITCH) + (r))
#define R_AT(c, k) ((k) * (4 * R_PITCH) + (c))
// The first column of vector j of an item, and its first row.
#define ITEM_COLUMN(j) ((GROUP_X * (j) + (int)get_local_id(0)) * 4)
#define ITEM_ROW ((int)get_local_id(1) * ROWS)

static inline void tile_clear(float4 sum[ROWS][VECTORS]) {
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int j = 0; j < VECTORS; j++)
            sum[i][j] = (float4)(0.0f);
}

static inline void tile_multiply(const local float4 *left, const local float4 *right, float4 sum[ROWS][VECTORS]) {
    const int tx = get_local_id(0), ty = get_local_id(1);
    for (int k = 0; k < DEPTH; k++) {
        float l[ROWS];
        float4 r[VECTORS];
#pragma unroll
        for (int i = 0; i < ROWS / 4; i++)
            vstore4(left[k * L_PITCH + ty * (ROWS / 4) + i], i, l);
#pragma unroll
        for (int j = 0; j < VECTORS; j++)
            r[j] = right[k * R_PITCH + GROUP_X * j + tx];
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < VECTORS; j++)
                sum[i][j] += l[i] * r[j];
    }
}

#define TILES                                                                                                          \
    local float4 left_tile[DEPTH * L_PITCH], right_tile[DEPTH * R_PITCH];                                              \
    local float *left = (local float *)left_tile, *right = (local float *)right_tile;                                  \
    const int item = (int)get_local_id(1) * GROUP_X + (int)get_local_id(0);                                            \
    const int row0 = (int)get_group_id(1) * HEIGHT, column0 = (int)get_group_id(0) * WIDTH;                            \
    float4 sum[ROWS][VECTORS];                                                                                         \
    tile_clear(sum)

// Loads of a tile: COUNT elements, ITEMS at a time.
#define LEFT_LOADS (HEIGHT * DEPTH / ITEMS)
#define RIGHT_LOADS (WIDTH * DEPTH / ITEMS)

#ifdef TILED_GEMM
// C[m][n] = op(A) op(B) + beta C. TRANSPOSE_A: A is stored [k][m]. TRANSPOSE_B: B is stored [n][k].
__attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
kernel void gemm_tiled(int m, int n, int depth, const global float *restrict a, long a_offset, int lda,
                       const global float *restrict b, long b_offset, int ldb, global float *restrict c, long c_offset,
                       int ldc, int accumulate) {
    TILES;
    a += a_offset;
    b += b_offset;
    c += c_offset;
    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
#pragma unroll
        for (int j = 0; j < LEFT_LOADS; j++) {
            const int e = j * ITEMS + item;
#if TRANSPOSE_A
            int r = e % HEIGHT, k = e / HEIGHT;
            size_t at = (size_t)(k0 + k) * lda + row0 + r;
#else
            int r = e / DEPTH, k = e % DEPTH;
            size_t at = (size_t)(row0 + r) * lda + k0 + k;
#endif
            left[L_AT(r, k)] = row0 + r < m && k0 + k < depth ? a[at] : 0.0f;
        }
#pragma unroll
        for (int j = 0; j < RIGHT_LOADS; j++) {
            const int e = j * ITEMS + item;
#if TRANSPOSE_B
            int r = e / DEPTH, k = e % DEPTH;
            size_t at = (size_t)(column0 + r) * ldb + k0 + k;
#else
            int r = e % WIDTH, k = e / WIDTH;
            size_t at = (size_t)(k0 + k) * ldb + column0 + r;
#endif
            right[R_AT(r, k)] = column0 + r < n && k0 + k < depth ? b[at] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(left_tile, right_tile, sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        int row = row0 + ITEM_ROW + i;
#pragma unroll
        for (int j = 0; j < VECTORS; j++) {
            int column = column0 + ITEM_COLUMN(j);
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
#endif

#ifdef TILED_FORWARD
// Rows: output channels of a group; columns: output pixels of the batch; k: (input channel, ky, kx). x is read with its
// halo, so that a window never needs a check. Dimension 2: the group.
#define FORWARD_DEPTH (GROUP_I * TAPS)

// The offset of k within a window; -1 past the end.
#define WINDOW(k)                                                                                                      \
    ((k) < FORWARD_DEPTH ? X_CHANNEL(group * GROUP_I + (k) / TAPS) + X_TAP((k) % TAPS / KW, (k) % TAPS % KW) : -1)

__attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
kernel void conv_forward(GEOMETRY, const global float *restrict x, const global float *restrict w, int has_bias,
                         const global float *restrict bias, global float *restrict y, int batch, float parameter) {
    TILES;
    local int table[2][DEPTH];
    const int group = get_group_id(2), pixels = batch * Y_PIXELS;
    const int window = X_OF(min(column0 + item % WIDTH, pixels - 1));
    if (item < DEPTH)
        table[0][item] = WINDOW(item);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k0 = 0, turn = 0; k0 < FORWARD_DEPTH; k0 += DEPTH, turn ^= 1) {
#pragma unroll
        for (int j = 0; j < RIGHT_LOADS; j++) {
            int k = (j * ITEMS + item) / WIDTH, offset = table[turn][k];
            right[R_AT(item % WIDTH, k)] = offset >= 0 ? x[window + offset] : 0.0f;
        }
#pragma unroll
        for (int j = 0; j < LEFT_LOADS; j++) {
            const int e = j * ITEMS + item, r = e / DEPTH, k = e % DEPTH, o = row0 + r;
            int at = W_OUT(group * GROUP_O + o) + W_COLUMN(k0 + k);
            left[L_AT(r, k)] = o < GROUP_O && k0 + k < FORWARD_DEPTH ? w[at] : 0.0f;
        }
        if (item < DEPTH)
            table[turn ^ 1][item] = WINDOW(k0 + DEPTH + item);
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(left_tile, right_tile, sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int j = 0; j < VECTORS; j++)
#pragma unroll
        for (int l = 0; l < 4; l++) {
            int pixel = column0 + ITEM_COLUMN(j) + l, at = Y_OF(min(pixel, pixels - 1));
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                int row = row0 + ITEM_ROW + i, o = group * GROUP_O + row;
                float lanes[4];
                vstore4(sum[i][j], 0, lanes);
                if (row < GROUP_O && pixel < pixels) {
                    float value = ACTIVATE(has_bias ? lanes[l] + bias[o] : lanes[l], parameter);
                    global float *to = y + at + Y_CHANNEL(o);
                    *to = ACCUMULATE ? *to + value : value;
                }
            }
        }
}
#endif

#ifdef TILED_BACKWARD_DATA
// Rows: input channels of a group; columns: input pixels of one parity class over the batch; k: (output channel, tap).
// Pixels (iy, ix) with the same iy % stride and ix % stride meet the same taps: every tap_step-th row of the kernel from a
// first one on, and going one such tap on goes y_step rows of y back. So no work is lost to strides, and each class
// is a dense convolution over dY. Dimension 2: group * classes + class.
//
// An axis' stride_ is that of the convolution, except for a y of one pixel, where they are the kernel's extent: then every input pixel
// has one tap at most (a linear layer). CHECK: dY's halo does not cover all that a tap may reach.
#define AXIS(a) int stride_##a, int classes_##a, int tap_step_##a, int y_step_##a

struct residue {
    int parity, tap, taps;  // of iy; first tap; how many
    int count, y;           // how many iy; oy that the first of them reads at the first tap
};

static inline struct residue residue_of(int parity, int size, int kernel_size, int stride, int dilation, int pad,
                                    int tap_step) {
    struct residue c;
    c.parity = parity;
    c.tap = 0;
    while (c.tap < kernel_size && (parity + pad - c.tap * dilation) % stride != 0)
        c.tap++;
    c.taps = (kernel_size - c.tap + tap_step - 1) / tap_step;
    c.count = (size - parity + stride - 1) / stride;
    c.y = (parity + pad - c.tap * dilation) / stride;
    return c;
}

__attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
kernel void conv_backward_data(GEOMETRY, AXIS(h), AXIS(w), const global float *restrict y,
                               const global float *restrict w, global float *restrict x, int batch) {
    TILES;
    local int y_table[2][DEPTH], w_table[2][DEPTH];
#if CHECK
    local int oy_table[2][DEPTH], ox_table[2][DEPTH];
#endif
    const int z = get_group_id(2), group = z / (classes_h * classes_w);
    const struct residue rows = residue_of(z / classes_w % classes_h, X_H, KH, stride_h, DILATION_H, PAD_TOP, tap_step_h);
    const struct residue columns = residue_of(z % classes_w, X_W, KW, stride_w, DILATION_W, PAD_LEFT, tap_step_w);
    const int taps = rows.taps * columns.taps, depth = GROUP_O * taps;
    const int map = rows.count * columns.count, pixels = batch * map;
    if (column0 >= pixels) // the grid is that of the largest class
        return;
    const int mine = min(column0 + item % WIDTH, pixels - 1);
    const int oy = mine % map / columns.count + rows.y, ox = mine % columns.count + columns.y;
    const int origin = Y_PIXEL(mine / map, oy, ox);
    const int w_row = W_IN(min(row0 + item % HEIGHT, GROUP_I - 1));
    const bool row_inside = row0 + item % HEIGHT < GROUP_I;
    for (int k0 = 0, turn = 0; k0 < depth + DEPTH; k0 += DEPTH, turn ^= 1) {
        // One round late, so that the first fills the table only.
        if (k0 > 0) {
#pragma unroll
            for (int j = 0; j < RIGHT_LOADS; j++) {
                int k = (j * ITEMS + item) / WIDTH;
                bool inside = w_table[turn ^ 1][k] >= 0;
#if CHECK
                inside = inside && (uint)(oy - oy_table[turn ^ 1][k]) < Y_H && (uint)(ox - ox_table[turn ^ 1][k]) < Y_W;
#endif
                right[R_AT(item % WIDTH, k)] = inside ? y[origin + y_table[turn ^ 1][k]] : 0.0f;
            }
#pragma unroll
            for (int j = 0; j < LEFT_LOADS; j++) {
                int k = (j * ITEMS + item) / HEIGHT, at = w_table[turn ^ 1][k];
                left[L_AT(item % HEIGHT, k)] = row_inside && at >= 0 ? w[w_row + at] : 0.0f;
            }
        }
        if (item < DEPTH && k0 + item < depth) {
            int k = k0 + item, o = group * GROUP_O + k / taps, tap = k % taps;
            int ty = tap / columns.taps, tx = tap % columns.taps;
            int ky = rows.tap + ty * tap_step_h, kx = columns.tap + tx * tap_step_w;
            w_table[turn][item] = W_OUT(o) + (ky * KW + kx) * W_TAP;
            y_table[turn][item] = Y_CHANNEL(o) - ty * (y_step_h * Y_ROW) - tx * (y_step_w * Y_BLOCK);
#if CHECK
            oy_table[turn][item] = ty * y_step_h;
            ox_table[turn][item] = tx * y_step_w;
#endif
        } else if (item < DEPTH) {
            w_table[turn][item] = -1;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k0 > 0)
            tile_multiply(left_tile, right_tile, sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int j = 0; j < VECTORS; j++)
#pragma unroll
        for (int l = 0; l < 4; l++) {
            int pixel = column0 + ITEM_COLUMN(j) + l, p = min(pixel, pixels - 1);
            int at = X_PIXEL(p / map, p % map / columns.count * stride_h + rows.parity,
                             p % columns.count * stride_w + columns.parity);
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                int row = row0 + ITEM_ROW + i;
                float lanes[4];
                vstore4(sum[i][j], 0, lanes);
                if (row < GROUP_I && pixel < pixels) {
                    global float *to = x + at + X_CHANNEL(group * GROUP_I + row);
                    *to = ACCUMULATE ? *to + lanes[l] : lanes[l];
                }
            }
        }
}
#endif

#ifdef TILED_BACKWARD_WEIGHT
// Rows: output channels of a group; columns: (input channel, ky, kx); k: output pixels of the batch, `chunk` of them
// (a multiple of DEPTH) to a split. Dimension 2: group * splits + split. With several splits, `w` receives the partial
// sums [split][o][column], which conv_reduce of conv_reduce.cl adds up in order.
#define WEIGHT_COLUMNS (GROUP_I * TAPS)

__attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))
kernel void conv_backward_weight(GEOMETRY, const global float *restrict x, const global float *restrict y,
                                 global float *restrict w, int batch, int splits, int chunk) {
    TILES;
    local int x_table[2][DEPTH], y_table[2][DEPTH];
    const int z = get_group_id(2), group = z / splits, split = z % splits;
    const int first = split * chunk, last = min(first + chunk, batch * Y_PIXELS);
    int x_column[RIGHT_LOADS];
#pragma unroll
    for (int j = 0; j < RIGHT_LOADS; j++) {
        int column = min(column0 + (j * ITEMS + item) / DEPTH, WEIGHT_COLUMNS - 1), tap = column % TAPS;
        x_column[j] = X_CHANNEL(group * GROUP_I + column / TAPS) + X_TAP(tap / KW, tap % KW);
    }
    if (item < DEPTH && first + item < last) {
        x_table[0][item] = X_OF(first + item);
        y_table[0][item] = Y_OF(first + item);
    } else if (item < DEPTH) {
        y_table[0][item] = -1;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int p0 = first, turn = 0; p0 < last; p0 += DEPTH, turn ^= 1) {
        const int k = item % DEPTH, x_at = x_table[turn][k], y_at = y_table[turn][k];
#pragma unroll
        for (int j = 0; j < LEFT_LOADS; j++) {
            int r = (j * ITEMS + item) / DEPTH, o = row0 + r;
            left[L_AT(r, k)] = o < GROUP_O && y_at >= 0 ? y[y_at + Y_CHANNEL(group * GROUP_O + o)] : 0.0f;
        }
#pragma unroll
        for (int j = 0; j < RIGHT_LOADS; j++) {
            int c = (j * ITEMS + item) / DEPTH;
            right[R_AT(c, k)] = y_at >= 0 ? x[x_at + x_column[j]] : 0.0f;
        }
        if (item < DEPTH && p0 + DEPTH + item < last) {
            x_table[turn ^ 1][item] = X_OF(p0 + DEPTH + item);
            y_table[turn ^ 1][item] = Y_OF(p0 + DEPTH + item);
        } else if (item < DEPTH) {
            y_table[turn ^ 1][item] = -1;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(left_tile, right_tile, sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (int j = 0; j < VECTORS; j++)
#pragma unroll
        for (int l = 0; l < 4; l++) {
            int column = column0 + ITEM_COLUMN(j) + l;
            int w_column = W_COLUMN(column);
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                int row = row0 + ITEM_ROW + i, o = group * GROUP_O + row;
                float lanes[4];
                vstore4(sum[i][j], 0, lanes);
                if (row < GROUP_O && column < WEIGHT_COLUMNS) {
                    if (splits > 1) {
                        w[((size_t)split * (GROUPS * GROUP_O) + o) * WEIGHT_COLUMNS + column] = lanes[l];
                    } else {
                        global float *to = w + W_OUT(o) + w_column;
                        *to = ACCUMULATE ? *to + lanes[l] : lanes[l];
                    }
                }
            }
        }
}
#endif
