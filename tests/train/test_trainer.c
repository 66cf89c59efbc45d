/* Whole runs of a small network on small pictures: the promises of the trainer. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "support/device.h"
#include "support/support.h"
#include "support/tiny.h"
#include "train/trainer.h"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

static void load_config(const char *name, const char *stages, const char *more,
                        struct thaw_config *config) {
    assert_ok(thaw_config_load(tiny_experiment(name, stages, more), NULL, 0, config));
}

/* ---- following a run ------------------------------------------------------------------------ */

struct follower {
    volatile sig_atomic_t interrupted;
    int stop_at_step; /* of the process; 0: never */
    int steps, epochs;
    double first_loss, last_loss, last_top1;
};

static void on_step(void *user, const struct thaw_train_progress *progress) {
    struct follower *f = user;
    if (!f->steps++)
        f->first_loss = progress->loss;
    if (f->steps == f->stop_at_step)
        f->interrupted = 1;
}

static void on_epoch(void *user, const struct thaw_train_progress *progress) {
    struct follower *f = user;
    f->epochs++;
    f->last_loss = progress->loss;
    f->last_top1 = progress->val ? progress->val->top1 : -1;
}

static thaw_status train(const struct thaw_config *config, bool resume, struct follower *follower) {
    struct thaw_train_events events = {.user = follower,
                                       .interrupted = &follower->interrupted,
                                       .on_step = on_step,
                                       .on_epoch = on_epoch};
    struct thaw_train_options options = {.resume = resume};
    return thaw_train(config, test_device(), &options, &events);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void learns_and_writes_the_folder(void **state) {
    (void)state;
    struct thaw_config config;
    struct follower f = {0};
    load_config("reference", tiny_stages, "", &config);
    assert_ok(train(&config, false, &f));
    assert_int_equal(f.epochs, 5);
    assert_true(f.last_loss < f.first_loss);
    assert_true(f.last_top1 > 0.8);
    const char *files[] = {"config.yaml",       "split.csv",        "metrics.jsonl",
                           "model.safetensors", "last.safetensors", "freeze.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_true(thaw_path_exists(tiny_run_file("reference", files[i])));
    assert_fails(train(&config, false, &f), THAW_ERROR_INPUT, "already a run");
    thaw_config_finish(&config);
}

static void same_seed_same_bits(void **state) {
    (void)state;
    struct thaw_config config;
    struct follower f = {0};
    load_config("again", tiny_stages, "", &config);
    assert_ok(train(&config, false, &f));
    tiny_same_tensors(tiny_run_file("again", "last.safetensors"),
                      tiny_run_file("reference", "last.safetensors"));
    tiny_same_tensors(tiny_run_file("again", "model.safetensors"),
                      tiny_run_file("reference", "model.safetensors"));
    thaw_config_finish(&config);
}

/* 5 steps an epoch, 25 in all: interrupts in both stages, in the middle and at the ends of epochs.
 */
static void resumes_to_the_same_bits(void **state) {
    (void)state;
    const int stops[] = {1, 5, 7, 10, 11, 14, 20, 24};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        struct thaw_config config;
        struct follower f = {.stop_at_step = stops[i]};
        char name[32];
        snprintf(name, sizeof name, "resumed%d", stops[i]);
        load_config(name, tiny_stages, "", &config);
        assert_fails(train(&config, false, &f), THAW_INTERRUPTED, "checkpoint");
        struct follower g = {0};
        assert_ok(train(&config, true, &g));
        assert_int_equal(f.steps + g.steps, 25);
        tiny_same_tensors(tiny_run_file(name, "last.safetensors"),
                          tiny_run_file("reference", "last.safetensors"));
        tiny_same_tensors(tiny_run_file(name, "model.safetensors"),
                          tiny_run_file("reference", "model.safetensors"));
        thaw_config_finish(&config);
    }
}

static void refuses_to_resume_a_changed_experiment(void **state) {
    (void)state;
    struct thaw_config config;
    struct follower f = {.stop_at_step = 3};
    load_config("changed", tiny_stages, "", &config);
    assert_fails(train(&config, false, &f), THAW_INTERRUPTED, NULL);
    thaw_config_finish(&config);
    load_config("changed", tiny_stages, "seed: 5\nloss: {label_smoothing: 0.1}", &config);
    struct follower g = {0};
    assert_fails(train(&config, true, &g), THAW_ERROR_INPUT, "loss.label_smoothing");
    thaw_config_finish(&config);
}

/* What decides no bit may change: where the folder is (moved), and how often it is saved. */
static void resumes_a_moved_folder(void **state) {
    (void)state;
    struct thaw_config config;
    struct follower f = {.stop_at_step = 12}, g = {0};
    load_config("moved", tiny_stages, "", &config);
    assert_fails(train(&config, false, &f), THAW_INTERRUPTED, NULL);
    thaw_config_finish(&config);
    assert_ok(thaw_path_make_directories(tiny_path("elsewhere")));
    assert_int_equal(rename(tiny_path("runs/moved"), tiny_path("elsewhere/moved")), 0);
    char output[256];
    snprintf(output, sizeof output, "output=%s", tiny_path("elsewhere"));
    const char *sets[] = {output, "checkpoint.every=2 steps"};
    assert_ok(thaw_config_load(tiny_path("moved.yaml"), sets, 2, &config));
    assert_ok(train(&config, true, &g));
    assert_int_equal(f.steps + g.steps, 25);
    tiny_same_tensors(tiny_path("elsewhere/moved/model.safetensors"),
                      tiny_run_file("reference", "model.safetensors"));
    thaw_config_finish(&config);
    assert_ok(thaw_config_load(tiny_path("elsewhere/moved/config.yaml"), NULL, 0, &config));
    assert_int_equal(config.checkpoint_steps, 2); /* it says how the run went on */
    thaw_config_finish(&config);
}

static void refuses_to_resume_under_changed_keys(void **state) {
    (void)state;
    static const struct {
        const char *set, *key;
    } changes[] = {{"train.tune.epochs=4", "train.1.epochs"},
                   {"train.0.lr=0.5x", "train.0.lr"},
                   {"train.1.norm=eval", "train.1.norm"},
                   {"train.0.train=[all]", "train.0.train"},
                   {"optimizer.momentum=0.8", "optimizer.momentum"},
                   {"batch=4", "batch"},
                   {"data.val=0.5", "data.val"},
                   {"augment=[vflip]", "augment"},
                   {"keep=last", "keep"},
                   {"device.conv=direct", "device"}};
    struct thaw_config config;
    struct follower f = {.stop_at_step = 3}, g = {0};
    load_config("keys", tiny_stages, "", &config);
    assert_fails(train(&config, false, &f), THAW_INTERRUPTED, NULL);
    thaw_config_finish(&config);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        assert_ok(thaw_config_load(tiny_path("keys.yaml"), &changes[i].set, 1, &config));
        assert_fails(train(&config, true, &g), THAW_ERROR_INPUT, changes[i].key);
        assert_non_null(strstr(thaw_error_hint(), "another `name`"));
        thaw_config_finish(&config);
    }
    assert_int_equal(g.steps, 0);
}

