#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "kernels/measure_internal.h"
#include "kernels/tuning.h"

#define TIMING_S 0.15 /* how long a candidate is timed, at least RUNS_MIN runs */
#define RUNS_MIN 2
#define RUNS_MAX 30
/* Times the best: not worth a whole run by the time of one part; by that of a few parts; not worth
 * a second run. */
#define HOPELESS_ONE 16.0
#define HOPELESS 4.0
#define BEHIND 1.5
/* What one must be faster than the usual choice to take its place. */
#define MARGIN 0.97
/* Multiply-adds on the host for the samples of a problem. */
#define SAMPLE_TERMS 4e6
#define SAMPLES_MIN 24

/* ---- random data ---------------------------------------------------------------------------- */

struct thaw_source *thaw_source_create(void) {
    struct thaw_source *source = malloc(sizeof *source);
    if (!source) {
        thaw_fail(THAW_ERROR_MEMORY, "out of memory");
        return NULL;
    }
    source->rng = thaw_rng_init(0, THAW_RNG_TEST, 0, 0);
    for (size_t i = 0; i < THAW_SOURCE_SIZE; i++) {
        float value = thaw_rng_between(&source->rng, -1, 1);
        source->table[i] = value == 0 ? 0.5f : value;
    }
    source->at = 0;
    return source;
}

float thaw_source_next(struct thaw_source *source) {
    source->at = source->at + 1 < THAW_SOURCE_SIZE ? source->at + 1 : 0;
    return source->table[source->at];
}

static int below(struct thaw_source *source, int count) {
    int at = (int)thaw_rng_between(&source->rng, 0, (float)count);
    return at < count ? at : count - 1;
}

int thaw_source_place(struct thaw_source *source, int count) {
    int end = below(source, 4); /* 0 first ones, 1 last ones, 2 and 3 anywhere */
    int from = below(source, end < 2 && count > 2 ? 2 : count);
    return end == 1 ? count - 1 - from : from;
}

size_t thaw_bench_sample_count(double terms) {
    double count = SAMPLE_TERMS / terms;
    return count < SAMPLES_MIN              ? SAMPLES_MIN
           : count > THAW_BENCH_SAMPLES_MAX ? THAW_BENCH_SAMPLES_MAX
                                            : (size_t)count;
}

double thaw_bench_tolerance(double terms) {
    return 128 * ldexp(1, -24) * sqrt(terms) * (1 + sqrt(terms) / 3);
}

thaw_status thaw_bench_array(size_t count, float **ret_array) {
    *ret_array = calloc(count, sizeof **ret_array);
    return *ret_array ? THAW_OK
                      : thaw_fail(THAW_ERROR_MEMORY, "out of memory for %zu values to measure with",
                                  count);
}

thaw_status thaw_bench_buffer(thaw_device *device, const float *values, size_t count,
                              cl_mem *ret_buffer) {
    THAW_TRY(thaw_buffer_create(device, count * sizeof *values, ret_buffer));
    return thaw_buffer_write(device, *ret_buffer, 0, values, count * sizeof *values);
}

/* ---- one way -------------------------------------------------------------------------------- */

/* A way made ready. */
struct trial {
    struct thaw_bench *bench;
    const struct thaw_bench_kind *kind;
    void *state;
};

static thaw_status run(const struct trial *trial, int parts, double *ret_s) {
    double start = thaw_clock_s();
    THAW_TRY(trial->kind->run(trial->bench, trial->state, parts));
    THAW_TRY(thaw_device_finish(trial->bench->device));
    *ret_s = thaw_clock_s() - start;
    return THAW_OK;
}

/* How far the result is off, in tolerances; infinite where something that is no value of the output
 * has changed, or a value is no number. */
static double error_of(const struct thaw_bench *bench) {
    double worst = 0;
    for (size_t i = 0; i < bench->sample_count; i++) {
        const struct thaw_bench_sample *sample = &bench->samples[i];
        worst = fmax(worst, fabs((double)bench->actual[sample->at] - sample->expected));
    }
    for (size_t i = 0; i < bench->out_count; i++) {
        if (bench->start[i] == 0 ? bench->actual[i] != 0 : !isfinite(bench->actual[i]))
            return INFINITY;
        if (bench->has_accepted) /* which may be off by a tolerance as well */
            worst = fmax(worst, fabs((double)bench->actual[i] - (double)bench->accepted[i]) / 2);
    }
    return worst / bench->tolerance;
}

/* A whole run from the same start, compared. */
static thaw_status check(const struct trial *trial, const char *name,
                         struct thaw_measure_timing *timing) {
    struct thaw_bench *bench = trial->bench;
    size_t size_bytes = bench->out_count * sizeof(float);
    double unused_s;
    THAW_TRY(thaw_buffer_write(bench->device, bench->out, 0, bench->start, size_bytes));
    THAW_TRY(run(trial, bench->parts, &unused_s));
    THAW_TRY(thaw_buffer_read(bench->device, bench->out, 0, bench->actual, size_bytes));
    double error = error_of(bench);
    if (error > 1) {
        thaw_log(THAW_LOG_WARNING,
                 "%s: the result of '%s' is wrong on this device: off by %.3g times what rounding "
                 "explains",
                 bench->key, name, error);
        timing->outcome = THAW_MEASURE_WRONG;
    } else if (!bench->has_accepted) {
        float *accepted = bench->actual;
        bench->actual = bench->accepted;
        bench->accepted = accepted;
        bench->has_accepted = true;
    }
    return THAW_OK;
}

