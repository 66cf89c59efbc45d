/* Sweeps: which experiments they stand for, their names, and what each mistake is told. */
#include "train/sweep.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "support/support.h"

#define BASE "model: {graph: resnet18}\ndata: {format: folder, root: d}\n"
#define STAGES                                                                                     \
    "train:\n  - {stage: warmup, train: [head], lr: 1x, epochs: 2}\n"                              \
    "  - {stage: tune, train: [all], lr: 0.1x, epochs: 3}\n"

static struct thaw_sweep sweep;

static const char *write_file(const char *name, const char *text) {
    static char path[4][256];
    static int next;
    char *file = path[next++ % 4];
    snprintf(file, sizeof path[0], "%s/%s", test_directory(), name);
    assert_ok(thaw_file_write(file, text, strlen(text)));
    return file;
}

static int finish(void **state) {
    (void)state;
    thaw_sweep_finish(&sweep);
    return 0;
}

/* Loads cats.yaml with this text; `words` are "--set" and "--sweep" values, by their first letter.
 */
static thaw_status try_load(const char *text, const char *set, const char *swept) {
    const char *path = write_file("cats.yaml", text);
    struct thaw_sweep_request request = {.paths = &path,
                                         .path_count = 1,
                                         .sets = &set,
                                         .set_count = set ? 1 : 0,
                                         .sweeps = &swept,
                                         .sweep_count = swept ? 1 : 0};
    thaw_sweep_finish(&sweep);
    return thaw_sweep_load(&request, &sweep);
}

