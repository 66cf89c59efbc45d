/* Pilots leave the graph as it was, see only their rows, and give the same over a cache; folds are
 * stratified. */
#include "train/pilot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "support/tiny.h"
#include "support/tiny_bench.h"
#include "train/folds.h"
#include "train/rewarm.h"

static struct tiny_bench bench;

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

/* ---- folds ---------------------------------------------------------------------------------- */

static const char *const names[] = {"cat", "dog", "owl"};

/* 3 classes of 21, 7 and 3 images, mixed. */
static void make_labels(int labels[31]) {
    for (int i = 0; i < 31; i++)
        labels[i] = i % 5 == 1 ? 1 : i % 8 == 0 ? 2 : 0;
}

static void folds_are_stratified(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    int labels[31], in_class[3] = {0};
    make_labels(labels);
    for (int i = 0; i < 31; i++)
        in_class[labels[i]]++;
    for (int count = 2; count <= 3; count++) {
        struct thaw_folds folds;
        int times[31] = {0};
        assert_ok(thaw_folds_make(&arena, labels, 31, names, 3, count, 5, &folds));
        assert_int_equal(folds.count, count);
        for (int f = 0; f < count; f++) {
            int of_class[3] = {0};
            assert_int_equal(folds.train_count[f] + folds.val_count[f], 31);
            assert_true((int)folds.val_count[f] >= 31 / count &&
                        (int)folds.val_count[f] <= 31 / count + 1);
            for (size_t i = 0; i < folds.val_count[f]; i++) {
                times[folds.val[f][i]]++;
                of_class[labels[folds.val[f][i]]]++;
                assert_true(!i || folds.val[f][i] > folds.val[f][i - 1]);
                for (size_t j = 0; j < folds.train_count[f]; j++)
                    assert_int_not_equal(folds.val[f][i], folds.train[f][j]);
            }
            for (int c = 0; c < 3; c++)
                assert_true(of_class[c] >= in_class[c] / count &&
                            of_class[c] <= in_class[c] / count + 1);
        }
        for (int i = 0; i < 31; i++)
            assert_int_equal(times[i], 1);
    }
    thaw_arena_finish(&arena);
}

static void folds_follow_the_seed(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_folds a, b, c;
    int labels[31];
    make_labels(labels);
    assert_ok(thaw_folds_make(&arena, labels, 31, names, 3, 3, 5, &a));
    assert_ok(thaw_folds_make(&arena, labels, 31, names, 3, 3, 5, &b));
    assert_ok(thaw_folds_make(&arena, labels, 31, names, 3, 3, 6, &c));
    assert_memory_equal(a.train[0], b.train[0], a.train_count[0] * sizeof(uint32_t));
    assert_memory_not_equal(a.train[0], c.train[0], 15 * sizeof(uint32_t));
    assert_fails(thaw_folds_make(&arena, labels, 31, names, 3, 5, 5, &a), THAW_ERROR_INPUT,
                 "class 'owl' has 3 images to train on, too few for 5 folds");
    thaw_arena_finish(&arena);
}

/* ---- pilots --------------------------------------------------------------------------------- */

#define ALL "  - {train: [all], lr: 1x, epochs: 4, norm: train}\n"
#define BODY "  - {train: [body, head], lr: 1x, epochs: 4, norm: train, schedule: cosine}\n"

static void halves(uint32_t train[64], uint32_t val[64], size_t *ret_half) {
    *ret_half = bench.count / 2;
    for (size_t i = 0; i < *ret_half; i++) {
        train[i] = (uint32_t)(2 * i);
        val[i] = (uint32_t)(2 * i + 1);
    }
}

static thaw_status run(struct thaw_pilots *pilots, struct thaw_pilot_result *ret_result) {
    uint32_t train[64], val[64];
    size_t half;
    halves(train, val, &half);
    return thaw_pilot_run(pilots, &bench.config.stages[0], train, half, val, half, ret_result);
}

/* Opens bench and pilots of its stage. */
static void begin(const char *stages, const char *more, int epochs, struct thaw_pilots *pilots) {
    tiny_bench_open("pilot", stages, more, &bench);
    struct thaw_pilot_options options = tiny_bench_pilots(&bench, epochs);
    assert_ok(thaw_pilots_init(&options, bench.config.stages, 1, pilots));
}

static void end(struct thaw_pilots *pilots) {
    thaw_pilots_finish(pilots);
    thaw_pilots_finish(pilots); /* accepts {0} */
    tiny_bench_close(&bench);
}

static void expect_values(const float *before, size_t count) {
    size_t now;
    float *after = tiny_bench_values(&bench, &now);
    assert_int_equal(count, now);
    assert_memory_equal(before, after, count * sizeof *after);
    free(after);
}

static void expect_equal_results(const struct thaw_pilot_result *a,
                                 const struct thaw_pilot_result *b) {
    assert_int_equal(a->steps, b->steps);
    assert_true(a->train_loss == b->train_loss);
    for (int m = 0; m < THAW_METRIC_COUNT; m++)
        assert_true(a->values[m] == b->values[m]);
}

