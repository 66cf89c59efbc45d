// Winograd convolution F(4x4, 3x3) for CPU devices (Lavin and Gray, CVPR 2016): 3x3, stride 1, all three
// directions. A tile is 4x4 pixels of the output and the 6x6 pixels of the input that they see.
//
//   forward          Y = A' [(G w G') . (B' x B)] A       the products summed over input channels
//   backward data    the same on dY, with weights turned round and channels exchanged
//   backward weight  dw = G' [(B' x B) . (A dY A')] G     the products summed over tiles
//
// Interpolation points 0, +-5/8, +-3/2 and infinity: errors a third of those of 0, +-1, +-2. Each of the 36
// positions ("planes") of a transformed tile is a matrix product of its own, channels in blocks of B:
//
//   transformed input  v [36][blocks][chunk + 1 tiles][B], of a chunk of tiles: the tile more keeps the planes
//                        from falling on the same cache sets
//   transformed weights u [panels][36][blocks][B][NV * B]
//
// `fused`: a work-item takes chunk after chunk, with scratch memory that its core's cache keeps. For many
// channels three launches per chunk: input, products, output. Work-groups of one item, no local memory.

#ifndef NV
#define NV 2 // vectors of B output channels: a panel of the weights
#endif
#ifndef MT
#define MT 14 // tiles of a product
#endif
#ifndef ACT
#define ACT none
#endif
#ifndef BO
#define BO (2 * B) // of the weights as they are given
#endif
#ifndef FETCH_WEIGHTS
#define FETCH_WEIGHTS 0
#endif
// ZERO_PADDING: the activation makes padded lanes non-zero. STREAM: y is too large for the cache to keep,
// STREAM_WEIGHTS: the transformed weights are. FETCH_WEIGHTS: a core's cache does not keep them.

#define PLANES 36
#define NR (NV * B)
#define UNROLL _Pragma("unroll")
#define ITEM __attribute__((reqd_work_group_size(1, 1, 1))) kernel void
#define R(value) (REAL)(value)

#ifdef STREAM_WEIGHTS
#define STORE_WEIGHTS STORE_PAST
#else
#define STORE_WEIGHTS STORE
#endif

// ---- one axis of the transforms, with points +-P and +-Q ----------------------------------------------------

#define P 0.625f
#define Q 1.5f
#define P2 (P * P)
#define Q2 (Q * Q)
#define GP (1.0f / (2.0f * P2 * (P2 - Q2)))
#define GQ (1.0f / (2.0f * Q2 * (Q2 - P2)))

// B': 6 pixels of the input.
static inline void input_axis(const REAL d[6], REAL t[6]) {
    const REAL even_p = fma(R(-Q2), d[2], d[4]), odd_p = fma(R(-Q2), d[1], d[3]);
    const REAL even_q = fma(R(-P2), d[2], d[4]), odd_q = fma(R(-P2), d[1], d[3]);
    t[0] = fma(R(P2 * Q2), d[0], fma(R(-P2 - Q2), d[2], d[4]));
    t[1] = fma(R(P), odd_p, even_p);
    t[2] = fma(R(-P), odd_p, even_p);
    t[3] = fma(R(Q), odd_q, even_q);
    t[4] = fma(R(-Q), odd_q, even_q);
    t[5] = fma(R(P2 * Q2), d[1], fma(R(-P2 - Q2), d[3], d[5]));
}

// A': 6 products to 4 pixels of the output.
static inline void output_axis(const REAL m[6], REAL y[4]) {
    const REAL sum_p = m[1] + m[2], difference_p = m[1] - m[2];
    const REAL sum_q = m[3] + m[4], difference_q = m[3] - m[4];
    y[0] = m[0] + sum_p + sum_q;
    y[1] = fma(R(P), difference_p, Q * difference_q);
    y[2] = fma(R(P2), sum_p, Q2 * sum_q);
    y[3] = fma(R(P2 * P), difference_p, fma(R(Q2 * Q), difference_q, m[5]));
}

// A: 4 pixels of the output's gradient.
static inline void gradient_axis(const REAL y[4], REAL z[6]) {
    const REAL even_p = fma(R(P2), y[2], y[0]), odd_p = fma(R(P2 * P), y[3], P * y[1]);
    const REAL even_q = fma(R(Q2), y[2], y[0]), odd_q = fma(R(Q2 * Q), y[3], Q * y[1]);
    z[0] = y[0];
    z[1] = even_p + odd_p;
    z[2] = even_p - odd_p;
    z[3] = even_q + odd_q;
    z[4] = even_q - odd_q;
    z[5] = y[3];
}