static void expect_names(const char *const *names, size_t count) {
    assert_int_equal(sweep.count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(sweep.runs[i].config.name, names[i]);
}
#define EXPECT_NAMES(...)                                                                          \
    expect_names((const char *const[]){__VA_ARGS__},                                               \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void plain_experiment(void **state) {
    (void)state;
    assert_ok(try_load(BASE STAGES, NULL, NULL));
    EXPECT_NAMES("cats");
    assert_false(sweep.is_comparison);
}

static void cross_product(void **state) {
    (void)state;
    assert_ok(
        try_load(BASE STAGES "sweep: {train.1.lr: [0.03x, 0.1x], seed: [0, 1, 2]}\n", NULL, NULL));
    EXPECT_NAMES("cats-lr=0.03x-seed=0", "cats-lr=0.03x-seed=1", "cats-lr=0.03x-seed=2",
                 "cats-lr=0.1x-seed=0", "cats-lr=0.1x-seed=1", "cats-lr=0.1x-seed=2");
    assert_true(sweep.is_comparison);
    assert_string_equal(sweep.name, "cats");
    for (size_t i = 0; i < 6; i++) {
        const struct thaw_config *config = &sweep.runs[i].config;
        assert_int_equal(config->seed, i % 3);
        assert_float_equal(config->stages[1].lr_rules[0].lr.value, i < 3 ? 0.03 : 0.1, 1e-12);
        assert_null(thaw_yaml_get(config->document, "sweep"));
        assert_string_equal(sweep.runs[i].row, i < 3 ? "cats-lr=0.03x" : "cats-lr=0.1x");
        assert_int_equal(sweep.runs[i].group == sweep.runs[0].group, i < 3);
    }
}

static void stages_by_name(void **state) {
    (void)state;
    assert_ok(try_load(BASE STAGES "sweep: {train.tune.lr: [0.3x], train.warmup.epochs: [7]}\n",
                       NULL, NULL));
    EXPECT_NAMES("cats-lr=0.3x-epochs=7");
    assert_int_equal(sweep.runs[0].config.stages[0].epochs, 7);
    assert_float_equal(sweep.runs[0].config.stages[1].lr_rules[0].lr.value, 0.3, 1e-12);
    assert_fails(try_load(BASE STAGES "sweep: {train.tone.lr: [0.3x]}\n", NULL, NULL),
                 THAW_ERROR_INPUT, "nearest: 'tune'");
    assert_fails(try_load(BASE STAGES "sweep: {train.2.lr: [0.3x]}\n", NULL, NULL),
                 THAW_ERROR_INPUT, "cats.yaml:6:15: '2' is no item of a sequence of 2");
}

/* Keys that end alike are written out, values may have names of their own. */
static void names_of_variants(void **state) {
    (void)state;
    assert_ok(try_load(BASE STAGES "sweep:\n  train.0.lr: [1x]\n  train.1.lr: [0.1x]\n"
                                   "  augment: {none: [], flips: [hflip, vflip]}\n",
                       NULL, NULL));
    EXPECT_NAMES("cats-train.0.lr=1x-train.1.lr=0.1x-augment=none",
                 "cats-train.0.lr=1x-train.1.lr=0.1x-augment=flips");
    assert_int_equal(sweep.runs[1].config.stages[1].augment->count, 2);
    assert_ok(try_load(BASE STAGES "sweep: {augment: [[], [hflip, {rotate: 5}]]}\n", NULL, NULL));
    EXPECT_NAMES("cats-augment=none", "cats-augment=hflip,rotate5");
}

static void regimes(void **state) {
    (void)state;
    assert_ok(try_load(BASE, "name=pets", "regime=small_similar,large_different"));
    EXPECT_NAMES("pets-regime=small_similar", "pets-regime=large_different");
    assert_int_equal(sweep.runs[0].config.stage_count, 1);
    assert_int_equal(sweep.runs[1].config.stage_count, 2);
    assert_fails(
        try_load(BASE, NULL, "regime=small_similar,large_diferent"), THAW_ERROR_INPUT,
        "--sweep:1:22: there is no built-in 'large_diferent' (nearest: 'large_different')");
    assert_fails(try_load(BASE STAGES, NULL, "regime=small_similar"), THAW_ERROR_INPUT,
                 "writes its stages out");
}

static void list_of_variants(void **state) {
    (void)state;
    static const char text[] = BASE "sweep:\n  - {name: head, regime: small_similar}\n"
                                    "  - {regime: large_similar, batch: 16, seed: 4}\n";
    assert_ok(try_load(text, NULL, NULL));
    EXPECT_NAMES("cats-head", "cats-regime=large_similar-batch=16-seed=4");
    assert_string_equal(sweep.runs[1].row, "cats-regime=large_similar-batch=16");
    assert_int_equal(sweep.runs[1].config.seed, 4);
    assert_ok(try_load(text, NULL, "loss.label_smoothing=0,0.1"));
    assert_int_equal(sweep.count, 4);
    assert_string_equal(sweep.runs[1].config.name, "cats-head-label_smoothing=0.1");
}

/* The command line replaces the file's values of a key, and adds keys. */
static void command_line(void **state) {
    (void)state;
    assert_ok(try_load(BASE STAGES "sweep: {seed: [0, 1, 2]}\n", NULL, "seed=7"));
    EXPECT_NAMES("cats-seed=7");
    assert_ok(try_load(BASE STAGES, NULL, "train.1.lr={head: 1x, all: 0.1x},0.2x"));
    assert_int_equal(sweep.count, 2);
    assert_int_equal(sweep.runs[0].config.stages[1].lr_rule_count, 2);
    assert_string_equal(sweep.runs[0].row, "cats-lr=head1x,all0.1x");
}

static void several_files(void **state) {
    (void)state;
    const char *paths[] = {write_file("a.yaml", BASE STAGES),
                           write_file("b.yaml", "extends: a.yaml\nseed: 3\n"),
                           write_file("c.yaml", "extends: a.yaml\nbatch: 8\n")};
    struct thaw_sweep_request request = {.paths = paths, .path_count = 3};
    thaw_sweep_finish(&sweep);
    assert_ok(thaw_sweep_load(&request, &sweep));
    EXPECT_NAMES("a", "b", "c");
    assert_string_equal(sweep.name, "a+b+c");
    assert_true(sweep.runs[0].group == sweep.runs[1].group);
    assert_true(sweep.runs[0].group != sweep.runs[2].group);
    thaw_sweep_finish(&sweep);
    const char *set = "name=same";
    request.sets = &set;
    request.set_count = 1;
    assert_fails(thaw_sweep_load(&request, &sweep), THAW_ERROR_INPUT,
                 "both experiments are named 'same'");
}

static void mistakes(void **state) {
    (void)state;
    static const struct {
        const char *text, *set, *swept, *message;
    } wrongs[] = {
        {"sweep: {seeds: [0, 1]}\n", NULL, NULL, "nearest: 'seed'"},
        {"sweep: {seed: 0}\n", NULL, NULL, "cats.yaml:6:15: the values of `seed` must be a list"},
        {"sweep: {seed: []}\n", NULL, NULL, "needs values for seed"},
        {"sweep: {seed: [0, many]}\n", NULL, NULL, "cats.yaml:6:19: expected an integer"},
        {"sweep: {seed: [1, 1]}\n", NULL, NULL, "two experiments are named 'cats-seed=1'"},
        {"sweep: {name: [a, b]}\n", NULL, NULL, "`name` can't be swept"},
        {"sweep: all\n", NULL, NULL, "`sweep` must be a mapping, not 'all'"},
        {"sweep: []\n", NULL, NULL, "`sweep` needs values"},
        {"sweep: [seed]\n", NULL, NULL, "a variant of `sweep` must be a mapping"},
        {"sweep: {train.1.lr: [0.1x, 0.1y]}\n", NULL, NULL, "'0.1y' is no learning rate"},
        {"sweep: {seed: [0, 1]}\n", "seed=4", NULL, "`seed` is swept, and --set fixes it"},
        {"", "sweep={seed: [1]}", NULL, "`sweep` stands in a file only"},
        {"", "extends=b.yaml", NULL, "`extends` stands in a file only"},
        {"", NULL, "seed", "expected key.path=value,value"},
        {"", NULL, "seed=0,[", "--sweep:1:"},
        {"", NULL, "train.1..lr=1x", "a key is empty"},
    };
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        char text[1024];
        snprintf(text, sizeof text, BASE STAGES "%s", wrongs[i].text);
        assert_fails(try_load(text, wrongs[i].set, wrongs[i].swept), THAW_ERROR_INPUT,
                     wrongs[i].message);
    }
}

static void too_many(void **state) {
    (void)state;
    struct thaw_text text = {0};
    thaw_text_append(&text, BASE STAGES "sweep:\n");
    const char *const keys[] = {"seed", "batch", "data.seed"};
    for (size_t k = 0; k < 3; k++) {
        thaw_text_append(&text, "  %s: [1", keys[k]);
        for (int i = 2; i <= 11; i++)
            thaw_text_append(&text, ", %d", i);
        thaw_text_append(&text, "]\n");
    }
    assert_fails(try_load(text.text, NULL, NULL), THAW_ERROR_INPUT, "more than 1000 experiments");
    thaw_text_finish(&text);
    char long_name[512];
    snprintf(long_name, sizeof long_name, BASE STAGES "sweep: {optimizer.type: [%0250d]}\n", 1);
    assert_fails(try_load(long_name, NULL, NULL), THAW_ERROR_INPUT, "too long for a folder");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_experiment), cmocka_unit_test(cross_product),
        cmocka_unit_test(stages_by_name),   cmocka_unit_test(names_of_variants),
        cmocka_unit_test(regimes),          cmocka_unit_test(list_of_variants),
        cmocka_unit_test(command_line),     cmocka_unit_test(several_files),
        cmocka_unit_test(mistakes),         cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests_name("train/sweep", tests, NULL, finish);
}
