/* The model grammar: every form of an entry, templates, expressions, heads, and what each mistake
 * is told; the built-in models against the parameter counts of torchvision and timm. No device. */
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "support/model.h"
#include "train/config.h"

#define INPUT "input: {channels: 4, size: 8}\n"
#define TAIL "  - pool: global\n  - fc: {linear: {out: 5}}\nfeatures: pool\n"

static struct thaw_graph *graph;

static int finish(void **state) {
    (void)state;
    thaw_graph_destroy(&graph);
    return 0;
}

static void build(const char *text) {
    thaw_graph_destroy(&graph);
    graph = test_model(text, NULL, 4);
}

static const struct thaw_node *node(const char *name) {
    int index = thaw_graph_find_node(graph, name);
    if (index < 0)
        fail_msg("there is no node %s", name);
    return &graph->nodes[index];
}

/* The names of all nodes after the input, joined by blanks. */
static const char *names(void) {
    static char text[2048];
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 1; i < graph->node_count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", i > 1 ? " " : "",
                                   graph->nodes[i].name);
    return text;
}

static const char *input_of(const char *name, int k) {
    assert_true(k < node(name)->input_count);
    return graph->nodes[node(name)->inputs[k]].name;
}

static void expect_shape(const char *name, int c, int h, int w) {
    const struct thaw_layout *out = &node(name)->out;
    assert_int_equal(out->n, 1);
    assert_int_equal(out->c, c);
    assert_int_equal(out->h, h);
    assert_int_equal(out->w, w);
}

/* ---- entries -------------------------------------------------------------------------------- */

static void forms(void **state) {
    (void)state;
    build("model: forms\n" INPUT "graph:\n"
          "  - relu\n"
          "  - relu\n"
          "  - bn1: batchnorm\n"
          "  - conv1: {conv: {out: 4, kernel: 3, pad: 1}}\n"
          "  - maxpool: {kernel: 2, stride: 2}\n"
          "  - left: {conv: {out: 4, kernel: 1}}\n"
          "  - right: {conv: {out: 4, kernel: 1, bias: false}, from: maxpool, aka: old}\n"
          "  - add: [left, right]\n"
          "  - sum: {add: [left, add]}\n"
          "  - concat: [sum, right, left]\n" TAIL);
    assert_string_equal(graph->name, "forms");
    assert_string_equal(names(), "relu relu_2 bn1 conv1 maxpool left right add sum concat pool fc");
    assert_string_equal(input_of("relu", 0), "input");
    assert_string_equal(input_of("conv1", 0), "bn1");
    assert_string_equal(input_of("right", 0), "maxpool");
    assert_string_equal(input_of("add", 0), "left");
    assert_string_equal(input_of("add", 1), "right");
    assert_string_equal(input_of("sum", 1), "add");
    assert_int_equal(node("concat")->input_count, 3);
    expect_shape("conv1", 4, 8, 8);
    expect_shape("maxpool", 4, 4, 4);
    expect_shape("concat", 12, 4, 4);
    expect_shape("pool", 12, 1, 1);
    expect_shape("fc", 5, 1, 1);
    assert_string_equal(graph->nodes[graph->output].name, "fc");
    assert_string_equal(graph->nodes[graph->features].name, "pool");
    assert_int_equal(node("right")->param_count, 1);
    assert_string_equal(graph->params[node("right")->params[0]].alias, "old.weight");
    assert_null(graph->params[node("left")->params[0]].alias);
    assert_string_equal(graph->params[node("left")->params[1]].name, "left.bias");
    assert_int_equal(graph->reference_batch, 256);
    assert_true(graph->reference_lr == 0);
}

