/* Norm layers: statistics over a whole set against double precision, the step that refreshes them,
 * and channels without variance. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/device.h"
#include "support/model.h"
#include "support/support.h"
#include "support/tiny.h"
#include "train/norm_stats.h"
#include "train/trainer.h"

#define IMAGES 13
#define FLOATS (3 * 12 * 12)

/* A graph and images for it, as features of its input. */
struct set {
    struct thaw_graph *graph;
    float values[IMAGES * FLOATS];
    uint32_t photos[IMAGES];
    struct thaw_feature_cache cache;
    struct thaw_feed feed;
    bool *nodes;
};

static struct set *set_create(void) {
    struct set *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->graph = test_model_on(test_device(), test_residual_model, NULL, 3);
    test_random(s->values, IMAGES * FLOATS, 8, -1, 3);
    for (int i = 0; i < IMAGES; i++)
        s->photos[i] = (uint32_t)i;
    s->cache = (struct thaw_feature_cache){.c = 3,
                                           .h = 12,
                                           .w = 12,
                                           .views = 1,
                                           .photos = s->photos,
                                           .count = IMAGES,
                                           .values = s->values};
    s->feed = (struct thaw_feed){.device = test_device(), .cache = &s->cache};
    s->nodes = calloc(s->graph->node_count, sizeof *s->nodes);
    assert_non_null(s->nodes);
    return s;
}

static void set_destroy(struct set *s) {
    thaw_graph_destroy(&s->graph);
    free(s->nodes);
    free(s);
}

static struct thaw_norm_refresh refresh_of(struct set *s, int batch) {
    return (struct thaw_norm_refresh){
        .graph = s->graph,
        .nodes = s->nodes,
        .members = {.feed = &s->feed, .photos = s->photos, .count = IMAGES},
        .batch = batch};
}

static void read_param(const struct set *s, const char *name, float *ret_values) {
    int index = thaw_graph_find_param(s->graph, name);
    assert_true(index >= 0);
    assert_ok(thaw_param_read(s->graph, &s->graph->params[index], ret_values));
}

/* Mean and unbiased variance of each channel of a node's output, two passes in double precision. */
static int reference(struct set *s, const char *node_name, double *mean, double *var) {
    int node = thaw_graph_find_node(s->graph, node_name);
    assert_true(node > 0);
    const struct thaw_layout *l = &s->graph->nodes[node].out;
    struct thaw_exec_options options = {
        .batch = IMAGES, .keep = &node, .keep_count = 1, .only_keep = true};
    struct thaw_op_step step = {.batch = IMAGES};
    thaw_exec *exec = NULL;
    assert_ok(thaw_exec_create(s->graph, &options, &exec));
    assert_ok(thaw_tensor_write(test_device(), thaw_exec_input(exec), IMAGES, s->values));
    assert_ok(thaw_exec_forward(exec, &step));
    size_t plane = (size_t)(l->h * l->w), count = plane * (size_t)l->c * IMAGES;
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    assert_ok(thaw_tensor_read(test_device(), thaw_exec_output(exec, node), IMAGES, values));
    thaw_exec_destroy(&exec);
    for (int c = 0; c < l->c; c++) {
        double sum = 0, squares = 0, n = (double)plane * IMAGES;
        for (int pass = 0; pass < 2; pass++)
            for (size_t i = 0; i < IMAGES; i++)
                for (size_t p = 0; p < plane; p++) {
                    double v = (double)values[(i * (size_t)l->c + (size_t)c) * plane + p];
                    if (pass == 0)
                        sum += v / n;
                    else
                        squares += (v - sum) * (v - sum);
                }
        mean[c] = sum;
        var[c] = squares / (n - 1);
    }
    free(values);
    return l->c;
}

/* One layer, the others with their running statistics: whatever the batches, and the last batch of
 * one image. */
static void measures_a_whole_set(void **state) {
    (void)state;
    static const struct {
        const char *norm, *before; /* the layer and what it reads */
    } layers[] = {{"bn1", "conv1"},
                  {"layer1.0.bn2", "layer1.0.conv2"},
                  {"layer2.0.downsample.1", "layer2.0.downsample.0"}};
    static const int batches[] = {1, 3, 5, 6, IMAGES, 32};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            struct set *s = set_create();
            char name[64];
            double mean[16], var[16];
            float actual[16];
            s->nodes[thaw_graph_find_node(s->graph, layers[i].norm)] = true;
            int channels = reference(s, layers[i].before, mean, var);
            struct thaw_norm_refresh refresh = refresh_of(s, batches[b]);
            assert_ok(thaw_norm_refresh(&refresh));
            snprintf(name, sizeof name, "%s.running_mean", layers[i].norm);
            read_param(s, name, actual);
            test_compare(actual, mean, (size_t)channels, 1e-5, 1e-5, name);
            snprintf(name, sizeof name, "%s.running_var", layers[i].norm);
            read_param(s, name, actual);
            test_compare(actual, var, (size_t)channels, 1e-5, 1e-5, name);
            set_destroy(s);
        }
}

static thaw_status stop(void *user, size_t done, size_t total) {
    (void)user, (void)total;
    return done > 6 ? thaw_fail(THAW_INTERRUPTED, "interrupted") : THAW_OK;
}

