/* Ops that take maps apart and rearrange them: slice, pad,
 * rearrange, reduce_mean. */
#include "support/op_harness.h"

/* ---- slice ---------------------------------------------------------------------------------- */

/* y[i] = x[begin + i step] on each axis. */
struct ranges {
    int begin[3], step[3];
};

static void sliced(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                   struct op_map *out) {
    const struct ranges *r = test->user;
    (void)params;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < out->c; c++)
            for (int y = 0; y < out->h; y++)
                for (int x = 0; x < out->w; x++)
                    *op_at(out, n, c, y, x) =
                        *op_at(in, n, r->begin[0] + c * r->step[0], r->begin[1] + y * r->step[1],
                               r->begin[2] + x * r->step[2]);
}

static void slice(const char *attrs, struct thaw_shape in, struct ranges ranges,
                  struct thaw_shape out) {
    struct op_test test = {
        .op = "slice", .attrs = attrs, .in = {in}, .reference = sliced, .user = &ranges};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_memory_equal(&spec.out, &out, sizeof out);
    op_test_run(&test);
}

/* Ranges of channels that begin and end at a block's edge and inside of one. */
static void test_slice_channels(void **state) {
    (void)state;
    const struct thaw_shape in = {2, 37, 3, 5};
    slice("{channels: [0, 16]}", in, (struct ranges){{0, 0, 0}, {1, 1, 1}},
          (struct thaw_shape){2, 16, 3, 5});
    slice("{channels: [16, null]}", in, (struct ranges){{16, 0, 0}, {1, 1, 1}},
          (struct thaw_shape){2, 21, 3, 5});
    slice("{channels: [13, 29, 1]}", in, (struct ranges){{13, 0, 0}, {1, 1, 1}},
          (struct thaw_shape){2, 16, 3, 5});
    slice("{channels: [1, 36, 3]}", in, (struct ranges){{1, 0, 0}, {3, 1, 1}},
          (struct thaw_shape){2, 12, 3, 5});
    slice("{channels: [-2, null, -5]}", in, (struct ranges){{35, 0, 0}, {-5, 1, 1}},
          (struct thaw_shape){2, 8, 3, 5});
    slice("{channels: [36, 19, -1]}", in, (struct ranges){{36, 0, 0}, {-1, 1, 1}},
          (struct thaw_shape){2, 17, 3, 5});
    slice(NULL, in, (struct ranges){{0, 0, 0}, {1, 1, 1}}, in);
}

static void test_slice_maps(void **state) {
    (void)state;
    const struct thaw_shape in = {2, 18, 7, 6};
    slice("{height: [1, -1]}", in, (struct ranges){{0, 1, 0}, {1, 1, 1}},
          (struct thaw_shape){2, 18, 5, 6});
    slice("{width: [2, 3]}", in, (struct ranges){{0, 0, 2}, {1, 1, 1}},
          (struct thaw_shape){2, 18, 7, 1});
    slice("{height: [0, null, 2], width: [1, null, 2]}", in, (struct ranges){{0, 0, 1}, {1, 2, 2}},
          (struct thaw_shape){2, 18, 4, 3});
    slice("{height: [null, null, -1], width: [null, null, -1]}", in,
          (struct ranges){{0, 6, 5}, {1, -1, -1}}, in);
    slice("{channels: [17, 2, -2], height: [6, 0, -3], width: [-6, 4]}", in,
          (struct ranges){{17, 6, 0}, {-2, -3, 1}}, (struct thaw_shape){2, 8, 2, 4});
}

/* Steps that leave one place. */
static void test_slice_far(void **state) {
    (void)state;
    slice("{channels: [3, null, 200000000], height: [6, null, -200000000], width: [1, 6, 5]}",
          (struct thaw_shape){2, 18, 7, 6}, (struct ranges){{3, 6, 1}, {1, 1, 1}},
          (struct thaw_shape){2, 1, 1, 1});
}

static void slice_fails(const char *attrs, const char *part) {
    struct op_test test = {.op = "slice", .attrs = attrs, .in = {{1, 8, 5, 6}}};
    op_infer_fails(&test, THAW_ERROR_INPUT, part);
}