/* Names that are ops, and attributes called like ops. */
static void op_names(void **state) {
    (void)state;
    build("model: names\n" INPUT "graph:\n"
          "  - relu: {relu6: null}\n"
          "  - conv: {conv: {out: 4, kernel: 1}}\n"
          "  - avgpool: {maxpool: {kernel: 3, stride: 1, pad: 1}, from: relu}\n"
          "  - maxpool: {pad: 1, kernel: 3, stride: 1}\n"
          "  - add: {add: [conv, maxpool]}\n"
          "  - pad: {width: [1, 0], value: 1}\n"
          "  - concat: {concat: {axis: width}, from: [add, pad]}\n" TAIL);
    assert_string_equal(node("relu")->op->type, "relu6");
    assert_string_equal(node("avgpool")->op->type, "maxpool");
    assert_string_equal(input_of("conv", 0), "relu");
    expect_shape("maxpool", 4, 8, 8);
    expect_shape("concat", 4, 8, 17);
}

static void parameters(void **state) {
    (void)state;
    build(INPUT "graph:\n  - conv1: {conv: {out: 4, kernel: 3, groups: 1}}\n"
                "  - bn1: batchnorm\n" TAIL);
    const char *expected[] = {"conv1.weight",     "conv1.bias",      "bn1.weight", "bn1.bias",
                              "bn1.running_mean", "bn1.running_var", "fc.weight",  "fc.bias"};
    const int ranks[] = {4, 1, 1, 1, 1, 1, 2, 1};
    const size_t counts[] = {4 * 4 * 9, 4, 4, 4, 4, 4, 20, 5};
    assert_int_equal(graph->param_count, 8);
    for (int i = 0; i < 8; i++) {
        const struct thaw_param *param = &graph->params[i];
        int64_t dims[4];
        assert_string_equal(param->name, expected[i]);
        assert_int_equal(thaw_param_dims(param, dims), ranks[i]);
        assert_int_equal(thaw_param_count_values(param), counts[i]);
        assert_int_equal(param->spec->kind == THAW_PARAM_STATISTIC, i == 4 || i == 5);
        assert_int_equal(param->spec->kind == THAW_PARAM_WEIGHT, i == 0 || i == 6);
    }
}

/* A trained map is called like its node and has the dimensions that the YAML gives. */
static void trained_maps(void **state) {
    (void)state;
    build(INPUT "graph:\n  - a:\n      aka: old\n      nodes:\n"
                "        - conv: {out: 6, kernel: 1}\n"
                "        - gamma: {scale: {shape: [6, 1, 1], init: 1e-6}}\n" TAIL);
    const struct thaw_param *param = &graph->params[node("a.gamma")->params[0]];
    int64_t dims[4];
    assert_string_equal(param->name, "a.gamma");
    assert_string_equal(param->alias, "old.gamma");
    assert_int_equal(thaw_param_dims(param, dims), 3);
    assert_true(dims[0] == 6 && dims[1] == 1 && dims[2] == 1);
    assert_int_equal(thaw_param_count_values(param), 6);
}

static void groups(void **state) {
    (void)state;
    build(INPUT "graph:\n"
                "  - features:\n"
                "      aka: old\n"
                "      nodes:\n"
                "        - 0: {conv: {out: 4, kernel: 3, pad: 1}}\n"
                "        - relu\n"
                "        - inner: {from: input, nodes: [{conv: {out: 4, kernel: 1}}]}\n"
                "        - add: [relu, inner]\n"
                "  - after: {add: [features, features.0]}\n" TAIL);
    assert_string_equal(names(),
                        "features.0 features.relu features.inner.conv features.add after pool fc");
    assert_string_equal(input_of("features.inner.conv", 0), "input");
    assert_string_equal(input_of("features.add", 1), "features.inner.conv");
    assert_string_equal(input_of("after", 0), "features.add"); /* a group is its last node */
    assert_string_equal(input_of("after", 1), "features.0");   /* by its full name */
    assert_string_equal(graph->params[node("features.0")->params[0]].alias, "old.0.weight");
    assert_string_equal(graph->params[node("features.inner.conv")->params[0]].alias,
                        "old.inner.conv.weight");
}

/* ---- blocks --------------------------------------------------------------------------------- */

