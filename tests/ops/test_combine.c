/* Ops that combine maps: add. */
#include "support/op_harness.h"

static void sum(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                struct op_map *out) {
    (void)params;
    for (int k = 0; k < test->input_count; k++)
        for (int i = 0; i < op_map_count(out); i++)
            out->data[i] += in[k].data[i];
}

static void test_add(void **state) {
    (void)state;
    struct thaw_shape shape = {2, 18, 3, 5}, one = {3, 5, 1, 1};
    struct op_test two = {.op = "add", .input_count = 2, .in = {shape, shape}, .reference = sum};
    op_test_run(&two);
    struct op_test three = {.op = "add", .input_count = 3, .in = {one, one, one}, .reference = sum};
    op_test_run(&three);
}

static void test_add_errors(void **state) {
    (void)state;
    op_parse_fails("add", "{scale: 2}", "unknown key 'scale'");
    struct op_test test = {.op = "add", .input_count = 2, .in = {{1, 4, 5, 6}, {1, 8, 5, 6}}};
    op_infer_fails(&test, THAW_ERROR_INPUT,
                   "input 2 is 8 x 5 x 6 (channels, height, width), the first is 4 x 5 x 6");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_add_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
