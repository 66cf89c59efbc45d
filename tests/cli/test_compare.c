#define _GNU_SOURCE /* memmem */
/* Several experiments at once: the table, its files, failures, resuming; and metrics on a test
 * part. Which experiments a sweep stands for is tests/train/test_sweep.c's. */
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "core/text.h"
#include "support/process.h"
#include "support/tiny.h"

static const char one_stage[] = "  - {stage: tune, train: [all], lr: 1x, epochs: 2, norm: train}\n";

/* cells.csv: of every four photos, two to train, one to validate, one to test. */
static void write_table(void) {
    struct thaw_text text = {0};
    static const char *const sets[] = {"train", "train", "val", "test"};
    thaw_text_append(&text, "path,label,set\n");
    for (int i = 0; i < 2 * TINY_PHOTOS; i++)
        thaw_text_append(&text, "photos/%s/%02d.png,%s,%s\n", i % 2 ? "horizontal" : "vertical",
                         i / 2, i % 2 ? "horizontal" : "vertical", sets[i / 2 % 4]);
    tiny_write("cells.csv", text.text);
    thaw_text_finish(&text);
}

/* An experiment on cells.csv, as <name>.yaml. */
static const char *table_experiment(const char *name, const char *more) {
    char text[2048], file[64];
    snprintf(text, sizeof text,
             "name: %s\noutput: %s/runs\nmodel: {graph: %s/tiny.yaml}\nbatch: 8\n"
             "data: {format: csv, file: cells.csv}\n%s\ntrain:\n%s",
             name, test_directory(), test_directory(), more, one_stage);
    snprintf(file, sizeof file, "%s.yaml", name);
    tiny_write(file, text);
    return tiny_path(file);
}

static int set_up(void **state) {
    (void)state;
    tiny_make();
    write_table();
    return 0;
}

static double real_at(const json_t *object, const char *a, const char *b) {
    return json_number_value(json_object_get(json_object_get(object, a), b));
}

static double mean_of(const json_t *row, const char *part, const char *metric, const char *which) {
    return real_at(json_object_get(row, part), metric, which);
}

/* Mean and standard error of the row against its own runs. */
static void expect_statistics(const json_t *row, size_t count) {
    const json_t *runs = json_object_get(row, "runs");
    double sum = 0, squares = 0;
    assert_int_equal(json_array_size(runs), count);
    for (size_t i = 0; i < count; i++)
        sum += real_at(json_array_get(runs, i), "val", "loss");
    for (size_t i = 0; i < count; i++) {
        double d = real_at(json_array_get(runs, i), "val", "loss") - sum / (double)count;
        squares += d * d;
    }
    assert_true(squares > 0); /* the seeds differ */
    assert_float_equal(mean_of(row, "val", "loss", "mean"), sum / (double)count, 1e-9);
    assert_float_equal(mean_of(row, "val", "loss", "error"),
                       sqrt(squares / (double)(count - 1) / (double)count), 1e-9);
}

static void table_over_seeds(void **state) {
    (void)state;
    const char *path =
        table_experiment("swept", "sweep: {seed: [0, 1, 2], train.tune.lr: [1x, 2x]}");
    struct test_process process = TEST_THAW(NULL, "train", path, "--json");
    if (process.exit_code)
        fail_msg("train: %s", process.errors);
    json_t *root = json_loads(process.output, 0, NULL);
    const json_t *rows = json_object_get(root, "experiments");
    assert_int_equal(json_array_size(rows), 2);
    for (size_t r = 0; r < 2; r++) {
        const json_t *row = json_array_get(rows, r);
        assert_string_equal(json_string_value(json_object_get(row, "name")),
                            r ? "swept-lr=2x" : "swept-lr=1x");
        expect_statistics(row, 3);
        /* conv 3x8x9 and 8x16x9, two norms' scale and shift, fc 16x2 + 2 */
        assert_int_equal(json_integer_value(json_object_get(row, "trained_values")), 1450);
        assert_true(mean_of(row, "test", "top1", "mean") > 0.4);
        assert_true(json_number_value(json_object_get(row, "time_s")) > 0);
    }
    json_t *file = json_load_file(tiny_run_file("swept", "comparison.json"), 0, NULL);
    assert_true(json_equal(root, file));
    json_decref(file);
    json_decref(root);
    test_process_finish(&process);
    assert_true(thaw_path_exists(tiny_run_file("swept-seed=1-lr=2x", "model.safetensors")));
}

