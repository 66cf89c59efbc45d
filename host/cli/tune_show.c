#include "cli/tune_show.h"

#include <stdio.h>
#include <string.h>

#include "core/text.h"

static const char *const outcomes[] = {[THAW_MEASURE_RIGHT] = "right",
                                       [THAW_MEASURE_WRONG] = "wrong",
                                       [THAW_MEASURE_FAILED] = "failed",
                                       [THAW_MEASURE_SLOW] = "slow"};

static const struct thaw_variants *variants_of(const struct thaw_tune_row *row, const char *name) {
    if (!row->conv) {
        const struct thaw_gemm_candidate *gemm = thaw_gemm_find(name);
        return gemm ? gemm->variants : NULL;
    }
    const struct thaw_conv_candidate *conv = thaw_conv_find(name);
    return conv ? conv->variants : NULL;
}

#define CHOICE_SIZE 96

/* "implicit_gemm 16,16,8,8,16": the numbers of the variant in their order. */
static const char *format_choice(const struct thaw_tune_row *row,
                                 const struct thaw_measure_timing *timing, char text[CHOICE_SIZE]) {
    const struct thaw_variants *variants = variants_of(row, timing->candidate);
    int length = snprintf(text, CHOICE_SIZE, "%s", timing->candidate);
    for (size_t i = 0; timing->variant && variants && i < variants->name_count; i++)
        length +=
            snprintf(text + length, CHOICE_SIZE - (size_t)length, "%c%d", i ? ',' : ' ',
                     variants->rows[(size_t)(timing->variant - 1) * variants->name_count + i]);
    return text;
}

#define SHAPE_SIZE THAW_CONV_KEY_SIZE

/* "forward 64x56x56 -> 128x28x28, 3x3 relu" */
static const char *format_shape(const struct thaw_tune_row *row, char text[SHAPE_SIZE]) {
    static const char *const directions[] = {[THAW_CONV_FORWARD] = "forward",
                                             [THAW_CONV_BACKWARD_DATA] = "bwd data",
                                             [THAW_CONV_BACKWARD_WEIGHT] = "bwd weight"};
    if (!row->conv) {
        snprintf(text, SHAPE_SIZE, "%s", row->key);
        return text;
    }
    const struct thaw_conv_geometry *g = &row->conv->geometry;
    char groups[16] = "";
    if (g->groups > 1)
        snprintf(groups, sizeof groups, " g%d", g->groups);
    bool act = row->conv->activation != THAW_ACTIVATION_NONE;
    snprintf(text, SHAPE_SIZE, "%-10s %dx%dx%d -> %dx%dx%d %dx%d%s%s%s%s",
             directions[row->conv->direction], g->x.c, g->x.h, g->x.w, g->y.c, g->y.h, g->y.w,
             g->w.kh, g->w.kw, groups, row->conv->bias ? " bias" : "", act ? " " : "",
             act ? thaw_activation_name(row->conv->activation) : "");
    return text;
}

static double gflops(const struct thaw_tune_row *row, const struct thaw_measure_timing *timing) {
    return timing->time_s > 0 ? 1e-9 * row->flops / timing->time_s : 0;
}

void thaw_tune_show_timings(const struct thaw_tune_row *row) {
    const struct thaw_measurement *m = &row->measurement;
    char choice[CHOICE_SIZE];
    printf("\n%s\n  in %s", row->key, row->layer);
    if (row->uses > 1)
        printf(" and %d more", row->uses - 1);
    printf("\n");
    for (size_t i = 0; i < m->count; i++) {
        const struct thaw_measure_timing *timing = &m->timings[i];
        printf("  %c %-32s", m->complete && (int)i == m->best ? '*' : ' ',
               format_choice(row, timing, choice));
        if (timing->time_s > 0)
            printf(" %c%10.3f ms %9.1f GFLOP/s\n", timing->outcome == THAW_MEASURE_SLOW ? '~' : ' ',
                   1e3 * timing->time_s, gflops(row, timing));
        else
            printf("  %s\n", outcomes[timing->outcome]);
    }
    fflush(stdout);
}

/* ---- the table ------------------------------------------------------------------------------ */

/* What selection takes by itself: measured first. */
static const struct thaw_measure_timing *usual_of(const struct thaw_tune_row *row) {
    return &row->measurement.timings[0];
}

static const struct thaw_measure_timing *best_of(const struct thaw_tune_row *row) {
    const struct thaw_measurement *m = &row->measurement;
    return m->complete && m->best >= 0 ? &m->timings[m->best] : NULL;
}

/* Of all convolutions that are measured, as often as they are used. */
struct sum {
    double usual_s, best_s;
    size_t measured, changed;
};

