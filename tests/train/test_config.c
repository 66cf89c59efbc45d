/* Experiments: defaults, inheritance, overrides, regimes, and what each mistake is told. */
#include "train/config.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "support/support.h"

#define REST "data: {format: folder, root: d}\n"
#define MODEL "model: {graph: resnet18}\n"
#define STAGE "train: [{stage: a, train: [head], lr: 1x, epochs: 2}]\n"

static struct thaw_config config;

static const char *path_of(const char *name) {
    static char path[4][256];
    static int next;
    char *text = path[next++ % 4];
    snprintf(text, sizeof path[0], "%s/%s", test_directory(), name);
    return text;
}

static const char *write_file(const char *name, const char *text) {
    const char *path = path_of(name);
    assert_ok(thaw_file_write(path, text, strlen(text)));
    return path;
}

static thaw_status try_load(const char *text, const char *set) {
    thaw_config_finish(&config);
    return thaw_config_load(write_file("cats.yaml", text), &set, set ? 1 : 0, &config);
}

static int finish(void **state) {
    (void)state;
    thaw_config_finish(&config);
    return 0;
}

static const char *text_of(const thaw_yaml *node) {
    const char *text = NULL;
    assert_non_null(node);
    assert_ok(thaw_yaml_string(node, &text));
    return text;
}

/* ---- what is read --------------------------------------------------------------------------- */

static void defaults(void **state) {
    (void)state;
    assert_ok(try_load(MODEL REST STAGE, NULL));
    assert_string_equal(config.name, "cats");
    assert_string_equal(config.output, "runs");
    assert_int_equal(config.seed, 0);
    assert_string_equal(config.graph_name, "resnet18");
    assert_string_equal(text_of(thaw_yaml_get(config.graph, "model")), "resnet18");
    assert_null(config.weights);
    assert_int_equal(config.size, 0);
    assert_int_equal(config.head, THAW_HEAD_LAST);
    assert_true(config.dropout == 0 && config.reference_lr == 0 && config.label_smoothing == 0);
    assert_int_equal(config.metric, THAW_METRIC_TOP1);
    assert_false(config.balanced_weights);
    assert_null(config.class_weights);
    assert_null(config.conv_candidate);
    assert_int_equal(config.block, 0);
    assert_true(config.memory_bytes == 0);
    assert_int_equal(config.stage_count, 1);
    const struct thaw_stage *stage = &config.stages[0];
    assert_string_equal(stage->name, "a");
    assert_int_equal(stage->epochs, 2);
    assert_int_equal(stage->batch, 32);
    assert_int_equal(stage->norm, THAW_NORM_TRAIN);
    assert_false(stage->cache);
    assert_int_equal(stage->early_stop_patience, 0);
    assert_null(stage->augment);
    assert_non_null(stage->optimizer); /* sgd, constant */
    assert_string_equal(stage->schedule->text, "constant");
    assert_int_equal(stage->lr_rule_count, 1);
    assert_null(stage->lr_rules[0].pattern);
    assert_true(stage->lr_rules[0].lr.relative);
    assert_true(stage->lr_rules[0].lr.value == 1);
}

static const char full[] =
    "name: pets\n"
    "output: out\n"
    "seed: 7\n"
    "metric: val.macro_f1\n"
    "batch: 16\n"
    "optimizer: {type: sgd}\n"
    "schedule: cosine\n"
    "augment: [hflip]\n"
    "device: {conv: simple, block: 8, memory: 1.5GiB}\n"
    "loss: {label_smoothing: 0.1, class_weights: balanced}\n"
    "model:\n"
    "  graph: vgg11\n"
    "  weights: w.safetensors\n"
    "  size: 64\n"
    "  head: {type: linear, dropout: 0.25}\n"
    "  reference: {lr: 0.2, batch: 64}\n"
    "  allow: {missing: [a], unexpected: ['b*'], mismatch: []}\n"
    "data: {format: folder, root: d}\n"
    "train:\n"
    "  - {train: [head], lr: 0.01, epochs: 3, cache: {views: 4}, augment: [vflip]}\n"
    "  - {stage: two, train: ['last:1', head], lr: {head: 1x, all: 0.1x}, epochs: 5, norm: eval,\n"
    "     batch: 8, optimizer: {type: adamw}, early_stop: {metric: val.loss, patience: 3}}\n"
    "  - {stage: three, train: [all], lr: 0, epochs: 0, cache: true, allow_random: ['fc.*'],\n"
    "     early_stop: {}}\n";

