/* The depth and the rate of a stage, chosen: the rules on tables, what YAML may say, and that a run
 * that was interrupted chooses and trains the same bits. */
#include "train/auto.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/weights.h"
#include "support/device.h"
#include "support/support.h"
#include "support/tiny.h"
#include "train/probe.h"
#include "train/trainer.h"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

/* ---- the rules ------------------------------------------------------------------------------ */

static void one_standard_error(void **state) {
    (void)state;
    struct thaw_auto_score s[3];
    /* Differences to the best: -0.02, -0.01, -0.03 (mean -0.02, deviation 0.01) for the first. */
    const double clear[] = {0.70, 0.81, 0.75, 0.72, 0.82, 0.78, 0.71, 0.82, 0.76};
    assert_int_equal(thaw_auto_judge(THAW_AUTO_ONE_SE, THAW_METRIC_TOP1, clear, 3, 3, s), 1);
    assert_float_equal(s[0].mean, (0.70 + 0.81 + 0.75) / 3, 1e-12);
    assert_float_equal(s[0].difference, -0.02, 1e-12);
    assert_float_equal(s[0].standard_error, 0.01 / sqrt(3), 1e-12);
    assert_true(!s[0].within && s[1].within && s[1].difference == 0 && s[1].standard_error == 0);

    /* 0.01, -0.03, -0.01: mean -0.01, deviation 0.02, standard error 0.0115: close enough. */
    const double close[] = {0.73, 0.79, 0.77, 0.72, 0.82, 0.78};
    assert_int_equal(thaw_auto_judge(THAW_AUTO_ONE_SE, THAW_METRIC_TOP1, close, 2, 3, s), 0);
    assert_int_equal(thaw_auto_judge(THAW_AUTO_BEST, THAW_METRIC_TOP1, close, 2, 3, s), 1);

    /* As losses the first is the smaller one, and the rest is worse. */
    assert_int_equal(thaw_auto_judge(THAW_AUTO_ONE_SE, THAW_METRIC_LOSS, clear, 3, 3, s), 0);
    assert_float_equal(s[1].difference, -0.02, 1e-12);
}

/* Folds that differ by far more than the depths do: paired differences still tell them apart. */
static void differences_are_paired(void **state) {
    (void)state;
    struct thaw_auto_score s[2];
    const double values[] = {0.50, 0.70, 0.90, 0.52, 0.72, 0.921};
    assert_int_equal(thaw_auto_judge(THAW_AUTO_ONE_SE, THAW_METRIC_TOP1, values, 2, 3, s), 1);
}

static void ties_one_fold_and_divergence(void **state) {
    (void)state;
    struct thaw_auto_score s[3];
    const double equal[] = {0.7, 0.9, 0.8, 0.8, 0.9, 0.7};
    assert_int_equal(thaw_auto_judge(THAW_AUTO_BEST, THAW_METRIC_TOP1, equal, 3, 2, s), 0);
    assert_int_equal(thaw_auto_judge(THAW_AUTO_ONE_SE, THAW_METRIC_TOP1, equal, 3, 2, s), 0);
    const double one[] = {0.7, 0.8, 0.8};
    assert_int_equal(thaw_auto_judge(THAW_AUTO_ONE_SE, THAW_METRIC_TOP1, one, 3, 1, s), 1);
    assert_true(s[2].within && s[0].standard_error == 0);
    const double lost[] = {(double)NAN, 0.9, 0.7, 0.7, (double)NAN, (double)NAN};
    assert_int_equal(thaw_auto_judge(THAW_AUTO_ONE_SE, THAW_METRIC_LOSS, lost, 3, 2, s), 1);
    assert_true(!s[0].usable && s[1].usable && !s[2].usable);
    const double none[] = {(double)NAN, (double)INFINITY};
    assert_int_equal(thaw_auto_judge(THAW_AUTO_ONE_SE, THAW_METRIC_LOSS, none, 2, 1, s), -1);

    const double losses[] = {(double)NAN, 0.5, 0.4, 0.4};
    assert_int_equal(thaw_probe_judge(losses, 4), 2);
    assert_int_equal(thaw_probe_judge(losses, 1), -1);
}