static void blocks(void **state) {
    (void)state;
    build("blocks:\n"
          "  unit:\n"
          "    params: {out: required, stride: 1, act: relu}\n"
          "    nodes:\n"
          "      - conv: {out: \"${out}\", kernel: 1, stride: \"${stride}\"}\n"
          "      - skip: {when: shape_changes, from: input, nodes: [{0: {conv: {out: \"${out}\", "
          "kernel: 1, stride: \"${stride}\"}}}]}\n"
          "      - add: [conv, skip]\n"
          "      - tail: {when: same_shape, conv: {out: \"${index + 7}\", kernel: 1}}\n" INPUT
          "graph:\n"
          "  - a: {block: unit, repeat: 2, with: {out: 7}, first: {stride: 2}, aka: [x.0, y]}\n"
          "  - b: {block: unit, with: {out: 8}}\n" TAIL);
    assert_string_equal(names(), "a.0.conv a.0.skip.0 a.0.add a.1.conv a.1.add a.1.tail "
                                 "b.conv b.add b.tail pool fc");
    expect_shape("a.0.add", 7, 4, 4);
    expect_shape("a.1.add", 7, 4, 4); /* first: only the first */
    assert_string_equal(input_of("a.0.add", 1), "a.0.skip.0");
    assert_string_equal(input_of("a.1.add", 1), "a.0.add"); /* left out: what it would read */
    assert_int_equal(node("a.1.tail")->out.c, 8);           /* index 1 */
    assert_string_equal(node("a.0.conv")->alias, "x.0.conv");
    assert_string_equal(node("a.1.conv")->alias, "y.conv");
    assert_null(node("b.conv")->alias);
}

static void expect_channels(const char *expression, int channels) {
    char text[1024];
    snprintf(
        text, sizeof text,
        "blocks: {u: {params: {n: 6, k: 3}, nodes: [{conv: {out: \"%s\", kernel: 1}}]}}\n" INPUT
        "graph:\n  - a: {block: u}\n" TAIL,
        expression);
    build(text);
    assert_int_equal(node("a.conv")->out.c, channels);
}

static void expressions(void **state) {
    (void)state;
    expect_channels("${n}", 6);
    expect_channels("${ n }", 6);
    expect_channels("${n * k}", 18);
    expect_channels("${n+k*2}", 18); /* left to right */
    expect_channels("${n - 5}", 1);
    expect_channels("${n / 4}", 1); /* whole numbers */
    expect_channels("${in * 2}", 8);
    expect_channels("${index}${n}", 6); /* "06" */
    expect_channels("1${k}", 13);
}

static void comparisons(void **state) {
    (void)state;
    build(
        "blocks: {u: {params: {n: 6}, nodes: [{yes: {relu: , when: \"${n} == 6\"}}, {no: {relu: , "
        "when: \"${n}!=6\"}}, {same: {relu: , when: \"${in} != ${n}\"}}]}}\n" INPUT
        "graph:\n  - a: {block: u}\n" TAIL);
    assert_string_equal(names(), "a.yes a.same pool fc");
}

/* ---- heads ---------------------------------------------------------------------------------- */

static const char two_linear[] = INPUT "graph:\n"
                                       "  - conv: {out: 4, kernel: 3}\n"
                                       "  - pool: global\n"
                                       "  - hidden: {linear: {out: 6}}\n"
                                       "  - relu\n"
                                       "  - fc: {linear: {out: 5, bias: false}}\n"
                                       "features: pool\n";

static void build_head(struct thaw_graph_options options) {
    thaw_graph_destroy(&graph);
    graph = test_model(two_linear, &options, 4);
}

static void heads(void **state) {
    (void)state;
    build_head((struct thaw_graph_options){0});
    assert_string_equal(names(), "conv pool hidden relu fc");
    assert_false(graph->params[node("fc")->params[0]].new_head);

    build_head((struct thaw_graph_options){.classes = 3});
    assert_string_equal(names(), "conv pool hidden relu fc");
    expect_shape("fc", 3, 1, 1);
    assert_int_equal(node("fc")->param_count, 1); /* keeps its other attributes */
    assert_true(graph->params[node("fc")->params[0]].new_head);
    assert_false(graph->params[node("hidden")->params[0]].new_head);

    build_head((struct thaw_graph_options){.classes = 3, .dropout = 0.4});
    assert_string_equal(names(), "conv pool hidden relu fc_dropout fc");
    assert_string_equal(input_of("fc", 0), "fc_dropout");

    build_head((struct thaw_graph_options){.classes = 3, .head = THAW_HEAD_LINEAR});
    assert_string_equal(names(), "conv pool fc");
    assert_int_equal(node("fc")->param_count, 2);
    assert_int_equal(graph->output, thaw_graph_find_node(graph, "fc"));

    build_head((struct thaw_graph_options){.classes = 3, .head = THAW_HEAD_LINEAR, .dropout = 0.4});
    assert_string_equal(names(), "conv pool fc_dropout fc");

    build_head((struct thaw_graph_options){.size = 20});
    expect_shape("conv", 4, 18, 18);
}

