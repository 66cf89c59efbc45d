// Another order of an image's content (host/ops/rearrange.h): place k of y, in logical (C, H, W) order, takes the
// value at place(k) of x. Backward is the same kernel with the inverse plan.
//
//   -D FROM_B  channel block of x

#define DIMS_MAX 6
#define PLAN                                                                                            \
    int dims, int n1, int n2, int n3, int n4, int n5, int s0, int s1, int s2, int s3, int s4, int s5
// The last of the six sizes and strides are the plan's; those in front of them count nothing.
#define PLAN_ARRAYS                                                                                     \
    const int sizes[DIMS_MAX] = {1, n1, n2, n3, n4, n5}, strides[DIMS_MAX] = {s0, s1, s2, s3, s4, s5}

static int place(int k, int dims, const int *sizes, const int *strides) {
    int result = 0, i = DIMS_MAX - 1;
    for (; i > DIMS_MAX - dims; i--) {
        result += k % sizes[i] * strides[i];
        k /= sizes[i];
    }
    return result + k * strides[i];
}

#define FROM_CHANNEL(c) ((c) / FROM_B * x_block + (c) % FROM_B)

// Where whole maps change places, a lane's channel says all.
kernel void rearrange_maps(global const float *x, global float *y, int x_h, int x_w, int channels, int y_pixels,
                           int accumulate, PLAN, WALK, MAP(x), MAP(y)) {
    PLAN_ARRAYS;
    const int cb = get_global_id(2), lanes = min(B, channels - cb * B);
    long from[B];
    for (int lane = 0; lane < lanes; lane++)
        from[lane] = FROM_CHANNEL(place((cb * B + lane) * y_pixels, dims, sizes, strides) / (x_h * x_w));
    EACH_ROW(r) {
        global const float *p = x + x_origin + (long)(r / h) * x_image + r % h * x_row;
        global float *q = MAP_AT(y, cb, r);
        EACH_PIXEL(i) {
            for (int lane = 0; lane < lanes; lane++) {
                const float v = p[from[lane] + i * FROM_B];
                q[i * B + lane] = accumulate ? q[i * B + lane] + v : v;
            }
            for (int lane = lanes; lane < B; lane++)
                q[i * B + lane] = 0.0f;
        }
    }
}

kernel void rearrange_values(global const float *x, global float *y, int x_h, int x_w, int channels, int y_pixels,
                             int accumulate, PLAN, WALK, MAP(x), MAP(y)) {
    PLAN_ARRAYS;
    const int cb = get_global_id(2), lanes = min(B, channels - cb * B), x_pixels = x_h * x_w;
    EACH_ROW(r) {
        global const float *image = x + x_origin + (long)(r / h) * x_image;
        global float *q = MAP_AT(y, cb, r);
        EACH_PIXEL(i) {
            for (int lane = 0; lane < B; lane++) {
                float v = 0.0f;
                if (lane < lanes) {
                    const int k = place((cb * B + lane) * y_pixels + r % h * w + i, dims, sizes, strides);
                    const int pixel = k % x_pixels;
                    v = image[FROM_CHANNEL(k / x_pixels) + pixel / x_w * x_row + pixel % x_w * FROM_B];
                }
                q[i * B + lane] = accumulate ? q[i * B + lane] + v : v;
            }
        }
    }
}
