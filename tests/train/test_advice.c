/* The rule of advice.h, over numbers: sizes at their bounds, each vote, votes that disagree. */
#include <math.h>
#include <string.h>

#include "support/support.h"
#include "train/advice.h"

static struct thaw_measurements few(void) {
    return (struct thaw_measurements){.images = 1000, .classes = 10, .class_median = 100};
}

static struct thaw_advice_rung rungs[4] = {{"stem", 16, 0.5, 0.01},
                                           {"one", 16, 0.6, 0.01},
                                           {"two", 32, 0.7, 0.01},
                                           {"pool", 64, 0.9, 0.01}};
static struct thaw_advice_norm norm = {"bn", 0, 8, 0};

static void set_ladder(struct thaw_measurements *m, double middle, double last, double error) {
    rungs[1].accuracy = middle;
    rungs[3].accuracy = last;
    rungs[3].standard_error = error;
    m->rungs = rungs;
    m->rung_count = 4;
}

static void set_norms(struct thaw_measurements *m, double distance) {
    m->norms = &norm;
    m->norm_count = 1;
    m->norm_median = distance;
}

static void expect_size(size_t images, double median, bool large) {
    struct thaw_measurements m = {.images = images, .classes = 2, .class_median = median};
    struct thaw_advice advice = thaw_advice_make(&m);
    assert_int_equal(advice.large, large);
    assert_non_null(strstr(advice.size, large ? "large" : "small"));
    assert_string_equal(advice.regime, large ? "large_different" : "small_different");
}

static void sizes(void **state) {
    (void)state;
    expect_size(19999, 4999, false);
    expect_size(20000, 200, true);
    expect_size(20000, 100, true);
    expect_size(20000, 99, false); /* a thousand classes of twenty */
    expect_size(10000, 5000, true);
    expect_size(1, 1, false);
}

static void nothing_known(void **state) {
    (void)state;
    struct thaw_measurements m = few();
    struct thaw_advice advice = thaw_advice_make(&m);
    assert_int_equal(advice.known, 0);
    assert_int_equal(advice.agree, 0);
    assert_true(advice.different && advice.margin == 0);
    for (int i = 0; i < THAW_SIGNAL_COUNT; i++)
        assert_int_equal(advice.votes[i].answer, THAW_ADVICE_UNKNOWN);
    assert_non_null(strstr(advice.votes[THAW_SIGNAL_STATISTICS].evidence, "no batch norm"));
    assert_non_null(strstr(advice.sentence, "nothing tells"));
}

static void expect_vote(const struct thaw_measurements *m, enum thaw_advice_signal signal,
                        enum thaw_advice_answer answer, double strength) {
    struct thaw_advice advice = thaw_advice_make(m);
    assert_int_equal(advice.votes[signal].answer, answer);
    assert_true(fabs(advice.votes[signal].strength - strength) < 1e-6);
    assert_true(strlen(advice.votes[signal].evidence) > 0);
    for (int i = 0; i < THAW_SIGNAL_COUNT; i++)
        assert_int_equal(advice.votes[i].answer != THAW_ADVICE_UNKNOWN,
                         i == (int)signal && answer != THAW_ADVICE_UNKNOWN);
    if (answer == THAW_ADVICE_UNKNOWN)
        return;
    assert_int_equal(advice.known, 1);
    if (strength > 0)
        assert_int_equal(advice.different, answer == THAW_ADVICE_DIFFERENT);
}

static void statistics(void **state) {
    (void)state;
    struct thaw_measurements m = few();
    const double t = THAW_ADVICE_NORM_DISTANCE;
    set_norms(&m, 2 * t);
    expect_vote(&m, THAW_SIGNAL_STATISTICS, THAW_ADVICE_DIFFERENT, 0.5);
    set_norms(&m, 100 * t);
    expect_vote(&m, THAW_SIGNAL_STATISTICS, THAW_ADVICE_DIFFERENT, 1);
    set_norms(&m, t / 2);
    expect_vote(&m, THAW_SIGNAL_STATISTICS, THAW_ADVICE_SIMILAR, 0.5);
    set_norms(&m, 0);
    expect_vote(&m, THAW_SIGNAL_STATISTICS, THAW_ADVICE_SIMILAR, 1);
}

