/* Local-memory tiles of the GPU kernels (cl/tiled.cl): a work-group of
 * group_x * group_y items computes a tile of rows * group_y by columns * group_x sums, `depth` of
 * the inner dimension at a time, each item rows x columns of them in registers. */
#ifndef THAW_KERNELS_TILE_H
#define THAW_KERNELS_TILE_H

#include "cl/cl.h"
#include "kernels/variant.h"

/* No tile has a smaller work-group. */
#define THAW_TILE_GROUP_MIN 32

struct thaw_tile {
    int group_x, group_y; /* x runs along the columns */
    int rows, columns;    /* per item; multiples of 4 */
    int depth;
};

static inline size_t thaw_tile_height(const struct thaw_tile *tile) {
    return (size_t)tile->group_y * (size_t)tile->rows;
}
static inline size_t thaw_tile_width(const struct thaw_tile *tile) {
    return (size_t)tile->group_x * (size_t)tile->columns;
}

/* All tiles; thaw_tile_choose has some of them to choose from, measuring has all. */
extern const struct thaw_variants thaw_tile_variants;

/* Whether the device can run the tile of that variant, 0: the smallest. */
bool thaw_tile_possible(int variant, const struct thaw_device_caps *caps);

/* Products of m x n, side by side. */
struct thaw_tile_product {
    size_t m, n, batches;
    int variant; /* the tile; 0: the one that seems best */
};

/* The tile for a product on this device whose work-group has at most max_group items
 * (caps->max_work_group_size, or a compiled kernel's own limit): the variant's if it fits. */
struct thaw_tile thaw_tile_choose(const struct thaw_tile_product *product, size_t max_group,
                                  const struct thaw_device_caps *caps);

/* The launch that covers a product: dimensions columns, rows, batches. */
struct thaw_range thaw_tile_range(const struct thaw_tile *tile,
                                  const struct thaw_tile_product *product);

/* GROUP_X, GROUP_Y, ROWS, COLUMNS and DEPTH. */
void thaw_tile_define(const struct thaw_tile *tile, struct thaw_defines *defines);

/* thaw_kernel_get with the tile that suits, then with smaller ones while the kernel's own limit
 * refuses the work-group. `defines` come without the tile's. */
thaw_status thaw_tile_kernel(thaw_device *device, const char *file, const char *name,
                             const struct thaw_defines *defines,
                             const struct thaw_tile_product *product, struct thaw_tile *ret_tile,
                             thaw_kernel **ret_kernel);

#endif
