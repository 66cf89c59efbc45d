/* `thaw export` as a user meets it. What is in the files is tests/io/test_onnx_export.c's. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "onnx.pb-c.h"
#include "support/process.h"
#include "support/tiny.h"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    struct test_process train = TEST_THAW(NULL, "train", tiny_experiment("cli", tiny_stages, ""));
    if (train.exit_code)
        fail_msg("train: %s", train.errors);
    test_process_finish(&train);
    return 0;
}

static const char *metadata(const Thaw__Onnx__ModelProto *model, const char *key) {
    for (size_t i = 0; i < model->n_metadata_props; i++)
        if (!strcmp(model->metadata_props[i]->key, key))
            return model->metadata_props[i]->value;
    fail_msg("no '%s' in the metadata", key);
    return NULL;
}

static Thaw__Onnx__ModelProto *read_model(const char *path) {
    struct thaw_map map;
    assert_ok(thaw_map_open(path, &map));
    Thaw__Onnx__ModelProto *model =
        thaw__onnx__model_proto__unpack(NULL, map.size_bytes, map.bytes);
    thaw_map_close(&map);
    assert_non_null(model);
    return model;
}

static void a_run(void **state) {
    (void)state;
    const char *run = tiny_path("runs/cli"), *out = tiny_path("cli.onnx");
    struct test_process process = TEST_THAW(NULL, "export", run, "-o", out, "--softmax");
    if (process.exit_code)
        fail_msg("export: %s", process.errors);
    assert_non_null(strstr(process.output, "cli.onnx: "));
    assert_non_null(strstr(process.output, "ONNX opset 17, input (batch, "));
    test_process_finish(&process);
    Thaw__Onnx__ModelProto *model = read_model(out);
    assert_string_equal(metadata(model, "classes"), "[\"horizontal\",\"vertical\"]");
    assert_non_null(strstr(metadata(model, "thaw.input"), "{channels: "));
    json_t *how = json_loads(metadata(model, "preprocessing"), 0, NULL);
    assert_true(json_is_array(json_object_get(how, "mean")));
    assert_true(json_integer_value(json_object_get(json_object_get(how, "crop"), "size")) > 0);
    json_decref(how);
    assert_string_equal(model->graph->output[0]->name, "probabilities");
    thaw__onnx__model_proto__free_unpacked(model, NULL);
}

static void for_scripts(void **state) {
    (void)state;
    struct test_process process = TEST_THAW(NULL, "export", "resnet8", "--untrained", "3", "-o",
                                            tiny_path("r8.onnx"), "--fold", "--json");
    assert_int_equal(process.exit_code, 0);
    json_t *root = json_loads(process.output, JSON_REJECT_DUPLICATES, NULL);
    const char *model = NULL;
    int opset = 0, folded = 0, outputs = 0;
    assert_int_equal(json_unpack(root, "{s:s, s:i, s:{s:i, s:i}}", "model", &model, "outputs",
                                 &outputs, "onnx", "opset", &opset, "folded", &folded),
                     0);
    assert_string_equal(model, "resnet8");
    assert_true(opset == 17 && folded > 5 && outputs == 10);
    json_decref(root);
    test_process_finish(&process);
}

/* The model file of an export is the run's, to the bit in its tensors, and predicts like it. */
static void safetensors(void **state) {
    (void)state;
    const char *run = tiny_path("runs/cli"), *out = tiny_path("out.safetensors");
    const char *photo = tiny_path("photos/vertical/00.png");
    test_expect_exit(TEST_THAW(NULL, "export", run, "-o", out, "-q"), 0, NULL);
    tiny_same_tensors(out, tiny_run_file("cli", "model.safetensors"));
    struct test_process a = TEST_THAW(NULL, "predict", run, photo, "--json");
    struct test_process b = TEST_THAW(NULL, "predict", out, photo, "--json");
    assert_int_equal(a.exit_code, 0);
    assert_string_equal(a.output, b.output);
    test_process_finish(&a);
    test_process_finish(&b);
    const char *published = tiny_path("published.safetensors");
    test_expect_exit(TEST_THAW(NULL, "export", "resnet8", "--untrained", "3", "-o", published), 0,
                     NULL);
    test_expect_exit(TEST_THAW(NULL, "export", "resnet8", "-w", published, "-o", out), 0, NULL);
    tiny_same_tensors(out, published);
    struct test_process c = TEST_THAW(NULL, "predict", published, photo);
    assert_int_equal(c.exit_code, 0);
    test_process_finish(&c);
}

static void wrong_input(void **state) {
    (void)state;
    const char *run = tiny_path("runs/cli"), *out = tiny_path("w.onnx");
    test_expect_exit(TEST_THAW(NULL, "export"), 2, "thaw export needs an argument");
    test_expect_exit(TEST_THAW(NULL, "export", run), 2, "does not know where to write");
    test_expect_exit(TEST_THAW(NULL, "export", run, "-o", "x.pb"), 2,
                     "x.pb: its name has to end in .onnx or .safetensors");
    test_expect_exit(TEST_THAW(NULL, "export", "resnet8", "-o", out), 2,
                     "'resnet8' is a model without weights");
    test_expect_exit(TEST_THAW(NULL, "export", "resnet81", "--untrained", "0", "-o", out), 2,
                     "resnet8");
    test_expect_exit(TEST_THAW(NULL, "export", run, "-w", "a.pth", "-o", out), 2,
                     "has its own weights: --weights has no effect");
    test_expect_exit(TEST_THAW(NULL, "export", "resnet8", "-w", "a", "--untrained", "0", "-o", out),
                     2, "either --weights or --untrained");
    test_expect_exit(TEST_THAW(NULL, "export", run, "--fold", "-o", "x.safetensors"), 2,
                     "--fold is for ONNX files");
    test_expect_exit(TEST_THAW(NULL, "export", "resnet8", "-w", "no-such.pth", "-o", out), 2,
                     "no-such.pth");
    test_expect_exit(TEST_THAW(NULL, "export", "no/such/run", "-o", out), 2, "no/such/run");
    assert_false(thaw_path_exists(out));
    test_expect_exit(TEST_THAW(NULL, "export", run, "-o", "/no/such/folder/x.onnx"), 1,
                     "/no/such/folder/x.onnx");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run),
        cmocka_unit_test(for_scripts),
        cmocka_unit_test(safetensors),
        cmocka_unit_test(wrong_input),
    };
    return cmocka_run_group_tests_name("cli/export", tests, set_up, NULL);
}
