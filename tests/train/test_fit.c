/* Steps over rows of a set: which rows take part, in which order, and that a fit can stop and go
 * on. */
#include "train/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/tiny.h"
#include "support/tiny_bench.h"

static const char stages[] = "  - {train: [all], lr: 1x, epochs: 2, norm: train}\n";
static struct tiny_bench bench;

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

/* A fit of the experiment's stage from its first values. */
struct run {
    struct thaw_session session;
    struct thaw_train_state state;
    struct thaw_fit fit;
};

static void begin(struct run *run, const uint32_t *rows, size_t count) {
    *run = (struct run){0};
    assert_ok(thaw_session_init(&bench.config, &bench.config.stages[0], bench.graph, (int)count,
                                &run->session));
    assert_ok(thaw_session_start(&run->session));
    struct thaw_members members = {&bench.feed, bench.photos, bench.labels, rows, count};
    struct thaw_fit_options options = {.session = &run->session,
                                       .state = &run->state,
                                       .train = members,
                                       .val = members,
                                       .classes = 2};
    assert_ok(thaw_fit_init(&options, &run->fit));
}

static void end(struct run *run) {
    thaw_fit_finish(&run->fit);
    thaw_session_finish(&run->session);
}

static float *run_epochs(const uint32_t *rows, size_t count, int epochs, size_t *ret_count) {
    struct run run;
    begin(&run, rows, count);
    for (int epoch = 0; epoch < epochs; epoch++) {
        thaw_fit_begin_epoch(&run.fit);
        for (int step = 0; step < run.fit.steps; step++)
            assert_ok(thaw_fit_step(&run.fit));
        assert_true(isfinite(thaw_fit_loss(&run.fit)));
        thaw_fit_end_epoch(&run.fit);
        assert_int_equal(run.state.epoch, epoch + 1);
        assert_int_equal(run.state.step, 0);
    }
    assert_int_equal(run.state.stage_steps, epochs * run.fit.steps);
    end(&run);
    return tiny_bench_values(&bench, ret_count);
}

static void all_rows_or_none_named(void **state) {
    (void)state;
    uint32_t rows[64];
    float *values[2];
    size_t count = 0;
    for (int i = 0; i < 2; i++) {
        tiny_bench_open("rows", stages, "", &bench);
        for (size_t r = 0; r < bench.count; r++)
            rows[r] = (uint32_t)r;
        values[i] = run_epochs(i ? rows : NULL, bench.count, 2, &count);
        tiny_bench_close(&bench);
    }
    assert_memory_equal(values[0], values[1], count * sizeof(float));
    free(values[0]);
    free(values[1]);
}

/* A row that takes no part is never looked at: a label out of range would be seen. */
static void other_rows_take_no_part(void **state) {
    (void)state;
    const uint32_t rows[] = {1, 4, 5, 9, 20, 21, 30, 33, 34, 35};
    float *values[2];
    size_t count = 0;
    for (int i = 0; i < 2; i++) {
        tiny_bench_open("others", stages, "", &bench);
        for (size_t r = 0; i && r < bench.count; r++) {
            bool member = false;
            for (size_t k = 0; k < 10; k++)
                member |= rows[k] == r;
            bench.labels[r] = member ? bench.labels[r] : 1 - bench.labels[r];
        }
        values[i] = run_epochs(rows, 10, 2, &count);
        tiny_bench_close(&bench);
    }
    assert_memory_equal(values[0], values[1], count * sizeof(float));
    free(values[0]);
    free(values[1]);
}

static void an_epoch_shows_each_row_once(void **state) {
    (void)state;
    const uint32_t rows[] = {3, 7, 8, 12, 13, 17, 22, 28, 31};
    uint32_t first[9];
    struct run run;
    tiny_bench_open("order", stages, "", &bench);
    begin(&run, rows, 9);
    assert_int_equal(run.fit.steps, 2); /* batches of 8 */
    for (int epoch = 0; epoch < 2; epoch++) {
        thaw_fit_begin_epoch(&run.fit);
        bool seen[64] = {false};
        for (size_t i = 0; i < 9; i++)
            seen[run.fit.order[i]] = true;
        for (size_t i = 0; i < 9; i++)
            assert_true(seen[rows[i]]);
        if (!epoch)
            memcpy(first, run.fit.order, sizeof first);
        else
            assert_memory_not_equal(first, run.fit.order, sizeof first);
        thaw_fit_end_epoch(&run.fit);
    }
    end(&run);
    tiny_bench_close(&bench);
}