static void test_slice_errors(void **state) {
    (void)state;
    op_parse_fails("slice", "{chanels: [0, 1]}", "nearest: 'channels'");
    op_parse_fails("slice", "{channels: 3}", "expected [begin, end] or [begin, end, step]");
    op_parse_fails("slice", "{channels: [1, 2, 3, 4]}", "[begin, end, step]");
    op_parse_fails("slice", "{width: [0, 4, 0]}", "attrs:1:16: 'width': a step of 0");
    op_parse_fails("slice", "{width: [0, 1.5]}", "an integer");
    op_parse_fails("slice", "{width: [0, 4, null]}", "an integer");
    slice_fails("{channels: [0, 9]}", "the range of channels leaves the input, which has 8");
    slice_fails("{channels: [8, null]}", "leaves the input");
    slice_fails("{height: [-6, null]}", "the range of height leaves the input, which has 5");
    slice_fails("{height: [3, 3]}", "is empty: from 3 to 3 by 1");
    slice_fails("{width: [1, 4, -1]}", "the range of width is empty");
    slice_fails("{width: [2147483647, -2147483647]}", "leaves the input");
}

/* ---- pad ------------------------------------------------------------------------------------ */

struct padding {
    char mode; /* c, r, e */
    int before[3];
    double value;
};

/* The place of `size` that place `o` behind `before` more shows; -1: none. */
static int shown(const struct padding *p, int axis, int o, int size) {
    int i = o - p->before[axis];
    if (p->mode == 'c')
        return i >= 0 && i < size ? i : -1;
    if (p->mode == 'e')
        return i < 0 ? 0 : i >= size ? size - 1 : i;
    while (i < 0 || i >= size)
        i = i < 0 ? -i : 2 * (size - 1) - i;
    return i;
}

static void padded(const struct op_test *test, const struct op_map *in, const struct op_map *params,
                   struct op_map *out) {
    const struct padding *p = test->user;
    (void)params;
    for (int n = 0; n < out->n; n++)
        for (int c = 0; c < out->c; c++)
            for (int y = 0; y < out->h; y++)
                for (int x = 0; x < out->w; x++) {
                    int from[] = {shown(p, 0, c, in->c), shown(p, 1, y, in->h),
                                  shown(p, 2, x, in->w)};
                    bool none = from[0] < 0 || from[1] < 0 || from[2] < 0;
                    *op_at(out, n, c, y, x) =
                        none ? p->value : *op_at(in, n, from[0], from[1], from[2]);
                }
}

static void pad(const char *attrs, struct thaw_shape in, struct padding padding,
                struct thaw_shape out) {
    struct op_test test = {
        .op = "pad", .attrs = attrs, .in = {in}, .reference = padded, .user = &padding};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_memory_equal(&spec.out, &out, sizeof out);
    op_test_run(&test);
}

static void test_pad(void **state) {
    (void)state;
    const struct thaw_shape in = {2, 18, 4, 3};
    pad("{height: [1, 2], width: [0, 1], value: -1.5}", in, (struct padding){'c', {0, 1, 0}, -1.5},
        (struct thaw_shape){2, 18, 7, 4});
    pad("{channels: [3, 15]}", in, (struct padding){'c', {3, 0, 0}, 0},
        (struct thaw_shape){2, 36, 4, 3});
    pad("{channels: [16, 1], width: [2, 0], value: 2, mode: constant}", in,
        (struct padding){'c', {16, 0, 2}, 2}, (struct thaw_shape){2, 35, 4, 5});
    pad(NULL, in, (struct padding){'c', {0, 0, 0}, 0}, in);
}