static void everything(void **state) {
    (void)state;
    assert_ok(try_load(full, NULL));
    assert_string_equal(config.name, "pets");
    assert_string_equal(config.output, "out");
    assert_int_equal(config.seed, 7);
    assert_string_equal(config.weights, path_of("w.safetensors")); /* beside the experiment */
    assert_int_equal(config.size, 64);
    assert_int_equal(config.head, THAW_HEAD_LINEAR);
    assert_true(config.dropout == 0.25 && config.reference_lr == 0.2 &&
                config.label_smoothing == 0.1);
    assert_int_equal(config.reference_batch, 64);
    assert_int_equal(config.metric, THAW_METRIC_MACRO_F1);
    assert_true(config.balanced_weights);
    assert_string_equal(config.conv_candidate, "simple");
    assert_int_equal(config.block, 8);
    assert_true(config.memory_bytes == (uint64_t)3 << 29);
    assert_int_equal(config.allow_missing->count, 1);
    assert_int_equal(config.allow_unexpected->count, 1);
    assert_int_equal(config.allow_mismatch->count, 0);
}

static void stages(void **state) {
    (void)state;
    assert_ok(try_load(full, NULL));
    const struct thaw_stage *one = &config.stages[0], *two = &config.stages[1],
                            *three = &config.stages[2];
    assert_string_equal(one->name, "stage1");
    assert_int_equal(one->batch, 16);
    assert_true(one->cache && one->cache_views == 4);
    assert_string_equal(one->augment->items[0]->text, "vflip");
    assert_string_equal(text_of(one->schedule), "cosine");
    assert_false(one->lr_rules[0].lr.relative);
    assert_int_equal(two->batch, 8);
    assert_int_equal(two->norm, THAW_NORM_EVAL);
    assert_string_equal(two->augment->items[0]->text, "hflip");
    assert_string_equal(text_of(thaw_yaml_get(two->optimizer, "type")), "adamw");
    assert_int_equal(two->lr_rule_count, 2);
    assert_string_equal(two->lr_rules[0].pattern, "head");
    assert_string_equal(two->lr_rules[1].pattern, "all");
    assert_int_equal(two->early_stop_metric, THAW_METRIC_LOSS);
    assert_int_equal(two->early_stop_patience, 3);
    assert_int_equal(three->early_stop_metric, THAW_METRIC_MACRO_F1); /* the run's */
    assert_int_equal(three->early_stop_patience, 5);
    assert_true(three->cache && three->cache_views == 0);
    assert_null(three->augment); /* features of plain images */
    assert_int_equal(three->allow_random->count, 1);
}

static void relative_rates(void **state) {
    (void)state;
    struct thaw_lr relative = {.value = 0.1, .relative = true}, plain = {.value = 0.003};
    assert_true(thaw_lr_resolve(&relative, 0.01, 256, 32) == 0.1 * 0.01 * 32 / 256);
    assert_true(thaw_lr_resolve(&plain, 0.01, 256, 32) == 0.003);
}

/* ---- inheritance and overrides -------------------------------------------------------------- */

static void extends_another(void **state) {
    (void)state;
    write_file("base.yaml", "batch: 8\nseed: 1\nmodel: {graph: vgg11, size: 96}\n" REST STAGE);
    write_file("middle.yaml", "extends: base.yaml\nseed: 2\nmodel: {graph: resnet18}\n");
    assert_ok(try_load("extends: middle.yaml\nmodel: {head: {dropout: 0.5}}\n", NULL));
    assert_string_equal(config.name, "cats");
    assert_int_equal(config.seed, 2);
    assert_string_equal(config.graph_name, "resnet18");
    assert_int_equal(config.size, 96); /* mappings merge key by key */
    assert_true(config.dropout == 0.5);
    assert_int_equal(config.stages[0].batch, 8);
}

