#include "ops/copy.h"

#include "ops/walk.h"

thaw_status thaw_copy_prepare(thaw_device *device, struct thaw_copy_kernels *ret_kernels) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_defines defines = {0};
    thaw_walk_defines(&defines, caps, caps->block, false);
    THAW_TRY(thaw_kernel_get(device, "copy.cl", "copy_box", defines.text, &ret_kernels->box));
    return thaw_kernel_get(device, "copy.cl", "copy_fill", defines.text, &ret_kernels->fill);
}

void thaw_copy_whole(const struct thaw_layout *layout,
                     struct thaw_copy_axis ret_axes[THAW_AXIS_COUNT]) {
    const int sizes[THAW_AXIS_COUNT] = {layout->c, layout->h, layout->w};
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++)
        ret_axes[axis] = (struct thaw_copy_axis){0, 1, 0, 1, sizes[axis]};
}

void thaw_copy_reverse(struct thaw_copy_axis axes[THAW_AXIS_COUNT]) {
    for (int axis = 0; axis < THAW_AXIS_COUNT; axis++) {
        struct thaw_copy_axis a = axes[axis];
        axes[axis] = (struct thaw_copy_axis){a.to, a.to_step, a.from, a.from_step, a.count};
    }
}

/* The kernel finds the place that goes to a lane by division, which wants a positive step. */
static struct thaw_copy_axis upwards(struct thaw_copy_axis a) {
    if (a.to_step > 0)
        return a;
    int last = a.count - 1;
    return (struct thaw_copy_axis){a.from + last * a.from_step, -a.from_step,
                                   a.to + last * a.to_step, -a.to_step, a.count};
}

/* Whether the box is all rows' whole width, without a gap between the rows, in a map of this layout
 * and direction: a walk may then take its rows as one. */
static bool gapless(const struct thaw_layout *l, int width, int row_step, int pixel_step) {
    return l->halo == 0 && l->w == width && row_step == 1 && pixel_step == 1;
}

/* Where the box begins, seen from the tensor's first pixel. */
static size_t beginning(const struct thaw_layout *l, int y, int x) {
    return thaw_layout_origin(l) + (size_t)y * thaw_layout_row_stride(l) +
           (size_t)x * (size_t)l->block;
}

static int stride(size_t floats, int step) {
    return (int)floats * step;
}

thaw_status thaw_copy_box(thaw_device *device, const struct thaw_copy_kernels *kernels,
                          const struct thaw_tensor *from, const struct thaw_tensor *to,
                          const struct thaw_copy_axis axes[THAW_AXIS_COUNT],
                          enum thaw_copy_mode mode, int batch) {
    const struct thaw_layout *x = &from->layout, *y = &to->layout;
    const struct thaw_copy_axis c = upwards(axes[THAW_AXIS_CHANNELS]);
    const struct thaw_copy_axis v = axes[THAW_AXIS_HEIGHT], u = axes[THAW_AXIS_WIDTH];
    bool rows = !gapless(x, u.count, v.from_step, u.from_step) ||
                !gapless(y, u.count, v.to_step, u.to_step);
    struct thaw_layout box = {batch, c.count, v.count, u.count, y->block, 0};
    const struct thaw_layout *layouts[] = {&box};
    struct thaw_walk walk = thaw_walk_make(thaw_device_get_caps(device), layouts, 1, batch,
                                           rows ? THAW_WALK_ROWS : THAW_WALK_PIXELS);
    walk.blocks = (c.to + (c.count - 1) * c.to_step) / y->block - c.to / y->block + 1;
    struct thaw_range range = thaw_walk_range(&walk);
    size_t x_pixel = (size_t)x->block, y_pixel = (size_t)y->block;
    return thaw_launch(
        device, kernels->box, &range, THAW_ARG_BUFFER(from->buffer), THAW_ARG_BUFFER(to->buffer),
        THAW_ARG_INT(c.from), THAW_ARG_INT(c.from_step), THAW_ARG_INT(c.to),
        THAW_ARG_INT(c.to_step), THAW_ARG_INT(c.count), THAW_ARG_INT(mode),
        THAW_ARG_INT(stride(x_pixel, u.from_step)), THAW_ARG_INT(stride(y_pixel, u.to_step)),
        THAW_WALK_ARGS(&walk), THAW_ARG_INT(beginning(x, v.from, u.from)),
        THAW_ARG_INT(stride(thaw_layout_row_stride(x), v.from_step)),
        THAW_ARG_INT(thaw_layout_image_stride(x)), THAW_ARG_LONG(thaw_layout_block_stride(x)),
        THAW_ARG_INT(beginning(y, v.to, u.to)),
        THAW_ARG_INT(stride(thaw_layout_row_stride(y), v.to_step)),
        THAW_ARG_INT(thaw_layout_image_stride(y)), THAW_ARG_LONG(thaw_layout_block_stride(y)));
}

thaw_status thaw_copy_fill(thaw_device *device, const struct thaw_copy_kernels *kernels,
                           const struct thaw_tensor *tensor, float value, int batch) {
    const struct thaw_layout *y = &tensor->layout;
    struct thaw_walk walk =
        thaw_walk_make(thaw_device_get_caps(device), &y, 1, batch, THAW_WALK_PIXELS);
    struct thaw_range range = thaw_walk_range(&walk);
    return thaw_launch(device, kernels->fill, &range, THAW_ARG_BUFFER(tensor->buffer),
                       THAW_ARG_FLOAT(value), THAW_ARG_INT(y->c), THAW_WALK_ARGS(&walk),
                       THAW_MAP_ARGS(y));
}