/* Trains in earnest, and twice the same from the same values. */
static void leaves_every_bit(void **state) {
    (void)state;
    const char *const stages[] = {ALL, BODY};
    for (int i = 0; i < 2; i++) {
        struct thaw_pilots pilots;
        struct thaw_pilot_result a, b;
        size_t count;
        begin(stages[i], "augment: [hflip]\n", 2, &pilots);
        assert_int_equal(pilots.start > 0, i); /* the whole network has nothing to cache */
        assert_int_equal(pilots.views, 2);
        float *before = tiny_bench_values(&bench, &count);
        assert_ok(run(&pilots, &a));
        expect_values(before, count);
        assert_ok(run(&pilots, &b));
        expect_values(before, count);
        expect_equal_results(&a, &b);
        assert_int_equal(a.steps, 2 * 3); /* 18 of 36 images, batches of 8 */
        assert_true(a.train_loss > 0 && a.values[THAW_METRIC_TOP1] >= 0.4);
        assert_true(a.cpu_s > 0 && a.wall_s > 0 && !a.diverged);
        free(before);
        end(&pilots);
    }
}

static void a_diverged_pilot_is_a_result(void **state) {
    (void)state;
    struct thaw_pilots pilots;
    struct thaw_pilot_result result;
    size_t count;
    begin("  - {train: [all], lr: 9000, epochs: 4, norm: eval}\n", "", 4, &pilots);
    float *before = tiny_bench_values(&bench, &count);
    assert_ok(run(&pilots, &result));
    assert_true(result.diverged && isnan(result.values[THAW_METRIC_LOSS]));
    expect_values(before, count);
    free(before);
    end(&pilots);
}

static bool asked_and_answers(void *user, const struct thaw_pilot_result *result) {
    const bool *answer = user;
    assert_int_equal(result->halfway[THAW_METRIC_TOP1] >= 0, 1);
    return *answer;
}

/* Asked after half of the epochs; being judged there changes nothing of what follows. */
static void stops_halfway_when_told_to(void **state) {
    (void)state;
    struct thaw_pilots pilots;
    struct thaw_pilot_result unasked, on, off;
    bool yes = true, no = false;
    size_t count;
    begin(BODY, "augment: [hflip]\n", 3, &pilots);
    float *before = tiny_bench_values(&bench, &count);
    assert_ok(run(&pilots, &unasked));
    pilots.goes_on = asked_and_answers;
    pilots.goes_on_user = &yes;
    assert_ok(run(&pilots, &on));
    expect_equal_results(&unasked, &on);
    assert_true(!on.stopped && on.halfway[THAW_METRIC_LOSS] > on.values[THAW_METRIC_LOSS]);
    pilots.goes_on_user = &no;
    assert_ok(run(&pilots, &off));
    assert_true(off.ran && off.stopped && !off.diverged);
    assert_int_equal(off.steps, on.steps / 3); /* one epoch of three */
    assert_true(off.halfway[THAW_METRIC_LOSS] == on.halfway[THAW_METRIC_LOSS]);
    assert_true(isnan(off.values[THAW_METRIC_LOSS]));
    expect_values(before, count);
    free(before);
    end(&pilots);
}

static void an_interrupt_leaves_every_bit(void **state) {
    (void)state;
    struct thaw_pilots pilots;
    struct thaw_pilot_result result = {.steps = -7};
    size_t count;
    begin(ALL, "", 2, &pilots);
    float *before = tiny_bench_values(&bench, &count);
    bench.stop_at = bench.polls + 4;
    assert_fails(run(&pilots, &result), THAW_INTERRUPTED, "interrupted");
    assert_int_equal(result.steps, -7);
    expect_values(before, count);
    free(before);
    end(&pilots);
}

static void cached_and_uncached_agree(void **state) {
    (void)state;
    struct thaw_pilots pilots;
    struct thaw_pilot_result cached, uncached;
    begin(BODY, "", 2, &pilots);
    assert_string_equal(bench.graph->nodes[pilots.start].name, "relu");
    assert_ok(run(&pilots, &cached));
    pilots.start = 0;
    assert_ok(run(&pilots, &uncached));
    assert_float_equal(cached.train_loss, uncached.train_loss, 1e-4);
    assert_float_equal(cached.values[THAW_METRIC_LOSS], uncached.values[THAW_METRIC_LOSS], 1e-3);
    end(&pilots);
}

/* The whole schedule is pressed into the pilot's epochs. */
static void presses_the_schedule(void **state) {
    (void)state;
    struct thaw_session session;
    tiny_bench_open("press", BODY, "", &bench);
    assert_ok(thaw_session_init(&bench.config, &bench.config.stages[0], bench.graph, 36, &session));
    assert_int_equal(session.steps_per_epoch, 5);
    double full[20];
    for (int step = 0; step < 20; step++)
        full[step] = thaw_session_lr_factor(&session, step);
    session.pressed_epochs = 2;
    for (int step = 0; step < 10; step++)
        assert_true(thaw_session_lr_factor(&session, step) == full[2 * step]);
    thaw_session_finish(&session);
    tiny_bench_close(&bench);
}

