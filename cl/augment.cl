// From decoded pictures to the network's input, for every output pixel (x, y) of picture n:
//
//   s      = A (x, y, 1)                             where it comes from; pixel centres are whole numbers
//   v      = bilinear(source_n, s)                   the border repeated
//   v      = cut(M (v, 255), 0, 255)                 colour
//   v      = (v / 255 - mean) / std, or 0 if erased
//   out_n  = lambda v_n + (1 - lambda) v_partner     mixup
//
// A whole-number s gives exactly the source's pixel. C channels (1 or 3), sources [height][width][C] of 8 bits
// one after the other, out [1][N][H+2P][W+2P][C], interior only. A work-item does RUN pixels of a row: the whole
// row on a CPU, one elsewhere.
//
// -DC, -DSIZE, -DRUN, and SCALE<c>, SHIFT<c>: v * SCALE + SHIFT normalises.

// The words of a picture's record (host/data/augmenter.c).
#define OFFSET 0
#define WIDTH 1
#define HEIGHT 2
#define TO_SOURCE 3
#define COLOUR 9
#define ERASE 21
#define PARTNER 25
#define LAMBDA 26
#define RECORD 27

struct picture {
    global const uchar *pixels;
    int right, bottom; // the last column and row
    float to_source[6], colour[12];
    int4 erase; // x0, y0, x1, y1
};

static inline struct picture load_picture(global const uchar *pixels, global const int *record) {
    struct picture p;
    p.pixels = pixels + record[OFFSET];
    p.right = record[WIDTH] - 1;
    p.bottom = record[HEIGHT] - 1;
    for (int i = 0; i < 6; i++)
        p.to_source[i] = as_float(record[TO_SOURCE + i]);
    for (int i = 0; i < 12; i++)
        p.colour[i] = as_float(record[COLOUR + i]);
    p.erase = vload4(0, record + ERASE);
    return p;
}

static inline void sample_picture(const struct picture *p, int x, int y, float *v) {
    const float *m = p->to_source;
    float sx = clamp(m[0] * x + m[1] * y + m[2], 0.0f, (float)p->right);
    float sy = clamp(m[3] * x + m[4] * y + m[5], 0.0f, (float)p->bottom);
    int x0 = (int)sx, y0 = (int)sy;
    float tx = sx - x0, ty = sy - y0;
    global const uchar *top = p->pixels + (size_t)(y0 * (p->right + 1) + x0) * C;
    int right = x0 < p->right ? C : 0;
    global const uchar *low = top + (y0 < p->bottom ? (p->right + 1) * C : 0);
    for (int c = 0; c < C; c++) {
        float a = top[c], b = top[right + c], d = low[c], e = low[right + c];
        float above = a + (b - a) * tx, below = d + (e - d) * tx;
        v[c] = above + (below - above) * ty;
    }
}

// C values of output pixel (x, y), normalised.
static inline void make_pixel(const struct picture *p, int x, int y, float *v) {
    const float *m = p->colour;
    if (x >= p->erase.x && x < p->erase.z && y >= p->erase.y && y < p->erase.w) {
        for (int c = 0; c < C; c++)
            v[c] = 0;
        return;
    }
    sample_picture(p, x, y, v);
#if C == 1
    v[0] = clamp(m[0] * v[0] + m[3], 0.0f, 255.0f) * SCALE0 + SHIFT0;
#else
    float r = v[0], g = v[1], b = v[2];
    v[0] = clamp(m[0] * r + m[1] * g + m[2] * b + m[3], 0.0f, 255.0f) * SCALE0 + SHIFT0;
    v[1] = clamp(m[4] * r + m[5] * g + m[6] * b + m[7], 0.0f, 255.0f) * SCALE1 + SHIFT1;
    v[2] = clamp(m[8] * r + m[9] * g + m[10] * b + m[11], 0.0f, 255.0f) * SCALE2 + SHIFT2;
#endif
}

kernel void augment(global const uchar *pixels, global const int *records, global float *out, int origin,
                    int row_stride, int image_stride, int count) {
    int first = get_global_id(0) * RUN, y = get_global_id(1), n = get_global_id(2);
    if (first >= SIZE || y >= SIZE || n >= count)
        return;
    global const int *record = records + n * RECORD;
    int partner = record[PARTNER];
    float lambda = as_float(record[LAMBDA]);
    struct picture own = load_picture(pixels, record);
    struct picture other = load_picture(pixels, records + partner * RECORD);
    global float *row = out + origin + (size_t)n * image_stride + (size_t)y * row_stride;
    for (int x = first; x < min(first + RUN, SIZE); x++) {
        float v[C], w[C];
        make_pixel(&own, x, y, v);
        if (partner != n) {
            make_pixel(&other, x, y, w);
            for (int c = 0; c < C; c++)
                v[c] = lambda * v[c] + (1 - lambda) * w[c];
        }
        for (int c = 0; c < C; c++)
            row[x * C + c] = v[c];
    }
}
