/* Ops that rearrange maps: concat, flatten. */
#include "support/op_harness.h"

/* `user`: the axis, or NULL for channels. */
static void join(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                 struct op_map *out) {
    (void)params;
    int axis = test->user ? *(const int *)test->user : 0;
    for (int n = 0; n < out->n; n++)
        for (int k = 0, at[3] = {0}; k < test->input_count; k++) {
            for (int c = 0; c < in[k].c; c++)
                for (int y = 0; y < in[k].h; y++)
                    for (int x = 0; x < in[k].w; x++)
                        *op_at(out, n, at[0] + c, at[1] + y, at[2] + x) =
                            *op_at(&in[k], n, c, y, x);
            at[axis] += axis == 0 ? in[k].c : axis == 1 ? in[k].h : in[k].w;
        }
}

/* Inputs that start at a block's first lane, inside a block, and end inside the same block. */
static void test_concat(void **state) {
    (void)state;
    struct op_test aligned = {
        .op = "concat", .input_count = 2, .in = {{2, 16, 3, 4}, {2, 20, 3, 4}}, .reference = join};
    op_test_run(&aligned);
    struct op_test ragged = {.op = "concat",
                             .attrs = "{axis: channels}",
                             .input_count = 4,
                             .in = {{2, 5, 3, 2}, {2, 18, 3, 2}, {2, 3, 3, 2}, {2, 7, 3, 2}},
                             .reference = join};
    op_test_run(&ragged);
    struct op_test flat = {
        .op = "concat", .input_count = 2, .in = {{3, 3, 1, 1}, {3, 29, 1, 1}}, .reference = join};
    op_test_run(&flat);
}

static void test_concat_maps(void **state) {
    (void)state;
    static const int height = 1, width = 2;
    struct op_test below = {.op = "concat",
                            .attrs = "{axis: height}",
                            .input_count = 3,
                            .in = {{2, 18, 3, 4}, {2, 18, 1, 4}, {2, 18, 2, 4}},
                            .reference = join,
                            .user = &height};
    op_test_run(&below);
    struct op_test beside = {.op = "concat",
                             .attrs = "{axis: width}",
                             .input_count = 3,
                             .in = {{2, 5, 3, 4}, {2, 5, 3, 1}, {2, 5, 3, 2}},
                             .reference = join,
                             .user = &width};
    op_test_run(&beside);
}

static void flat(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                 struct op_map *out) {
    (void)test, (void)params;
    for (int i = 0; i < op_map_count(out); i++)
        out->data[i] = in->data[i];
}

static void test_flatten(void **state) {
    (void)state;
    struct op_test maps = {.op = "flatten", .in = {{2, 18, 3, 5}}, .reference = flat};
    assert_false(op_infer(&maps, 16).alias);
    assert_int_equal(op_infer(&maps, 16).out.c, 270);
    op_test_run(&maps);
    struct op_test blocks = {.op = "flatten", .in = {{2, 16, 2, 2}}, .reference = flat};
    op_test_run(&blocks);
    struct op_test vector = {.op = "flatten", .in = {{2, 18, 1, 1}}};
    assert_true(op_infer(&vector, 16).alias);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("concat", "{axes: 1}", "nearest: 'axis'");
    op_parse_fails("concat", "{axis: 1}", "one of: channels, height, width");
    op_parse_fails("flatten", "{start: 1}", "unknown key 'start'");
    struct op_test concat = {.op = "concat", .input_count = 2, .in = {{1, 4, 5, 6}, {1, 4, 5, 7}}};
    op_infer_fails(&concat, THAW_ERROR_INPUT, "they may differ in channels alone");
    struct op_test tall = {.op = "concat",
                           .attrs = "{axis: height}",
                           .input_count = 2,
                           .in = {{1, 4, 5, 6}, {1, 5, 5, 6}}};
    op_infer_fails(&tall, THAW_ERROR_INPUT,
                   "input 2 is 5 x 5 x 6 (channels, height, width), the first is 4 x 5 x 6");
    struct op_test long_one = {.op = "concat",
                               .attrs = "{axis: width}",
                               .input_count = 2,
                               .in = {{1, 1, 1, 1 << 28}, {1, 1, 1, 1 << 28}}};
    op_infer_fails(&long_one, THAW_ERROR_UNSUPPORTED, "are more than");
    struct op_test huge = {.op = "flatten", .in = {{1, 1 << 20, 512, 512}}};
    op_infer_fails(&huge, THAW_ERROR_UNSUPPORTED, "are more than");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_concat),
        cmocka_unit_test(test_concat_maps),
        cmocka_unit_test(test_flatten),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
