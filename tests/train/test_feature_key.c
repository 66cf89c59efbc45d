/* Keys of feature caches: what they have and what they leave out. That each ingredient has other
 * features computed is tests/train/test_feature_cache.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/tuning.h"
#include "support/device.h"
#include "support/tiny.h"
#include "train/experiment.h"
#include "train/feature_cache.h"

static struct thaw_config config;
static struct thaw_experiment experiment;
static thaw_loader *loader;
static struct thaw_arena arena;
static struct thaw_feature_options options; /* of the training set */

static int set_up(void **state) {
    (void)state;
    tiny_make();
    setenv("THAW_CACHE", tiny_path("cache"), 1);
    assert_ok(thaw_config_load(
        tiny_experiment("cached", "  - {train: [head], lr: 1x, epochs: 1, cache: true}\n", ""),
        NULL, 0, &config));
    assert_ok(thaw_experiment_open(&config, test_device(), &experiment));
    struct thaw_loader_options load =
        thaw_loader_options_make(&experiment.data, &experiment.input.image);
    assert_ok(thaw_loader_open(experiment.dataset, &load, &loader));
    options = (struct thaw_feature_options){.graph = experiment.graph,
                                            .node = thaw_graph_find_node(experiment.graph, "pool"),
                                            .loader = loader,
                                            .input = &experiment.input,
                                            .batch = 8,
                                            .disk = true};
    options.photos = thaw_loader_set(loader, THAW_SET_TRAIN, &options.count);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    thaw_loader_destroy(&loader);
    thaw_experiment_finish(&experiment);
    thaw_config_finish(&config);
    thaw_arena_finish(&arena);
    return 0;
}

static char *key_of(const struct thaw_feature_options *o) {
    struct thaw_text text = {0};
    assert_ok(thaw_feature_key(o, &text));
    char *key = thaw_arena_copy(&arena, text.text);
    thaw_text_finish(&text);
    return key;
}

static void what_the_network_expects_is_in_the_key(void **state) {
    (void)state;
    struct thaw_feature_options o = options;
    struct thaw_input_spec input = experiment.input;
    const char *key = key_of(&options);
    o.input = &input;
    assert_string_equal(key_of(&o), key);
    input.size = 15;
    assert_string_not_equal(key_of(&o), key);
    input = experiment.input;
    input.image.size++;
    assert_string_not_equal(key_of(&o), key);
    input = experiment.input;
    input.image.mode = THAW_RESIZE_SHORT;
    assert_string_not_equal(key_of(&o), key);
    input = experiment.input;
    input.std[2] *= 1.0000002f;
    assert_string_not_equal(key_of(&o), key);
}

/* The key of the same experiment with another model file or device. */
static const char *key_with(const char *graph, thaw_device *device) {
    struct thaw_config c;
    struct thaw_experiment e;
    struct thaw_feature_options o = options;
    char set[300];
    snprintf(set, sizeof set, "model.graph=%s", tiny_path(graph));
    const char *sets[] = {set};
    assert_ok(thaw_config_load(tiny_path("cached.yaml"), sets, 1, &c));
    assert_ok(thaw_experiment_open(&c, device, &e));
    o.graph = e.graph;
    o.node = thaw_graph_find_node(e.graph, "pool");
    const char *key = key_of(&o);
    thaw_experiment_finish(&e);
    thaw_config_finish(&c);
    return key;
}

static void write_changed_model(const char *name, const char *from, const char *to) {
    struct thaw_map map;
    char text[2048];
    assert_ok(thaw_map_open(tiny_path("tiny.yaml"), &map));
    const char *model = thaw_arena_copy_bytes(&arena, (const char *)map.bytes, map.size_bytes);
    thaw_map_close(&map);
    const char *at = strstr(model, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - model), model, to, at + strlen(from));
    tiny_write(name, text);
}

/* What stands above it, and how the file reads, does not count. */
static void the_model_counts_up_to_the_cut(void **state) {
    (void)state;
    static const char *const above[][2] = {{"  - fc:", "  - dropout: {p: 0.5}\n  - fc:"},
                                           {"{out: 10}", "{out: 10, bias: false}"},
                                           {"features:", "# a comment\nfeatures:"},
                                           {"lr: 0.05", "lr: 0.06"}};
    static const char *const below[][2] = {{"bn1: batchnorm", "bn1: {batchnorm: {eps: 0.002}}"},
                                           {"  - relu\n  - conv2", "  - relu6\n  - conv2"},
                                           {"stride: 2, pad: 1", "stride: 2, pad: [0, 1, 1, 0]"}};
    const char *key = key_with("tiny.yaml", test_device());
    assert_string_equal(key, key_of(&options));
    for (size_t i = 0; i < sizeof above / sizeof *above; i++) {
        write_changed_model("above.yaml", above[i][0], above[i][1]);
        assert_string_equal(key_with("above.yaml", test_device()), key);
    }
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        write_changed_model("below.yaml", below[i][0], below[i][1]);
        assert_string_not_equal(key_with("below.yaml", test_device()), key);
    }
}

/* What decides about single bits on the same device. */
static void block_and_measurements_are_in_the_key(void **state) {
    (void)state;
    int block = experiment.graph->caps.block == 4 ? 8 : 4;
    const char *key = key_of(&options);
    assert_string_not_equal(key_with("tiny.yaml", test_device_block(block)), key);
    const struct thaw_tuning_choice choice = {"simple", 0, 1};
    assert_ok(thaw_tuning_remember(test_device(), "conv of another network", &choice));
    assert_string_not_equal(key_of(&options), key);
}

/* Whether photos stay in memory does not matter. */
static void memory_is_not_in_the_key(void **state) {
    (void)state;
    struct thaw_feature_options o = options;
    struct thaw_loader_options load =
        thaw_loader_options_make(&experiment.data, &experiment.input.image);
    const char *key = key_of(&options);
    load.memory_bytes = 4000; /* 5 photos of 48 */
    assert_ok(thaw_loader_open(experiment.dataset, &load, &o.loader));
    assert_false(thaw_loader_is_resident(o.loader));
    assert_string_equal(key_of(&o), key);
    thaw_loader_destroy(&o.loader);
    o.loader = loader;
    o.disk = false;
    assert_string_equal(key_of(&o), key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_network_expects_is_in_the_key),
        cmocka_unit_test(the_model_counts_up_to_the_cut),
        cmocka_unit_test(block_and_measurements_are_in_the_key),
        cmocka_unit_test(memory_is_not_in_the_key),
    };
    return cmocka_run_group_tests_name("train/feature_key", tests, set_up, tear_down);
}
