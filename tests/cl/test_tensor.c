/* Host <-> device in logical order, for every block and halo, and weights. */
#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

#include "support/device.h"

static struct thaw_tensor tensor_make(thaw_device *device, struct thaw_shape shape, int block,
                                      int halo) {
    struct thaw_tensor tensor = {.layout = thaw_layout_make(shape, block, halo)};
    tensor.buffer = test_buffer(device, NULL, thaw_layout_size(&tensor.layout));
    return tensor;
}

/* The definition of the layout, said differently from thaw_layout_index(). */
static float expected_at(const struct thaw_layout *l, const float *data, int n, size_t index) {
    size_t lane = index % (size_t)l->block;
    size_t pixel = index / (size_t)l->block;
    int x = (int)(pixel % (size_t)(l->w + 2 * l->halo)) - l->halo;
    pixel /= (size_t)(l->w + 2 * l->halo);
    int y = (int)(pixel % (size_t)(l->h + 2 * l->halo)) - l->halo;
    pixel /= (size_t)(l->h + 2 * l->halo);
    int image = (int)(pixel % (size_t)l->n);
    int c = (int)(pixel / (size_t)l->n) * l->block + (int)lane;
    if (x < 0 || y < 0 || x >= l->w || y >= l->h || c >= l->c || image >= n)
        return 0;
    return data[((size_t)(image * l->c + c) * (size_t)l->h + (size_t)y) * (size_t)l->w + (size_t)x];
}

static void check_round_trip(int channels, int block, int halo, int n) {
    thaw_device *device = test_device();
    struct thaw_shape shape = {3, channels, 4, 5};
    struct thaw_tensor tensor = tensor_make(device, shape, block, halo);
    size_t size = thaw_layout_size(&tensor.layout), count = (size_t)n * (size_t)channels * 4 * 5;
    float *data = malloc(count * sizeof *data), *back = malloc(count * sizeof *back);
    float *raw = malloc(size * sizeof *raw);
    test_random(data, count, 1, 0.5f, 1.5f); /* never zero */
    assert_ok(thaw_tensor_write(device, &tensor, n, data));
    assert_ok(thaw_buffer_read(device, tensor.buffer, 0, raw, size * sizeof *raw));
    for (size_t i = 0; i < size; i++)
        if (raw[i] != expected_at(&tensor.layout, data, n, i))
            fail_msg("C = %d, B = %d, P = %d: float %zu is %g", channels, block, halo, i,
                     (double)raw[i]);
    assert_ok(thaw_tensor_read(device, &tensor, n, back));
    assert_memory_equal(data, back, count * sizeof *data);
    thaw_buffer_destroy(&tensor.buffer);
    free(data);
    free(back);
    free(raw);
}

static void round_trips(void **state) {
    (void)state;
    static const int blocks[] = {1, 3, 8, 16}, channels[] = {1, 3, 7, 16, 17};
    for (size_t b = 0; b < 4; b++)
        for (size_t c = 0; c < 5; c++)
            for (int halo = 0; halo <= 3; halo++)
                check_round_trip(channels[c], blocks[b], halo, 3);
}

static void fewer_images(void **state) {
    (void)state;
    check_round_trip(17, 8, 1, 2);
    check_round_trip(17, 8, 1, 1);
}

/* Blocks of 2.5 MiB, of which one goes at a time, and of 1.3 MiB: three, then two. */
static void large_maps_go_in_parts(void **state) {
    (void)state;
    for (int n = 1; n <= 2; n++) {
        struct thaw_shape shape = {n, 37, 200, 202};
        struct thaw_tensor tensor = tensor_make(test_device(), shape, 8, 1);
        size_t count = (size_t)n * 37 * 200 * 202;
        float *data = malloc(count * sizeof *data), *back = malloc(count * sizeof *back);
        test_random(data, count, 3, 0.5f, 1.5f);
        assert_ok(thaw_tensor_write(test_device(), &tensor, n, data));
        assert_ok(thaw_tensor_read(test_device(), &tensor, n, back));
        assert_memory_equal(data, back, count * sizeof *data);
        size_t size = thaw_layout_size(&tensor.layout);
        float *raw = malloc(size * sizeof *raw);
        assert_ok(thaw_buffer_read(test_device(), tensor.buffer, 0, raw, size * sizeof *raw));
        for (size_t i = 0; i < size; i++)
            assert_true(raw[i] == expected_at(&tensor.layout, data, n, i));
        thaw_buffer_destroy(&tensor.buffer);
        free(data);
        free(back);
        free(raw);
    }
}