/* A new fit that is given state, values and slots goes on to the same bits. */
static void goes_on_within_an_epoch(void **state) {
    (void)state;
    float *values[2];
    size_t count = 0;
    for (int i = 0; i < 2; i++) {
        struct run run;
        tiny_bench_open("on", stages, "", &bench);
        begin(&run, NULL, bench.count);
        thaw_fit_begin_epoch(&run.fit);
        for (int step = 0; step < run.fit.steps; step++) {
            if (i && step == 2) {
                struct thaw_fit_options options = run.fit.o;
                thaw_fit_finish(&run.fit);
                assert_ok(thaw_fit_init(&options, &run.fit));
                thaw_fit_begin_epoch(&run.fit);
            }
            assert_ok(thaw_fit_step(&run.fit));
        }
        end(&run);
        values[i] = tiny_bench_values(&bench, &count);
        tiny_bench_close(&bench);
    }
    assert_memory_equal(values[0], values[1], count * sizeof(float));
    free(values[0]);
    free(values[1]);
}

/* A step whose batch goes through the network in parts is the whole step, whatever their size. */
static void parts_make_the_step(void **state) {
    (void)state;
    static const char in_parts[] = "  - {train: [all], lr: 1x, epochs: 2, norm: eval}\n";
    float *whole = NULL;
    for (int part = 0; part < 8; part++) { /* 0: the batch of 8 */
        size_t count = 0;
        tiny_bench_open("parts", in_parts, "loss: {label_smoothing: 0.1}", &bench);
        bench.config.stages[0].part = part;
        struct run run;
        begin(&run, NULL, bench.count - 1); /* a last batch of 3, too */
        thaw_fit_begin_epoch(&run.fit);
        for (int step = 0; step < run.fit.steps; step++)
            assert_ok(thaw_fit_step(&run.fit));
        end(&run);
        float *values = tiny_bench_values(&bench, &count);
        for (size_t i = 0; part && i < count; i++)
            if (fabs((double)values[i] - (double)whole[i]) > 1e-5 + 1e-4 * fabs((double)whole[i]))
                fail_msg("parts of %d: value %zu is %g, whole: %g", part, i, (double)values[i],
                         (double)whole[i]);
        if (part)
            free(values);
        else
            whole = values;
        tiny_bench_close(&bench);
    }
    free(whole);
}

static void evaluates_the_rows(void **state) {
    (void)state;
    const uint32_t rows[] = {0, 2, 20, 21, 22, 30, 31, 32, 33, 34, 35};
    struct run run;
    struct thaw_metrics metrics;
    tiny_bench_open("evaluate", stages, "", &bench);
    begin(&run, rows, 11);
    assert_ok(thaw_metrics_init(&run.session.arena, 2, &metrics));
    assert_ok(thaw_fit_evaluate(&run.fit, NULL, NULL, &metrics));
    uint64_t of_class[2] = {0, 0};
    for (size_t i = 0; i < 11; i++)
        of_class[bench.labels[rows[i]]]++;
    for (int c = 0; c < 2; c++)
        assert_int_equal(metrics.confusion[2 * c] + metrics.confusion[2 * c + 1], of_class[c]);
    end(&run);
    tiny_bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_rows_or_none_named),       cmocka_unit_test(other_rows_take_no_part),
        cmocka_unit_test(an_epoch_shows_each_row_once), cmocka_unit_test(goes_on_within_an_epoch),
        cmocka_unit_test(parts_make_the_step),          cmocka_unit_test(evaluates_the_rows),
    };
    return cmocka_run_group_tests_name("train/fit", tests, set_up, NULL);
}
