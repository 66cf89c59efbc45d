/* Averages of weights: shares, the kernels, what is kept and where the next stage starts, over the
 * phases of a stage, and across a resume. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/weights.h"
#include "support/device.h"
#include "support/model.h"
#include "support/tiny.h"
#include "train/session.h"
#include "train/trainer.h"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

/* ---- shares --------------------------------------------------------------------------------- */

static struct thaw_arena arena;

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

static double share(const char *yaml, int64_t step, int64_t averaged) {
    struct thaw_average average;
    struct thaw_average_clock clock = {
        .step = step, .total_steps = 40, .steps_per_epoch = 5, .averaged = averaged};
    assert_ok(thaw_average_parse(&arena, test_yaml(yaml), &average));
    return thaw_average_share(&average, &clock);
}

static void shares(void **state) {
    (void)state;
    assert_float_equal(share("ema", 1, 0), 0.9, 1e-12); /* 1 - 1 / 10 */
    assert_float_equal(share("ema", 9, 8), 1 - 9.0 / 18, 1e-12);
    assert_float_equal(share("ema", 40, 100000), 0.001, 1e-12);
    assert_float_equal(share("{type: ema, decay: 0.4}", 9, 8), 0.6, 1e-12);
    assert_float_equal(share("swa", 30, 0), 0, 0); /* the end of 0.75 */
    assert_float_equal(share("swa", 34, 0), 0, 0);
    assert_float_equal(share("swa", 35, 0), 1, 0);
    assert_float_equal(share("swa", 40, 1), 0.5, 0);
    assert_float_equal(share("{type: swa, from: 0, every: 2 epochs}", 5, 0), 0, 0);
    assert_float_equal(share("{type: swa, from: 0, every: 2 epochs}", 10, 0), 1, 0);
    assert_float_equal(share("{type: swa, from: 0, every: 3}", 9, 2), 1 / 3.0, 1e-12);
}

static void mistakes(void **state) {
    (void)state;
    const struct {
        const char *yaml, *message;
    } list[] = {
        {"emma", "(nearest: 'ema'"},
        {"{type: ema, decy: 0.9}", "m.yaml:1:13: unknown key 'decy' (nearest: 'decay'"},
        {"{type: ema, decay: 1}", "'decay': expected a number"},
        {"{type: swa, from: 1.5}", "'from': expected a number"},
        {"{type: swa, every: 0}", "'every': expected \"2 epochs\" or a number of steps"},
        {"{type: swa, every: 2 weeks}", "'every': expected"},
        {"{type: swa, every: [1]}", "'every': expected"},
    };
    struct thaw_average average;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        assert_fails(thaw_average_parse(&arena, test_yaml(list[i].yaml), &average),
                     THAW_ERROR_INPUT, list[i].message);
    const thaw_yaml *never = test_yaml("{type: swa, from: 0.9, every: 7 epochs}");
    assert_ok(thaw_average_parse(&arena, never, &average));
    assert_fails(thaw_average_check(&average, never, 40, 5), THAW_ERROR_INPUT,
                 "m.yaml:1:1: swa takes no average in the 40 steps of the stage");
}

/* ---- kernels -------------------------------------------------------------------------------- */

