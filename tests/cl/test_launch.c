/* Launches: arguments, ranges, errors, profiling. */
#include <math.h>
#include <string.h>

#include "cl/internal.h"
#include "core/rng.h"
#include "support/device.h"

static thaw_kernel *probe(thaw_device *device, const char *name, const char *defines) {
    thaw_kernel *kernel = NULL;
    assert_ok(thaw_kernel_get(device, "probe.cl", name, defines, &kernel));
    return kernel;
}

static void every_kind_of_argument(void **state) {
    (void)state;
    thaw_device *device = test_device();
    thaw_kernel *kernel = probe(device, "probe_arguments", "");
    float one = 1, sum = 0;
    cl_mem x = test_buffer(device, &one, 1), y = test_buffer(device, NULL, 1);
    struct thaw_range range = {1, {4, 1, 1}, {4, 1, 1}};
    assert_ok(thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(y), THAW_ARG_BUFFER(x),
                          THAW_ARG_INT(20), THAW_ARG_FLOAT(0.5), THAW_ARG_LONG(300),
                          THAW_ARG_LOCAL(4 * sizeof(float))));
    assert_ok(thaw_buffer_read(device, y, 0, &sum, sizeof sum));
    assert_true(sum == 321.5f);
    thaw_buffer_destroy(&x);
    thaw_buffer_destroy(&y);
}

static float items_run(struct thaw_range range) {
    thaw_device *device = test_device();
    float y[9] = {0};
    cl_mem buffer = test_buffer(device, NULL, 9);
    assert_ok(thaw_launch(device, probe(device, "probe_fill", ""), &range, THAW_ARG_BUFFER(buffer),
                          THAW_ARG_INT(8)));
    assert_ok(thaw_buffer_read(device, buffer, 0, y, sizeof y));
    thaw_buffer_destroy(&buffer);
    return y[8];
}

static void ranges_are_rounded_up(void **state) {
    (void)state;
    assert_true(items_run((struct thaw_range){1, {5, 1, 1}, {4, 1, 1}}) == 8);
    assert_true(items_run((struct thaw_range){2, {5, 3, 1}, {4, 2, 1}}) == 32);
    assert_true(items_run((struct thaw_range){3, {5, 3, 2}, {1, 1, 1}}) == 30);
    /* local sizes left open: one item on a CPU, 64 in a row elsewhere */
    int row = thaw_device_get_caps(test_device())->is_cpu ? 5 : 64;
    assert_true(items_run((struct thaw_range)THAW_RANGE1(5)) == (float)row);
    assert_true(items_run((struct thaw_range)THAW_RANGE3(5, 3, 2)) == (float)(row * 6));
    assert_true(items_run((struct thaw_range)THAW_RANGE2(5, 0)) == 0); /* nothing to do */
}

static void wrong_launches(void **state) {
    (void)state;
    thaw_device *device = test_device();
    thaw_kernel *kernel = probe(device, "probe_fill", "-DVALUE=2.0f");
    cl_mem buffer = test_buffer(device, NULL, 8);
    struct thaw_range range = THAW_RANGE1(4);
    assert_fails(thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(buffer)), THAW_ERROR_RUNTIME,
                 "kernel probe_fill of probe.cl (-DVALUE=2.0f): takes 2 arguments, 1 were given");
    assert_fails(thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(buffer), THAW_ARG_LONG(1)),
                 THAW_ERROR_RUNTIME, "argument 1: CL_INVALID_ARG_SIZE");
    range = (struct thaw_range){1, {1 << 20, 1, 1}, {1 << 20, 1, 1}};
    assert_fails(thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(buffer), THAW_ARG_INT(1)),
                 THAW_ERROR_RUNTIME, "CL_INVALID_WORK_");
    thaw_buffer_destroy(&buffer);
}

static void nan_survives_the_build_options(void **state) {
    (void)state;
    thaw_device *device = test_device();
    float x[2] = {NAN, 1}, y[2] = {0};
    cl_mem from = test_buffer(device, x, 2), to = test_buffer(device, NULL, 2);
    struct thaw_range range = {1, {2, 1, 1}, {1, 1, 1}};
    assert_ok(thaw_launch(device, probe(device, "probe_nan", ""), &range, THAW_ARG_BUFFER(to),
                          THAW_ARG_BUFFER(from)));
    assert_ok(thaw_buffer_read(device, to, 0, y, sizeof y));
    assert_true(y[0] == 1 && y[1] == 0);
    thaw_buffer_destroy(&from);
    thaw_buffer_destroy(&to);
}

