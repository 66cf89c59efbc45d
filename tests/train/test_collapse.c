/* What warns of a stage that wrecks the network: the rule, on made curves; the steepness of a step
 * against a quadratic whose curvature is known; and both in whole runs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/device.h"
#include "support/support.h"
#include "support/tiny.h"
#include "train/collapse.h"
#include "train/trainer.h"

/* The step at which a curve is told to have collapsed; 0: never. */
static int told_at(double (*loss)(int), int steps, int classes) {
    struct thaw_collapse collapse = {0};
    for (int i = 0; i < steps; i++)
        if (thaw_collapse_step(&collapse, loss(i), classes))
            return i + 1;
    return 0;
}

static double learning(int step) {
    return 0.7 * exp(-step / 50.0) + 0.1 * (step % 7) / 7;
}
static double hovering(int step) { /* noisy, and twice as high for a while */
    return 0.3 + 0.3 * (step > 20 && step < 60) + 0.05 * (step % 3);
}
/* EfficientNet-Lite0 on the solar cells, norm: eval, the last three stages at 0.01 and at 0.002
 * with momentum 0.9; and norm: train at 0.01. */
static double at_001(int step) {
    static const double losses[] = {0.04, 3.84, 15.73, 9.27, 1.07, 1.84, 2.94, 6.13, 5.33};
    return losses[step];
}
static double at_0002(int step) {
    static const double losses[] = {0.04, 0.14, 1.51, 22.12, 0.76, 0.68, 0.69, 0.62, 0.51};
    return losses[step];
}
static double by_batch(int step) {
    static const double losses[] = {1.06, 0.62, 1.61, 0.91, 0.52, 0.48, 0.83, 0.68,
                                    0.09, 0.88, 0.11, 0.52, 0.29, 0.07, 0.01, 0.22};
    return losses[step];
}
static double spike(int step) { /* one bad batch */
    return step == 12 ? 3 : 0.4;
}
static double late(int step) {
    return step < 500 ? 0.2 : 3;
}

static void tells_a_collapse(void **state) {
    (void)state;
    assert_int_equal(told_at(learning, 300, 2), 0);
    assert_int_equal(told_at(hovering, 300, 10), 0);
    assert_int_equal(told_at(spike, 300, 10), 0);
    assert_int_equal(told_at(late, 900, 2), 0);
    assert_int_equal(told_at(by_batch, 16, 2), 0);
    assert_int_equal(told_at(at_001, 9, 2), 9);
    assert_int_equal(told_at(at_0002, 9, 2), 9);
}

/* ---- whole runs ----------------------------------------------------------------------------- */

struct heard {
    volatile sig_atomic_t interrupted;
    int stop_at_step, steps; /* of the process; 0: never */
    int too_high, wrecking, divided;
    double times;
};

static void on_step(void *user, const struct thaw_train_progress *progress) {
    struct heard *heard = user;
    (void)progress;
    if (++heard->steps == heard->stop_at_step)
        heard->interrupted = 1;
}

static void on_message(void *user, const char *text) {
    struct heard *heard = user;
    const char *about = strstr(text, "are about ");
    if (about && sscanf(about, "are about %lf times", &heard->times) == 1)
        heard->too_high++;
    heard->wrecking += strstr(text, "is wrecking") != NULL;
    heard->divided += strstr(text, "asks for rates divided by") != NULL;
}

static thaw_status try_run(const char *name, const char *lr, const char *norm, bool resume,
                           struct heard *heard) {
    char stages[512];
    snprintf(stages, sizeof stages,
             "  - {stage: base, train: [all], lr: 1x, epochs: 4}\n"
             "  - {stage: tune, train: [all], lr: %s, epochs: 3, norm: %s}\n",
             lr, norm);
    struct thaw_config config;
    assert_ok(
        thaw_config_load(tiny_experiment(name, stages, "keep: last\nloss: {label_smoothing: 0.2}"),
                         NULL, 0, &config));
    struct thaw_train_events events = {.user = heard,
                                       .interrupted = &heard->interrupted,
                                       .on_message = on_message,
                                       .on_step = on_step};
    struct thaw_train_options options = {.resume = resume};
    thaw_status status = thaw_train(&config, test_device(), &options, &events);
    thaw_config_finish(&config);
    return status;
}

static struct heard run(const char *name, const char *lr, const char *norm) {
    struct heard heard = {0};
    thaw_status status = try_run(name, lr, norm, false, &heard);
    assert_true(status == THAW_OK ||
                status == THAW_ERROR_RUNTIME); /* or a loss that is no number */
    return heard;
}

static void is_silent_where_a_run_learns(void **state) {
    (void)state;
    struct heard train = run("healthy-train", "1x", "train");
    assert_int_equal(train.too_high + train.wrecking, 0);
    struct heard eval = run("healthy-eval", "0.01x", "eval");
    assert_int_equal(eval.too_high + eval.wrecking, 0);
}

static void warns_before_and_while_it_is_wrecked(void **state) {
    (void)state;
    struct heard frozen = run("wrecked", "100x", "frozen");
    assert_int_equal(frozen.too_high, 1);
    assert_int_equal(frozen.wrecking, 1);
    struct heard eval = run("high", "80x", "eval");
    assert_int_equal(eval.too_high, 1);
    assert_true(eval.times > 2);
}

/* The sharpness is that of D^1/2 H D^1/2: in proportion to the rate. */
static void grows_with_the_rate(void **state) {
    (void)state;
    struct heard once = run("once", "100x", "frozen"), twice = run("twice", "200x", "frozen");
    assert_int_equal(once.too_high, 1);
    assert_int_equal(twice.too_high, 1);
    assert_float_equal(twice.times / once.times, 2, 0.05);
}

/* The same stage that is wrecked above, with norm: auto, and the same bits after an interrupt. */
static void auto_divides_the_rates(void **state) {
    (void)state;
    struct heard whole = run("auto", "100x, batch: 8", "auto");
    assert_int_equal(whole.divided, 1);
    assert_int_equal(whole.too_high + whole.wrecking, 0);
    struct heard stopped = {.stop_at_step = 23}, resumed = {0};
    assert_fails(try_run("auto-stopped", "100x, batch: 8", "auto", false, &stopped),
                 THAW_INTERRUPTED, "checkpoint");
    assert_ok(try_run("auto-stopped", "100x, batch: 8", "auto", true, &resumed));
    assert_int_equal(stopped.divided, 1);
    assert_int_equal(resumed.divided, 0);
    tiny_same_tensors(tiny_run_file("auto", "model.safetensors"),
                      tiny_run_file("auto-stopped", "model.safetensors"));
    struct heard large = run("auto-large", "1x, batch: 16", "auto");
    assert_int_equal(large.divided, 0);
}

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_a_collapse),
        cmocka_unit_test(is_silent_where_a_run_learns),
        cmocka_unit_test(warns_before_and_while_it_is_wrecked),
        cmocka_unit_test(grows_with_the_rate),
        cmocka_unit_test(auto_divides_the_rates),
    };
    return cmocka_run_group_tests_name("train/collapse", tests, set_up, NULL);
}