/* Of epochs equal by the metric, the one of the lowest validation loss is kept; its number is in
 * the record. */
static void ties_are_broken_by_the_loss(void **state) {
    (void)state;
    struct thaw_config config;
    struct follower f = {0};
    load_config("ties", "  - {train: [all], lr: 0.001, epochs: 6, norm: eval}\n", "", &config);
    assert_ok(train(&config, false, &f));
    thaw_config_finish(&config);
    FILE *file = fopen(tiny_run_file("ties", "metrics.jsonl"), "r");
    char line[4096];
    double best_top1 = -1, best_loss = 0;
    int epoch = 0, best = 0, ties = 0;
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL), *val = json_object_get(object, "val");
        double top1 = json_real_value(json_object_get(val, "top1"));
        double loss = json_real_value(json_object_get(val, "loss"));
        epoch++;
        ties = top1 > best_top1 ? 0 : ties + (top1 == best_top1);
        if (top1 > best_top1 || (top1 == best_top1 && loss < best_loss)) {
            best_top1 = top1;
            best_loss = loss;
            best = epoch;
        }
        json_decref(object);
    }
    fclose(file);
    json_t *root = json_load_file(tiny_run_file("ties", "freeze.json"), 0, NULL);
    json_t *kept = json_object_get(root, "kept");
    assert_true(ties > 0); /* else this tests nothing */
    assert_int_equal(json_integer_value(json_object_get(kept, "epoch")), best);
    json_decref(root);
}

/* freeze.json says so, and the files agree: the frozen part of the model is that of the start. */
static void frozen_tensors_keep_their_bytes(void **state) {
    (void)state;
    json_t *root = json_load_file(tiny_run_file("reference", "freeze.json"), 0, NULL);
    json_t *stages = json_object_get(root, "stages");
    assert_int_equal(json_array_size(stages), 2);
    for (size_t s = 0; s < 2; s++) {
        const char *name;
        json_t *entry;
        json_object_foreach(json_object_get(json_array_get(stages, s), "tensors"), name, entry) {
            bool same = !strcmp(json_string_value(json_object_get(entry, "before")),
                                json_string_value(json_object_get(entry, "after")));
            bool trained = json_is_true(json_object_get(entry, "trained"));
            bool head = !strncmp(name, "fc.", 3);
            bool body = !strncmp(name, "conv2.", 6) || !strncmp(name, "bn2.", 4);
            assert_int_equal(trained,
                             head || (s == 1 && body)); /* statistics of bn2 move in stage 2 */
            if (!trained && !same)
                fail_msg("%s changed in stage %zu", name, s);
            if (trained && same)
                fail_msg("%s was to be trained in stage %zu and did not change", name, s);
        }
    }
    json_decref(root);
}

