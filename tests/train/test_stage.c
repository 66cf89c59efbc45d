/* What a stage does to a graph: which tensors are trained, at which rate, what norm layers do, and
 * what is refused. No device. */
#include "train/stage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "support/model.h"

static struct thaw_config config;
static struct thaw_graph *graph;
static struct thaw_stage_rate rates[128];

static int finish(void **state) {
    (void)state;
    thaw_graph_destroy(&graph);
    thaw_config_finish(&config);
    return 0;
}

/* Reads an experiment on the residual network with this stage, and builds the network. */
static void read_stage(const char *stage, const char *general) {
    char path[256], text[1024];
    finish(NULL);
    snprintf(path, sizeof path, "%s/residual.yaml", test_directory());
    assert_ok(thaw_file_write(path, test_residual_model, strlen(test_residual_model)));
    snprintf(path, sizeof path, "%s/e.yaml", test_directory());
    snprintf(text, sizeof text,
             "train: [{stage: a, epochs: 1, %s}]\nmodel: {graph: ./residual.yaml%s}\n"
             "data: {format: folder, root: d}\n",
             stage, general);
    assert_ok(thaw_file_write(path, text, strlen(text)));
    assert_ok(thaw_config_load(path, NULL, 0, &config));
    graph = test_model(test_residual_model, NULL, 4);
}

static thaw_status apply(const char *stage, const char *general) {
    read_stage(stage, general);
    return thaw_stage_apply(&config, &config.stages[0], graph, rates);
}

static int param(const char *name) {
    int index = thaw_graph_find_param(graph, name);
    assert_true(index >= 0);
    return index;
}

static void expect_lr(const char *name, double expected) {
    assert_true(fabs(rates[param(name)].lr - expected) < 1e-12);
    assert_int_equal(graph->params[param(name)].trainable, expected > 0);
}

static bool uses_batch(const char *node) {
    int index = thaw_graph_find_node(graph, node);
    assert_true(index >= 0);
    return graph->nodes[index].batch_statistics;
}

/* ---- rates ---------------------------------------------------------------------------------- */

static void base_rates(void **state) {
    (void)state;
    assert_ok(apply("train: [layer2, head], lr: 0.1x", "")); /* 0.1 at batch 64 */
    expect_lr("layer2.0.conv1.weight", 0.1 * 0.1 * 32 / 64);
    expect_lr("fc.bias", 0.1 * 0.1 * 32 / 64);
    expect_lr("layer1.0.conv1.weight", 0);
    expect_lr("layer2.0.bn1.running_mean", 0);

    assert_ok(apply("train: [layer2, head], lr: 0.1x, batch: 16",
                    ", reference: {lr: 0.02, batch: 8}")); /* the experiment's counts */
    expect_lr("fc.bias", 0.1 * 0.02 * 16 / 8);

    assert_ok(apply("train: [all], lr: {head: 0.5, layer2: 1x, all: 0.001}", ""));
    expect_lr("fc.weight", 0.5); /* the first that matches */
    expect_lr("layer2.0.downsample.0.weight", 0.1 * 32 / 64);
    expect_lr("conv1.weight", 0.001);
}

/* lr 0 is frozen: no gradient and no batch statistics. */
static void zero_is_frozen(void **state) {
    (void)state;
    assert_ok(apply("train: [all], lr: {layer1: 0, stem: 0x, all: 0.01}", ""));
    expect_lr("layer1.0.conv1.weight", 0);
    expect_lr("layer1.0.bn1.weight", 0);
    expect_lr("conv1.weight", 0);
    expect_lr("layer2.0.conv1.weight", 0.01);
    assert_false(uses_batch("layer1.0.bn1"));
    assert_false(uses_batch("bn1"));
    assert_true(uses_batch("layer2.0.bn1"));
}

static void norm_modes(void **state) {
    (void)state;
    assert_ok(apply("train: [layer2, head], lr: 1", "")); /* norm: train */
    assert_true(uses_batch("layer2.0.bn1") && uses_batch("layer2.0.downsample.1"));
    assert_false(uses_batch("layer1.0.bn1") || uses_batch("bn1"));
    expect_lr("layer2.0.bn1.bias", 1);

    assert_ok(apply("train: [layer2, head], lr: 1, norm: eval", ""));
    assert_false(uses_batch("layer2.0.bn1"));
    expect_lr("layer2.0.bn1.bias", 1);

    assert_ok(apply("train: [layer2, head], lr: 1, norm: frozen", ""));
    assert_false(uses_batch("layer2.0.bn1"));
    expect_lr("layer2.0.bn1.bias", 0);
    expect_lr("layer2.0.conv1.weight", 1);

    assert_ok(apply("train: [layer2.0.conv1], lr: 1", "")); /* its norm is not trained */
    assert_false(uses_batch("layer2.0.bn1"));

    assert_ok(apply("train: [layer2.0.bn1.bias], lr: 1", ""));
    assert_true(uses_batch("layer2.0.bn1"));
    expect_lr("layer2.0.bn1.weight", 0);
}

/* A stage leaves nothing of the one before it. */
static void applies_anew(void **state) {
    (void)state;
    assert_ok(apply("train: [all], lr: 1", ""));
    struct thaw_stage all = config.stages[0];
    assert_ok(thaw_stage_apply(&config, &all, graph, rates));
    struct thaw_stage head = all;
    head.patterns = test_yaml("[head]");
    assert_ok(thaw_stage_apply(&config, &head, graph, rates));
    expect_lr("conv1.weight", 0);
    expect_lr("fc.weight", 1);
    assert_false(uses_batch("bn1"));
}