static struct sum add_up(const struct thaw_tune_result *result) {
    struct sum sum = {0};
    for (size_t i = 0; i < result->count; i++) {
        const struct thaw_tune_row *row = &result->rows[i];
        const struct thaw_measure_timing *best = best_of(row), *usual = usual_of(row);
        if (!best || !row->conv)
            continue;
        sum.measured++;
        sum.changed += best != usual;
        sum.usual_s += row->uses * (usual->time_s > 0 ? usual->time_s : best->time_s);
        sum.best_s += row->uses * best->time_s;
    }
    return sum;
}

static void print_row(const struct thaw_tune_row *row) {
    char shape[SHAPE_SIZE], usual_text[CHOICE_SIZE], best_text[CHOICE_SIZE];
    const struct thaw_measure_timing *best = best_of(row), *usual = usual_of(row);
    if (!best)
        return;
    printf("%-52s %4d  %-16s", format_shape(row, shape), row->uses,
           format_choice(row, usual, usual_text));
    if (usual->time_s > 0)
        printf(" %9.3f", 1e3 * usual->time_s);
    else
        printf(" %9s", outcomes[usual->outcome]);
    if (best == usual)
        printf("  %-16s\n", "=");
    else if (usual->time_s > 0)
        printf("  %-16s %9.3f  %5.2fx\n", format_choice(row, best, best_text), 1e3 * best->time_s,
               usual->time_s / best->time_s);
    else
        printf("  %-16s %9.3f\n", format_choice(row, best, best_text), 1e3 * best->time_s);
}

static void print_missing(const struct thaw_tune_result *result) {
    size_t missing = 0, nothing_right = 0, count = 0;
    for (size_t i = 0; i < result->count; i++) {
        const struct thaw_tune_row *row = &result->rows[i];
        count += row->conv != NULL;
        missing += row->conv && !row->measurement.complete;
        nothing_right += row->measurement.complete && row->measurement.best < 0;
    }
    if (missing)
        printf("not measured in %d s (--seconds gives more time): %zu of %zu convolutions\n",
               result->seconds, missing, count);
    if (nothing_right)
        printf("%zu problems that nothing computes right on this device\n", nothing_right);
}

void thaw_tune_show(const struct thaw_tune_result *result) {
    struct sum sum = add_up(result);
    if (sum.measured) {
        printf("\n%-52s %4s  %-16s %9s  %-16s %9s  %5s\n", "convolution", "uses", "usual", "ms",
               "tuned", "ms", "gain");
        for (size_t i = 0; i < result->count; i++)
            print_row(&result->rows[i]);
        printf("\nall of them: %.2f ms as usual, %.2f ms tuned (%.2fx); %zu of %zu change\n",
               1e3 * sum.usual_s, 1e3 * sum.best_s, sum.usual_s / sum.best_s, sum.changed,
               sum.measured);
    }
    print_missing(result);
    if (result->path && sum.measured)
        printf("remembered in %s\n", result->path);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *json_of_timing(const struct thaw_tune_row *row,
                              const struct thaw_measure_timing *timing) {
    const struct thaw_variants *variants = variants_of(row, timing->candidate);
    json_t *numbers = json_object();
    for (size_t i = 0; timing->variant && variants && i < variants->name_count; i++)
        json_object_set_new(
            numbers, variants->names[i],
            json_integer(variants->rows[(size_t)(timing->variant - 1) * variants->name_count + i]));
    return json_pack("{s:s, s:o, s:s, s:f, s:f}", "candidate", timing->candidate, "variant",
                     numbers, "result", outcomes[timing->outcome], "time_s", timing->time_s,
                     "gflops", gflops(row, timing));
}

static json_t *json_of_row(const struct thaw_tune_row *row) {
    const struct thaw_measurement *m = &row->measurement;
    json_t *timings = json_array();
    for (size_t i = 0; i < m->count; i++)
        json_array_append_new(timings, json_of_timing(row, &m->timings[i]));
    return json_pack("{s:s, s:s, s:i, s:b, s:o, s:o, s:o}", "problem", row->key, "layer",
                     row->layer, "uses", row->uses, "complete", (int)m->complete, "usual",
                     m->count ? json_of_timing(row, usual_of(row)) : json_null(), "tuned",
                     best_of(row) ? json_of_timing(row, best_of(row)) : json_null(), "candidates",
                     timings);
}

json_t *thaw_tune_json(const struct thaw_tune_result *result) {
    struct sum sum = add_up(result);
    json_t *rows = json_array();
    for (size_t i = 0; i < result->count; i++)
        json_array_append_new(rows, json_of_row(&result->rows[i]));
    return json_pack("{s:o, s:o, s:o, s:f, s:f, s:i, s:i, s:o}", "name",
                     thaw_json_text(result->name), "device", thaw_json_text(result->device),
                     "remembered_in",
                     result->path && sum.measured ? thaw_json_text(result->path) : json_null(),
                     "usual_s", sum.usual_s, "tuned_s", sum.best_s, "measured", (int)sum.measured,
                     "changed", (int)sum.changed, "problems", rows);
}
