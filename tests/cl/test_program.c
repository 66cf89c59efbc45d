/* Building and remembering kernels. */
#include <math.h>
#include <string.h>

#include "support/device.h"

static void same_handle_twice(void **state) {
    (void)state;
    thaw_device *device = test_device();
    thaw_kernel *a = NULL, *b = NULL, *c = NULL, *d = NULL, *plain = NULL;
    assert_ok(thaw_kernel_get(device, "probe.cl", "probe_fill", "-DVALUE=3.0f", &a));
    assert_ok(thaw_kernel_get(device, "probe.cl", "probe_fill", "-DVALUE=3.0f", &b));
    assert_ok(thaw_kernel_get(device, "probe.cl", "probe_fill", "-DVALUE=4.0f", &c));
    assert_ok(thaw_kernel_get(device, "probe.cl", "probe_nan", "-DVALUE=3.0f", &d));
    assert_ok(thaw_kernel_get(device, "probe.cl", "probe_nan", NULL, &plain));
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_not_equal(a, d);
    assert_true(thaw_kernel_max_group(a) >= 1);
}

static void defines_reach_the_kernel(void **state) {
    (void)state;
    thaw_device *device = test_device();
    struct thaw_defines defines = {0};
    thaw_define_float(&defines, "VALUE", 0.1);
    thaw_define_int(&defines, "B", -4);
    thaw_define_text(&defines, "OTHER", "float4");
    assert_string_equal(defines.text, "-DVALUE=1.00000000e-01f -DB=-4 -DOTHER=float4");
    memset(&defines, 0, sizeof defines);
    thaw_define_float(&defines, "VALUE", 0.1);
    thaw_kernel *kernel = NULL;
    assert_ok(thaw_kernel_get(device, "probe.cl", "probe_fill", defines.text, &kernel));
    cl_mem buffer = test_buffer(device, NULL, 2);
    struct thaw_range range = THAW_RANGE1(1);
    float value = 0;
    assert_ok(thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(buffer), THAW_ARG_INT(1)));
    assert_ok(thaw_buffer_read(device, buffer, 0, &value, sizeof value));
    assert_true(value == 0.1f);
    thaw_buffer_destroy(&buffer);
}

static void infinite_defines(void **state) {
    (void)state;
    struct thaw_defines defines = {0};
    thaw_define_float(&defines, "LOW", -INFINITY);
    thaw_define_float(&defines, "HIGH", INFINITY);
    assert_string_equal(defines.text, "-DLOW=-INFINITY -DHIGH=INFINITY");
}

static void overfull_defines_fail(void **state) {
    (void)state;
    struct thaw_defines defines = {0};
    for (int i = 0; i < 300; i++)
        thaw_define_int(&defines, "SOME_NAME", i);
    assert_true(defines.failed);
    assert_true(defines.length < THAW_DEFINES_SIZE);
    assert_int_equal(strlen(defines.text), defines.length);
}

static void build_errors_carry_the_log(void **state) {
    (void)state;
    thaw_kernel *kernel = NULL;
    for (int i = 0; i < 2; i++) { /* a failure is not remembered as a success */
        assert_fails(
            thaw_kernel_get(test_device(), "probe.cl", "probe_broken", "-DBROKEN", &kernel),
            THAW_ERROR_RUNTIME, "no_such_name");
        assert_non_null(strstr(thaw_error_message(), "probe.cl (-DBROKEN) does not compile"));
        assert_null(kernel);
    }
}

static void unknown_names(void **state) {
    (void)state;
    thaw_kernel *kernel = NULL;
    assert_fails(thaw_kernel_get(test_device(), "nothing.cl", "x", "", &kernel), THAW_ERROR_RUNTIME,
                 "no kernel file \"nothing.cl\"");
    assert_fails(thaw_kernel_get(test_device(), "probe.cl", "nothing", "", &kernel),
                 THAW_ERROR_RUNTIME, "probe.cl has no kernel \"nothing\"");
    assert_null(kernel);
}

static void error_names(void **state) {
    (void)state;
    assert_string_equal(thaw_cl_error_name(CL_OUT_OF_RESOURCES), "CL_OUT_OF_RESOURCES");
    assert_string_equal(thaw_cl_error_name(-1001), "CL_PLATFORM_NOT_FOUND_KHR");
    assert_string_equal(thaw_cl_error_name(-9999), "CL error -9999");
    assert_ok(thaw_cl_check(CL_SUCCESS, "x"));
    assert_fails(thaw_cl_check(CL_INVALID_VALUE, "clFoo"), THAW_ERROR_RUNTIME,
                 "clFoo: CL_INVALID_VALUE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_handle_twice),
        cmocka_unit_test(defines_reach_the_kernel),
        cmocka_unit_test(infinite_defines),
        cmocka_unit_test(overfull_defines_fail),
        cmocka_unit_test(build_errors_carry_the_log),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(error_names),
    };
    return cmocka_run_group_tests_name("cl/program", tests, NULL, NULL);
}
