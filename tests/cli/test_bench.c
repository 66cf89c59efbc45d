/* thaw bench as a user meets it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--repeats", "0"), 2, "--repeats");
    test_expect_exit(TEST_THAW(NULL, "bench", "resnet81"), 2, "resnet18");
    test_expect_exit(TEST_THAW(NULL, "bench", model, "--layer"), 2, "--layers");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),
        cmocka_unit_test(usage_errors),
    };
    return cmocka_run_group_tests_name("cli/bench", tests, set_up, NULL);
}
