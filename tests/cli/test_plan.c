/* thaw plan and thaw features as a user meets them. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/weights.h"
#include "support/process.h"
#include "support/tiny.h"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

/* ---- plan ----------------------------------------------------------------------------------- */

static json_t *plan_of(const char *config, const char *set) {
    struct test_process plan = set ? TEST_THAW(NULL, "plan", config, "--json", "--set", set)
                                   : TEST_THAW(NULL, "plan", config, "--json");
    if (plan.exit_code)
        fail_msg("plan: %s", plan.errors);
    json_t *root = json_loads(plan.output, 0, NULL);
    assert_non_null(root);
    test_process_finish(&plan);
    return root;
}

static json_t *tensor_of(json_t *root, size_t stage, const char *name) {
    json_t *tensors =
        json_object_get(json_array_get(json_object_get(root, "stages"), stage), "tensors");
    size_t index;
    json_t *tensor;
    json_array_foreach(tensors, index, tensor) {
        if (!strcmp(json_string_value(json_object_get(tensor, "name")), name))
            return tensor;
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static void expect_tensor(json_t *root, size_t stage, const char *name, double lr, bool moves) {
    json_t *tensor = tensor_of(root, stage, name);
    assert_true(fabs(json_real_value(json_object_get(tensor, "lr")) - lr) < 1e-9);
    assert_int_equal(json_is_true(json_object_get(tensor, "trained")), lr > 0);
    assert_int_equal(json_is_true(json_object_get(tensor, "moves")), moves);
}

/* The tiny model's 1x is 0.05 at batch 8. */
static void plans_each_tensor(void **state) {
    (void)state;
    json_t *root = plan_of(tiny_experiment("planned", tiny_stages, ""), NULL);
    assert_int_equal(json_integer_value(json_object_get(root, "parameters")),
                     8 * 27 + 16 + 16 * 72 + 32 + 34);
    expect_tensor(root, 0, "fc.weight", 0.05, false);
    expect_tensor(root, 0, "conv2.weight", 0, false);
    expect_tensor(root, 1, "fc.weight", 0.1, false);
    expect_tensor(root, 1, "conv2.weight", 0.05, false);
    expect_tensor(root, 1, "bn2.running_mean", 0, true);
    expect_tensor(root, 1, "conv1.weight", 0, false);
    expect_tensor(root, 1, "bn1.running_var", 0, false);
    json_t *warmup = json_array_get(json_object_get(root, "stages"), 0);
    json_t *tune = json_array_get(json_object_get(root, "stages"), 1);
    assert_int_equal(json_integer_value(json_object_get(warmup, "steps")), 2 * 5);
    assert_int_equal(json_integer_value(json_object_get(tune, "steps")), 3 * 5);
    json_t *cache = json_object_get(warmup, "cache");
    assert_string_equal(json_string_value(json_object_get(cache, "node")), "pool");
    assert_int_equal(json_integer_value(json_object_get(cache, "bytes")), 48 * 16 * 4);
    assert_true(json_is_null(json_object_get(tune, "cache")));
    assert_true(json_is_null(json_object_get(root, "weights")));
    assert_true(json_integer_value(json_object_get(root, "peak_bytes")) > 0);
    json_decref(root);
    root = plan_of(tiny_path("planned.yaml"), "train.1.norm=frozen");
    expect_tensor(root, 1, "bn2.weight", 0, false);
    expect_tensor(root, 1, "bn2.running_mean", 0, false);
    json_decref(root);
}

static void prints_for_people(void **state) {
    (void)state;
    struct test_process plan = TEST_THAW(NULL, "plan", tiny_path("planned.yaml"), "-q");
    assert_int_equal(plan.exit_code, 0);
    assert_string_equal(plan.errors, "");
    assert_non_null(strstr(plan.output, "planned: tiny, input 3 x 16 x 16"));
    assert_non_null(strstr(plan.output, "stage 2 of 2, tune: 3 epochs x 5 steps of 8 images"));
    assert_non_null(strstr(plan.output, "lr 0.1 (2x at batch 8)"));
    assert_non_null(strstr(plan.output, "frozen; norm by running statistics"));
    assert_null(strstr(plan.output, "bn2.running_mean"));
    test_process_finish(&plan);
    struct test_process details = TEST_THAW(NULL, "plan", tiny_path("planned.yaml"), "-v");
    assert_int_equal(details.exit_code, 0);
    assert_non_null(strstr(details.output, "bn2.running_mean"));
    assert_non_null(strstr(details.output, "moves with the batches"));
    assert_non_null(strstr(details.output, "class_weights: none")); /* defaults written out */
    test_process_finish(&details);
    assert_false(thaw_path_exists(tiny_path("runs/planned")));
}

/* What train refuses, plan refuses in the same words. */
static void refuses_as_train_does(void **state) {
    (void)state;
    const char *stages[] = {
        "  - {train: [bdoy], lr: 1x, epochs: 1}\n",
        "  - {train: [head], lr: 0, epochs: 1}\n",
        "  - {train: [head], lr: 1x, epochs: 1, schedule: cosin}\n",
        "  - {train: [head], lr: 1x, epochs: 1, augment: [hflop]}\n",
        "  - {train: [head], lr: 1x, epochs: 1, optimizer: {type: sgd, momentun: 1}}\n",
        "  - {train: [head], lr: 1x, epochs: 1, schedule: {type: cosine, warmup: 1000}}\n",
    };
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        const char *config = tiny_experiment("refused", stages[i], "");
        struct test_process plan = TEST_THAW(NULL, "plan", config, "-q");
        struct test_process train = TEST_THAW(NULL, "train", config, "-q");
        assert_int_equal(plan.exit_code, 2);
        assert_int_equal(train.exit_code, 2);
        assert_string_equal(plan.errors, train.errors);
        assert_non_null(strstr(plan.errors, "refused.yaml:"));
        test_process_finish(&plan);
        test_process_finish(&train);
    }
    test_expect_exit(TEST_THAW(NULL, "plan", tiny_path("none.yaml"), "-q"), 2, "none.yaml");
    test_expect_exit(TEST_THAW(NULL, "plan", "-q"), 2, "thaw plan needs an argument");
}

/* Pretrained weights below a head that nothing has trained. */
static void refuses_an_untrained_head(void **state) {
    (void)state;
    struct test_process train =
        TEST_THAW(NULL, "train", tiny_experiment("pretrained", tiny_stages, ""), "-q");
    assert_int_equal(train.exit_code, 0);
    test_process_finish(&train);
    const char *config = tiny_experiment("below", "  - {train: [body], lr: 1x, epochs: 1}\n", "");
    char set[512];
    snprintf(set, sizeof set, "model.weights=%s", tiny_run_file("pretrained", "model.safetensors"));
    test_expect_exit(TEST_THAW(NULL, "plan", config, "-q", "--set", set), 2,
                     "would fine-tune conv2.weight below fc.weight, which was never trained");
    struct test_process both =
        TEST_THAW(NULL, "plan", tiny_experiment("both", tiny_stages, ""), "-q", "--set", set);
    assert_int_equal(both.exit_code, 0);
    assert_non_null(strstr(both.output, "10 tensors loaded"));
    test_process_finish(&both);
    test_expect_exit(TEST_THAW(NULL, "plan", config, "-q", "--set", "model.weights=/none.pth"), 2,
                     "/none.pth");
}

/* ---- features ------------------------------------------------------------------------------- */

static void expect_dims(const struct thaw_weights *weights, const char *name, int64_t n, int64_t c,
                        int64_t h) {
    const struct thaw_weight *weight = thaw_weights_find(weights, name);
    assert_non_null(weight);
    assert_int_equal(weight->rank, 4);
    assert_int_equal(weight->dims[0], n);
    assert_int_equal(weight->dims[1], c);
    assert_int_equal(weight->dims[2], h);
    assert_int_equal(weight->dims[3], h);
}

static size_t list_length(const struct thaw_weights *weights, const char *key) {
    const char *text = thaw_weights_get_metadata(weights, key);
    assert_non_null(text);
    json_t *list = json_loads(text, 0, NULL);
    size_t length = json_array_size(list);
    json_decref(list);
    return length;
}

static void features_of_an_experiment(void **state) {
    (void)state;
    const char *config = tiny_path("planned.yaml"), *file = tiny_path("features.safetensors");
    struct test_process features = TEST_THAW(NULL, "features", config, "--at", "pool", "relu_2",
                                             "bn1", "-o", file, "--batch", "7", "-q");
    if (features.exit_code)
        fail_msg("features: %s", features.errors);
    assert_non_null(strstr(features.output, "pool: 48 x 16 x 1 x 1"));
    test_process_finish(&features);
    struct thaw_weights weights = {0};
    assert_ok(thaw_weights_open(file, &weights));
    assert_int_equal(weights.count, 3);
    expect_dims(&weights, "pool", 48, 16, 1);
    expect_dims(&weights, "relu_2", 48, 16, 8);
    expect_dims(&weights, "bn1", 48, 8, 8);
    assert_int_equal(list_length(&weights, "thaw.paths"), 48);
    assert_int_equal(list_length(&weights, "thaw.labels"), 48);
    assert_non_null(strstr(thaw_weights_get_metadata(&weights, "thaw.labels"), "\"horizontal\""));
    assert_non_null(strstr(thaw_weights_get_metadata(&weights, "thaw.sets"), "\"val\""));
    /* pool is the mean of relu_2. */
    static float maps[48 * 16 * 64], means[48 * 16];
    thaw_weight_to_float(thaw_weights_find(&weights, "relu_2"), maps);
    thaw_weight_to_float(thaw_weights_find(&weights, "pool"), means);
    static double expected[48 * 16];
    double sum = 0;
    for (int i = 0; i < 48 * 16; i++) {
        expected[i] = 0;
        for (int p = 0; p < 64; p++)
            expected[i] += (double)maps[i * 64 + p] / 64;
        sum += expected[i];
    }
    assert_true(sum > 0);
    test_compare(means, expected, 48 * 16, 1e-5, 1e-5, "pool");
    thaw_weights_finish(&weights);
}

/* The logits of a run's features are what predict turns into probabilities. */
static void features_of_a_run(void **state) {
    (void)state;
    const char *run = tiny_path("runs/pretrained"), *file = tiny_path("logits.safetensors");
    const char *photo = tiny_path("photos/vertical/03.png");
    struct test_process features =
        TEST_THAW(NULL, "features", run, photo, "--at", "fc", "-o", file, "--json");
    assert_int_equal(features.exit_code, 0);
    test_process_finish(&features);
    struct thaw_weights weights = {0};
    assert_ok(thaw_weights_open(file, &weights));
    expect_dims(&weights, "fc", 1, 2, 1);
    float logits[2];
    thaw_weight_to_float(thaw_weights_find(&weights, "fc"), logits);
    assert_string_equal(thaw_weights_get_metadata(&weights, "thaw.labels"), "[null]");
    thaw_weights_finish(&weights);
    struct test_process predict = TEST_THAW(NULL, "predict", run, photo, "--json");
    json_t *root = json_loads(predict.output, 0, NULL);
    json_t *first = json_array_get(json_object_get(json_array_get(root, 0), "classes"), 0);
    double probability = json_real_value(json_object_get(first, "probability"));
    double expected = 1 / (1 + exp(-fabs((double)logits[0] - (double)logits[1])));
    assert_true(fabs(probability - expected) < 1e-4);
    json_decref(root);
    test_process_finish(&predict);

    struct test_process own = TEST_THAW(NULL, "features", run, "--at", "fc", "-o", file);
    assert_non_null(strstr(own.output, "fc: 48 x 2 x 1 x 1"));
    test_process_finish(&own);
    struct test_process folder =
        TEST_THAW(NULL, "features", tiny_run_file("pretrained", "model.safetensors"), "--at", "fc",
                  "-o", file, "--data", tiny_path("photos"));
    assert_int_equal(folder.exit_code, 0);
    test_process_finish(&folder);
}

static void features_mistakes(void **state) {
    (void)state;
    const char *config = tiny_path("planned.yaml"), *run = tiny_path("runs/pretrained");
    const char *file = tiny_path("none.safetensors"), *photo = tiny_path("photos/vertical/03.png");
    test_expect_exit(TEST_THAW(NULL, "features", config, "-q", "--at", "pol", "-o", file), 2,
                     "tiny has no node 'pol' (nearest: 'pool')");
    test_expect_exit(TEST_THAW(NULL, "features", config, "-q", "--at", "input", "-o", file), 2,
                     "tiny has no node 'input'");
    test_expect_exit(TEST_THAW(NULL, "features", config, "-q", "--at", "pool", "pool", "-o", file),
                     2, "node 'pool' is named twice");
    test_expect_exit(TEST_THAW(NULL, "features", config, "-q", "-o", file), 2,
                     "needs --at NODE...");
    test_expect_exit(TEST_THAW(NULL, "features", config, "-q", "--at", "pool"), 2, "needs -o FILE");
    test_expect_exit(
        TEST_THAW(NULL, "features", run, photo, "-q", "--at", "pool", "-o", file, "--data", "d"), 2,
        "either --data or files");
    test_expect_exit(
        TEST_THAW(NULL, "features", run, "-q", "--at", "pool", "-o", file, "--set", "a=1"), 2,
        "--set changes an experiment");
    test_expect_exit(TEST_THAW(NULL, "features", run, config, "-q", "--at", "pool", "-o", file), 2,
                     "planned.yaml");
    test_expect_exit(TEST_THAW(NULL, "features", tiny_run_file("pretrained", "model.safetensors"),
                               "-q", "--at", "pool", "-o", file),
                     2, "a model file has no photos");
    test_expect_exit(TEST_THAW(NULL, "features", "/nowhere", "-q", "--at", "pool", "-o", file), 2,
                     "/nowhere");
    assert_false(thaw_path_exists(file));
    test_expect_exit(
        TEST_THAW(NULL, "features", run, photo, "-q", "--at", "pool", "-o", "/no/such/f"), 1,
        "/no/such/f");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_each_tensor),         cmocka_unit_test(prints_for_people),
        cmocka_unit_test(refuses_as_train_does),     cmocka_unit_test(refuses_an_untrained_head),
        cmocka_unit_test(features_of_an_experiment), cmocka_unit_test(features_of_a_run),
        cmocka_unit_test(features_mistakes),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