static void kernels(void **state) {
    (void)state;
    enum { SIZE = 20000 };
    static float value[SIZE], average[SIZE], got[SIZE];
    static double expected[SIZE];
    thaw_device *device = test_device();
    test_random(value, SIZE, 1, -2, 2);
    test_random(average, SIZE, 2, -2, 2);
    cl_mem v = test_buffer(device, value, SIZE), a = test_buffer(device, average, SIZE);
    const struct thaw_average_pair pair = {v, a, SIZE};
    for (size_t i = 0; i < SIZE; i++)
        expected[i] = (double)average[i] + 0.125 * ((double)value[i] - (double)average[i]);
    assert_ok(thaw_average_update(device, &pair, 1, 0.125));
    assert_ok(thaw_buffer_read(device, a, 0, got, sizeof got));
    test_compare(got, expected, SIZE, 1e-6, 1e-6, "average");
    assert_ok(thaw_average_swap(device, &pair, 1));
    assert_ok(thaw_buffer_read(device, a, 0, average, sizeof average));
    assert_memory_equal(average, value, sizeof value);
    assert_ok(thaw_buffer_read(device, v, 0, average, sizeof average));
    assert_memory_equal(average, got, sizeof got);
    assert_ok(thaw_average_update(device, &pair, 1, 1));
    assert_ok(thaw_buffer_read(device, a, 0, average, sizeof average));
    assert_memory_equal(average, got, sizeof got);
    thaw_buffer_destroy(&v);
    thaw_buffer_destroy(&a);
}

/* ---- whole runs ----------------------------------------------------------------------------- */

struct follower {
    volatile sig_atomic_t interrupted;
    int stop_at_step, steps, epochs; /* of the process; 0: never */
    double loss;                     /* of validation, of the last epoch */
};

static void on_step(void *user, const struct thaw_train_progress *progress) {
    struct follower *f = user;
    (void)progress;
    if (++f->steps == f->stop_at_step)
        f->interrupted = 1;
}

static void on_epoch(void *user, const struct thaw_train_progress *progress) {
    struct follower *f = user;
    f->epochs++;
    f->loss = progress->val->loss;
}

static thaw_status train(const char *path, bool resume, struct follower *follower) {
    struct thaw_config config;
    struct thaw_train_events events = {.user = follower,
                                       .interrupted = &follower->interrupted,
                                       .on_step = on_step,
                                       .on_epoch = on_epoch};
    struct thaw_train_options options = {.resume = resume};
    assert_ok(thaw_config_load(path, NULL, 0, &config));
    thaw_status status = thaw_train(&config, test_device(), &options, &events);
    thaw_config_finish(&config);
    return status;
}

#define VALUES_MAX 2048
#define STEPS 20 /* 4 epochs of 5 */

static size_t read_tensor(const char *path, const char *name, float *values) {
    struct thaw_weights weights;
    assert_ok(thaw_weights_open(path, &weights));
    const struct thaw_weight *weight = thaw_weights_find(&weights, name);
    assert_non_null(weight);
    size_t count = thaw_weight_count(weight);
    assert_true(count <= VALUES_MAX);
    thaw_weight_to_float(weight, values);
    thaw_weights_finish(&weights);
    return count;
}

/* A run that is interrupted and resumed after every step. */
static void stepwise(const char *name, const char *stages, void (*after)(void *user, int step),
                     void *user) {
    char file[256]; /* tiny's own is good for a few calls */
    snprintf(file, sizeof file, "%s", tiny_experiment(name, stages, "keep: last"));
    struct follower f = {.stop_at_step = 1};
    thaw_status status = train(file, false, &f);
    for (int step = 1; status == THAW_INTERRUPTED; step++) {
        if (after)
            after(user, step);
        f = (struct follower){.stop_at_step = 1};
        status = train(file, true, &f);
    }
    assert_ok(status);
}

static const char plain[] =
    "  - {stage: tune, train: [all], lr: 0.5x, epochs: 4, norm: %s, schedule: cosine%s}\n"
    "%s";

static const char *stages_of(const char *norm, const char *more, const char *after) {
    static char text[512];
    snprintf(text, sizeof text, plain, norm, more, after);
    return text;
}

/* conv2.weight and a statistic at the start and after each step of a run that takes no average. */
struct path {
    double weight[STEPS + 1][VALUES_MAX], mean[STEPS + 1][16];
    size_t weight_count, mean_count;
};

