/* What the plan says of device memory, against what whole runs take: never less, not much more. */
#include <stdio.h>
#include <string.h>

#include "support/device.h"
#include "support/support.h"
#include "support/tiny.h"
#include "train/plan.h"
#include "train/trainer.h"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

/* ---- runs on a device of their own ---------------------------------------------------------- */

static void load(const char *name, const char *stages, const char *more, const char *set,
                 struct thaw_config *config) {
    assert_ok(thaw_config_load(tiny_experiment(name, stages, more), &set, set ? 1 : 0, config));
}

static uint64_t planned(const struct thaw_config *config, thaw_device *device) {
    struct thaw_experiment experiment;
    struct thaw_plan plan;
    assert_ok(thaw_experiment_open(config, device, &experiment));
    assert_ok(thaw_plan_make(&experiment, &plan));
    uint64_t peak = plan.peak_bytes;
    thaw_plan_finish(&plan);
    thaw_experiment_finish(&experiment);
    return peak;
}

static uint64_t peak_of(const thaw_device *device) {
    uint64_t now, peak;
    thaw_device_memory(device, &now, &peak);
    return peak;
}

/* Interrupts itself at a step of the process; 0: never. */
struct stopper {
    volatile sig_atomic_t interrupted;
    int steps, stop_at;
};

static void on_step(void *user, const struct thaw_train_progress *progress) {
    struct stopper *s = user;
    (void)progress;
    if (++s->steps == s->stop_at)
        s->interrupted = 1;
}

/* A run's peak; up to a step, or on from there. */
static uint64_t run(const struct thaw_config *config, int stop_at, bool resume) {
    struct stopper stopper = {.stop_at = stop_at};
    struct thaw_train_events events = {
        .user = &stopper, .interrupted = &stopper.interrupted, .on_step = on_step};
    struct thaw_train_options options = {.resume = resume};
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, NULL, &device));
    thaw_status status = thaw_train(config, device, &options, &events);
    if (stop_at)
        assert_int_equal(status, THAW_INTERRUPTED);
    else
        assert_ok(status);
    uint64_t peak = peak_of(device);
    thaw_device_destroy(&device);
    return peak;
}

static void expect_near(const char *name, uint64_t planned_bytes, uint64_t measured_bytes,
                        double slack) {
    if (measured_bytes > planned_bytes ||
        (double)planned_bytes > (1 + slack) * (double)measured_bytes)
        fail_msg("%s: %llu bytes planned, %llu measured", name, (unsigned long long)planned_bytes,
                 (unsigned long long)measured_bytes);
}

/* ---- the plan and the run ------------------------------------------------------------------- */

/* `slack`: what a plan may say too much, of what was measured. */
static const struct experiment {
    const char *name, *stages, *more;
    double slack;
} experiments[] = {
    {"head", "  - {train: [head], lr: 1x, epochs: 1}\n", "", 0.01},
    {"cached", "  - {train: [head], lr: 1x, epochs: 1, cache: true}\n", "", 0.01},
    {"views", "  - {train: [head], lr: 1x, epochs: 1, augment: [hflip], cache: {views: 2}}\n", "",
     0.01},
    {"all", "  - {train: [all], lr: 1x, epochs: 1, norm: train}\n", "", 0.01},
    {"eval", "  - {train: [all], lr: 1x, epochs: 1, norm: eval, augment: [{mixup: 0.2}]}\n", "",
     0.01},
    {"adamw", "  - {train: [all], lr: 0.1x, epochs: 1, optimizer: {type: adamw}}\n", "", 0.01},
    {"averaged",
     "  - {train: [body, head], lr: 1x, epochs: 2, norm: train, average: {type: swa, from: 0.5}}\n",
     "", 0.1},
    {"refreshed", "  - {train: [head], lr: 1x, epochs: 1}\n  - {train: [body], norm: refresh}\n",
     "", 0.01},
    {"stages",
     "  - {stage: warmup, train: [head], lr: 1x, epochs: 1, cache: true}\n"
     "  - {stage: tune, train: [body, head], lr: 1x, epochs: 1, norm: train}\n"
     "  - {stage: last, train: [head], lr: 0.1x, epochs: 1, cache: true}\n",
     "", 0.01},
    {"thawing",
     "  - {stage: tune, train: [all], lr: 1x, epochs: 3, norm: train, cache: true,\n"
     "     unfreeze: {from: head, every: 1, step: 1}}\n",
     "", 0.01},
    {"probed", "  - {train: [body, head], lr: {probe: [0.1x, 1x], epochs: 1}, epochs: 1}\n", "",
     0.1},
    {"chosen",
     "  - {train: [auto, head], lr: 1x, epochs: 2, auto: {epochs: 1, folds: 2, also: [first]}}\n",
     "", 0.2},
};

static void never_less_than_a_run_takes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof experiments / sizeof *experiments; i++) {
        const struct experiment *e = &experiments[i];
        struct thaw_config config;
        load(e->name, e->stages, e->more, NULL, &config);
        expect_near(e->name, planned(&config, test_device()), run(&config, 0, false), e->slack);
        thaw_config_finish(&config);
    }
}

/* A run that goes on brings the kept epoch back: of what it has changed, no more. */
static void a_resumed_run_takes_no_more(void **state) {
    (void)state;
    const int stops[] = {3, 8, 12};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        struct thaw_config config;
        char name[32];
        snprintf(name, sizeof name, "goes_on%zu", i);
        load(name, tiny_stages, "", NULL, &config);
        uint64_t plan = planned(&config, test_device());
        assert_true(run(&config, stops[i], false) <= plan);
        expect_near(name, plan, run(&config, 0, true), 0.01);
        thaw_config_finish(&config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_less_than_a_run_takes),
        cmocka_unit_test(a_resumed_run_takes_no_more),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