static void test_pad_repeats(void **state) {
    (void)state;
    const struct thaw_shape in = {2, 18, 4, 3}, small = {2, 3, 2, 3}, one = {2, 5, 1, 1};
    pad("{height: [3, 1], width: [2, 2], mode: reflect}", in, (struct padding){'r', {0, 3, 2}, 0},
        (struct thaw_shape){2, 18, 8, 7});
    pad("{channels: [2, 1], height: [1, 1], mode: reflect}", small,
        (struct padding){'r', {2, 1, 0}, 0}, (struct thaw_shape){2, 6, 4, 3});
    pad("{height: [3, 1], width: [0, 5], mode: edge}", in, (struct padding){'e', {0, 3, 0}, 0},
        (struct thaw_shape){2, 18, 8, 8});
    pad("{channels: [4, 17], width: [1, 1], mode: edge}", small,
        (struct padding){'e', {4, 0, 1}, 0}, (struct thaw_shape){2, 24, 2, 5});
    pad("{height: [1, 2], width: [2, 0], mode: edge}", one, (struct padding){'e', {0, 1, 2}, 0},
        (struct thaw_shape){2, 5, 4, 3});
}

static void test_pad_errors(void **state) {
    (void)state;
    op_parse_fails("pad", "{heigth: [0, 1]}", "nearest: 'height'");
    op_parse_fails("pad", "{height: 1}", "'height': expected a list of 2 numbers");
    op_parse_fails("pad", "{height: [1, 2, 3]}", "expected a list of 2 numbers");
    op_parse_fails("pad", "{height: [-1, 0]}", "attrs:1:11: expected an integer from 0");
    op_parse_fails("pad", "{mode: wrap}", "one of: constant, reflect, edge");
    op_parse_fails("pad", "{mode: edge, value: 1}", "goes with mode constant alone");
    op_parse_fails("pad", "{value: x}", "a number");
    struct op_test far = {
        .op = "pad", .attrs = "{width: [1, 6], mode: reflect}", .in = {{1, 8, 5, 6}}};
    op_infer_fails(&far, THAW_ERROR_INPUT, "width of 6 can be reflected by at most 5, not by 6");
    struct op_test huge = {.op = "pad", .attrs = "{width: [0, 200000000]}", .in = {{1, 8, 5, 6}}};
    op_infer_fails(&huge, THAW_ERROR_UNSUPPORTED, "are more than");
}

/* ---- rearrange ------------------------------------------------------------------------------ */

struct view {
    int dims, size[6], order[6];
};

static void rearranged(const struct op_test *test, const struct op_map *in,
                       const struct op_map *params, struct op_map *out) {
    const struct view *view = test->user;
    int count = out->c * out->h * out->w;
    (void)params;
    for (int n = 0; n < out->n; n++)
        for (int k = 0; k < count; k++) {
            int digits[6], rest = k, from = 0;
            for (int i = view->dims - 1; i >= 0; i--) {
                digits[view->order[i]] = rest % view->size[view->order[i]];
                rest /= view->size[view->order[i]];
            }
            for (int i = 0; i < view->dims; i++)
                from = from * view->size[i] + digits[i];
            out->data[n * count + k] = in->data[n * count + from];
        }
}

static void rearrange(const char *attrs, struct thaw_shape in, struct view view,
                      struct thaw_shape out) {
    struct op_test test = {
        .op = "rearrange", .attrs = attrs, .in = {in}, .reference = rearranged, .user = &view};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_memory_equal(&spec.out, &out, sizeof out);
    assert_false(spec.alias);
    op_test_run(&test);
}

static void test_reshape(void **state) {
    (void)state;
    const struct view same = {1, {1}, {0}};
    struct view whole = same;
    whole.size[0] = 18 * 4 * 3;
    const struct thaw_shape in = {2, 18, 4, 3};
    rearrange("{out: [216, 1, 1]}", in, whole, (struct thaw_shape){2, 216, 1, 1});
    rearrange("{out: [1, -1, 3]}", in, whole, (struct thaw_shape){2, 1, 72, 3});
    rearrange("{view: [3, 72], out: [8, 9, 3]}", in, whole, (struct thaw_shape){2, 8, 9, 3});
    rearrange("{out: [18, 3, 4]}", in, whole, (struct thaw_shape){2, 18, 3, 4});
    rearrange("{out: [36, 2, 3]}", (struct thaw_shape){2, 216, 1, 1}, whole,
              (struct thaw_shape){2, 36, 2, 3});
}

