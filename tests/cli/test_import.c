/* `thaw import` as a user meets it. What is in the files is tests/io's business. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "support/process.h"

#define PTH "tests/golden/pth/"

static const char *scratch(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

static void a_checkpoint_for_people(void **state) {
    (void)state;
    const char *out = scratch("a.safetensors");
    struct test_process import = TEST_THAW(NULL, "import", PTH "checkpoint.pth", "-v", "-o", out);
    assert_int_equal(import.exit_code, 0);
    assert_non_null(strstr(import.output, "F32   2x3              0.weight\n"));
    assert_non_null(strstr(import.output, "I64   scalar           1.num_batches_tracked\n"));
    assert_non_null(strstr(import.output, "a.safetensors: 7 tensors, 0.0 MB (1 I64, 6 F32), from "
                                          "torch_zip\n"));
    assert_non_null(strstr(import.output, "entry 'state_dict'\n"));
    assert_non_null(strstr(import.output, "left out, being no weights: epoch, arch, best, optim"));
    assert_string_equal(import.errors, "");
    assert_true(thaw_path_exists(out));
    test_process_finish(&import);
    struct test_process quiet = TEST_THAW(NULL, "import", PTH "legacy.pth", "-q", "-o", out);
    assert_int_equal(quiet.exit_code, 0);
    assert_string_equal(quiet.output, "");
    test_process_finish(&quiet);
}

static void a_checkpoint_for_scripts(void **state) {
    (void)state;
    struct test_process import = TEST_THAW(NULL, "import", "--json", PTH "checkpoint.pth",
                                           "--output", scratch("j.safetensors"));
    assert_int_equal(import.exit_code, 0);
    json_t *root = json_loads(import.output, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    const char *name = NULL, *dtype = NULL, *key = NULL;
    int first = 0, second = 0;
    assert_int_equal(json_unpack(root, "{s:s, s:[{s:s, s:s, s:[i, i]}]}", "checkpoint_key", &key,
                                 "tensors", "name", &name, "dtype", &dtype, "shape", &first,
                                 &second),
                     0);
    assert_string_equal(key, "state_dict");
    assert_string_equal(name, "0.weight");
    assert_string_equal(dtype, "F32");
    assert_true(first == 2 && second == 3);
    assert_int_equal(json_array_size(json_object_get(root, "tensors")), 7);
    json_decref(root);
    test_process_finish(&import);
}

static void wrong_input(void **state) {
    (void)state;
    const char *out = scratch("w.safetensors");
    test_expect_exit(TEST_THAW(NULL, "import"), 2, "thaw import needs an argument");
    test_expect_exit(TEST_THAW(NULL, "import", "a.pth"), 2,
                     "hint: name the new file: thaw import a.pth -o OUT.safetensors");
    test_expect_exit(TEST_THAW(NULL, "import", "no-such.pth", "-o", out), 2, "no-such.pth");
    test_expect_exit(TEST_THAW(NULL, "import", "meson.build", "-o", out), 2,
                     "meson.build: not a weights file that Thaw reads: safetensors (");
    test_expect_exit(TEST_THAW(NULL, "import", PTH "hostile_system.pth", "-o", out), 2,
                     "error: " PTH "hostile_system.pth: the pickle asks for 'posix.system', which "
                     "Thaw does not run");
    assert_false(thaw_path_exists(out));
    test_expect_exit(TEST_THAW(NULL, "import", PTH "zip.pth", "-o", "/no/such/folder/x"), 1,
                     "/no/such/folder/x");
    test_expect_exit(TEST_THAW(NULL, "import", PTH "zip.pth", "-o", "/dev/full/x"), 1, "/dev/full");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_for_people),
        cmocka_unit_test(a_checkpoint_for_scripts),
        cmocka_unit_test(wrong_input),
    };
    return cmocka_run_group_tests_name("cli/import", tests, NULL, NULL);
}
