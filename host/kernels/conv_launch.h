/* What the candidates that run on any layout share: the geometry of a problem as kernel arguments,
 * so that a program serves every convolution with the same blocks. */
#ifndef THAW_KERNELS_CONV_LAUNCH_H
#define THAW_KERNELS_CONV_LAUNCH_H

#include "kernels/conv.h"

/* X_BLOCK and Y_BLOCK; W_BLOCK_O and W_BLOCK_I, for kernels that index weights; the forward
 * epilogue's ACT. */
void thaw_conv_define_maps(const struct thaw_conv_problem *problem, struct thaw_defines *defines);
void thaw_conv_define_weights(const struct thaw_conv_problem *problem,
                              struct thaw_defines *defines);
void thaw_conv_define_activation(const struct thaw_conv_problem *problem,
                                 struct thaw_defines *defines);

/* thaw_launch of a kernel whose parameters open with GEOMETRY of cl/common.cl. */
thaw_status thaw_conv_launch_args(thaw_device *device, thaw_kernel *kernel,
                                  const struct thaw_range *range,
                                  const struct thaw_conv_problem *problem,
                                  const struct thaw_arg *more, size_t count);
#define thaw_conv_launch(device, kernel, range, problem, ...)                                      \
    thaw_conv_launch_args((device), (kernel), (range), (problem),                                  \
                          (const struct thaw_arg[]){__VA_ARGS__},                                  \
                          sizeof((struct thaw_arg[]){__VA_ARGS__}) / sizeof(struct thaw_arg))

/* Whether the tensors are as GPUs have them: y in blocks of 1, weights as OIHW. (x may be an input
 * image with interleaved channels.) */
bool thaw_conv_is_unblocked(const struct thaw_conv_geometry *geometry);

/* Whether every float of x, y and w has an `int` for an index, as those kernels want. */
bool thaw_conv_fits_int(const struct thaw_conv_geometry *geometry);

/* A work-group of 64 items along dimension 0, or what the kernel allows: for kernels whose
 * neighbours along that dimension touch neighbouring floats, on any device. */
struct thaw_range thaw_conv_lanes(thaw_kernel *kernel, size_t lanes, size_t rows);

#endif
