#include "train/linear_probe.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"

static const double lambdas[] = {0.001, 0.01, 0.1, 1};
enum { LAMBDAS = sizeof lambdas / sizeof *lambdas };

/* Matrices are row major. Of symmetric ones the upper half is kept, which is the lower half to
 * LAPACK, whose matrices are column major. */
struct solver {
    struct thaw_arena arena;
    const struct thaw_linear_probe *probe;
    size_t width;             /* of `x` */
    double *x;                /* (count, width): the features, sqrt(weight) times each row */
    double *y;                /* (count, classes): one-hot less the mean, likewise */
    size_t *class_counts;     /* images of each class */
    double *all_xx, *all_xy;  /* x'x (width, width) and y'x (classes, width) of all rows */
    double *fold_xx, *factor; /* of all folds but one; its Cholesky factor */
    double *fold_xy, *w;      /* likewise, and the solution */
    double *fold_x, *fold_y;  /* the rows of that fold */
    double *scores;           /* of those rows */
    size_t *correct;          /* [LAMBDAS][classes] */
};

thaw_status thaw_linear_probe_deal(const int *labels, size_t count, int classes, int fold_count,
                                   uint64_t seed, int *ret_folds) {
    struct thaw_arena arena = {0};
    struct thaw_rng rng = thaw_rng_init(seed, THAW_RNG_SPLIT, 1, 0);
    uint32_t *order = thaw_arena_array(&arena, count + 1, sizeof *order);
    if (!order)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    thaw_rng_shuffle(&rng, order, count);
    int next = 0;
    for (int class_index = 0; class_index < classes; class_index++)
        for (size_t i = 0; i < count; i++)
            if (labels[order[i]] == class_index)
                ret_folds[order[i]] = next++ % fold_count;
    thaw_arena_finish(&arena);
    return THAW_OK;
}

/* ---- features ------------------------------------------------------------------------------- */

static void standardise(const struct thaw_linear_probe *p, double *x) {
    for (size_t d = 0; d < p->width; d++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < p->count; i++)
            sum += (double)p->features[i * p->width + d];
        double mean = sum / (double)p->count;
        for (size_t i = 0; i < p->count; i++) {
            double centred = (double)p->features[i * p->width + d] - mean;
            x[i * p->width + d] = centred;
            squares += centred * centred;
        }
        /* A feature that is constant but for rounding says nothing. */
        double deviation = sqrt(squares / (double)p->count);
        double scale = deviation > 1e-6 * (fabs(mean) + 1e-30) ? 1 / deviation : 0;
        for (size_t i = 0; i < p->count; i++)
            x[i * p->width + d] *= scale;
    }
}

/* Ridge regression knows the features by their inner products alone: with more features than
 * images, the rows of the Cholesky factor of x x' do as well, and there are fewer. */
static thaw_status shorten(struct solver *s) {
    size_t count = s->probe->count, width = s->width;
    double *products = thaw_arena_array(&s->arena, count * count, sizeof *products);
    if (!products)
        return THAW_ERROR_MEMORY;
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)count, (int)width, 1, s->x,
                (int)width, 0, products, (int)count);
    double trace = 0;
    for (size_t i = 0; i < count; i++)
        trace += products[i * count + i];
    for (size_t i = 0; i < count; i++)
        products[i * count + i] += 1e-9 * trace / (double)count + 1e-30;
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', (int)count, products, (int)count))
        return thaw_fail(THAW_ERROR_RUNTIME, "a linear probe of %zu features failed", width);
    s->x = products; /* above the diagonal it is zero as allocated */
    s->width = count;
    return THAW_OK;
}

/* Weights of images: every class has the same sum, all of them 1. */
static thaw_status weigh(struct solver *s) {
    const struct thaw_linear_probe *p = s->probe;
    s->class_counts = thaw_arena_array(&s->arena, (size_t)p->classes, sizeof *s->class_counts);
    s->y = thaw_arena_array(&s->arena, p->count * (size_t)p->classes, sizeof *s->y);
    if (!s->class_counts || !s->y)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < p->count; i++)
        s->class_counts[p->labels[i]]++;
    double *mean = thaw_arena_array(&s->arena, s->width, sizeof *mean);
    if (!mean)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < p->count; i++)
        for (size_t d = 0; d < s->width; d++)
            mean[d] += s->x[i * s->width + d] / (double)s->class_counts[p->labels[i]] / p->classes;
    for (size_t i = 0; i < p->count; i++) {
        double root = sqrt(1.0 / (double)s->class_counts[p->labels[i]] / p->classes);
        for (size_t d = 0; d < s->width; d++)
            s->x[i * s->width + d] = root * (s->x[i * s->width + d] - mean[d]);
        for (int k = 0; k < p->classes; k++)
            s->y[i * (size_t)p->classes + (size_t)k] =
                root * ((p->labels[i] == k) - 1.0 / p->classes);
    }
    return THAW_OK;
}

