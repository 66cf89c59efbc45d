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
