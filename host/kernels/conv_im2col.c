/* Convolution by an explicit matrix product: unfold x to col[k][p], multiply, bring the result to
 * the blocked layout. Any geometry, block and device; the kernels are in cl/im2col.cl.
 *
 *   forward          y[o][p]   = w[o][k] col[k][p]
 *   backward data    col[k][p] = w[o][k]' y[o][p], then each pixel gathers its taps
 *   backward weight  w[o][k]   = y[o][p] col[k][p]', added over chunks of p
 *
 * The workspace is bounded: pixels go by in chunks; backward data by images, or by channels of one
 * image. Matrices that the tensors already are (block 1 and no halo; a 1x1 kernel; OIHW weights)
 * are used in place. */
#include "kernels/conv_im2col.h"

#include <stdlib.h>

#include "core/error.h"
#include "kernels/conv_launch.h"
#include "kernels/gemm.h"

#define CHUNK_FLOATS ((size_t)16 << 20) /* 64 MB for the largest matrix of a chunk */

/* kernels[] */
enum { UNFOLD, FOLD, GATHER, SCATTER, PACK, UNPACK };

/* Everything that follows from the problem alone. Offsets are floats of the workspace, which begins
 * with the matrix product's own. */
struct sizes {
    int o, i, k;   /* of a group */
    size_t pixels; /* output pixels of an image */
    int images;    /* of a chunk, backward data */
    int channels;  /* of a chunk, backward data */
    size_t chunk;  /* pixels of a chunk */
    bool x_direct, y_direct, w_direct;
    bool y_result_direct; /* forward: the product is the result */
    struct thaw_gemm_problem gemm;
    size_t w_at, col_at, y_at, end;
};

struct plan {
    struct sizes sizes;
    const struct thaw_gemm_candidate *gemm;
    struct thaw_gemm_state gemm_state;
};

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

static bool is_pointwise(const struct thaw_conv_geometry *g) {
    return g->w.kh == 1 && g->w.kw == 1 && g->stride_h == 1 && g->stride_w == 1 &&
           g->pad_top == 0 && g->pad_left == 0 && g->x.h == g->y.h && g->x.w == g->y.w;
}

static void choose_chunks(const struct thaw_conv_problem *problem, struct sizes *s) {
    size_t n = (size_t)problem->geometry.x.n;
    size_t rows = max_size(s->x_direct ? 1 : (size_t)s->k, s->y_direct ? 1 : (size_t)s->o);
    s->channels = s->i;
    if (problem->direction != THAW_CONV_BACKWARD_DATA) {
        s->chunk = min_size(n * s->pixels, max_size(1, CHUNK_FLOATS / rows));
        return;
    }
    s->images = (int)min_size(n, max_size(1, CHUNK_FLOATS / (rows * s->pixels)));
    s->chunk = (size_t)s->images * s->pixels;
    size_t per_channel = (size_t)(s->k / s->i) * s->pixels;
    if (!s->x_direct && s->images == 1)
        s->channels = (int)min_size((size_t)s->i, max_size(1, CHUNK_FLOATS / per_channel));
}

static void define_gemm(const struct thaw_conv_problem *problem, struct sizes *s) {
    struct thaw_gemm_problem *gemm = &s->gemm;
    int chunk = (int)s->chunk, x_stride = (int)thaw_layout_block_stride(&problem->geometry.x);
    int y_stride = (int)thaw_layout_block_stride(&problem->geometry.y);
    int col_stride = s->x_direct ? x_stride : chunk;
    y_stride = s->y_direct ? y_stride : chunk;
    switch (problem->direction) {
    case THAW_CONV_FORWARD:
        *gemm = (struct thaw_gemm_problem){
            .m = s->o, .n = chunk, .k = s->k, .lda = s->k, .ldb = col_stride};
        gemm->ldc = s->y_result_direct ? y_stride : chunk;
        gemm->accumulate = s->y_result_direct && problem->accumulate;
        break;
    case THAW_CONV_BACKWARD_DATA:
        *gemm = (struct thaw_gemm_problem){.m = s->channels * (s->k / s->i),
                                           .n = chunk,
                                           .k = s->o,
                                           .transpose_a = true,
                                           .lda = s->k,
                                           .ldb = y_stride,
                                           .ldc = col_stride};
        gemm->accumulate = s->x_direct && problem->accumulate;
        break;
    default:
        *gemm = (struct thaw_gemm_problem){.m = s->o,
                                           .n = s->k,
                                           .k = chunk,
                                           .transpose_b = true,
                                           .lda = y_stride,
                                           .ldb = col_stride,
                                           .ldc = s->k};
        gemm->accumulate = s->w_direct && problem->accumulate;
    }
}

/* Reserves a region that starts on a multiple of 256 bytes. */
static size_t reserve(size_t *end, size_t floats) {
    size_t at = *end;
    *end += (floats + 63) / 64 * 64;
    return at;
}