static void remember(void *user, int step) {
    struct path *path = user;
    float values[VALUES_MAX];
    const char *file = tiny_run_file(step ? "plain" : "start", "last.safetensors");
    path->weight_count = read_tensor(file, "conv2.weight", values);
    for (size_t i = 0; i < path->weight_count; i++)
        path->weight[step][i] = (double)values[i];
    path->mean_count = read_tensor(file, "bn2.running_mean", values);
    for (size_t i = 0; i < path->mean_count; i++)
        path->mean[step][i] = (double)values[i];
}

static struct path path;

/* The weights walk the same way as without; what is kept is their average. */
static void ema_of_a_run(void **state) {
    (void)state;
    struct follower f = {0};
    float got[VALUES_MAX];
    static double weight[VALUES_MAX], mean[16];
    /* what the run starts with: of a stage that leaves both alone */
    struct follower start = {.stop_at_step = 1};
    assert_fails(
        train(tiny_experiment("start", "  - {stage: s, train: [head], lr: 1, epochs: 1}\n", ""),
              false, &start),
        THAW_INTERRUPTED, NULL);
    remember(&path, 0);
    for (size_t i = 0; i < path.weight_count; i++)
        weight[i] = path.weight[0][i];
    for (size_t i = 0; i < path.mean_count; i++)
        mean[i] = path.mean[0][i];
    stepwise("plain", stages_of("train", "", ""), remember, &path);
    remember(&path, STEPS);
    assert_ok(
        train(tiny_experiment("ema", stages_of("train", ", average: {type: ema, decay: 0.7}", ""),
                              "keep: last"),
              false, &f));
    for (int step = 1; step <= STEPS; step++) {
        double t = step - 1, keep = fmin(0.7, (1 + t) / (10 + t));
        for (size_t i = 0; i < path.weight_count; i++)
            weight[i] = keep * weight[i] + (1 - keep) * path.weight[step][i];
        for (size_t i = 0; i < path.mean_count; i++)
            mean[i] = keep * mean[i] + (1 - keep) * path.mean[step][i];
    }
    read_tensor(tiny_run_file("ema", "model.safetensors"), "conv2.weight", got);
    test_compare(got, weight, path.weight_count, 1e-5, 1e-5, "conv2.weight");
    read_tensor(tiny_run_file("ema", "model.safetensors"), "bn2.running_mean", got);
    test_compare(got, mean, path.mean_count, 1e-5, 1e-5, "bn2.running_mean");
    read_tensor(tiny_run_file("ema", "last.safetensors"), "conv2.weight", got);
    test_compare(got, weight, path.weight_count, 1e-5, 1e-5, "where the next stage starts");
}

static void swa_of_a_run(void **state) {
    (void)state;
    struct follower f = {0};
    float got[VALUES_MAX], moving[VALUES_MAX];
    static double weight[VALUES_MAX];
    assert_ok(
        train(tiny_experiment("swa", stages_of("train", ", average: {type: swa, from: 0.4}", ""),
                              "keep: last"),
              false, &f));
    for (size_t i = 0; i < path.weight_count; i++)
        weight[i] = (path.weight[10][i] + path.weight[15][i] + path.weight[20][i]) / 3;
    read_tensor(tiny_run_file("swa", "model.safetensors"), "conv2.weight", got);
    test_compare(got, weight, path.weight_count, 1e-5, 1e-5, "conv2.weight");
    /* its statistics are measured: close to, but not, the moving ones of the weights */
    size_t count = read_tensor(tiny_run_file("swa", "model.safetensors"), "bn2.running_mean", got);
    read_tensor(tiny_run_file("plain", "last.safetensors"), "bn2.running_mean", moving);
    double apart = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        apart += fabs((double)got[i] - (double)moving[i]);
        size += fabs((double)got[i]);
    }
    assert_true(apart > 0 && apart < size);
}

