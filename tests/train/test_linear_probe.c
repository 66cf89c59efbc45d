/* Linear probes against ridge regression by Gaussian elimination, fold by fold, without Gram
 * matrices that are put together from parts; folds; what no classifier can do. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "support/support.h"
#include "train/linear_probe.h"

#define MOST 96
#define FOLDS 5

struct set {
    float features[MOST * MOST];
    int labels[MOST], folds[MOST];
    struct thaw_linear_probe probe;
};

/* Classes differ by `separation` in their first features. */
static struct set *make_set(size_t count, size_t width, int classes, float separation) {
    struct set *s = calloc(1, sizeof *s);
    struct thaw_rng rng = thaw_rng_init(4, THAW_RNG_TEST, (uint32_t)count, (uint32_t)width);
    for (size_t i = 0; i < count; i++) {
        s->labels[i] = i % 3 == 0 ? 0 : (int)(i % (size_t)classes); /* class 0 is the largest */
        for (size_t d = 0; d < width; d++)
            s->features[i * width + d] = (float)(d + 1) * (thaw_rng_normal(&rng) + 3);
        s->features[i * width + (size_t)s->labels[i]] += separation;
    }
    assert_ok(thaw_linear_probe_deal(s->labels, count, classes, FOLDS, 1, s->folds));
    s->probe =
        (struct thaw_linear_probe){s->features, count, width, s->labels, s->folds, classes, FOLDS};
    return s;
}

/* ---- the reference -------------------------------------------------------------------------- */