static void extends_mistakes(void **state) {
    (void)state;
    assert_fails(try_load("extends: gone.yaml\n", NULL), THAW_ERROR_INPUT, "gone.yaml");
    assert_fails(try_load("extends: cats.yaml\n", NULL), THAW_ERROR_INPUT,
                 "files extend each other deeper than 16: a circle?");
    write_file("wrong.yaml", "- 1\n");
    assert_fails(try_load("extends: wrong.yaml\n", NULL), THAW_ERROR_INPUT,
                 "cats.yaml:1: extends: ");
    assert_non_null(strstr(thaw_error_message(), "wrong.yaml:1:1: an experiment"));
}

static void sets(void **state) {
    (void)state;
    thaw_config_finish(&config);
    const char *list[] = {"model.size=48", "train.0.epochs=9", "device.conv=direct", "seed=3"};
    assert_ok(thaw_config_load(write_file("cats.yaml", MODEL REST STAGE), list, 4, &config));
    assert_int_equal(config.size, 48);
    assert_int_equal(config.stages[0].epochs, 9);
    assert_string_equal(config.conv_candidate, "direct");
    assert_int_equal(config.seed, 3);
    assert_fails(try_load(MODEL REST STAGE, "model.sise=48"), THAW_ERROR_INPUT, "--set:1:");
    assert_non_null(strstr(thaw_error_message(), "'sise'"));
    assert_non_null(strstr(thaw_error_message(), "size"));
    assert_fails(try_load(MODEL REST STAGE, "train.4.epochs=9"), THAW_ERROR_INPUT, "--set:1:");
    assert_fails(try_load(MODEL REST STAGE, "seed"), THAW_ERROR_INPUT, NULL);
    assert_fails(try_load(MODEL REST STAGE, "seed=-1"), THAW_ERROR_INPUT, "--set:1:");
}

static void regimes(void **state) {
    (void)state;
    const char *names[] = {"small_similar", "small_different", "large_similar", "large_different"};
    for (int i = 0; i < 4; i++) {
        char text[256];
        snprintf(text, sizeof text, "regime: %s\n" MODEL REST, names[i]);
        assert_ok(try_load(text, NULL));
        assert_int_equal(config.stage_count, i == 0 ? 1 : 2);
        assert_true(config.stages[0].cache);
        assert_non_null(config.stages[0].optimizer);
        assert_non_null(thaw_yaml_get(config.document, "train")); /* expanded in the document */
    }
    assert_ok(try_load("regime: small_similar\nschedule: constant\n" MODEL REST, NULL));
    assert_string_equal(text_of(config.stages[0].schedule), "constant"); /* its own key is on top */
    assert_ok(try_load("regime: small_similar\n" MODEL REST STAGE, NULL));
    assert_string_equal(config.stages[0].name, "a");
    assert_fails(try_load("regime: small_simlar\n" MODEL REST, NULL), THAW_ERROR_INPUT,
                 "cats.yaml:1:9: there is no built-in 'small_simlar' (nearest: 'small_similar')");
}

