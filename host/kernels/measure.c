#include "kernels/measure.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/rng.h"
#include "kernels/tuning.h"

#define CHECK_S 0.1   /* how long `simple` may compute what others are compared with */
#define TIMING_S 0.15 /* how long a candidate is timed, at least RUNS_MIN runs */
#define RUNS_MIN 2
#define RUNS_MAX 30
#define HOPELESS 4.0 /* times the best: one run is enough, of fewer images if need be */

/* ---- random data ---------------------------------------------------------------------------- */

/* A prime, so that no stride of a tensor repeats it: as good as fresh draws here, and far faster
 * for tensors of many millions. */
#define TABLE_SIZE 65521

struct source {
    float table[TABLE_SIZE]; /* uniform in [-1, 1) */
    size_t at;
};

static void source_init(struct source *source) {
    struct thaw_rng rng = thaw_rng_init(0, THAW_RNG_TEST, 0, 0);
    for (size_t i = 0; i < TABLE_SIZE; i++)
        source->table[i] = thaw_rng_between(&rng, -1, 1);
    source->at = 0;
}

static float source_next(struct source *source) {
    source->at = source->at + 1 < TABLE_SIZE ? source->at + 1 : 0;
    return source->table[source->at];
}

/* `data` is zero: halo and lanes past C stay so. */
static void fill_layout(const struct thaw_layout *l, struct source *source, float *data) {
    for (int b = 0; b < thaw_layout_blocks(l); b++)
        for (int n = 0; n < l->n; n++)
            for (int y = 0; y < l->h; y++) {
                float *row = data + thaw_layout_index(l, n, b * l->block, y, 0);
                for (int i = 0; i < l->w * l->block; i++)
                    if (b * l->block + i % l->block < l->c)
                        row[i] = source_next(source);
            }
}

/* `data` is zero: padding stays so. Rows are block_o values long, in the order of
 * thaw_filter_index. */
static void fill_filter(const struct thaw_filter *f, struct source *source, float *data) {
    size_t taps = (size_t)f->kh * (size_t)f->kw, block_i = (size_t)f->block_i;
    size_t blocks_i = ((size_t)f->i + block_i - 1) / block_i;
    size_t rows = thaw_filter_size(f) / (size_t)f->block_o;
    for (size_t row = 0; row < rows; row++, data += f->block_o) {
        size_t panel = row / block_i / taps;
        size_t i = panel % blocks_i * block_i + row % block_i;
        size_t o = panel / blocks_i * (size_t)f->block_o;
        for (size_t lane = 0; i < (size_t)f->i && lane < (size_t)f->block_o; lane++)
            if (o + lane < (size_t)f->o)
                data[lane] = source_next(source);
    }
}

/* ---- the bench ------------------------------------------------------------------------------ */

/* One problem with its data. */
struct bench {
    thaw_device *device;
    const struct thaw_conv_problem *problem;
    struct thaw_conv_run run; /* without workspace */
    cl_mem out;               /* the one of run's that is written */
    size_t out_count;         /* floats */
    float *start;             /* what `out` holds before a run that is compared */
    float *expected, *actual;
    double tolerance;
    int check_batch;   /* images of a run that is compared */
    double expected_s; /* how long `simple` took for them */
};

/* Of an element: two sums of K products of [-1, 1) in any order differ by a few
 * 2^-24 sqrt(K) (1 + sqrt(K) / 3); the factor leaves Winograd's transforms two digits more. A
 * forgotten or doubled row of terms is far outside. */
static double tolerance(const struct thaw_conv_problem *problem, int batch) {
    const struct thaw_conv_geometry *g = &problem->geometry;
    double terms = (double)g->w.i * g->w.kh * g->w.kw + 1;
    if (problem->direction == THAW_CONV_BACKWARD_DATA)
        terms = (double)g->w.o / g->groups * g->w.kh * g->w.kw + 1;
    else if (problem->direction == THAW_CONV_BACKWARD_WEIGHT)
        terms = (double)batch * g->y.h * g->y.w + 1;
    return 128 * ldexp(1, -24) * sqrt(terms) * (1 + sqrt(terms) / 3);
}

