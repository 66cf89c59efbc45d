/* What every test needs: cmocka with its includes, status assertions, the device under test, random
 * data and comparisons. */
#ifndef THAW_TESTS_SUPPORT_H
#define THAW_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/error.h"

/* The call succeeds; else fails the test with the error's message. */
#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        thaw_status assert_status_ = (expression);                                                 \
        if (assert_status_ != THAW_OK)                                                             \
            fail_msg("%s: status %d: %s", #expression, (int)assert_status_, thaw_error_message()); \
    } while (0)

/* The call fails with `status` and a message that contains `part`. */
#define assert_fails(expression, status, part)                                                     \
    test_expect_failure((expression), (status), (part), #expression, __FILE__, __LINE__)
void test_expect_failure(thaw_status actual, thaw_status expected, const char *part,
                         const char *expression, const char *file, int line);

/* A fresh directory below the build's temporary folder, removed (with contents) at exit. */
const char *test_directory(void);

/* Fills with reproducible uniform numbers in [low, high). */
void test_random(float *data, size_t count, uint32_t seed, float low, float high);

/* Every |actual - expected| <= atol + rtol * |expected|; else fails with the first and the worst
 * place. */
void test_compare(const float *actual, const double *expected, size_t count, double atol,
                  double rtol, const char *what);

/* THAW_TEST_SMALL=1 asks for a small subset of the shapes, for simulators and slow devices. */
bool test_small(void);

#endif