static void epochs_scale(void **state) {
    (void)state;
    assert_ok(try_load("regime: small_different\nepochs: 0.1x\n" MODEL REST, NULL));
    assert_int_equal(config.stages[0].epochs, 3);
    assert_int_equal(config.stages[1].epochs, 2);
    assert_null(thaw_yaml_get(config.document, "epochs")); /* the stages say it */
    assert_ok(try_load("regime: large_similar\n" MODEL REST, "epochs=0.01x"));
    assert_int_equal(config.stages[0].epochs, 1);
    assert_int_equal(config.stages[1].epochs, 1);
    assert_ok(try_load("epochs: 3x\n" MODEL REST STAGE, "train.a.epochs=5")); /* as it says */
    assert_int_equal(config.stages[0].epochs, 5);
    assert_ok(try_load("epochs: 3x\n" MODEL REST STAGE, NULL));
    assert_int_equal(config.stages[0].epochs, 6);
    assert_ok(
        try_load("epochs: 3x\n" MODEL REST "train: [{train: [head], lr: 1, epochs: 0}]\n", NULL));
    assert_int_equal(config.stages[0].epochs, 0);
    static const char *const wrong[] = {"5",    "x",     "0x",   "-1x",    "0.5",
                                        "2e3x", "1001x", "nanx", "1.1.1x", "[1x]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char set[32];
        snprintf(set, sizeof set, "epochs=%s", wrong[i]);
        assert_fails(try_load(MODEL REST STAGE, set), THAW_ERROR_INPUT, "--set:1:8");
    }
}

static void checkpoints(void **state) {
    (void)state;
    assert_ok(try_load(MODEL REST STAGE, NULL));
    assert_int_equal((int)config.checkpoint_s, 60);
    assert_int_equal(config.checkpoint_steps, 0);
    assert_ok(try_load("checkpoint: {every: 5s}\n" MODEL REST STAGE, NULL));
    assert_int_equal((int)config.checkpoint_s, 5);
    assert_ok(try_load(MODEL REST STAGE, "checkpoint.every=20 steps"));
    assert_int_equal(config.checkpoint_steps, 20);
    static const char *const wrong[] = {"0s", "5", "s", "-1s", "1.5s", "0 steps", "5 step", "5m"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char set[64];
        snprintf(set, sizeof set, "checkpoint.every=%s", wrong[i]);
        assert_fails(try_load(MODEL REST STAGE, set), THAW_ERROR_INPUT, "such as 60s");
    }
    assert_fails(try_load("checkpoint: {evry: 5s}\n" MODEL REST STAGE, NULL), THAW_ERROR_INPUT,
                 "nearest: 'every'");
}

/* An override reaches into the stages that a regime stands for, and may name the regime. */
static void sets_after_regime(void **state) {
    (void)state;
    assert_ok(try_load("regime: small_different\n" MODEL REST, "train.1.epochs=4"));
    assert_int_equal(config.stage_count, 2);
    assert_int_equal(config.stages[1].epochs, 4);
    assert_int_equal(config.stages[0].epochs, 30);
    assert_fails(try_load("regime: small_different\n" MODEL REST STAGE, "regime=small_similar"),
                 THAW_ERROR_INPUT, "--set:1:8: the experiment writes its stages out");
    assert_ok(try_load("regime: small_different\n" MODEL REST, "regime=small_similar"));
    assert_int_equal(config.stage_count, 1);
    assert_ok(try_load(MODEL REST, "regime=small_similar"));
    assert_int_equal(config.stage_count, 1);
}

/* ---- models --------------------------------------------------------------------------------- */

static void model_documents(void **state) {
    (void)state;
    write_file("net.yaml", "model: mine\n");
    assert_ok(try_load("model: {graph: net.yaml}\n" REST STAGE, NULL));
    assert_string_equal(text_of(thaw_yaml_get(config.graph, "model")), "mine");
    assert_fails(try_load("model: {graph: ./gone.yaml}\n" REST STAGE, NULL), THAW_ERROR_INPUT,
                 "gone.yaml");
    assert_fails(try_load("model: {graph: resnet19}\n" REST STAGE, NULL), THAW_ERROR_INPUT,
                 "cats.yaml:1:16: there is no built-in 'resnet19' (nearest: 'resnet1");
    assert_non_null(strstr(thaw_error_message(), "models are: "));
}

/* ---- mistakes ------------------------------------------------------------------------------- */

struct mistake {
    const char *text, *message;
};