/* cl/common.cl and host/core/rng.c draw the same numbers. */
static void philox_is_the_host_s(void **state) {
    (void)state;
    thaw_device *device = test_device();
    uint32_t y[64];
    cl_mem buffer = test_buffer(device, NULL, 64);
    struct thaw_range range = {1, {64, 1, 1}, {1, 1, 1}};
    assert_ok(
        thaw_launch(device, probe(device, "probe_philox", ""), &range, THAW_ARG_BUFFER(buffer)));
    assert_ok(thaw_buffer_read(device, buffer, 0, y, sizeof y));
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t block[4];
        thaw_philox((uint32_t[]){i, 2, 3, 4}, (uint32_t[]){5, 6}, block);
        assert_int_equal(y[i], block[0]);
    }
    thaw_buffer_destroy(&buffer);
}

/* LOAD and STORE move B floats and not one more. */
static void pixels_of_every_block(void **state) {
    (void)state;
    thaw_device *device = test_device();
    static const int blocks[] = {1, 2, 3, 4, 8, 16};
    for (size_t b = 0; b < 6; b++) {
        struct thaw_defines defines = {0};
        thaw_define_int(&defines, "B", blocks[b]);
        float x[17], y[17];
        for (int i = 0; i < 17; i++) {
            x[i] = (float)i + 1;
            y[i] = -1;
        }
        cl_mem from = test_buffer(device, x, 17), to = test_buffer(device, y, 17);
        struct thaw_range range = {1, {1, 1, 1}, {1, 1, 1}};
        assert_ok(thaw_launch(device, probe(device, "probe_pixel", defines.text), &range,
                              THAW_ARG_BUFFER(to), THAW_ARG_BUFFER(from)));
        assert_ok(thaw_buffer_read(device, to, 0, y, sizeof y));
        for (int i = 0; i < 17; i++)
            assert_true(y[i] == (i < blocks[b] ? 2 * x[i] : -1));
        thaw_buffer_destroy(&from);
        thaw_buffer_destroy(&to);
    }
}

static void profile_counts_launches(void **state) {
    (void)state;
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, &(struct thaw_device_options){.profiling = true}, &device));
    device->extra_files = test_device()->extra_files;
    device->extra_file_count = test_device()->extra_file_count;
    thaw_kernel *fill = probe(device, "probe_fill", ""), *nan = probe(device, "probe_nan", "");
    cl_mem buffer = test_buffer(device, NULL, 1 << 12);
    struct thaw_range all = {1, {1 << 11, 1, 1}, {1, 1, 1}}, one = {1, {1, 1, 1}, {1, 1, 1}};
    for (int i = 0; i < 5000; i++) /* more than are kept pending */
        assert_ok(thaw_launch(device, nan, &one, THAW_ARG_BUFFER(buffer), THAW_ARG_BUFFER(buffer)));
    assert_ok(thaw_launch(device, fill, &all, THAW_ARG_BUFFER(buffer), THAW_ARG_INT(1 << 11)));
    struct thaw_arena arena = {0};
    struct thaw_kernel_time *times = NULL;
    size_t count = 0;
    assert_ok(thaw_device_profile(device, &arena, &times, &count));
    assert_int_equal(count, 2);
    assert_true(times[0].time_ns >= times[1].time_ns && times[1].time_ns > 0);
    int of_nan = strcmp(times[0].name, "probe_nan") == 0 ? 0 : 1;
    assert_int_equal(times[of_nan].launches, 5000);
    assert_int_equal(times[!of_nan].launches, 1);
    thaw_device_profile_reset(device);
    assert_ok(thaw_device_profile(device, &arena, &times, &count));
    assert_int_equal(count, 0);
    thaw_arena_finish(&arena);
    thaw_buffer_destroy(&buffer);
    thaw_device_destroy(&device);
}

static void no_profile_without_profiling(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_kernel_time *times = NULL;
    size_t count = 7;
    assert_ok(thaw_device_profile(test_device(), &arena, &times, &count));
    assert_int_equal(count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_argument),  cmocka_unit_test(ranges_are_rounded_up),
        cmocka_unit_test(wrong_launches),          cmocka_unit_test(nan_survives_the_build_options),
        cmocka_unit_test(philox_is_the_host_s),    cmocka_unit_test(pixels_of_every_block),
        cmocka_unit_test(profile_counts_launches), cmocka_unit_test(no_profile_without_profiling),
    };
    return cmocka_run_group_tests_name("cl/launch", tests, NULL, NULL);
}