static struct sizes make_sizes(const struct thaw_conv_problem *problem,
                               const struct thaw_device_caps *caps) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    struct sizes s = {.o = g->w.o / g->groups, .i = g->w.i, .k = g->w.i * g->w.kh * g->w.kw};
    s.pixels = (size_t)g->y.h * (size_t)g->y.w;
    s.x_direct = is_pointwise(g) && g->x.block == 1 && g->x.halo == 0;
    s.y_direct = g->y.block == 1 && g->y.halo == 0;
    s.w_direct = g->w.block_o == 1 && g->w.block_i == 1;
    s.y_result_direct = s.y_direct && !problem->bias && problem->activation == THAW_ACTIVATION_NONE;
    choose_chunks(problem, &s);
    define_gemm(problem, &s);

    s.end = 0;
    reserve(&s.end, thaw_gemm_workspace_max(&s.gemm, caps) / sizeof(float));
    s.w_at = reserve(&s.end, s.w_direct ? 0 : (size_t)g->w.o * (size_t)s.k);
    size_t col_rows = (size_t)s.channels * (size_t)(s.k / s.i);
    s.col_at = reserve(&s.end, s.x_direct ? 0 : col_rows * s.chunk);
    bool y_in_place = problem->direction == THAW_CONV_FORWARD ? s.y_result_direct : s.y_direct;
    s.y_at = reserve(&s.end, y_in_place ? 0 : (size_t)s.o * s.chunk);
    return s;
}

bool thaw_im2col_applies(const struct thaw_conv_problem *problem,
                         const struct thaw_device_caps *caps) {
    (void)caps;
    return thaw_conv_fits_int(&problem->geometry);
}

size_t thaw_im2col_workspace_bytes(const struct thaw_conv_problem *problem,
                                   const struct thaw_device_caps *caps) {
    return make_sizes(problem, caps).end * sizeof(float);
}

struct thaw_gemm_problem thaw_im2col_product(const struct thaw_conv_problem *problem,
                                             const struct thaw_device_caps *caps) {
    return make_sizes(problem, caps).gemm;
}

/* Each with the options it needs alone, so that few programs serve a network. */
static thaw_status get_kernels(thaw_device *device, const struct thaw_conv_problem *problem,
                               struct thaw_conv_state *state) {
    static const struct {
        const char *name;
        bool weights, activation;
    } kernels[] = {
        [UNFOLD] = {"im2col_unfold", false, false}, [FOLD] = {"im2col_fold", false, false},
        [GATHER] = {"im2col_gather", false, false}, [SCATTER] = {"im2col_scatter", false, true},
        [PACK] = {"im2col_pack", true, false},      [UNPACK] = {"im2col_unpack", true, false},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        struct thaw_defines defines = {0};
        thaw_conv_define_maps(problem, &defines);
        if (kernels[i].weights)
            thaw_conv_define_weights(problem, &defines);
        if (kernels[i].activation)
            thaw_conv_define_activation(problem, &defines);
        THAW_TRY(thaw_kernel_get(device, "im2col.cl", kernels[i].name, defines.text,
                                 &state->kernels[i]));
    }
    return THAW_OK;
}

thaw_status thaw_im2col_prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                                const char *gemm, struct thaw_conv_state *state) {
    struct plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    state->extra = plan;
    plan->sizes = make_sizes(problem, thaw_device_get_caps(device));
    THAW_TRY(thaw_gemm_select(device, &plan->sizes.gemm, gemm, &plan->gemm));
    THAW_TRY(plan->gemm->prepare(device, &plan->sizes.gemm, &plan->gemm_state));
    return get_kernels(device, problem, state);
}

/* What the steps of a run share. */
struct step {
    thaw_device *device;
    const struct thaw_conv_problem *problem;
    const struct thaw_conv_state *state;
    const struct thaw_conv_run *run;
    const struct plan *plan;
    int group;
};

/* A matrix: a buffer, where it begins, its row stride. */
struct matrix {
    cl_mem buffer;
    size_t at;
    int stride;
};

/* Rows of x or y in place, from pixel p0 on. */
static struct matrix in_place(cl_mem buffer, const struct thaw_layout *layout, int channel,
                              size_t p0) {
    size_t stride = thaw_layout_block_stride(layout);
    return (struct matrix){buffer, (size_t)channel * stride + p0, (int)stride};
}

static thaw_status multiply(const struct step *s, struct thaw_gemm_problem problem, struct matrix a,
                            struct matrix b, struct matrix c) {
    problem.lda = a.stride;
    problem.ldb = b.stride;
    problem.ldc = c.stride;
    struct thaw_gemm_run run = {.a = a.buffer,
                                .b = b.buffer,
                                .c = c.buffer,
                                .workspace = s->run->workspace,
                                .a_offset = a.at,
                                .b_offset = b.at,
                                .c_offset = c.at};
    return s->plan->gemm->run(s->device, &problem, &s->plan->gemm_state, &run);
}