/* Interrupted at every step, in both types, and in the stage that follows. */
static void resumes_to_the_same_bits(void **state) {
    (void)state;
    const char *averages[] = {", average: ema", ", average: {type: swa, from: 0.2, every: 7}"};
    static const char next[] = "  - {stage: next, train: [head], lr: 0.5x, epochs: 1}\n";
    for (int k = 0; k < 2; k++) {
        struct follower f = {0};
        char whole[16], pieces[16];
        snprintf(whole, sizeof whole, "whole%d", k);
        snprintf(pieces, sizeof pieces, "pieces%d", k);
        assert_ok(train(tiny_experiment(whole, stages_of("train", averages[k], next), "keep: best"),
                        false, &f));
        const char *text = stages_of("train", averages[k], next);
        const char *file = tiny_experiment(pieces, text, "keep: best");
        const int stops[] = {3, 2, 2, 4, 6, 4};
        thaw_status status = THAW_INTERRUPTED;
        for (size_t i = 0; status == THAW_INTERRUPTED; i++) {
            struct follower g = {.stop_at_step = i < 6 ? stops[i] : 0};
            status = train(file, i > 0, &g);
        }
        assert_ok(status);
        tiny_same_tensors(tiny_run_file(pieces, "last.safetensors"),
                          tiny_run_file(whole, "last.safetensors"));
        tiny_same_tensors(tiny_run_file(pieces, "model.safetensors"),
                          tiny_run_file(whole, "model.safetensors"));
    }
}

/* One average over all phases: the mean of a tensor that thaws late counts its frozen epochs. */
static void over_phases(void **state) {
    (void)state;
    struct follower f = {0}, g = {0};
    static const char thawing[] =
        "  - {stage: tune, train: [all], lr: 0.5x, epochs: 4, norm: eval, "
        "cache: true%s, unfreeze: {}}\n";
    char text[256];
    float first[VALUES_MAX], got[VALUES_MAX];
    static double mean[VALUES_MAX];
    memset(mean, 0, sizeof mean);
    size_t count = 0;
    snprintf(text, sizeof text, thawing, "");
    const char *file = tiny_experiment("thaw", text, "keep: last");
    thaw_status status = THAW_INTERRUPTED;
    for (int epoch = 1; epoch <= 4; epoch++) {
        struct follower h = {.stop_at_step = 5};
        status = train(file, epoch > 1, &h);
        count = read_tensor(tiny_run_file("thaw", "last.safetensors"), "conv2.weight", got);
        for (size_t i = 0; i < count; i++)
            mean[i] += (double)got[i] / 4;
        if (epoch == 1)
            memcpy(first, got, sizeof first);
    }
    assert_true(status == THAW_INTERRUPTED);
    assert_memory_not_equal(first, got, count * sizeof *got);
    snprintf(text, sizeof text, thawing, ", average: {type: swa, from: 0}");
    file = tiny_experiment("thaw_swa", text, "keep: last");
    assert_ok(train(file, false, &f));
    read_tensor(tiny_run_file("thaw_swa", "model.safetensors"), "conv2.weight", got);
    test_compare(got, mean, count, 1e-5, 1e-5, "conv2.weight");
    file = tiny_experiment("thaw_pieces", text, "keep: last");
    g.stop_at_step = 5;
    assert_fails(train(file, false, &g), THAW_INTERRUPTED, NULL);
    g = (struct follower){.stop_at_step = 5};
    assert_fails(train(file, true, &g), THAW_INTERRUPTED, NULL);
    g = (struct follower){0};
    assert_ok(train(file, true, &g));
    tiny_same_tensors(tiny_run_file("thaw_pieces", "last.safetensors"),
                      tiny_run_file("thaw_swa", "last.safetensors"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares),       cmocka_unit_test(mistakes),
        cmocka_unit_test(kernels),      cmocka_unit_test(ema_of_a_run),
        cmocka_unit_test(swa_of_a_run), cmocka_unit_test(resumes_to_the_same_bits),
        cmocka_unit_test(over_phases),
    };
    return cmocka_run_group_tests(tests, set_up, finish);
}
