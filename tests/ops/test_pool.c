/* Pooling against loops in double precision. */
#include "support/op_harness.h"

static void global(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                   struct op_map *out) {
    (void)test, (void)params;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < out->c; c++)
            for (int i = 0; i < in->h * in->w; i++)
                *op_at(out, n, c, 0, 0) += op_at(in, n, c, 0, 0)[i] / (in->h * in->w);
}

static void test_global(void **state) {
    (void)state;
    static const struct thaw_shape shapes[] = {{2, 18, 3, 5}, {3, 5, 1, 1}, {2, 16, 7, 7}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct op_test test = {.op = "global", .in = {shapes[i]}, .reference = global};
        op_test_run(&test);
    }
    op_parse_fails("global", "{size: 1}", "unknown key 'size'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_global),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
