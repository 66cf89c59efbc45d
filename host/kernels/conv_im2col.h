/* The two candidates that unfold the image and multiply matrices differ in who multiplies. */
#ifndef THAW_KERNELS_CONV_IM2COL_H
#define THAW_KERNELS_CONV_IM2COL_H

#include "kernels/conv.h"
#include "kernels/gemm.h"

bool thaw_im2col_applies(const struct thaw_conv_problem *problem,
                         const struct thaw_device_caps *caps);
size_t thaw_im2col_workspace_bytes(const struct thaw_conv_problem *problem,
                                   const struct thaw_device_caps *caps);
/* The product that it computes, chunk by chunk. */
struct thaw_gemm_problem thaw_im2col_product(const struct thaw_conv_problem *problem,
                                             const struct thaw_device_caps *caps);
/* `gemm` names a candidate of kernels/gemm.h, or is NULL for the default choice. */
thaw_status thaw_im2col_prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                                const char *gemm, struct thaw_conv_state *state);
thaw_status thaw_im2col_run(thaw_device *device, const struct thaw_conv_problem *problem,
                            const struct thaw_conv_state *state, const struct thaw_conv_run *run);

#endif