static void conv_heads(void **state) {
    (void)state;
    static const char text[] = INPUT "graph:\n"
                                     "  - conv: {out: 4, kernel: 3}\n"
                                     "  - last: {conv: {out: 7, kernel: 1%s}}\n"
                                     "  - relu\n"
                                     "  - pool: global\n"
                                     "features: conv\n";
    struct thaw_graph_options options = {.classes = 3};
    char model[512];
    snprintf(model, sizeof model, text, "");
    thaw_graph_destroy(&graph);
    graph = test_model(model, &options, 4);
    assert_string_equal(names(), "conv last relu pool");
    expect_shape("pool", 3, 1, 1);
    const struct thaw_node *last = node("last");
    assert_true(graph->params[last->params[0]].new_head && graph->params[last->params[1]].new_head);
    assert_false(graph->params[node("conv")->params[0]].new_head);
    /* equal logits, and a ReLU that lets gradients pass */
    assert_int_equal(last->spec.params[0].init, THAW_INIT_ZEROS);
    assert_int_equal(last->spec.params[1].init, THAW_INIT_ONES);

    options.head = THAW_HEAD_LINEAR;
    thaw_graph_destroy(&graph);
    graph = test_model(model, &options, 4);
    assert_string_equal(names(), "conv last_average last");
    expect_shape("last_average", 4, 1, 1);
    assert_int_equal(node("last")->spec.params[1].init, THAW_INIT_ZEROS);

    options.head = THAW_HEAD_LAST;
    snprintf(model, sizeof model, text, ", bias: false");
    thaw_graph_destroy(&graph);
    graph = test_model(model, &options, 4);
    assert_int_equal(node("last")->spec.params[0].init, THAW_INIT_KAIMING_NORMAL);
}

static void head_mistakes(void **state) {
    (void)state;
    struct thaw_graph_options options = {.classes = 2};
    struct thaw_graph *none = NULL;
    assert_fails(test_try_model(INPUT "graph: [relu]\nfeatures: relu\n", &options, 4, &none),
                 THAW_ERROR_INPUT, "the model has no linear layer or convolution after `features`");
}

/* ---- mistakes ------------------------------------------------------------------------------- */

struct mistake {
    const char *text, *message;
};

static void expect_mistakes(const struct mistake *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct thaw_graph *none = NULL;
        assert_fails(test_try_model(list[i].text, NULL, 4, &none), THAW_ERROR_INPUT,
                     list[i].message);
        assert_null(none);
    }
}

#define BEFORE INPUT "graph:\n"
#define AFTER "features: relu\n"