// G: 3 weights.
static inline void weight_axis(const REAL w[3], REAL u[6]) {
    const REAL even_p = fma(R(P2), w[2], w[0]), odd_p = P * w[1];
    const REAL even_q = fma(R(Q2), w[2], w[0]), odd_q = Q * w[1];
    u[0] = w[0] * (1.0f / (P2 * Q2));
    u[1] = GP * (even_p + odd_p);
    u[2] = GP * (even_p - odd_p);
    u[3] = GQ * (even_q + odd_q);
    u[4] = GQ * (even_q - odd_q);
    u[5] = w[2];
}

// G': to the gradient of 3 weights.
static inline void weight_gradient_axis(const REAL u[6], REAL w[3]) {
    const REAL sum_p = GP * (u[1] + u[2]), difference_p = GP * (u[1] - u[2]);
    const REAL sum_q = GQ * (u[3] + u[4]), difference_q = GQ * (u[3] - u[4]);
    w[0] = fma(R(1.0f / (P2 * Q2)), u[0], sum_p + sum_q);
    w[1] = fma(R(P), difference_p, Q * difference_q);
    w[2] = fma(R(P2), sum_p, fma(R(Q2), sum_q, u[5]));
}

// ---- one tile of one channel block --------------------------------------------------------------------------

// A picture as kernel arguments, and its tiles. x_offset is where the window of the first tile begins.
#define PICTURE(p) long p##_offset, long p##_block, int p##_image, int p##_row
#define TILES int tiles, int tiles_h, int tiles_w, int out_h, int out_w
#define PICTURE_TILE(p, n, ty, tx) ((p) + p##_offset + (long)(n) * p##_image + (ty) * 4 * p##_row + (tx) * 4 * B)
// Declares image, row and column of a tile, and what of the output is left from there on.
#define TILE(t)                                                                                         \
    const int n = (t) / (tiles_h * tiles_w), ty = (t) / tiles_w % tiles_h, tx = (t) % tiles_w;          \
    const int rows = out_h - ty * 4, columns = out_w - tx * 4

// What the tile before does not read.
#define PREFETCH_TILE(x, row)                                                                           \
    UNROLL for (int i_ = 2; i_ < 6; i_++)                                                               \
        UNROLL for (int k_ = 2; k_ < 6; k_++)                                                           \
            PREFETCH((x) + i_ * (row) + k_ * B)

// v[plane * stride] = B' x B. Past the edge of the output nothing may be read.
static inline void transform_input(global const float *x, int row, int rows, int columns, global float *v,
                                   long stride) {
    REAL d[6][6], t[6][6];
    if (rows >= 4 && columns >= 4) {
        UNROLL for (int i = 0; i < 6; i++)
            UNROLL for (int k = 0; k < 6; k++)
                d[k][i] = LOAD(x + i * row + k * B);
    } else {
        UNROLL for (int i = 0; i < 6; i++)
            UNROLL for (int k = 0; k < 6; k++)
                d[k][i] = i < rows + 2 && k < columns + 2 ? LOAD(x + i * row + k * B) : R(0.0f);
    }
    PREFETCH_TILE(x + 8 * B, row); // the tile after the next
    UNROLL for (int k = 0; k < 6; k++)
        input_axis(d[k], t[k]);
    UNROLL for (int i = 0; i < 6; i++) {
        const REAL line[6] = {t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]};
        REAL o[6];
        input_axis(line, o);
        UNROLL for (int k = 0; k < 6; k++)
            STORE(o[k], v + (i * 6 + k) * stride);
    }
}

