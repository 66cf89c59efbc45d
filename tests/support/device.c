#include "support/device.h"

#include "cl/internal.h"

extern const struct thaw_embedded_file test_kernel_files[];
extern const int test_kernel_file_count;

/* By block; [0]: the device's own choice. Left open at exit: implementations in C++ take parts of
 * themselves down before exit handlers run (Oclgrind's thread-locals do). */
static thaw_device *devices[17], *as_gpu;

static thaw_device *open_with_block(int block) {
    struct thaw_device_options options = {.block = block};
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, &options, &device));
    device->extra_files = test_kernel_files;
    device->extra_file_count = test_kernel_file_count;
    return device;
}

thaw_device *test_device_block(int block) {
    if (!devices[block])
        devices[block] = open_with_block(block);
    return devices[block];
}

thaw_device *test_device_as_gpu(void) {
    if (!as_gpu) {
        as_gpu = open_with_block(1);
        as_gpu->caps.is_cpu = false;
        as_gpu->caps.type = THAW_DEVICE_GPU;
        as_gpu->caps.local_memory_bytes = as_gpu->info.local_memory_bytes;
    }
    return as_gpu;
}

thaw_device *test_device(void) {
    return test_device_block(0);
}

cl_mem test_buffer(thaw_device *device, const float *data, size_t count) {
    cl_mem buffer = NULL;
    assert_ok(thaw_buffer_create(device, count * sizeof *data, &buffer));
    if (data)
        assert_ok(thaw_buffer_write(device, buffer, 0, data, count * sizeof *data));
    return buffer;
}
