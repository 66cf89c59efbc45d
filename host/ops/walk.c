#include "ops/walk.h"

#define FLOATS_PER_ITEM 16384 /* of a CPU's work-item: enough to forget its start */
#define FLAT_MAP_FLOATS 16384 /* larger maps stay rows, for parallelism */
#define PIXELS_PER_GROUP 4096
#define GROUP_MAX 64

static int clamp_int(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

size_t thaw_walk_group_size(const struct thaw_device_caps *caps) {
    if (caps->is_cpu)
        return 1;
    size_t size = GROUP_MAX;
    while (size > 1 && size > caps->max_work_group_size)
        size /= 2;
    return size;
}

struct thaw_walk thaw_walk_make(const struct thaw_device_caps *caps,
                                const struct thaw_layout *const *layouts, size_t count, int batch,
                                enum thaw_walk_kind kind) {
    const struct thaw_layout *l = layouts[0];
    bool flat = kind != THAW_WALK_ROWS && l->h * l->w * l->block <= FLAT_MAP_FLOATS;
    for (size_t i = 0; i < count; i++)
        flat &= layouts[i]->halo == 0;
    struct thaw_walk walk = {.h = flat ? 1 : l->h, .w = flat ? l->h * l->w : l->w};
    walk.rows = batch * walk.h;
    walk.blocks = thaw_layout_blocks(l);
    walk.serial = caps->is_cpu;
    walk.per_item = 1;
    if (caps->is_cpu)
        walk.per_item = clamp_int(FLOATS_PER_ITEM / (walk.w * l->block), 1, 1 << 20);
    else if (kind == THAW_WALK_SUMS)
        walk.per_item = clamp_int(PIXELS_PER_GROUP / walk.w, 1, 1 << 20);
    walk.items = (walk.rows + walk.per_item - 1) / walk.per_item;
    size_t group = thaw_walk_group_size(caps);
    walk.local[0] = 1;
    while (walk.local[0] < group && walk.local[0] < (size_t)walk.w)
        walk.local[0] *= 2;
    walk.local[1] = group / walk.local[0];
    return walk;
}

struct thaw_range thaw_walk_range(const struct thaw_walk *walk) {
    size_t width = walk->serial ? 1 : (size_t)walk->w;
    return (struct thaw_range){
        3, {width, (size_t)walk->items, (size_t)walk->blocks}, {walk->local[0], walk->local[1], 1}};
}

struct thaw_range thaw_walk_groups(const struct thaw_walk *walk) {
    return (struct thaw_range){
        3,
        {walk->local[0], (size_t)walk->items * walk->local[1], (size_t)walk->blocks},
        {walk->local[0], walk->local[1], 1}};
}

void thaw_walk_defines(struct thaw_defines *defines, const struct thaw_device_caps *caps, int block,
                       bool sums) {
    thaw_define_int(defines, "B", block);
    thaw_define_int(defines, "SERIAL", caps->is_cpu);
    if (sums)
        thaw_define_int(defines, "GROUP", (int64_t)thaw_walk_group_size(caps));
}

thaw_status thaw_walk_check_blocks(const struct thaw_layout *in, int input_count,
                                   const struct thaw_device_caps *caps) {
    for (int i = 0; i < input_count; i++)
        if (in[i].block != caps->block)
            return thaw_fail(THAW_ERROR_UNSUPPORTED,
                             "reads the network's image, which only conv, linear, flatten and "
                             "rearrange can do: put `rearrange` between");
    return THAW_OK;
}

thaw_status thaw_walk_check_size(int64_t c, int64_t h, int64_t w) {
    if (c > THAW_OP_VALUES_MAX || h > THAW_OP_VALUES_MAX || w > THAW_OP_VALUES_MAX ||
        c * h > THAW_OP_VALUES_MAX || c * h * w > THAW_OP_VALUES_MAX)
        return thaw_fail(THAW_ERROR_UNSUPPORTED,
                         "%lld x %lld x %lld values are more than %d (channels, height, width)",
                         (long long)c, (long long)h, (long long)w, THAW_OP_VALUES_MAX);
    return THAW_OK;
}

/* ---- broadcasting --------------------------------------------------------------------------- */

struct thaw_operand thaw_operand_make(const struct thaw_tensor *tensor, bool shared) {
    const struct thaw_layout *l = &tensor->layout;
    return (struct thaw_operand){
        .buffer = tensor->buffer,
        .layout = *l,
        .origin = thaw_layout_origin(l),
        .row = l->h == 1 ? 0 : thaw_layout_row_stride(l),
        .image = shared ? 0 : thaw_layout_image_stride(l),
        .block = l->c == 1 ? 0 : thaw_layout_block_stride(l),
        .step = l->w == 1 ? 0 : (size_t)l->block,
        .splat = l->c == 1,
    };
}

struct thaw_walk thaw_walk_over(const struct thaw_device_caps *caps, const struct thaw_layout *over,
                                const struct thaw_operand *operands, size_t count, int batch) {
    const struct thaw_layout *layouts[1 + THAW_OPERANDS_MAX] = {over};
    size_t used = 1;
    bool rows = false;
    for (size_t i = 0; i < count; i++) {
        const struct thaw_layout *l = &operands[i].layout;
        if (l->h == over->h && l->w == over->w && over->w > 1)
            layouts[used++] = l;
        else /* a pixel for all of the map has strides of 0, whether rows are rows or not */
            rows |= l->h != 1 || l->w != 1;
    }
    return thaw_walk_make(caps, layouts, used, batch, rows ? THAW_WALK_ROWS : THAW_WALK_PIXELS);
}

static int power_of_two(int limit, int most) {
    int power = 1;
    while (power * 2 <= limit && power < most)
        power *= 2;
    return power;
}

struct thaw_summation thaw_summation_make(const struct thaw_device_caps *caps,
                                          const struct thaw_layout *over,
                                          const struct thaw_layout *target, int batch) {
    int group = (int)thaw_walk_group_size(caps);
    int columns = power_of_two(group, target->w == 1 ? over->w : 1);
    int rows = power_of_two(group / columns, target->h == 1 ? over->h : 1);
    size_t others = (size_t)(group / columns);
    struct thaw_range range = {3,
                               {(size_t)columns, (size_t)batch * (size_t)target->h * others,
                                (size_t)thaw_layout_blocks(target)},
                               {(size_t)columns, others, 1}};
    return (struct thaw_summation){over, target, rows, range};
}