static void mistakes_of_entries(void **state) {
    (void)state;
    const struct mistake list[] = {
        {BEFORE "  - rleu\n" AFTER, "m.yaml:3:5: there is no op 'rleu' (nearest: 'relu')"},
        {BEFORE "  - a: rleu\n" AFTER, "m.yaml:3:8: there is no op 'rleu' (nearest: 'relu')"},
        {BEFORE "  - a: {rleu: {}}\n" AFTER, "m.yaml:3:9: there is no op 'rleu'"},
        {BEFORE "  - rleu: {}\n" AFTER, "m.yaml:3:5: there is no op 'rleu'"},
        {BEFORE "  - rleu: [a]\n" AFTER, "m.yaml:3:5: there is no op 'rleu'"},
        {BEFORE "  - relu: {slope: 1}\n" AFTER, "slope"},
        {BEFORE "  - [relu]\n" AFTER, "m.yaml:3:5: a node is an op type or one `name: ...` pair"},
        {BEFORE "  - {a: relu, b: relu}\n" AFTER, "m.yaml:3:5: a node is an op type or one"},
        {BEFORE "  - a: {relu: , sigmoid: }\n" AFTER,
         "m.yaml:3:17: a node has one op, this is a second: 'sigmoid'"},
        {BEFORE "  - a: {relu: , form: b}\n" AFTER,
         "m.yaml:3:17: unknown key 'form' beside the op (nearest: 'from')"},
        {BEFORE "  - relu\n  - a: {relu: , from: rellu}\n" AFTER,
         "m.yaml:4:23: there is no node 'rellu' before this one (nearest: 'relu')"},
        {BEFORE "  - a: relu\n  - a: relu\n" AFTER, "m.yaml:4:5: there is already a node 'a' here"},
        {BEFORE "  - a: {add: [input, input], from: input}\n" AFTER,
         "m.yaml:3:36: `from` and a list of inputs say the same thing twice"},
        {BEFORE "  - relu: []\n" AFTER, "m.yaml:3:11: expected 1 to 8 node names, got 0"},
        {BEFORE "  - relu: [input, input]\n" AFTER,
         "m.yaml:3:5: node 'relu' (relu): takes 1 to 1 inputs, got 2"},
        {BEFORE "  - add: [input]\n" AFTER, "m.yaml:3:5: node 'add' (add): takes 2 to"},
        {BEFORE "  - a: {relu: , when: maybe}\n" AFTER, "m.yaml:3:23: 'when' is shape_changes"},
        {BEFORE "  - g: {nodes: [relu], form: a}\n" AFTER,
         "m.yaml:3:24: unknown key 'form' (nearest: 'from'"},
        {BEFORE "  - g: {nodes: relu}\n" AFTER, "m.yaml:3:16: a list of nodes must be a sequence"},
        {BEFORE "  - g: {nodes: [relu], from: [input, input]}\n" AFTER,
         "a block or group reads one node"},
        {BEFORE "  - g: {nodes: []}\n" AFTER, "m.yaml:3:16: "},
        {BEFORE "  - conv: {kernel: 3}\n" AFTER, "out"},
        {BEFORE "  - conv: {out: 4, kernal: 3}\n" AFTER, "unknown key 'kernal' (nearest: 'kernel'"},
    };
    expect_mistakes(list, sizeof list / sizeof *list);
}

#define BLOCK(text) "blocks: {unit: {params: {out: required}, nodes: [" text "]}}\n" BEFORE