static void too_many_images(void **state) {
    (void)state;
    struct thaw_tensor tensor = tensor_make(test_device(), (struct thaw_shape){2, 1, 1, 1}, 1, 0);
    float data[3] = {0};
    assert_fails(thaw_tensor_write(test_device(), &tensor, 3, data), THAW_ERROR_RUNTIME,
                 "3 images for a tensor that holds 2");
    assert_fails(thaw_tensor_read(test_device(), &tensor, -1, data), THAW_ERROR_RUNTIME,
                 "-1 images");
    thaw_buffer_destroy(&tensor.buffer);
}

/* Writing again with other values leaves nothing of the first in halo and lanes. */
static void writes_clear_padding(void **state) {
    (void)state;
    thaw_device *device = test_device();
    struct thaw_tensor tensor = tensor_make(device, (struct thaw_shape){1, 5, 2, 2}, 4, 1);
    size_t size = thaw_layout_size(&tensor.layout);
    float *raw = malloc(size * sizeof *raw), data[20];
    for (size_t i = 0; i < size; i++)
        raw[i] = 7;
    test_random(data, 20, 2, 0.5f, 1.5f);
    assert_ok(thaw_buffer_write(device, tensor.buffer, 0, raw, size * sizeof *raw));
    assert_ok(thaw_tensor_write(device, &tensor, 1, data));
    assert_ok(thaw_buffer_read(device, tensor.buffer, 0, raw, size * sizeof *raw));
    for (size_t i = 0; i < size; i++)
        assert_true(raw[i] == expected_at(&tensor.layout, data, 1, i));
    thaw_buffer_destroy(&tensor.buffer);
    free(raw);
}

static void check_filter(struct thaw_filter filter) {
    size_t size = thaw_filter_size(&filter);
    size_t count = (size_t)filter.o * (size_t)filter.i * (size_t)filter.kh * (size_t)filter.kw;
    float *data = malloc(count * sizeof *data), *back = calloc(count, sizeof *back);
    float *packed = malloc(size * sizeof *packed);
    test_random(data, count, 3, 0.5f, 1.5f);
    memset(packed, 0xff, size * sizeof *packed);
    thaw_filter_pack(&filter, data, packed);
    size_t zeros = 0;
    for (size_t i = 0; i < size; i++)
        zeros += packed[i] == 0;
    assert_int_equal(zeros, size - count);
    /* [O/BO][I/BI][KH][KW][BI][BO]: the second output channel stands right after the first. */
    if (filter.o > 1 && filter.block_o > 1)
        assert_true(packed[1] == data[(size_t)filter.i * (size_t)filter.kh * (size_t)filter.kw]);
    thaw_filter_unpack(&filter, packed, back);
    assert_memory_equal(data, back, count * sizeof *data);
    free(data);
    free(back);
    free(packed);
}

static void filters(void **state) {
    (void)state;
    check_filter((struct thaw_filter){7, 5, 3, 2, 1, 1});
    check_filter((struct thaw_filter){33, 17, 3, 3, 32, 16});
    check_filter((struct thaw_filter){9, 3, 7, 7, 8, 3});
    check_filter((struct thaw_filter){5, 1, 1, 1, 16, 1}); /* a bias */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(fewer_images),
        cmocka_unit_test(large_maps_go_in_parts),
        cmocka_unit_test(too_many_images),
        cmocka_unit_test(writes_clear_padding),
        cmocka_unit_test(filters),
    };
    return cmocka_run_group_tests_name("cl/tensor", tests, NULL, NULL);
}