// z[plane * stride] = A dY A'.
static inline void transform_gradient(global const float *y, int row, int rows, int columns, global float *z,
                                      long stride) {
    REAL d[4][4], t[4][6];
    if (rows >= 4 && columns >= 4) {
        UNROLL for (int i = 0; i < 4; i++)
            UNROLL for (int k = 0; k < 4; k++)
                d[k][i] = LOAD(y + i * row + k * B);
    } else {
        UNROLL for (int i = 0; i < 4; i++)
            UNROLL for (int k = 0; k < 4; k++)
                d[k][i] = i < rows && k < columns ? LOAD(y + i * row + k * B) : R(0.0f);
    }
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int k = 0; k < 4; k++)
            PREFETCH(y + i * row + (k + 8) * B);
    UNROLL for (int k = 0; k < 4; k++)
        gradient_axis(d[k], t[k]);
    UNROLL for (int i = 0; i < 6; i++) {
        const REAL line[4] = {t[0][i], t[1][i], t[2][i], t[3][i]};
        REAL o[6];
        gradient_axis(line, o);
        UNROLL for (int k = 0; k < 6; k++)
            STORE(o[k], z + (i * 6 + k) * stride);
    }
}

// y (+)= act(bias + A' m A), of whose channels `lanes` are real.
static inline void transform_output(global const float *m, long stride, global float *y, int row, int rows,
                                    int columns, REAL bias, float parameter, int accumulate, int lanes) {
    REAL t[6][4];
    UNROLL for (int k = 0; k < 6; k++) {
        REAL line[6];
        UNROLL for (int i = 0; i < 6; i++)
            line[i] = LOAD(m + (i * 6 + k) * stride);
        output_axis(line, t[k]);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        const REAL line[6] = {t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]};
        REAL o[4];
        output_axis(line, o);
        UNROLL for (int k = 0; k < 4; k++)
            if (i < rows && k < columns) {
                global float *p = y + i * row + k * B;
                REAL value = o[k] + bias;
                value = ACTIVATE(value, parameter);
                if (accumulate)
                    value += LOAD(p);
                STORE_OUTPUT(value, p);
#ifdef ZERO_PADDING
                for (int lane = lanes; lane < B; lane++)
                    p[lane] = 0.0f;
#endif
            }
    }
}

// m = v u for MT tiles and a panel, of one plane. Fetches the part `lines` of every block of the weights `coming`.
static inline void product(global const float *restrict v, long v_block, global const float *restrict u, int blocks,
                           global float *restrict m, long m_block, global const float *coming, int lines) {
    REAL sum[MT][NV];
    UNROLL for (int t = 0; t < MT; t++)
        UNROLL for (int i = 0; i < NV; i++)
            sum[t][i] = R(0.0f);
    for (int block = 0; block < blocks; block++) {
        global const float *a = v + block * v_block;
        _Pragma("unroll 2") for (int k = 0; k < B; k++) {
            REAL weight[NV];
            UNROLL for (int i = 0; i < NV; i++)
                weight[i] = LOAD(u + i * B);
            u += NR;
            UNROLL for (int t = 0; t < MT; t++) {
                const REAL value = R(a[t * B + k]);
                UNROLL for (int i = 0; i < NV; i++)
                    sum[t][i] = fma(value, weight[i], sum[t][i]);
            }
        }
        for (int i = 0; i < lines; i++)
            PREFETCH(coming + (block * NR + i) * B);
    }
    UNROLL for (int t = 0; t < MT; t++)
        UNROLL for (int i = 0; i < NV; i++)
            STORE(sum[t][i], m + i * m_block + t * B);
}

// A plane of `count` tiles, while the weights of the next product, `coming`, are fetched.
static inline void products(global const float *restrict v, long line, global const float *restrict u, int blocks,
                            global float *restrict m, int count, global const float *coming) {
    const int groups = (count + MT - 1) / MT, lines = FETCH_WEIGHTS ? (NR + groups - 1) / groups : 0;
    for (int group = 0; group < groups; group++)
        product(v + group * MT * B, line, u, blocks, m + group * MT * B, line, coming + group * lines * B, lines);
}

// Floats of one channel block of one plane of a chunk.
#define LINE(chunk) (((chunk) + 1L) * B)

// ---- forward and backward-data ------------------------------------------------------------------------------

// u[plane * stride] = G w G', one vector of nine weights.
static inline void transform_weights(const REAL w[9], global float *u, long stride) {
    REAL t[3][6];
    UNROLL for (int x = 0; x < 3; x++) {
        const REAL line[3] = {w[x], w[3 + x], w[6 + x]};
        weight_axis(line, t[x]);
    }
    UNROLL for (int y = 0; y < 6; y++) {
        const REAL line[3] = {t[0][y], t[1][y], t[2][y]};
        REAL o[6];
        weight_axis(line, o);
        UNROLL for (int x = 0; x < 6; x++)
            STORE_WEIGHTS(o[x], u + (y * 6 + x) * stride);
    }
}