/* Zero where there is no signal or nothing to relate it to, else positive and repeatable. */
static void gradient_norms(void **state) {
    (void)state;
    struct thaw_pilots pilots;
    double norms[3], again[3];
    size_t count;
    begin(ALL, "", 1, &pilots);
    float *before = tiny_bench_values(&bench, &count);
    assert_ok(thaw_pilot_gradient_norms(&pilots, &bench.config.stages[0], 3, norms));
    expect_values(before, count);                /* running statistics, too */
    assert_true(norms[0] == 0 && norms[1] == 0); /* nothing comes down through a zero head */
    assert_true(norms[2] == 0);                  /* and its own is relative to nothing */
    int weight = thaw_graph_find_param(bench.graph, "fc.weight");
    float values[32];
    test_random(values, 32, 3, -1, 1);
    assert_ok(thaw_param_write(bench.graph, &bench.graph->params[weight], values));
    assert_ok(thaw_pilot_gradient_norms(&pilots, &bench.config.stages[0], 3, norms));
    assert_ok(thaw_pilot_gradient_norms(&pilots, &bench.config.stages[0], 3, again));
    for (int i = 0; i < 3; i++)
        assert_true(norms[i] > 0 && isfinite(norms[i]) && norms[i] == again[i]);
    free(before);
    end(&pilots);
}

/* ---- a warm head for each fold -------------------------------------------------------------- */

static float *rewarm(struct thaw_rewarm *r, const uint32_t *rows, size_t count, size_t *ret_count) {
    assert_ok(thaw_rewarm_run(r, rows, count, "head"));
    return tiny_bench_values(&bench, ret_count);
}

/* The head depends on the rows that it is warmed up on, not on the one that is there; the run's own
 * comes back. */
static void each_fold_has_a_head_of_its_own(void **state) {
    (void)state;
    struct thaw_rewarm r;
    uint32_t even[64], odd[64];
    size_t half, count;
    tiny_bench_open("rewarm",
                    "  - {train: [head], lr: 1x, epochs: 3, cache: true}\n"
                    "  - {train: [body, head], lr: 1x, epochs: 2}\n",
                    "", &bench);
    halves(even, odd, &half);
    struct thaw_pilot_options options = tiny_bench_pilots(&bench, 2);
    options.stage = 1;
    assert_ok(thaw_rewarm_init(&options, &r));
    assert_true(r.possible);
    float *run = tiny_bench_values(&bench, &count), *heads[3];
    heads[0] = rewarm(&r, even, half, &count);
    heads[1] = rewarm(&r, odd, half, &count);
    heads[2] = rewarm(&r, even, half, &count);
    assert_memory_equal(heads[0], heads[2], count * sizeof(float));
    assert_memory_not_equal(heads[0], heads[1], count * sizeof(float));
    assert_memory_not_equal(heads[0], run, count * sizeof(float));
    assert_ok(thaw_rewarm_finish(&r));
    expect_values(run, count);
    for (int i = 0; i < 3; i++)
        free(heads[i]);
    free(run);
    tiny_bench_close(&bench);
}

/* After a stage that trained more than the head there is nothing to go back to. */
static void a_trained_body_keeps_its_head(void **state) {
    (void)state;
    struct thaw_rewarm r;
    uint32_t even[64], odd[64];
    size_t half, count;
    tiny_bench_open("kept",
                    "  - {train: [body, head], lr: 1x, epochs: 1}\n"
                    "  - {train: [all], lr: 1x, epochs: 2}\n",
                    "", &bench);
    halves(even, odd, &half);
    struct thaw_pilot_options options = tiny_bench_pilots(&bench, 2);
    options.stage = 1;
    assert_ok(thaw_rewarm_init(&options, &r));
    assert_false(r.possible);
    float *run = tiny_bench_values(&bench, &count);
    free(rewarm(&r, even, half, &count));
    expect_values(run, count);
    free(run);
    assert_ok(thaw_rewarm_finish(&r));
    tiny_bench_close(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_are_stratified),
        cmocka_unit_test(folds_follow_the_seed),
        cmocka_unit_test(leaves_every_bit),
        cmocka_unit_test(a_diverged_pilot_is_a_result),
        cmocka_unit_test(stops_halfway_when_told_to),
        cmocka_unit_test(an_interrupt_leaves_every_bit),
        cmocka_unit_test(cached_and_uncached_agree),
        cmocka_unit_test(presses_the_schedule),
        cmocka_unit_test(gradient_norms),
        cmocka_unit_test(each_fold_has_a_head_of_its_own),
        cmocka_unit_test(a_trained_body_keeps_its_head),
    };
    return cmocka_run_group_tests_name("train/pilot", tests, set_up, NULL);
}