static void mistakes(void **state) {
    (void)state;
    const struct {
        const char *stage, *message;
    } list[] = {
        {"train: [layr2], lr: 1",
         "e.yaml:1:39: 'layr2' matches no tensor of residual (nearest: 'layer2')"},
        {"train: [head, 'layer1..layer9'], lr: 1", "'layer1..layer9' matches no tensor"},
        {"train: [head], lr: {haed: 1}", "'haed' matches no tensor of residual (nearest: 'head')"},
        {"train: [all], lr: {head: 1}",
         "stage 'a' trains conv1.weight but no entry of `lr` matches it"},
        {"train: [all], lr: 0", "stage 'a' trains nothing: every tensor has lr 0 or is frozen"},
        {"train: ['*running_mean'], lr: 1", "stage 'a' trains nothing"},
        {"train: [bn1], lr: 1, norm: frozen", "stage 'a' trains nothing"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        assert_fails(apply(list[i].stage, ""), THAW_ERROR_INPUT, list[i].message);
    assert_fails(apply("train: [head], lr: {haed: 1}", ""), THAW_ERROR_INPUT, "e.yaml:1:");
    read_stage("train: [head], lr: 1x", "");
    graph->reference_lr = 0;
    assert_fails(thaw_stage_apply(&config, &config.stages[0], graph, rates), THAW_ERROR_INPUT,
                 "a relative lr needs the lr that the weights were trained with");
    assert_non_null(strstr(thaw_error_hint(), "model.reference"));
}

/* ---- untrained heads ------------------------------------------------------------------------ */

/* Applies the stage and checks it, where all but the patterns' tensors are loaded from a file. */
static thaw_status check(const char *stage, const char *random) {
    bool marks[128] = {false};
    assert_ok(apply(stage, ""));
    if (random)
        assert_ok(thaw_graph_match(graph, NULL, random, marks));
    for (size_t i = 0; i < graph->param_count; i++)
        graph->params[i].origin = marks[i] ? THAW_ORIGIN_INITIALISED : THAW_ORIGIN_LOADED;
    return thaw_stage_check_random(&config.stages[0], graph);
}

static void untrained_head(void **state) {
    (void)state;
    assert_fails(check("train: [all], lr: 1", "fc"), THAW_ERROR_INPUT,
                 "e.yaml:1:9: stage 'a' would fine-tune conv1.weight below fc.weight, which was "
                 "never trained");
    assert_non_null(strstr(thaw_error_hint(), "train: [head]"));
    assert_fails(check("train: [layer2], lr: 1", "fc"), THAW_ERROR_INPUT, "layer2.0.conv1.weight");
    assert_fails(check("train: [stem], lr: 1", "layer2.0.conv2"), THAW_ERROR_INPUT,
                 "would fine-tune conv1.weight below layer2.0.conv2.weight");
    assert_ok(check("train: [all], lr: 1", NULL));
    assert_ok(check("train: [fc], lr: 1", "fc"));
    assert_ok(check("train: [layer2, head], lr: 1", "stem")); /* below, not above */
    assert_ok(check("train: [all], lr: 1", "all"));           /* from scratch */
}

/* The head is warmed up as a whole, also where just its last layer is new. */
static void head_with_loaded_layers(void **state) {
    (void)state;
    assert_ok(check("train: [head], lr: 1", "fc"));
    assert_ok(check("train: [hidden, fc], lr: 1", "fc"));
}

static void allowed_random(void **state) {
    (void)state;
    assert_ok(check("train: [all], lr: 1, allow_random: ['fc.*']", "fc"));
    assert_fails(check("train: [all], lr: 1, allow_random: [fc.bias]", "fc"), THAW_ERROR_INPUT,
                 "below fc.weight");
    assert_fails(check("train: [all], lr: 1, allow_random: [fd]", "fc"), THAW_ERROR_INPUT,
                 "'fd' matches no tensor");
}

/* From scratch, stage by stage: nothing was loaded, nothing can be spoilt. */
static void from_scratch(void **state) {
    (void)state;
    assert_ok(check("train: [stem], lr: 1", "all"));
    thaw_stage_mark_trained(graph);
    struct thaw_stage next = config.stages[0];
    const char *patterns[] = {"[stem, layer1]", "[all]"};
    for (size_t i = 0; i < 2; i++) {
        next.patterns = test_yaml(patterns[i]);
        assert_ok(thaw_stage_apply(&config, &next, graph, rates));
        assert_ok(thaw_stage_check_random(&next, graph));
    }
    graph->params[param("layer1.0.conv1.weight")].origin = THAW_ORIGIN_LOADED;
    assert_fails(thaw_stage_check_random(&next, graph), THAW_ERROR_INPUT,
                 "would fine-tune conv1.weight below layer1.0.bn1.weight");
}

static void after_a_warm_up(void **state) {
    (void)state;
    assert_ok(check("train: [fc], lr: 1", "fc"));
    thaw_stage_mark_trained(graph);
    assert_int_equal(graph->params[param("fc.weight")].origin, THAW_ORIGIN_TRAINED);
    assert_int_equal(graph->params[param("conv1.weight")].origin, THAW_ORIGIN_LOADED);
    struct thaw_stage all = config.stages[0];
    all.patterns = test_yaml("[all]");
    assert_ok(thaw_stage_apply(&config, &all, graph, rates));
    assert_ok(thaw_stage_check_random(&all, graph));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_rates),
        cmocka_unit_test(zero_is_frozen),
        cmocka_unit_test(norm_modes),
        cmocka_unit_test(applies_anew),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(untrained_head),
        cmocka_unit_test(head_with_loaded_layers),
        cmocka_unit_test(allowed_random),
        cmocka_unit_test(from_scratch),
        cmocka_unit_test(after_a_warm_up),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
