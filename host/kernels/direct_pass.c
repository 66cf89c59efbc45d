/* One launch of the kernel conv_direct: which tile, which program, how much for each work-item. */
#include "core/error.h"
#include "kernels/conv_direct.h"

/* What a core's own cache surely holds. */
#define CACHE_BYTES (512.0 * 1024)
#define ITEMS_PER_UNIT 8
#define TILES_MAX 32

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

int thaw_direct_vectors(int channels, int block) {
    int count = ceil_div(channels, block);
    return count % 2 == 0 ? 2 : count % 3 == 0 ? 3 : 1;
}

void thaw_direct_pass_join_images(struct thaw_direct_pass *p) {
    if (p->out_h == 1 && p->out_w == 1) {
        p->row_pixels = 1;
        p->x_pixel = p->x_image;
        p->y_pixel = p->y_image;
    } else if (p->x_row == p->out_w * p->x_pixel && p->x_image == p->out_h * p->x_row &&
               p->y_row == p->out_w * p->y_pixel && p->y_image == p->out_h * p->y_row) {
        p->row_pixels = p->out_h * p->out_w;
    } else {
        return;
    }
    p->out_h = 1;
    p->out_w = p->images * p->row_pixels;
}

/* Cycles of a step of the inner loop, by the narrowest of: two multiply-adds, two loads, eight
 * multiply-adds under way; and what the loop itself costs. */
static double step_cost(int pixels, int vectors) {
    double multiply = pixels * vectors / 2.0, load = (pixels + vectors) / 2.0;
    double cost = multiply > load ? multiply : load;
    return (cost > 4 ? cost : 4) + 0.5;
}

struct thaw_direct_tile thaw_direct_tile_choose(int out_h, int out_w, int vectors, int block) {
    /* Registers: 32 with 16 lanes (AVX-512), else surely 16; some for weights and pixels. */
    int pixels_max = (block == 16 ? 28 : 12) / vectors;
    struct thaw_direct_tile best = {1, 1};
    double best_cost = 0;
    for (int pixels = pixels_max < 14 ? pixels_max : 14; pixels > 0; pixels--)
        for (int width = pixels; width > 0; width--) {
            int height = pixels / width;
            if (pixels % width != 0 || width > out_w || height > out_h || height > 4)
                continue;
            double cost = (double)ceil_div(out_h, height) * ceil_div(out_w, width) *
                          step_cost(pixels, vectors);
            if (best_cost == 0 || cost < best_cost) {
                best_cost = cost;
                best = (struct thaw_direct_tile){pixels, width};
            }
        }
    return best;
}

bool thaw_direct_streams(const struct thaw_conv_problem *problem,
                         const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_layout *out = problem->direction == THAW_CONV_FORWARD ? &g->y : &g->x;
    return !problem->accumulate && thaw_layout_streams(out, caps);
}

thaw_status thaw_direct_pass_prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                                     const struct thaw_direct_pass *pass,
                                     thaw_kernel **ret_kernel) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_defines defines = {0};
    thaw_define_int(&defines, "B", caps->block);
    thaw_define_int(&defines, "NV", pass->vectors);
    thaw_define_int(&defines, "MR", pass->tile.pixels);
    thaw_define_int(&defines, "TW", pass->tile.width);
    thaw_define_int(&defines, "XP", pass->x_pixel);
    thaw_define_int(&defines, "YP", pass->y_pixel);
    thaw_define_text(&defines, "ACT", thaw_activation_name(problem->activation));
    if (!thaw_activation_keeps_zero(problem->activation) && pass->channels % caps->block != 0)
        thaw_define_int(&defines, "ZERO_PADDING", 1);
    if (pass->y_pixel == caps->block && thaw_direct_streams(problem, caps))
        thaw_define_int(&defines, "STREAM", 1);
    return thaw_kernel_get(device, "conv_direct.cl", "conv_direct", defines.text, ret_kernel);
}

