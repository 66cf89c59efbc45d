/* Rules of `lr`: layer decay, schedules of their own, and what is wrong with one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "support/device.h"
#include "support/model.h"
#include "train/session.h"

#define TRAIN_COUNT 320 /* 10 steps of 32 */

static struct thaw_config config;
static struct thaw_graph *graph;
static struct thaw_session session;

static int finish(void **state) {
    (void)state;
    thaw_session_finish(&session);
    thaw_graph_destroy(&graph);
    thaw_config_finish(&config);
    return 0;
}

/* A stage of 4 epochs over the residual network: stages stem, layer1, layer2 and the head. */
static thaw_status open_stage(const char *model, const char *stage) {
    char path[256], text[1024];
    finish(NULL);
    snprintf(path, sizeof path, "%s/model.yaml", test_directory());
    assert_ok(thaw_file_write(path, model, strlen(model)));
    snprintf(path, sizeof path, "%s/e.yaml", test_directory());
    snprintf(text, sizeof text,
             "train: [{stage: a, epochs: 4, %s}]\nmodel: {graph: ./model.yaml, reference: {lr: "
             "0.2, batch: 32}}\ndata: {format: folder, root: d}\n",
             stage);
    assert_ok(thaw_file_write(path, text, strlen(text)));
    THAW_TRY(thaw_config_load(path, NULL, 0, &config));
    graph = test_model(model, NULL, 4);
    return thaw_session_init(&config, &config.stages[0], graph, TRAIN_COUNT, &session);
}

static size_t param(const char *name) {
    int index = thaw_graph_find_param(graph, name);
    assert_true(index >= 0);
    return (size_t)index;
}

static void expect(const char *name, double lr) {
    double got = session.rates[param(name)].lr;
    if (fabs(got - lr) > 1e-12)
        fail_msg("%s: lr %.9g instead of %.9g", name, got, lr);
}

/* lr x decay^(stages from the head). */
static void layer_decay(void **state) {
    (void)state;
    assert_ok(open_stage(test_residual_model, "train: [all], lr: {all: {lr: 0.5x, decay: 0.65}}"));
    expect("fc.weight", 0.1);
    expect("hidden.bias", 0.1);
    expect("layer2.0.conv2.weight", 0.1 * 0.65);
    expect("layer2.0.downsample.1.weight", 0.1 * 0.65);
    expect("layer1.0.conv1.weight", 0.1 * 0.65 * 0.65);
    expect("conv1.weight", 0.1 * pow(0.65, 3));
    expect("bn1.bias", 0.1 * pow(0.65, 3));

    assert_ok(open_stage(test_residual_model,
                         "train: [all], lr: {head: 2x, layer2: 0.01, all: {lr: 1, decay: 0.5}}"));
    expect("fc.weight", 0.4); /* the first rule that matches */
    expect("layer2.0.conv1.weight", 0.01);
    expect("layer1.0.conv1.weight", 0.25);
    expect("conv1.weight", 0.125);
    assert_true(session.rates[param("conv1.weight")].rule == &config.stages[0].lr_rules[2]);
}

/* A layer of no stage goes with the stage above it; above all of them with the last. */
static void layers_outside_of_stages(void **state) {
    (void)state;
    static const char model[] = "input: {channels: 3, size: 8}\n"
                                "graph:\n"
                                "  - first: {conv: {out: 4, kernel: 3, pad: 1}}\n"
                                "  - low: {conv: {out: 4, kernel: 3, pad: 1}}\n"
                                "  - between: {conv: {out: 4, kernel: 3, pad: 1}}\n"
                                "  - high: {conv: {out: 4, kernel: 3, pad: 1}}\n"
                                "  - last: batchnorm\n"
                                "  - pool: global\n"
                                "  - fc: {linear: {out: 3}}\n"
                                "features: pool\n"
                                "stages: [low, high]\n";
    assert_ok(open_stage(model, "train: [all], lr: {all: {lr: 1, decay: 0.5}}"));
    expect("first.weight", 0.25);
    expect("low.weight", 0.25);
    expect("between.weight", 0.5);
    expect("high.weight", 0.5);
    expect("last.weight", 0.5);
    expect("fc.weight", 1);
}