/* Solves a x = b (n by n, m right sides) in place, with pivots. */
static void eliminate(double *a, double *b, size_t n, size_t m) {
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k; i < n; i++)
            pivot = fabs(a[i * n + k]) > fabs(a[pivot * n + k]) ? i : pivot;
        for (size_t j = 0; j < n; j++) {
            double t = a[k * n + j];
            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = t;
        }
        for (size_t j = 0; j < m; j++) {
            double t = b[k * m + j];
            b[k * m + j] = b[pivot * m + j];
            b[pivot * m + j] = t;
        }
        for (size_t i = 0; i < n; i++) {
            double factor = i == k ? 0 : a[i * n + k] / a[k * n + k];
            for (size_t j = 0; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
            for (size_t j = 0; j < m; j++)
                b[i * m + j] -= factor * b[k * m + j];
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            b[i * m + j] /= a[i * n + i];
}

/* Standardised, less the mean of the classes' means; the mean variance of that, classes weighing
 * the same. */
static double prepare(const struct thaw_linear_probe *p, const size_t *counts, double *x) {
    double variance = 0;
    for (size_t d = 0; d < p->width; d++) {
        double mean = 0, square = 0, balanced = 0;
        for (size_t i = 0; i < p->count; i++)
            mean += (double)p->features[i * p->width + d] / (double)p->count;
        for (size_t i = 0; i < p->count; i++)
            square += pow((double)p->features[i * p->width + d] - mean, 2) / (double)p->count;
        for (size_t i = 0; i < p->count; i++) {
            x[i * p->width + d] = ((double)p->features[i * p->width + d] - mean) / sqrt(square);
            balanced += x[i * p->width + d] / (double)counts[p->labels[i]] / p->classes;
        }
        for (size_t i = 0; i < p->count; i++) {
            x[i * p->width + d] -= balanced;
            variance += pow(x[i * p->width + d], 2) / (double)counts[p->labels[i]] / p->classes /
                        (double)p->width;
        }
    }
    return variance;
}

static double reference_accuracy(const struct thaw_linear_probe *p, double lambda) {
    size_t counts[MOST] = {0}, right[MOST] = {0}, w = p->width, classes = (size_t)p->classes;
    double *x = calloc(MOST * MOST, sizeof *x), sum = 0;
    for (size_t i = 0; i < p->count; i++)
        counts[p->labels[i]]++;
    double variance = prepare(p, counts, x);
    for (int fold = 0; fold < p->fold_count; fold++) {
        double *a = calloc(MOST * MOST, sizeof *a), *b = calloc(MOST * MOST, sizeof *b);
        for (size_t d = 0; d < w; d++)
            a[d * w + d] = lambda * variance;
        for (size_t i = 0; i < p->count; i++) {
            double weight = 1.0 / (double)counts[p->labels[i]] / p->classes;
            for (size_t d = 0; d < w && p->folds[i] != fold; d++) {
                for (size_t e = 0; e < w; e++)
                    a[d * w + e] += weight * x[i * w + d] * x[i * w + e];
                for (size_t k = 0; k < classes; k++)
                    b[d * classes + k] +=
                        weight * x[i * w + d] * ((p->labels[i] == (int)k) - 1.0 / p->classes);
            }
        }
        eliminate(a, b, w, classes);
        for (size_t i = 0; i < p->count; i++) {
            double best = -HUGE_VAL;
            int answer = 0;
            for (size_t k = 0; k < classes && p->folds[i] == fold; k++) {
                double score = 0;
                for (size_t d = 0; d < w; d++)
                    score += x[i * w + d] * b[d * classes + k];
                if (score > best) {
                    best = score;
                    answer = (int)k;
                }
            }
            right[p->labels[i]] += p->folds[i] == fold && answer == p->labels[i];
        }
        free(a);
        free(b);
    }
    for (size_t k = 0; k < classes; k++)
        sum += (double)right[k] / (double)counts[k];
    free(x);
    return sum / p->classes;
}

static void expect_reference(size_t count, size_t width, int classes, float separation) {
    struct set *s = make_set(count, width, classes, separation);
    struct thaw_linear_probe_result result;
    assert_ok(thaw_linear_probe_run(&s->probe, &result));
    double best = 0;
    for (double lambda = 0.001; lambda < 2; lambda *= 10) {
        double accuracy = reference_accuracy(&s->probe, lambda);
        best = fmax(best, accuracy);
        if (fabs(lambda - result.lambda) < 1e-9)
            assert_true(fabs(accuracy - result.accuracy) < 1e-9);
    }
    assert_true(fabs(best - result.accuracy) < 1e-9);
    free(s);
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    expect_reference(96, 6, 2, 2);
    expect_reference(90, 12, 5, 9);
    expect_reference(40, 40, 3, 6);
    expect_reference(30, 96, 3, 60); /* more features than images: the short form */
}

/* ---- what is known -------------------------------------------------------------------------- */

static void separable_and_not(void **state) {
    (void)state;
    struct thaw_linear_probe_result result;
    struct set *s = make_set(96, 4, 3, 60);
    assert_ok(thaw_linear_probe_run(&s->probe, &result));
    assert_true(result.accuracy > 0.98);
    assert_true(result.standard_error > 0 && result.standard_error < 0.05);
    free(s);
    s = make_set(96, 4, 3, 0); /* nothing to learn: chance, within three standard errors */
    assert_ok(thaw_linear_probe_run(&s->probe, &result));
    assert_true(fabs(result.accuracy - 1.0 / 3) < 3 * result.standard_error);
    assert_true(result.standard_error > 0.03 && result.standard_error < 0.07);
    free(s);
}

/* A feature's scale and place change nothing, and one that is constant is no feature. */
static void scale_means_nothing(void **state) {
    (void)state;
    struct thaw_linear_probe_result before, after;
    struct set *s = make_set(96, 6, 2, 2);
    assert_ok(thaw_linear_probe_run(&s->probe, &before));
    for (size_t i = 0; i < 96; i++) {
        s->features[i * 6] = s->features[i * 6] * 1024 - 4096;
        s->features[i * 6 + 1] *= 0.0078125f;
    }
    assert_ok(thaw_linear_probe_run(&s->probe, &after));
    assert_true(fabs(before.accuracy - after.accuracy) < 1e-9);
    for (size_t i = 0; i < 96 * 6; i++)
        s->features[i] = 0.1f;
    assert_ok(thaw_linear_probe_run(&s->probe, &after));
    assert_true(fabs(after.accuracy - 0.5) < 1e-9); /* one class always, of two */
    free(s);
}

static void folds_are_stratified(void **state) {
    (void)state;
    struct set *s = make_set(96, 2, 4, 1);
    int again[MOST], other[MOST];
    size_t counts[4][FOLDS] = {{0}}, sizes[FOLDS] = {0};
    for (size_t i = 0; i < 96; i++) {
        assert_in_range(s->folds[i], 0, FOLDS - 1);
        counts[s->labels[i]][s->folds[i]]++;
        sizes[s->folds[i]]++;
    }
    for (int f = 1; f < FOLDS; f++) {
        assert_true(labs((long)sizes[f] - (long)sizes[0]) <= 1);
        for (int k = 0; k < 4; k++)
            assert_true(labs((long)counts[k][f] - (long)counts[k][0]) <= 1);
    }
    assert_ok(thaw_linear_probe_deal(s->labels, 96, 4, FOLDS, 1, again));
    assert_ok(thaw_linear_probe_deal(s->labels, 96, 4, FOLDS, 2, other));
    assert_memory_equal(again, s->folds, 96 * sizeof *again);
    assert_memory_not_equal(other, s->folds, 96 * sizeof *again);
    free(s);
}

static void not_finite(void **state) {
    (void)state;
    struct thaw_linear_probe_result result;
    struct set *s = make_set(96, 4, 2, 1);
    s->features[7 * 4 + 2] = (float)NAN;
    assert_fails(thaw_linear_probe_run(&s->probe, &result), THAW_ERROR_RUNTIME,
                 "image 7 is not finite");
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(separable_and_not),
        cmocka_unit_test(scale_means_nothing),
        cmocka_unit_test(folds_are_stratified),
        cmocka_unit_test(not_finite),
    };
    return cmocka_run_group_tests_name("train/linear_probe", tests, NULL, NULL);
}