static void mistakes_of_blocks(void **state) {
    (void)state;
    const struct mistake list[] = {
        {BLOCK("relu") "  - a: {block: unti}\n" AFTER,
         "m.yaml:4:16: there is no block 'unti' (nearest: 'unit')"},
        {BEFORE "  - a: {block: unit}\n" AFTER, "m.yaml:3:16: there is no block 'unit'"},
        {BLOCK("relu") "  - a: {block: unit}\n" AFTER,
         "m.yaml:4:8: the block needs 'out' in `with`"},
        {BLOCK("relu") "  - a: {block: unit, with: {outt: 1}}\n" AFTER,
         "m.yaml:4:29: 'outt' is not a parameter of the block (nearest: 'out')"},
        {BLOCK("relu") "  - a: {block: unit, with: [1]}\n" AFTER,
         "block parameters must be a mapping"},
        {BLOCK("relu") "  - a: {block: unit, wiht: {out: 1}}\n" AFTER, "unknown key 'wiht'"},
        {BLOCK("relu") "  - a: {block: unit, with: {out: 1}, repeat: 0}\n" AFTER, "m.yaml:4:46: "},
        {BLOCK("relu") "  - a: {block: unit, with: {out: 1}, repeat: 2, aka: [x]}\n" AFTER,
         "m.yaml:4:"},
        {BLOCK("conv: {out: '${otu}', kernel: 1}") "  - a: {block: unit, with: {out: 1}}\n" AFTER,
         "'${otu}' is not a parameter of this block (nearest: 'out')"},
        {BLOCK("conv: {out: '${out', kernel: 1}") "  - a: {block: unit, with: {out: 1}}\n" AFTER,
         "expected '}' or one of + - * / in '${out'"},
        {BLOCK("conv: {out: '${}', kernel: 1}") "  - a: {block: unit, with: {out: 1}}\n" AFTER,
         "expected a name or a number in '${}'"},
        {BLOCK(
             "conv: {out: '${out / 0}', kernel: 1}") "  - a: {block: unit, with: {out: 1}}\n" AFTER,
         "division by zero"},
        {BLOCK(
             "conv: {out: '${out * 2}', kernel: 1}") "  - a: {block: unit, with: {out: x}}\n" AFTER,
         "'x' in '${out * 2}' is not a whole number"},
        {BLOCK("conv: {out: '${out}', kernel: 1}") "  - a: {block: unit, with: {out: x}}\n" AFTER,
         "'x'"},
        {"blocks: {a: {nodes: [{b: {block: a}}]}}\n" BEFORE "  - a: {block: a}\n" AFTER,
         "blocks are nested deeper than 16"},
        {"blocks: {a: {node: [relu]}}\n" BEFORE "  - a: {block: a}\n" AFTER, "unknown key 'node'"},
        {"blocks: {a: {params: {}}}\n" BEFORE "  - a: {block: a}\n" AFTER,
         "expected `nodes`, a list"},
        {"blocks: {a: 3}\n" BEFORE "  - a: {block: a}\n" AFTER, "a block: params and nodes"},
        {"blocks: {a: {params: [b], nodes: [relu]}}\n" BEFORE "  - a: {block: a}\n" AFTER,
         "m.yaml:1:22: "},
        {"blocks: [a]\n" BEFORE "  - relu\n" AFTER, "m.yaml:1:9: "},
    };
    expect_mistakes(list, sizeof list / sizeof *list);
}

static void mistakes_of_shapes(void **state) {
    (void)state;
    const struct mistake list[] = {
        {BEFORE "  - a: {conv: {out: 4, kernel: 1}}\n  - b: {conv: {out: 5, kernel: 1}}\n"
                "  - add: [a, b]\n" AFTER,
         "m.yaml:5:5: node 'add' (add): "},
        {BEFORE "  - big: {conv: {out: 4, kernel: 9}}\n" AFTER, "m.yaml:3:5: node 'big' (conv): "},
        {BEFORE "  - g: {nodes: [{c: {conv: {out: 4, kernel: 1, groups: 3}}}]}\n" AFTER,
         "node 'g.c' (conv): "},
        {BEFORE "  - maxpool: {kernel: 9}\n" AFTER, "node 'maxpool' (maxpool): "},
    };
    expect_mistakes(list, sizeof list / sizeof *list);
}

static void mistakes_of_documents(void **state) {
    (void)state;
    const struct mistake list[] = {
        {"[a]\n", "a model: input, graph, features must be a mapping"},
        {BEFORE "  - relu\nfeature: relu\n",
         "m.yaml:4:1: unknown key 'feature' (nearest: 'features'"},
        {"graph: [relu]\nfeatures: relu\n", "a model needs `input: {channels: 3, size: 224, ...}`"},
        {"input: 3\ngraph: [relu]\nfeatures: relu\n", "m.yaml:1:8: channels, size, mean, std"},
        {"input: {channels: 3}\ngraph: [relu]\nfeatures: relu\n", "`input` needs a `size`"},
        {"input: {channels: 0, size: 8}\ngraph: [relu]\nfeatures: relu\n", "m.yaml:1:19: "},
        {INPUT "features: relu\n", "a model needs `graph: [...]`, its list of nodes"},
        {INPUT "graph: []\nfeatures: relu\n", "m.yaml:2:8: expected at least one node"},
        {INPUT "graph: {}\nfeatures: relu\n", "a list of nodes must be a sequence"},
        {INPUT "graph: [relu]\n", "a model needs `features: NODE`, its bottleneck"},
        {INPUT "graph: [relu]\nfeatures: rellu\n",
         "m.yaml:3:11: there is no node 'rellu' (nearest: 'relu')"},
        {INPUT "graph: [conv: {out: 1, kernel: 1}]\nfeatures: conv\nstages: [cov]\n",
         "m.yaml:4:10: 'cov' matches no tensor"},
        {INPUT "graph: [relu]\nfeatures: relu\nstages: relu\n", "m.yaml:4:9: a list of stages"},
        {INPUT "graph: [relu]\nfeatures: relu\nstages: [{a: relu}]\n",
         "a stage is a node's name or {name: [nodes]}"},
        {INPUT "graph: [relu]\nfeatures: relu\nreference: {rl: 1}\n", "unknown key 'rl'"},
        {INPUT "graph: [relu]\nfeatures: relu\nreference: {lr: 0}\n", "m.yaml:4:17: "},
    };
    expect_mistakes(list, sizeof list / sizeof *list);
}