/* What was done is skipped, and the table comes out the same. */
static void resumes_complete(void **state) {
    (void)state;
    struct thaw_map before, after;
    const char *table = tiny_run_file("swept", "comparison.md");
    assert_ok(thaw_map_open(table, &before));
    struct test_process process = TEST_THAW(NULL, "train", tiny_path("swept.yaml"), "--resume");
    assert_int_equal(process.exit_code, 0);
    assert_non_null(strstr(process.errors, "experiment 6 of 6: swept-seed=2-lr=2x is complete"));
    assert_non_null(strstr(process.output, "| swept-lr=1x |"));
    assert_non_null(strstr(process.output, "test.top1"));
    assert_non_null(strstr(process.output, "best val.top1: swept-lr="));
    test_process_finish(&process);
    assert_ok(thaw_map_open(table, &after));
    assert_int_equal(before.size_bytes, after.size_bytes);
    assert_memory_equal(before.bytes, after.bytes, before.size_bytes);
    thaw_map_close(&before);
    thaw_map_close(&after);
    test_expect_exit(TEST_THAW(NULL, "train", tiny_path("swept.yaml")), 2, "already a run");
    test_expect_exit(
        TEST_THAW(NULL, "train", tiny_path("swept.yaml"), "--resume", "--set", "batch=4"), 2,
        "the experiment changed since this run began: batch");
}

/* Several files; one that diverges is in the table and does not stop the next. */
static void failures_do_not_stop_the_others(void **state) {
    (void)state;
    const char *bad =
        table_experiment("bad", "optimizer: {type: sgd, momentum: 0.9, weight_decay: 0.9}");
    const char *good = table_experiment("good", "");
    struct test_process process =
        TEST_THAW(NULL, "train", bad, good, "--sweep", "train.tune.lr=0.001,10000", "--json");
    assert_int_equal(process.exit_code, 1);
    assert_non_null(strstr(process.errors, "of 4 experiments failed"));
    json_t *root = json_loads(process.output, 0, NULL);
    assert_true(json_integer_value(json_object_get(root, "failures")) > 0);
    const json_t *rows = json_object_get(root, "experiments");
    assert_int_equal(json_array_size(rows), 4);
    const json_t *run = json_array_get(json_object_get(json_array_get(rows, 1), "runs"), 0);
    assert_false(json_is_true(json_object_get(run, "complete")));
    assert_non_null(strstr(json_string_value(json_object_get(run, "error")), "finite"));
    run = json_array_get(json_object_get(json_array_get(rows, 2), "runs"), 0);
    assert_true(json_is_true(json_object_get(run, "complete")));
    json_decref(root);
    test_process_finish(&process);
    struct thaw_map map;
    assert_ok(thaw_map_open(tiny_run_file("bad+good", "comparison.md"), &map));
    assert_non_null(memmem(map.bytes, map.size_bytes, "failed: bad-lr=10000:", 21));
    assert_non_null(memmem(map.bytes, map.size_bytes, "0 of 1", 6));
    thaw_map_close(&map);
}

/* Of the two files, one is missing; what the command line says is relative to where it stands. */
static const char *swept_files(void) {
    static char text[512];
    snprintf(text, sizeof text, "data.file=%s,no.csv", tiny_path("cells.csv"));
    return text;
}

/* Nothing starts while any of them has a mistake. */
static void all_are_checked_first(void **state) {
    (void)state;
    const char *fine = table_experiment("fine", "");
    const char *wrong = table_experiment("wrong", "augment: [hflop]");
    test_expect_exit(TEST_THAW(NULL, "train", fine, wrong), 2, "nearest: 'hflip'");
    test_expect_exit(TEST_THAW(NULL, "train", fine, "--sweep", "train.0.train=[all],[boddy]"), 2,
                     "nearest: 'body'");
    test_expect_exit(TEST_THAW(NULL, "train", fine, "--sweep", swept_files()), 2, "no.csv");
    test_expect_exit(TEST_THAW(NULL, "train", fine, fine), 2, "two experiments are named 'fine'");
    test_expect_exit(TEST_THAW(NULL, "train", fine, "--sweep", "seed=1,1"), 2, "are named");
    assert_false(thaw_path_exists(tiny_path("runs/fine")));
    test_expect_exit(TEST_THAW(NULL, "train"), 2, "needs an argument");
}