/* The head on a cosine with a warm-up, the rest on the stage's steps: seen by what one update of
 * plain SGD does to a parameter whose gradient is 1. */
static void a_schedule_of_its_own(void **state) {
    (void)state;
    assert_ok(open_stage(
        test_residual_model,
        "train: [layer2, head], schedule: {type: step, every: 2, gamma: 0.1}, optimizer: {type: "
        "sgd, momentum: 0}, lr: {head: {lr: 0.5, schedule: {type: cosine, warmup: 4}}, all: 1}"));
    assert_ok(thaw_graph_allocate(graph, test_device(), 1));
    assert_ok(thaw_session_start(&session));
    const char *names[] = {"fc.bias", "layer2.0.bn2.bias"};
    for (int step = 0; step < 40; step++) {
        double head =
            step < 4 ? 0.5 * (step + 1) / 4 : 0.5 * (1 + cos(acos(-1) * (step - 4) / 36.0)) / 2;
        double expected[] = {head, step < 20 ? 1 : 0.1};
        for (int k = 0; k < 2; k++) {
            const struct thaw_param *p = &graph->params[param(names[k])];
            float zero[16] = {0}, one[16], value[16];
            for (int i = 0; i < 16; i++)
                one[i] = 1;
            assert_ok(thaw_param_write(graph, p, zero));
            assert_ok(thaw_filter_write(graph->device, &p->spec->filter,
                                        thaw_exec_gradient(session.train, (int)param(names[k])),
                                        one));
            assert_ok(thaw_session_update(&session, step));
            assert_ok(thaw_param_read(graph, p, value));
            if (fabs((double)value[0] + expected[k]) > 1e-6)
                fail_msg("step %d, %s: moved by %g instead of %g", step, names[k],
                         -(double)value[0], expected[k]);
        }
        assert_float_equal(thaw_session_lr_factor(&session, step), expected[1], 1e-9);
    }
}

static void mistakes(void **state) {
    (void)state;
    const struct {
        const char *rules, *message;
    } list[] = {
        {"{all: {lr: 1x, decy: 0.5}}", "e.yaml:1:64: unknown key 'decy'"},
        {"{all: {decay: 0.5}}", "e.yaml:1:55: the entry of `lr` needs a rate"},
        {"{all: {lr: 1x, decay: 0}}", "e.yaml:1:71: 'decay'"},
        {"{all: {lr: 1x, decay: 1.5}}", "e.yaml:1:71: 'decay'"},
        {"{all: {lr: fast}}", "'fast' is no learning rate"},
        {"{all: {lr: 1x, schedule: cosinus}}", "(nearest: 'cosine'"},
        {"{all: {lr: 1x, schedule: {type: cosine, warmup: 40}}}",
         "a warm-up of 40 steps leaves none of the 40 steps of the stage"},
        {"{all: [1x]}", "e.yaml:1:55"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char stage[256];
        snprintf(stage, sizeof stage, "train: [all], lr: %s", list[i].rules);
        assert_fails(open_stage(test_residual_model, stage), THAW_ERROR_INPUT, list[i].message);
    }
    assert_fails(open_stage(test_residual_model, "train: [all], lr: {lr: 1x, decay: 0.5}"),
                 THAW_ERROR_INPUT, "`lr` maps patterns to rates");
    assert_non_null(strstr(thaw_error_hint(), "lr: {all: {lr: 0.1x, decay: 0.65}}"));
    assert_fails(open_stage(test_branching_model, "train: [all], lr: {all: {lr: 1, decay: 0.5}}"),
                 THAW_ERROR_INPUT, "lists no `stages`");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_decay),
        cmocka_unit_test(layers_outside_of_stages),
        cmocka_unit_test(a_schedule_of_its_own),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