static thaw_status prepare(struct solver *s) {
    const struct thaw_linear_probe *p = s->probe;
    s->width = p->width;
    s->x = thaw_arena_array(&s->arena, p->count * p->width, sizeof *s->x);
    if (!s->x)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < p->count * p->width; i++)
        if (!isfinite(p->features[i]))
            return thaw_fail(THAW_ERROR_RUNTIME, "a feature of image %zu is not finite",
                             i / p->width);
    standardise(p, s->x);
    if (p->width > p->count)
        THAW_TRY(shorten(s));
    THAW_TRY(weigh(s));
    size_t square = s->width * s->width, side = s->width * (size_t)p->classes;
    struct {
        double **matrix;
        size_t size;
    } matrices[] = {{&s->all_xx, square},
                    {&s->fold_xx, square},
                    {&s->factor, square},
                    {&s->all_xy, side},
                    {&s->fold_xy, side},
                    {&s->w, side},
                    {&s->fold_x, p->count * s->width},
                    {&s->fold_y, p->count * (size_t)p->classes},
                    {&s->scores, p->count * (size_t)p->classes}};
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
        if (!(*matrices[i].matrix = thaw_arena_array(&s->arena, matrices[i].size, sizeof(double))))
            return THAW_ERROR_MEMORY;
    s->correct = thaw_arena_array(&s->arena, LAMBDAS * (size_t)p->classes, sizeof *s->correct);
    return s->correct ? THAW_OK : THAW_ERROR_MEMORY;
}

/* ---- folds ---------------------------------------------------------------------------------- */

/* xx = scale x'x + beta xx, and likewise y'x, of `count` rows. */
static void add_products(const struct solver *s, const double *x, const double *y, size_t count,
                         double scale, double beta, double *xx, double *xy) {
    int width = (int)s->width, classes = s->probe->classes;
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, width, (int)count, scale, x, width, beta, xx,
                width);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, classes, width, (int)count, scale, y,
                classes, x, width, beta, xy, width);
}

/* Judges the rows of a fold with the solution for one lambda. */
static void judge(struct solver *s, const int *labels, size_t count, size_t *correct) {
    int width = (int)s->width, classes = s->probe->classes;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)count, classes, width, 1, s->fold_x,
                width, s->w, width, 0, s->scores, classes);
    for (size_t i = 0; i < count; i++) {
        const double *scores = s->scores + i * (size_t)classes;
        int best = 0;
        for (int k = 1; k < classes; k++)
            best = scores[k] > scores[best] ? k : best;
        correct[best] += best == labels[i];
    }
}

static thaw_status run_fold(struct solver *s, int fold, int *labels) {
    const struct thaw_linear_probe *p = s->probe;
    size_t count = 0, width = s->width, classes = (size_t)p->classes;
    for (size_t i = 0; i < p->count; i++)
        if (p->folds[i] == fold) {
            memcpy(s->fold_x + count * width, s->x + i * width, width * sizeof *s->x);
            memcpy(s->fold_y + count * classes, s->y + i * classes, classes * sizeof *s->y);
            labels[count++] = p->labels[i];
        }
    if (!count)
        return THAW_OK;
    memcpy(s->fold_xx, s->all_xx, width * width * sizeof *s->all_xx);
    memcpy(s->fold_xy, s->all_xy, width * classes * sizeof *s->all_xy);
    add_products(s, s->fold_x, s->fold_y, count, -1, 1, s->fold_xx, s->fold_xy);
    double mean_variance = 1e-30; /* 0 where every feature is constant */
    for (size_t d = 0; d < width; d++)
        mean_variance += s->all_xx[d * width + d] / (double)width;
    for (size_t l = 0; l < LAMBDAS; l++) {
        memcpy(s->factor, s->fold_xx, width * width * sizeof *s->factor);
        memcpy(s->w, s->fold_xy, width * classes * sizeof *s->w);
        for (size_t d = 0; d < width; d++)
            s->factor[d * width + d] += lambdas[l] * mean_variance;
        if (LAPACKE_dposv(LAPACK_COL_MAJOR, 'L', (int)width, (int)classes, s->factor, (int)width,
                          s->w, (int)width))
            return thaw_fail(THAW_ERROR_RUNTIME, "a linear probe of %zu features failed", width);
        judge(s, labels, count, s->correct + l * classes);
    }
    return THAW_OK;
}

static struct thaw_linear_probe_result summarise(const struct solver *s) {
    struct thaw_linear_probe_result best = {.accuracy = -1};
    int classes = s->probe->classes;
    for (size_t l = LAMBDAS; l-- > 0;) { /* of equals the most regular */
        double sum = 0, variance = 0;
        for (int k = 0; k < classes; k++) {
            double n = (double)s->class_counts[k];
            double right = (double)s->correct[l * (size_t)classes + (size_t)k];
            double smooth = (right + 1) / (n + 2); /* all right is no certainty (Laplace) */
            sum += right / n;
            variance += smooth * (1 - smooth) / n;
        }
        if (sum / classes > best.accuracy)
            best = (struct thaw_linear_probe_result){sum / classes, sqrt(variance) / classes,
                                                     lambdas[l]};
    }
    return best;
}

static thaw_status solve(struct solver *s) {
    THAW_TRY(prepare(s));
    int *labels = thaw_arena_array(&s->arena, s->probe->count, sizeof *labels);
    if (!labels)
        return THAW_ERROR_MEMORY;
    add_products(s, s->x, s->y, s->probe->count, 1, 0, s->all_xx, s->all_xy);
    for (int fold = 0; fold < s->probe->fold_count; fold++)
        THAW_TRY(run_fold(s, fold, labels));
    return THAW_OK;
}

thaw_status thaw_linear_probe_run(const struct thaw_linear_probe *probe,
                                  struct thaw_linear_probe_result *ret_result) {
    struct solver s = {.probe = probe};
    thaw_status status = solve(&s);
    if (status == THAW_OK)
        *ret_result = summarise(&s);
    thaw_arena_finish(&s.arena);
    return status;
}
