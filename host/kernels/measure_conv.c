/* Convolutions for measure.c: their data, and what values of the output should be. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "kernels/measure_internal.h"

/* ---- data ----------------------------------------------------------------------------------- */

/* `data` is zero: halo and lanes past C stay so. */
static void fill_layout(const struct thaw_layout *l, struct thaw_source *source, float *data) {
    for (int b = 0; b < thaw_layout_blocks(l); b++)
        for (int n = 0; n < l->n; n++)
            for (int y = 0; y < l->h; y++) {
                float *row = data + thaw_layout_index(l, n, b * l->block, y, 0);
                for (int i = 0; i < l->w * l->block; i++)
                    if (b * l->block + i % l->block < l->c)
                        row[i] = thaw_source_next(source);
            }
}

/* `data` is zero: padding stays so. Rows are block_o values long, in the order of
 * thaw_filter_index. */
static void fill_filter(const struct thaw_filter *f, struct thaw_source *source, float *data) {
    size_t taps = (size_t)f->kh * (size_t)f->kw, block_i = (size_t)f->block_i;
    size_t blocks_i = ((size_t)f->i + block_i - 1) / block_i;
    size_t rows = thaw_filter_size(f) / (size_t)f->block_o;
    for (size_t row = 0; row < rows; row++, data += f->block_o) {
        size_t panel = row / block_i / taps;
        size_t i = panel % blocks_i * block_i + row % block_i;
        size_t o = panel / blocks_i * (size_t)f->block_o;
        for (size_t lane = 0; i < (size_t)f->i && lane < (size_t)f->block_o; lane++)
            if (o + lane < (size_t)f->o)
                data[lane] = thaw_source_next(source);
    }
}

struct data {
    const struct thaw_conv_problem *problem;
    float *x, *w, *y, *bias;  /* on the host; bias NULL without */
    struct thaw_conv_run run; /* without workspace and batch */
};

static void data_finish(struct data *data) {
    thaw_buffer_destroy(&data->run.x);
    thaw_buffer_destroy(&data->run.w);
    thaw_buffer_destroy(&data->run.y);
    thaw_buffer_destroy(&data->run.bias);
    free(data->x);
    free(data->w);
    free(data->y);
    free(data->bias);
}

static thaw_status data_init(struct data *data, thaw_device *device, struct thaw_source *source) {
    const struct thaw_conv_geometry *g = &data->problem->geometry;
    struct thaw_filter bias = {g->w.o, 1, 1, 1, g->w.block_o, 1};
    size_t x_size = thaw_layout_size(&g->x), y_size = thaw_layout_size(&g->y);
    size_t w_size = thaw_filter_size(&g->w), bias_size = thaw_filter_size(&bias);
    THAW_TRY(thaw_bench_array(x_size, &data->x));
    THAW_TRY(thaw_bench_array(w_size, &data->w));
    THAW_TRY(thaw_bench_array(y_size, &data->y));
    fill_layout(&g->x, source, data->x);
    fill_filter(&g->w, source, data->w);
    fill_layout(&g->y, source, data->y);
    THAW_TRY(thaw_bench_buffer(device, data->x, x_size, &data->run.x));
    THAW_TRY(thaw_bench_buffer(device, data->w, w_size, &data->run.w));
    THAW_TRY(thaw_bench_buffer(device, data->y, y_size, &data->run.y));
    if (!data->problem->bias)
        return THAW_OK;
    THAW_TRY(thaw_bench_array(bias_size, &data->bias));
    fill_filter(&bias, source, data->bias);
    return thaw_bench_buffer(device, data->bias, bias_size, &data->run.bias);
}

/* ---- what should come out ------------------------------------------------------------------- */

static double activate(const struct thaw_conv_problem *problem, double v) {
    switch (problem->activation) {
    case THAW_ACTIVATION_RELU:
        return fmax(v, 0);
    case THAW_ACTIVATION_RELU6:
        return fmin(fmax(v, 0), 6);
    case THAW_ACTIVATION_LEAKY_RELU:
        return v < 0 ? v * (double)problem->activation_parameter : v;
    case THAW_ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-v));
    case THAW_ACTIVATION_SILU:
        return v / (1 + exp(-v));
    case THAW_ACTIVATION_HARDSWISH:
        return v * fmin(fmax(v + 3, 0), 6) / 6;
    case THAW_ACTIVATION_HARDSIGMOID:
        return fmin(fmax(v + 3, 0), 6) / 6;
    case THAW_ACTIVATION_GELU:
        return 0.5 * v * (1 + erf(v / sqrt(2)));
    default:
        return v;
    }
}

static double at_x(const struct data *d, int n, int c, int y, int x) {
    const struct thaw_layout *l = &d->problem->geometry.x;
    bool inside = y >= 0 && y < l->h && x >= 0 && x < l->w;
    return inside ? (double)d->x[thaw_layout_index(l, n, c, y, x)] : 0;
}

static double at_y(const struct data *d, int n, int c, int y, int x) {
    return (double)d->y[thaw_layout_index(&d->problem->geometry.y, n, c, y, x)];
}

