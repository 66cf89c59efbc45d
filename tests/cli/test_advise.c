/* thaw advise: what it prints and writes for a tiny network, against what is known of it. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vips/vips.h>

#include "core/file.h"
#include "support/process.h"
#include "support/tiny.h"
#include "train/config.h"

static char same[256], output[256];

/* dark/: the same photos at a third of the brightness, and so of the contrast. */
static void make_dark(void) {
    static const char *const classes[] = {"vertical", "horizontal"};
    for (int k = 0; k < 2; k++) {
        char name[64];
        snprintf(name, sizeof name, "dark/%s", classes[k]);
        assert_ok(thaw_path_make_directories(tiny_path(name)));
        for (int i = 0; i < TINY_PHOTOS; i++) {
            VipsImage *photo, *dark, *bytes;
            snprintf(name, sizeof name, "photos/%s/%02d.png", classes[k], i);
            photo = vips_image_new_from_file(tiny_path(name), NULL);
            assert_non_null(photo);
            assert_int_equal(vips_linear1(photo, &dark, 0.33, 0, NULL), 0);
            assert_int_equal(vips_cast_uchar(dark, &bytes, NULL), 0);
            snprintf(name, sizeof name, "dark/%s/%02d.png", classes[k], i);
            assert_int_equal(vips_pngsave(bytes, tiny_path(name), NULL), 0);
            g_object_unref(bytes);
            g_object_unref(dark);
            g_object_unref(photo);
        }
    }
}

/* An experiment on weights that were trained on its own photos. */
static int set_up(void **state) {
    (void)state;
    tiny_make();
    struct test_process train =
        TEST_THAW(NULL, "train", tiny_experiment("source", tiny_stages, "seed: 1"));
    if (train.exit_code)
        fail_msg("train: %s", train.errors);
    test_process_finish(&train);
    char text[1024];
    snprintf(text, sizeof text,
             "model: {graph: tiny.yaml, weights: %s}\nbatch: 8\naugment: []\n"
             "data: {format: folder, root: photos, val: 0.25}\n",
             tiny_run_file("source", "model.safetensors"));
    tiny_write("same.yaml", text);
    snprintf(same, sizeof same, "%s", tiny_path("same.yaml"));
    make_dark();
    snprintf(output, sizeof output, "%s", tiny_path("advised.yaml"));
    return 0;
}

static json_t *advise(const char *const *words) {
    struct test_process process = test_thaw(NULL, words);
    if (process.exit_code)
        fail_msg("exit code %d: %s", process.exit_code, process.errors);
    json_t *root = json_loads(process.output, 0, NULL);
    if (!root)
        fail_msg("no JSON: %s", process.output);
    test_process_finish(&process);
    return root;
}
#define ADVISE(...) advise((const char *const[]){"advise", __VA_ARGS__, "--json", NULL})

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    if (!text)
        fail_msg("there is no text '%s'", key);
    return text;
}
static double number_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        fail_msg("there is no number '%s'", key);
    return json_number_value(value);
}

/* ---- what it says --------------------------------------------------------------------------- */

