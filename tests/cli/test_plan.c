/* thaw plan as a user meets them. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
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
    assert_true(json_is_null(json_object_get(tune, "average")));
    const char *schedule =
        json_string_value(json_object_get(tensor_of(root, 1, "fc.weight"), "schedule"));
    assert_string_equal(schedule, "cosine");
    assert_true(json_is_null(json_object_get(tensor_of(root, 0, "conv2.weight"), "schedule")));
    assert_int_equal(json_integer_value(json_object_get(root, "dead_channels")), 0);
    assert_true(json_integer_value(json_object_get(root, "peak_bytes")) > 0);
    json_decref(root);
    root = plan_of(tiny_path("planned.yaml"), "train.1.norm=frozen");
    expect_tensor(root, 1, "bn2.weight", 0, false);
    expect_tensor(root, 1, "bn2.running_mean", 0, false);
    json_decref(root);
}

/* What fits a limit: batches of 8 in parts, or a refusal that says so. */
static void plans_for_a_limit(void **state) {
    (void)state;
    char set[64];
    static const char stages[] = "  - {stage: tune, train: [all], lr: 1x, epochs: 1, norm: eval}\n";
    json_t *root = plan_of(tiny_experiment("limited", stages, ""), NULL);
    json_int_t peak = json_integer_value(json_object_get(root, "peak_bytes"));
    json_decref(root);
    snprintf(set, sizeof set, "device.memory=%lld", (long long)peak * 3 / 4);
    root = plan_of(tiny_path("limited.yaml"), set);
    json_t *stage = json_array_get(json_object_get(root, "stages"), 0);
    json_t *memory = json_object_get(stage, "memory");
    json_int_t part = json_integer_value(json_object_get(memory, "images_at_once"));
    assert_true(part >= 1 && part < 8);
    assert_true(json_integer_value(json_object_get(root, "peak_bytes")) <= peak * 3 / 4);
    json_decref(root);
    struct test_process plan =
        TEST_THAW(NULL, "plan", tiny_path("limited.yaml"), "-q", "--set", set);
    assert_int_equal(plan.exit_code, 0);
    assert_non_null(strstr(plan.output, "whose gradients add up: device.memory"));
    test_process_finish(&plan);
    plan = TEST_THAW(NULL, "plan", tiny_path("limited.yaml"), "-q", "--set", set, "--set",
                     "train.tune.norm=train");
    assert_int_not_equal(plan.exit_code, 0);
    assert_non_null(strstr(plan.errors, "take their statistics from the whole batch"));
    assert_non_null(strstr(plan.errors, "--set train.tune.batch="));
    test_process_finish(&plan);
}