// Weights [panels][blocks][9][B][NR] to u. Global size: (panels, blocks).
ITEM winograd_weights(global const float *restrict w, global float *restrict u, long u_at) {
    const int panel = get_global_id(0), block = get_global_id(1), blocks = get_global_size(1);
    w += ((long)panel * blocks + block) * 9 * B * NR;
    u += u_at + ((long)panel * PLANES * blocks + block) * B * NR;
    for (int i = 0; i < B * NV; i++) {
        REAL taps[9];
        UNROLL for (int tap = 0; tap < 9; tap++)
            taps[tap] = LOAD(w + tap * B * NR + i * B);
        transform_weights(taps, u + i * B, (long)blocks * B * NR);
    }
}

// The same for backward-data, of weights [O/BO][I/B][9][B][BO]: turned by half a turn, input and output channels
// exchanged. Global size: (panels of input channels, blocks of output channels).
ITEM winograd_weights_turned(global const float *restrict w, global float *restrict u, long u_at) {
    const int panel = get_global_id(0), block = get_global_id(1), blocks = get_global_size(1);
    const int o = block * B, blocks_i = get_global_size(0) * NV;
    u += u_at + ((long)panel * PLANES * blocks + block) * B * NR;
    for (int v = 0; v < NV; v++) {
        global const float *from = w + ((long)(o / BO) * blocks_i + panel * NV + v) * 9 * B * BO + o % BO;
        REAL turned[B][9];
        for (int tap = 0; tap < 9; tap++) {
            REAL rows[B];
            UNROLL for (int lane = 0; lane < B; lane++)
                rows[lane] = LOAD(from + (tap * B + lane) * BO);
            transpose(rows);
            UNROLL for (int k = 0; k < B; k++)
                turned[k][8 - tap] = rows[k];
        }
        for (int k = 0; k < B; k++)
            transform_weights(turned[k], u + k * NR + v * B, (long)blocks * B * NR);
    }
}

// A whole convolution. Global size: (items), each with 36 (blocks + NV) lines of scratch. `chunk` is a multiple of MT.
ITEM winograd_fused(global const float *restrict x, global const float *restrict u, long u_at, global float *restrict y,
                    global const float *restrict bias, global float *restrict scratch, long scratch_at, PICTURE(x),
                    PICTURE(y), TILES, int chunk, int blocks, int panels, int has_bias, float parameter,
                    int accumulate, int channels) {
    const long line = LINE(chunk);
    u += u_at;
    global float *v = scratch + scratch_at + get_global_id(0) * (PLANES * (blocks + NV) * line);
    global float *m = v + PLANES * blocks * line;
    for (int first = get_global_id(0) * chunk; first < tiles; first += get_global_size(0) * chunk) {
        const int count = min(chunk, tiles - first), next = first + get_global_size(0) * chunk;
        for (int block = 0; block < blocks; block++)
            for (int t = 0; t < count; t++) {
                TILE(first + t);
                transform_input(PICTURE_TILE(x, n, ty, tx) + block * x_block, x_row, rows, columns,
                                v + block * line + t * B, blocks * line);
            }
        for (int panel = 0; panel < panels; panel++) {
            for (int plane = 0; plane < PLANES; plane++) {
                global const float *weights = u + ((long)panel * PLANES + plane) * blocks * B * NR;
                products(v + plane * blocks * line, line, weights, blocks, m + plane * NV * line, count,
                         weights + blocks * B * NR);
                const int parts = PLANES * panels, coming = min(chunk, tiles - next);
                for (int k = panel * PLANES + plane; k < blocks * coming; k += parts) {
                    TILE(next + k % coming);
                    PREFETCH_TILE(PICTURE_TILE(x, n, ty, tx) + k / coming * x_block, x_row);
                }
            }
            for (int i = 0; i < NV; i++) {
                const int block = panel * NV + i;
                const REAL start = has_bias ? LOAD(bias + block * B) : R(0.0f);
                for (int t = 0; t < count; t++) {
                    TILE(first + t);
                    transform_output(m + i * line + t * B, NV * line, PICTURE_TILE(y, n, ty, tx) + block * y_block, y_row,
                                     rows, columns, start, parameter, accumulate, channels - block * B);
                }
            }
        }
    }
}