static pid_t start(const char *experiment) {
    pid_t child = fork();
    if (child == 0) {
        execl(getenv("THAW_BINARY"), "thaw", "train", experiment, "-q", (char *)NULL);
        _exit(127);
    }
    return child;
}

/* Ctrl-C in the second of two: the first is kept, the second resumes to the bits of an undisturbed
 * run. */
static void interrupt_and_resume(void **state) {
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s",
             table_experiment("stopped", "sweep:\n  - {name: short}\n"
                                         "  - {name: long, train.tune.epochs: 80}\n"));
    pid_t child = start(path);
    while (!thaw_path_exists(tiny_run_file("stopped-long", "metrics.jsonl")))
        usleep(10000);
    kill(child, SIGINT);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    assert_false(thaw_path_exists(tiny_path("runs/stopped")));
    struct test_process process = TEST_THAW(NULL, "train", path, "--resume");
    assert_int_equal(process.exit_code, 0);
    assert_non_null(strstr(process.errors, "stopped-short is complete already"));
    test_process_finish(&process);

    test_expect_exit(TEST_THAW(NULL, "train", table_experiment("whole", ""), "-q", "--set",
                               "train.tune.epochs=80"),
                     0, NULL);
    struct thaw_map a, b;
    assert_ok(thaw_map_open(tiny_run_file("stopped-long", "model.safetensors"), &a));
    assert_ok(thaw_map_open(tiny_run_file("whole", "model.safetensors"), &b));
    assert_int_equal(a.size_bytes, b.size_bytes);
    assert_memory_equal(a.bytes, b.bytes, a.size_bytes);
    thaw_map_close(&a);
    thaw_map_close(&b);
}

/* ---- parts ---------------------------------------------------------------------------------- */

static void parts_of_the_data(void **state) {
    (void)state;
    const char *run = tiny_path("runs/whole");
    static const struct {
        const char *part;
        int photos;
    } parts[] = {{"train", 24}, {"val", 12}, {"test", 12}};
    json_t *kept = json_load_file(tiny_run_file("whole", "evaluation.json"), 0, NULL);
    for (size_t i = 0; i < 3; i++) {
        struct test_process eval = TEST_THAW(NULL, "eval", run, "--json", "--part", parts[i].part);
        assert_int_equal(eval.exit_code, 0);
        json_t *root = json_loads(eval.output, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(root, "set")), parts[i].part);
        assert_int_equal(json_integer_value(json_object_get(root, "photos")), parts[i].photos);
        if (i > 0) {
            const json_t *part = json_object_get(kept, parts[i].part);
            assert_true(
                json_equal(json_object_get(root, "confusion"), json_object_get(part, "confusion")));
            assert_float_equal(json_number_value(json_object_get(root, "loss")),
                               json_number_value(json_object_get(part, "loss")), 1e-5);
        }
        json_decref(root);
        test_process_finish(&eval);
    }
    json_decref(kept);
    test_expect_exit(TEST_THAW(NULL, "eval", run, "--part", "vol"), 2, "unknown part \"vol\"");
    test_expect_exit(TEST_THAW(NULL, "eval", run, "--part", "val", "--data", tiny_path("photos")),
                     2, "--part is of the run's own data");
    const char *folder = tiny_experiment("folder", one_stage, "");
    struct test_process train = TEST_THAW(NULL, "train", folder);
    assert_int_equal(train.exit_code, 0);
    assert_non_null(strstr(train.output, "recall"));
    assert_null(strstr(train.output, "test:"));
    test_process_finish(&train);
    test_expect_exit(TEST_THAW(NULL, "eval", tiny_path("runs/folder"), "--part", "test"), 2,
                     "36 to train, 12 to validate, 0 to test");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_over_seeds),
        cmocka_unit_test(resumes_complete),
        cmocka_unit_test(failures_do_not_stop_the_others),
        cmocka_unit_test(all_are_checked_first),
        cmocka_unit_test(interrupt_and_resume),
        cmocka_unit_test(parts_of_the_data),
    };
    return cmocka_run_group_tests_name("cli/compare", tests, set_up, NULL);
}
