#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/rng.h"

json_t *golden_load(const char *model) {
    char path[128];
    snprintf(path, sizeof path, "tests/golden/%s.json", model);
    json_error_t error;
    json_t *golden = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!golden)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return golden;
}

double golden_number(const json_t *golden, const char *key) {
    const json_t *number = json_object_get(golden, key);
    if (!json_is_number(number))
        fail_msg("the golden has no number '%s'", key);
    return json_number_value(number);
}

const thaw_yaml *golden_document(struct thaw_arena *arena, const json_t *golden) {
    char path[128];
    snprintf(path, sizeof path, "configs/models/%s.yaml",
             json_string_value(json_object_get(golden, "model")));
    thaw_yaml *document = NULL;
    assert_ok(thaw_yaml_load(arena, path, &document));
    size_t i;
    const json_t *change;
    json_array_foreach(json_object_get(golden, "set"), i, change)
        assert_ok(thaw_yaml_set(arena, document, json_string_value(change)));
    return document;
}

/* ---- the formula ---------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), part = strlen(end);
    return length >= part && strcmp(name + length - part, end) == 0;
}

static uint32_t hash_name(const char *name) { /* FNV-1a */
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static void bounds(const char *name, const int64_t *dims, int rank, float *low, float *high) {
    double fan = 1;
    for (int d = 1; d < rank; d++)
        fan *= (double)dims[d];
    *high = (float)sqrt(6.0 / fan);
    *low = -*high;
    if (strcmp(name, "input") == 0)
        *low = -2.0f, *high = 2.0f;
    else if (ends_with(name, "running_mean"))
        *low = -0.25f, *high = 0.25f;
    else if (ends_with(name, "running_var") || ends_with(name, "bias"))
        *low = 0.5f, *high = 1.5f;
    else if (rank == 1)
        *low = 0.2f, *high = 0.6f;
}

void golden_fill(const json_t *golden, const char *name, const int64_t *dims, int rank,
                 float *ret_values) {
    size_t count = 1;
    for (int d = 0; d < rank; d++)
        count *= (size_t)dims[d];
    float low, high;
    bounds(name, dims, rank, &low, &high);
    uint64_t seed = (uint64_t)golden_number(golden, "seed");
    struct thaw_rng rng = thaw_rng_init(seed, THAW_RNG_TEST, hash_name(name), 0);
    for (size_t i = 0; i < count; i++)
        ret_values[i] = thaw_rng_between(&rng, low, high);
}

/* ---- comparison ----------------------------------------------------------------------------- */

/* The error that goes with `key`, and no less than the rounding of values of size `scale`: in a
 * tensor of few values PyTorch's error can be small by luck. */
static double allowed(const json_t *expected, const char *key, double scale, double factor) {
    return factor * (golden_number(expected, key) + ldexp(scale, -22));
}

static int differs(double actual, double expected, double tolerance, const char *what,
                   const char *part) {
    if (fabs(actual - expected) <= tolerance)
        return 0;
    print_error("%s: %s is %.9g, expected %.9g +- %.2g\n", what, part, actual, expected, tolerance);
    return 1;
}

static int compare_sums(const json_t *expected, const float *actual, size_t count, double factor,
                        const char *what) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)actual[i];
        squares += (double)actual[i] * (double)actual[i];
    }
    double norm = golden_number(expected, "norm");
    return differs(sum, golden_number(expected, "sum"),
                   allowed(expected, "sum_error", norm, factor), what, "the sum") +
           differs(sqrt(squares), norm, allowed(expected, "norm_error", norm, factor), what,
                   "the norm");
}

int golden_compare(const json_t *expected, const float *actual, size_t count, double factor,
                   const char *what) {
    const json_t *at = json_object_get(expected, "at");
    size_t samples = json_array_size(at);
    bool summary = json_object_get(expected, "norm") != NULL;
    size_t expected_count = summary ? (size_t)golden_number(expected, "count") : samples;
    if (!samples || count != expected_count) {
        print_error("%s: %zu values, expected %zu\n", what, count, expected_count);
        return 1;
    }
    double squares = 0;
    for (size_t i = 0; i < samples; i++)
        squares += pow(json_number_value(json_array_get(at, i)), 2);
    double scale = summary ? golden_number(expected, "norm") / sqrt((double)count)
                           : sqrt(squares / (double)samples);
    double tolerance = allowed(expected, "at_error", scale, factor);
    int bad = summary ? compare_sums(expected, actual, count, factor, what) : 0;
    for (size_t i = 0; i < samples; i++) {
        size_t place = i * count / samples;
        char part[32];
        snprintf(part, sizeof part, "value %zu", place);
        bad += differs((double)actual[place], json_number_value(json_array_get(at, i)), tolerance,
                       what, part);
    }
    return bad;
}
