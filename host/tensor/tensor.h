/* Shapes and device layouts. The logical shape in the API, in YAML and in files is (N, C, H, W),
 * and weights are (O, I, KH, KW). On the device:
 *
 *   activations  [C/B][N][H + 2P][W + 2P][B]
 *   weights      [O/BO][I/BI][KH][KW][BI][BO]
 *
 * B ("block") is the device's channel block, except that the network's input image, when it has
 * fewer than 4 channels (RGB, grey) on a device whose block is not 1, has B = C. The P ("halo")
 * pixels around each map are zero at all times, so that convolutions need no border code; lanes of
 * the last block past C are zero at all times too. Kernels that write a tensor write its interior,
 * and keep both promises. N in the strides is the allocated batch; a step may use fewer images.
 * Index arithmetic in kernels: cl/common.cl. */
#ifndef THAW_TENSOR_TENSOR_H
#define THAW_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>

#include "cl/cl.h"

struct thaw_shape {
    int n, c, h, w;
};

struct thaw_layout {
    int n, c, h, w;
    int block; /* B */
    int halo;  /* P */
};

struct thaw_layout thaw_layout_make(struct thaw_shape shape, int block, int halo);

/* Strides and sizes in floats. */
static inline int thaw_layout_blocks(const struct thaw_layout *l) {
    return (l->c + l->block - 1) / l->block;
}
static inline size_t thaw_layout_row_stride(const struct thaw_layout *l) {
    return (size_t)(l->w + 2 * l->halo) * (size_t)l->block;
}
static inline size_t thaw_layout_image_stride(const struct thaw_layout *l) {
    return (size_t)(l->h + 2 * l->halo) * thaw_layout_row_stride(l);
}
static inline size_t thaw_layout_block_stride(const struct thaw_layout *l) {
    return (size_t)l->n * thaw_layout_image_stride(l);
}
static inline size_t
thaw_layout_origin(const struct thaw_layout *l) { /* of interior pixel (0, 0) */
    return (size_t)l->halo * thaw_layout_row_stride(l) + (size_t)l->halo * (size_t)l->block;
}
static inline size_t thaw_layout_size(const struct thaw_layout *l) {
    return (size_t)thaw_layout_blocks(l) * thaw_layout_block_stride(l);
}
static inline size_t thaw_layout_bytes(const struct thaw_layout *l) {
    return thaw_layout_size(l) * sizeof(float);
}
/* Whether kernels on a CPU write such a map past the cache (-DSTREAM=1, STORE_OUTPUT of
 * cl/common.cl): it is so large that nothing of it would still be there when it is read. Not for a
 * map that the same kernel reads, when it works in place or adds: its lines are in the cache. */
bool thaw_layout_streams(const struct thaw_layout *layout, const struct thaw_device_caps *caps);
static inline size_t thaw_layout_index(const struct thaw_layout *l, int n, int c, int y, int x) {
    return thaw_layout_origin(l) + (size_t)(c / l->block) * thaw_layout_block_stride(l) +
           (size_t)n * thaw_layout_image_stride(l) + (size_t)y * thaw_layout_row_stride(l) +
           (size_t)x * (size_t)l->block + (size_t)(c % l->block);
}

/* A tensor on the device. Floats past thaw_layout_size() belong to someone else. */
struct thaw_tensor {
    struct thaw_layout layout;
    cl_mem buffer; /* starts at the layout's float 0, halo included */
};

/* Host <-> device in logical order: `data` is (n, C, H, W) contiguous. `n` <= layout.n images.
 * Writes set halo and padded lanes to zero. For inputs, results and tests; not for the training
 * path. */
thaw_status thaw_tensor_write(thaw_device *device, const struct thaw_tensor *tensor, int n,
                              const float *data);
thaw_status thaw_tensor_read(thaw_device *device, const struct thaw_tensor *tensor, int n,
                             float *ret_data);

/* Weights. i is per group. Also used for 1-d parameters: a bias or a batch-norm scale of C channels
 * is o = C, i = kh = kw = 1 with block_o = the device's block, block_i = 1: C padded to a multiple
 * of B. */
struct thaw_filter {
    int o, i, kh, kw;
    int block_o, block_i;
};
static inline size_t
thaw_filter_size(const struct thaw_filter *f) { /* in floats, padding included */
    size_t o = (size_t)((f->o + f->block_o - 1) / f->block_o) * (size_t)f->block_o;
    size_t i = (size_t)((f->i + f->block_i - 1) / f->block_i) * (size_t)f->block_i;
    return o * i * (size_t)f->kh * (size_t)f->kw;
}
static inline size_t thaw_filter_index(const struct thaw_filter *f, int o, int i, int ky, int kx) {
    size_t blocks_i = (size_t)((f->i + f->block_i - 1) / f->block_i);
    size_t panel = ((size_t)(o / f->block_o) * blocks_i + (size_t)(i / f->block_i));
    size_t tap = (panel * (size_t)f->kh + (size_t)ky) * (size_t)f->kw + (size_t)kx;
    return (tap * (size_t)f->block_i + (size_t)(i % f->block_i)) * (size_t)f->block_o +
           (size_t)(o % f->block_o);
}
/* The filter of a trained map (C, H, W): its device order is that of one image without halo. */
static inline struct thaw_filter thaw_map_filter(int c, int h, int w, int block) {
    return (struct thaw_filter){c, 1, h, w, block, 1};
}
static inline struct thaw_layout thaw_map_filter_layout(const struct thaw_filter *f) {
    return (struct thaw_layout){1, f->o, f->kh, f->kw, f->block_o, 0};
}
/* (O, I, KH, KW) contiguous -> device order, padding zero, and back. Host memory to host memory. */
void thaw_filter_pack(const struct thaw_filter *filter, const float *data, float *ret_packed);
void thaw_filter_unpack(const struct thaw_filter *filter, const float *packed, float *ret_data);
/* The same to and from a device buffer of thaw_filter_size floats. */
thaw_status thaw_filter_write(thaw_device *device, const struct thaw_filter *filter, cl_mem buffer,
                              const float *data);
thaw_status thaw_filter_read(thaw_device *device, const struct thaw_filter *filter, cl_mem buffer,
                             float *ret_data);

#endif