// The three launches for tiles first .. first + chunk - 1. Global size: (blocks, groups of tiles_per_item tiles).
ITEM winograd_input(global const float *restrict x, global float *restrict v, long v_at, PICTURE(x), TILES, int chunk,
                    int first, int tiles_per_item) {
    const int block = get_global_id(0), blocks = get_global_size(0), count = min(chunk, tiles - first);
    const int from = get_global_id(1) * tiles_per_item;
    for (int t = from; t < min(from + tiles_per_item, count); t++) {
        TILE(first + t);
        transform_input(PICTURE_TILE(x, n, ty, tx) + block * x_block, x_row, rows, columns,
                        v + v_at + block * LINE(chunk) + t * B, blocks * LINE(chunk));
    }
}

// Global size: (panels, planes, groups of tiles_per_item tiles, a multiple of MT).
ITEM winograd_product(global const float *restrict v, long v_at, global const float *restrict u, long u_at,
                      global float *restrict m, long m_at, int blocks, int count, int chunk, int tiles_per_item) {
    const int panel = get_global_id(0), panels = get_global_size(0), plane = get_global_id(1);
    const int from = get_global_id(2) * tiles_per_item;
    v += v_at + plane * blocks * LINE(chunk);
    u += u_at;
    m += m_at + (plane * panels + panel) * NV * LINE(chunk);
    const int next = plane * panels + panel + 1; // most likely
    products(v + from * B, LINE(chunk), u + ((long)panel * PLANES + plane) * blocks * B * NR, blocks, m + from * B,
             min(tiles_per_item, count - from), u + ((long)(next % panels) * PLANES + next / panels) * blocks * B * NR);
}

// Global size: (blocks, groups of tiles_per_item tiles).
ITEM winograd_output(global const float *restrict m, long m_at, global float *restrict y,
                     global const float *restrict bias, PICTURE(y), TILES, int chunk, int first, int tiles_per_item, int has_bias, float parameter,
                     int accumulate, int channels) {
    const int block = get_global_id(0), blocks = get_global_size(0), count = min(chunk, tiles - first);
    const int from = get_global_id(1) * tiles_per_item;
    const REAL start = has_bias ? LOAD(bias + block * B) : R(0.0f);
    for (int t = from; t < min(from + tiles_per_item, count); t++) {
        TILE(first + t);
        transform_output(m + m_at + block * LINE(chunk) + t * B, blocks * LINE(chunk),
                         PICTURE_TILE(y, n, ty, tx) + block * y_block, y_row, rows, columns, start, parameter, accumulate,
                         channels - block * B);
    }
}

// ---- backward-weight ----------------------------------------------------------------------------------------

#ifndef MC
#define MC 8 // input channels of a product; divides B
#endif

// Global size: (blocks, groups of tiles_per_item tiles).
ITEM winograd_gradient(global const float *restrict y, global float *restrict z, long z_at, PICTURE(y), TILES, int chunk,
                       int first, int tiles_per_item) {
    const int block = get_global_id(0), blocks = get_global_size(0), count = min(chunk, tiles - first);
    const int from = get_global_id(1) * tiles_per_item;
    for (int t = from; t < min(from + tiles_per_item, count); t++) {
        TILE(first + t);
        transform_gradient(PICTURE_TILE(y, n, ty, tx) + block * y_block, y_row, rows, columns,
                           z + z_at + block * LINE(chunk) + t * B, blocks * LINE(chunk));
    }
}

// u (+)= v' z over the tiles of a chunk, for MC input channels and a panel, of one plane.
static inline void weight_product(global const float *restrict v, global const float *restrict z, long line, int count,
                                  global float *restrict u, int add) {
    REAL sum[MC][NV];
    UNROLL for (int c = 0; c < MC; c++)
        UNROLL for (int i = 0; i < NV; i++)
            sum[c][i] = R(0.0f);
    _Pragma("unroll 2") for (int t = 0; t < count; t++) {
        REAL gradient[NV];
        UNROLL for (int i = 0; i < NV; i++)
            gradient[i] = LOAD(z + i * line + t * B);
        UNROLL for (int c = 0; c < MC; c++) {
            const REAL value = R(v[t * B + c]);
            UNROLL for (int i = 0; i < NV; i++)
                sum[c][i] = fma(value, gradient[i], sum[c][i]);
        }
    }
    UNROLL for (int c = 0; c < MC; c++)
        UNROLL for (int i = 0; i < NV; i++) {
            global float *p = u + c * NR + i * B;
            STORE(add ? sum[c][i] + LOAD(p) : sum[c][i], p);
        }
}