static float *allocate(size_t count) {
    float *data = calloc(count, sizeof *data);
    if (!data)
        thaw_fail(THAW_ERROR_MEMORY, "out of memory for %zu values to measure with", count);
    return data;
}

/* A buffer of random values of a layout or, when that is NULL, of a filter. */
static thaw_status create_buffer(struct bench *bench, struct source *source,
                                 const struct thaw_layout *layout, const struct thaw_filter *filter,
                                 bool is_out, cl_mem *ret_buffer) {
    size_t count = layout ? thaw_layout_size(layout) : thaw_filter_size(filter);
    float *data = allocate(count);
    if (!data)
        return THAW_ERROR_MEMORY;
    if (layout)
        fill_layout(layout, source, data);
    else
        fill_filter(filter, source, data);
    thaw_status status = thaw_buffer_create(bench->device, count * sizeof *data, ret_buffer);
    if (status == THAW_OK)
        status = thaw_buffer_write(bench->device, *ret_buffer, 0, data, count * sizeof *data);
    if (is_out && status == THAW_OK) {
        bench->out = *ret_buffer;
        bench->out_count = count;
        bench->start = data;
        return THAW_OK;
    }
    free(data);
    return status;
}

static thaw_status bench_init(struct bench *bench, struct source *source) {
    const struct thaw_conv_problem *problem = bench->problem;
    const struct thaw_conv_geometry *g = &problem->geometry;
    struct thaw_filter bias = {g->w.o, 1, 1, 1, g->w.block_o, 1};
    enum thaw_conv_direction direction = problem->direction;
    bench->run.batch = g->x.n;
    THAW_TRY(create_buffer(bench, source, &g->x, NULL, direction == THAW_CONV_BACKWARD_DATA,
                           &bench->run.x));
    THAW_TRY(create_buffer(bench, source, NULL, &g->w, direction == THAW_CONV_BACKWARD_WEIGHT,
                           &bench->run.w));
    THAW_TRY(
        create_buffer(bench, source, &g->y, NULL, direction == THAW_CONV_FORWARD, &bench->run.y));
    if (problem->bias)
        THAW_TRY(create_buffer(bench, source, NULL, &bias, false, &bench->run.bias));
    bench->expected = allocate(bench->out_count);
    bench->actual = allocate(bench->out_count);
    return bench->expected && bench->actual ? THAW_OK : THAW_ERROR_MEMORY;
}

static void bench_finish(struct bench *bench) {
    thaw_buffer_destroy(&bench->run.x);
    thaw_buffer_destroy(&bench->run.w);
    thaw_buffer_destroy(&bench->run.y);
    thaw_buffer_destroy(&bench->run.bias);
    free(bench->start);
    free(bench->expected);
    free(bench->actual);
}

/* A candidate ready to run on a bench; starts as {0}. */
struct trial {
    const struct bench *bench;
    const struct thaw_conv_candidate *candidate;
    struct thaw_conv_state state;
    cl_mem workspace;
};

static thaw_status trial_init(struct trial *trial, const struct bench *bench,
                              const struct thaw_conv_candidate *candidate) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(bench->device);
    trial->bench = bench;
    trial->candidate = candidate;
    THAW_TRY(candidate->prepare(bench->device, bench->problem, &trial->state));
    size_t bytes =
        candidate->workspace_bytes ? candidate->workspace_bytes(bench->problem, caps) : 0;
    return bytes ? thaw_buffer_create(bench->device, bytes, &trial->workspace) : THAW_OK;
}

static void trial_finish(struct trial *trial) {
    thaw_buffer_destroy(&trial->workspace);
    free(trial->state.extra);
}