static void test_transpose(void **state) {
    (void)state;
    const struct thaw_shape in = {2, 18, 4, 3};
    rearrange("{order: [1, 2, 0], out: [4, 3, 18]}", in, (struct view){3, {18, 4, 3}, {1, 2, 0}},
              (struct thaw_shape){2, 4, 3, 18});
    rearrange("{order: [2, 0, 1], out: [3, 18, 4]}", in, (struct view){3, {18, 4, 3}, {2, 0, 1}},
              (struct thaw_shape){2, 3, 18, 4});
    rearrange("{order: [0, 2, 1], out: [18, 3, 4]}", in, (struct view){3, {18, 4, 3}, {0, 2, 1}},
              (struct thaw_shape){2, 18, 3, 4});
    rearrange("{order: [2, 1, 0], out: [-1, 4, 18]}", in, (struct view){3, {18, 4, 3}, {2, 1, 0}},
              (struct thaw_shape){2, 3, 4, 18});
}

/* Channel shuffle and pixel shuffle, with channels that are no multiple of the block. */
static void test_shuffle(void **state) {
    (void)state;
    const struct thaw_shape in = {2, 58, 3, 5}, deep = {2, 20, 2, 3}, wide = {2, 5, 4, 6};
    rearrange("{view: [2, -1, 15], order: [1, 0, 2]}", in, (struct view){3, {2, 29, 15}, {1, 0, 2}},
              in);
    rearrange("{view: [29, 2, -1], order: [1, 0, 2], out: [58, 3, 5]}", in,
              (struct view){3, {29, 2, 15}, {1, 0, 2}}, in);
    rearrange("{view: [5, 2, 2, 2, 3], order: [0, 3, 1, 4, 2], out: [5, 4, 6]}", deep,
              (struct view){5, {5, 2, 2, 2, 3}, {0, 3, 1, 4, 2}}, wide);
    rearrange("{view: [5, 2, 2, 3, 2], order: [2, 4, 0, 1, 3], out: [20, 2, 3]}", wide,
              (struct view){5, {5, 2, 2, 3, 2}, {2, 4, 0, 1, 3}}, deep);
    rearrange("{view: [2, 3, 1, 2, 2, 5], order: [5, 4, 3, 2, 1, 0], out: [5, 4, 6]}", wide,
              (struct view){6, {2, 3, 1, 2, 2, 5}, {5, 4, 3, 2, 1, 0}}, wide);
}

/* What changes nothing costs nothing, but for the image, whose layout is another. */
static void test_identity(void **state) {
    (void)state;
    struct view whole = {1, {3 * 4 * 5}, {0}};
    struct op_test test = {.op = "rearrange",
                           .attrs = "{view: [3, 2, 10], order: [0, 1, 2]}",
                           .in = {{2, 3, 4, 5}},
                           .forward_only = true,
                           .reference = rearranged,
                           .user = &whole};
    assert_true(op_infer(&test, 16).alias);
    assert_true(op_infer(&test, 1).alias);
    op_test_run(&test);
    test.image = true;
    assert_false(op_infer(&test, 16).alias);
    op_test_run(&test);
    test.attrs = "{order: [1, 2, 0], out: [4, 5, 3]}";
    test.user = &(struct view){3, {3, 4, 5}, {1, 2, 0}};
    op_test_run(&test);
}

static void rearrange_fails(const char *attrs, const char *part) {
    struct op_test test = {.op = "rearrange", .attrs = attrs, .in = {{1, 8, 5, 6}}};
    op_infer_fails(&test, THAW_ERROR_INPUT, part);
}

static void test_rearrange_errors(void **state) {
    (void)state;
    op_parse_fails("rearrange", "{veiw: [1, 2]}", "nearest: 'view'");
    op_parse_fails("rearrange", "{view: 3}", "'view': expected a list of 1 to 6 numbers");
    op_parse_fails("rearrange", "{view: [1, 2, 3, 4, 5, 6, 7]}", "1 to 6 numbers");
    op_parse_fails("rearrange", "{view: [0, 2]}", "attrs:1:9: 'view': a size is at least 1");
    op_parse_fails("rearrange", "{view: [-1, 2, -1]}", "only one size can be -1");
    op_parse_fails("rearrange", "{out: [1, 2]}", "'out': expected a list of 3 numbers");
    op_parse_fails("rearrange", "{order: [0, 1]}", "'order': expected a list of 3 numbers");
    op_parse_fails("rearrange", "{view: [2, 4], order: [0, 2]}", "an integer from 0 to 1");
    op_parse_fails("rearrange", "{order: [0, 1, 1]}", "attrs:1:16: 'order': 1 is there twice");
    rearrange_fails("{view: [8, 31]}", "'view' has 248 values, the input 240");
    rearrange_fails("{view: [7, -1]}", "'view' has a multiple of 7 values, the input 240");
    rearrange_fails("{out: [8, 5, 5]}", "'out' has 200 values, the input 240");
    rearrange_fails("{out: [200000000, 200000000, 200000000]}", "the input 240");
    rearrange_fails("{view: [200000000, 200000000, -1]}", "the input 240");
}

