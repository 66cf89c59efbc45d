/* Measuring candidates: what is right and fastest is remembered and then selected by a device
 * opened later; what computes something else is never the best. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "kernels/measure.h"
#include "kernels/tuning.h"
#include "support/device.h"

static int warnings;
static char warning[512];

static void take_warning(void *user, enum thaw_log_level level, const char *text) {
    (void)user;
    if (level != THAW_LOG_WARNING)
        return;
    warnings++;
    snprintf(warning, sizeof warning, "%s", text);
}

static thaw_device *open_device(void) {
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, NULL, &device));
    warnings = 0;
    return device;
}

#define PROBLEMS 6

/* Ragged channels and a halo; forward with epilogue, a gradient that is added to, a stride. */
static void make_problems(const struct thaw_device_caps *caps,
                          struct thaw_conv_problem problems[PROBLEMS]) {
    for (int i = 0; i < PROBLEMS; i++) {
        int stride = i < 3 ? 1 : 2;
        struct thaw_conv_geometry g = {
            .x = thaw_layout_make((struct thaw_shape){3, 19, 9, 8}, caps->block, 0),
            .y = thaw_layout_make((struct thaw_shape){3, 21, 8 / stride + 1, 7 / stride + 1},
                                  caps->block, 0),
            .w = thaw_conv_filter(21, 19, 3, 3, 1, caps->block, caps),
            .groups = 1,
            .stride_h = stride,
            .stride_w = stride,
            .dilation_h = 1,
            .dilation_w = 1,
            .pad_top = 1,
            .pad_left = 1};
        int x_halo, y_halo;
        thaw_conv_halos(&g, &x_halo, &y_halo);
        g.x.halo = x_halo;
        g.y.halo = y_halo;
        enum thaw_conv_direction direction = (enum thaw_conv_direction)(i % 3);
        bool forward = direction == THAW_CONV_FORWARD;
        problems[i] = (struct thaw_conv_problem){
            .direction = direction,
            .geometry = g,
            .bias = forward,
            .activation = forward ? THAW_ACTIVATION_RELU : THAW_ACTIVATION_NONE,
            .accumulate = direction == THAW_CONV_BACKWARD_DATA};
    }
}

static const struct thaw_measure_limits plenty = {.seconds = 600};

static struct thaw_measurement measure(thaw_device *device, const struct thaw_conv_problem *problem,
                                       const struct thaw_conv_candidate *const *list,
                                       size_t count) {
    struct thaw_measurement m;
    assert_ok(thaw_measure_conv(device, problem, list, count, &plenty, &m));
    assert_true(m.complete);
    return m;
}

/* Every candidate that applies is there, right or so slow that nobody looked, unless warned of. */
static void check_measurement(const struct thaw_measurement *m) {
    assert_in_range(m->best, 0, m->count - 1);
    const struct thaw_measure_timing *best = &m->timings[m->best];
    assert_int_equal(best->outcome, THAW_MEASURE_RIGHT);
    for (size_t k = 0; k < m->count; k++) {
        const struct thaw_measure_timing *timing = &m->timings[k];
        assert_true(timing->outcome == THAW_MEASURE_RIGHT || timing->outcome == THAW_MEASURE_SLOW);
        /* the usual choice stays where it is nearly as fast */
        assert_true(timing->time_s > 0.96 * best->time_s);
    }
}

static void measures_remembers_selects(void **state) {
    (void)state;
    struct thaw_conv_problem problems[PROBLEMS];
    const char *best[PROBLEMS];
    const struct thaw_conv_candidate *choice = NULL;
    thaw_device *device = open_device();
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    make_problems(caps, problems);
    for (int i = 0; i < PROBLEMS; i++) {
        char key[THAW_CONV_KEY_SIZE];
        thaw_conv_problem_key(&problems[i], key);
        struct thaw_measurement m =
            measure(device, &problems[i], thaw_conv_candidates, thaw_conv_candidate_count);
        check_measurement(&m);
        assert_string_equal(m.timings[0].candidate, thaw_conv_usual(&problems[i], caps)->name);
        best[i] = m.timings[m.best].candidate;
        assert_ok(thaw_measure_remember(device, key, &m));
    }
    assert_int_equal(warnings, 0);
    assert_ok(thaw_tuning_save(device, NULL));
    assert_ptr_equal(strstr(thaw_tuning_path(device), test_directory()), thaw_tuning_path(device));
    thaw_device_destroy(&device);

    device = open_device();
    for (int i = 0; i < PROBLEMS; i++) {
        assert_ok(thaw_conv_select(device, &problems[i], NULL, &choice));
        assert_string_equal(choice->name, best[i]);
    }
    thaw_device_destroy(&device);
}

/* Each compiles: a few of the tiles will do. */
static struct thaw_variants few_variants(void) {
    struct thaw_variants few = thaw_tile_variants;
    few.count = 3;
    return few;
}

/* Tiles in the form of a GPU. */
static void measures_variants(void **state) {
    (void)state;
    thaw_device *device = test_device_as_gpu();
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_conv_problem problems[PROBLEMS];
    make_problems(caps, problems);
    struct thaw_variants few = few_variants();
    struct thaw_conv_candidate implicit = *thaw_conv_find("implicit_gemm");
    implicit.variants = &few;
    const struct thaw_conv_candidate *list[] = {&implicit};
    struct thaw_measurement m = measure(device, &problems[0], list, 1);
    check_measurement(&m);
    size_t possible = 1;
    for (int v = 1; v <= 3; v++)
        possible += thaw_tile_possible(v, caps);
    assert_int_equal(m.count, possible);
    for (size_t k = 1; k < m.count; k++)
        assert_true(m.timings[k].variant > m.timings[k - 1].variant);
}

