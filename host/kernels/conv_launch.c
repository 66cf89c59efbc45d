#include "kernels/conv_launch.h"

#include <limits.h>
#include <string.h>

#include "core/error.h"

#define GEOMETRY_ARGS 24
#define MORE_ARGS_MAX 24

void thaw_conv_define_maps(const struct thaw_conv_problem *problem, struct thaw_defines *defines) {
    thaw_define_int(defines, "X_BLOCK", problem->geometry.x.block);
    thaw_define_int(defines, "Y_BLOCK", problem->geometry.y.block);
}

void thaw_conv_define_weights(const struct thaw_conv_problem *problem,
                              struct thaw_defines *defines) {
    thaw_define_int(defines, "W_BLOCK_O", problem->geometry.w.block_o);
    thaw_define_int(defines, "W_BLOCK_I", problem->geometry.w.block_i);
}

void thaw_conv_define_activation(const struct thaw_conv_problem *problem,
                                 struct thaw_defines *defines) {
    bool forward = problem->direction == THAW_CONV_FORWARD;
    thaw_define_text(defines, "ACT",
                     thaw_activation_name(forward ? problem->activation : THAW_ACTIVATION_NONE));
}

static size_t put_layout(const struct thaw_layout *layout, struct thaw_arg *args, size_t count) {
    args[count++] = THAW_ARG_INT(layout->h);
    args[count++] = THAW_ARG_INT(layout->w);
    args[count++] = THAW_ARG_INT(thaw_layout_origin(layout));
    args[count++] = THAW_ARG_INT(thaw_layout_row_stride(layout));
    args[count++] = THAW_ARG_INT(thaw_layout_image_stride(layout));
    args[count++] = THAW_ARG_INT(thaw_layout_block_stride(layout));
    return count;
}

thaw_status thaw_conv_launch_args(thaw_device *device, thaw_kernel *kernel,
                                  const struct thaw_range *range,
                                  const struct thaw_conv_problem *problem,
                                  const struct thaw_arg *more, size_t count) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const int values[] = {g->groups,     g->w.i,      g->w.o / g->groups, g->w.kh,
                          g->w.kw,       g->stride_h, g->stride_w,        g->dilation_h,
                          g->dilation_w, g->pad_top,  g->pad_left,        problem->accumulate};
    struct thaw_arg args[GEOMETRY_ARGS + MORE_ARGS_MAX];
    if (count > MORE_ARGS_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED, "a convolution kernel with %zu arguments", count);
    size_t total = put_layout(&g->y, args, put_layout(&g->x, args, 0));
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        args[total++] = THAW_ARG_INT(values[i]);
    memcpy(args + total, more, count * sizeof *more);
    return thaw_launch_args(device, kernel, range, args, total + count);
}

bool thaw_conv_is_unblocked(const struct thaw_conv_geometry *geometry) {
    return geometry->y.block == 1 && geometry->w.block_o == 1 && geometry->w.block_i == 1;
}

bool thaw_conv_fits_int(const struct thaw_conv_geometry *geometry) {
    return thaw_layout_size(&geometry->x) <= INT_MAX && thaw_layout_size(&geometry->y) <= INT_MAX &&
           thaw_filter_size(&geometry->w) <= INT_MAX;
}

struct thaw_range thaw_conv_lanes(thaw_kernel *kernel, size_t lanes, size_t rows) {
    size_t limit = thaw_kernel_max_group(kernel);
    return (struct thaw_range){2, {lanes, rows, 1}, {limit < 64 ? limit : 64, 1, 1}};
}
