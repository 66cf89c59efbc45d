/* CLBlast's GEMM through our row-major call, against double precision. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "support/device.h"

struct problem {
    bool transpose_a, transpose_b;
    size_t m, n, k, offset, pad; /* pad: what each stride has beyond its row */
    float alpha, beta;
};

static double element(const float *data, size_t stride, bool transpose, size_t row, size_t column) {
    return transpose ? data[column * stride + row] : data[row * stride + column];
}

static float *random_matrix(const struct problem *p, size_t rows, size_t stride, uint32_t seed,
                            size_t *ret_count) {
    *ret_count = p->offset + rows * stride;
    float *data = malloc(*ret_count * sizeof *data);
    test_random(data, *ret_count, seed, -1, 1);
    return data;
}

static void reference(const struct problem *p, const struct thaw_gemm_call *call, const float *a,
                      const float *b, const float *c, double *expected) {
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = 0;
            for (size_t k = 0; k < p->k; k++)
                sum += element(a + p->offset, call->a_stride, p->transpose_a, i, k) *
                       element(b + p->offset, call->b_stride, p->transpose_b, k, j);
            size_t at = p->offset + i * call->c_stride + j;
            expected[at] = p->alpha * sum + (p->beta != 0 ? p->beta * (double)c[at] : 0);
        }
}

static void check(struct problem p) {
    thaw_device *device = test_device();
    struct thaw_gemm_call call = {.transpose_a = p.transpose_a,
                                  .transpose_b = p.transpose_b,
                                  .m = p.m,
                                  .n = p.n,
                                  .k = p.k,
                                  .alpha = p.alpha,
                                  .beta = p.beta,
                                  .a_offset = p.offset,
                                  .b_offset = p.offset,
                                  .c_offset = p.offset,
                                  .a_stride = (p.transpose_a ? p.m : p.k) + p.pad,
                                  .b_stride = (p.transpose_b ? p.k : p.n) + p.pad,
                                  .c_stride = p.n + p.pad};
    size_t a_count, b_count, c_count;
    float *a = random_matrix(&p, p.transpose_a ? p.k : p.m, call.a_stride, 1, &a_count);
    float *b = random_matrix(&p, p.transpose_b ? p.n : p.k, call.b_stride, 2, &b_count);
    float *c = random_matrix(&p, p.m, call.c_stride, 3, &c_count);
    if (p.beta == 0) /* C is not read then */
        c[p.offset] = NAN;
    double *expected = malloc(c_count * sizeof *expected);
    call.a = test_buffer(device, a, a_count);
    call.b = test_buffer(device, b, b_count);
    call.c = test_buffer(device, c, c_count);
    for (size_t i = 0; i < c_count; i++) /* what lies around the matrix stays */
        expected[i] = c[i];
    reference(&p, &call, a, b, c, expected);
    assert_ok(thaw_blas_gemm(device, &call));
    assert_ok(thaw_buffer_read(device, call.c, 0, c, c_count * sizeof *c));
    test_compare(c, expected, c_count, 4 * FLT_EPSILON * sqrt((double)p.k), 4 * FLT_EPSILON,
                 "gemm");
    thaw_buffer_destroy(&call.a);
    thaw_buffer_destroy(&call.b);
    thaw_buffer_destroy(&call.c);
    free(a);
    free(b);
    free(c);
    free(expected);
}

static void transposes(void **state) {
    (void)state;
    for (int t = 0; t < 4; t++)
        check((struct problem){t & 1, t & 2, 17, 33, 29, 0, 0, 1, 0});
}

static void offsets_and_strides(void **state) {
    (void)state;
    for (int t = 0; t < 4; t++)
        check((struct problem){t & 1, t & 2, 13, 7, 31, 5, 3, 0.5f, 2});
    check((struct problem){false, false, 1, 1, 1, 3, 0, -1, 1});
}

static void wrong_calls(void **state) {
    (void)state;
    thaw_device *device = test_device();
    cl_mem buffer = test_buffer(device, NULL, 16);
    struct thaw_gemm_call call = {.m = 8,
                                  .n = 8,
                                  .k = 8,
                                  .alpha = 1,
                                  .a = buffer,
                                  .b = buffer,
                                  .c = buffer,
                                  .a_stride = 8,
                                  .b_stride = 8,
                                  .c_stride = 8};
    assert_fails(thaw_blas_gemm(device, &call), THAW_ERROR_RUNTIME, "buffer of A is too small");
    call.a_stride = 4;
    assert_fails(thaw_blas_gemm(device, &call), THAW_ERROR_RUNTIME, "leading dimension of A");
    call.m = 0;
    assert_ok(thaw_blas_gemm(device, &call));
    thaw_buffer_destroy(&buffer);
}

static void is_profiled(void **state) {
    (void)state;
    struct thaw_device_options options = {.profiling = true};
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, &options, &device));
    cl_mem buffer = test_buffer(device, NULL, 64);
    struct thaw_gemm_call call = {.m = 4,
                                  .n = 4,
                                  .k = 4,
                                  .alpha = 1,
                                  .a = buffer,
                                  .b = buffer,
                                  .c = buffer,
                                  .c_offset = 16,
                                  .a_stride = 4,
                                  .b_stride = 4,
                                  .c_stride = 4};
    assert_ok(thaw_blas_gemm(device, &call));
    assert_ok(thaw_blas_gemm(device, &call));
    struct thaw_arena arena = {0};
    struct thaw_kernel_time *times = NULL;
    size_t count = 0;
    assert_ok(thaw_device_profile(device, &arena, &times, &count));
    assert_int_equal(count, 1);
    assert_string_equal(times[0].name, "sgemm");
    assert_int_equal(times[0].launches, 2);
    assert_true(times[0].time_ns > 0);
    thaw_arena_finish(&arena);
    thaw_buffer_destroy(&buffer);
    thaw_device_destroy(&device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transposes),
        cmocka_unit_test(offsets_and_strides),
        cmocka_unit_test(wrong_calls),
        cmocka_unit_test(is_profiled),
    };
    return cmocka_run_group_tests_name("cl/blas", tests, NULL, NULL);
}