static void prints_for_people(void **state) {
    (void)state;
    struct test_process plan = TEST_THAW(NULL, "plan", tiny_path("planned.yaml"), "-q");
    assert_int_equal(plan.exit_code, 0);
    assert_string_equal(plan.errors, "");
    assert_non_null(strstr(plan.output, "planned: tiny, input 3 x 16 x 16"));
    assert_non_null(strstr(plan.output, "stage 2 of 2, tune: 3 epochs x 5 steps of 8 images"));
    assert_non_null(strstr(plan.output, "lr 0.1 = 2 x 0.05 x 8/8"));
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

/* What is left to be chosen is planned at its deepest, and says so. */
static void names_what_is_chosen_later(void **state) {
    (void)state;
    const char *config = tiny_experiment("later",
                                         "  - {train: [auto, head], lr: probe, epochs: 10,\n"
                                         "     auto: {depth: [0, 1], also: []}}\n",
                                         "");
    struct test_process plan = TEST_THAW(NULL, "plan", config, "-q");
    assert_int_equal(plan.exit_code, 0);
    assert_non_null(strstr(plan.output, "the depth is chosen when the stage begins: 0, 1; by "
                                        "val.top1 over 3 folds x 4 epochs, one_se; shown as "
                                        "last:1\n"));
    assert_non_null(strstr(plan.output, "the lr is chosen when the stage begins: 0.03x, 0.1x, "
                                        "0.3x, 1x; by the loss after 2 epochs on a fold; shown at "
                                        "1x\n"));
    test_process_finish(&plan);
    plan = TEST_THAW(NULL, "plan", config, "-q", "--json");
    assert_non_null(strstr(plan.output, "\"auto\""));
    test_process_finish(&plan);
}

static void says_where_values_come_from(void **state) {
    (void)state;
    char set[512];
    snprintf(set, sizeof set, "model.weights=%s", tiny_run_file("pretrained", "model.safetensors"));
    json_t *root = plan_of(tiny_path("both.yaml"), set);
    json_t *conv = tensor_of(root, 0, "conv1.weight"), *fc = tensor_of(root, 0, "fc.weight");
    assert_string_equal(json_string_value(json_object_get(conv, "loaded_as")), "conv1.weight");
    assert_true(json_is_null(json_object_get(fc, "loaded_as")));
    assert_true(json_is_true(json_object_get(fc, "new_head")));
    json_decref(root);
    struct test_process plan =
        TEST_THAW(NULL, "plan", tiny_path("both.yaml"), "-q", "-v", "--set", set);
    assert_int_equal(plan.exit_code, 0);
    assert_non_null(strstr(plan.output, "frozen; norm by running statistics; loaded"));
    assert_non_null(strstr(plan.output, "moves with the batches; norm by batch statistics"));
    assert_non_null(strstr(plan.output, "initialised: new head"));
    test_process_finish(&plan);
}

/* Not how long: that it says so, for each stage and with the sums that follow from it. */
static void measures_steps(void **state) {
    (void)state;
    struct test_process plan =
        TEST_THAW(NULL, "plan", tiny_path("planned.yaml"), "--measure", "--json");
    assert_int_equal(plan.exit_code, 0);
    json_t *root = json_loads(plan.output, 0, NULL), *stage;
    size_t index;
    json_array_foreach(json_object_get(root, "stages"), index, stage) {
        json_t *time = json_object_get(stage, "time");
        double step_s = json_real_value(json_object_get(time, "step_s"));
        double epoch_s = json_real_value(json_object_get(time, "epoch_s"));
        double caching_s = json_real_value(json_object_get(time, "caching_s"));
        double total_s = json_real_value(json_object_get(time, "total_s"));
        double epochs = (double)json_integer_value(json_object_get(stage, "epochs"));
        assert_true(step_s > 0 && epoch_s > 5 * step_s);
        assert_true((caching_s > 0) == (index == 0));
        assert_true(fabs(total_s - caching_s - epochs * epoch_s) < 1e-9 + 1e-6 * total_s);
    }
    json_decref(root);
    test_process_finish(&plan);
    struct test_process people = TEST_THAW(NULL, "plan", tiny_path("planned.yaml"), "--measure");
    assert_int_equal(people.exit_code, 0);
    assert_non_null(strstr(people.output, "a step, "));
    assert_non_null(strstr(people.output, "in all, from a few steps on random images"));
    test_process_finish(&people);
    assert_false(thaw_path_exists(tiny_path("runs/planned")));
}

/* Every preset, written out, is the experiment that it was printed from. */
static void expands_a_regime(void **state) {
    (void)state;
    static const char *const regimes[] = {"small_similar", "small_different", "large_similar",
                                          "large_different"};
    char text[2048];
    for (size_t i = 0; i < sizeof regimes / sizeof *regimes; i++) {
        snprintf(text, sizeof text,
                 "regime: %s\nepochs: 0.5x\noutput: %s/runs\nmodel: {graph: %s/tiny.yaml}\n"
                 "data: {format: folder, root: photos, val: 0.25}\n",
                 regimes[i], test_directory(), test_directory());
        tiny_write("preset.yaml", text);
        struct test_process first = TEST_THAW(NULL, "plan", tiny_path("preset.yaml"), "--expand");
        if (first.exit_code)
            fail_msg("%s: %s", regimes[i], first.errors);
        assert_non_null(strstr(first.output, "train:\n"));
        assert_null(strstr(first.output, "regime:"));
        tiny_write("pasted.yaml", first.output);
        struct test_process again = TEST_THAW(NULL, "plan", tiny_path("pasted.yaml"), "--expand");
        assert_string_equal(first.output, again.output);
        json_t *a = plan_of(tiny_path("preset.yaml"), NULL);
        json_t *b = plan_of(tiny_path("pasted.yaml"), NULL);
        assert_true(json_equal(a, b));
        json_decref(a);
        json_decref(b);
        test_process_finish(&first);
        test_process_finish(&again);
    }
    test_expect_exit(TEST_THAW(NULL, "plan", tiny_path("preset.yaml"), "--expand", "--json"), 2,
                     "leave out --json");
}

/* The second stage does not fit: train says so before the first, and leaves no folder. */
static void refuses_what_does_not_fit(void **state) {
    (void)state;
    static const char *const limit[] = {"POCL_MEMORY_LIMIT=1", NULL}; /* GiB */
    const char *config =
        tiny_experiment("large",
                        "  - {stage: small, train: [head], lr: 1x, epochs: 1, cache: true}\n"
                        "  - {stage: huge, train: [all], lr: 1x, epochs: 1, batch: 65536}\n",
                        "");
    struct test_process train = TEST_THAW(limit, "train", config, "-q");
    struct test_process plan = TEST_THAW(limit, "plan", config, "-q");
    assert_int_equal(train.exit_code, 2);
    assert_int_equal(plan.exit_code, 2);
    assert_string_equal(plan.errors, train.errors);
    if (!strstr(train.errors, "large.yaml:") || !strstr(train.errors, "stage 'huge' needs") ||
        !strstr(train.errors, "--set train.huge.batch=32768"))
        fail_msg("%s", train.errors);
    assert_non_null(strstr(plan.output, "stage 2 of 2, huge")); /* shown all the same */
    assert_false(thaw_path_exists(tiny_path("runs/large")));
    test_process_finish(&train);
    test_process_finish(&plan);
    test_expect_exit(TEST_THAW(limit, "plan", config, "--measure", "-q"), 2, "stage 'huge' needs");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_each_tensor),
        cmocka_unit_test(plans_for_a_limit),
        cmocka_unit_test(prints_for_people),
        cmocka_unit_test(refuses_as_train_does),
        cmocka_unit_test(refuses_an_untrained_head),
        cmocka_unit_test(names_what_is_chosen_later),
        cmocka_unit_test(says_where_values_come_from),
        cmocka_unit_test(measures_steps),
        cmocka_unit_test(expands_a_regime),
        cmocka_unit_test(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
