/* Networks from Darknet compute what Darknet does: written and computed by support/darknet.h, then
 * imported, built and run. Wrong files are test_darknet_errors.c's. */
#include "io/darknet/darknet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "support/darknet.h"
#include "support/device.h"

/* ---- an imported network -------------------------------------------------------------------- */

struct imported {
    struct thaw_darknet_import import;
    struct thaw_arena arena;
    thaw_yaml *document;
    struct thaw_graph *graph;
};

static struct thaw_darknet_bytes bytes_of(const struct thaw_text *text, const char *name) {
    return (struct thaw_darknet_bytes){(const unsigned char *)text->text, text->length, name};
}

static void import(struct darknet *net, const char *until, struct imported *ret_imported) {
    struct imported imported = {0};
    const struct thaw_darknet_options options = {.name = "net", .until = until};
    struct thaw_darknet_bytes cfg = bytes_of(&net->cfg, "net.cfg"),
                              weights = bytes_of(&net->weights, "net.weights");
    assert_false(net->cfg.failed || net->weights.failed);
    assert_true(thaw_darknet_matches(cfg.bytes, cfg.size_bytes));
    assert_ok(thaw_darknet_import_bytes(&cfg, &weights, &options, &imported.import));
    const char *yaml = imported.import.yaml;
    assert_ok(thaw_yaml_parse(&imported.arena, yaml, strlen(yaml), "net.yaml", &imported.document));
    const struct thaw_graph_options graph = {.caps = thaw_device_get_caps(test_device())};
    assert_ok(thaw_graph_build(imported.document, &graph, &imported.graph));
    *ret_imported = imported;
}

static void imported_finish(struct imported *imported) {
    thaw_graph_destroy(&imported->graph);
    thaw_arena_finish(&imported->arena);
    thaw_darknet_import_finish(&imported->import);
}

/* Every tensor of the one is one of the other, of the same shape. */
static void load(struct imported *imported) {
    struct thaw_graph *graph = imported->graph;
    assert_ok(thaw_graph_allocate(graph, test_device(), 1));
    assert_int_equal(imported->import.weights.count, graph->param_count);
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct thaw_param *param = &graph->params[i];
        const struct thaw_weight *weight =
            thaw_weights_find(&imported->import.weights, param->name);
        int64_t dims[4];
        if (!weight)
            fail_msg("the list has no '%s'", param->name);
        assert_int_equal(weight->rank, thaw_param_dims(param, dims));
        assert_memory_equal(weight->dims, dims, (size_t)weight->rank * sizeof *dims);
        float *values = malloc(thaw_weight_count(weight) * sizeof *values);
        assert_non_null(values);
        thaw_weight_to_float(weight, values);
        assert_ok(thaw_param_write(graph, param, values));
        free(values);
    }
}

/* The output of `graph` for the network's input is the reference's. */
static void run(struct imported *imported, const struct darknet *net) {
    const struct darknet_map *expected = darknet_output(net), *input = &net->input;
    size_t count = (size_t)(expected->c * expected->h * expected->w);
    size_t pixels = (size_t)(input->c * input->h * input->w);
    float *actual = malloc(count * sizeof *actual), *picture = malloc(pixels * sizeof *picture);
    const struct thaw_exec_options options = {.batch = 1};
    const struct thaw_op_step step = {.batch = 1};
    thaw_exec *exec = NULL;
    assert_true(actual && picture);
    for (size_t i = 0; i < pixels; i++)
        picture[i] = (float)input->values[i];
    assert_ok(thaw_exec_create(imported->graph, &options, &exec));
    const struct thaw_layout *layout = &thaw_exec_input(exec)->layout;
    assert_true(layout->c == input->c && layout->h == input->h && layout->w == input->w);
    assert_ok(thaw_tensor_write(test_device(), thaw_exec_input(exec), 1, picture));
    assert_ok(thaw_exec_forward(exec, &step));
    const struct thaw_tensor *output = thaw_exec_output(exec, imported->graph->output);
    assert_true(output->layout.c == expected->c && output->layout.h == expected->h &&
                output->layout.w == expected->w);
    assert_ok(thaw_tensor_read(test_device(), output, 1, actual));
    test_compare(actual, expected->values, count, 2e-5, 2e-5, "output");
    thaw_exec_destroy(&exec);
    free(actual);
    free(picture);
}

/* Frees the network. */
static void expect_same(struct darknet *net) {
    struct imported imported;
    import(net, NULL, &imported);
    load(&imported);
    run(&imported, net);
    imported_finish(&imported);
    darknet_free(net);
}