static struct thaw_range lanes(const struct step *s, int kernel, size_t columns, int rows) {
    return thaw_conv_lanes(s->state->kernels[kernel], columns, (size_t)rows);
}

static thaw_status get_col(const struct step *s, size_t p0, size_t count, struct matrix *ret_col) {
    const struct sizes *sizes = &s->plan->sizes;
    if (sizes->x_direct) {
        *ret_col = in_place(s->run->x, &s->problem->geometry.x, s->group * sizes->i, p0);
        return THAW_OK;
    }
    struct thaw_range range = lanes(s, UNFOLD, count, sizes->k);
    THAW_TRY(thaw_conv_launch(s->device, s->state->kernels[UNFOLD], &range, s->problem,
                              THAW_ARG_BUFFER(s->run->x), THAW_ARG_BUFFER(s->run->workspace),
                              THAW_ARG_LONG(sizes->col_at), THAW_ARG_INT(count), THAW_ARG_INT(p0),
                              THAW_ARG_INT(count), THAW_ARG_INT(s->group)));
    *ret_col = (struct matrix){s->run->workspace, sizes->col_at, (int)count};
    return THAW_OK;
}

static thaw_status get_y(const struct step *s, size_t p0, size_t count, struct matrix *ret_y) {
    const struct sizes *sizes = &s->plan->sizes;
    if (sizes->y_direct) {
        *ret_y = in_place(s->run->y, &s->problem->geometry.y, s->group * sizes->o, p0);
        return THAW_OK;
    }
    struct thaw_range range = lanes(s, GATHER, count, sizes->o);
    THAW_TRY(thaw_conv_launch(s->device, s->state->kernels[GATHER], &range, s->problem,
                              THAW_ARG_BUFFER(s->run->y), THAW_ARG_BUFFER(s->run->workspace),
                              THAW_ARG_LONG(sizes->y_at), THAW_ARG_INT(count), THAW_ARG_INT(p0),
                              THAW_ARG_INT(count), THAW_ARG_INT(s->group)));
    *ret_y = (struct matrix){s->run->workspace, sizes->y_at, (int)count};
    return THAW_OK;
}

/* The weights of the group from column k0 on: in place, or in the workspace. */
static struct matrix get_w(const struct step *s, int k0) {
    const struct sizes *sizes = &s->plan->sizes;
    size_t at = (size_t)s->group * (size_t)sizes->o * (size_t)sizes->k + (size_t)k0;
    if (sizes->w_direct)
        return (struct matrix){s->run->w, at, sizes->k};
    return (struct matrix){s->run->workspace, sizes->w_at + at, sizes->k};
}

static thaw_status forward(const struct step *s) {
    const struct sizes *sizes = &s->plan->sizes;
    size_t total = (size_t)s->run->batch * sizes->pixels;
    for (size_t p0 = 0; p0 < total; p0 += sizes->chunk) {
        size_t count = min_size(sizes->chunk, total - p0);
        struct thaw_gemm_problem gemm = sizes->gemm;
        gemm.n = (int)count;
        struct matrix col, y = {s->run->workspace, sizes->y_at, (int)count};
        THAW_TRY(get_col(s, p0, count, &col));
        if (sizes->y_result_direct)
            y = in_place(s->run->y, &s->problem->geometry.y, s->group * sizes->o, p0);
        THAW_TRY(multiply(s, gemm, get_w(s, 0), col, y));
        if (sizes->y_result_direct)
            continue;
        struct thaw_range range = lanes(s, SCATTER, count, sizes->o);
        THAW_TRY(thaw_conv_launch(s->device, s->state->kernels[SCATTER], &range, s->problem,
                                  THAW_ARG_BUFFER(y.buffer), THAW_ARG_LONG(y.at),
                                  THAW_ARG_INT(y.stride), THAW_ARG_BUFFER(s->run->y),
                                  THAW_ARG_INT(p0), THAW_ARG_INT(count), THAW_ARG_INT(s->group),
                                  THAW_ARG_INT(s->problem->bias),
                                  THAW_ARG_BUFFER(s->problem->bias ? s->run->bias : s->run->w),
                                  THAW_ARG_FLOAT(s->problem->activation_parameter)));
    }
    return THAW_OK;
}

