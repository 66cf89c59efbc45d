/* What the plan says of device memory, against what whole runs take: never less, not much more. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/weights.h"
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

static void load(const char *name, const char *stages, const char *more,
                 struct thaw_config *config) {
    const char *sets[] = {"model.head.dropout=0.5"};
    assert_ok(thaw_config_load(tiny_experiment(name, stages, more), sets, 1, config));
}

static thaw_device *open_device(const struct thaw_config *config) {
    struct thaw_device_options options = {.memory_bytes = config->memory_bytes};
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, &options, &device));
    return device;
}

static uint64_t parameter_bytes; /* of the last plan */

/* The plan's peak, and the parts of the first stage's batches; whether it is refused. */
static thaw_status plan(const struct thaw_config *config, uint64_t *ret_peak, int *ret_part) {
    struct thaw_experiment experiment;
    struct thaw_plan plan;
    thaw_device *device = open_device(config);
    assert_ok(thaw_experiment_open(config, device, &experiment));
    assert_ok(thaw_plan_make(&experiment, &plan));
    *ret_peak = plan.peak_bytes;
    parameter_bytes = plan.parameter_bytes;
    *ret_part = plan.stages[0].stage.part;
    thaw_status status = thaw_plan_check_memory(&plan, device);
    thaw_plan_finish(&plan);
    thaw_experiment_finish(&experiment);
    thaw_device_destroy(&device);
    return status;
}

static uint64_t planned(const struct thaw_config *config) {
    uint64_t peak;
    int part;
    assert_ok(plan(config, &peak, &part));
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
    thaw_device *device = open_device(config);
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
    {"head", "  - {train: [head], lr: 1x, epochs: 1}\n", "", 0.03},
    {"cached", "  - {train: [head], lr: 1x, epochs: 1, cache: true}\n", "", 0.03},
    {"views", "  - {train: [head], lr: 1x, epochs: 1, augment: [hflip], cache: {views: 2}}\n", "",
     0.03},
    {"all", "  - {train: [all], lr: 1x, epochs: 1, norm: train}\n", "", 0.03},
    {"eval", "  - {train: [all], lr: 1x, epochs: 1, norm: eval, augment: [{mixup: 0.2}]}\n", "",
     0.03},
    {"adamw", "  - {train: [all], lr: 0.1x, epochs: 1, optimizer: {type: adamw}}\n", "", 0.03},
    {"averaged",
     "  - {train: [body, head], lr: 1x, epochs: 2, norm: train, average: {type: swa, from: 0.5}}\n",
     "", 0.1},
    {"refreshed", "  - {train: [head], lr: 1x, epochs: 1}\n  - {train: [body], norm: refresh}\n",
     "", 0.03},
    {"stages",
     "  - {stage: warmup, train: [head], lr: 1x, epochs: 1, cache: true}\n"
     "  - {stage: tune, train: [body, head], lr: 1x, epochs: 1, norm: train}\n"
     "  - {stage: last, train: [head], lr: 0.1x, epochs: 1, cache: true}\n",
     "", 0.03},
    {"thawing",
     "  - {stage: tune, train: [all], lr: 1x, epochs: 3, norm: train, cache: true,\n"
     "     unfreeze: {from: head, every: 1, step: 1}}\n",
     "", 0.03},
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
        load(e->name, e->stages, e->more, &config);
        expect_near(e->name, planned(&config), run(&config, 0, false), e->slack);
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
        load(name, tiny_stages, "", &config);
        uint64_t peak = planned(&config);
        assert_true(run(&config, stops[i], false) <= peak);
        expect_near(name, peak, run(&config, 0, true), 0.03);
        thaw_config_finish(&config);
    }
}

/* ---- device.memory -------------------------------------------------------------------------- */

static void load_limited(const char *name, const char *stages, const char *more, uint64_t bytes,
                         struct thaw_config *config) {
    char set[64];
    const char *sets[] = {"model.head.dropout=0.5", set};
    snprintf(set, sizeof set, "device.memory=%llu", (unsigned long long)bytes);
    assert_ok(thaw_config_load(tiny_experiment(name, stages, more), sets, 2, config));
    assert_true(config->memory_bytes == bytes);
}

static const char whole_stages[] =
    "  - {train: [all], lr: 0.2x, epochs: 2, norm: eval, augment: [hflip, {mixup: 0.5}]}\n";
static const char whole_loss[] = "loss: {label_smoothing: 0.1, class_weights: [1, 2]}\n";

