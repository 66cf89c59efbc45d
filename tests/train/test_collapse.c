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
    int too_high, wrecking;
    double times;
};

static void on_message(void *user, const char *text) {
    struct heard *heard = user;
    const char *about = strstr(text, "are about ");
    if (about && sscanf(about, "are about %lf times", &heard->times) == 1)
        heard->too_high++;
    heard->wrecking += strstr(text, "is wrecking") != NULL;
}

static struct heard run(const char *name, const char *lr, const char *norm) {
    char stages[512];
    snprintf(stages, sizeof stages,
             "  - {stage: base, train: [all], lr: 1x, epochs: 4}\n"
             "  - {stage: tune, train: [all], lr: %s, epochs: 3, norm: %s}\n",
             lr, norm);
    struct thaw_config config;
    struct heard heard = {0};
    assert_ok(
        thaw_config_load(tiny_experiment(name, stages, "keep: last\nloss: {label_smoothing: 0.2}"),
                         NULL, 0, &config));
    struct thaw_train_events events = {.user = &heard, .on_message = on_message};
    struct thaw_train_options options = {0};
    thaw_status status = thaw_train(&config, test_device(), &options, &events);
    thaw_config_finish(&config);
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
    };
    return cmocka_run_group_tests_name("train/collapse", tests, set_up, NULL);
}
