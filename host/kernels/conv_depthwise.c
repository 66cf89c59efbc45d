/* Depthwise convolution (groups == C == O) on CPU devices: a tile of sums in registers, one vector
 * per pixel. Maths, method and the meaning of the defines: cl/conv_depthwise.cl. */
#include "kernels/conv.h"

#include "core/error.h"

/* kernels[]: the convolution, the sum of the parts (backward weight) */

/* Pixels of output that a work-item computes at least, where there are enough of them: its start
 * and its load of the weights should not be felt. */
#define ITEM_PIXELS 800
/* Copies of the weights that backward weight adds up at most. */
#define PARTS_MAX 16

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

static int floor_div(int a, int b) {
    return a >= 0 ? a / b : -ceil_div(-a, b);
}

static int clamp(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

/* One axis of the problem. */
struct axis {
    int in, out; /* pixels of x and of y */
    int kernel, stride, dilation, pad;
};

static struct axis axis_y(const struct thaw_conv_geometry *g) {
    return (struct axis){g->x.h, g->y.h, g->w.kh, g->stride_h, g->dilation_h, g->pad_top};
}

static struct axis axis_x(const struct thaw_conv_geometry *g) {
    return (struct axis){g->x.w, g->y.w, g->w.kw, g->stride_w, g->dilation_w, g->pad_left};
}

/* Pixels of dY before the first that backward data reads for pixel 0 of dX; may be negative. */
static int gradient_lead(const struct axis *a) {
    return floor_div((a->kernel - 1) * a->dilation - a->pad, a->stride);
}

/* Pixels that the kernel reads outside the map along an axis. */
static int reach(const struct axis *a, enum thaw_conv_direction direction) {
    int before = a->pad,
        after = (a->out - 1) * a->stride - a->pad + (a->kernel - 1) * a->dilation - (a->in - 1);
    if (direction == THAW_CONV_BACKWARD_DATA) {
        before = gradient_lead(a);
        after = (a->in - 1 + a->pad) / a->stride - (a->out - 1);
    }
    return before > after ? before : after;
}

static bool applies(const struct thaw_conv_problem *problem, const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_layout *in = problem->direction == THAW_CONV_BACKWARD_DATA ? &g->y : &g->x;
    struct axis y = axis_y(g), x = axis_x(g);
    return caps->is_cpu && g->groups == g->x.c && g->groups == g->y.c && g->w.block_i == 1 &&
           g->w.block_o == g->x.block && g->y.block == g->x.block &&
           reach(&y, problem->direction) <= in->halo && reach(&x, problem->direction) <= in->halo;
}

/* ---- tiles ---------------------------------------------------------------------------------- */

/* A tile of rows x columns sums (backward weight: of pixels of dY), and how the work is cut into
 * items. */
struct plan {
    int rows, columns;
    int strips, images;  /* of an item: forward, backward data */
    int tap_rows, parts; /* backward weight */
};

/* The first of the widths that leaves the least rest. */
static int pick_columns(int width, const int *widths, int count) {
    int best = widths[0];
    for (int i = 1; i < count; i++)
        if (width % widths[i] < width % best)
            best = widths[i];
    return width < best ? width : best;
}

/* Tiles measured with AVX-512 (32 registers; `large`); half of them elsewhere. */
static void pick_tile(const struct thaw_conv_problem *problem, int out_width, bool large,
                      struct plan *plan) {
    static const int near[] = {4, 7, 5, 8, 6, 3}, wide[] = {7, 8, 6, 5, 4, 3};
    const struct thaw_conv_geometry *g = &problem->geometry;
    bool strided = g->stride_h > 1 || g->stride_w > 1;
    plan->rows = 1;
    if (problem->direction == THAW_CONV_BACKWARD_DATA && strided) {
        int sums = g->stride_h * g->stride_w; /* each needs taps of its own */
        plan->rows = g->stride_h;
        plan->columns = g->stride_w * clamp((large ? 16 : 8) / sums, 1, 8);
    } else if (problem->direction == THAW_CONV_FORWARD && strided && large) {
        plan->columns = pick_columns(out_width, wide, 6);
    } else {
        plan->columns = pick_columns(out_width, near, 6);
        bool few_loads = problem->direction != THAW_CONV_BACKWARD_WEIGHT ||
                         (g->w.kh * g->w.kw > 9 && plan->columns <= 4);
        plan->rows = large && !strided && few_loads ? 2 : 1;
    }
}

/* The most rows of taps, a divisor of all of them, whose sums fit the registers. */
static int pick_tap_rows(const struct thaw_filter *w, bool large) {
    int rows = clamp((large ? 27 : 12) / w->kw, 1, w->kh);
    while (w->kh % rows)
        rows--;
    return rows;
}

static struct plan make_plan(const struct thaw_conv_problem *problem,
                             const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_layout *out = problem->direction == THAW_CONV_BACKWARD_DATA ? &g->x : &g->y;
    bool large = g->x.block >= 16;
    struct plan plan = {.strips = 1, .images = 1, .tap_rows = g->w.kh, .parts = 1};
    pick_tile(problem, out->w, large, &plan);

    int blocks = thaw_layout_blocks(&g->x), strips = ceil_div(out->h, plan.rows);
    int wanted = 8 * caps->compute_units; /* items, for balance */
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT) {
        plan.tap_rows = pick_tap_rows(&g->w, large);
        int items = blocks * (g->w.kh / plan.tap_rows);
        plan.parts = clamp(ceil_div(wanted, items), 1, PARTS_MAX);
        return plan;
    }
    int strip_pixels = plan.rows * out->w;
    plan.strips = clamp(ITEM_PIXELS / strip_pixels, 1, strips);
    if (plan.strips == strips) /* a small map: several images to an item */
        plan.images = clamp(ceil_div(ITEM_PIXELS, strips * strip_pixels), 1,
                            clamp(g->x.n * blocks / wanted, 1, g->x.n));
    return plan;
}

