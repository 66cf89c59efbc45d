/* matmul against its definition in double precision. */
#include "support/op_harness.h"

static void reference(const struct op_test *test, const struct op_map *in,
                      const struct op_map *params, struct op_map *out) {
    (void)test, (void)params;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < out->c; c++)
            for (int i = 0; i < out->h; i++)
                for (int j = 0; j < out->w; j++)
                    for (int k = 0; k < in[0].w; k++)
                        *op_at(out, n, c, i, j) += *op_at(&in[0], n, in[0].c == 1 ? 0 : c, i, k) *
                                                   *op_at(&in[1], n, in[1].c == 1 ? 0 : c, k, j);
}

static void run(struct thaw_shape a, struct thaw_shape b) {
    struct op_test test = {.op = "matmul", .input_count = 2, .in = {a, b}, .reference = reference};
    op_test_run(&test);
}

static void test_matmul(void **state) {
    (void)state;
    run((struct thaw_shape){2, 18, 5, 3}, (struct thaw_shape){2, 18, 3, 6});
    run((struct thaw_shape){2, 1, 9, 7}, (struct thaw_shape){2, 1, 7, 4});
    run((struct thaw_shape){3, 16, 1, 4}, (struct thaw_shape){3, 16, 4, 1});
    run((struct thaw_shape){2, 5, 4, 1}, (struct thaw_shape){2, 5, 1, 3});
}

/* One matrix for all channels, on either side. */
static void test_broadcast(void **state) {
    (void)state;
    run((struct thaw_shape){2, 1, 5, 3}, (struct thaw_shape){2, 18, 3, 2});
    run((struct thaw_shape){2, 19, 2, 3}, (struct thaw_shape){2, 1, 3, 5});
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("matmul", "{transpose: true}", "unknown key 'transpose'");
    struct op_test inner = {.op = "matmul", .input_count = 2, .in = {{1, 4, 5, 6}, {1, 4, 5, 6}}};
    op_infer_fails(&inner, THAW_ERROR_INPUT,
                   "can't multiply 4 x 5 x 6 by 4 x 5 x 6 (channels, height, width)");
    struct op_test channels = {
        .op = "matmul", .input_count = 2, .in = {{1, 4, 5, 6}, {1, 2, 6, 5}}};
    op_infer_fails(&channels, THAW_ERROR_INPUT, "their channels are the same or 1");
    struct op_test huge = {
        .op = "matmul", .input_count = 2, .in = {{1, 1, 1 << 15, 1}, {1, 1, 1, 1 << 15}}};
    op_infer_fails(&huge, THAW_ERROR_UNSUPPORTED, "are more than");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