/* Whether a run of some of the parts is so slow that it is all the timing needs. */
static thaw_status is_hopeless(const struct trial *trial, int parts, double limit_s,
                               struct thaw_measure_timing *timing, bool *ret_is_hopeless) {
    double time_s;
    THAW_TRY(run(trial, parts, &time_s));
    time_s *= (double)trial->bench->parts / parts;
    *ret_is_hopeless = time_s > limit_s;
    if (*ret_is_hopeless) {
        timing->time_s = time_s;
        timing->outcome = THAW_MEASURE_SLOW;
    }
    return THAW_OK;
}

static thaw_status time_runs(const struct trial *trial, double best_s,
                             struct thaw_measure_timing *timing) {
    double time_s, shortest_s = INFINITY, end = thaw_clock_s() + TIMING_S;
    for (int i = 0; i < RUNS_MIN || (i < RUNS_MAX && thaw_clock_s() < end); i++) {
        THAW_TRY(run(trial, trial->bench->parts, &time_s));
        shortest_s = fmin(shortest_s, time_s);
        if (shortest_s > BEHIND * best_s)
            break;
    }
    timing->time_s = shortest_s;
    return THAW_OK;
}

static thaw_status try_trial(const struct trial *trial, double best_s, const char *name,
                             struct thaw_measure_timing *timing) {
    int parts = trial->bench->parts;
    bool is_over = false;
    double unused_s;
    THAW_TRY(run(trial, 1, &unused_s)); /* it may have compiled */
    if (isfinite(best_s)) {
        THAW_TRY(is_hopeless(trial, 1, HOPELESS_ONE * best_s, timing, &is_over));
        if (!is_over && parts >= 8)
            THAW_TRY(is_hopeless(trial, parts / 4, HOPELESS * best_s, timing, &is_over));
    }
    if (!is_over)
        THAW_TRY(check(trial, name, timing));
    return is_over || timing->outcome == THAW_MEASURE_WRONG ? THAW_OK
                                                            : time_runs(trial, best_s, timing);
}

static void try_way(struct thaw_bench *bench, const struct thaw_bench_kind *kind,
                    const struct thaw_bench_way *way, double best_s,
                    struct thaw_measure_timing *timing) {
    struct trial trial = {bench, kind, NULL};
    *timing = (struct thaw_measure_timing){.candidate = way->name, .variant = way->variant};
    thaw_status status = kind->open(bench, way, &trial.state);
    if (status == THAW_OK)
        status = try_trial(&trial, best_s, way->name, timing);
    kind->close(trial.state);
    if (status != THAW_OK) {
        thaw_log(THAW_LOG_WARNING, "%s: '%s' can't be measured: %s", bench->key, way->name,
                 thaw_error_message());
        timing->outcome = THAW_MEASURE_FAILED;
        timing->time_s = 0;
    }
}

/* ---- all ways ------------------------------------------------------------------------------- */

/* The variants of what is far behind as it is are not tried. */
static bool is_left_out(const struct thaw_measurement *m, const struct thaw_bench_way *way) {
    for (size_t i = 0; i < m->count; i++) {
        const struct thaw_measure_timing *timing = &m->timings[i];
        if (timing->candidate == way->name && timing->variant == 0)
            return timing->outcome == THAW_MEASURE_SLOW;
    }
    return false;
}

/* The fastest, or the first if it is nearly as fast. */
static int choose(const struct thaw_measurement *m) {
    int best = -1;
    for (int i = 0; i < (int)m->count; i++)
        if (m->timings[i].outcome == THAW_MEASURE_RIGHT &&
            (best < 0 || m->timings[i].time_s < (best == 0 ? MARGIN : 1) * m->timings[best].time_s))
            best = i;
    return best;
}

thaw_status thaw_bench_measure(struct thaw_bench *bench, const struct thaw_bench_kind *kind,
                               const struct thaw_bench_way *ways, size_t count,
                               const struct thaw_measure_limits *limits,
                               struct thaw_measurement *m) {
    double end = thaw_clock_s() + limits->seconds, best_s = INFINITY;
    THAW_TRY(thaw_bench_array(bench->out_count, &bench->accepted));
    THAW_TRY(thaw_bench_array(bench->out_count, &bench->actual));
    for (size_t i = 0; i < count && m->count < THAW_MEASURE_TIMINGS_MAX; i++) {
        if (is_left_out(m, &ways[i]))
            continue;
        if (thaw_clock_s() >= end || (limits->interrupted && *limits->interrupted))
            return THAW_OK; /* incomplete */
        struct thaw_measure_timing *timing = &m->timings[m->count++];
        try_way(bench, kind, &ways[i], best_s, timing);
        if (timing->outcome == THAW_MEASURE_RIGHT)
            best_s = fmin(best_s, timing->time_s);
    }
    m->complete = true;
    m->best = choose(m);
    return THAW_OK;
}

thaw_status thaw_measure_remember(thaw_device *device, const char *problem_key,
                                  const struct thaw_measurement *m) {
    if (!m->complete || m->best < 0)
        return THAW_OK;
    const struct thaw_measure_timing *best = &m->timings[m->best];
    struct thaw_tuning_choice choice = {best->candidate, best->variant, best->time_s};
    return thaw_tuning_remember(device, problem_key, &choice);
}