static void ladder(void **state) {
    (void)state;
    struct thaw_measurements m = few();
    set_ladder(&m, 0.6, 0.9, 0.01); /* 0.4 -> 0.1 */
    expect_vote(&m, THAW_SIGNAL_LADDER, THAW_ADVICE_SIMILAR, 0.5);
    set_ladder(&m, 0.6, 0.7, 0.01);
    expect_vote(&m, THAW_SIGNAL_LADDER, THAW_ADVICE_DIFFERENT, 0.5);
    set_ladder(&m, 0.8, 0.7, 0.01); /* worse than the middle */
    expect_vote(&m, THAW_SIGNAL_LADDER, THAW_ADVICE_DIFFERENT, 1);
    set_ladder(&m, 0.6, 0.9, 0.4); /* so few images that nothing is sure */
    expect_vote(&m, THAW_SIGNAL_LADDER, THAW_ADVICE_DIFFERENT, 0);
    set_ladder(&m, 0.96, 0.99, 0.01);
    expect_vote(&m, THAW_SIGNAL_LADDER, THAW_ADVICE_UNKNOWN, 0);
    set_ladder(&m, 1, 1, 0);
    expect_vote(&m, THAW_SIGNAL_LADDER, THAW_ADVICE_UNKNOWN, 0);
    m.rung_count = 1;
    expect_vote(&m, THAW_SIGNAL_LADDER, THAW_ADVICE_UNKNOWN, 0);
}

static void source(void **state) {
    (void)state;
    struct thaw_measurements m = few();
    m.source = THAW_SOURCE_CLASSIFIER;
    m.source_classes = 8;
    m.leep_share = 2 * THAW_ADVICE_LEEP_SHARE;
    expect_vote(&m, THAW_SIGNAL_SOURCE, THAW_ADVICE_SIMILAR, 0.5);
    m.leep_share = THAW_ADVICE_LEEP_SHARE / 2;
    expect_vote(&m, THAW_SIGNAL_SOURCE, THAW_ADVICE_DIFFERENT, 0.5);
    m.leep_share = 0;
    expect_vote(&m, THAW_SIGNAL_SOURCE, THAW_ADVICE_DIFFERENT, 1);
    m.source = THAW_SOURCE_MEANS;
    m.means_ratio = THAW_ADVICE_MEANS_RATIO / 4;
    expect_vote(&m, THAW_SIGNAL_SOURCE, THAW_ADVICE_SIMILAR, 1);
    m.means_ratio = THAW_ADVICE_MEANS_RATIO * 2;
    expect_vote(&m, THAW_SIGNAL_SOURCE, THAW_ADVICE_DIFFERENT, 0.5);
}

/* The stronger side wins, and the advice says how many agree. */
static void disagreement(void **state) {
    (void)state;
    struct thaw_measurements m = few();
    set_norms(&m, THAW_ADVICE_NORM_DISTANCE / 1.2); /* a little similar */
    set_ladder(&m, 0.6, 0.78, 0.01);                /* a little different */
    m.source = THAW_SOURCE_CLASSIFIER;
    m.leep_share = 0.01; /* very different */
    struct thaw_advice advice = thaw_advice_make(&m);
    assert_true(advice.different);
    assert_int_equal(advice.known, 3);
    assert_int_equal(advice.agree, 2);
    assert_string_equal(advice.regime, "small_different");
    assert_non_null(strstr(advice.sentence, "2 of 3 signals"));
    assert_null(strstr(advice.sentence, "narrowly"));
    m.leep_share = 0.9;
    m.images = 30000;
    advice = thaw_advice_make(&m);
    assert_false(advice.different);
    assert_int_equal(advice.agree, 2);
    assert_string_equal(advice.regime, "large_similar");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),  cmocka_unit_test(nothing_known), cmocka_unit_test(statistics),
        cmocka_unit_test(ladder), cmocka_unit_test(source),        cmocka_unit_test(disagreement),
    };
    return cmocka_run_group_tests_name("train/advice", tests, NULL, NULL);
}
