#include "kernels/tile.h"

#include <float.h>

#include "core/error.h"

/* Large tiles read less per sum, small ones waste less at the edges and fill more compute units.
 * `cost` is the price of a sum relative to the largest tile: the reads of local memory per
 * multiply-add, (rows + columns) / (rows * columns), next to the multiply-add itself. The kernels
 * want group_x * group_y to be a multiple of height, width and depth. */
static const struct {
    struct thaw_tile tile;
    double cost;
} tiles[] = {
    {{16, 16, 8, 8, 16}, 1.0}, /* 128 x 128 */
    {{16, 16, 4, 8, 16}, 1.1}, /* 64 x 128 */
    {{16, 16, 4, 4, 16}, 1.2}, /* 64 x 64 */
    {{16, 8, 4, 8, 16}, 1.15}, /* 32 x 128 */
    {{8, 8, 4, 4, 16}, 1.3},   /* 32 x 32 */
    {{8, 4, 4, 4, 16}, 1.5},   /* 16 x 32: the kernel limit that Mesa 22.3 reports, a sub-group */
};
#define TILE_COUNT (sizeof tiles / sizeof tiles[0])

static size_t group_size(const struct thaw_tile *tile) {
    return (size_t)tile->group_x * (size_t)tile->group_y;
}

static size_t local_bytes(const struct thaw_tile *tile) {
    /* the kernels pad each row by 4 floats and keep some tables of `depth` integers */
    return sizeof(float) * (size_t)tile->depth *
           (thaw_tile_height(tile) + thaw_tile_width(tile) + 8 + 8);
}

static bool fits(const struct thaw_tile *tile, size_t max_group,
                 const struct thaw_device_caps *caps) {
    /* local_memory_bytes is 0 where it is ordinary memory, of which there is enough */
    return group_size(tile) <= max_group &&
           (caps->local_memory_bytes == 0 || local_bytes(tile) <= caps->local_memory_bytes);
}

bool thaw_tile_possible(const struct thaw_device_caps *caps) {
    return fits(&tiles[TILE_COUNT - 1].tile, caps->max_work_group_size, caps);
}

struct thaw_tile thaw_tile_choose(size_t m, size_t n, size_t batches, size_t max_group,
                                  const struct thaw_device_caps *caps) {
    size_t best = TILE_COUNT - 1;
    double best_cost = DBL_MAX;
    for (size_t i = 0; i < TILE_COUNT; i++) {
        const struct thaw_tile *tile = &tiles[i].tile;
        if (!fits(tile, max_group, caps))
            continue;
        size_t height = thaw_tile_height(tile), width = thaw_tile_width(tile);
        size_t groups = (m + height - 1) / height * ((n + width - 1) / width) * batches;
        size_t units = caps->compute_units > 0 ? (size_t)caps->compute_units : 1;
        size_t rounds = (groups + units - 1) / units;
        double cost = (double)(rounds * height * width) * tiles[i].cost;
        if (cost < best_cost) {
            best_cost = cost;
            best = i;
        }
    }
    return tiles[best].tile;
}

struct thaw_range thaw_tile_range(const struct thaw_tile *tile, size_t m, size_t n,
                                  size_t batches) {
    size_t height = thaw_tile_height(tile), width = thaw_tile_width(tile);
    size_t x = (size_t)tile->group_x, y = (size_t)tile->group_y;
    return (struct thaw_range){
        3, {(n + width - 1) / width * x, (m + height - 1) / height * y, batches}, {x, y, 1}};
}

void thaw_tile_define(const struct thaw_tile *tile, struct thaw_defines *defines) {
    thaw_define_int(defines, "GROUP_X", tile->group_x);
    thaw_define_int(defines, "GROUP_Y", tile->group_y);
    thaw_define_int(defines, "ROWS", tile->rows);
    thaw_define_int(defines, "COLUMNS", tile->columns);
    thaw_define_int(defines, "DEPTH", tile->depth);
}

thaw_status thaw_tile_kernel(thaw_device *device, const char *file, const char *name,
                             const struct thaw_defines *defines, size_t m, size_t n, size_t batches,
                             struct thaw_tile *ret_tile, thaw_kernel **ret_kernel) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    size_t max_group = caps->max_work_group_size;
    while (max_group >= THAW_TILE_GROUP_MIN) {
        struct thaw_tile tile = thaw_tile_choose(m, n, batches, max_group, caps);
        struct thaw_defines all = *defines;
        thaw_tile_define(&tile, &all);
        thaw_kernel *kernel = NULL;
        THAW_TRY(thaw_kernel_get(device, file, name, all.text, &kernel));
        if (thaw_kernel_max_group(kernel) >= group_size(&tile)) {
            *ret_tile = tile;
            *ret_kernel = kernel;
            return THAW_OK;
        }
        max_group = group_size(&tile) - 1;
    }
    return thaw_fail(THAW_ERROR_UNSUPPORTED, "%s: %s needs work-groups of %d items on this device",
                     file, name, THAW_TILE_GROUP_MIN);
}
