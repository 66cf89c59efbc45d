/* Selecting tensors by pattern, stages, and where a feature cache can cut. No device. */
#include <string.h>

#include "support/model.h"

static struct thaw_graph *graph;

static int setup(void **state) {
    (void)state;
    graph = test_model(test_residual_model, NULL, 4);
    return 0;
}

static int finish(void **state) {
    (void)state;
    thaw_graph_destroy(&graph);
    return 0;
}

/* How many tensors a pattern selects. */
static int matched(const char *pattern) {
    bool marks[128] = {false};
    int count = 0;
    assert_ok(thaw_graph_match(graph, NULL, pattern, marks));
    for (size_t i = 0; i < graph->param_count; i++)
        count += marks[i];
    return count;
}

static void patterns(void **state) {
    (void)state;
    const struct {
        const char *pattern;
        int count;
    } list[] = {
        {"all", 34},
        {"head", 4},
        {"stem", 5},
        {"layer1", 10},
        {"layer2", 15},
        {"conv1", 1}, /* not layer1.0.conv1 */
        {"layer1.0.bn2", 4},
        {"layer2.0.downsample", 5},
        {"fc.bias", 1},
        {"*.bn?.weight", 4}, /* not bn1.weight */
        {"*bn?.weight", 5},
        {"*", 34},
        {"stem..layer1", 15},
        {"layer1..layer1", 10},
        {"layer1..layer2", 25},
        {"last:1", 15},
        {"last:3", 30},
        {"last:33%", 15}, /* 0.99 stages, rounded up */
        {"last:34%", 25},
        {"last:100%", 30},
        {"re:^layer[12]\\.0\\.conv", 4},
        {"re:weight$", 14},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (matched(list[i].pattern) != list[i].count)
            fail_msg("%s: %d tensors, expected %d", list[i].pattern, matched(list[i].pattern),
                     list[i].count);
}

static void patterns_add_up(void **state) {
    (void)state;
    bool marks[128] = {false};
    assert_ok(thaw_graph_match(graph, NULL, "fc", marks));
    assert_ok(thaw_graph_match(graph, NULL, "conv1", marks));
    assert_true(marks[thaw_graph_find_param(graph, "fc.weight")]);
    assert_true(marks[thaw_graph_find_param(graph, "fc.bias")]);
    assert_true(marks[thaw_graph_find_param(graph, "conv1.weight")]);
    assert_false(marks[thaw_graph_find_param(graph, "hidden.weight")]);
}

static void mistakes(void **state) {
    (void)state;
    const struct {
        const char *pattern, *message;
    } list[] = {
        {"layr1", "m.yaml:1:1: 'layr1' matches no tensor of residual (nearest: 'layer1') (stages: "
                  "head, stem, layer1, layer2)"},
        {"layer1.0.conv", "(nearest: 'layer1.0.conv"},
        {"hidden.wieght", "(nearest: 'hidden.weight')"},
        {"layer1..layer3", "'layer1..layer3' matches no tensor"},
        {"layer2..stem", "'layer2..stem' is an empty range: layer2 comes after stem"},
        {"last:4", "'last:4' matches no tensor"},
        {"last:0", "'last:0' matches no tensor"},
        {"last:-1", "'last:-1' matches no tensor"},
        {"last:101%", "'last:101%' matches no tensor"},
        {"last:", "'last:' matches no tensor"},
        {"last:1x", "'last:1x' matches no tensor"},
        {"x*", "'x*' matches no tensor"},
        {"re:^x", "'re:^x' matches no tensor"},
        {"re:(", "'(' is not a regular expression: "},
        {"", "'' matches no tensor"},
        {"relu", "'relu' matches no tensor"}, /* a node without parameters */
    };
    const thaw_yaml *place = test_yaml("pattern");
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        bool marks[128] = {false};
        assert_fails(thaw_graph_match(graph, place, list[i].pattern, marks), THAW_ERROR_INPUT,
                     list[i].message);
    }
}

static int node(const char *name) {
    int found = thaw_graph_find_node(graph, name);
    assert_true(found >= 0);
    return found;
}

static void stages(void **state) {
    (void)state;
    assert_int_equal(graph->stage_count, 3);
    assert_int_equal(thaw_graph_stage_of(graph, node("conv1")), 0);
    assert_int_equal(thaw_graph_stage_of(graph, node("bn1")), 0);
    assert_int_equal(thaw_graph_stage_of(graph, node("layer1.0.bn2")), 1);
    assert_int_equal(thaw_graph_stage_of(graph, node("layer2.0.downsample.0")), 2);
    assert_int_equal(thaw_graph_stage_of(graph, node("maxpool")), -1);
    assert_int_equal(thaw_graph_stage_of(graph, node("avgpool")), -1);
    assert_int_equal(thaw_graph_stage_of(graph, node("flatten")), 3); /* after the bottleneck */
    assert_int_equal(thaw_graph_stage_of(graph, node("fc")), 3);
    assert_int_equal(thaw_graph_find_node(graph, "layer3"), -1);
    assert_int_equal(thaw_graph_find_param(graph, "conv1"), -1);
}

/* The cut when just `pattern` is trained, and a batch norm uses batch statistics (NULL: none). */
static int cut(const char *pattern, const char *norm) {
    bool marks[128] = {false};
    if (pattern)
        assert_ok(thaw_graph_match(graph, NULL, pattern, marks));
    for (size_t i = 0; i < graph->param_count; i++)
        graph->params[i].trainable =
            marks[i] && graph->params[i].spec->kind != THAW_PARAM_STATISTIC;
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].batch_statistics = norm && !strcmp(graph->nodes[i].name, norm);
    return thaw_graph_cut(graph);
}

static void cuts(void **state) {
    (void)state;
    assert_int_equal(cut("head", NULL), node("flatten"));
    assert_int_equal(cut("fc", NULL), node("relu_2")); /* dropout stays above the cut */
    assert_int_equal(cut(NULL, NULL), node("relu_2"));
    assert_int_equal(cut("layer2", NULL), node("layer1.0.relu_2"));
    /* The projection reads the block's input: no cut inside. */
    assert_int_equal(cut("layer2.0.conv2", NULL), node("layer1.0.relu_2"));
    assert_int_equal(cut("layer1.0.bn1", NULL), node("maxpool"));
    assert_int_equal(cut("bn1", NULL), node("conv1"));
    assert_int_equal(cut("conv1", NULL), 0);
    assert_int_equal(cut("all", NULL), 0);
    assert_int_equal(cut("head", "bn1"), node("conv1"));
    assert_int_equal(cut("head", "layer2.0.downsample.1"), node("layer1.0.relu_2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns), cmocka_unit_test(patterns_add_up),
        cmocka_unit_test(mistakes), cmocka_unit_test(stages),
        cmocka_unit_test(cuts),
    };
    return cmocka_run_group_tests(tests, setup, finish);
}