/* ---- YAML ----------------------------------------------------------------------------------- */

#define STAGE(rest) "  - {stage: tune, train: [auto, head], lr: 1x, epochs: 10, " rest "}\n"

static struct thaw_config config;

static thaw_status load(const char *stages) {
    thaw_config_finish(&config);
    return thaw_config_load(tiny_experiment("yaml", stages, ""), NULL, 0, &config);
}

static void defaults_are_written_out(void **state) {
    (void)state;
    assert_ok(load(STAGE("")));
    const struct thaw_auto *a = config.stages[0].automatic;
    const char *const names[] = {"0", "1", "first", "all"}; /* two stages: 2 would be all */
    assert_int_equal(a->candidate_count, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(a->candidates[i].name, names[i]);
    assert_null(a->candidates[0].pattern);
    assert_string_equal(a->candidates[1].pattern, "last:1");
    assert_string_equal(a->candidates[2].pattern, "stem");
    assert_string_equal(a->deepest, "all");
    assert_true(a->folds == 3 && a->epochs == 4 && a->rule == THAW_AUTO_ONE_SE);
    assert_true(a->metric == THAW_METRIC_TOP1 && a->budget_s == 0 && a->also_first);
    struct thaw_text text = {0};
    thaw_yaml_emit(config.document, &text);
    assert_non_null(strstr(text.text, "depth: [0, 1, all]"));
    assert_non_null(strstr(text.text, "budget: none"));
    thaw_text_finish(&text);
    assert_ok(load(STAGE("auto: {depth: [1, 0], also: [], budget: 1.5h, rule: best}")));
    a = config.stages[0].automatic;
    assert_string_equal(a->candidates[0].name, "0"); /* ordered */
    assert_string_equal(a->deepest, "last:1");
    assert_true(a->budget_s == 5400 && a->rule == THAW_AUTO_BEST && !a->also_first);

    assert_ok(load("  - {train: [head], lr: {fc.bias: 1, head: probe}, epochs: 3}\n"));
    const struct thaw_lr_rule *rule = thaw_probe_rule(&config.stages[0]);
    assert_string_equal(rule->pattern, "head");
    assert_true(rule->probe->count == 4 && rule->probe->epochs == 1 && rule->lr.value == 1);
    assert_ok(load("  - {train: [head], lr: {probe: [0.2, 0.1], epochs: 2}, epochs: 3}\n"));
    rule = thaw_probe_rule(&config.stages[0]);
    assert_true(!rule->pattern && rule->probe->rates[0].value == 0.1 && rule->probe->epochs == 2);
}

static void mistakes(void **state) {
    (void)state;
    const struct {
        const char *stage, *message;
    } cases[] = {
        {STAGE("auto: {depths: [1]}"), "(nearest: 'depth'"},
        {STAGE("auto: {depth: [0, 3]}"), "depth 3 is more than the model has: expected 0 to 2, or "
                                         "all (nearest: 2)"},
        {STAGE("auto: {depth: [half]}"), "'half' is no depth: expected how many"},
        {STAGE("auto: {depth: [-1]}"), "'-1' is no depth"},
        {STAGE("auto: {depth: [1, 1]}"), "depth 1 is there twice"},
        {STAGE("auto: {depth: []}"), "names no candidate"},
        {STAGE("auto: {depth: all}"), "a list of depths"},
        {STAGE("auto: {also: [last]}"), "first"},
        {STAGE("auto: {folds: 1}"), "2"},
        {STAGE("auto: {folds: 17}"), "16"},
        {STAGE("auto: {rule: one_sd}"), "(nearest: 'one_se'"},
        {STAGE("auto: {metric: val.top2}"), "(nearest: 'val.top1'"},
        {STAGE("auto: {budget: 10 parsecs}"), "'10 parsecs' is no time: expected a number and a "
                                              "unit, such as 90s, 10min or 1.5h"},
        {STAGE("auto: {budget: 10}"), "is no time"},
        {STAGE("auto: {budget: 0s}"), "is no time"},
        {STAGE("auto: {epochs: 0}"), "1"},
        {"  - {train: [head], lr: 1x, epochs: 1, auto: {}}\n", "has `auto` but does not train it"},
        {"  - {train: [auto], lr: 1x, epochs: 1}\n", "depth 0 would train nothing"},
        {"  - {train: [auto, head], lr: 1x, epochs: 0}\n", "trains `auto` for 0 epochs"},
        {"  - {train: [head], lr: {probe: [0.1x]}, epochs: 1}\n", "at least two rates"},
        {"  - {train: [head], lr: {probe: [0.1x, 0.1]}, epochs: 1}\n", "not both"},
        {"  - {train: [head], lr: {probe: [0.1x, 0.10x]}, epochs: 1}\n", "is there twice"},
        {"  - {train: [head], lr: {probe: [0x, 0.1x]}, epochs: 1}\n", "must be above 0"},
        {"  - {train: [head], lr: {probe: [0.1x, fast]}, epochs: 1}\n", "'fast' is no learning"},
        {"  - {train: [head], lr: {probe: [0.1x, 1x], epoch: 2}, epochs: 1}\n", "'epochs'"},
        {"  - {train: [head], lr: {head: probe, all: probe}, epochs: 1}\n", "probes two rates"},
        {"  - {train: [head], lr: probe, epochs: 0}\n", "probes its lr for 0 epochs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_fails(load(cases[i].stage), THAW_ERROR_INPUT, cases[i].message);
        if (!strstr(thaw_error_message(), "yaml.yaml:"))
            fail_msg("no place: %s", thaw_error_message());
    }
}

/* ---- runs ----------------------------------------------------------------------------------- */

struct follower {
    volatile sig_atomic_t interrupted;
    int stop_at_pilot_step, stop_at_step; /* 0: never */
    int pilot_steps, steps;
    char table[2048];
};

static void on_working(void *user, const char *what, size_t done, size_t total) {
    struct follower *f = user;
    (void)done, (void)total;
    if (strstr(what, "pilot") && ++f->pilot_steps == f->stop_at_pilot_step)
        f->interrupted = 1;
}

static void on_step(void *user, const struct thaw_train_progress *progress) {
    struct follower *f = user;
    (void)progress;
    if (++f->steps == f->stop_at_step)
        f->interrupted = 1;
}

static void on_message(void *user, const char *text) {
    struct follower *f = user;
    if (!strncmp(text, "auto ", 5))
        snprintf(f->table, sizeof f->table, "%s", text);
}

static thaw_status train_with(const char *name, const char *stages, const char *set, bool resume,
                              struct follower *f) {
    struct thaw_config run;
    struct thaw_train_events events = {.user = f,
                                       .interrupted = &f->interrupted,
                                       .on_message = on_message,
                                       .on_working = on_working,
                                       .on_step = on_step};
    struct thaw_train_options options = {.resume = resume};
    THAW_TRY(thaw_config_load(tiny_experiment(name, stages, ""), &set, set != NULL, &run));
    thaw_status status = thaw_train(&run, test_device(), &options, &events);
    thaw_config_finish(&run);
    return status;
}

static thaw_status train(const char *name, const char *stages, bool resume, struct follower *f) {
    return train_with(name, stages, NULL, resume, f);
}

static void expect_same_model(const char *a_run, const char *b_run) {
    struct thaw_map a, b;
    assert_ok(thaw_map_open(tiny_run_file(a_run, "model.safetensors"), &a));
    assert_ok(thaw_map_open(tiny_run_file(b_run, "model.safetensors"), &b));
    assert_int_equal(a.size_bytes, b.size_bytes);
    assert_memory_equal(a.bytes, b.bytes, a.size_bytes);
    thaw_map_close(&a);
    thaw_map_close(&b);
}

static json_t *choices_of(const char *run) {
    json_t *root = json_load_file(tiny_run_file(run, "auto.json"), 0, NULL);
    assert_non_null(root);
    return root;
}

static const char both[] =
    "  - {stage: warmup, train: [head], lr: 1x, epochs: 2, cache: true}\n"
    "  - {stage: tune, train: [auto, head], lr: {head: 1x, all: probe}, epochs: 2,\n"
    "     augment: [hflip], auto: {folds: 2, epochs: 1}}\n"
    "  - {stage: last, train: [head], lr: 1x, epochs: 1}\n";

static void chooses_and_says_why(void **state) {
    (void)state;
    struct follower f = {0};
    assert_ok(train("chosen", both, false, &f));
    json_t *root = choices_of("chosen"), *tune = json_object_get(root, "tune");
    json_t *depth = json_object_get(tune, "depth"), *lr = json_object_get(tune, "lr");
    assert_int_equal(json_object_size(root), 1);
    assert_int_equal(json_array_size(json_object_get(lr, "rates")), 4);
    json_t *candidates = json_object_get(depth, "candidates");
    size_t count = json_array_size(candidates);
    assert_true(count == 3 || count == 4); /* first is there where its gradient is largest */
    for (size_t i = 0; i < count; i++) {
        const json_t *candidate = json_array_get(candidates, i);
        json_t *folds = json_object_get(candidate, "folds");
        const char *given_up = json_string_value(json_object_get(candidate, "given_up"));
        bool ran = json_is_real(json_array_get(folds, 0));
        assert_int_equal(json_array_size(folds), 2);
        assert_int_equal(ran, !given_up || !strcmp(given_up, "first fold"));
        assert_int_equal(json_is_null(json_array_get(folds, 1)), given_up != NULL);
        assert_true(!given_up || i >= 2); /* only what trains the stem */
        assert_int_equal(json_integer_value(json_object_get(candidate, "counted")),
                         given_up ? 0 : 2);
    }
    assert_int_equal(json_array_size(json_object_get(depth, "gradients")), 3);
    assert_non_null(strstr(f.table, "<- chosen"));
    assert_non_null(strstr(f.table, "relative gradient norm: stem "));

    /* freeze.json says what the choice has trained. */
    const char *chosen = json_string_value(json_object_get(depth, "chosen"));
    json_t *freeze = json_load_file(tiny_run_file("chosen", "freeze.json"), 0, NULL);
    json_t *tensors =
        json_object_get(json_array_get(json_object_get(freeze, "stages"), 1), "tensors");
    bool body = json_is_true(json_object_get(json_object_get(tensors, "conv2.weight"), "trained"));
    bool stem = json_is_true(json_object_get(json_object_get(tensors, "conv1.weight"), "trained"));
    assert_int_equal(body, !strcmp(chosen, "1") || !strcmp(chosen, "all"));
    assert_int_equal(stem, !strcmp(chosen, "first") || !strcmp(chosen, "all"));
    json_decref(freeze);
    json_decref(root);
}

static double first_fold(json_t *candidates, size_t i) {
    json_t *folds = json_object_get(json_array_get(candidates, i), "folds");
    return json_number_value(json_array_get(folds, 0));
}

/* `all` starts at the image, and is tried where depth pays among those that don't. */
static void all_is_tried_where_depth_pays(void **state) {
    (void)state;
    const char *const lrs[] = {"{head: 1x, all: 0}", "{head: 0.001, all: 1x}"};
    for (int pays = 0; pays < 2; pays++) {
        char stages[400], name[16];
        struct follower f = {0};
        snprintf(name, sizeof name, "pays%d", pays);
        snprintf(stages, sizeof stages,
                 "  - {stage: warmup, train: [head], lr: 1x, epochs: 1}\n"
                 "  - {stage: tune, train: [auto, head], lr: %s, epochs: 4,\n"
                 "     auto: {folds: 2, epochs: 4, also: [], metric: val.loss}}\n",
                 lrs[pays]);
        assert_ok(train(name, stages, false, &f));
        json_t *root = choices_of(name);
        json_t *candidates =
            json_object_get(json_object_get(json_object_get(root, "tune"), "depth"), "candidates");
        json_t *all = json_array_get(candidates, 2);
        const char *given_up = json_string_value(json_object_get(all, "given_up"));
        assert_int_equal(first_fold(candidates, 1) < first_fold(candidates, 0), pays);
        assert_int_equal(given_up && !strcmp(given_up, "untried"), !pays);
        assert_int_equal(json_integer_value(json_object_get(all, "steps")) > 0, pays);
        assert_int_equal(strstr(f.table, "not tried") != NULL, !pays);
        json_decref(root);
    }
}

/* Interrupted while features are cached, in the probe, in the pilots, right after the choice,
 * later. */
static void resumes_to_the_same_bits(void **state) {
    (void)state;
    const int pilot_stops[] = {1, 9, 30, 0, 0, 0}, stops[] = {0, 0, 0, 11, 15, 21};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        struct follower f = {.stop_at_pilot_step = pilot_stops[i], .stop_at_step = stops[i]},
                        g = {0};
        char name[32];
        snprintf(name, sizeof name, "resumed%zu", i);
        assert_fails(train(name, both, false, &f), THAW_INTERRUPTED, "checkpoint");
        assert_ok(train(name, both, true, &g));
        if (stops[i])
            assert_int_equal(g.pilot_steps, 0); /* a choice that was made is not made again */
        expect_same_model(name, "chosen");
    }
}

static void a_budget_ends_it(void **state) {
    (void)state;
    struct follower f = {0};
    assert_ok(train("budget",
                    "  - {train: [head], lr: 1x, epochs: 1}\n"
                    "  - {stage: tune, train: [auto, head], lr: 1x, epochs: 1,\n"
                    "     auto: {depth: [0, 1], also: [], budget: 0.000001s}}\n",
                    false, &f));
    json_t *root = choices_of("budget");
    json_t *depth = json_object_get(json_object_get(root, "tune"), "depth");
    assert_true(json_is_true(json_object_get(depth, "budget_spent")));
    assert_string_equal(json_string_value(json_object_get(depth, "chosen")), "0");
    json_t *skipped = json_array_get(json_object_get(depth, "candidates"), 1);
    assert_int_equal(json_integer_value(json_object_get(skipped, "counted")), 0);
    assert_true(json_is_null(json_object_get(skipped, "mean")));
    assert_true(json_is_null(json_object_get(depth, "gradients"))); /* nothing trains the stem */
    assert_non_null(strstr(f.table, "skipped: no time left"));
    json_decref(root);
}

/* Found before anything is trained in the stage. */
static void refuses_more_folds_than_images(void **state) {
    (void)state;
    struct follower f = {0};
    assert_fails(
        train_with("folds",
                   "  - {stage: tune, train: [auto, head], lr: 1x, epochs: 1,\n"
                   "     auto: {folds: 16, depth: [0, 1], also: []}}\n",
                   "data.val=0.5", false, &f),
        THAW_ERROR_INPUT,
        "stage 'tune': auto: class 'horizontal' has 12 images to train on, too few for 16");
    assert_int_equal(f.pilot_steps, 0);
}

static void damaged_choices(void **state) {
    (void)state;
    assert_ok(load(STAGE("")));
    struct thaw_stage stage = config.stages[0];
    json_t *choice = json_pack("{s:s}", "chosen", "7");
    assert_fails(thaw_auto_apply(choice, "last.safetensors", &stage), THAW_ERROR_INPUT,
                 "last.safetensors: the depth chosen for stage 'tune' is damaged");
    json_object_set_new(choice, "chosen", json_string("1"));
    assert_ok(thaw_auto_apply(choice, "last.safetensors", &stage));
    assert_string_equal(stage.automatic_pattern, "last:1");
    assert_fails(thaw_auto_apply(NULL, "x", &stage), THAW_ERROR_INPUT, "damaged");
    json_decref(choice);
    thaw_config_finish(&config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_standard_error),
        cmocka_unit_test(differences_are_paired),
        cmocka_unit_test(ties_one_fold_and_divergence),
        cmocka_unit_test(defaults_are_written_out),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(chooses_and_says_why),
        cmocka_unit_test(all_is_tried_where_depth_pays),
        cmocka_unit_test(resumes_to_the_same_bits),
        cmocka_unit_test(a_budget_ends_it),
        cmocka_unit_test(refuses_more_folds_than_images),
        cmocka_unit_test(damaged_choices),
    };
    return cmocka_run_group_tests_name("train/auto", tests, set_up, NULL);
}