static void evidence(void **state) {
    (void)state;
    json_t *root = ADVISE(same);
    const json_t *images = json_object_get(root, "images");
    assert_int_equal((int)number_of(images, "train"), 36);
    assert_int_equal((int)number_of(images, "sampled"), 36);
    assert_int_equal((int)number_of(images, "class_min"), 18);
    assert_int_equal((int)number_of(images, "class_max"), 18);
    assert_true(number_of(images, "class_median") == 18);
    const json_t *ladder = json_object_get(root, "ladder");
    static const char *const stages[] = {"stem", "body", "pool"};
    static const int widths[] = {8, 16, 16};
    /* `body` is followed by an activation and the pooling: it is the bottleneck, and no rung. */
    assert_int_equal(json_array_size(ladder), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *rung = json_array_get(ladder, i);
        assert_string_equal(text_of(rung, "stage"), stages[2 * i]);
        assert_int_equal((int)number_of(rung, "features"), widths[2 * i]);
        assert_in_range((int)(1000 * number_of(rung, "accuracy")), 0, 1000);
        assert_true(number_of(rung, "standard_error") > 0);
    }
    const json_t *source = json_object_get(root, "source");
    assert_string_equal(text_of(source, "kind"), "classifier");
    assert_int_equal((int)number_of(source, "classes"), 2);
    assert_int_equal(json_array_size(json_object_get(root, "votes")), 3);
    assert_string_equal(text_of(root, "size"), "small");
    assert_non_null(strstr(text_of(root, "regime"), text_of(root, "similarity")));
    assert_non_null(strstr(text_of(root, "sentence"), "Few photos (36)"));
    assert_true(json_is_null(json_object_get(root, "written")));
    json_decref(root);
}

/* Statistics: near the stored ones for the photos that they were made from, far for others. */
static void statistics(void **state) {
    (void)state;
    char root[300];
    snprintf(root, sizeof root, "data.root=%s", tiny_path("dark"));
    json_t *near = ADVISE(same);
    json_t *far = ADVISE(same, "--set", root);
    const json_t *near_norms = json_object_get(near, "norms"),
                 *far_norms = json_object_get(far, "norms");
    assert_int_equal(json_array_size(json_object_get(near_norms, "layers")), 2);
    assert_true(number_of(far_norms, "median") > 2 * number_of(near_norms, "median"));
    json_decref(near);
    json_decref(far);
}

/* The same words give the same text. */
static void deterministic(void **state) {
    (void)state;
    struct test_process a = TEST_THAW(NULL, "advise", same, "-v", "--images", "20");
    struct test_process b = TEST_THAW(NULL, "advise", same, "-v", "--images", "20");
    assert_int_equal(a.exit_code, 0);
    assert_string_equal(a.output, b.output);
    assert_non_null(strstr(a.output, "regime: small_"));
    assert_non_null(strstr(a.output, "36 images of 2 classes (18 to 18"));
    assert_non_null(strstr(a.output, "in 5 folds of 20 images"));
    test_process_finish(&a);
    test_process_finish(&b);
}

/* Features of the very photos: each class's mean is a source class's. */
static void source_features(void **state) {
    (void)state;
    const char *features = tiny_path("source.safetensors");
    test_expect_exit(
        TEST_THAW(NULL, "features", tiny_path("runs/source"), "--at", "pool", "-q", "-o", features),
        0, NULL);
    json_t *root = ADVISE(same, "--source", features);
    const json_t *source = json_object_get(root, "source");
    assert_string_equal(text_of(source, "kind"), "means");
    assert_int_equal((int)number_of(source, "classes"), 2);
    assert_true(number_of(source, "distance_ratio") < 0.5);
    assert_string_equal(text_of(json_array_get(json_object_get(root, "votes"), 2), "answer"),
                        "similar");
    json_decref(root);
    test_expect_exit(
        TEST_THAW(NULL, "features", tiny_path("runs/source"), "--at", "bn1", "-q", "-o", features),
        0, NULL);
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--source", features), 2,
                     "no features of 16 channels at 'pool'");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--source", tiny_path("none")), 2, "none");
}

/* ---- what it writes ------------------------------------------------------------------------- */