/* ---- reduce_mean ---------------------------------------------------------------------------- */

static void averaged(const struct op_test *test, const struct op_map *in,
                     const struct op_map *params, struct op_map *out) {
    (void)test, (void)params;
    double share = (double)op_map_count(out) / op_map_count(in);
    for (int n = 0; n < in->n; n++)
        for (int c = 0; c < in->c; c++)
            for (int y = 0; y < in->h; y++)
                for (int x = 0; x < in->w; x++)
                    *op_at(out, n, c % out->c, y % out->h, x % out->w) +=
                        *op_at(in, n, c, y, x) * share;
}

static void reduce(const char *attrs, struct thaw_shape in, struct thaw_shape out) {
    struct op_test test = {.op = "reduce_mean", .attrs = attrs, .in = {in}, .reference = averaged};
    struct thaw_op_spec spec = op_infer(&test, 16);
    assert_memory_equal(&spec.out, &out, sizeof out);
    op_test_run(&test);
}

static void test_reduce_mean(void **state) {
    (void)state;
    const struct thaw_shape in = {2, 18, 4, 7}, tall = {2, 3, 70, 2}, wide = {2, 33, 1, 70};
    reduce("{axes: [channels]}", in, (struct thaw_shape){2, 1, 4, 7});
    reduce("{axes: [height]}", in, (struct thaw_shape){2, 18, 1, 7});
    reduce("{axes: [width]}", in, (struct thaw_shape){2, 18, 4, 1});
    reduce("{axes: [width, height]}", in, (struct thaw_shape){2, 18, 1, 1});
    reduce("{axes: [channels, height]}", in, (struct thaw_shape){2, 1, 1, 7});
    reduce("{axes: [width, channels]}", in, (struct thaw_shape){2, 1, 4, 1});
    reduce("{axes: [channels, height, width]}", in, (struct thaw_shape){2, 1, 1, 1});
    reduce("{axes: [height]}", tall, (struct thaw_shape){2, 3, 1, 2});
    reduce("{axes: [width, height]}", wide, (struct thaw_shape){2, 33, 1, 1});
    reduce("{axes: [channels]}", (struct thaw_shape){3, 33, 1, 1}, (struct thaw_shape){3, 1, 1, 1});
}

static void test_reduce_mean_errors(void **state) {
    (void)state;
    op_parse_fails("reduce_mean", NULL, "'axes' is required");
    op_parse_fails("reduce_mean", "{axis: [height]}", "nearest: 'axes'");
    op_parse_fails("reduce_mean", "{axes: height}", "'axes' must be a sequence");
    op_parse_fails("reduce_mean", "{axes: []}", "at least one of channels, height, width");
    op_parse_fails("reduce_mean", "{axes: [heigth]}", "one of: channels, height, width");
    op_parse_fails("reduce_mean", "{axes: [width, width]}", "attrs:1:16: 'axes': width is named");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice_channels),
        cmocka_unit_test(test_slice_maps),
        cmocka_unit_test(test_slice_errors),
        cmocka_unit_test(test_pad),
        cmocka_unit_test(test_pad_repeats),
        cmocka_unit_test(test_pad_errors),
        cmocka_unit_test(test_reshape),
        cmocka_unit_test(test_transpose),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_rearrange_errors),
        cmocka_unit_test(test_reduce_mean),
        cmocka_unit_test(test_reduce_mean_errors),
        cmocka_unit_test(test_slice_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
