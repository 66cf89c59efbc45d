/* As im2col_gemm, with the product left to CLBlast whatever its size. */
#include "kernels/conv_im2col.h"

static bool recommended(const struct thaw_conv_problem *problem,
                        const struct thaw_device_caps *caps) {
    (void)problem, (void)caps;
    return false; /* only where a measurement says so */
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    return thaw_im2col_prepare(device, problem, "clblast", state);
}

const struct thaw_conv_candidate thaw_conv_im2col_clblast = {
    .name = "im2col_clblast",
    .summary = "unfold, then a matrix product by CLBlast",
    .applies = thaw_im2col_applies,
    .recommended = recommended,
    .workspace_bytes = thaw_im2col_workspace_bytes,
    .prepare = prepare,
    .run = thaw_im2col_run,
};
