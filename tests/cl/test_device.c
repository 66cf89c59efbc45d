/* Listing, choosing and opening devices; buffers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cl/internal.h"
#include "support/device.h"
#include "thaw/device.h"

static void listed_devices_are_described(void **state) {
    (void)state;
    struct thaw_device_info *infos = NULL;
    size_t count = 0;
    assert_ok(thaw_device_list(&infos, &count));
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(infos[i].index, i);
        assert_true(infos[i].name[0] && infos[i].platform[0] && infos[i].driver[0]);
        assert_true(infos[i].compute_units > 0 && infos[i].global_memory_bytes > 0);
        assert_true(infos[i].base_align_bytes > 0 && infos[i].max_work_item_sizes[0] > 0);
    }
    free(infos);
}

static void choosing(void **state) {
    (void)state;
    struct thaw_device_info info, again;
    assert_ok(thaw_device_choose(NULL, &info));
    char spec[160];
    snprintf(spec, sizeof spec, "%d", info.index);
    assert_ok(thaw_device_choose(spec, &again));
    assert_int_equal(again.index, info.index);
    snprintf(spec, sizeof spec, "%s", info.name); /* a part of the name, in the other case */
    for (char *c = spec; *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    assert_ok(thaw_device_choose(spec, &again));
    assert_string_equal(again.name, info.name);
    assert_ok(thaw_device_choose(info.platform, &again));
    assert_string_equal(again.platform, info.platform);
    const char *type = info.type == THAW_DEVICE_GPU ? "GPU" : "cpu";
    assert_ok(thaw_device_choose(type, &again));
    assert_int_equal(again.type, info.type);
}

static void choosing_what_is_not_there(void **state) {
    (void)state;
    struct thaw_device_info info;
    assert_fails(thaw_device_choose("no-such-device", &info), THAW_ERROR_DEVICE,
                 "no OpenCL device matches \"no-such-device\"; there ");
    assert_non_null(strstr(thaw_error_message(), "0: "));
    assert_non_null(strstr(thaw_error_hint(), "pocl-opencl-icd"));
    assert_fails(thaw_device_choose("999", &info), THAW_ERROR_DEVICE, "\"999\"");
    assert_fails(thaw_device_choose("99999999999999999999", &info), THAW_ERROR_DEVICE, "matches");
    assert_fails(thaw_device_choose("-1", &info), THAW_ERROR_DEVICE, "\"-1\"");
}

/* Runs `test` in a process of its own with the variable set: the loader reads its environment once.
 */
static void in_child(const char *variable, const char *value, int (*test)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setenv(variable, value, 1);
        _exit(test());
    }
    int result = 0;
    waitpid(child, &result, 0);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
}

static int expects_no_platform(void) {
    struct thaw_device_info info;
    if (thaw_device_choose(NULL, &info) != THAW_ERROR_DEVICE)
        return 1;
    if (!strstr(thaw_error_message(), "no OpenCL platform is installed"))
        return 2;
    return strstr(thaw_error_hint(), "pocl-opencl-icd") ? 0 : 3;
}

static void no_platform(void **state) {
    (void)state;
    in_child("OCL_ICD_VENDORS", test_directory(), expects_no_platform);
}

static int expects_environment_named(void) {
    struct thaw_device_info info;
    if (thaw_device_choose("", &info) != THAW_ERROR_DEVICE)
        return 1;
    return strstr(thaw_error_message(), "THAW_DEVICE=\"nonsense\"") ? 0 : 2;
}

static void environment_chooses(void **state) {
    (void)state;
    in_child("THAW_DEVICE", "nonsense", expects_environment_named);
}

static void opening(void **state) {
    (void)state;
    thaw_device *device = test_device();
    const struct thaw_device_info *info = thaw_device_get_info(device);
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    assert_int_equal(caps->type, info->type);
    assert_int_equal(caps->is_cpu, info->type == THAW_DEVICE_CPU);
    assert_true(caps->is_cpu ? caps->block >= 4 : caps->block == 1);
    assert_true(!info->local_memory_is_global || caps->local_memory_bytes == 0);
    assert_non_null(strstr(thaw_device_key(device), info->name));
    assert_non_null(strstr(thaw_device_key(device), info->driver));
    static const int blocks[] = {1, 2, 4, 8, 16};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(thaw_device_get_caps(test_device_block(blocks[i]))->block, blocks[i]);
}