static void measure_product(thaw_device *device, int turn) {
    struct thaw_gemm_problem problem = {.m = 37,
                                        .n = 45,
                                        .k = 50,
                                        .transpose_a = turn & 1,
                                        .transpose_b = turn & 2,
                                        .accumulate = turn & 4};
    struct thaw_variants few = few_variants();
    struct thaw_gemm_candidate candidates[16];
    const struct thaw_gemm_candidate *list[16];
    for (size_t i = 0; i < thaw_gemm_candidate_count; i++) {
        candidates[i] = *thaw_gemm_candidates[i];
        candidates[i].variants = candidates[i].variants ? &few : NULL;
        list[i] = &candidates[i];
    }
    struct thaw_measurement m;
    assert_ok(thaw_measure_gemm(device, &problem, list, thaw_gemm_candidate_count, &plenty, &m));
    assert_true(m.complete);
    check_measurement(&m);
}

static void measures_products(void **state) {
    (void)state;
    warnings = 0;
    for (int turn = 0; turn < 8; turn++)
        measure_product(turn == 7 ? test_device_as_gpu() : test_device(), turn);
    assert_int_equal(warnings, 0);
}

/* ---- candidates that must not win ---- */

static const struct thaw_conv_candidate *simple;

static bool applies(const struct thaw_conv_problem *problem, const struct thaw_device_caps *caps) {
    (void)problem, (void)caps;
    return true;
}

static thaw_status prepare(thaw_device *device, const struct thaw_conv_problem *problem,
                           struct thaw_conv_state *state) {
    return simple->prepare(device, problem, state);
}

/* Leaves out the last image. */
static thaw_status run_wrong(thaw_device *device, const struct thaw_conv_problem *problem,
                             const struct thaw_conv_state *state, const struct thaw_conv_run *run) {
    struct thaw_conv_run fewer = *run;
    fewer.batch--;
    return simple->run(device, problem, state, &fewer);
}

static thaw_status prepare_failing(thaw_device *device, const struct thaw_conv_problem *problem,
                                   struct thaw_conv_state *state) {
    (void)device, (void)problem, (void)state;
    return thaw_fail(THAW_ERROR_RUNTIME, "no such kernel");
}

static const struct thaw_conv_candidate wrong = {
    .name = "wrong", .applies = applies, .prepare = prepare, .run = run_wrong};
static const struct thaw_conv_candidate failing = {
    .name = "failing", .applies = applies, .prepare = prepare_failing, .run = run_wrong};

static void wrong_and_failing_never_win(void **state) {
    (void)state;
    simple = thaw_conv_find("simple");
    const struct thaw_conv_candidate *const list[] = {&wrong, thaw_conv_find("im2col_gemm"),
                                                      &failing, simple};
    struct thaw_conv_problem problems[PROBLEMS];
    thaw_device *device = open_device();
    make_problems(thaw_device_get_caps(device), problems);
    for (int i = 0; i < 3; i++) {
        char key[THAW_CONV_KEY_SIZE];
        problems[i].accumulate = !problems[i].accumulate; /* not remembered yet */
        thaw_conv_problem_key(&problems[i], key);
        warnings = 0;
        struct thaw_measurement m = measure(device, &problems[i], list, 1);
        assert_int_equal(m.timings[0].outcome, THAW_MEASURE_WRONG);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(warning, "'wrong' is wrong on this device"));
        assert_int_equal(m.best, -1);
        struct thaw_tuning_choice choice;
        assert_ok(thaw_measure_remember(device, key, &m));
        assert_false(thaw_tuning_find(device, key, &choice));

        m = measure(device, &problems[i], list, 4);
        assert_int_equal(m.count, 4);
        assert_int_equal(m.timings[0].outcome, THAW_MEASURE_WRONG);
        assert_int_equal(m.timings[2].outcome, THAW_MEASURE_FAILED);
        assert_non_null(strstr(warning, "'failing' can't be measured: no such kernel"));
        assert_true(m.best == 1 || m.best == 3);
    }
    thaw_device_destroy(&device);
}

static void without_time(void **state) {
    (void)state;
    struct thaw_conv_problem problems[PROBLEMS];
    thaw_device *device = open_device();
    make_problems(thaw_device_get_caps(device), problems);
    volatile sig_atomic_t interrupted = 1;
    const struct thaw_measure_limits limits[] = {{0, NULL}, {1e-9, NULL}, {600, &interrupted}};
    for (int i = 0; i < 3; i++) {
        struct thaw_measurement m;
        char key[THAW_CONV_KEY_SIZE];
        struct thaw_tuning_choice choice;
        problems[0].accumulate = true;
        assert_ok(thaw_measure_conv(device, &problems[0], thaw_conv_candidates,
                                    thaw_conv_candidate_count, &limits[i], &m));
        assert_int_equal(m.count, 0);
        assert_false(m.complete);
        thaw_conv_problem_key(&problems[0], key);
        assert_ok(thaw_measure_remember(device, key, &m));
        assert_false(thaw_tuning_find(device, key, &choice));
    }
    thaw_device_destroy(&device);
}

int main(void) {
    setenv("THAW_CACHE", test_directory(), 1);
    thaw_log_set(take_warning, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_remembers_selects),
        cmocka_unit_test(measures_variants),
        cmocka_unit_test(measures_products),
        cmocka_unit_test(wrong_and_failing_never_win),
        cmocka_unit_test(without_time),
    };
    return cmocka_run_group_tests_name("kernels/measure", tests, NULL, NULL);
}
