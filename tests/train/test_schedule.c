/* Schedules against values by hand and from PyTorch's schedulers. */
#include <math.h>
#include <string.h>

#include "support/support.h"
#include "train/schedule.h"

static struct thaw_schedule parse(struct thaw_arena *arena, const char *text) {
    thaw_yaml *node = NULL;
    struct thaw_schedule schedule;
    assert_ok(thaw_yaml_parse(arena, text, strlen(text), "test", &node));
    assert_ok(thaw_schedule_parse(arena, node, &schedule));
    return schedule;
}

/* The factors of the given steps; 100 steps in 10 epochs. */
static void check(const char *text, size_t count, const int *steps, const double *factors) {
    struct thaw_arena arena = {0};
    struct thaw_schedule schedule = parse(&arena, text);
    assert_ok(thaw_schedule_check(&schedule, 100, 10));
    for (size_t i = 0; i < count; i++) {
        struct thaw_schedule_clock clock = {steps[i], 100, 10};
        double factor = thaw_schedule_factor(&schedule, &clock);
        if (fabs(factor - factors[i]) > 1e-9)
            fail_msg("%s, step %d: %.12g, expected %.12g", text, steps[i], factor, factors[i]);
    }
    thaw_arena_finish(&arena);
}
#define CHECK(text, ...) check(text, sizeof steps / sizeof *steps, steps, (double[]){__VA_ARGS__})

static void test_constant(void **state) {
    (void)state;
    const int steps[] = {0, 50, 99};
    CHECK("constant", 1, 1, 1);
    CHECK("~", 1, 1, 1);
}

static void test_cosine(void **state) {
    (void)state;
    const int steps[] = {0, 25, 50, 99};
    CHECK("cosine", 1, 0.85355339059327373, 0.5, 0.00024671981713422146);
    CHECK("{type: cosine, final: 0.2}", 1, 0.88284271247461905, 0.6, 0.2001973758537074);
}

/* The rest: values of PyTorch's schedulers at lr 1, stepped once a step (a scheduler of epochs:
 * once an epoch). */
static const int torch_steps[] = {0, 10, 29, 30, 60, 99};
#define CHECK_TORCH(text, ...)                                                                     \
    check(text, sizeof torch_steps / sizeof *torch_steps, torch_steps, (double[]){__VA_ARGS__})

static void test_one_cycle(void **state) {
    (void)state;
    CHECK_TORCH("one_cycle", 0.04, 0.29516394846410077, 1, 0.9994965352845243, 0.5892800902855287,
                4e-6);
    CHECK_TORCH("{type: one_cycle, pct_start: 0.5, div: 10, final_div: 100}", 0.1,
                0.18936387015941947, 0.6780374139839646, 0.7054142744895884, 0.8853713647665067,
                0.001);
}

static void test_polynomial(void **state) {
    (void)state;
    CHECK_TORCH("{type: polynomial, power: 2}", 1, 0.81, 0.5041, 0.49, 0.16, 0.0001);
    CHECK_TORCH("polynomial", 1, 0.9, 0.71, 0.7, 0.4, 0.01);
    CHECK_TORCH("{type: polynomial, final: 0.5}", 1, 0.95, 0.855, 0.85, 0.7, 0.505);
}

static void test_step(void **state) {
    (void)state;
    CHECK_TORCH("{type: step, every: 3, gamma: 0.5}", 1, 1, 1, 0.5, 0.25, 0.125);
    CHECK_TORCH("{type: multistep, at: [3, 5], gamma: 0.5}", 1, 1, 1, 0.5, 0.25, 0.25);
    CHECK_TORCH("{type: multistep, at: [6]}", 1, 1, 1, 1, 0.1, 0.1);
    /* epochs count from the start of the stage, warm-up included */
    CHECK_TORCH("{type: step, every: 3, gamma: 0.5, warmup: 20}", 0.05, 0.55, 1, 0.5, 0.25, 0.125);
}

static void test_warmup(void **state) {
    (void)state;
    const int steps[] = {0, 4, 19, 20, 60};
    CHECK("{type: constant, warmup: 20}", 0.05, 0.25, 1, 1, 1);
    CHECK("{type: constant, warmup: 2 epochs, warmup_start: 0.5}", 0.525, 0.625, 1, 1, 1);
    CHECK("{type: constant, warmup: 0.2}", 0.05, 0.25, 1, 1, 1);
    CHECK("{type: constant, warmup: 0}", 1, 1, 1, 1, 1);
    CHECK("{type: cosine, warmup: 20}", 0.05, 0.25, 1, 1, 0.5); /* over the 80 steps after it */
}

static void fails(const char *text, const char *part) {
    struct thaw_arena arena = {0};
    thaw_yaml *node = NULL;
    struct thaw_schedule schedule;
    assert_ok(thaw_yaml_parse(&arena, text, strlen(text), "test", &node));
    assert_fails(thaw_schedule_parse(&arena, node, &schedule), THAW_ERROR_INPUT, part);
    thaw_arena_finish(&arena);
}

static void test_errors(void **state) {
    (void)state;
    fails("cosin", "nearest: 'cosine'");
    fails("{final: 0}", "'type' is required");
    fails("{type: constant, final: 0}", "unknown key 'final'");
    fails("{type: cosine, finale: 0}", "nearest: 'final'");
    fails("{type: cosine, final: 2}", "from 0 to 1");
    fails("{type: cosine, warmup: 2.5}", "'warmup': expected");
    fails("{type: cosine, warmup: 2 epoch s}", "test:1:24: 'warmup': expected");
    fails("{type: cosine, warmup: -1}", "'warmup': expected");
    fails("{type: cosine, warmup: [1]}", "'warmup': expected");
    fails("{type: cosine, warmup_start: x}", "a number");
    fails("step", "'every' is required");
    fails("{type: step, every: 0}", "an integer from 1");
    fails("{type: step, every: 2, gama: 1}", "nearest: 'gamma'");
    fails("{type: multistep, gamma: 0.1}", "'at' is required");
    fails("{type: multistep, at: 3}", "'at' must be a sequence");
    fails("{type: multistep, at: []}", "1 to 64 epochs");
    fails("{type: multistep, at: [3, 3]}", "test:1:27: expected an integer from 4");
    fails("{type: polynomial, power: -1}", "from 0 to 100");
    fails("{type: one_cycle, pct_start: 2}", "from 0 to 1");
    fails("{type: one_cycle, div: 0.5}", "'div': expected");
}

static void test_too_long(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_schedule schedule = parse(&arena, "{type: cosine, warmup: 10 epochs}");
    assert_fails(thaw_schedule_check(&schedule, 100, 10), THAW_ERROR_INPUT,
                 "test:1:1: a warm-up of 100 steps leaves none of the 100 steps");
    assert_ok(thaw_schedule_check(&schedule, 101, 10));
    thaw_arena_finish(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant),  cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_one_cycle), cmocka_unit_test(test_polynomial),
        cmocka_unit_test(test_step),      cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_errors),    cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