/* How the launch is cut into work-items. */
struct cut {
    int panels, tiles, tiles_per_item;
    bool tiles_first; /* neighbouring items share a panel, not a block of tiles */
};

/* Panels first reads the input once and all weights for every block of tiles; tiles first reads a
 * panel once and the input for every panel. What fits the cache costs nothing. */
static struct cut cut_pass(const struct thaw_direct_pass *pass, int images, int out_w,
                           const struct thaw_device_caps *caps) {
    struct cut cut = {0};
    cut.panels = ceil_div(ceil_div(pass->channels, caps->block), pass->vectors);
    cut.tiles = images * ceil_div(pass->out_h, pass->tile.pixels / pass->tile.width) *
                ceil_div(out_w, pass->tile.width);
    double items = (double)cut.tiles * cut.panels / (ITEMS_PER_UNIT * caps->compute_units);
    cut.tiles_per_item = items < 1 ? 1 : items > TILES_MAX ? TILES_MAX : (int)items;

    double depth = (double)pass->blocks * pass->run * sizeof(float);
    double weights = depth * pass->taps_h * pass->taps_w * pass->vectors * caps->block * cut.panels;
    double input = depth * images * pass->out_h * out_w;
    double panels_first = weights * ceil_div(cut.tiles, cut.tiles_per_item);
    double tiles_first = input * cut.panels;
    cut.tiles_first = weights > CACHE_BYTES && (input <= CACHE_BYTES || tiles_first < panels_first);
    return cut;
}

thaw_status thaw_direct_pass_run(thaw_device *device, const struct thaw_conv_problem *problem,
                                 const struct thaw_direct_pass *p, thaw_kernel *kernel, cl_mem x,
                                 cl_mem w, cl_mem y, cl_mem bias, int batch) {
    int images = p->row_pixels ? 1 : batch;
    int out_w = p->row_pixels ? batch * p->row_pixels : p->out_w;
    struct cut cut = cut_pass(p, images, out_w, thaw_device_get_caps(device));
    size_t panels = (size_t)cut.panels, items = (size_t)ceil_div(cut.tiles, cut.tiles_per_item);
    struct thaw_range range =
        cut.tiles_first ? THAW_RANGE2(items, panels) : THAW_RANGE2(panels, items);
    return thaw_launch(
        device, kernel, &range, THAW_ARG_BUFFER(x), THAW_ARG_BUFFER(w), THAW_ARG_BUFFER(y),
        THAW_ARG_BUFFER(problem->bias ? bias : w), THAW_ARG_INT(problem->bias),
        THAW_ARG_FLOAT(problem->activation_parameter), THAW_ARG_INT(problem->accumulate),
        THAW_ARG_INT(p->channels), THAW_ARG_INT(p->blocks), THAW_ARG_INT(p->taps_h),
        THAW_ARG_INT(p->taps_w), THAW_ARG_INT(p->run), THAW_ARG_INT(p->last_run),
        THAW_ARG_LONG(p->x_offset), THAW_ARG_LONG(p->x_block), THAW_ARG_INT(p->x_image),
        THAW_ARG_INT(p->x_row), THAW_ARG_INT(p->x_tap_row), THAW_ARG_INT(p->x_tap),
        THAW_ARG_LONG(p->w_offset), THAW_ARG_LONG(p->w_panel), THAW_ARG_INT(p->w_block),
        THAW_ARG_INT(p->w_tap_row), THAW_ARG_INT(p->w_tap), THAW_ARG_LONG(p->y_offset),
        THAW_ARG_LONG(p->y_block), THAW_ARG_INT(p->y_image), THAW_ARG_INT(p->y_row),
        THAW_ARG_INT(images), THAW_ARG_INT(p->out_h), THAW_ARG_INT(out_w),
        THAW_ARG_INT(cut.tiles_per_item), THAW_ARG_INT(cut.tiles_first));
}
