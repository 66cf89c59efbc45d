#include "support/support.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"

void test_expect_failure(thaw_status actual, thaw_status expected, const char *part,
                         const char *expression, const char *file, int line) {
    if (actual == expected && (!part || strstr(thaw_error_message(), part)))
        return;
    print_error("%s: status %d (expected %d), message \"%s\" (expected to contain \"%s\")\n",
                expression, (int)actual, (int)expected, thaw_error_message(), part ? part : "");
    _fail(file, line);
}

static char directory[64];

static int remove_entry(const char *path, const struct stat *info, int flag, struct FTW *walk) {
    (void)info, (void)flag, (void)walk;
    return remove(path);
}

static void remove_directory(void) {
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_directory(void) {
    if (!directory[0]) {
        const char *base = getenv("THAW_TEST_TMP");
        snprintf(directory, sizeof directory, "%s/thaw-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(directory))
            fail_msg("cannot create %s", directory);
        atexit(remove_directory);
    }
    return directory;
}

void test_random(float *data, size_t count, uint32_t seed, float low, float high) {
    struct thaw_rng rng = thaw_rng_init(seed, THAW_RNG_TEST, 0, 0);
    for (size_t i = 0; i < count; i++)
        data[i] = thaw_rng_between(&rng, low, high);
}

void test_compare(const float *actual, const double *expected, size_t count, double atol,
                  double rtol, const char *what) {
    size_t worst = 0, bad = 0;
    double worst_excess = 0;
    for (size_t i = 0; i < count; i++) {
        double error = fabs((double)actual[i] - expected[i]);
        double excess = error - (atol + rtol * fabs(expected[i]));
        if (!(excess <= 0)) { /* NaN counts */
            bad++;
            if (!(excess <= worst_excess)) {
                worst_excess = excess;
                worst = i;
            }
        }
    }
    if (bad)
        fail_msg("%s: %zu of %zu differ, worst at %zu: got %.9g, expected %.9g (atol %g, rtol %g)",
                 what, bad, count, worst, (double)actual[worst], expected[worst], atol, rtol);
}

bool test_small(void) {
    const char *value = getenv("THAW_TEST_SMALL");
    return value && strcmp(value, "1") == 0;
}