static void expect_near_tensors(const char *a_path, const char *b_path, double tolerance) {
    struct thaw_weights a, b;
    assert_ok(thaw_weights_open(a_path, &a));
    assert_ok(thaw_weights_open(b_path, &b));
    for (size_t i = 0; i < a.count; i++) {
        const struct thaw_weight *weight = &a.items[i];
        const struct thaw_weight *other = thaw_weights_find(&b, weight->name);
        size_t count = thaw_weight_count(weight);
        if (weight->dtype != THAW_DTYPE_F32)
            continue;
        assert_non_null(other);
        float *values = malloc(2 * count * sizeof *values + 1);
        thaw_weight_to_float(weight, values);
        thaw_weight_to_float(other, values + count);
        for (size_t k = 0; k < count; k++)
            if (fabs((double)values[k] - (double)values[count + k]) > tolerance)
                fail_msg("%s[%zu]: %g and %g", weight->name, k, (double)values[k],
                         (double)values[count + k]);
        free(values);
    }
    thaw_weights_finish(&a);
    thaw_weights_finish(&b);
}

/* Mixup, dropout, smoothing and weights of classes look at the whole batch or at places in it. */
static void a_limit_changes_memory_alone(void **state) {
    (void)state;
    struct thaw_config config;
    uint64_t whole, peak;
    int part, last_part = 8;
    load("whole", whole_stages, whole_loss, &config);
    whole = planned(&config);
    assert_true(run(&config, 0, false) <= whole);
    thaw_config_finish(&config);
    for (int percent = 85; percent >= 45; percent -= 40) {
        uint64_t limit = whole * (uint64_t)percent / 100;
        char name[32];
        snprintf(name, sizeof name, "limited%d", percent);
        load_limited(name, whole_stages, whole_loss, limit, &config);
        assert_ok(plan(&config, &peak, &part));
        assert_true(part >= 1 && part < last_part);
        last_part = part;
        assert_true(peak <= limit);
        expect_near(name, peak, run(&config, 0, false), 0.03);
        expect_near_tensors(tiny_run_file(name, "last.safetensors"),
                            tiny_run_file("whole", "last.safetensors"), 2e-4);
        thaw_config_finish(&config);
    }
}

static void a_limited_run_resumes_to_the_same_bits(void **state) {
    (void)state;
    struct thaw_config config;
    load("unlimited", whole_stages, whole_loss, &config);
    uint64_t limit = planned(&config) * 3 / 5;
    thaw_config_finish(&config);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "resumed" : "straight";
        load_limited(name, whole_stages, whole_loss, limit, &config);
        if (i)
            run(&config, 3, false);
        run(&config, 0, i);
        thaw_config_finish(&config);
    }
    tiny_same_tensors(tiny_run_file("straight", "last.safetensors"),
                      tiny_run_file("resumed", "last.safetensors"));
    tiny_same_tensors(tiny_run_file("straight", "model.safetensors"),
                      tiny_run_file("resumed", "model.safetensors"));
}

/* Caches and pilots keep to the limit, too: the device gives no more. */
static void everything_keeps_to_the_limit(void **state) {
    (void)state;
    static const char stages[] =
        "  - {stage: warmup, train: [head], lr: 1x, epochs: 1, cache: true}\n"
        "  - {stage: tune, train: [body, head], lr: {probe: [0.1x, 1x], epochs: 1}, epochs: 1,\n"
        "     norm: eval}\n";
    struct thaw_config config;
    uint64_t peak;
    int part;
    load("free", stages, "", &config);
    uint64_t limit = planned(&config) * 3 / 5;
    thaw_config_finish(&config);
    load_limited("kept", stages, "", limit, &config);
    assert_ok(plan(&config, &peak, &part));
    assert_true(peak <= limit);
    uint64_t measured = run(&config, 0, false);
    assert_true(measured <= peak);
    thaw_config_finish(&config);
}

static void says_what_would_fit(void **state) {
    (void)state;
    static const char statistics[] =
        "  - {stage: tune, train: [all], lr: 1x, epochs: 1, norm: train}\n";
    struct thaw_config config;
    uint64_t peak;
    int part;
    load("needs", statistics, "", &config);
    uint64_t needed = planned(&config);
    thaw_config_finish(&config);
    load_limited("refused", statistics, "", needed * 3 / 4, &config);
    assert_fails(plan(&config, &peak, &part), THAW_ERROR_INPUT,
                 "take their statistics from the whole");
    assert_non_null(strstr(thaw_error_hint(), "norm: eval"));
    assert_non_null(strstr(thaw_error_hint(), "--set train.tune.batch="));
    assert_true(peak == needed && !part);
    int fits = atoi(strstr(thaw_error_hint(), "train.tune.batch=") + strlen("train.tune.batch="));
    assert_true(fits >= 1 && fits < 8);
    thaw_config_finish(&config);
    load_limited("smallest", whole_stages, "", parameter_bytes * 2, &config);
    assert_fails(plan(&config, &peak, &part), THAW_ERROR_INPUT, "with one image at a time");
    assert_non_null(strstr(thaw_error_hint(), "device.memory="));
    thaw_config_finish(&config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_less_than_a_run_takes),
        cmocka_unit_test(a_resumed_run_takes_no_more),
        cmocka_unit_test(a_limit_changes_memory_alone),
        cmocka_unit_test(a_limited_run_resumes_to_the_same_bits),
        cmocka_unit_test(everything_keeps_to_the_limit),
        cmocka_unit_test(says_what_would_fit),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