static void written(void **state) {
    (void)state;
    struct thaw_config config;
    unlink(output);
    json_t *root = ADVISE(same, "-o", output, "--set", "seed=5");
    assert_string_equal(text_of(root, "written"), output);
    assert_ok(thaw_config_load(output, NULL, 0, &config));
    assert_string_equal(json_string_value(json_object_get(root, "regime")),
                        thaw_yaml_get(config.document, "regime")->text);
    assert_true(config.stage_count >= 1);
    assert_int_equal(config.seed, 5);
    assert_int_equal(config.stages[0].batch, 8);
    for (size_t i = 0; i < config.stage_count; i++)
        assert_null(config.stages[i].augment); /* `augment: []` was said */
    thaw_config_finish(&config);
    struct test_process plan = TEST_THAW(NULL, "plan", output);
    if (plan.exit_code)
        fail_msg("plan: %s", plan.errors);
    test_process_finish(&plan);
    test_expect_exit(TEST_THAW(NULL, "advise", same, "-o", output), 2, "exists already");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "-q", "-o", output, "--overwrite"), 0, NULL);
    json_decref(root);
}

/* Pilots of all regimes from the same head; the network and the advice are as without. */
static void probe(void **state) {
    (void)state;
    json_t *root = ADVISE(same, "--probe", "--budget", "1h"), *plain = ADVISE(same);
    const json_t *pilots = json_object_get(root, "pilots");
    const json_t *regimes = json_object_get(pilots, "regimes");
    assert_int_equal(json_array_size(regimes), 4);
    assert_true(json_is_true(json_object_get(pilots, "all_epochs")));
    assert_int_equal((int)number_of(pilots, "images"), 36);
    double best = 0, trained = 0;
    for (size_t i = 0; i < 4; i++) {
        const json_t *regime = json_array_get(regimes, i);
        assert_int_equal((int)number_of(regime, "folds"), 3);
        assert_in_range((int)(1000 * number_of(regime, "mean")), 0, 1000);
        best = fmax(best, number_of(regime, "mean"));
        assert_true(number_of(regime, "trained") >= trained);
        trained = number_of(regime, "trained");
        if (!strcmp(text_of(regime, "regime"), text_of(pilots, "best")))
            assert_true(number_of(regime, "difference") == 0);
    }
    /* fc: 2 x 16 + 2; conv2 and bn2; conv1 and bn1 */
    assert_int_equal((int)number_of(json_array_get(regimes, 0), "trained"), 34);
    assert_int_equal((int)trained, 34 + 16 * 8 * 9 + 32 + 8 * 3 * 9 + 16);
    assert_true(best > 0.5);
    assert_true(json_equal(json_object_get(root, "votes"), json_object_get(plain, "votes")));
    assert_true(json_is_null(json_object_get(plain, "pilots")));
    json_decref(plain);
    json_decref(root);
}

/* No time for a single pilot: the advice stands alone. */
static void probe_without_time(void **state) {
    (void)state;
    json_t *root = ADVISE(same, "--probe", "--budget", "0.000001s");
    const json_t *pilots = json_object_get(root, "pilots");
    assert_true(json_is_null(json_object_get(pilots, "best")));
    assert_true(json_is_false(json_object_get(pilots, "advice_holds")));
    json_decref(root);
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--probe", "--budget", "soon"), 2,
                     "'soon' is no time");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--budget", "5min"), 2, "without --probe");
}

/* What the experiment says of training is not looked at. */
static void with_stages(void **state) {
    (void)state;
    char text[1024];
    snprintf(text, sizeof text,
             "extends: same.yaml\ntrain: [{train: [nonsense]}]\noptimizer: {type: adamw}\n"
             "sweep: {seed: [0, 1]}\n");
    tiny_write("trained.yaml", text);
    unlink(output);
    json_decref(ADVISE(tiny_path("trained.yaml"), "-o", output));
    struct thaw_config config;
    assert_ok(thaw_config_load(output, NULL, 0, &config));
    assert_string_equal(thaw_yaml_get(config.stages[0].optimizer, "type")->text, "sgd");
    thaw_config_finish(&config);
}

/* ---- thaw init ------------------------------------------------------------------------------ */

