/* Every candidate that applies to the device, forced, against double precision: sizes of 1, odd,
 * prime, tile +-1; transposes, offsets, row strides beyond the width, accumulation; nothing around
 * C changes. */
#include "support/device.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/gemm.h"

static thaw_device *device;

static int open_device(void **state) {
    (void)state;
    device = test_device();
    return 0;
}

/* A matrix of `rows` x `width`, `stride` apart, after `offset` floats, with a margin behind. */
struct matrix {
    size_t offset, stride, rows, width, size;
    float *data;
    cl_mem buffer;
};
#define MARGIN 5

static void matrix_create(struct matrix *matrix, int rows, int width, size_t offset, int gap,
                          uint32_t seed) {
    *matrix = (struct matrix){.offset = offset,
                              .stride = (size_t)(width + gap),
                              .rows = (size_t)rows,
                              .width = (size_t)width};
    matrix->size = offset + matrix->rows * matrix->stride + MARGIN;
    matrix->data = malloc(matrix->size * sizeof(float));
    assert_non_null(matrix->data);
    test_random(matrix->data, matrix->size, seed, -1, 1);
    assert_ok(thaw_buffer_create(device, matrix->size * sizeof(float), &matrix->buffer));
    assert_ok(
        thaw_buffer_write(device, matrix->buffer, 0, matrix->data, matrix->size * sizeof(float)));
}

static void matrix_destroy(struct matrix *matrix) {
    free(matrix->data);
    thaw_buffer_destroy(&matrix->buffer);
}

static double element(const struct matrix *matrix, bool transpose, int row, int column) {
    size_t r = (size_t)(transpose ? column : row), c = (size_t)(transpose ? row : column);
    return (double)matrix->data[matrix->offset + r * matrix->stride + c];
}

/* What the whole buffer of C holds afterwards: results inside, what was there outside. */
static double *reference(const struct thaw_gemm_problem *p, const struct matrix *a,
                         const struct matrix *b, const struct matrix *c) {
    double *expected = malloc(c->size * sizeof(double));
    assert_non_null(expected);
    for (size_t i = 0; i < c->size; i++)
        expected[i] = (double)c->data[i];
    for (int row = 0; row < p->m; row++)
        for (int column = 0; column < p->n; column++) {
            double *to = &expected[c->offset + (size_t)row * c->stride + (size_t)column];
            double sum = p->accumulate ? *to : 0;
            for (int k = 0; k < p->k; k++)
                sum += element(a, p->transpose_a, row, k) * element(b, p->transpose_b, k, column);
            *to = sum;
        }
    return expected;
}

/* Prepared for a product with `more_m` more rows and `more_n` more columns, as the contract allows.
 */
static void run_candidate(const struct thaw_gemm_candidate *candidate,
                          const struct thaw_gemm_problem *problem, int more_m, int more_n,
                          const struct matrix *a, const struct matrix *b, const struct matrix *c) {
    struct thaw_gemm_problem larger = *problem;
    larger.m += more_m;
    larger.n += more_n;
    larger.k += 1;
    const struct thaw_gemm_candidate *selected = NULL;
    assert_ok(thaw_gemm_select(device, &larger, candidate->name, &selected));
    assert_ptr_equal(selected, candidate);
    struct thaw_gemm_state state = {0};
    assert_ok(candidate->prepare(device, &larger, &state));
    struct thaw_gemm_run run = {.a = a->buffer,
                                .b = b->buffer,
                                .c = c->buffer,
                                .a_offset = a->offset,
                                .b_offset = b->offset,
                                .c_offset = c->offset};
    size_t workspace_bytes = candidate->workspace_bytes
                                 ? candidate->workspace_bytes(&larger, thaw_device_get_caps(device))
                                 : 0;
    assert_true(workspace_bytes <= thaw_gemm_workspace_max(&larger, thaw_device_get_caps(device)));
    if (workspace_bytes)
        assert_ok(thaw_buffer_create(device, workspace_bytes, &run.workspace));
    assert_ok(candidate->run(device, problem, &state, &run));
    assert_ok(thaw_device_finish(device));
    thaw_buffer_destroy(&run.workspace);
}

