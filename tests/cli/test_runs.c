/* train, eval and predict as a user meets them: exit codes, messages, files. The promises of
 * training itself are tests/train/test_trainer.c's. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "core/text.h"
#include "support/process.h"
#include "support/tiny.h"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

static void trains_evaluates_predicts(void **state) {
    (void)state;
    struct test_process train = TEST_THAW(NULL, "train", tiny_experiment("cli", tiny_stages, ""));
    if (train.exit_code)
        fail_msg("train: %s", train.errors);
    assert_non_null(strstr(train.output, "kept: stage 'tune'"));
    assert_non_null(strstr(train.output, "runs/cli"));
    assert_non_null(strstr(train.errors, "warmup"));
    test_process_finish(&train);

    const char *run = tiny_path("runs/cli");
    struct test_process eval = TEST_THAW(NULL, "eval", run, "--json");
    assert_int_equal(eval.exit_code, 0);
    json_t *root = json_loads(eval.output, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(root, "photos")), 12);
    assert_true(json_real_value(json_object_get(root, "top1")) > 0.8);
    json_decref(root);
    test_process_finish(&eval);

    struct test_process other = TEST_THAW(NULL, "eval", run, "--data", tiny_path("photos"));
    assert_int_equal(other.exit_code, 0);
    assert_non_null(strstr(other.output, "48 photos"));
    assert_non_null(strstr(other.output, "horizontal"));
    test_process_finish(&other);

    struct test_process predict =
        TEST_THAW(NULL, "predict", run, tiny_path("photos/vertical/00.png"),
                  tiny_path("photos/horizontal/00.png"), "--json");
    assert_int_equal(predict.exit_code, 0);
    root = json_loads(predict.output, 0, NULL);
    assert_int_equal(json_array_size(root), 2);
    json_t *first = json_array_get(json_object_get(json_array_get(root, 0), "classes"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "class")), "vertical");
    json_decref(root);
    test_process_finish(&predict);

    test_expect_exit(TEST_THAW(NULL, "train", tiny_path("cli.yaml")), 2, "already a run");
}

/* The loss of the last line of a run's metrics.jsonl. */
static double recorded_loss(const char *run) {
    char line[4096], last[4096] = "";
    FILE *file = fopen(tiny_run_file(run, "metrics.jsonl"), "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        memcpy(last, line, sizeof last);
    fclose(file);
    json_t *root = json_loads(last, 0, NULL);
    double loss = json_real_value(json_object_get(json_object_get(root, "val"), "loss"));
    json_decref(root);
    assert_true(loss > 0);
    return loss;
}

/* What every command that computes the model of a run prints or writes, one after the other. */
static char *computed(const char *run) {
    const char *photo = tiny_path("photos/vertical/00.png"), *file = tiny_path("f.safetensors"),
               *more[] = {tiny_path("photos/horizontal/00.png"),
                          tiny_path("photos/vertical/03.png")};
    struct thaw_text all = {0};
    struct thaw_map features;
    struct test_process processes[] = {
        TEST_THAW(NULL, "eval", run, "--json", "--batch", "8"),
        TEST_THAW(NULL, "predict", run, photo, more[0], more[1], "--json"),
        TEST_THAW(NULL, "features", run, "--at", "pool", "--files", photo, "-o", file, "-q")};
    for (size_t i = 0; i < sizeof processes / sizeof *processes; i++) {
        if (processes[i].exit_code)
            fail_msg("%s", processes[i].errors);
        thaw_text_append(&all, "%s\n----\n", i < 2 ? processes[i].output : "");
        test_process_finish(&processes[i]);
    }
    assert_ok(thaw_map_open(file, &features));
    for (size_t i = 0; i < features.size_bytes; i++)
        thaw_text_append(&all, "%02x", ((const unsigned char *)features.bytes)[i]);
    thaw_map_close(&features);
    assert_false(all.failed);
    return all.text;
}

/* The `device` of a run is that of every command which computes its model. */
static void computed_as_trained(void **state) {
    (void)state;
    char *run = strdup(tiny_path("runs/device")),
         *photo = strdup(tiny_path("photos/vertical/00.png"));
    /* kernels that are compiled for the first time may print warnings */
    test_expect_exit(
        TEST_THAW(NULL, "train",
                  tiny_experiment("device", tiny_stages, "keep: last\ndevice: {conv: winograd}"),
                  "-q"),
        0, "");
    char *winograd = computed(run);
    json_t *root = json_loads(winograd, JSON_DISABLE_EOF_CHECK, NULL);
    /* recorded with 9 digits */
    assert_float_equal(json_real_value(json_object_get(root, "loss")) / recorded_loss("device"), 1,
                       5e-9);
    json_decref(root);
    struct thaw_map config;
    assert_ok(thaw_map_open(tiny_path("runs/device/config.yaml"), &config));
    char *text = strndup((const char *)config.bytes, config.size_bytes);
    thaw_map_close(&config);
    char *name = strstr(text, "winograd");
    assert_non_null(name);
    memcpy(name, "simple  ", 8);
    tiny_write("runs/device/config.yaml", text);
    free(text);
    char *simple = computed(run);
    char *a = simple, *b = winograd; /* the same in none of the three */
    for (int i = 0; i < 3; i++) {
        size_t length = i < 2 ? (size_t)(strstr(a, "----") - a) : strlen(a);
        if (strncmp(a, b, length) == 0)
            fail_msg("the same by 'winograd' and 'simple': %.*s", (int)length, a);
        if (i < 2) {
            a = strstr(a, "----") + 5;
            b = strstr(b, "----") + 5;
        }
    }
    free(winograd);
    free(simple);

    const struct {
        const char *device, *message;
    } wrong[] = {{"device: {conv: dirct}\n", "config.yaml:1:16: "},
                 {"device: {block: 3}\n", "is 3"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tiny_write("runs/device/config.yaml", wrong[i].device);
        test_expect_exit(TEST_THAW(NULL, "eval", run, "-q"), 2, wrong[i].message);
        test_expect_exit(TEST_THAW(NULL, "predict", run, photo, "-q"), 2, wrong[i].message);
        test_expect_exit(TEST_THAW(NULL, "features", run, "--at", "pool", "--files", photo, "-o",
                                   tiny_path("f.safetensors"), "-q"),
                         2, wrong[i].message);
    }
    free(run);
    free(photo);
}

/* A run's resolved config is an experiment that can be run again. */
static void resolved_config_runs_again(void **state) {
    (void)state;
    const char *config = tiny_run_file("cli", "config.yaml");
    struct test_process again = TEST_THAW(NULL, "train", config, "--set", "name=cli-again", "-q");
    assert_int_equal(again.exit_code, 0);
    test_process_finish(&again);
    struct thaw_map a, b;
    assert_ok(thaw_map_open(tiny_run_file("cli", "model.safetensors"), &a));
    assert_ok(thaw_map_open(tiny_run_file("cli-again", "model.safetensors"), &b));
    assert_int_equal(a.size_bytes, b.size_bytes);
    assert_memory_equal(a.bytes, b.bytes, a.size_bytes);
    thaw_map_close(&a);
    thaw_map_close(&b);
}

/* Ctrl-C after a moment: exit code 130, a checkpoint, and --resume ends where an undisturbed run
 * does. */
static void interrupt_and_resume(void **state) {
    (void)state;
    static const char stages[] =
        "  - {stage: all, train: [all], lr: 1x, epochs: 400, norm: train}\n";
    char experiment[256];
    snprintf(experiment, sizeof experiment, "%s", tiny_experiment("stopped", stages, ""));
    pid_t child = fork();
    if (child == 0) {
        execl(getenv("THAW_BINARY"), "thaw", "train", experiment, "-q", (char *)NULL);
        _exit(127);
    }
    while (!thaw_path_exists(tiny_run_file("stopped", "metrics.jsonl")))
        usleep(20000);
    kill(child, SIGINT);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    assert_true(thaw_path_exists(tiny_run_file("stopped", "last.safetensors")));
    test_expect_exit(TEST_THAW(NULL, "train", experiment, "--resume", "--set", "seed=4"), 2,
                     "seed");
}

struct wrong {
    const char *more, *stages;
    int exit_code;
    const char *part;
};

static void wrong_experiments(void **state) {
    (void)state;
    static const char tune[] = "  - {train: [head], lr: 1x, epochs: 1}\n";
    static const struct wrong wrongs[] = {
        {"optimiser: sgd", tune, 2, "nearest: 'optimizer'"},
        {"seed: many", tune, 2, "wrong.yaml:6:7:"},
        {"augment: [hflop]", tune, 2, "nearest: 'hflip'"},
        {"optimizer: {type: sgd, momentun: 0.9}", tune, 2, "nearest: 'momentum'"},
        {"schedule: cosin", tune, 2, "nearest: 'cosine'"},
        {"metric: val.top", tune, 2, "nearest: 'val.top1'"},
        {"device: {conv: dirct}", tune, 2, "nearest: 'direct'"},
        {"", "  - {train: [boddy], lr: 1x, epochs: 1}\n", 2, "nearest: 'body'"},
        {"", "  - {train: [head], lr: fast, epochs: 1}\n", 2, "is no learning rate"},
        {"", "  - {train: [head], lr: 1x, epochs: 1, norm: evil}\n", 2, "nearest: 'eval'"},
        {"", "  - {train: [head], lr: 0, epochs: 1}\n", 2, "trains nothing"},
        {"augment: [{mixup: 0.2}]", "  - {train: [head], lr: 1x, epochs: 1, cache: {views: 2}}\n",
         2, "mixes the pictures of a batch"},
        {"", "  - {train: [all], lr: 1x, epochs: 1, cache: true}\n", 2, "nothing to cache"},
        {"regime: small_diferent", tune, 2, "nearest: 'small_different'"},
    };
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const char *experiment = tiny_experiment("wrong", wrongs[i].stages, wrongs[i].more);
        test_expect_exit(TEST_THAW(NULL, "train", experiment), wrongs[i].exit_code, wrongs[i].part);
        assert_false(thaw_path_exists(tiny_path("runs/wrong")));
    }
    test_expect_exit(TEST_THAW(NULL, "train", tiny_path("no.yaml")), 2, "no.yaml");
}

static void wrong_model_data_and_photos(void **state) {
    (void)state;
    char text[1024];
    const char *format =
        "name: wrong\noutput: %s/runs\nmodel: {graph: %s%s}\nbatch: 8\n"
        "data: {format: folder, root: %s}\ntrain: [{train: [head], lr: 1x, epochs: 1}]\n";
    snprintf(text, sizeof text, format, test_directory(), "resnet188", "", "photos");
    tiny_write("w.yaml", text);
    test_expect_exit(TEST_THAW(NULL, "train", tiny_path("w.yaml")), 2, "nearest: 'resnet18'");
    snprintf(text, sizeof text, format, test_directory(), tiny_path("tiny.yaml"), "", "fotos");
    tiny_write("w.yaml", text);
    test_expect_exit(TEST_THAW(NULL, "train", tiny_path("w.yaml")), 2, "fotos");
    snprintf(text, sizeof text, format, test_directory(), tiny_path("tiny.yaml"),
             ", weights: none.safetensors", "photos");
    tiny_write("w.yaml", text);
    test_expect_exit(TEST_THAW(NULL, "train", tiny_path("w.yaml")), 2, "none.safetensors");
    assert_false(thaw_path_exists(tiny_path("runs/wrong")));

    const char *run = tiny_path("runs/cli");
    tiny_write("text.jpg", "no picture");
    test_expect_exit(TEST_THAW(NULL, "predict", run, tiny_path("text.jpg")), 2, "text.jpg");
    test_expect_exit(TEST_THAW(NULL, "predict", run, tiny_path("none.jpg")), 2, "none.jpg");
    test_expect_exit(TEST_THAW(NULL, "predict", tiny_path("photos"), tiny_path("text.jpg")), 2,
                     "model.safetensors");
    test_expect_exit(TEST_THAW(NULL, "eval", run, "--data", tiny_path("nowhere")), 2, "nowhere");
}

/* A damaged model file is an error at any length. */
static void truncated_models(void **state) {
    (void)state;
    struct thaw_map map;
    assert_ok(thaw_map_open(tiny_run_file("cli", "model.safetensors"), &map));
    const size_t lengths[] = {0, 4, 100, map.size_bytes / 2, map.size_bytes - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_ok(thaw_file_write(tiny_path("cut.safetensors"), map.bytes, lengths[i]));
        test_expect_exit(TEST_THAW(NULL, "predict", tiny_path("cut.safetensors"),
                                   tiny_path("photos/vertical/00.png")),
                         2, "cut.safetensors");
    }
    thaw_map_close(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trains_evaluates_predicts), cmocka_unit_test(resolved_config_runs_again),
        cmocka_unit_test(computed_as_trained),       cmocka_unit_test(interrupt_and_resume),
        cmocka_unit_test(wrong_experiments),         cmocka_unit_test(wrong_model_data_and_photos),
        cmocka_unit_test(truncated_models),
    };
    return cmocka_run_group_tests_name("cli/runs", tests, set_up, NULL);
}
