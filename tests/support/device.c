#include "support/device.h"

#include "cl/internal.h"

extern const struct thaw_embedded_file test_kernel_files[];
extern const int test_kernel_file_count;

/* By block; [0]: the device's own choice. Left open at exit: implementations in C++ take parts of
 * themselves down before exit handlers run (Oclgrind's thread-locals do). */
static thaw_device *devices[17];

thaw_device *test_device_block(int block) {
    if (!devices[block]) {
        struct thaw_device_options options = {.block = block};
        assert_ok(thaw_device_open(NULL, &options, &devices[block]));
        devices[block]->extra_files = test_kernel_files;
        devices[block]->extra_file_count = test_kernel_file_count;
    }
    return devices[block];
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