/* ---- kernels -------------------------------------------------------------------------------- */

/* The output of forward and backward data; of backward weight, what is walked over. */
static const struct thaw_layout *walked(const struct thaw_conv_problem *problem) {
    bool backward_data = problem->direction == THAW_CONV_BACKWARD_DATA;
    return backward_data ? &problem->geometry.x : &problem->geometry.y;
}

static void define_geometry(struct thaw_defines *defines, const struct thaw_conv_problem *problem,
                            const struct plan *plan) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_layout *map = walked(problem);
    if (problem->direction == THAW_CONV_BACKWARD_DATA) {
        struct axis y = axis_y(g), x = axis_x(g);
        thaw_define_int(defines, "BACKWARD", 1);
        thaw_define_int(defines, "PT", g->pad_top);
        thaw_define_int(defines, "PL", g->pad_left);
        thaw_define_int(defines, "BT", gradient_lead(&y));
        thaw_define_int(defines, "BL", gradient_lead(&x));
    }
    thaw_define_int(defines, "B", map->block);
    thaw_define_int(defines, "KH", g->w.kh);
    thaw_define_int(defines, "KW", g->w.kw);
    thaw_define_int(defines, "SH", g->stride_h);
    thaw_define_int(defines, "SW", g->stride_w);
    thaw_define_int(defines, "DH", g->dilation_h);
    thaw_define_int(defines, "DW", g->dilation_w);
    thaw_define_int(defines, "ROWS", plan->rows);
    thaw_define_int(defines, "COLUMNS", plan->columns);
    thaw_define_int(defines, "REST_ROWS", map->h % plan->rows);
    thaw_define_int(defines, "REST_COLUMNS", map->w % plan->columns);
    thaw_define_int(defines, "ACCUMULATE", problem->accumulate);
}

static thaw_status prepare_weight(thaw_device *device, const struct plan *plan,
                                  struct thaw_defines *defines, struct thaw_conv_state *state) {
    thaw_define_int(defines, "TAP_ROWS", plan->tap_rows);
    thaw_define_int(defines, "PARTS", plan->parts);
    THAW_TRY(thaw_kernel_get(device, "conv_depthwise.cl", "depthwise_weight", defines->text,
                             &state->kernels[0]));
    if (plan->parts == 1)
        return THAW_OK;
    return thaw_kernel_get(device, "conv_depthwise.cl", "depthwise_reduce", defines->text,
                           &state->kernels[1]);
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct plan plan = make_plan(problem, caps);
    struct thaw_defines defines = {0};
    define_geometry(&defines, problem, &plan);
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return prepare_weight(device, &plan, &defines, state);

    const struct thaw_layout *out = walked(problem);
    bool mask = !thaw_activation_keeps_zero(problem->activation) && out->c % out->block;
    thaw_define_int(&defines, "LANES", mask ? out->c % out->block : out->block);
    thaw_define_int(&defines, "BIAS", problem->bias);
    thaw_define_text(&defines, "ACT", thaw_activation_name(problem->activation));
    thaw_define_int(&defines, "STREAM", !problem->accumulate && thaw_layout_streams(out, caps));
    thaw_define_int(&defines, "GATHER", 1);
    return thaw_kernel_get(device, "conv_depthwise.cl", "depthwise_gather", defines.text,
                           &state->kernels[0]);
}

/* ---- run ------------------------------------------------------------------------------------ */