static thaw_status trial_run(const struct trial *trial, int batch, double *ret_s) {
    const struct bench *bench = trial->bench;
    struct thaw_conv_run run = bench->run;
    run.workspace = trial->workspace;
    run.batch = batch;
    double start = thaw_clock_s();
    THAW_TRY(trial->candidate->run(bench->device, bench->problem, &trial->state, &run));
    THAW_TRY(thaw_device_finish(bench->device));
    *ret_s = thaw_clock_s() - start;
    return THAW_OK;
}

/* The whole output of a run from the same start: halo, padding and images past the batch too. */
static thaw_status trial_result(const struct trial *trial, float *ret_out, double *ret_s) {
    const struct bench *bench = trial->bench;
    size_t size_bytes = bench->out_count * sizeof(float);
    THAW_TRY(thaw_buffer_write(bench->device, bench->out, 0, bench->start, size_bytes));
    THAW_TRY(trial_run(trial, bench->check_batch, ret_s));
    return thaw_buffer_read(bench->device, bench->out, 0, ret_out, size_bytes);
}

/* What `simple` computes, for as many images as it can in CHECK_S. */
static thaw_status make_expected(struct bench *bench, const struct thaw_conv_candidate *simple) {
    struct trial trial = {0};
    double time_s = 0;
    int n = bench->run.batch;
    thaw_status status = trial_init(&trial, bench, simple);
    for (int i = 0; i < 2 && status == THAW_OK; i++) /* the first one compiles */
        status = trial_run(&trial, 1, &time_s);
    if (status == THAW_OK) {
        double images = CHECK_S / time_s;
        bench->check_batch = images < 1 ? 1 : images > n ? n : (int)images;
        bench->tolerance = tolerance(bench->problem, bench->check_batch);
        status = trial_result(&trial, bench->expected, &bench->expected_s);
    }
    trial_finish(&trial);
    return thaw_context(status, "convolution '%s'", simple->name);
}

/* The largest difference; infinite where a result is no number. */
static double difference(const struct bench *bench) {
    double worst = 0;
    for (size_t i = 0; i < bench->out_count; i++) {
        double d = fabs((double)bench->actual[i] - (double)bench->expected[i]);
        if (isnan(d))
            return INFINITY;
        worst = d > worst ? d : worst;
    }
    return worst;
}

/* Whether a run of check_batch images in `time_s` is so slow that it is all the timing needs. */
static bool is_hopeless(const struct bench *bench, double time_s, double best_s,
                        struct thaw_measure_timing *timing) {
    time_s *= (double)bench->run.batch / bench->check_batch;
    if (time_s <= HOPELESS * best_s)
        return false;
    timing->time_s = time_s;
    timing->extrapolated = bench->check_batch < bench->run.batch;
    return true;
}

static thaw_status time_trial(const struct trial *trial, double best_s,
                              struct thaw_measure_timing *timing) {
    const struct bench *bench = trial->bench;
    double time_s, shortest_s = INFINITY;
    THAW_TRY(trial_run(trial, bench->check_batch, &time_s));
    if (is_hopeless(bench, time_s, best_s, timing))
        return THAW_OK;
    double end = thaw_clock_s() + TIMING_S;
    for (int i = 0; i < RUNS_MIN || (i < RUNS_MAX && thaw_clock_s() < end); i++) {
        THAW_TRY(trial_run(trial, bench->run.batch, &time_s));
        shortest_s = time_s < shortest_s ? time_s : shortest_s;
    }
    timing->time_s = shortest_s;
    return THAW_OK;
}

