/* The device under test. */
#ifndef THAW_TESTS_DEVICE_H
#define THAW_TESTS_DEVICE_H

#include "cl/cl.h"
#include "support/support.h"

/* The device that THAW_DEVICE names, or the default one; opened once. Fails
 * the test when there is none. It also knows the kernel files of tests/support/. */
thaw_device *test_device(void);

/* The same device opened with another channel block: 1, 2, 4, 8 or 16. Cached too. */
thaw_device *test_device_block(int block);

/* The same device taken for a GPU, with a block of 1: kernels run in their other form, with
 * work-groups of many items and local memory. */
thaw_device *test_device_as_gpu(void);

/* A buffer holding `count` floats; or zeros for NULL. */
cl_mem test_buffer(thaw_device *device, const float *data, size_t count);

#endif
