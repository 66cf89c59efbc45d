#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"

#define STAGED_BYTES ((size_t)4 << 20)
#define STREAM_BYTES ((size_t)16 << 20)

struct thaw_layout thaw_layout_make(struct thaw_shape shape, int block, int halo) {
    return (struct thaw_layout){shape.n, shape.c, shape.h, shape.w, block, halo};
}

bool thaw_layout_streams(const struct thaw_layout *layout, const struct thaw_device_caps *caps) {
    return caps->is_cpu && layout->block == caps->block &&
           thaw_layout_bytes(layout) >= STREAM_BYTES &&
           caps->base_align_bytes % ((size_t)layout->block * sizeof(float)) == 0;
}

/* The layout of one channel block of `n` images, which is contiguous on the device: what is staged
 * on the host at a time. */
static struct thaw_layout staged_layout(const struct thaw_layout *layout, int n, int block_index) {
    struct thaw_layout staged = *layout;
    staged.n = n;
    staged.c = layout->c - block_index * layout->block;
    if (staged.c > layout->block)
        staged.c = layout->block;
    return staged;
}

/* Copies one block between `staged` order and its channels of the logical `data`. */
static void copy_block(const struct thaw_layout *layout, int n, int block_index, float *staged,
                       float *data, bool to_device) {
    struct thaw_layout s = staged_layout(layout, n, block_index);
    size_t map = (size_t)layout->h * (size_t)layout->w;
    for (int image = 0; image < n; image++) {
        for (int c = 0; c < s.c; c++) {
            size_t channel =
                (size_t)image * (size_t)layout->c + (size_t)(block_index * layout->block + c);
            float *plane = data + channel * map;
            for (int y = 0; y < layout->h; y++) {
                float *row = staged + thaw_layout_index(&s, image, c, y, 0);
                float *logical = plane + (size_t)y * (size_t)layout->w;
                for (int x = 0; x < layout->w; x++) {
                    float *lane = row + (size_t)x * (size_t)s.block;
                    if (to_device)
                        *lane = logical[x];
                    else
                        logical[x] = *lane;
                }
            }
        }
    }
}

static thaw_status check_images(const struct thaw_tensor *tensor, int n) {
    if (n < 0 || n > tensor->layout.n)
        return thaw_fail(THAW_ERROR_RUNTIME, "%d images for a tensor that holds %d", n,
                         tensor->layout.n);
    return THAW_OK;
}

/* Some blocks on their way, of the first `n` images each. Those of a full batch lie one after
 * another on the device and go together, a few MiB at a time; else each goes alone. */
struct staging {
    float *values;
    size_t count;          /* of a block */
    int blocks, at_a_time; /* of the tensor */
};

static thaw_status start_staging(const struct thaw_layout *layout, int n, struct staging *s) {
    s->count = (size_t)n * thaw_layout_image_stride(layout);
    s->blocks = s->count ? thaw_layout_blocks(layout) : 0;
    size_t fitting = s->count ? STAGED_BYTES / (s->count * sizeof(float)) : 0;
    s->at_a_time = n < layout->n || fitting < 1  ? 1
                   : fitting < (size_t)s->blocks ? (int)fitting
                                                 : s->blocks;
    s->values = malloc((size_t)s->at_a_time * s->count * sizeof(float) + 1);
    return s->values ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory staging a tensor");
}

thaw_status thaw_tensor_write(thaw_device *device, const struct thaw_tensor *tensor, int n,
                              const float *data) {
    const struct thaw_layout *layout = &tensor->layout;
    struct staging s;
    THAW_TRY(check_images(tensor, n));
    THAW_TRY(start_staging(layout, n, &s));
    thaw_status status = THAW_OK;
    for (int first = 0; first < s.blocks && status == THAW_OK; first += s.at_a_time) {
        int left = s.blocks - first, blocks = left < s.at_a_time ? left : s.at_a_time;
        size_t count = (size_t)blocks * s.count;
        memset(s.values, 0, count * sizeof(float));
        for (int b = 0; b < blocks; b++)
            copy_block(layout, n, first + b, s.values + (size_t)b * s.count, (float *)data, true);
        status = thaw_buffer_write(device, tensor->buffer,
                                   (size_t)first * thaw_layout_block_stride(layout) * sizeof(float),
                                   s.values, count * sizeof(float));
    }
    free(s.values);
    return status;
}

thaw_status thaw_tensor_read(thaw_device *device, const struct thaw_tensor *tensor, int n,
                             float *ret_data) {
    const struct thaw_layout *layout = &tensor->layout;
    struct staging s;
    THAW_TRY(check_images(tensor, n));
    THAW_TRY(start_staging(layout, n, &s));
    thaw_status status = THAW_OK;
    for (int first = 0; first < s.blocks && status == THAW_OK; first += s.at_a_time) {
        int left = s.blocks - first, blocks = left < s.at_a_time ? left : s.at_a_time;
        status = thaw_buffer_read(device, tensor->buffer,
                                  (size_t)first * thaw_layout_block_stride(layout) * sizeof(float),
                                  s.values, (size_t)blocks * s.count * sizeof(float));
        for (int b = 0; b < blocks && status == THAW_OK; b++)
            copy_block(layout, n, first + b, s.values + (size_t)b * s.count, ret_data, false);
    }
    free(s.values);
    return status;
}

void thaw_filter_pack(const struct thaw_filter *filter, const float *data, float *ret_packed) {
    memset(ret_packed, 0, thaw_filter_size(filter) * sizeof *ret_packed);
    for (int o = 0; o < filter->o; o++)
        for (int i = 0; i < filter->i; i++)
            for (int y = 0; y < filter->kh; y++)
                for (int x = 0; x < filter->kw; x++)
                    ret_packed[thaw_filter_index(filter, o, i, y, x)] = *data++;
}

void thaw_filter_unpack(const struct thaw_filter *filter, const float *packed, float *ret_data) {
    for (int o = 0; o < filter->o; o++)
        for (int i = 0; i < filter->i; i++)
            for (int y = 0; y < filter->kh; y++)
                for (int x = 0; x < filter->kw; x++)
                    *ret_data++ = packed[thaw_filter_index(filter, o, i, y, x)];
}

thaw_status thaw_filter_write(thaw_device *device, const struct thaw_filter *filter, cl_mem buffer,
                              const float *data) {
    size_t size_bytes = thaw_filter_size(filter) * sizeof(float);
    float *packed = malloc(size_bytes);
    if (!packed)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while writing weights");
    thaw_filter_pack(filter, data, packed);
    thaw_status status = thaw_buffer_write(device, buffer, 0, packed, size_bytes);
    free(packed);
    return status;
}

thaw_status thaw_filter_read(thaw_device *device, const struct thaw_filter *filter, cl_mem buffer,
                             float *ret_data) {
    size_t size_bytes = thaw_filter_size(filter) * sizeof(float);
    float *packed = malloc(size_bytes);
    if (!packed)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while reading weights");
    thaw_status status = thaw_buffer_read(device, buffer, 0, packed, size_bytes);
    if (status == THAW_OK)
        thaw_filter_unpack(filter, packed, ret_data);
    free(packed);
    return status;
}
