/* What moves in a stage by its norm mode: the layers of the trained part with `train`, their scale
 * and shift with `eval`, nothing with `frozen`; never what is frozen, also within a block. Read
 * from the hashes of freeze.json, which are of every tensor before and after the stage. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "support/device.h"
#include "support/support.h"
#include "support/tiny.h"
#include "train/trainer.h"

struct moved {
    const char *name; /* of the run */
    const char *stage;
    const char *tensors; /* that move, among those of conv1, bn1, conv2, bn2; all others stay */
};

/* The batch norm layer of a frozen convolution within the trained part is trained like any other; a
 * layer with lr 0 is frozen whatever `train` says; statistics move if scale or shift is trained. */
static const struct moved cases[] = {
    {"train", "train: [body, head], lr: 1x",
     "conv2.weight bn2.weight bn2.bias bn2.running_mean bn2.running_var"},
    {"eval", "train: [body, head], lr: 1x, norm: eval", "conv2.weight bn2.weight bn2.bias"},
    {"frozen", "train: [body, head], lr: 1x, norm: frozen", "conv2.weight"},
    {"all-train", "train: [all], lr: 1x",
     "conv1.weight bn1.weight bn1.bias bn1.running_mean bn1.running_var conv2.weight bn2.weight "
     "bn2.bias bn2.running_mean bn2.running_var"},
    {"all-eval", "train: [all], lr: 1x, norm: eval",
     "conv1.weight bn1.weight bn1.bias conv2.weight bn2.weight bn2.bias"},
    {"all-frozen", "train: [all], lr: 1x, norm: frozen", "conv1.weight conv2.weight"},
    {"head-train", "train: [head], lr: 1x", ""},
    {"head-eval", "train: [head], lr: 1x, norm: eval", ""},
    {"head-frozen", "train: [head], lr: 1x, norm: frozen", ""},
    {"conv-train", "train: [conv2.weight, head], lr: 1x", "conv2.weight"},
    {"conv-eval", "train: [conv2.weight, head], lr: 1x, norm: eval", "conv2.weight"},
    {"conv-frozen", "train: [conv2.weight, head], lr: 1x, norm: frozen", "conv2.weight"},
    {"norm-train", "train: ['bn?.*', head], lr: 1x",
     "bn1.weight bn1.bias bn1.running_mean bn1.running_var bn2.weight bn2.bias bn2.running_mean "
     "bn2.running_var"},
    {"norm-eval", "train: ['bn?.*', head], lr: 1x, norm: eval",
     "bn1.weight bn1.bias bn2.weight bn2.bias"},
    {"norm-frozen", "train: ['bn?.*', head], lr: 1x, norm: frozen", ""},
    {"bias-train", "train: [bn1.bias, head], lr: 1x", "bn1.bias bn1.running_mean bn1.running_var"},
    {"zero-train", "train: [body, head], lr: {'bn2.*': 0, all: 1x}", "conv2.weight"},
    {"zero-conv", "train: [all], lr: {'conv*': 0, stem: 0, all: 1x}",
     "bn2.weight bn2.bias bn2.running_mean bn2.running_var"},
    {"zero-eval", "train: [all], lr: {stem: 0, all: 1x}, norm: eval",
     "conv2.weight bn2.weight bn2.bias"},
};

static bool in_list(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static void check_hashes(const struct moved *m, size_t stage, bool record) {
    json_t *root = json_load_file(tiny_run_file(m->name, "freeze.json"), 0, NULL), *entry;
    const char *name;
    int count = 0;
    json_t *tensors =
        json_object_get(json_array_get(json_object_get(root, "stages"), stage), "tensors");
    json_object_foreach(tensors, name, entry) {
        const char *before = json_string_value(json_object_get(entry, "before"));
        const char *after = json_string_value(json_object_get(entry, "after"));
        bool head = !strncmp(name, "fc.", 3), moves = strcmp(before, after) != 0;
        count++;
        if (moves != (head || in_list(m->tensors, name)))
            fail_msg("%s: %s %s", m->name, name, moves ? "moved" : "stayed");
        if (record && json_is_true(json_object_get(entry, "trained")) != moves)
            fail_msg("%s: freeze.json says the opposite of %s", m->name, name);
    }
    assert_int_equal(count, 12);
    json_decref(root);
}

static void moves_what_the_mode_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char stages[512];
        struct thaw_config config;
        struct thaw_train_events events = {0};
        struct thaw_train_options options = {0};
        snprintf(stages, sizeof stages,
                 "  - {stage: warmup, train: [all], lr: 1x, epochs: 1}\n"
                 "  - {stage: tune, %s, epochs: 1}\n",
                 cases[i].stage);
        assert_ok(thaw_config_load(tiny_experiment(cases[i].name, stages, ""), NULL, 0, &config));
        assert_ok(thaw_train(&config, test_device(), &options, &events));
        thaw_config_finish(&config);
        check_hashes(&cases[i], 1, true);
    }
}

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(moves_what_the_mode_says)};
    return cmocka_run_group_tests_name("train/norm_modes", tests, set_up, NULL);
}
