/* How memory-bound kernels walk over maps. A walk covers `rows` rows (all images of one channel
 * block, one after the other) of `w` pixels, for `blocks` channel blocks. On a CPU a work-item
 * takes `per_item` rows; elsewhere a pixel has a work-item of its own, or, in kernels that sum, a
 * work-group takes `per_item` rows. Tensors without halo are walked image by image or as one long
 * row, so that small maps do not cost a row's overhead for seven pixels.
 *
 * The kernels' side is in cl/common.cl: WALK and MAP(t) are what THAW_WALK_ARGS and THAW_MAP_ARGS
 * give. */
#ifndef THAW_OPS_WALK_H
#define THAW_OPS_WALK_H

#include "tensor/tensor.h"

struct thaw_walk {
    int rows, h, w; /* row r is row r % h of image r / h */
    int per_item;   /* depends on the geometry alone, not on the batch in use */
    int blocks;
    int items;       /* work-items, or groups, along the rows */
    size_t local[2]; /* of a work-group */
    bool serial;     /* a work-item walks alone: CPU */
};

enum thaw_walk_kind {
    THAW_WALK_PIXELS, /* element by element */
    THAW_WALK_ROWS,   /* the same, but rows stay rows: the kernel needs coordinates */
    THAW_WALK_SUMS,   /* for kernels that sum in groups */
};

/* A walk over `batch` images of maps that share their shape. */
struct thaw_walk thaw_walk_make(const struct thaw_device_caps *caps,
                                const struct thaw_layout *const *layouts, size_t count, int batch,
                                enum thaw_walk_kind kind);

/* The range of an element-wise kernel, and of a kernel that sums in groups. */
struct thaw_range thaw_walk_range(const struct thaw_walk *walk);
struct thaw_range thaw_walk_groups(const struct thaw_walk *walk);

/* Work-items that share a sum: GROUP. */
size_t thaw_walk_group_size(const struct thaw_device_caps *caps);

/* -DB, -DSERIAL and, for kernels that sum, -DGROUP. */
void thaw_walk_defines(struct thaw_defines *defines, const struct thaw_device_caps *caps, int block,
                       bool sums);

#define THAW_WALK_ARGS(walk)                                                                       \
    THAW_ARG_INT((walk)->rows), THAW_ARG_INT((walk)->h), THAW_ARG_INT((walk)->w),                  \
        THAW_ARG_INT((walk)->per_item)
#define THAW_MAP_ARGS(layout)                                                                      \
    THAW_ARG_INT(thaw_layout_origin(layout)), THAW_ARG_INT(thaw_layout_row_stride(layout)),        \
        THAW_ARG_INT(thaw_layout_image_stride(layout)),                                            \
        THAW_ARG_LONG(thaw_layout_block_stride(layout))

/* A map that is combined with others element by element, where it may be one value along any axis
 * (broadcasting as in numpy): its strides are 0 there, and `splat` says that its one channel stands
 * for all. A `shared` one, a parameter, is the same for all images. In kernels: OPERAND. */
struct thaw_operand {
    cl_mem buffer;
    struct thaw_layout layout;
    size_t origin, row, image, block, step;
    bool splat;
};
struct thaw_operand thaw_operand_make(const struct thaw_tensor *tensor, bool shared);

/* An element-wise walk over `over` that reads `count` operands, at most THAW_OPERANDS_MAX. */
#define THAW_OPERANDS_MAX 8
struct thaw_walk thaw_walk_over(const struct thaw_device_caps *caps, const struct thaw_layout *over,
                                const struct thaw_operand *operands, size_t count, int batch);

#define THAW_OPERAND_ARGS(o)                                                                       \
    THAW_ARG_INT((o)->origin), THAW_ARG_INT((o)->row), THAW_ARG_INT((o)->image),                   \
        THAW_ARG_LONG((o)->block), THAW_ARG_INT((o)->step)

/* How a map `over` is summed into a smaller one, which has one value along some axes: a group sums
 * for a row of the target and one channel block. The kernels' side: SUMMATION of cl/common.cl, and
 * -DT_SPLAT when the target has one channel. */
struct thaw_summation {
    const struct thaw_layout *over, *target;
    int group_rows; /* of the group's items, rows that are summed side by side */
    struct thaw_range range;
};
struct thaw_summation thaw_summation_make(const struct thaw_device_caps *caps,
                                          const struct thaw_layout *over,
                                          const struct thaw_layout *target, int batch);
#define THAW_SUMMATION_ARGS(s)                                                                     \
    THAW_ARG_INT((s)->over->c), THAW_ARG_INT((s)->over->h), THAW_ARG_INT((s)->over->w),            \
        THAW_ARG_INT((s)->target->h), THAW_ARG_INT((s)->target->w), THAW_ARG_INT((s)->group_rows)

/* Channels padded to whole blocks. */
static inline int thaw_layout_lanes(const struct thaw_layout *layout) {
    return thaw_layout_blocks(layout) * layout->block;
}

/* Fails unless all inputs have the device's channel block: only convolutions, linear layers and
 * rearrange read the network's image, whose block is its number of channels. */
thaw_status thaw_walk_check_blocks(const struct thaw_layout *in, int input_count,
                                   const struct thaw_device_caps *caps);

/* Fails when an image's content has more values than kernels count in an int, with room. */
#define THAW_OP_VALUES_MAX (1 << 28)
thaw_status thaw_walk_check_size(int64_t c, int64_t h, int64_t w);

#endif