/* The gradients of `channels` input channels from i0 on, for a chunk of images from n0 on. */
static thaw_status backward_data_chunk(const struct step *s, struct matrix y, int n0, int images,
                                       int i0) {
    const struct sizes *sizes = &s->plan->sizes;
    const struct thaw_layout *x = &s->problem->geometry.x;
    int taps = sizes->k / sizes->i;
    int channels = sizes->channels < sizes->i - i0 ? sizes->channels : sizes->i - i0;
    size_t count = (size_t)images * sizes->pixels;
    struct thaw_gemm_problem gemm = sizes->gemm;
    gemm.m = channels * taps;
    gemm.n = (int)count;
    struct matrix col = {s->run->workspace, sizes->col_at, (int)count};
    if (sizes->x_direct)
        col = in_place(s->run->x, x, s->group * sizes->i + i0, (size_t)n0 * sizes->pixels);
    THAW_TRY(multiply(s, gemm, get_w(s, i0 * taps), y, col));
    if (sizes->x_direct)
        return THAW_OK;
    struct thaw_range range =
        lanes(s, FOLD, (size_t)images * (size_t)x->h * (size_t)x->w, channels);
    return thaw_conv_launch(s->device, s->state->kernels[FOLD], &range, s->problem,
                            THAW_ARG_BUFFER(col.buffer), THAW_ARG_LONG(col.at),
                            THAW_ARG_INT(col.stride), THAW_ARG_BUFFER(s->run->x), THAW_ARG_INT(n0),
                            THAW_ARG_INT(images), THAW_ARG_INT(i0), THAW_ARG_INT(s->group));
}

static thaw_status backward_data(const struct step *s) {
    const struct sizes *sizes = &s->plan->sizes;
    for (int n0 = 0; n0 < s->run->batch; n0 += sizes->images) {
        int images = s->run->batch - n0 < sizes->images ? s->run->batch - n0 : sizes->images;
        struct matrix y;
        THAW_TRY(get_y(s, (size_t)n0 * sizes->pixels, (size_t)images * sizes->pixels, &y));
        for (int i0 = 0; i0 < sizes->i; i0 += sizes->channels)
            THAW_TRY(backward_data_chunk(s, y, n0, images, i0));
    }
    return THAW_OK;
}

static thaw_status backward_weight(const struct step *s) {
    const struct sizes *sizes = &s->plan->sizes;
    size_t total = (size_t)s->run->batch * sizes->pixels;
    for (size_t p0 = 0; p0 < total; p0 += sizes->chunk) {
        size_t count = min_size(sizes->chunk, total - p0);
        struct thaw_gemm_problem gemm = sizes->gemm;
        gemm.k = (int)count;
        gemm.accumulate = gemm.accumulate || p0 > 0;
        struct matrix col, y;
        THAW_TRY(get_col(s, p0, count, &col));
        THAW_TRY(get_y(s, p0, count, &y));
        THAW_TRY(multiply(s, gemm, y, col, get_w(s, 0)));
    }
    return THAW_OK;
}

thaw_status thaw_im2col_run(thaw_device *device, const struct thaw_conv_problem *problem,
                            const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    static thaw_status (*const directions[THAW_CONV_DIRECTION_COUNT])(const struct step *) = {
        [THAW_CONV_FORWARD] = forward,
        [THAW_CONV_BACKWARD_DATA] = backward_data,
        [THAW_CONV_BACKWARD_WEIGHT] = backward_weight,
    };
    struct step s = {device, problem, state, run, state->extra, 0};
    const struct sizes *sizes = &s.plan->sizes;
    bool weight = problem->direction == THAW_CONV_BACKWARD_WEIGHT;
    struct thaw_range range = lanes(&s, PACK, (size_t)sizes->k, problem->geometry.w.o);
    if (!sizes->w_direct && !weight)
        THAW_TRY(thaw_conv_launch(device, state->kernels[PACK], &range, problem,
                                  THAW_ARG_BUFFER(run->w), THAW_ARG_BUFFER(run->workspace),
                                  THAW_ARG_LONG(sizes->w_at)));
    for (s.group = 0; s.group < problem->geometry.groups; s.group++)
        THAW_TRY(directions[problem->direction](&s));
    if (sizes->w_direct || !weight)
        return THAW_OK;
    return thaw_conv_launch(device, state->kernels[UNPACK], &range, problem,
                            THAW_ARG_BUFFER(run->workspace), THAW_ARG_LONG(sizes->w_at),
                            THAW_ARG_BUFFER(run->w));
}

static bool recommended(const struct thaw_conv_problem *problem,
                        const struct thaw_device_caps *caps) {
    (void)problem, (void)caps;
    return false; /* only where a measurement says so: it moves kh * kw times the data */
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    return thaw_im2col_prepare(device, problem, NULL, state);
}

const struct thaw_conv_candidate thaw_conv_im2col = {
    .name = "im2col_gemm",
    .summary = "unfold, then a matrix product",
    .applies = thaw_im2col_applies,
    .recommended = recommended,
    .workspace_bytes = thaw_im2col_workspace_bytes,
    .prepare = prepare,
    .run = thaw_im2col_run,
};
