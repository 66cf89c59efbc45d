/* Metrics against values worked out by hand from scikit-learn's definitions:
 * balanced_accuracy_score is over the classes that occur, f1_score(average="macro") over those that
 * occur or are predicted. */
#include "train/metrics.h"

#include <math.h>

#include "support/support.h"

#define CLOSE(actual, expected) assert_true(fabs((actual) - (expected)) < 1e-12)

static struct thaw_arena arena;

static struct thaw_metrics make(int classes) {
    struct thaw_metrics metrics;
    assert_ok(thaw_metrics_init(&arena, classes, &metrics));
    return metrics;
}

static void add(struct thaw_metrics *metrics, int label, int predicted, int times) {
    for (int i = 0; i < times; i++)
        thaw_metrics_add(metrics, label, predicted);
}

/* Four classes: 2 is never a label but predicted once, 3 neither. */
static void hand_values(void **state) {
    (void)state;
    struct thaw_metrics metrics = make(4);
    add(&metrics, 0, 0, 6);
    add(&metrics, 0, 1, 2);
    add(&metrics, 1, 1, 1);
    add(&metrics, 1, 2, 1);
    metrics.loss_sum = 3;
    metrics.loss_norm = 12;
    thaw_metrics_finish(&metrics);
    assert_int_equal(metrics.count, 10);
    assert_int_equal(metrics.confusion[0 * 4 + 1], 2); /* label 0, predicted 1 */
    assert_int_equal(metrics.confusion[1 * 4 + 2], 1);
    CLOSE(metrics.loss, 0.25);
    CLOSE(metrics.top1, 0.7);
    CLOSE(metrics.recall[0], 0.75);
    CLOSE(metrics.recall[1], 0.5);
    CLOSE(metrics.recall[2], 0);
    CLOSE(metrics.precision[0], 1);
    CLOSE(metrics.precision[1], 1.0 / 3);
    CLOSE(metrics.precision[2], 0);
    CLOSE(metrics.f1[0], 2 * 0.75 / 1.75);
    CLOSE(metrics.f1[1], 0.4);
    CLOSE(metrics.f1[3], 0);
    CLOSE(metrics.balanced, 0.625);
    CLOSE(metrics.macro_f1, (6.0 / 7 + 0.4) / 3);
    CLOSE(thaw_metrics_value(&metrics, THAW_METRIC_LOSS), 0.25);
    CLOSE(thaw_metrics_value(&metrics, THAW_METRIC_TOP1), 0.7);
    CLOSE(thaw_metrics_value(&metrics, THAW_METRIC_BALANCED), 0.625);
    CLOSE(thaw_metrics_value(&metrics, THAW_METRIC_MACRO_F1), metrics.macro_f1);
}

static void perfect_and_empty(void **state) {
    (void)state;
    struct thaw_metrics metrics = make(3);
    thaw_metrics_finish(&metrics); /* nothing seen: no NaN */
    CLOSE(metrics.loss, 0);
    CLOSE(metrics.top1, 0);
    CLOSE(metrics.balanced, 0);
    CLOSE(metrics.macro_f1, 0);
    for (int c = 0; c < 3; c++)
        add(&metrics, c, c, c + 1);
    thaw_metrics_finish(&metrics);
    CLOSE(metrics.top1, 1);
    CLOSE(metrics.balanced, 1);
    CLOSE(metrics.macro_f1, 1);
}

static void reset_forgets(void **state) {
    (void)state;
    struct thaw_metrics metrics = make(2);
    add(&metrics, 0, 1, 5);
    metrics.loss_sum = metrics.loss_norm = 4;
    thaw_metrics_reset(&metrics);
    add(&metrics, 1, 1, 1);
    thaw_metrics_finish(&metrics);
    assert_int_equal(metrics.count, 1);
    assert_int_equal(metrics.confusion[1], 0);
    CLOSE(metrics.loss, 0);
    CLOSE(metrics.top1, 1);
}

static void better(void **state) {
    (void)state;
    assert_true(thaw_metric_better(THAW_METRIC_LOSS, 0.1, 0.2));
    assert_false(thaw_metric_better(THAW_METRIC_LOSS, 0.2, 0.1));
    assert_false(thaw_metric_better(THAW_METRIC_LOSS, 0.1, 0.1));
    for (enum thaw_metric m = THAW_METRIC_TOP1; m < THAW_METRIC_COUNT; m++) {
        assert_true(thaw_metric_better(m, 0.2, 0.1));
        assert_false(thaw_metric_better(m, 0.1, 0.2));
        assert_false(thaw_metric_better(m, 0.2, 0.2));
        assert_false(thaw_metric_better(m, NAN, 0.2));
    }
    assert_false(thaw_metric_better(THAW_METRIC_LOSS, NAN, 0.2));
}

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hand_values),
        cmocka_unit_test(perfect_and_empty),
        cmocka_unit_test(reset_forgets),
        cmocka_unit_test(better),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
