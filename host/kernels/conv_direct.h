/* What the files of the candidate `direct` share.
 *
 * A pass is one launch of conv_direct (cl/conv_direct.cl): `out_h` x `out_w` output pixels of each
 * image, each the sum over `blocks` channel blocks and `taps_h` x `taps_w` taps of `run` products.
 * Strides and offsets are in floats. Forward is one pass; backward-data is one for each class of
 * input pixels that see the same taps. */
#ifndef THAW_KERNELS_CONV_DIRECT_H
#define THAW_KERNELS_CONV_DIRECT_H

#include "kernels/conv.h"

struct thaw_direct_tile {
    int pixels, width; /* MR, TW of cl/conv_direct.cl: pixels in all, pixels of a row */
};

struct thaw_direct_pass {
    int channels; /* of the output */
    int vectors;  /* of output channels in a panel */
    int blocks, taps_h, taps_w, run;
    int last_run; /* of the last block: its channels that are not padding */
    int64_t x_offset, x_block, w_offset, w_panel, y_offset, y_block;
    int x_image, x_row, x_pixel, x_tap_row, x_tap;
    int w_block, w_tap_row, w_tap;
    int y_image, y_row, y_pixel;
    int out_h, out_w; /* out_w: with row_pixels, of all allocated images */
    /* 0, or: all images lie in one row of so many pixels each (and out_h is 1), for maps without a
     * halo or of one pixel. A tile may read, but never stores, pixels of images past the batch. */
    int row_pixels;
    int images; /* allocated */
    struct thaw_direct_tile tile;
};

/* Vectors of B channels in a panel of the weights. */
int thaw_direct_vectors(int channels, int block);

bool thaw_direct_applies(const struct thaw_conv_problem *problem,
                         const struct thaw_device_caps *caps);
/* Whether the output is better written past the cache, where whole vectors of it are contiguous. */
bool thaw_direct_streams(const struct thaw_conv_problem *problem,
                         const struct thaw_device_caps *caps);

/* Puts all images in one row where their output pixels follow each other at one distance. */
void thaw_direct_pass_join_images(struct thaw_direct_pass *pass);

/* The tile that covers such a map at the least cost; at most out_h x out_w. */
struct thaw_direct_tile thaw_direct_tile_choose(int out_h, int out_w, int vectors, int block);

/* The program of a pass: also depends on the problem's epilogue. */
thaw_status thaw_direct_pass_prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                                     const struct thaw_direct_pass *pass, thaw_kernel **ret_kernel);
thaw_status thaw_direct_pass_run(thaw_device *device, const struct thaw_conv_problem *problem,
                                 const struct thaw_direct_pass *pass, thaw_kernel *kernel, cl_mem x,
                                 cl_mem w, cl_mem y, cl_mem bias, int batch);

size_t thaw_direct_data_workspace(const struct thaw_conv_problem *problem,
                                  const struct thaw_device_caps *caps);
thaw_status thaw_direct_data_prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                                     struct thaw_conv_state *state);
thaw_status thaw_direct_data_run(thaw_device *device, const struct thaw_conv_problem *problem,
                                 const struct thaw_conv_state *state,
                                 const struct thaw_conv_run *run);

size_t thaw_direct_weight_workspace(const struct thaw_conv_problem *problem,
                                    const struct thaw_device_caps *caps);
thaw_status thaw_direct_weight_prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                                       struct thaw_conv_state *state);
thaw_status thaw_direct_weight_run(thaw_device *device, const struct thaw_conv_problem *problem,
                                   const struct thaw_conv_state *state,
                                   const struct thaw_conv_run *run);

#endif
