/* Matrix products for measure.c: their data, and what values of the result should be. */
#include <stdlib.h>

#include "core/error.h"
#include "kernels/measure_internal.h"

struct data {
    struct thaw_gemm_problem problem; /* its rows follow each other without a gap */
    float *a, *b, *c;                 /* on the host */
    struct thaw_gemm_run run;         /* without workspace */
};

static void data_finish(struct data *data) {
    thaw_buffer_destroy(&data->run.a);
    thaw_buffer_destroy(&data->run.b);
    thaw_buffer_destroy(&data->run.c);
    free(data->a);
    free(data->b);
    free(data->c);
}

static thaw_status create(thaw_device *device, struct thaw_source *source, size_t count,
                          float **ret_values, cl_mem *ret_buffer) {
    THAW_TRY(thaw_bench_array(count, ret_values));
    for (size_t i = 0; i < count; i++)
        (*ret_values)[i] = thaw_source_next(source);
    return thaw_bench_buffer(device, *ret_values, count, ret_buffer);
}

static thaw_status data_init(struct data *data, thaw_device *device, struct thaw_source *source) {
    struct thaw_gemm_problem *p = &data->problem;
    size_t m = (size_t)p->m, n = (size_t)p->n, k = (size_t)p->k;
    p->lda = p->transpose_a ? p->m : p->k;
    p->ldb = p->transpose_b ? p->k : p->n;
    p->ldc = p->n;
    THAW_TRY(create(device, source, m * k, &data->a, &data->run.a));
    THAW_TRY(create(device, source, k * n, &data->b, &data->run.b));
    return create(device, source, m * n, &data->c, &data->run.c);
}

static struct thaw_bench_sample draw(const struct data *d, struct thaw_source *source) {
    const struct thaw_gemm_problem *p = &d->problem;
    size_t m = (size_t)p->m, n = (size_t)p->n, k = (size_t)p->k;
    size_t row = (size_t)thaw_source_place(source, p->m);
    size_t column = (size_t)thaw_source_place(source, p->n);
    double sum = p->accumulate ? (double)d->c[row * n + column] : 0;
    for (size_t i = 0; i < k; i++)
        sum += (double)d->a[p->transpose_a ? i * m + row : row * k + i] *
               (double)d->b[p->transpose_b ? column * k + i : i * n + column];
    return (struct thaw_bench_sample){row * n + column, sum};
}

struct trial {
    const struct thaw_gemm_candidate *candidate;
    struct thaw_gemm_problem problem; /* with the variant */
    struct thaw_gemm_state state;
    cl_mem workspace;
};

static thaw_status open_trial(const struct thaw_bench *bench, const struct thaw_bench_way *way,
                              void **ret_trial) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(bench->device);
    struct trial *trial = *ret_trial = calloc(1, sizeof *trial);
    if (!trial)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    trial->candidate = way->candidate;
    trial->problem = *(const struct thaw_gemm_problem *)bench->problem;
    trial->problem.variant = way->variant;
    THAW_TRY(trial->candidate->prepare(bench->device, &trial->problem, &trial->state));
    size_t bytes = trial->candidate->workspace_bytes
                       ? trial->candidate->workspace_bytes(&trial->problem, caps)
                       : 0;
    return bytes ? thaw_buffer_create(bench->device, bytes, &trial->workspace) : THAW_OK;
}

static thaw_status run_trial(const struct thaw_bench *bench, void *trial_, int parts) {
    (void)parts; /* a product has one */
    const struct trial *trial = trial_;
    struct thaw_gemm_run run = ((const struct data *)bench->data)->run;
    run.workspace = trial->workspace;
    return trial->candidate->run(bench->device, &trial->problem, &trial->state, &run);
}

static void close_trial(void *trial_) {
    struct trial *trial = trial_;
    if (!trial)
        return;
    thaw_buffer_destroy(&trial->workspace);
    free(trial);
}

static size_t add_ways(const struct thaw_gemm_candidate *candidate,
                       const struct thaw_gemm_problem *problem, const struct thaw_device_caps *caps,
                       struct thaw_bench_way *ways, size_t count) {
    struct thaw_gemm_problem variant = *problem;
    int last = candidate->variants ? (int)candidate->variants->count : 0;
    for (variant.variant = 0; variant.variant <= last; variant.variant++)
        if (count < THAW_MEASURE_TIMINGS_MAX && candidate->applies(&variant, caps))
            ways[count++] = (struct thaw_bench_way){candidate, candidate->name, variant.variant};
    return count;
}

/* The usual choice first, if it is among them. */
static size_t list_ways(const struct thaw_gemm_problem *problem,
                        const struct thaw_device_caps *caps,
                        const struct thaw_gemm_candidate *const *candidates, size_t count,
                        struct thaw_bench_way ways[THAW_MEASURE_TIMINGS_MAX]) {
    const struct thaw_gemm_candidate *usual = thaw_gemm_usual(problem, caps);
    size_t way_count = 0;
    for (int turn = 0; turn < 2; turn++)
        for (size_t i = 0; i < count; i++)
            if ((candidates[i] == usual) == (turn == 0))
                way_count = add_ways(candidates[i], problem, caps, ways, way_count);
    return way_count;
}

static void set_up(struct data *data, struct thaw_source *source, struct thaw_bench *bench) {
    double terms = (double)data->problem.k + 1;
    bench->problem = &data->problem;
    bench->data = data;
    bench->parts = 1;
    bench->out = data->run.c;
    bench->out_count = (size_t)data->problem.m * (size_t)data->problem.n;
    bench->start = data->c;
    bench->tolerance = thaw_bench_tolerance(terms);
    bench->sample_count = thaw_bench_sample_count(terms);
    for (size_t i = 0; i < bench->sample_count; i++)
        bench->samples[i] = draw(data, source);
}

thaw_status thaw_measure_gemm(thaw_device *device, const struct thaw_gemm_problem *problem,
                              const struct thaw_gemm_candidate *const *candidates, size_t count,
                              const struct thaw_measure_limits *limits,
                              struct thaw_measurement *ret_measurement) {
    static const struct thaw_bench_kind kind = {open_trial, run_trial, close_trial};
    struct thaw_bench_way ways[THAW_MEASURE_TIMINGS_MAX];
    struct thaw_measurement measurement = {.best = -1};
    if (limits->seconds <= 0) {
        *ret_measurement = measurement;
        return THAW_OK;
    }
    char key[THAW_GEMM_KEY_SIZE];
    thaw_gemm_problem_key(problem, key);
    struct thaw_source *source = thaw_source_create();
    struct thaw_bench *bench = calloc(1, sizeof *bench);
    struct data data = {.problem = *problem};
    thaw_status status = source && bench ? data_init(&data, device, source)
                                         : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (status == THAW_OK) {
        bench->device = device;
        bench->key = key;
        set_up(&data, source, bench);
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