static bool has_note(const struct thaw_darknet_import *import, const char *part) {
    for (size_t i = 0; i < import->note_count; i++)
        if (strstr(import->notes[i], part))
            return true;
    return false;
}

static const char *stage_of(const struct thaw_graph *graph, const char *node) {
    int index = thaw_graph_stage_of(graph, thaw_graph_find_node(graph, node));
    return index < 0                            ? "none"
           : (size_t)index < graph->stage_count ? graph->stages[index].name
                                                : "head";
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void unit(struct darknet *net, int filters, int size, int stride) {
    DARKNET_CONV(net, .filters = filters, .size = size, .stride = stride, .pad = true,
                 .batch_normalize = true, .activation = "leaky");
}

static void a_network_like_darknet_19(void **state) {
    (void)state;
    struct darknet *net = darknet_new(3, 11, 0, 2);
    struct imported imported;
    unit(net, 5, 3, 1);
    darknet_maxpool(net, 2, 2, -1); /* 11 -> 6: the last window is half outside */
    unit(net, 8, 3, 1);
    unit(net, 6, 1, 1);
    darknet_maxpool(net, 2, 2, -1);
    unit(net, 9, 3, 1);
    DARKNET_CONV(net, .filters = 7, .size = 1, .stride = 1, .pad = true, .activation = "linear");
    darknet_avgpool(net);
    darknet_section(net, "[softmax]\ngroups=1\n");
    darknet_section(net, "[cost]\ntype=sse\n");
    import(net, NULL, &imported);
    load(&imported);
    run(&imported, net);
    const struct thaw_graph *graph = imported.graph;
    /* the classifier came behind the average */
    assert_string_equal(graph->nodes[graph->features].name, "avgpool1");
    assert_string_equal(graph->nodes[graph->output].name, "conv5");
    assert_string_equal(graph->nodes[graph->output].op->type, "linear");
    assert_int_equal(graph->stage_count, 3);
    assert_string_equal(stage_of(graph, "conv1.bn"), "stage1");
    assert_string_equal(stage_of(graph, "conv3.conv"), "stage2");
    assert_string_equal(stage_of(graph, "conv4.conv"), "stage3");
    assert_string_equal(stage_of(graph, "conv5"), "head");
    assert_true(graph->reference_batch == 64 && graph->reference_lr > 0.04999 &&
                graph->reference_lr < 0.05001);
    assert_true(has_note(&imported.import, "[softmax] left out"));
    assert_true(has_note(&imported.import, "[cost] left out"));
    assert_true(has_note(&imported.import, "ignored, being about training only: type"));
    assert_string_equal(thaw_weights_get_metadata(&imported.import.weights, "darknet.version"),
                        "0.2.3");
    assert_string_equal(thaw_weights_get_metadata(&imported.import.weights, "darknet.images_seen"),
                        "32013312");
    imported_finish(&imported);
    darknet_free(net);
}

static void a_residual_network(void **state) {
    (void)state;
    struct darknet *net = darknet_new(3, 10, 0, 1); /* `seen` of 32 bits */
    unit(net, 8, 3, 1);
    unit(net, 6, 3, 2);
    unit(net, 4, 1, 1);
    unit(net, 6, 3, 1);
    darknet_shortcut(net, -3, "linear");
    DARKNET_CONV(net, .filters = 3, .size = 1); /* logistic, with a bias */
    DARKNET_CONV(net, .filters = 6, .size = 3, .padding = 1, .activation = "linear");
    darknet_shortcut(net, 1, "leaky"); /* an absolute index, over other layers */
    darknet_shortcut(net, -4, NULL);
    darknet_avgpool(net);
    darknet_section(net, "[dropout]\nprobability=.5\n");
    DARKNET_CONV(net, .filters = 5, .size = 1, .stride = 1, .pad = true, .activation = "linear");
    expect_same(net);
}

/* Darknet's own ResNets have no projections: where shapes differ, what fits is added. */
static void shortcuts_between_shapes(void **state) {
    (void)state;
    struct darknet *net = darknet_new(3, 12, 0, 2);
    unit(net, 6, 3, 1);
    unit(net, 9, 1, 1);
    darknet_shortcut(net, -2, "leaky"); /* more channels */
    unit(net, 4, 1, 1);
    darknet_shortcut(net, -2, "linear"); /* fewer */
    unit(net, 7, 3, 2);
    darknet_shortcut(net, -2, "leaky"); /* and every second pixel */
    darknet_shortcut(net, 1, "linear");
    darknet_avgpool(net);
    darknet_connected(net, 5, false, "linear");
    expect_same(net);
}

static void convolutions(void **state) {
    (void)state;
    struct darknet *net = darknet_new(1, 13, 0, 2);
    DARKNET_CONV(net, .filters = 6, .size = 7, .stride = 2, .pad = true, .activation = "relu");
    DARKNET_CONV(net, .filters = 6, .size = 3, .pad = true, .groups = 6, .activation = "relu6");
    DARKNET_CONV(net, .filters = 4, .size = 3, .padding = 2, .groups = 2, .activation = "relie");
    DARKNET_CONV(net, .filters = 5, .size = 3, .pad = true, .dilation = 2, .batch_normalize = true,
                 .activation = "swish");
    DARKNET_CONV(net, .filters = 3, .size = 5, .activation = "linear");
    darknet_batchnorm(net);
    darknet_activation(net, "leaky");
    darknet_connected(net, 4, false, NULL);
    expect_same(net);
}

static void routes_and_pools(void **state) {
    (void)state;
    struct darknet *net = darknet_new(3, 9, 0, 2);
    unit(net, 8, 3, 1);             /* 0 */
    darknet_maxpool(net, 2, 1, -1); /* keeps the size */
    darknet_route(net, "-2", 1, 0); /* 2: back to layer 0 */
    darknet_maxpool(net, 5, 1, -1);
    darknet_route(net, "0", 1, 0);
    darknet_maxpool(net, 9, 1, -1);        /* 5 */
    darknet_route(net, "-1,-3,1,0", 1, 0); /* all at once, as in spatial pyramid pooling */
    darknet_route(net, "-1", 4, 2);        /* a group of it is layer 1 */
    unit(net, 6, 1, 1);
    darknet_route(net, "-1,-2", 1, 0);
    darknet_maxpool(net, 3, 2, 0);
    darknet_maxpool(net, 3, 3, 2);
    darknet_connected(net, 4, false, "linear");
    expect_same(net);
}

static void maps_that_grow(void **state) {
    (void)state;
    struct darknet *net = darknet_new(3, 8, 0, 2);
    unit(net, 6, 3, 1);
    unit(net, 8, 3, 2);
    unit(net, 5, 3, 2);
    darknet_upsample(net, 2);
    darknet_route(net, "-1,1", 1, 0);
    unit(net, 4, 1, 1);
    darknet_upsample(net, 3);
    darknet_avgpool(net);
    darknet_connected(net, 3, false, "linear");
    expect_same(net);
}

static void a_passthrough_like_yolo_2(void **state) {
    (void)state;
    struct darknet *net = darknet_new(3, 12, 0, 1);
    unit(net, 6, 3, 1);
    darknet_maxpool(net, 2, 2, -1); /* 6 x 6 */
    unit(net, 8, 3, 1);
    darknet_maxpool(net, 2, 2, -1);
    unit(net, 5, 3, 1);
    darknet_route(net, "-3", 1, 0);
    darknet_reorg(net, 2);
    darknet_route(net, "-1,-3", 1, 0);
    darknet_avgpool(net);
    darknet_connected(net, 3, false, "linear");
    expect_same(net);
}

static void activations(void **state) {
    (void)state;
    static const char *const names[] = {"linear", "leaky", "relu",   "logistic", "relu6",
                                        "swish",  "mish",  "tanh",   "elu",      "selu",
                                        "gelu",   "relie", "hardtan"};
    struct darknet *net = darknet_new(3, 6, 0, 2);
    DARKNET_CONV(net, .filters = 5, .size = 3, .pad = true, .batch_normalize = true,
                 .activation = "linear");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        DARKNET_CONV(net, .filters = 5, .size = 1, .activation = names[i]);
    darknet_connected(net, 3, false, "linear");
    expect_same(net);
}

static void squeeze_and_excitation(void **state) {
    (void)state;
    struct darknet *net = darknet_new(3, 8, 0, 2);
    unit(net, 12, 3, 1);
    darknet_avgpool(net);
    DARKNET_CONV(net, .filters = 3, .size = 1, .stride = 1, .activation = "swish");
    DARKNET_CONV(net, .filters = 12, .size = 1, .stride = 1, .activation = "logistic");
    darknet_scale_channels(net, -4);
    unit(net, 5, 1, 1);
    darknet_avgpool(net);
    DARKNET_CONV(net, .filters = 4, .size = 1, .activation = "linear");
    expect_same(net);
}

static void connected_of(int major, int minor) {
    struct darknet *net = darknet_new(3, 7, major, minor);
    unit(net, 4, 3, 1);
    darknet_connected(net, 9, true, "relu");
    darknet_connected(net, 6, false, "leaky");
    darknet_section(net, "[dropout]\n");
    darknet_connected(net, 3, false, "linear");
    darknet_section(net, "[softmax]\n");
    expect_same(net);
}

static void connected_layers_of_all_versions(void **state) {
    (void)state;
    connected_of(0, 1);
    connected_of(0, 2);
    connected_of(1, 0);
    connected_of(0, 1001); /* their weights are transposed */
}

static void an_old_network_with_a_crop(void **state) {
    (void)state;
    for (int noadjust = 0; noadjust < 2; noadjust++) {
        struct darknet *net = darknet_new(3, 12, 0, 1);
        struct imported imported;
        darknet_crop(net, 8, noadjust);
        DARKNET_CONV(net, .filters = 4, .size = 3, .stride = 1, .pad = true, .activation = "relu");
        darknet_maxpool(net, 2, 2, -1);
        darknet_connected(net, 5, false, "relu");
        darknet_connected(net, 2, false, "linear");
        import(net, NULL, &imported);
        load(&imported);
        run(&imported, net);
        assert_non_null(strstr(imported.import.yaml, noadjust ? "mean: [0, 0, 0]\n  std: [1, 1, 1]"
                                                              : "mean: [0.5, 0.5, 0.5]\n  std: "
                                                                "[0.5, 0.5, 0.5]"));
        assert_non_null(strstr(imported.import.yaml, "size: 8\n"));
        assert_non_null(strstr(imported.import.yaml, "resize: {mode: short, size: 12}"));
        /* both connected layers are the head, as in the built-in VGG */
        const struct thaw_graph *graph = imported.graph;
        assert_string_equal(graph->nodes[graph->features].name, "maxpool1");
        imported_finish(&imported);
        darknet_free(net);
    }
}

/* ---- what is kept --------------------------------------------------------------------------- */

/* A detection network: two heads, and a branch that only the second one reads. */
static struct darknet *detector(void) {
    struct darknet *net = darknet_new(3, 8, 0, 2);
    unit(net, 4, 3, 1); /* 0 */
    unit(net, 6, 3, 2); /* 1 */
    unit(net, 4, 1, 1); /* 2: of no use above */
    darknet_route(net, "1", 1, 0);
    unit(net, 5, 3, 2); /* 4 */
    return net;
}

static void what_lies_below_a_head(void **state) {
    (void)state;
    struct darknet *net = detector();
    struct imported imported;
    struct darknet_map backbone = *darknet_output(net);
    DARKNET_CONV(net, .filters = 18, .size = 1, .activation = "linear"); /* 5 */
    thaw_text_append(&net->cfg, "[yolo]\nmask=0,1,2\nclasses=1\n");
    import(net, "5", &imported);
    const struct thaw_graph *graph = imported.graph;
    assert_true(has_note(&imported.import, "net.cfg:24: [convolutional] left out: the output does "
                                           "not depend on it"));
    assert_true(has_note(&imported.import, "no classifier"));
    assert_int_equal(thaw_graph_find_node(graph, "conv3.conv"), -1);
    assert_string_equal(graph->nodes[graph->features].name, "avgpool");
    assert_string_equal(graph->nodes[graph->output].name, "classifier");
    assert_string_equal(stage_of(graph, "conv4.bn"), "stage3");
    /* all but the new classifier's are in the file */
    assert_int_equal(imported.import.weights.count, graph->param_count - 2);
    assert_int_equal(graph->nodes[thaw_graph_find_node(graph, "conv4.leaky_relu")].out.c,
                     backbone.c);
    imported_finish(&imported);

    import(net, "yolo", &imported); /* the head's convolution is below it */
    assert_non_null(thaw_weights_find(&imported.import.weights, "conv5.weight"));
    imported_finish(&imported);
    darknet_free(net);
}

/* ---- the built-in models -------------------------------------------------------------------- */

static void append_unit(struct thaw_text *cfg, int filters, int size, int stride) {
    thaw_text_append(cfg,
                     "[convolutional]\nbatch_normalize=1\nfilters=%d\nsize=%d\nstride=%d\npad=1\n"
                     "activation=leaky\n\n",
                     filters, size, stride);
}

#define CFG_CLASSIFIER                                                                             \
    "[convolutional]\nfilters=1000\nsize=1\nstride=1\npad=1\nactivation=linear\n\n"

static void write_darknet19(struct thaw_text *cfg) {
    static const int filters[] = {32,  0,    64,  0,    128, -64, 128,  0,    256,  -128, 256, 0,
                                  512, -256, 512, -256, 512, 0,   1024, -512, 1024, -512, 1024};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (!filters[i])
            thaw_text_append(cfg, "[maxpool]\nsize=2\nstride=2\n\n");
        else
            append_unit(cfg, abs(filters[i]), filters[i] < 0 ? 1 : 3, 1);
    }
    thaw_text_append(cfg, CFG_CLASSIFIER "[avgpool]\n\n[softmax]\ngroups=1\n");
}