static thaw_status try_candidate(struct bench *bench, const struct thaw_conv_candidate *candidate,
                                 double best_s, struct thaw_measure_timing *timing) {
    struct trial trial = {0};
    double unused_s; /* it may have compiled */
    thaw_status status = trial_init(&trial, bench, candidate);
    if (status == THAW_OK)
        status = trial_result(&trial, bench->actual, &unused_s);
    if (status == THAW_OK) {
        double worst = difference(bench);
        if (worst > bench->tolerance) {
            char key[THAW_CONV_KEY_SIZE];
            thaw_conv_problem_key(bench->problem, key);
            thaw_log(THAW_LOG_WARNING,
                     "%s: the result of '%s' is wrong on this device: off by %.3g where rounding "
                     "explains %.3g",
                     key, candidate->name, worst, bench->tolerance);
            timing->outcome = THAW_MEASURE_WRONG;
        } else {
            status = time_trial(&trial, best_s, timing);
        }
    }
    trial_finish(&trial);
    return status;
}

static thaw_status measure(struct bench *bench, const struct thaw_conv_candidate *const *candidates,
                           size_t count, double end, struct thaw_measurement *measurement) {
    const struct thaw_device_caps *caps = thaw_device_get_caps(bench->device);
    const struct thaw_conv_candidate *simple = NULL;
    THAW_TRY(thaw_conv_select(bench->device, bench->problem, "simple", &simple));
    THAW_TRY(make_expected(bench, simple));
    double best_s = INFINITY;
    bool others = false, agreed = false;
    for (size_t i = 0; i < count && measurement->count < THAW_MEASURE_TIMINGS_MAX; i++) {
        if (!candidates[i]->applies(bench->problem, caps))
            continue;
        if (thaw_clock_s() >= end)
            return THAW_OK; /* incomplete */
        struct thaw_measure_timing *timing = &measurement->timings[measurement->count++];
        timing->candidate = candidates[i];
        if (candidates[i] == simple && is_hopeless(bench, bench->expected_s, best_s, timing))
            continue;
        if (try_candidate(bench, candidates[i], best_s, timing) != THAW_OK) {
            thaw_log(THAW_LOG_WARNING, "convolution '%s' can't be measured: %s",
                     candidates[i]->name, thaw_error_message());
            timing->outcome = THAW_MEASURE_FAILED;
            timing->time_s = 0;
        }
        if (candidates[i] != simple && timing->outcome != THAW_MEASURE_FAILED) {
            others = true;
            agreed = agreed || timing->outcome == THAW_MEASURE_RIGHT;
        }
        if (timing->outcome == THAW_MEASURE_RIGHT && timing->time_s < best_s) {
            best_s = timing->time_s;
            measurement->best = (int)measurement->count - 1;
        }
    }
    measurement->complete = true;
    if (others && !agreed)
        measurement->best = -1;
    return THAW_OK;
}

thaw_status thaw_measure_conv(thaw_device *device, const struct thaw_conv_problem *problem,
                              const struct thaw_conv_candidate *const *candidates, size_t count,
                              double seconds, struct thaw_measurement *ret_measurement) {
    struct thaw_measurement measurement = {.best = -1};
    double end = thaw_clock_s() + seconds;
    if (seconds <= 0) {
        *ret_measurement = measurement;
        return THAW_OK;
    }
    struct source *source = malloc(sizeof *source);
    if (!source)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    source_init(source);
    struct bench bench = {.device = device, .problem = problem};
    thaw_status status = bench_init(&bench, source);
    free(source);
    if (status == THAW_OK)
        status = measure(&bench, candidates, count, end, &measurement);
    bench_finish(&bench);
    if (status == THAW_OK)
        *ret_measurement = measurement;
    return status;
}

thaw_status thaw_measure_remember(thaw_device *device, const struct thaw_conv_problem *problem,
                                  const struct thaw_measurement *measurement) {
    if (!measurement->complete || measurement->best < 0)
        return THAW_OK;
    char key[THAW_CONV_KEY_SIZE];
    thaw_conv_problem_key(problem, key);
    return thaw_tuning_remember(device, key,
                                measurement->timings[measurement->best].candidate->name);
}