static double at_w(const struct data *d, int o, int i, int ky, int kx) {
    return (double)d->w[thaw_filter_index(&d->problem->geometry.w, o, i, ky, kx)];
}

static double sum_forward(const struct data *d, int n, int o, int oy, int ox) {
    const struct thaw_conv_geometry *g = &d->problem->geometry;
    int first = o / (g->w.o / g->groups) * g->w.i;
    double sum = d->bias ? (double)d->bias[o] : 0;
    for (int i = 0; i < g->w.i; i++)
        for (int ky = 0; ky < g->w.kh; ky++)
            for (int kx = 0; kx < g->w.kw; kx++)
                sum += at_x(d, n, first + i, oy * g->stride_h - g->pad_top + ky * g->dilation_h,
                            ox * g->stride_w - g->pad_left + kx * g->dilation_w) *
                       at_w(d, o, i, ky, kx);
    return sum;
}

/* Which output pixel of an axis sees input pixel `at` through tap `k`; -1: none. */
static int seen_by(int at, int k, int stride, int dilation, int pad, int out_size) {
    int scaled = at + pad - k * dilation;
    bool is_one = scaled >= 0 && scaled % stride == 0 && scaled / stride < out_size;
    return is_one ? scaled / stride : -1;
}

static double sum_backward_data(const struct data *d, int n, int c, int iy, int ix) {
    const struct thaw_conv_geometry *g = &d->problem->geometry;
    int group_o = g->w.o / g->groups, first = c / g->w.i * group_o;
    double sum = 0;
    for (int ky = 0; ky < g->w.kh; ky++)
        for (int kx = 0; kx < g->w.kw; kx++) {
            int oy = seen_by(iy, ky, g->stride_h, g->dilation_h, g->pad_top, g->y.h);
            int ox = seen_by(ix, kx, g->stride_w, g->dilation_w, g->pad_left, g->y.w);
            for (int o = first; oy >= 0 && ox >= 0 && o < first + group_o; o++)
                sum += at_y(d, n, o, oy, ox) * at_w(d, o, c % g->w.i, ky, kx);
        }
    return sum;
}

static double sum_backward_weight(const struct data *d, int o, int i, int ky, int kx) {
    const struct thaw_conv_geometry *g = &d->problem->geometry;
    int c = o / (g->w.o / g->groups) * g->w.i + i;
    double sum = 0;
    for (int n = 0; n < g->x.n; n++)
        for (int oy = 0; oy < g->y.h; oy++)
            for (int ox = 0; ox < g->y.w; ox++)
                sum += at_y(d, n, o, oy, ox) *
                       at_x(d, n, c, oy * g->stride_h - g->pad_top + ky * g->dilation_h,
                            ox * g->stride_w - g->pad_left + kx * g->dilation_w);
    return sum;
}

/* Terms of the sum of one value. */
static double terms(const struct thaw_conv_problem *problem) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    switch (problem->direction) {
    case THAW_CONV_FORWARD:
        return (double)g->w.i * g->w.kh * g->w.kw + 1;
    case THAW_CONV_BACKWARD_DATA:
        return (double)g->w.o / g->groups * g->w.kh * g->w.kw + 1;
    default:
        return (double)g->x.n * g->y.h * g->y.w + 1;
    }
}

static struct thaw_bench_sample draw(const struct data *d, struct thaw_source *source) {
    const struct thaw_conv_problem *problem = d->problem;
    const struct thaw_filter *w = &problem->geometry.w;
    bool forward = problem->direction == THAW_CONV_FORWARD;
    const struct thaw_layout *out = forward ? &problem->geometry.y : &problem->geometry.x;
    bool weight = problem->direction == THAW_CONV_BACKWARD_WEIGHT;
    int a = thaw_source_place(source, weight ? w->o : out->n);
    int b = thaw_source_place(source, weight ? w->i : out->c);
    int y = thaw_source_place(source, weight ? w->kh : out->h);
    int x = thaw_source_place(source, weight ? w->kw : out->w);
    struct thaw_bench_sample sample = {.at = weight ? thaw_filter_index(w, a, b, y, x)
                                                    : thaw_layout_index(out, a, b, y, x)};
    sample.expected = forward  ? activate(problem, sum_forward(d, a, b, y, x))
                      : weight ? sum_backward_weight(d, a, b, y, x)
                               : sum_backward_data(d, a, b, y, x);
    return sample;
}

static void set_samples(const struct data *d, struct thaw_source *source,
                        struct thaw_bench *bench) {
    bench->tolerance = thaw_bench_tolerance(terms(d->problem));
    bench->sample_count = thaw_bench_sample_count(terms(d->problem));
    for (size_t i = 0; i < bench->sample_count; i++) {
        bench->samples[i] = draw(d, source);
        if (d->problem->accumulate)
            bench->samples[i].expected += (double)bench->start[bench->samples[i].at];
    }
}