/* The classes of the folder, the name of it, and an experiment that can be planned. */
static void init(void **state) {
    (void)state;
    struct thaw_config config;
    const char *first = tiny_path("first.yaml"), *photos = tiny_path("photos");
    const char *model = tiny_path("tiny.yaml");
    const char *weights = tiny_run_file("source", "model.safetensors");
    struct test_process made =
        TEST_THAW(NULL, "init", photos, "--model", model, "--weights", weights, "-o", first);
    if (made.exit_code)
        fail_msg("init: %s", made.errors);
    assert_non_null(strstr(made.output, "regime: small_"));
    assert_non_null(strstr(made.output, "next: thaw train "));
    test_process_finish(&made);
    assert_ok(thaw_config_load(first, NULL, 0, &config));
    assert_string_equal(config.name, "photos");
    assert_non_null(strstr(config.weights, "model.safetensors"));
    assert_non_null(strstr(thaw_yaml_get(config.data, "root")->text, "/photos"));
    thaw_config_finish(&config);
    struct test_process plan = TEST_THAW(NULL, "plan", first);
    if (plan.exit_code)
        fail_msg("plan: %s", plan.errors);
    test_process_finish(&plan);
    test_expect_exit(TEST_THAW(NULL, "init", photos, "-o", first), 2, "exists already");
}

/* Weights of the cache: the folder's name says of which model. */
static void init_without_weights(void **state) {
    (void)state;
    char cache[300];
    const char *const environment[] = {cache, NULL};
    const char *photos = tiny_path("photos"), *first = tiny_path("second.yaml");
    snprintf(cache, sizeof cache, "THAW_CACHE=%s", tiny_path("cache"));
    assert_ok(thaw_path_make_directories(tiny_path("cache/examples/resnet-8")));
    test_expect_exit(TEST_THAW(environment, "init", photos, "-o", first), 2, "no weights for any");
    test_expect_exit(TEST_THAW(environment, "init", photos, "-o", first, "--model", "resnet18"), 2,
                     "no weights for resnet18");
    test_expect_exit(TEST_THAW(environment, "init", photos, "-o", first, "--weights", "x.pth"), 2,
                     "needs --model");
    test_expect_exit(TEST_THAW(environment, "init", tiny_path("tiny.yaml"), "-o", first), 2,
                     "is no folder");
    test_expect_exit(TEST_THAW(environment, "init", photos, "-o", first, "--model", "resnet18",
                               "--weights", tiny_path("none.pth")),
                     2, "none.pth: does not exist");
    assert_ok(thaw_path_make_directories(tiny_path("cache/examples/resnet18")));
    tiny_write("cache/examples/resnet18/a.pth", "no weights");
    test_expect_exit(TEST_THAW(environment, "init", photos, "-o", first), 2, "resnet18/a.pth");
    assert_false(thaw_path_exists(first));
}

/* ---- failures ------------------------------------------------------------------------------- */

static void refusals(void **state) {
    (void)state;
    test_expect_exit(TEST_THAW(NULL, "advise", tiny_path("none.yaml")), 2, "none.yaml");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--overwrite"), 2, "no effect without -o");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--set", "train.0.lr=1"), 2, "has no effect");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--set", "regime=small_similar"), 2,
                     "has no effect");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--set", "model.weights=~"), 2,
                     "random weights");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--set", "data.val=0.9"), 2,
                     "expected 5 or more");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "-o", same), 2, "asked about");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "-o", tiny_path("photos")), 2, "is a folder");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "-o", tiny_path("no/such")), 2,
                     "does not exist");
    test_expect_exit(TEST_THAW(NULL, "advise", same, "--images", "3"), 2, "--images");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence),      cmocka_unit_test(statistics),
        cmocka_unit_test(deterministic), cmocka_unit_test(source_features),
        cmocka_unit_test(written),       cmocka_unit_test(with_stages),
        cmocka_unit_test(probe),         cmocka_unit_test(probe_without_time),
        cmocka_unit_test(init),          cmocka_unit_test(init_without_weights),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("cli/advise", tests, set_up, NULL);
}
