// From decoded pictures to the network's input, for every output pixel (x, y) of picture n:
//
//   s      = A (x, y, 1)                             where it comes from; pixel centres are whole numbers
//   v      = bilinear(source_n, s)                   the border repeated
//   v      = cut(M (v, 255), 0, 255)                 colour
//   v      = (v / 255 - mean) / std, or 0 if erased
//   out_n  = lambda v_n + (1 - lambda) v_partner     mixup
//
// A whole-number s gives exactly the source's pixel; pictures that are only cropped and mirrored skip the sums.
// Sources are [height][width][C] of 8 bits, C 1 or 3, one after the other, and a byte more at the end; out is
// [1][N][H+2P][W+2P][C], or [C][N][H+2P][W+2P][1] on devices whose channel block is 1 (-DPLANES=1), of which the
// interior is written. A work-item does RUN pixels of a row: the whole row on a CPU, one elsewhere.
//
// -DC, -DSIZE, -DRUN, -DPLANES, and SCALE<c>, SHIFT<c>: v * SCALE + SHIFT normalises.

// A pixel as one vector; the fourth lane of a colour is whatever comes next in memory and goes nowhere.
#if C == 3
#define PIXEL float4
#define READ(p) convert_float4(vload4(0, p))
#define SCALE (float4)(SCALE0, SCALE1, SCALE2, 0)
#define SHIFT (float4)(SHIFT0, SHIFT1, SHIFT2, 0)
#else
#define PIXEL float
#define READ(p) ((float)*(p))
#define SCALE SCALE0
#define SHIFT SHIFT0
#endif

// Where pixel x of a row and channel c of it lie; `plane` is the distance between channels when they are apart.
#if PLANES
#define AT(x, c) ((x) + (c) * plane)
#else
#define AT(x, c) ((x) * C + (c))
#endif

// The words of a picture's record (host/data/augmenter.c).
#define OFFSET 0
#define WIDTH 1
#define HEIGHT 2
#define PARTNER 3
#define PLAIN 4
#define LAMBDA 5
#define TO_SOURCE 6
#define ERASE 12
#define COLOUR 16
#define RECORD 32

struct picture {
    global const uchar *pixels;
    int right, bottom; // the last column and row
    float to_source[6];
    int4 erase; // x0, y0, x1, y1
#if C == 3
    float4 red, green, blue; // what each adds to R, G, B
#else
    float grey;
#endif
    PIXEL offset;
};

static inline struct picture load_picture(global const uchar *pixels, global const int *record) {
    struct picture p;
    global const float *colour = (global const float *)(record + COLOUR);
    p.pixels = pixels + record[OFFSET];
    p.right = record[WIDTH] - 1;
    p.bottom = record[HEIGHT] - 1;
    for (int i = 0; i < 6; i++)
        p.to_source[i] = as_float(record[TO_SOURCE + i]);
    p.erase = vload4(0, record + ERASE);
#if C == 3
    p.red = vload4(0, colour);
    p.green = vload4(1, colour);
    p.blue = vload4(2, colour);
    p.offset = vload4(3, colour);
#else
    p.grey = colour[0];
    p.offset = colour[12];
#endif
    return p;
}

static inline PIXEL sample_picture(const struct picture *p, int x, int y) {
    const float *m = p->to_source;
    float sx = clamp(m[0] * x + m[1] * y + m[2], 0.0f, (float)p->right);
    float sy = clamp(m[3] * x + m[4] * y + m[5], 0.0f, (float)p->bottom);
    int x0 = (int)sx, y0 = (int)sy;
    global const uchar *top = p->pixels + (y0 * (p->right + 1) + x0) * C;
    global const uchar *low = top + (y0 < p->bottom ? (p->right + 1) * C : 0);
    int right = x0 < p->right ? C : 0;
    PIXEL a = READ(top), b = READ(low);
    a += (READ(top + right) - a) * (sx - x0);
    b += (READ(low + right) - b) * (sx - x0);
    return a + (b - a) * (sy - y0);
}

// Output pixel (x, y), normalised.
static inline PIXEL make_pixel(const struct picture *p, int x, int y) {
    if (x >= p->erase.x && x < p->erase.z && y >= p->erase.y && y < p->erase.w)
        return 0;
    PIXEL v = sample_picture(p, x, y);
#if C == 3
    v = p->red * v.x + p->green * v.y + p->blue * v.z + p->offset;
#else
    v = p->grey * v + p->offset;
#endif
    return clamp(v, 0.0f, 255.0f) * SCALE + SHIFT;
}

// A row of a plain picture: pixels in order or mirrored, colours as they are.
static inline void copy_row(const struct picture *p, int first, int end, int y, global float *row, long plane) {
    const float *m = p->to_source;
    int step = (int)m[0] * C, line = (int)(m[4] * y + m[5]);
    global const uchar *from = p->pixels + (line * (p->right + 1) + (int)m[2]) * C;
    for (int x = first; x < end; x++) {
        row[AT(x, 0)] = from[x * step] * SCALE0 + SHIFT0;
#if C == 3
        row[AT(x, 1)] = from[x * step + 1] * SCALE1 + SHIFT1;
        row[AT(x, 2)] = from[x * step + 2] * SCALE2 + SHIFT2;
#endif
    }
}

static inline void write_pixel(PIXEL v, int x, global float *row, long plane) {
#if C == 3 && PLANES
    row[AT(x, 0)] = v.x;
    row[AT(x, 1)] = v.y;
    row[AT(x, 2)] = v.z;
#elif C == 3
    vstore3(v.xyz, x, row);
#else
    row[x] = v;
#endif
}

kernel void augment(global const uchar *pixels, global const int *records, global float *out, int origin,
                    int row_stride, int image_stride, long plane, int count) {
    int first = get_global_id(0) * RUN, y = get_global_id(1), n = get_global_id(2);
    if (first >= SIZE || y >= SIZE || n >= count)
        return;
    global const int *record = records + n * RECORD;
    int end = min(first + RUN, SIZE), partner = record[PARTNER];
    float lambda = as_float(record[LAMBDA]);
    struct picture own = load_picture(pixels, record);
    global float *row = out + origin + (size_t)n * image_stride + (size_t)y * row_stride;
    if (record[PLAIN]) {
        copy_row(&own, first, end, y, row, plane);
    } else if (partner == n) {
        for (int x = first; x < end; x++)
            write_pixel(make_pixel(&own, x, y), x, row, plane);
    } else {
        struct picture other = load_picture(pixels, records + partner * RECORD);
        for (int x = first; x < end; x++)
            write_pixel(lambda * make_pixel(&own, x, y) + (1 - lambda) * make_pixel(&other, x, y), x, row,
                        plane);
    }
}
