/* Model files: weights into a graph with their account, and a trained model that comes back from
 * its file alone. */
#include "train/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/safetensors.h"
#include "support/device.h"
#include "support/model.h"

static const char *path_of(const char *name) {
    static char path[4][256];
    static int next;
    char *text = path[next++ % 4];
    snprintf(text, sizeof path[0], "%s/%s", test_directory(), name);
    return text;
}

static float *values_of(const struct thaw_graph *graph, const char *name, size_t *ret_count) {
    int index = thaw_graph_find_param(graph, name);
    assert_true(index >= 0);
    *ret_count = thaw_param_count_values(&graph->params[index]);
    float *values = calloc(*ret_count, sizeof *values);
    assert_non_null(values);
    assert_ok(thaw_param_read(graph, &graph->params[index], values));
    return values;
}

static void expect_equal(const struct thaw_graph *a, const struct thaw_graph *b) {
    assert_int_equal(a->param_count, b->param_count);
    for (size_t i = 0; i < a->param_count; i++) {
        size_t count, other;
        float *x = values_of(a, a->params[i].name, &count);
        float *y = values_of(b, a->params[i].name, &other);
        assert_int_equal(count, other);
        assert_memory_equal(x, y, count * sizeof *x);
        free(x);
        free(y);
    }
}

static const struct thaw_graph_options options = {.classes = 3, .dropout = 0.25};

static void save(const struct thaw_graph *graph, const char *path) {
    const char *classes[] = {"cat", "d\"og",
                             "z\xC3\xA9"
                             "bra"};
    struct thaw_model_info info = {.options = options,
                                   .document = graph->document,
                                   .classes = classes,
                                   .class_count = 3,
                                   .reference_lr = 0.1,
                                   .reference_batch = 64,
                                   .weights_hash = "0123456789abcdef"};
    struct thaw_weights weights = {0};
    assert_ok(thaw_model_info_write(&info, &weights));
    assert_ok(thaw_model_save(graph, NULL, &weights, path));
    thaw_weights_finish(&weights);
}

/* ---- trained models ------------------------------------------------------------------------- */

static void round_trip(void **state) {
    (void)state;
    thaw_device *device = test_device();
    struct thaw_graph *graph = test_model_on(device, test_residual_model, &options, 3);
    save(graph, path_of("model.safetensors"));
    const char *names[] = {test_directory(), path_of("model.safetensors")}; /* a run, or its file */
    for (int i = 0; i < 2; i++) {
        struct thaw_trained_model model;
        assert_ok(thaw_trained_model_open(names[i], device, &model));
        expect_equal(graph, model.graph);
        assert_int_equal(model.info.class_count, 3);
        assert_string_equal(model.info.classes[1], "d\"og");
        assert_string_equal(model.info.classes[2], "z\xC3\xA9"
                                                   "bra");
        assert_true(model.info.options.dropout == 0.25 && model.info.reference_lr == 0.1);
        assert_int_equal(model.info.reference_batch, 64);
        assert_string_equal(model.info.weights_hash, "0123456789abcdef");
        assert_string_equal(model.graph->name, "residual");
        assert_int_equal(model.graph->nodes[model.graph->output].out.c, 3);
        for (size_t p = 0; p < model.graph->param_count; p++)
            assert_int_equal(model.graph->params[p].origin, THAW_ORIGIN_LOADED);
        thaw_trained_model_finish(&model);
        thaw_trained_model_finish(&model); /* accepts {0} */
    }
    thaw_graph_destroy(&graph);
}

static thaw_status try_open(const char *path) {
    struct thaw_trained_model model = {0};
    thaw_status status = thaw_trained_model_open(path, test_device(), &model);
    assert_true(status != THAW_OK);
    return status;
}

/* Every length of the header and some of the data. */
static void truncated(void **state) {
    (void)state;
    struct thaw_graph *graph = test_model_on(test_device(), test_residual_model, &options, 3);
    save(graph, path_of("whole.safetensors"));
    struct thaw_map map;
    assert_ok(thaw_map_open(path_of("whole.safetensors"), &map));
    for (size_t size = 0; size < map.size_bytes; size += 1 + map.size_bytes / 40) {
        assert_ok(thaw_file_write(path_of("cut.safetensors"), map.bytes, size));
        assert_fails(try_open(path_of("cut.safetensors")), THAW_ERROR_INPUT, "cut.safetensors");
    }
    thaw_map_close(&map);
    thaw_graph_destroy(&graph);
}

static void write_weights(struct thaw_weights *weights, const char *path) {
    assert_ok(thaw_safetensors_write(path, weights, NULL, NULL));
    thaw_weights_finish(weights);
}

