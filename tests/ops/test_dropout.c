/* Dropout against the draws that its contract names: the same on every layout, and in backward. */
#include <math.h>
#include <stdlib.h>

#include "core/rng.h"
#include "support/op_harness.h"

static void reference(const struct op_test *test, const struct op_map *in,
                      const struct op_map *params, struct op_map *out) {
    float p = test->training ? *(const float *)test->user : 0;
    (void)params;
    for (int i = 0; i < op_map_count(out); i++) {
        int map = out->h * out->w, c = i / map % out->c;
        int pixel = i / map / out->c * map + i % map;
        struct thaw_rng rng = thaw_rng_init(OP_SEED, THAW_RNG_DROPOUT, OP_COUNTER, OP_NODE);
        rng.counter[0] = (uint32_t)(pixel * ((out->c + 3) / 4) + c / 4);
        float draw = 0;
        for (int k = 0; k <= c % 4; k++)
            draw = thaw_rng_uniform(&rng);
        out->data[i] = draw < p ? 0 : in->data[i] / (1 - (double)p);
    }
}

static void run(const char *attrs, float p, bool training) {
    static const struct thaw_shape shapes[] = {{3, 37, 1, 1}, {2, 16, 3, 4}, {2, 5, 2, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct op_test test = {.op = "dropout",
                               .attrs = attrs,
                               .in = {shapes[i]},
                               .training = training,
                               .reference = reference,
                               .user = &p};
        op_test_run(&test);
    }
}

static void test_training(void **state) {
    (void)state;
    run("{p: 0.25}", 0.25f, true);
    run(NULL, 0.5f, true);
    run("{p: 0}", 0, true);
}

static void test_evaluation(void **state) {
    (void)state;
    run("{p: 0.25}", 0.25f, false);
}

/* The dropped part is p. */
static void test_part(void **state) {
    (void)state;
    enum { COUNT = 40000 };
    static const float p = 0.3f;
    struct op_test test = {.op = "dropout", .training = true, .user = &p};
    double *ones = malloc(COUNT * sizeof *ones), *values = malloc(COUNT * sizeof *values);
    for (int i = 0; i < COUNT; i++)
        ones[i] = 1;
    struct op_map in = {1, COUNT, 1, 1, ones}, out = {1, COUNT, 1, 1, values};
    reference(&test, &in, NULL, &out);
    int dropped = 0;
    for (int i = 0; i < COUNT; i++)
        dropped += values[i] == 0;
    assert_true(fabs(dropped / (double)COUNT - 0.3) < 0.01);
    free(ones);
    free(values);
}

static void test_errors(void **state) {
    (void)state;
    op_parse_fails("dropout", "{q: 0.5}", "unknown key 'q'");
    op_parse_fails("dropout", "{p: 1}", "attrs:1:5: 'p': expected a number below 1");
    op_parse_fails("dropout", "{p: -0.1}", "from 0 to 1");
    op_parse_fails("dropout", "0.5", "a mapping");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
