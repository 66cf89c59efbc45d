#include "kernels/tile.h"

#include <float.h>

#include "core/error.h"

/* group_x, group_y, rows, columns, depth. The kernels want group_x * group_y to be a multiple of
 * height, width and depth. */
#define NUMBERS 5
static const int tiles[][NUMBERS] = {
    {16, 16, 8, 8, 16}, /* 128 x 128 */
    {16, 16, 4, 8, 16}, /* 64 x 128 */
    {16, 16, 4, 4, 16}, /* 64 x 64 */
    {16, 8, 4, 8, 16},  /* 32 x 128 */
    {8, 8, 4, 4, 16},   /* 32 x 32 */
    {8, 4, 4, 4, 16},   /* 16 x 32: the kernel limit that Mesa 22.3 reports, a sub-group */
    /* from here on by measurement only */
    {16, 16, 8, 8, 8},
    {16, 16, 8, 4, 16}, /* 128 x 64 */
    {16, 16, 4, 8, 8},
    {16, 16, 4, 4, 32},
    {16, 8, 8, 8, 16}, /* 64 x 128, half the items */
    {8, 16, 8, 4, 16}, /* 128 x 32 */
    {8, 8, 8, 8, 16},  /* 64 x 64, a quarter of the items */
    {8, 8, 4, 8, 16},  /* 32 x 64 */
    {8, 8, 4, 4, 32},
};
#define TILE_COUNT (sizeof tiles / sizeof tiles[0])
static const char *const names[NUMBERS] = {"group_x", "group_y", "rows", "columns", "depth"};
const struct thaw_variants thaw_tile_variants = {names, NUMBERS, tiles[0], TILE_COUNT};

/* Of the first tiles. Large tiles read less per sum, small ones waste less at the edges and fill
 * more compute units. A cost is the price of a sum relative to the largest tile: the reads of local
 * memory per multiply-add, (rows + columns) / (rows * columns), next to the multiply-add itself. */
static const double costs[] = {1.0, 1.1, 1.2, 1.15, 1.3, 1.5};
#define COST_COUNT (sizeof costs / sizeof costs[0])

static struct thaw_tile tile_at(size_t i) {
    return (struct thaw_tile){tiles[i][0], tiles[i][1], tiles[i][2], tiles[i][3], tiles[i][4]};
}

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

bool thaw_tile_possible(int variant, const struct thaw_device_caps *caps) {
    struct thaw_tile tile = tile_at(variant ? (size_t)variant - 1 : COST_COUNT - 1);
    return fits(&tile, caps->max_work_group_size, caps);
}

struct thaw_tile thaw_tile_choose(const struct thaw_tile_product *p, size_t max_group,
                                  const struct thaw_device_caps *caps) {
    size_t best = COST_COUNT - 1;
    double best_cost = DBL_MAX;
    struct thaw_tile wanted = tile_at(p->variant ? (size_t)p->variant - 1 : 0);
    if (p->variant && fits(&wanted, max_group, caps))
        return wanted;
    for (size_t i = 0; i < COST_COUNT; i++) {
        struct thaw_tile tile = tile_at(i);
        if (!fits(&tile, max_group, caps))
            continue;
        size_t height = thaw_tile_height(&tile), width = thaw_tile_width(&tile);
        size_t groups = (p->m + height - 1) / height * ((p->n + width - 1) / width) * p->batches;
        size_t units = caps->compute_units > 0 ? (size_t)caps->compute_units : 1;
        size_t rounds = (groups + units - 1) / units;
        double cost = (double)(rounds * height * width) * costs[i];
        if (cost < best_cost) {
            best_cost = cost;
            best = i;
        }
    }
    return tile_at(best);
}

struct thaw_range thaw_tile_range(const struct thaw_tile *tile, const struct thaw_tile_product *p) {
    size_t height = thaw_tile_height(tile), width = thaw_tile_width(tile);
    size_t x = (size_t)tile->group_x, y = (size_t)tile->group_y;
    return (struct thaw_range){
        3,
        {(p->n + width - 1) / width * x, (p->m + height - 1) / height * y, p->batches},
        {x, y, 1}};
}

void thaw_tile_define(const struct thaw_tile *tile, struct thaw_defines *defines) {
    thaw_define_int(defines, "GROUP_X", tile->group_x);
    thaw_define_int(defines, "GROUP_Y", tile->group_y);
    thaw_define_int(defines, "ROWS", tile->rows);
    thaw_define_int(defines, "COLUMNS", tile->columns);
    thaw_define_int(defines, "DEPTH", tile->depth);
}

thaw_status thaw_tile_kernel(thaw_device *device, const char *file, const char *name,
                             const struct thaw_defines *defines,
                             const struct thaw_tile_product *product, struct thaw_tile *ret_tile,
                             thaw_kernel **ret_kernel) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    size_t max_group = caps->max_work_group_size;
    while (max_group >= THAW_TILE_GROUP_MIN) {
        struct thaw_tile tile = thaw_tile_choose(product, max_group, caps);
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
