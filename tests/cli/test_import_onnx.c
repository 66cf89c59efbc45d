/* `thaw import NET.onnx` as a user meets it, up to a training that starts from what it wrote. The
 * numbers are tests/io/test_onnx_import.c's business. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "support/process.h"
#include "support/tiny.h"

#define FOLDER "tests/golden/onnx/"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

static void keras_becomes_a_model_to_train(void **state) {
    (void)state;
    struct test_process import = TEST_THAW(NULL, "import", FOLDER "keras.onnx", "-o",
                                           tiny_path("keras"), "--mean", "0.5", "--std", "0.25");
    if (import.exit_code)
        fail_msg("import: %s", import.errors);
    assert_non_null(strstr(import.output, "note: the Softmax at the end is left out"));
    assert_null(strstr(import.output, "ONNX does not say"));
    assert_non_null(strstr(import.output, "keras.safetensors: "));
    assert_non_null(strstr(import.output, "keras.yaml: in an experiment, model: {graph: "));
    test_process_finish(&import);
    tiny_trains_imported("keras", "'last:2', head");
}

static void pytorch_too(void **state) {
    (void)state;
    struct test_process import = TEST_THAW(NULL, "import", FOLDER "residual.onnx", "-o",
                                           tiny_path("residual.safetensors"), "--json");
    if (import.exit_code)
        fail_msg("import: %s", import.errors);
    json_t *root = json_loads(import.output, JSON_REJECT_DUPLICATES, NULL);
    const char *model = NULL, *format = NULL;
    assert_int_equal(json_unpack(root, "{s:s, s:s}", "model", &model, "format", &format), 0);
    assert_string_equal(model, tiny_path("residual.yaml"));
    assert_string_equal(format, "onnx");
    assert_int_equal(json_array_size(json_object_get(root, "notes")), 1);
    json_decref(root);
    test_process_finish(&import);
    tiny_trains_imported("residual", "all");
}

static void wrong_words(void **state) {
    (void)state;
    const char *out = tiny_path("wrong");
    test_expect_exit(TEST_THAW(NULL, "import", "meson.build", "-o", out, "--mean", "0"), 2,
                     "--mean goes with an ONNX file, which meson.build is not");
    test_expect_exit(TEST_THAW(NULL, "import", FOLDER "keras.onnx", "-o", out, "--until", "3"), 2,
                     "--until goes with a Darknet .cfg, which ");
    test_expect_exit(TEST_THAW(NULL, "import", FOLDER "new.onnx", "-o", out), 2,
                     "hint: say height and width with --size");
    tiny_write("none.onnx", "nothing of that kind");
    test_expect_exit(TEST_THAW(NULL, "import", tiny_path("none.onnx"), "-o", out), 2,
                     "none.onnx: byte ");
    assert_false(thaw_path_exists(tiny_path("wrong.yaml")));
    assert_false(thaw_path_exists(tiny_path("wrong.safetensors")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keras_becomes_a_model_to_train),
        cmocka_unit_test(pytorch_too),
        cmocka_unit_test(wrong_words),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