static void opening_badly(void **state) {
    (void)state;
    thaw_device *device = NULL;
    assert_fails(thaw_device_open(NULL, &(struct thaw_device_options){.block = 5}, &device),
                 THAW_ERROR_INPUT, "device.block is 5: expected 1, 2, 4, 8 or 16");
    assert_fails(thaw_device_open("no-such-device", NULL, &device), THAW_ERROR_DEVICE,
                 "no-such-device");
    assert_null(device);
    thaw_device_destroy(&device);
    thaw_device_destroy(NULL);
}

static void buffers_are_zeroed_and_counted(void **state) {
    (void)state;
    thaw_device *device = test_device();
    uint64_t before = 0, now = 0, peak = 0;
    thaw_device_memory(device, &before, &peak);
    cl_mem buffer = NULL, window = NULL;
    assert_ok(thaw_buffer_create(device, 100003, &buffer));
    thaw_device_memory(device, &now, &peak);
    assert_int_equal(now - before, 100003);
    assert_true(peak >= now);
    static unsigned char bytes[100003];
    memset(bytes, 1, sizeof bytes);
    assert_ok(thaw_buffer_read(device, buffer, 0, bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], 0);
    size_t align = thaw_device_get_caps(device)->base_align_bytes;
    assert_ok(thaw_buffer_sub(buffer, align, align, &window));
    assert_fails(thaw_buffer_sub(buffer, 0, 200000, &window), THAW_ERROR_RUNTIME,
                 "200000 bytes at 0");
    thaw_buffer_destroy(&window);
    thaw_buffer_destroy(&buffer);
    assert_null(buffer);
    thaw_buffer_destroy(&buffer);
    thaw_device_memory(device, &now, &peak);
    assert_int_equal(now, before);
}

static void transfers(void **state) {
    (void)state;
    thaw_device *device = test_device();
    float data[8] = {1, 2, 3, 4, 5, 6, 7, 8}, back[8];
    cl_mem a = test_buffer(device, data, 8), b = test_buffer(device, NULL, 8);
    assert_ok(thaw_buffer_copy(device, a, 8, b, 4, 16)); /* 3 4 5 6 to float 1 */
    assert_ok(thaw_buffer_zero(device, b, 8, 4));
    assert_ok(thaw_buffer_read(device, b, 0, back, sizeof back));
    const float expected[8] = {0, 3, 0, 5, 6, 0, 0, 0};
    assert_memory_equal(back, expected, sizeof back);
    assert_ok(thaw_buffer_write(device, b, 0, data, 0));
    assert_fails(thaw_buffer_read(device, b, 16, back, 20), THAW_ERROR_RUNTIME,
                 "reading 20 bytes at 16 of a buffer: CL_INVALID_VALUE");
    assert_ok(thaw_device_finish(device));
    thaw_buffer_destroy(&a);
    thaw_buffer_destroy(&b);
}

static void too_large_buffers(void **state) {
    (void)state;
    thaw_device *device = test_device();
    cl_mem buffer = NULL;
    size_t limit = thaw_device_get_caps(device)->max_allocation_bytes;
    assert_fails(thaw_buffer_create(device, limit + 1, &buffer), THAW_ERROR_RUNTIME,
                 "can't hold a buffer of ");
    assert_non_null(strstr(thaw_error_hint(), "smaller batch"));
    assert_fails(thaw_buffer_create(device, SIZE_MAX, &buffer), THAW_ERROR_RUNTIME, "MiB");
    assert_fails(thaw_buffer_create(device, 0, &buffer), THAW_ERROR_RUNTIME, "0 bytes");
    assert_null(buffer);
}