static void set_output(const struct data *d, struct thaw_bench *bench) {
    const struct thaw_conv_geometry *g = &d->problem->geometry;
    switch (d->problem->direction) {
    case THAW_CONV_FORWARD:
        bench->out = d->run.y;
        bench->out_count = thaw_layout_size(&g->y);
        bench->start = d->y;
        break;
    case THAW_CONV_BACKWARD_DATA:
        bench->out = d->run.x;
        bench->out_count = thaw_layout_size(&g->x);
        bench->start = d->x;
        break;
    default:
        bench->out = d->run.w;
        bench->out_count = thaw_filter_size(&g->w);
        bench->start = d->w;
    }
}

/* ---- runs ----------------------------------------------------------------------------------- */

struct trial {
    const struct thaw_conv_candidate *candidate;
    struct thaw_conv_problem problem; /* with the variant */
    struct thaw_conv_state state;
    cl_mem workspace;
};

static thaw_status open_trial(const struct thaw_bench *bench, const struct thaw_bench_way *way,
                              void **ret_trial) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(bench->device);
    struct trial *trial = *ret_trial = calloc(1, sizeof *trial);
    if (!trial)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    trial->candidate = way->candidate;
    trial->problem = *(const struct thaw_conv_problem *)bench->problem;
    trial->problem.variant = way->variant;
    THAW_TRY(trial->candidate->prepare(bench->device, &trial->problem, &trial->state));
    size_t bytes = trial->candidate->workspace_bytes
                       ? trial->candidate->workspace_bytes(&trial->problem, caps)
                       : 0;
    return bytes ? thaw_buffer_create(bench->device, bytes, &trial->workspace) : THAW_OK;
}

static thaw_status run_trial(const struct thaw_bench *bench, void *trial_, int images) {
    const struct trial *trial = trial_;
    struct thaw_conv_run run = ((const struct data *)bench->data)->run;
    run.workspace = trial->workspace;
    run.batch = images;
    return trial->candidate->run(bench->device, &trial->problem, &trial->state, &run);
}

static void close_trial(void *trial_) {
    struct trial *trial = trial_;
    if (!trial)
        return;
    thaw_buffer_destroy(&trial->workspace);
    free(trial->state.extra);
    free(trial);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static size_t add_ways(const struct thaw_conv_candidate *candidate,
                       const struct thaw_conv_problem *problem, const struct thaw_device_caps *caps,
                       struct thaw_bench_way *ways, size_t count) {
    struct thaw_conv_problem variant = *problem;
    int last = candidate->variants ? (int)candidate->variants->count : 0;
    for (variant.variant = 0; variant.variant <= last; variant.variant++)
        if (count < THAW_MEASURE_TIMINGS_MAX && candidate->applies(&variant, caps))
            ways[count++] = (struct thaw_bench_way){candidate, candidate->name, variant.variant};
    return count;
}

/* The usual choice first, if it is among them. */
static size_t list_ways(const struct thaw_conv_problem *problem,
                        const struct thaw_device_caps *caps,
                        const struct thaw_conv_candidate *const *candidates, size_t count,
                        struct thaw_bench_way ways[THAW_MEASURE_TIMINGS_MAX]) {
    const struct thaw_conv_candidate *usual = thaw_conv_usual(problem, caps);
    size_t way_count = 0;
    for (int turn = 0; turn < 2; turn++)
        for (size_t i = 0; i < count; i++)
            if ((candidates[i] == usual) == (turn == 0))
                way_count = add_ways(candidates[i], problem, caps, ways, way_count);
    return way_count;
}

thaw_status thaw_measure_conv(thaw_device *device, const struct thaw_conv_problem *problem,
                              const struct thaw_conv_candidate *const *candidates, size_t count,
                              const struct thaw_measure_limits *limits,
                              struct thaw_measurement *ret_measurement) {
    static const struct thaw_bench_kind kind = {open_trial, run_trial, close_trial};
    struct thaw_bench_way ways[THAW_MEASURE_TIMINGS_MAX];
    struct thaw_measurement measurement = {.best = -1};
    if (limits->seconds <= 0) {
        *ret_measurement = measurement;
        return THAW_OK;
    }
    char key[THAW_CONV_KEY_SIZE];
    thaw_conv_problem_key(problem, key);
    struct thaw_source *source = thaw_source_create();
    struct thaw_bench *bench = calloc(1, sizeof *bench);
    struct data data = {.problem = problem};
    thaw_status status = source && bench ? data_init(&data, device, source)
                                         : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (status == THAW_OK) {
        *bench = (struct thaw_bench){.device = device,
                                     .key = key,
                                     .problem = problem,
                                     .data = &data,
                                     .parts = problem->geometry.x.n};
        set_output(&data, bench);
        set_samples(&data, source, bench);
        size_t way_count =
            list_ways(problem, thaw_device_get_caps(device), candidates, count, ways);
        status = thaw_bench_measure(bench, &kind, ways, way_count, limits, &measurement);
        free(bench->accepted);
        free(bench->actual);
    }
    free(bench);
    free(source);
    data_finish(&data);
    if (status == THAW_OK)
        *ret_measurement = measurement;
    return status;
}
