/* Measuring convolution candidates: what is right and fastest is remembered and then selected by a
 * device opened later; what computes something else is never the best. */
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

static size_t count_applying(const struct thaw_conv_problem *problem,
                             const struct thaw_device_caps *caps) {
    size_t count = 0;
    for (size_t i = 0; i < thaw_conv_candidate_count; i++)
        count += thaw_conv_candidates[i]->applies(problem, caps);
    return count;
}

static void measures_remembers_selects(void **state) {
    (void)state;
    struct thaw_conv_problem problems[PROBLEMS];
    const struct thaw_conv_candidate *best[PROBLEMS], *choice = NULL;
    thaw_device *device = open_device();
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    make_problems(caps, problems);
    for (int i = 0; i < PROBLEMS; i++) {
        struct thaw_measurement m;
        assert_ok(thaw_measure_conv(device, &problems[i], thaw_conv_candidates,
                                    thaw_conv_candidate_count, 600, &m));
        assert_true(m.complete);
        assert_int_equal(m.count, count_applying(&problems[i], caps));
        for (size_t k = 0; k < m.count; k++)
            assert_int_equal(m.timings[k].outcome, THAW_MEASURE_RIGHT);
        assert_in_range(m.best, 0, m.count - 1);
        for (size_t k = 0; k < m.count; k++)
            assert_true(m.timings[k].time_s >= m.timings[m.best].time_s);
        assert_false(m.timings[m.best].extrapolated);
        best[i] = m.timings[m.best].candidate;
        assert_ok(thaw_measure_remember(device, &problems[i], &m));
    }
    assert_int_equal(warnings, 0);
    assert_non_null(thaw_tuning_path(device));
    assert_ptr_equal(strstr(thaw_tuning_path(device), test_directory()), thaw_tuning_path(device));
    thaw_device_destroy(&device);

    device = open_device();
    for (int i = 0; i < PROBLEMS; i++) {
        assert_ok(thaw_conv_select(device, &problems[i], NULL, &choice));
        assert_ptr_equal(choice, best[i]);
    }
    thaw_device_destroy(&device);
}

/* Any candidate that was remembered is selected, not only the one that a default would take. */
static void remembers_any_candidate(void **state) {
    (void)state;
    struct thaw_conv_problem problems[PROBLEMS];
    thaw_device *device = open_device();
    make_problems(thaw_device_get_caps(device), problems);
    for (size_t i = 0; i < thaw_conv_candidate_count; i++) {
        const struct thaw_conv_candidate *candidate = thaw_conv_candidates[i], *choice = NULL;
        if (!candidate->applies(&problems[0], thaw_device_get_caps(device)))
            continue;
        struct thaw_measurement m = {
            .timings = {{.candidate = candidate, .time_s = 1}}, .count = 1, .complete = true};
        assert_ok(thaw_measure_remember(device, &problems[0], &m));
        thaw_device_destroy(&device);
        device = open_device();
        assert_ok(thaw_conv_select(device, &problems[0], NULL, &choice));
        assert_ptr_equal(choice, candidate);
    }
    thaw_device_destroy(&device);
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

static const struct thaw_conv_candidate *find(const char *name) {
    for (size_t i = 0; i < thaw_conv_candidate_count; i++)
        if (strcmp(thaw_conv_candidates[i]->name, name) == 0)
            return thaw_conv_candidates[i];
    fail_msg("no candidate '%s'", name);
    return NULL;
}

static void wrong_and_failing_never_win(void **state) {
    (void)state;
    simple = find("simple");
    const struct thaw_conv_candidate *const list[] = {&wrong, find("im2col_gemm"), &failing,
                                                      simple};
    struct thaw_conv_problem problems[PROBLEMS];
    thaw_device *device = open_device();
    make_problems(thaw_device_get_caps(device), problems);
    for (int i = 0; i < 3; i++) {
        struct thaw_measurement m;
        warnings = 0;
        assert_ok(thaw_measure_conv(device, &problems[i], list, 1, 600, &m));
        assert_int_equal(m.timings[0].outcome, THAW_MEASURE_WRONG);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(warning, "'wrong' is wrong on this device"));
        assert_int_equal(m.best, -1);

        assert_ok(thaw_measure_conv(device, &problems[i], list, 4, 600, &m));
        assert_int_equal(m.count, 4);
        assert_int_equal(m.timings[0].outcome, THAW_MEASURE_WRONG);
        assert_int_equal(m.timings[2].outcome, THAW_MEASURE_FAILED);
        assert_non_null(strstr(warning, "'failing' can't be measured: no such kernel"));
        assert_true(m.best == 1 || m.best == 3);
    }
    /* `simple` against one that disagrees: either may be wrong */
    const struct thaw_conv_candidate *const two[] = {&wrong, simple};
    struct thaw_measurement m;
    char key[THAW_CONV_KEY_SIZE];
    problems[0].geometry.pad_left = 0; /* not remembered yet */
    thaw_conv_problem_key(&problems[0], key);
    assert_ok(thaw_measure_conv(device, &problems[0], two, 2, 600, &m));
    assert_true(m.complete);
    assert_int_equal(m.best, -1);
    assert_ok(thaw_measure_remember(device, &problems[0], &m));
    assert_null(thaw_tuning_find(device, key));
    thaw_device_destroy(&device);
}

static void without_time(void **state) {
    (void)state;
    struct thaw_conv_problem problems[PROBLEMS];
    thaw_device *device = open_device();
    make_problems(thaw_device_get_caps(device), problems);
    problems[0].geometry.pad_left = 0;
    const double seconds[] = {0, 1e-9}; /* the second one is over once `simple` has run */
    for (int i = 0; i < 2; i++) {
        struct thaw_measurement m;
        char key[THAW_CONV_KEY_SIZE];
        assert_ok(thaw_measure_conv(device, &problems[0], thaw_conv_candidates,
                                    thaw_conv_candidate_count, seconds[i], &m));
        assert_int_equal(m.count, 0);
        assert_false(m.complete);
        assert_ok(thaw_measure_remember(device, &problems[0], &m));
        thaw_conv_problem_key(&problems[0], key);
        assert_null(thaw_tuning_find(device, key));
    }
    thaw_device_destroy(&device);
}

int main(void) {
    setenv("THAW_CACHE", test_directory(), 1);
    thaw_log_set(take_warning, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_remembers_selects),
        cmocka_unit_test(remembers_any_candidate),
        cmocka_unit_test(wrong_and_failing_never_win),
        cmocka_unit_test(without_time),
    };
    return cmocka_run_group_tests_name("kernels/measure", tests, NULL, NULL);
}