/* Bottleneck features give the losses that the whole network gives. */
static void cached_and_uncached_agree(void **state) {
    (void)state;
    static const char *const stages[] = {"  - {train: [head], lr: 1x, epochs: 3, cache: true}\n",
                                         "  - {train: [head], lr: 1x, epochs: 3, cache: false}\n"};
    struct follower f[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        struct thaw_config config;
        load_config(i ? "uncached" : "cached", stages[i], "", &config);
        assert_ok(train(&config, false, &f[i]));
        thaw_config_finish(&config);
    }
    assert_float_equal(f[0].first_loss, f[1].first_loss, 1e-5);
    assert_float_equal(f[0].last_loss, f[1].last_loss, 1e-4);
}

/* lr 0 is frozen: no decay, no momentum, no statistics. */
static void zero_lr_changes_nothing(void **state) {
    (void)state;
    struct thaw_config config;
    struct follower f = {0};
    load_config("zero",
                "  - {train: [all], lr: {head: 1x, stem: 0, body: 0}, epochs: 2, norm: train}\n",
                "optimizer: {type: sgd, momentum: 0.9, weight_decay: 0.1}", &config);
    assert_ok(train(&config, false, &f));
    thaw_config_finish(&config);
    json_t *root = json_load_file(tiny_run_file("zero", "freeze.json"), 0, NULL);
    const char *name;
    json_t *entry;
    json_object_foreach(
        json_object_get(json_array_get(json_object_get(root, "stages"), 0), "tensors"), name,
        entry) {
        bool same = !strcmp(json_string_value(json_object_get(entry, "before")),
                            json_string_value(json_object_get(entry, "after")));
        assert_int_equal(same, strncmp(name, "fc.", 3) != 0);
    }
    json_decref(root);
}

/* A pretrained body under a new head is not to be tuned before the head has been trained. */
static void refuses_a_random_head_above_tuned_layers(void **state) {
    (void)state;
    struct thaw_config config;
    struct follower f = {0};
    char model[512];
    snprintf(model, sizeof model, "model: {graph: %s/tiny.yaml, weights: %s}", test_directory(),
             tiny_run_file("reference", "model.safetensors"));
    char text[2048];
    snprintf(text, sizeof text,
             "name: random\noutput: %s/runs\n%s\nbatch: 8\ndata: {format: folder, root: photos}\n"
             "train: [{train: [all], lr: 0.1x, epochs: 1}]\n",
             test_directory(), model);
    tiny_write("random.yaml", text);
    assert_ok(thaw_config_load(tiny_path("random.yaml"), NULL, 0, &config));
    assert_fails(train(&config, false, &f), THAW_ERROR_INPUT, "never trained");
    assert_false(thaw_path_exists(tiny_run_file("random", "config.yaml")));
    thaw_config_finish(&config);
}

static void a_diverging_run_says_so(void **state) {
    (void)state;
    struct thaw_config config;
    struct follower f = {0};
    load_config("diverging", "  - {train: [all], lr: 10000, epochs: 5, norm: eval}\n", "", &config);
    assert_fails(train(&config, false, &f), THAW_ERROR_RUNTIME, "not a finite number");
    thaw_config_finish(&config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_and_writes_the_folder),
        cmocka_unit_test(same_seed_same_bits),
        cmocka_unit_test(resumes_to_the_same_bits),
        cmocka_unit_test(refuses_to_resume_a_changed_experiment),
        cmocka_unit_test(resumes_a_moved_folder),
        cmocka_unit_test(refuses_to_resume_under_changed_keys),
        cmocka_unit_test(ties_are_broken_by_the_loss),
        cmocka_unit_test(frozen_tensors_keep_their_bytes),
        cmocka_unit_test(cached_and_uncached_agree),
        cmocka_unit_test(zero_lr_changes_nothing),
        cmocka_unit_test(refuses_a_random_head_above_tuned_layers),
        cmocka_unit_test(a_diverging_run_says_so),
    };
    return cmocka_run_group_tests_name("train/trainer", tests, set_up, NULL);
}
