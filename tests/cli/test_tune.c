/* thaw tune as a user meets it: the table, JSON, the file, which all commands then use; experiments
 * and runs; damaged and stale files; interruption; usage errors. */
#include <jansson.h>
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

static int set_up(void **state) {
    (void)state;
    setenv("THAW_CACHE", tiny_path("cache"), 1);
    unsetenv("THAW_TUNING");
    tiny_make();
    return 0;
}

static json_t *parse(const struct test_process *process) {
    json_error_t error;
    if (process->exit_code)
        fail_msg("thaw tune: %s", process->errors);
    json_t *root = json_loads(process->output, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s at %d", error.text, error.line);
    return root;
}

static const char *text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static char *read_text(const char *path) {
    struct thaw_map map = {0};
    assert_ok(thaw_map_open(path, &map));
    char *file = strndup((const char *)map.bytes, map.size_bytes);
    thaw_map_close(&map);
    assert_non_null(file);
    return file;
}

/* What is tuned is right, and nothing that is right is clearly faster. */
static void check_problem(const json_t *problem) {
    assert_true(json_is_true(json_object_get(problem, "complete")));
    const json_t *tuned = json_object_get(problem, "tuned");
    assert_string_equal(text(tuned, "result"), "right");
    size_t i;
    json_t *candidate;
    json_array_foreach(json_object_get(problem, "candidates"), i, candidate) {
        assert_string_not_equal(text(candidate, "result"), "wrong");
        assert_string_not_equal(text(candidate, "result"), "failed");
        assert_true(number(candidate, "time_s") > 0.96 * number(tuned, "time_s"));
    }
}

/* conv1, conv2 and fc; backward has no gradient of the picture. Products come besides. */
static size_t count_convolutions(const json_t *root) {
    size_t i, count = 0;
    json_t *problem;
    json_array_foreach(json_object_get(root, "problems"), i, problem) count +=
        strncmp(text(problem, "problem"), "conv ", 5) == 0;
    return count;
}

static void dry_run(void **state) {
    (void)state;
    for (int training = 0; training < 2; training++) {
        struct test_process tune =
            TEST_THAW(NULL, "tune", tiny_path("tiny.yaml"), "--json", "--dry-run", "--batch", "2",
                      training ? "--training" : "--quiet");
        json_t *root = parse(&tune), *problem;
        size_t i;
        json_array_foreach(json_object_get(root, "problems"), i, problem) check_problem(problem);
        assert_true(json_is_null(json_object_get(root, "remembered_in")));
        assert_true(number(root, "usual_s") >= number(root, "tuned_s"));
        /* training's forward keeps apart what inference folds and fuses */
        assert_in_range(count_convolutions(root), training ? 8 : 3, training ? 11 : 3);
        json_decref(root);
        test_process_finish(&tune);
    }
    assert_false(thaw_path_exists(tiny_path("cache/tuning")));
}

/* The file says what the document says. */
static void check_file(const json_t *root, const char *file) {
    size_t i;
    json_t *problem;
    assert_non_null(strstr(file, "\nthaw_tuning: 2\n"));
    json_array_foreach(json_object_get(root, "problems"), i, problem) {
        char line[512];
        snprintf(line, sizeof line, "\n  %s: {candidate: %s", text(problem, "problem"),
                 text(json_object_get(problem, "tuned"), "candidate"));
        assert_non_null(strstr(file, line));
    }
}

static void remembered(void **state) {
    (void)state;
    const char *model = tiny_path("tiny.yaml");
    struct test_process tune = TEST_THAW(NULL, "tune", model, "--json", "--batch", "2");
    json_t *root = parse(&tune);
    char *path = strdup(text(root, "remembered_in")), *file = read_text(path);
    assert_ptr_equal(strstr(path, tiny_path("cache/tuning/")), path);
    check_file(root, file);
    json_decref(root);
    test_process_finish(&tune);

    tune = TEST_THAW(NULL, "tune", model, "--batch", "2", "-o", tiny_path("mine.yaml"), "-v");
    assert_int_equal(tune.exit_code, 0);
    assert_non_null(strstr(tune.output, "all of them: "));
    assert_non_null(strstr(tune.output, "\n  * "));
    char line[600];
    snprintf(line, sizeof line, "remembered in %s\n", tiny_path("mine.yaml"));
    assert_non_null(strstr(tune.output, line));
    assert_null(strstr(tune.output, "not measured"));
    test_process_finish(&tune);
    char *again = read_text(path);
    assert_string_equal(again, file);
    assert_true(thaw_path_exists(tiny_path("mine.yaml")));
    free(again);
    free(file);
    free(path);
}

/* Every choice for a convolution in `file` made another. */
static char *with_candidate(const char *file, const char *name) {
    struct thaw_text changed = {0};
    for (const char *at; (at = strstr(file, "\n  conv ")); file = at) {
        at = strstr(at, "candidate: ") + strlen("candidate: ");
        thaw_text_append_bytes(&changed, file, (size_t)(at - file));
        thaw_text_append(&changed, "%s", name);
        const char *variant = ", variant: {";
        at += strcspn(at, ",");
        if (strncmp(at, variant, strlen(variant)) == 0)
            at = strchr(at, '}') + 1;
    }
    thaw_text_append(&changed, "%s", file);
    assert_false(changed.failed);
    return changed.text;
}

/* Which kernels were built tells what was chosen. */
static void expect_simple(const char *model, bool is_simple) {
    struct test_process bench = TEST_THAW(NULL, "bench", model, "--batch", "2", "-v");
    assert_int_equal(bench.exit_code, 0);
    if ((strstr(bench.errors, "built conv_simple.cl") != NULL) != is_simple)
        fail_msg("%s by 'simple':\n%s", is_simple ? "not computed" : "computed", bench.errors);
    test_process_finish(&bench);
}

static void used_and_refused(void **state) {
    (void)state;
    const char *model = tiny_path("tiny.yaml");
    struct test_process tune = TEST_THAW(NULL, "tune", model, "--json", "--batch", "2");
    json_t *root = parse(&tune);
    char *path = strdup(text(root, "remembered_in")), *file = read_text(path);
    json_decref(root);
    test_process_finish(&tune);
    char *simple = with_candidate(file, "simple"), *wrong = with_candidate(file, "simpel");
    assert_ok(thaw_file_write(path, simple, strlen(simple)));
    expect_simple(model, true);
    assert_ok(thaw_file_write(path, wrong, strlen(wrong)));
    expect_simple(model, false);
    struct test_process bench = TEST_THAW(NULL, "bench", model, "--batch", "2", "--quiet");
    assert_int_equal(bench.exit_code, 0);
    assert_non_null(strstr(bench.errors, "remembered measurements are ignored"));
    assert_non_null(strstr(bench.errors, path));
    assert_non_null(strstr(bench.errors, ": unknown candidate 'simpel' (nearest: 'simple'"));
    test_process_finish(&bench);

    char *build = strstr(file, "build: \"thaw ");
    assert_non_null(build);
    build[8]++; /* "uhaw" */
    assert_ok(thaw_file_write(path, file, strlen(file)));
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--batch", "2", "--quiet"), 0, NULL);
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--batch", "2", "-v"), 0, "of another build");
    free(simple);
    free(wrong);
    free(file);
    free(path);
}

static void experiments_and_runs(void **state) {
    (void)state;
    const char *config = tiny_experiment("tuned", tiny_stages, "");
    struct test_process tune = TEST_THAW(NULL, "tune", config, "--json", "--set", "batch=4");
    json_t *root = parse(&tune), *problem;
    size_t i, backward = 0;
    json_array_foreach(json_object_get(root, "problems"), i, problem) {
        bool conv = strncmp(text(problem, "problem"), "conv ", 5) == 0;
        assert_true(!conv || strstr(text(problem, "problem"), " n4 "));
        backward += strstr(text(problem, "problem"), "backward") != NULL;
    }
    assert_true(backward > 0);
    json_decref(root);
    test_process_finish(&tune);

    test_expect_exit(TEST_THAW(NULL, "train", config, "--quiet"), 0, NULL);
    tune = TEST_THAW(NULL, "tune", tiny_path("runs/tuned"), "--quiet");
    assert_int_equal(tune.exit_code, 0);
    assert_non_null(strstr(tune.output, "remembered in"));
    test_process_finish(&tune);
    test_expect_exit(TEST_THAW(NULL, "tune", config, "--batch", "4"), 2, "--set batch=16");
}

/* Ctrl-C: what was measured is kept, and the file is whole. */
static void interrupted(void **state) {
    (void)state;
    const char *output = tiny_path("interrupted.yaml");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        assert_non_null(freopen("/dev/null", "w", stdout));
        assert_non_null(freopen("/dev/null", "w", stderr));
        execl(getenv("THAW_BINARY"), "thaw", "tune", "resnet18", "--size", "32", "--seconds", "600",
              "-o", output, (char *)NULL);
        _exit(99);
    }
    int code = 0;
    while (!thaw_path_exists(output)) {
        assert_int_equal(waitpid(child, &code, WNOHANG), 0);
        usleep(20000);
    }
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_true(WIFEXITED(code));
    assert_int_equal(WEXITSTATUS(code), 130);
    char variable[600];
    snprintf(variable, sizeof variable, "THAW_TUNING=%s", output);
    test_expect_exit(TEST_THAW(((const char *const[]){variable, NULL}), "bench",
                               tiny_path("tiny.yaml"), "--batch", "2", "--quiet"),
                     0, NULL);
    char *file = read_text(output);
    assert_non_null(strstr(file, "{candidate: "));
    assert_int_equal(file[strlen(file) - 1], '\n');
    free(file);
}

static void usage_errors(void **state) {
    (void)state;
    const char *model = tiny_path("tiny.yaml");
    test_expect_exit(TEST_THAW(NULL, "tune", model, "--seconds", "0"), 2, "--seconds");
    test_expect_exit(TEST_THAW(NULL, "tune", model, "--seconds", "-5"), 2, "--seconds");
    test_expect_exit(TEST_THAW(NULL, "tune", "resnet81"), 2, "resnet18");
    test_expect_exit(TEST_THAW(NULL, "tune", model, "--set", "batch=2"), 2, "is a model");
    test_expect_exit(TEST_THAW(NULL, "tune", model, "--second", "5"), 2, "--seconds");
    test_expect_exit(TEST_THAW(NULL, "tune", model, "--batch", "2", "-o", "/dev/null/x"), 1,
                     "/dev/null");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dry_run),          cmocka_unit_test(remembered),
        cmocka_unit_test(used_and_refused), cmocka_unit_test(experiments_and_runs),
        cmocka_unit_test(interrupted),      cmocka_unit_test(usage_errors),
    };
    return cmocka_run_group_tests_name("cli/tune", tests, set_up, NULL);
}