/* ---- the built-in models -------------------------------------------------------------------- */

/* torchvision 0.20 and timm 1.0: sum(p.numel() for p in model.parameters()). */
static const struct {
    const char *name;
    size_t count;
} known[] = {
    {"convnext_tiny", 28589128},
    {"convnext_small", 50223688},
    {"convnext_base", 88591464},
    {"convnext_large", 197767336},
    {"vgg11", 132863336},
    {"vgg11_bn", 132868840},
    {"vgg13", 133047848},
    {"vgg13_bn", 133053736},
    {"vgg16", 138357544},
    {"vgg16_bn", 138365992},
    {"vgg19", 143667240},
    {"vgg19_bn", 143678248},
    {"resnet18", 11689512},
    {"resnet34", 21797672},
    {"resnet50", 25557032},
    {"resnet101", 44549160},
    {"resnet152", 60192808},
    {"mobilenet_v2", 3504872},
    {"efficientnet_lite0", 4652008},
    {"efficientnet_lite1", 5416680},
    {"efficientnet_lite2", 6092072},
    {"efficientnet_lite3", 8197096},
    {"efficientnet_lite4", 13006568},
    {"inception_v3", 23834568},
    {"squeezenet1_0", 1248424},
    {"squeezenet1_1", 1235496},
};

static void built_in_models(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof known / sizeof *known; m++) {
        struct thaw_arena arena = {0};
        struct thaw_device_caps caps = {.is_cpu = true, .block = 16, .base_align_bytes = 128};
        struct thaw_graph_options options = {.caps = &caps};
        thaw_yaml *document = NULL;
        assert_ok(thaw_model_document(&arena, known[m].name, NULL, &document));
        thaw_graph_destroy(&graph);
        assert_ok(thaw_graph_build(document, &options, &graph));
        size_t count = 0;
        for (size_t i = 0; i < graph->param_count; i++)
            if (graph->params[i].spec->kind != THAW_PARAM_STATISTIC)
                count += thaw_param_count_values(&graph->params[i]);
        if (count != known[m].count)
            fail_msg("%s has %zu parameters, expected %zu", known[m].name, count, known[m].count);
        assert_string_equal(graph->name, known[m].name);
        assert_int_equal(graph->nodes[graph->output].out.c, 1000);
        assert_true(graph->stage_count >= 5);
        assert_true(graph->reference_lr > 0);
        thaw_graph_destroy(&graph);
        options.classes = 2;
        options.head = THAW_HEAD_LINEAR;
        options.size = 80; /* Inception needs 75 */
        assert_ok(thaw_graph_build(document, &options, &graph));
        assert_int_equal(graph->nodes[graph->output].out.c, 2);
        thaw_graph_destroy(&graph);
        thaw_arena_finish(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(op_names),
        cmocka_unit_test(parameters),
        cmocka_unit_test(trained_maps),
        cmocka_unit_test(groups),
        cmocka_unit_test(blocks),
        cmocka_unit_test(expressions),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(heads),
        cmocka_unit_test(conv_heads),
        cmocka_unit_test(head_mistakes),
        cmocka_unit_test(mistakes_of_entries),
        cmocka_unit_test(mistakes_of_blocks),
        cmocka_unit_test(mistakes_of_shapes),
        cmocka_unit_test(mistakes_of_documents),
        cmocka_unit_test(built_in_models),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
