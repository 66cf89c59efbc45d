/* Building and remembering kernels. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/internal.h"
#include "core/file.h"
#include "core/log.h"
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

/* Opens a device that keeps programs on disk in a fresh folder, whatever kind of device it is. */
static thaw_device *caching_device(const char *folder) {
    thaw_device *device = NULL;
    assert_int_equal(setenv("THAW_CACHE", folder, 1), 0);
    assert_ok(thaw_device_open(NULL, NULL, &device));
    device->extra_files = test_device()->extra_files;
    device->extra_file_count = test_device()->extra_file_count;
    device->store_from_ns = 0;
    return device;
}

static void note_loaded(void *user, enum thaw_log_level level, const char *text) {
    if (level == THAW_LOG_DEBUG && strncmp(text, "loaded ", 7) == 0)
        *(bool *)user = true;
}

/* What probe_fill writes when built by a new device, with its cache in `folder`. */
static float filled(const char *folder, const char *defines, bool *ret_loaded) {
    thaw_device *device = caching_device(folder);
    thaw_kernel *kernel = NULL;
    *ret_loaded = false;
    thaw_log_set(note_loaded, ret_loaded);
    assert_ok(thaw_kernel_get(device, "probe.cl", "probe_fill", defines, &kernel));
    thaw_log_set(NULL, NULL);
    cl_mem buffer = test_buffer(device, NULL, 2);
    struct thaw_range range = THAW_RANGE1(1);
    float value = 0;
    assert_ok(thaw_launch(device, kernel, &range, THAW_ARG_BUFFER(buffer), THAW_ARG_INT(1)));
    assert_ok(thaw_buffer_read(device, buffer, 0, &value, sizeof value));
    thaw_buffer_destroy(&buffer);
    thaw_device_destroy(&device);
    return value;
}

/* The only file in <folder>/kernels. */
static void cached_file(const char *folder, char *ret_path, size_t size) {
    char kernels[256];
    snprintf(kernels, sizeof kernels, "%s/kernels", folder);
    DIR *entries = opendir(kernels);
    assert_non_null(entries);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_name[0] != '.') {
            snprintf(ret_path, size, "%s/%s", kernels, entry->d_name);
            count++;
        }
    closedir(entries);
    assert_int_equal(count, 1);
}

static void programs_come_back_from_disk(void **state) {
    (void)state;
    char folder[128], path[512];
    bool was_loaded = false;
    snprintf(folder, sizeof folder, "%s/cache", test_directory());
    assert_true(filled(folder, "-DVALUE=5.0f", &was_loaded) == 5);
    assert_false(was_loaded);
    cached_file(folder, path, sizeof path);
    assert_true(filled(folder, "-DVALUE=5.0f", &was_loaded) == 5);
    assert_true(was_loaded);

    /* A file for another key, a damaged one and cut ones are built anew, and replaced. */
    for (int damage = 0; damage < 4; damage++) {
        struct thaw_map map = {0};
        assert_ok(thaw_map_open(path, &map));
        size_t size = map.size_bytes;
        unsigned char *bytes = malloc(size);
        memcpy(bytes, map.bytes, size);
        thaw_map_close(&map);
        if (damage < 2)
            bytes[damage == 0 ? 8 : size - 1] ^= 1; /* the key's hash, or the binary's end */
        assert_ok(thaw_file_write(path, bytes, damage == 2 ? size / 2 : damage == 3 ? 5 : size));
        free(bytes);
        assert_true(filled(folder, "-DVALUE=5.0f", &was_loaded) == 5);
        assert_false(was_loaded);
        assert_true(filled(folder, "-DVALUE=5.0f", &was_loaded) == 5);
        assert_true(was_loaded);
    }
    unsetenv("THAW_CACHE");
}

/* A cache folder that can't be written costs nothing but the build. */
static void unwritable_cache(void **state) {
    (void)state;
    bool was_loaded = false;
    assert_true(filled("/dev/null", "-DVALUE=6.0f", &was_loaded) == 6);
    assert_false(was_loaded);
    unsetenv("THAW_CACHE");
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
        cmocka_unit_test(programs_come_back_from_disk),
        cmocka_unit_test(unwritable_cache),
    };
    return cmocka_run_group_tests_name("cl/program", tests, NULL, NULL);
}
