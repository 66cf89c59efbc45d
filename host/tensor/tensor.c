#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"

struct thaw_layout thaw_layout_make(struct thaw_shape shape, int block, int halo) {
    return (struct thaw_layout){shape.n, shape.c, shape.h, shape.w, block, halo};
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

thaw_status thaw_tensor_write(thaw_device *device, const struct thaw_tensor *tensor, int n,
                              const float *data) {
    THAW_TRY(check_images(tensor, n));
    const struct thaw_layout *layout = &tensor->layout;
    size_t count = (size_t)n * thaw_layout_image_stride(layout);
    if (count == 0)
        return THAW_OK;
    float *staged = malloc(count * sizeof *staged);
    if (!staged)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while writing a tensor");
    thaw_status status = THAW_OK;
    for (int b = 0; b < thaw_layout_blocks(layout) && status == THAW_OK; b++) {
        memset(staged, 0, count * sizeof *staged);
        copy_block(layout, n, b, staged, (float *)data, true);
        status = thaw_buffer_write(device, tensor->buffer,
                                   (size_t)b * thaw_layout_block_stride(layout) * sizeof *staged,
                                   staged, count * sizeof *staged);
    }
    free(staged);
    return status;
}

thaw_status thaw_tensor_read(thaw_device *device, const struct thaw_tensor *tensor, int n,
                             float *ret_data) {
    THAW_TRY(check_images(tensor, n));
    const struct thaw_layout *layout = &tensor->layout;
    size_t count = (size_t)n * thaw_layout_image_stride(layout);
    if (count == 0)
        return THAW_OK;
    float *staged = malloc(count * sizeof *staged);
    if (!staged)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while reading a tensor");
    thaw_status status = THAW_OK;
    for (int b = 0; b < thaw_layout_blocks(layout) && status == THAW_OK; b++) {
        status = thaw_buffer_read(device, tensor->buffer,
                                  (size_t)b * thaw_layout_block_stride(layout) * sizeof *staged,
                                  staged, count * sizeof *staged);
        if (status == THAW_OK)
            copy_block(layout, n, b, staged, ret_data, false);
    }
    free(staged);
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
