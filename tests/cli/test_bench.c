/* thaw bench as a user meets it: steps; with --candidates table, JSON, the remembered file; usage
 * errors. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "support/process.h"
#include "support/tiny.h"

static int set_up(void **state) {
    (void)state;
    setenv("THAW_CACHE", tiny_path("cache"), 1);
    tiny_make();
    return 0;
}

static json_t *parse(const struct test_process *process) {
    json_error_t error;
    if (process->exit_code)
        fail_msg("thaw bench: %s", process->errors);
    json_t *root = json_loads(process->output, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s at %d", error.text, error.line);
    return root;
}

static const char *text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

/* Every problem is measured, `best` is the fastest of its right candidates. */
static void check_problem(const json_t *problem) {
    assert_true(json_is_true(json_object_get(problem, "complete")));
    const char *best = text(problem, "best");
    assert_non_null(best);
    double best_s = 1e30, shortest_s = 1e30;
    size_t i;
    json_t *candidate;
    json_array_foreach(json_object_get(problem, "candidates"), i, candidate) {
        assert_string_equal(text(candidate, "result"), "right");
        double time_s = json_real_value(json_object_get(candidate, "time_s"));
        assert_true(time_s > 0);
        assert_true(json_real_value(json_object_get(candidate, "gflops")) > 0);
        shortest_s = time_s < shortest_s ? time_s : shortest_s;
        if (strcmp(text(candidate, "candidate"), best) == 0)
            best_s = time_s;
    }
    assert_true(best_s == shortest_s);
}

/* conv1, conv2 and fc; backward has no gradient of the picture. */
static void candidates_as_json(void **state) {
    (void)state;
    const char *model = tiny_path("tiny.yaml");
    for (int training = 0; training < 2; training++) {
        struct test_process bench = TEST_THAW(NULL, "bench", model, "--candidates", "--json",
                                              "--batch", "2", training ? "--training" : "--quiet");
        json_t *root = parse(&bench);
        json_t *problems = json_object_get(root, "problems"), *problem;
        assert_int_equal(json_array_size(problems), training ? 8 : 3);
        assert_true(json_is_null(json_object_get(root, "remembered_in")));
        size_t i, backward = 0;
        json_array_foreach(problems, i, problem) {
            check_problem(problem);
            assert_true(json_is_false(json_object_get(problem, "remembered")));
            backward += strstr(text(problem, "problem"), "backward") != NULL;
        }
        assert_int_equal(backward, training ? 5 : 0);
        json_decref(root);
        test_process_finish(&bench);
    }
    assert_false(thaw_path_exists(tiny_path("cache/tuning")));
}

static void remembered(void **state) {
    (void)state;
    const char *model = tiny_path("tiny.yaml");
    struct test_process bench =
        TEST_THAW(NULL, "bench", model, "--candidates", "--remember", "--json", "--batch", "2");
    json_t *root = parse(&bench), *problem;
    struct thaw_map map = {0};
    assert_ok(thaw_map_open(text(root, "remembered_in"), &map));
    char *file = strndup((const char *)map.bytes, map.size_bytes);
    thaw_map_close(&map);
    assert_non_null(file);
    size_t i;
    json_array_foreach(json_object_get(root, "problems"), i, problem) {
        char line[512];
        snprintf(line, sizeof line, "\n%s -> %s\n", text(problem, "problem"),
                 text(problem, "best"));
        assert_true(json_is_true(json_object_get(problem, "remembered")));
        assert_non_null(strstr(file, line));
    }
    free(file);

    struct test_process again =
        TEST_THAW(NULL, "bench", model, "--candidates", "--remember", "--batch", "2");
    assert_int_equal(again.exit_code, 0);
    assert_non_null(strstr(again.output, "\n  * "));
    assert_non_null(strstr(again.output, "remembered the best candidate of 3 of 3"));
    assert_non_null(strstr(again.output, text(root, "remembered_in")));
    assert_null(strstr(again.output, "not measured"));
    test_process_finish(&again);
    json_decref(root);
    test_process_finish(&bench);

    /* and the file serves the usual bench */
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--batch", "2", "--quiet"), 0, NULL);
}

/* A step is made of its parts: the median of the whole is no less than the sum of their bests. */
static void steps(void **state) {
    (void)state;
    const char *model = tiny_path("tiny.yaml");
    for (int training = 0; training < 2; training++) {
        struct test_process bench = TEST_THAW(NULL, "bench", model, "--json", "--repeats", "4",
                                              "--batch", "2", training ? "--training" : "--quiet");
        json_t *root = parse(&bench);
        double forward_s = json_real_value(json_object_get(root, "forward_s"));
        double backward_s = json_real_value(json_object_get(root, "backward_s"));
        double update_s = json_real_value(json_object_get(root, "update_s"));
        assert_true(forward_s > 0);
        assert_true(training ? backward_s > 0 && update_s > 0 : backward_s == 0 && update_s == 0);
        assert_true(json_real_value(json_object_get(root, "step_s")) >=
                    (forward_s + backward_s + update_s) * (1 - 1e-9));
        assert_true(json_integer_value(json_object_get(root, "resident_bytes")) >
                    json_integer_value(json_object_get(root, "memory_bytes")));
        json_decref(root);
        test_process_finish(&bench);
    }
}

static void usage_errors(void **state) {
    (void)state;
    const char *model = tiny_path("tiny.yaml");
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--remember"), 2,
                     "--remember needs --candidates");
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--seconds", "5"), 2,
                     "--seconds needs --candidates");
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--candidates", "--layers"), 2,
                     "--layers does not go with --candidates");
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--candidates", "--repeats", "2"), 2,
                     "--repeats does not go with --candidates");
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--candidates", "--conv", "simple"), 2,
                     "--conv does not go with --candidates");
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--candidates", "--seconds", "0"), 2,
                     "--seconds");
    test_expect_exit(TEST_THAW(NULL, "bench", "resnet81", "--candidates"), 2, "resnet18");
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--candidate"), 2, "--candidates");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_as_json),
        cmocka_unit_test(remembered),
        cmocka_unit_test(steps),
        cmocka_unit_test(usage_errors),
    };
    return cmocka_run_group_tests_name("cli/bench", tests, set_up, NULL);
}