static void mistakes_of_the_whole(void **state) {
    (void)state;
    const struct mistake list[] = {
        {"- 1\n", "cats.yaml:1:1: an experiment: model, data, train must be a mapping"},
        {MODEL REST STAGE "modle: 1\n", "cats.yaml:4:1: unknown key 'modle' (nearest: 'model'"},
        {MODEL "model: 2\n" REST STAGE, "cats.yaml:2:1: "},
        {REST STAGE, "an experiment needs `model: {graph: NAME, weights: FILE}`"},
        {MODEL STAGE, "an experiment needs `data: {format: folder, root: DIR}`"},
        {MODEL REST, "an experiment needs `regime` or `train: [stages]`"},
        {"name: a/b\n" MODEL REST STAGE, "cats.yaml:1:7: 'a/b' can't name a folder"},
        {"name: ..\n" MODEL REST STAGE, "'..' can't name a folder"},
        {"name: ''\n" MODEL REST STAGE, "'' can't name a folder"},
        {"seed: x\n" MODEL REST STAGE, "cats.yaml:1:7: "},
        {"metric: val.top2\n" MODEL REST STAGE, "'val.top2' (nearest: 'val.top1'"},
        {"device: {conf: x}\n" MODEL REST STAGE, "unknown key 'conf' (nearest: 'conv'"},
        {"device: {block: 32}\n" MODEL REST STAGE, "cats.yaml:1:17: "},
        {"device: {memory: lots}\n" MODEL REST STAGE, "cats.yaml:1:18: 'memory': expected a size"},
        {"device: {memory: 0}\n" MODEL REST STAGE, "cats.yaml:1:18: 'memory': expected a size"},
        {"device: {memory: -2GiB}\n" MODEL REST STAGE, "cats.yaml:1:18: "},
        {"device: {memory: 2 XiB}\n" MODEL REST STAGE, "cats.yaml:1:18: "},
        {"device: {memory: [2GiB]}\n" MODEL REST STAGE, "cats.yaml:1:18: "},
        {"batch: 0\n" MODEL REST STAGE, "cats.yaml:1:8: "},
        {"loss: {label_smoothing: 1}\n" MODEL REST STAGE, "cats.yaml:1:25: "},
        {"loss: {class_weights: balance}\n" MODEL REST STAGE, "nearest: 'balanced'"},
        {"loss: [1]\n" MODEL REST STAGE, "cats.yaml:1:7: "},
        {"a: [\n", "cats.yaml:"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        assert_fails(try_load(list[i].text, NULL), THAW_ERROR_INPUT, list[i].message);
    assert_fails(thaw_config_load(path_of("none.yaml"), NULL, 0, &config), THAW_ERROR_INPUT,
                 "none.yaml");
}

static void mistakes_of_the_model(void **state) {
    (void)state;
    const struct mistake list[] = {
        {"model: {weights: a}\n", "`model` needs `graph`"},
        {"model: resnet18\n", "cats.yaml:1:8: "},
        {"model: {graph: [a]}\n", "cats.yaml:1:16: "},
        {"model: {graph: resnet18, size: 4}\n", "cats.yaml:1:32: "},
        {"model: {graph: resnet18, head: {typ: last}}\n", "unknown key 'typ' (nearest: 'type'"},
        {"model: {graph: resnet18, head: {type: lineal}}\n", "nearest: 'linear'"},
        {"model: {graph: resnet18, head: {dropout: 1}}\n", "cats.yaml:1:42: "},
        {"model: {graph: resnet18, reference: {lr: 0}}\n", "cats.yaml:1:42: "},
        {"model: {graph: resnet18, allow: {mising: [a]}}\n", "nearest: 'missing'"},
        {"model: {graph: resnet18, allow: {missing: a}}\n", "a list must be a sequence"},
        {"model: {graph: resnet18, weights: '${NO_SUCH_VARIABLE}/a'}\n", "NO_SUCH_VARIABLE"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s" REST STAGE, list[i].text);
        assert_fails(try_load(text, NULL), THAW_ERROR_INPUT, list[i].message);
    }
}

static void mistakes_of_a_stage(void **state) {
    (void)state;
    const struct mistake list[] = {
        {"train: []\n", "`train` has no stages"},
        {"train: {a: 1}\n", "a list of stages must be a sequence"},
        {"train: [a]\n", "must be a mapping"},
        {"train: [{lr: 1, epochs: 1}]\n", "the stage needs `train`, a list of what it trains"},
        {"train: [{train: head, lr: 1, epochs: 1}]\n", "must be a sequence"},
        {"train: [{train: [head], epochs: 1}]\n", "the stage needs `lr`, such as 0.1x"},
        {"train: [{train: [head], lr: 1}]\n", "the stage needs `epochs`"},
        {"train: [{train: [head], lr: 1, epoch: 1}]\n", "unknown key 'epoch' (nearest: 'epochs'"},
        {"train: [{train: [head], lr: fast, epochs: 1}]\n", "'fast' is no learning rate"},
        {"train: [{train: [head], lr: -1, epochs: 1}]\n", "'-1' is no learning rate"},
        {"train: [{train: [head], lr: nan, epochs: 1}]\n", "'nan' is no learning rate"},
        {"train: [{train: [head], lr: 0x1, epochs: 1}]\n", "'0x1' is no learning rate"},
        {"train: [{train: [head], lr: 1xx, epochs: 1}]\n", "'1xx' is no learning rate"},
        {"train: [{train: [head], lr: {head: 2y}, epochs: 1}]\n", "'2y' is no learning rate"},
        {"train: [{train: [head], lr: {}, epochs: 1}]\n", "`lr` has no entries"},
        {"train: [{train: [head], lr: [1], epochs: 1}]\n", "cats.yaml:3:29: "},
        {"train: [{train: [], lr: 1, epochs: 1}]\n", "`train` of the stage is empty"},
        {"train: [{train: [[a]], lr: 1, epochs: 1}]\n", "cats.yaml:3:18: "},
        {"train: [{train: [head], lr: 1, epochs: -1}]\n", "cats.yaml:3:40: "},
        {"train: [{train: [head], lr: 1, epochs: 1.5}]\n", "cats.yaml:3:40: "},
        {"train: [{train: [head], lr: 1, epochs: 1, norm: freeze}]\n", "nearest: 'frozen'"},
        {"train: [{train: [head], lr: 1, epochs: 1, cache: 3}]\n", "cats.yaml:3:50: "},
        {"train: [{train: [head], lr: 1, epochs: 1, cache: [3]}]\n", "cats.yaml:3:50: "},
        {"train: [{train: [head], lr: 1, epochs: 1, cache: {views: -1}}]\n", "cats.yaml:3:58: "},
        {"train: [{train: [head], lr: 1, epochs: 1, cache: {view: 2}}]\n", "nearest: 'views'"},
        {"train: [{train: [head], lr: 1, epochs: 1, early_stop: {metric: top1}}]\n", "val.top1"},
        {"train: [{train: [head], lr: 1, epochs: 1, early_stop: {patience: 0}}]\n", "cats.yaml:3:"},
        {"train: [{train: [head], lr: 1, epochs: 1, allow_random: a}]\n", "must be a sequence"},
        {"train: [{stage: a, train: [head], lr: 1, epochs: 1}, {stage: a, train: [head], lr: 1, "
         "epochs: 1}]\n",
         "cats.yaml:3:54: there is already a stage 'a'"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char text[512];
        snprintf(text, sizeof text, MODEL REST "%s", list[i].text);
        assert_fails(try_load(text, NULL), THAW_ERROR_INPUT, list[i].message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything),
        cmocka_unit_test(stages),
        cmocka_unit_test(relative_rates),
        cmocka_unit_test(extends_another),
        cmocka_unit_test(extends_mistakes),
        cmocka_unit_test(sets),
        cmocka_unit_test(regimes),
        cmocka_unit_test(epochs_scale),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(sets_after_regime),
        cmocka_unit_test(model_documents),
        cmocka_unit_test(mistakes_of_the_whole),
        cmocka_unit_test(mistakes_of_the_model),
        cmocka_unit_test(mistakes_of_a_stage),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