static void not_a_model(void **state) {
    (void)state;
    static const float value[1];
    const int64_t dims[1] = {1};
    struct thaw_weights weights = {0};
    assert_ok(thaw_weights_add(&weights, "a", THAW_DTYPE_F32, 1, dims, value));
    write_weights(&weights, path_of("plain.safetensors"));
    assert_fails(try_open(path_of("plain.safetensors")), THAW_ERROR_INPUT,
                 "plain.safetensors: its metadata has no valid 'thaw.model'");
    assert_non_null(strstr(thaw_error_hint(), "run folder"));
    assert_fails(try_open(path_of("none.safetensors")), THAW_ERROR_INPUT, "none.safetensors");
    const char *const damages[][3] = {
        {"thaw.classes", "[1]", "thaw.classes"},     {"thaw.classes", "nonsense", "thaw.classes"},
        {"thaw.classes", "[\"a\"]", "thaw.options"}, /* one name, three classes */
        {"thaw.options", "{}", "thaw.options"},      {"thaw.options", "[", "thaw.options"},
        {"thaw.model", "{a: [", "thaw.model:"},      {"thaw.model", "model: x", "thaw.model:"},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct thaw_weights damaged = {0};
        assert_ok(thaw_weights_set_metadata(&damaged, "thaw.model", test_residual_model));
        assert_ok(thaw_weights_set_metadata(
            &damaged, "thaw.options",
            "{\"head\": \"last\", \"dropout\": 0.0, \"size\": 0, \"classes\": 3, "
            "\"reference_lr\": 0.1, \"reference_batch\": 1}"));
        assert_ok(thaw_weights_set_metadata(&damaged, "thaw.classes", "[\"a\", \"b\", \"c\"]"));
        assert_ok(thaw_weights_set_metadata(&damaged, "thaw.weights_hash", ""));
        assert_ok(thaw_weights_set_metadata(&damaged, damages[i][0], damages[i][1]));
        write_weights(&damaged, path_of("damaged.safetensors"));
        assert_fails(try_open(path_of("damaged.safetensors")), THAW_ERROR_INPUT, damages[i][2]);
    }
}

/* ---- pretrained weights --------------------------------------------------------------------- */

static thaw_status load(struct thaw_graph *graph, const char *path, const char *missing,
                        const char *unexpected, size_t *ret_loaded) {
    struct thaw_weights weights = {0};
    struct thaw_load_report report = {0};
    struct thaw_model_allow allow = {.missing = missing ? test_yaml(missing) : NULL,
                                     .unexpected = unexpected ? test_yaml(unexpected) : NULL};
    thaw_status status = thaw_model_load_weights(graph, path, &allow, &weights, &report);
    *ret_loaded = report.loaded.count;
    thaw_load_report_finish(&report);
    thaw_weights_finish(&weights);
    return status;
}

/* A published file has a head of other classes: it is left over and the new one stays as it is. */
static void new_head_is_not_loaded(void **state) {
    (void)state;
    thaw_device *device = test_device();
    struct thaw_graph *published = test_model_on(device, test_residual_model, NULL, 3);
    struct thaw_graph *mine = test_model_on(device, test_residual_model, &options, 4);
    struct thaw_weights weights = {0};
    assert_ok(thaw_model_save(published, NULL, &weights, path_of("published.safetensors")));
    thaw_weights_finish(&weights);
    size_t loaded, count;
    float *before = values_of(mine, "fc.weight", &count);
    assert_ok(load(mine, path_of("published.safetensors"), NULL, NULL, &loaded));
    assert_int_equal(loaded, mine->param_count - 2);
    float *after = values_of(mine, "fc.weight", &count);
    assert_memory_equal(before, after, count * sizeof *before);
    assert_int_equal(mine->params[thaw_graph_find_param(mine, "fc.bias")].origin,
                     THAW_ORIGIN_INITIALISED);
    assert_int_equal(mine->params[thaw_graph_find_param(mine, "hidden.bias")].origin,
                     THAW_ORIGIN_LOADED);
    free(before);
    free(after);
    thaw_graph_destroy(&published);
    thaw_graph_destroy(&mine);
}

static void differences_are_refused(void **state) {
    (void)state;
    thaw_device *device = test_device();
    struct thaw_graph *residual = test_model_on(device, test_residual_model, NULL, 3);
    struct thaw_graph *branching = test_model_on(device, test_branching_model, NULL, 4);
    struct thaw_weights weights = {0};
    size_t loaded;
    assert_ok(thaw_model_save(residual, NULL, &weights, path_of("other.safetensors")));
    thaw_weights_finish(&weights);
    assert_fails(load(branching, path_of("other.safetensors"), NULL, NULL, &loaded),
                 THAW_ERROR_INPUT, "other.safetensors");
    assert_non_null(strstr(thaw_error_message(), "stem.weight"));
    assert_ok(load(branching, path_of("other.safetensors"), "['*']", "['*']", &loaded));
    assert_int_equal(loaded, 0);
    assert_fails(load(branching, path_of("other.safetensors"), "[nothing]", "['*']", &loaded),
                 THAW_ERROR_INPUT, "nothing");
    thaw_graph_destroy(&residual);
    thaw_graph_destroy(&branching);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(truncated),
        cmocka_unit_test(not_a_model),
        cmocka_unit_test(new_head_is_not_loaded),
        cmocka_unit_test(differences_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