static size_t workspace_bytes(const struct thaw_conv_problem *problem,
                              const struct thaw_device_caps *caps) {
    if (problem->direction != THAW_CONV_BACKWARD_WEIGHT)
        return 0;
    struct plan plan = make_plan(problem, caps);
    size_t weights = thaw_filter_size(&problem->geometry.w) * sizeof(float);
    return plan.parts > 1 ? (size_t)plan.parts * weights : 0;
}

/* The kernels' TENSOR; `top` and `left`: how far before the first pixel of the map it starts. */
static size_t put_tensor(struct thaw_arg *args, size_t count, const struct thaw_layout *l, int top,
                         int left) {
    long row = (long)thaw_layout_row_stride(l);
    args[count++] = THAW_ARG_LONG((long)thaw_layout_origin(l) - top * row - left * (long)l->block);
    args[count++] = THAW_ARG_INT(row);
    args[count++] = THAW_ARG_INT(thaw_layout_image_stride(l));
    args[count++] = THAW_ARG_LONG(thaw_layout_block_stride(l));
    return count;
}

static thaw_status run_weight(thaw_device *device, const struct thaw_conv_problem *problem,
                              const struct plan *plan, const struct thaw_conv_state *state,
                              const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    size_t blocks = (size_t)thaw_layout_blocks(&g->x), count = 0;
    struct thaw_arg args[16];
    args[count++] = THAW_ARG_BUFFER(run->x);
    count = put_tensor(args, count, &g->x, g->pad_top, g->pad_left);
    args[count++] = THAW_ARG_BUFFER(run->y);
    count = put_tensor(args, count, &g->y, 0, 0);
    args[count++] = THAW_ARG_BUFFER(plan->parts > 1 ? run->workspace : run->w);
    args[count++] = THAW_ARG_INT(g->y.h / plan->rows);
    args[count++] = THAW_ARG_INT(g->y.w / plan->columns);
    args[count++] = THAW_ARG_INT(run->batch);
    struct thaw_range items =
        THAW_RANGE3((size_t)plan->parts, (size_t)(g->w.kh / plan->tap_rows), blocks);
    THAW_TRY(thaw_launch_args(device, state->kernels[0], &items, args, count));
    if (plan->parts == 1)
        return THAW_OK;
    struct thaw_range reduce = THAW_RANGE1(blocks);
    return thaw_launch(device, state->kernels[1], &reduce, THAW_ARG_BUFFER(run->workspace),
                       THAW_ARG_BUFFER(run->w));
}

static thaw_status run_gather(thaw_device *device, const struct thaw_conv_problem *problem,
                              const struct plan *plan, const struct thaw_conv_state *state,
                              const struct thaw_conv_run *run) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    const struct thaw_layout *out = walked(problem);
    struct axis y = axis_y(g), x = axis_x(g);
    bool backward = problem->direction == THAW_CONV_BACKWARD_DATA;
    struct thaw_arg args[20];
    size_t count = 0;
    args[count++] = THAW_ARG_BUFFER(backward ? run->y : run->x);
    if (backward)
        count = put_tensor(args, count, &g->y, gradient_lead(&y), gradient_lead(&x));
    else
        count = put_tensor(args, count, &g->x, g->pad_top, g->pad_left);
    args[count++] = THAW_ARG_BUFFER(run->w);
    args[count++] = THAW_ARG_BUFFER(backward ? run->x : run->y);
    count = put_tensor(args, count, out, 0, 0);
    args[count++] = THAW_ARG_BUFFER(problem->bias ? run->bias : run->w); /* never read without */
    args[count++] = THAW_ARG_FLOAT(problem->activation_parameter);
    args[count++] = THAW_ARG_INT(out->h / plan->rows);
    args[count++] = THAW_ARG_INT(out->w / plan->columns);
    args[count++] = THAW_ARG_INT(plan->strips);
    args[count++] = THAW_ARG_INT(plan->images);
    args[count++] = THAW_ARG_INT(run->batch);
    struct thaw_range items =
        THAW_RANGE3((size_t)ceil_div(ceil_div(out->h, plan->rows), plan->strips),
                    (size_t)ceil_div(run->batch, plan->images), (size_t)thaw_layout_blocks(out));
    return thaw_launch_args(device, state->kernels[0], &items, args, count);
}

static thaw_status run(thaw_device *device, const struct thaw_conv_problem *problem,
                       const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    struct plan plan = make_plan(problem, thaw_device_get_caps(device));
    if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        return run_weight(device, problem, &plan, state, run);
    return run_gather(device, problem, &plan, state, run);
}

const struct thaw_conv_candidate thaw_conv_depthwise = {
    .name = "depthwise",
    .summary = "one filter per channel: a tile of sums in registers (CPU)",
    .applies = applies,
    .workspace_bytes = workspace_bytes,
    .prepare = prepare,
    .run = run,
};