static void write_darknet53(struct thaw_text *cfg) {
    static const int repeats[] = {1, 2, 8, 8, 4};
    append_unit(cfg, 32, 3, 1);
    for (int stage = 0; stage < 5; stage++) {
        append_unit(cfg, 64 << stage, 3, 2);
        for (int i = 0; i < repeats[stage]; i++) {
            append_unit(cfg, 32 << stage, 1, 1);
            append_unit(cfg, 64 << stage, 3, 1);
            thaw_text_append(cfg, "[shortcut]\nfrom=-3\nactivation=linear\n\n");
        }
    }
    thaw_text_append(cfg, "[avgpool]\n\n" CFG_CLASSIFIER "[softmax]\ngroups=1\n");
}

/* The same ops on the same shapes with the same tensors, in the same order. */
static void expect_built_in(const char *model, void (*write)(struct thaw_text *)) {
    struct thaw_text cfg = {0};
    struct thaw_arena arena = {0};
    struct thaw_darknet_import imported;
    struct thaw_graph *graphs[2];
    thaw_yaml *documents[2];
    char path[64];
    thaw_text_append(&cfg, "[net]\nbatch=128\nheight=256\nwidth=256\nchannels=3\n"
                           "learning_rate=0.1\n\n");
    write(&cfg);
    struct thaw_darknet_bytes bytes = bytes_of(&cfg, "net.cfg"), none = {0};
    const struct thaw_darknet_options options = {.name = model};
    assert_ok(thaw_darknet_import_bytes(&bytes, &none, &options, &imported));
    snprintf(path, sizeof path, "configs/models/%s.yaml", model);
    assert_ok(thaw_yaml_load(&arena, path, &documents[0]));
    assert_ok(
        thaw_yaml_parse(&arena, imported.yaml, strlen(imported.yaml), "imported", &documents[1]));
    const struct thaw_graph_options graph = {.caps = thaw_device_get_caps(test_device())};
    for (int i = 0; i < 2; i++)
        assert_ok(thaw_graph_build(documents[i], &graph, &graphs[i]));
    assert_int_equal(graphs[0]->node_count, graphs[1]->node_count);
    for (size_t i = 1; i < graphs[0]->node_count; i++) {
        const struct thaw_node *a = &graphs[0]->nodes[i], *b = &graphs[1]->nodes[i];
        assert_ptr_equal(a->op, b->op);
        assert_memory_equal(&a->spec.out, &b->spec.out, sizeof a->spec.out);
        assert_memory_equal(a->inputs, b->inputs, sizeof a->inputs);
    }
    assert_int_equal(graphs[0]->param_count, graphs[1]->param_count);
    for (size_t i = 0; i < graphs[0]->param_count; i++) {
        int64_t dims[2][4] = {{0}};
        assert_string_equal(graphs[0]->params[i].name, graphs[1]->params[i].name);
        for (int k = 0; k < 2; k++)
            thaw_param_dims(&graphs[k]->params[i], dims[k]);
        assert_memory_equal(dims[0], dims[1], sizeof dims[0]);
    }
    assert_int_equal(graphs[0]->features, graphs[1]->features);
    assert_int_equal(graphs[0]->stage_count, graphs[1]->stage_count);
    assert_int_equal(graphs[0]->reference_batch, graphs[1]->reference_batch);
    for (int i = 0; i < 2; i++)
        thaw_graph_destroy(&graphs[i]);
    thaw_arena_finish(&arena);
    thaw_darknet_import_finish(&imported);
    thaw_text_finish(&cfg);
}

static void the_built_in_models_are_the_imported_ones(void **state) {
    (void)state;
    expect_built_in("darknet19", write_darknet19);
    expect_built_in("darknet53", write_darknet53);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_like_darknet_19),
        cmocka_unit_test(a_residual_network),
        cmocka_unit_test(shortcuts_between_shapes),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(routes_and_pools),
        cmocka_unit_test(maps_that_grow),
        cmocka_unit_test(a_passthrough_like_yolo_2),
        cmocka_unit_test(activations),
        cmocka_unit_test(squeeze_and_excitation),
        cmocka_unit_test(connected_layers_of_all_versions),
        cmocka_unit_test(an_old_network_with_a_crop),
        cmocka_unit_test(what_lies_below_a_head),
        cmocka_unit_test(the_built_in_models_are_the_imported_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