// The products of a chunk. Global size: (panels, planes).
ITEM winograd_weight_product(global const float *restrict v, long v_at, global const float *restrict z, long z_at,
                             global float *restrict u, long u_at, int blocks, int count, int chunk, int add) {
    const int panel = get_global_id(0), panels = get_global_size(0), plane = get_global_id(1);
    v += v_at + plane * blocks * LINE(chunk);
    z += z_at + (plane * panels + panel) * NV * LINE(chunk);
    u += u_at + ((long)panel * PLANES + plane) * blocks * B * NR;
    for (int block = 0; block < blocks; block++)
        for (int c = 0; c < B; c += MC)
            weight_product(v + block * LINE(chunk) + c, z, LINE(chunk), count, u + (block * B + c) * NR, add);
}

// Chunk after chunk, into a result of the item's own. Global size: (items), each with 36 (blocks + panels * NV)
// lines of scratch.
ITEM winograd_weight_fused(global const float *restrict x, global const float *restrict y, global float *restrict u,
                           long u_at, global float *restrict scratch, long scratch_at, PICTURE(x), PICTURE(y), TILES,
                           int chunk, int blocks, int panels) {
    const long line = LINE(chunk);
    const int item = get_global_id(0);
    global float *v = scratch + scratch_at + item * (PLANES * (blocks + panels * NV) * line), *z = v + PLANES * blocks * line;
    u += u_at + (long)item * panels * PLANES * blocks * B * NR;
    for (int first = item * chunk; first < tiles; first += get_global_size(0) * chunk) {
        const int count = min(chunk, tiles - first);
        for (int block = 0; block < blocks; block++)
            for (int t = 0; t < count; t++) {
                TILE(first + t);
                transform_input(PICTURE_TILE(x, n, ty, tx) + block * x_block, x_row, rows, columns,
                                v + block * line + t * B, blocks * line);
            }
        for (int block = 0; block < panels * NV; block++)
            for (int t = 0; t < count; t++) {
                TILE(first + t);
                transform_gradient(PICTURE_TILE(y, n, ty, tx) + block * y_block, y_row, rows, columns,
                                   z + block * line + t * B, panels * NV * line);
            }
        for (int plane = 0; plane < PLANES; plane++)
            for (int panel = 0; panel < panels; panel++)
                for (int block = 0; block < blocks; block++)
                    for (int c = 0; c < B; c += MC)
                        weight_product(v + (plane * blocks + block) * line + c,
                                       z + (plane * panels + panel) * NV * line, line, count,
                                       u + (((long)panel * PLANES + plane) * blocks + block) * B * NR + c * NR,
                                       first > item * chunk);
    }
}

// dw (+)= G' (sum of `parts` results) G. Global size: (panels, blocks).
ITEM winograd_weight_output(global const float *restrict u, long u_at, global float *restrict w, int parts, int accumulate) {
    const int panel = get_global_id(0), block = get_global_id(1);
    const long plane = (long)get_global_size(1) * B * NR, part = get_global_size(0) * PLANES * plane;
    u += u_at + panel * PLANES * plane + block * B * NR;
    w += ((long)panel * get_global_size(1) + block) * 9 * B * NR;
    for (int i = 0; i < B * NV; i++) {
        REAL t[6][3];
        UNROLL for (int x = 0; x < 6; x++) {
            REAL line[6];
            UNROLL for (int y = 0; y < 6; y++) {
                line[y] = LOAD(u + (y * 6 + x) * plane + i * B);
                for (int k = 1; k < parts; k++)
                    line[y] += LOAD(u + k * part + (y * 6 + x) * plane + i * B);
            }
            weight_gradient_axis(line, t[x]);
        }
        UNROLL for (int y = 0; y < 3; y++) {
            const REAL line[6] = {t[0][y], t[1][y], t[2][y], t[3][y], t[4][y], t[5][y]};
            REAL o[3];
            weight_gradient_axis(line, o);
            UNROLL for (int x = 0; x < 3; x++) {
                global float *p = w + (y * 3 + x) * B * NR + i * B;
                STORE(accumulate ? o[x] + LOAD(p) : o[x], p);
            }
        }
    }
}