/* What ends in the middle changes nothing; what the stage set in the graph stays. */
static void restores_on_failure(void **state) {
    (void)state;
    struct set *s = set_create();
    float before[4][16], after[4][16];
    static const char *const names[] = {"bn1.running_mean", "bn1.running_var",
                                        "layer2.0.bn2.running_mean", "layer2.0.bn2.running_var"};
    for (size_t n = 0; n < s->graph->node_count; n++)
        s->nodes[n] = s->graph->nodes[n].op && s->graph->nodes[n].op->normalises;
    for (int i = 0; i < 4; i++)
        read_param(s, names[i], before[i]);
    int fc = thaw_graph_find_param(s->graph, "fc.weight");
    s->graph->params[fc].trainable = true;
    struct thaw_norm_refresh refresh = refresh_of(s, 3);
    refresh.progress = stop;
    assert_fails(thaw_norm_refresh(&refresh), THAW_INTERRUPTED, "interrupted");
    for (int i = 0; i < 4; i++) {
        read_param(s, names[i], after[i]);
        assert_memory_equal(before[i], after[i], (i < 2 ? 6 : 10) * sizeof(float));
    }
    assert_true(s->graph->params[fc].trainable);
    assert_false(s->graph->nodes[thaw_graph_find_node(s->graph, "bn1")].batch_statistics);
    set_destroy(s);
}

static void finds_channels_without_variance(void **state) {
    (void)state;
    struct set *s = set_create();
    struct thaw_norm_dead dead;
    assert_ok(thaw_norm_find_dead(s->graph, &dead));
    assert_int_equal(dead.dead, 0);
    assert_int_equal(dead.channels, 6 * 3 + 10 * 3);
    assert_null(dead.worst);
    int index = thaw_graph_find_param(s->graph, "layer1.0.bn1.running_var");
    const float variances[6] = {1, 0, 1e-12f, 0.1f, 0, 1e-4f};
    assert_ok(thaw_param_write(s->graph, &s->graph->params[index], variances));
    assert_ok(thaw_norm_find_dead(s->graph, &dead));
    assert_int_equal(dead.dead, 3);
    assert_int_equal(dead.layers, 1);
    assert_string_equal(dead.worst, "layer1.0.bn1");
    set_destroy(s);
}

/* ---- as a stage ----------------------------------------------------------------------------- */

static const char stages[] = "  - {stage: tune, train: [all], lr: 1x, epochs: 2}\n"
                             "  - {stage: recalibrate, train: [body], norm: refresh, cache: true}\n"
                             "  - {stage: head, train: [head], lr: 1x, epochs: 1}\n";

struct follower {
    volatile sig_atomic_t interrupted;
    bool stop;
};

static void on_working(void *user, const char *what, size_t done, size_t total) {
    struct follower *f = user;
    if (f->stop && strstr(what, "norm statistics") && done < total)
        f->interrupted = 1;
}

static thaw_status train(const char *name, const char *text, bool resume, struct follower *f) {
    struct thaw_config config;
    thaw_status status = thaw_config_load(tiny_experiment(name, text, ""), NULL, 0, &config);
    if (status != THAW_OK)
        return status;
    struct thaw_train_events events = {
        .user = f, .interrupted = &f->interrupted, .on_working = on_working};
    struct thaw_train_options options = {.resume = resume};
    status = thaw_train(&config, test_device(), &options, &events);
    thaw_config_finish(&config);
    return status;
}

static void refreshes_what_it_names(void **state) {
    (void)state;
    struct follower f = {0};
    assert_ok(train("refresh", stages, false, &f));
    json_t *root = json_load_file(tiny_run_file("refresh", "freeze.json"), 0, NULL), *entry;
    json_t *stage = json_array_get(json_object_get(root, "stages"), 1);
    const char *name;
    json_object_foreach(json_object_get(stage, "tensors"), name, entry) {
        bool same = !strcmp(json_string_value(json_object_get(entry, "before")),
                            json_string_value(json_object_get(entry, "after")));
        bool moves = !strncmp(name, "bn2.running", 11);
        assert_int_equal(json_is_true(json_object_get(entry, "trained")), moves);
        if (same == moves)
            fail_msg("%s %s in a stage that refreshes bn2", name, same ? "stayed" : "moved");
    }
    json_decref(root);
}

static void resumes_a_refresh(void **state) {
    (void)state;
    struct follower f = {.stop = true}, g = {0};
    assert_fails(train("stopped", stages, false, &f), THAW_INTERRUPTED, "checkpoint");
    assert_ok(train("stopped", stages, true, &g));
    tiny_same_tensors(tiny_run_file("stopped", "model.safetensors"),
                      tiny_run_file("refresh", "model.safetensors"));
}

static void refuses_wrong_stages(void **state) {
    (void)state;
    struct follower f = {0};
    assert_fails(train("wrong", "  - {train: [all], norm: refresh, lr: 1x}\n", false, &f),
                 THAW_ERROR_INPUT, "has no `lr`");
    assert_fails(train("wrong", "  - {train: [all], norm: refresh, epochs: 2}\n", false, &f),
                 THAW_ERROR_INPUT, "has no `epochs`");
    assert_fails(train("wrong", "  - {train: [head], norm: refresh}\n", false, &f),
                 THAW_ERROR_INPUT, "no norm layer");
    assert_fails(train("wrong", "  - {train: [all], norm: refesh}\n", false, &f), THAW_ERROR_INPUT,
                 "refresh");
}

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_a_whole_set),
        cmocka_unit_test(restores_on_failure),
        cmocka_unit_test(finds_channels_without_variance),
        cmocka_unit_test(refreshes_what_it_names),
        cmocka_unit_test(resumes_a_refresh),
        cmocka_unit_test(refuses_wrong_stages),
    };
    return cmocka_run_group_tests_name("train/norm", tests, set_up, NULL);
}
