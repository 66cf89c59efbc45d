/* Halves: every one of them, and floats between them against arithmetic in double. */
#include "core/half.h"

#include <math.h>
#include <string.h>

#include "support/support.h"

static double value_of(unsigned half) {
    int exponent = (int)(half >> 10 & 31), mantissa = (int)(half & 1023);
    return exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
}

static void every_half_goes_there_and_back(void **state) {
    (void)state;
    for (unsigned half = 0; half < 0x7c00; half++) {
        assert_true(thaw_half_to_float((uint16_t)half) == value_of(half));
        assert_int_equal(thaw_half_from_float((float)value_of(half)), half);
        assert_int_equal(thaw_half_from_float(-(float)value_of(half)), half | 0x8000);
        assert_true(thaw_half_to_float((uint16_t)(half | 0x8000)) == -value_of(half));
    }
    assert_true(isinf(thaw_half_to_float(0x7c00)) && isnan(thaw_half_to_float(0x7e01)));
    assert_true(isnan(thaw_half_to_float(thaw_half_from_float(NAN))));
    assert_int_equal(thaw_half_from_float(-INFINITY), 0xfc00);
}

/* Between two neighbours: the middle goes to the even one, what is beside it to the nearer one. */
static void rounds_to_nearest_even(void **state) {
    (void)state;
    for (unsigned half = 0; half < 0x7bff; half++) {
        float middle = (float)((value_of(half) + value_of(half + 1)) / 2); /* exact */
        assert_int_equal(thaw_half_from_float(middle), half + (half & 1));
        assert_int_equal(thaw_half_from_float(nextafterf(middle, 0)), half);
        assert_int_equal(thaw_half_from_float(nextafterf(middle, INFINITY)), half + 1);
    }
    assert_int_equal(thaw_half_from_float(THAW_HALF_OVERFLOW), 0x7c00);
    assert_int_equal(thaw_half_from_float(nextafterf(THAW_HALF_OVERFLOW, 0)), 0x7bff);
    assert_int_equal(thaw_half_from_float(1e-30f), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_goes_there_and_back),
        cmocka_unit_test(rounds_to_nearest_even),
    };
    return cmocka_run_group_tests_name("core/half", tests, NULL, NULL);
}