/* `way` is the candidate's variant; `variant` that of the problem. */
static void check_larger(const struct thaw_gemm_candidate *candidate, int way, const int shape[3],
                         int variant, int more_m, int more_n) {
    int m = shape[0], n = shape[1], k = shape[2];
    bool ta = variant & 1, tb = variant & 2, accumulate = variant & 4, apart = variant & 8;
    struct matrix a, b, c;
    matrix_create(&a, ta ? k : m, ta ? m : k, apart ? 3 : 0, apart ? 2 : 0, 1);
    matrix_create(&b, tb ? n : k, tb ? k : n, apart ? 7 : 0, apart ? 1 : 0, 2);
    matrix_create(&c, m, n, apart ? 1 : 0, apart ? 3 : 0, 3);
    struct thaw_gemm_problem problem = {.m = m,
                                        .n = n,
                                        .k = k,
                                        .transpose_a = ta,
                                        .transpose_b = tb,
                                        .lda = (int)a.stride,
                                        .ldb = (int)b.stride,
                                        .ldc = (int)c.stride,
                                        .accumulate = accumulate,
                                        .variant = way};
    double *expected = reference(&problem, &a, &b, &c);
    run_candidate(candidate, &problem, more_m, more_n, &a, &b, &c);
    float *actual = malloc(c.size * sizeof(float));
    assert_non_null(actual);
    assert_ok(thaw_buffer_read(device, c.buffer, 0, actual, c.size * sizeof(float)));
    char what[140];
    snprintf(what, sizeof what, "%s (%d) %d x %d x %d%s%s%s%s", candidate->name, way, m, n, k,
             ta ? " A'" : "", tb ? " B'" : "", accumulate ? " accumulate" : "",
             apart ? " apart" : "");
    /* k roundings of sums that wander to sqrt(k) / 3: errors add up like eps * k / 6; four times it
     */
    test_compare(actual, expected, c.size, (double)FLT_EPSILON * (0.7 * k + 4), 1e-6, what);
    /* canaries: everything outside the matrix is what it was, bit for bit */
    for (size_t i = 0; i < c.size; i++) {
        size_t at = i - c.offset;
        if (i < c.offset || at / c.stride >= c.rows || at % c.stride >= c.width)
            assert_memory_equal(&actual[i], &c.data[i], sizeof(float));
    }
    free(actual);
    free(expected);
    matrix_destroy(&a);
    matrix_destroy(&b);
    matrix_destroy(&c);
}

static void check(const struct thaw_gemm_candidate *candidate, const int shape[3], int variant) {
    check_larger(candidate, 0, shape, variant, 3, 5);
}

static const int shapes[][3] = {{1, 1, 1},     {1, 7, 3},    {5, 1, 2},      {2, 3, 1},
                                {3, 5, 17},    {13, 31, 15}, {14, 32, 16},   {15, 33, 17},
                                {7, 17, 12},   {6, 16, 8},   {29, 63, 13},   {63, 65, 31},
                                {65, 129, 16}, {127, 64, 5}, {129, 131, 33}, {41, 67, 1031}};

static void candidates_agree_with_reference(void **state) {
    (void)state;
    size_t shape_count = test_small() ? 4 : sizeof shapes / sizeof shapes[0];
    for (size_t i = 0; i < thaw_gemm_candidate_count; i++) {
        const struct thaw_gemm_candidate *candidate = thaw_gemm_candidates[i];
        struct thaw_gemm_problem any = {1, 1, 1, false, false, 1, 1, 1, false};
        if (!candidate->applies(&any, thaw_device_get_caps(device)))
            continue;
        for (size_t s = 0; s < shape_count; s++)
            for (int variant = 0; variant < 16; variant++)
                check(candidate, shapes[s], variant);
    }
}