/* Buffers that fit one by one, but not together. */
static void full_device(void **state) {
    (void)state;
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, NULL, &device));
    device->caps.global_memory_bytes = 3 << 20; /* as if it had no more */
    cl_mem first = NULL, second = NULL;
    assert_ok(thaw_buffer_create(device, 2 << 20, &first));
    assert_fails(
        thaw_buffer_create(device, 2 << 20, &second), THAW_ERROR_RUNTIME,
        "buffer of 2.0 MiB: CL_MEM_OBJECT_ALLOCATION_FAILURE (2.0 MiB are in use, 3.0 MiB is "
        "the device's memory");
    thaw_buffer_destroy(&first);
    assert_ok(thaw_buffer_create(device, 2 << 20, &second));
    thaw_device_destroy(&device);
    thaw_buffer_destroy(&second); /* outlives the device */
}

/* As many allocations as the largest buffer asks for; each goes with its last window. */
static void groups(void **state) {
    (void)state;
    enum { COUNT = 5 };
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, NULL, &device));
    const size_t sizes[COUNT] = {4, 300000, 700000, 100, 400000};
    const int allocation_of[COUNT] = {0, 0, 1, 1, 2};
    cl_mem buffers[COUNT], allocations[COUNT];
    struct thaw_buffer_wish wishes[COUNT];
    for (int i = 0; i < COUNT; i++)
        wishes[i] = (struct thaw_buffer_wish){sizes[i], &buffers[i]};
    device->caps.max_allocation_bytes = 900000;
    assert_ok(thaw_buffer_create_group(device, wishes, COUNT));
    for (int i = 0; i < COUNT; i++) {
        size_t offset_bytes = 1, end = 0;
        assert_ok(thaw_buffer_allocation(buffers[i], &allocations[i], &offset_bytes));
        bool follows = i > 0 && allocation_of[i] == allocation_of[i - 1];
        if (follows)
            end = thaw_buffer_group_bytes(&device->caps, sizes[i - 1]);
        assert_int_equal(offset_bytes, end);
        assert_true(i == 0 || (allocations[i] == allocations[i - 1]) == follows);
    }
    uint64_t now = 0, peak = 0;
    thaw_device_memory(device, &now, &peak);
    assert_in_range(now, 1400104, 1400104 + COUNT * device->caps.base_align_bytes);
    for (int i = 0; i < COUNT; i++)
        thaw_buffer_destroy(&buffers[i]);
    thaw_device_memory(device, &now, &peak);
    assert_int_equal(now, 0);
    device->caps.max_allocation_bytes = 500000; /* the third fits none */
    assert_fails(thaw_buffer_create_group(device, wishes, COUNT), THAW_ERROR_RUNTIME,
                 "can't hold a buffer of 0.7 MiB");
    for (int i = 0; i < COUNT; i++)
        assert_null(buffers[i]);
    thaw_device_memory(device, &now, &peak);
    assert_int_equal(now, 0);
    thaw_device_destroy(&device);
}

static void tables(void **state) {
    (void)state;
    thaw_device *device = test_device();
    float data[5] = {1, 2, 3, 4, 5}, back[5] = {0};
    const float expected[5] = {1, 2, 3, 4, 5};
    cl_mem table = NULL, allocation = NULL;
    size_t offset_bytes = 1;
    assert_ok(thaw_buffer_create_table(device, data, sizeof data, &table));
    memset(data, 0, sizeof data);
    assert_ok(thaw_buffer_read(device, table, 0, back, sizeof back));
    assert_memory_equal(back, expected, sizeof back);
    assert_ok(thaw_buffer_allocation(table, &allocation, &offset_bytes));
    assert_ptr_equal(allocation, table);
    assert_int_equal(offset_bytes, 0);
    thaw_buffer_destroy(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_platform), /* first: forks before the loader has been started */
        cmocka_unit_test(environment_chooses),
        cmocka_unit_test(listed_devices_are_described),
        cmocka_unit_test(choosing),
        cmocka_unit_test(choosing_what_is_not_there),
        cmocka_unit_test(opening),
        cmocka_unit_test(opening_badly),
        cmocka_unit_test(buffers_are_zeroed_and_counted),
        cmocka_unit_test(transfers),
        cmocka_unit_test(too_large_buffers),
        cmocka_unit_test(full_device),
        cmocka_unit_test(groups),
        cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests_name("cl/device", tests, NULL, NULL);
}
