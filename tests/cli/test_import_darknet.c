/* `thaw import NET.cfg` as a user meets it, up to a training that starts from what it wrote. The
 * numbers are tests/io/test_darknet.c's business. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "io/weights.h"
#include "support/darknet.h"
#include "support/process.h"
#include "support/tiny.h"

/* Writes NAME.cfg and NAME.weights: a small residual network that ends in a detection head's
 * convolution or, for photos, in a classifier of three. */
static void write_network(const char *name, bool detector) {
    struct darknet *net = darknet_new(3, 16, 0, 2);
    char file[64];
    DARKNET_CONV(net, .filters = 8, .size = 3, .stride = 2, .pad = true, .batch_normalize = true,
                 .activation = "leaky");
    DARKNET_CONV(net, .filters = 16, .size = 3, .stride = 2, .pad = true, .batch_normalize = true,
                 .activation = "leaky");
    DARKNET_CONV(net, .filters = 16, .size = 3, .pad = true, .batch_normalize = true,
                 .activation = "leaky");
    darknet_shortcut(net, -2, "linear");
    DARKNET_CONV(net, .filters = detector ? 18 : 3, .size = 1, .activation = "linear");
    if (detector) {
        thaw_text_append(&net->cfg, "[yolo]\nmask=0,1,2\nclasses=1\n");
    } else {
        darknet_avgpool(net);
        darknet_section(net, "[softmax]\ngroups=1\n");
    }
    snprintf(file, sizeof file, "%s.cfg", name);
    tiny_write(file, net->cfg.text);
    snprintf(file, sizeof file, "%s.weights", name);
    assert_ok(thaw_file_write(tiny_path(file), net->weights.text, net->weights.length));
    darknet_free(net);
}

static int set_up(void **state) {
    (void)state;
    tiny_make();
    write_network("classifier", false);
    write_network("detector", true);
    return 0;
}

static void a_classifier_is_a_model(void **state) {
    (void)state;
    struct test_process import = TEST_THAW(NULL, "import", tiny_path("classifier.cfg"), "--weights",
                                           tiny_path("classifier.weights"), "-o", tiny_path("net"));
    if (import.exit_code)
        fail_msg("import: %s", import.errors);
    assert_non_null(strstr(import.output, "[softmax] left out"));
    assert_non_null(strstr(import.output, "net.safetensors: 17 tensors, 0.0 MB (17 F32), from "
                                          "darknet\n"));
    assert_non_null(strstr(import.output, "net.yaml: in an experiment, model: {graph: "));
    assert_true(thaw_path_exists(tiny_path("net.yaml")));
    assert_true(thaw_path_exists(tiny_path("net.safetensors")));
    test_process_finish(&import);
    tiny_trains_imported("net", "'last:1', head");
}

static void below_a_detection_head_is_one_too(void **state) {
    (void)state;
    const char *cfg = tiny_path("detector.cfg"), *weights = tiny_path("detector.weights");
    test_expect_exit(TEST_THAW(NULL, "import", cfg, "-w", weights, "-o", tiny_path("body")), 2,
                     "[yolo] is a detection head; Thaw imports what lies below it\nhint: --until 5 "
                     "stops before it");
    assert_false(thaw_path_exists(tiny_path("body.yaml")));
    struct test_process import = TEST_THAW(NULL, "import", cfg, "-w", weights, "--until", "4", "-o",
                                           tiny_path("body.safetensors"), "--json");
    if (import.exit_code)
        fail_msg("import: %s", import.errors);
    json_t *root = json_loads(import.output, JSON_REJECT_DUPLICATES, NULL);
    const char *model = NULL, *format = NULL;
    assert_int_equal(json_unpack(root, "{s:s, s:s}", "model", &model, "format", &format), 0);
    assert_string_equal(model, tiny_path("body.yaml"));
    assert_string_equal(format, "darknet");
    assert_int_equal(json_array_size(json_object_get(root, "tensors")), 15);
    assert_int_equal(json_array_size(json_object_get(root, "notes")), 1);
    json_decref(root);
    test_process_finish(&import);
    tiny_trains_imported("body", "'last:1', head");
}

static void a_cfg_alone_is_a_model_without_weights(void **state) {
    (void)state;
    struct test_process import =
        TEST_THAW(NULL, "import", tiny_path("classifier.cfg"), "-q", "-o", tiny_path("alone.yaml"));
    assert_int_equal(import.exit_code, 0);
    assert_string_equal(import.output, "");
    assert_true(thaw_path_exists(tiny_path("alone.yaml")));
    assert_false(thaw_path_exists(tiny_path("alone.safetensors")));
    test_process_finish(&import);
}

static void wrong_words(void **state) {
    (void)state;
    const char *cfg = tiny_path("classifier.cfg");
    test_expect_exit(TEST_THAW(NULL, "import", cfg, "-w", tiny_path("detector.weights"), "-o",
                               tiny_path("wrong")),
                     2, "1020 bytes (255 numbers) are left behind the last layer of ");
    test_expect_exit(TEST_THAW(NULL, "import", cfg, "-w", "no-such.weights", "-o", "x"), 2,
                     "no-such.weights");
    test_expect_exit(TEST_THAW(NULL, "import", tiny_path("detector.weights"), "-o", "x"), 2,
                     "hint: Darknet's weights come in with their network: thaw import NET.cfg "
                     "--weights ");
    test_expect_exit(TEST_THAW(NULL, "import", cfg, "-o", "/no/such/folder/x"), 1,
                     "/no/such/folder/x.yaml");
    test_expect_exit(TEST_THAW(NULL, "import", cfg, "-o", tiny_path("photos/")), 2,
                     "names a folder");
    test_expect_exit(TEST_THAW(NULL, "import", tiny_path("tiny.yaml"), "-w", cfg, "-o", "x"), 2,
                     "--weights goes with a Darknet .cfg, which ");
    assert_false(thaw_path_exists(tiny_path("wrong.yaml")));
    assert_false(thaw_path_exists(tiny_path("wrong.safetensors")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_classifier_is_a_model),
        cmocka_unit_test(below_a_detection_head_is_one_too),
        cmocka_unit_test(a_cfg_alone_is_a_model_without_weights),
        cmocka_unit_test(wrong_words),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