/* Prepared for something larger, run at a tile's edges. */
static void every_tile_agrees_with_reference(void **state) {
    (void)state;
    const struct thaw_gemm_candidate *tiled = thaw_gemm_find("tiled");
    for (int i = 1; i <= (int)tiled->variants->count; i++) {
        struct thaw_tile_product product = {256, 256, 1, i};
        const struct thaw_device_caps *caps = thaw_device_get_caps(device);
        if (!thaw_tile_possible(i, caps))
            continue;
        struct thaw_tile tile = thaw_tile_choose(&product, caps->max_work_group_size, caps);
        int height = (int)thaw_tile_height(&tile), width = (int)thaw_tile_width(&tile);
        int variant = i % 8, h = height + i % 3 - 1, w = width + i / 3 % 3 - 1;
        check_larger(tiled, i, (const int[3]){h, w, 2 * tile.depth + 3}, variant, 192 - h, 192 - w);
    }
}

static void selection_answers_every_name(void **state) {
    (void)state;
    struct thaw_gemm_problem problem = {100, 100, 100, false, false, 100, 100, 100, false};
    const struct thaw_gemm_candidate *selected = NULL;
    assert_ok(thaw_gemm_select(device, &problem, NULL, &selected));
    assert_true(selected->applies(&problem, thaw_device_get_caps(device)));
    if (thaw_device_get_caps(device)->is_cpu)
        assert_string_equal(selected->name, "panel");
    const struct thaw_gemm_candidate *untouched = NULL;
    assert_fails(thaw_gemm_select(device, &problem, "clblats", &untouched), THAW_ERROR_INPUT,
                 "did you mean 'clblast'?");
    assert_null(untouched);
}

/* Defaults as promised on a GPU, wherever the test runs. */
static void defaults_of_a_gpu(void **state) {
    (void)state;
    struct thaw_device_caps caps = {.type = THAW_DEVICE_GPU,
                                    .block = 1,
                                    .compute_units = 20,
                                    .max_work_group_size = 256,
                                    .local_memory_bytes = 32768};
    const struct {
        int m, n, k;
        const char *name;
    } cases[] = {{1024, 1024, 1024, "clblast"}, {64, 200, 300, "tiled"}, {8, 65536, 512, "tiled"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct thaw_gemm_problem problem = {
            .m = cases[i].m, .n = cases[i].n, .k = cases[i].k, .lda = cases[i].k};
        const char *first = "none";
        for (size_t j = thaw_gemm_candidate_count; j-- > 0;) {
            const struct thaw_gemm_candidate *candidate = thaw_gemm_candidates[j];
            if (candidate->applies(&problem, &caps) &&
                (!candidate->recommended || candidate->recommended(&problem, &caps)))
                first = candidate->name;
        }
        assert_string_equal(first, cases[i].name);
    }
}

/* Tiles never exceed what the device can run, and shrink until they fit. */
static void tiles_fit_the_device(void **state) {
    (void)state;
    for (size_t group = 32; group <= 1024; group *= 2)
        for (size_t n = 1; n < 100000; n = n * 3 + 1) {
            struct thaw_device_caps caps = {
                .compute_units = 16, .max_work_group_size = group, .local_memory_bytes = 16384};
            struct thaw_tile_product product = {n, 100, 1, 0};
            assert_true(thaw_tile_possible(0, &caps));
            struct thaw_tile tile = thaw_tile_choose(&product, group, &caps);
            size_t items = (size_t)(tile.group_x * tile.group_y);
            assert_true(items <= group);
            assert_int_equal(items % thaw_tile_height(&tile), 0);
            assert_int_equal(items % thaw_tile_width(&tile), 0);
            assert_int_equal(items % (size_t)tile.depth, 0);
            assert_true((thaw_tile_height(&tile) + thaw_tile_width(&tile)) * (size_t)tile.depth *
                            sizeof(float) <=
                        16384);
        }
    struct thaw_device_caps tiny = {.compute_units = 1, .max_work_group_size = 1};
    assert_false(thaw_tile_possible(0, &tiny));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_agree_with_reference),
        cmocka_unit_test(every_tile_agrees_with_reference),
        cmocka_unit_test(selection_answers_every_name),
        cmocka_unit_test(defaults_of_a_gpu),
        cmocka_unit_test(tiles_fit_the_device),
    };
    return cmocka_run_group_tests(tests, open_device, NULL);
}
