/* Whole runs on MNIST-like files: train on a selection of the classes, evaluate, take features,
 * predict a picture file. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/rng.h"
#include "data/idx_files.h"
#include "support/process.h"
#include "support/tiny.h"

enum { COUNT = 90, SIDE = 12 };

static const char model[] =
    "model: grey\n"
    "input: {channels: 1, size: 12, mean: [0.4], std: [0.2], resize: {mode: stretch, size: 12}}\n"
    "reference: {lr: 0.1, batch: 8}\n"
    "graph:\n"
    "  - conv1: {conv: {out: 8, kernel: 3, pad: 1, bias: false}}\n"
    "  - bn1: batchnorm\n"
    "  - relu\n"
    "  - pool: global\n"
    "  - fc: {linear: {out: 10}}\n"
    "features: pool\n"
    "stages: [{stem: [conv1, bn1]}]\n";

/* Stripes: upright for label 0, lying for label 1; none for label 2. */
static void draw(int number, uint8_t *pixels) {
    struct thaw_rng rng = thaw_rng_init(4, THAW_RNG_TEST, (uint32_t)number, 0);
    for (int i = 0; i < SIDE * SIDE; i++) {
        int place = number % 3 == 0 ? i % SIDE : number % 3 == 1 ? i / SIDE : 0;
        pixels[i] = (uint8_t)((place % 4 < 2 ? 120 : 60) + (int)thaw_rng_below(&rng, 40));
    }
}

static int set_up(void **state) {
    (void)state;
    static uint8_t pixels[COUNT * SIDE * SIDE];
    size_t size = 0;
    for (int i = 0; i < COUNT; i++)
        draw(i, pixels + i * SIDE * SIDE);
    const uint8_t *bytes =
        idx_bytes(3, (uint32_t[]){COUNT, SIDE, SIDE}, pixels, sizeof pixels, &size);
    file_save("images-idx3-ubyte", bytes, size);
    idx_save_labels("labels.gz", COUNT, 3);
    tiny_write("grey.yaml", model);
    char text[1024];
    snprintf(text, sizeof text,
             "name: run\noutput: %s/runs\nmodel: {graph: %s/grey.yaml}\nbatch: 8\nkeep: last\n"
             "data: {format: idx, images: images-idx3-ubyte, labels: labels.gz, val: 0.25,\n"
             "       classes: [upright, lying, plain], select: {classes: [lying, upright]}}\n"
             "train:\n  - {stage: all, train: [all], lr: 1x, epochs: 12}\n",
             test_directory(), test_directory());
    tiny_write("run.yaml", text);
    struct test_process train = TEST_THAW(NULL, "train", tiny_path("run.yaml"));
    if (train.exit_code)
        fail_msg("train: %s", train.errors);
    test_process_finish(&train);
    return 0;
}

static void expect_output(struct test_process process, const char *part) {
    if (process.exit_code || !strstr(process.output, part))
        fail_msg("exit code %d, %s\n%s\n(expected to contain %s)", process.exit_code,
                 process.errors, process.output, part);
    test_process_finish(&process);
}

static void a_run_is_used(void **state) {
    (void)state;
    const char *run = tiny_path("runs/run");
    expect_output(TEST_THAW(NULL, "eval", run, "--json"), "\"photos\": 16");
    expect_output(TEST_THAW(NULL, "eval", run, "--json"), "\"top1\": 1.0");
    expect_output(TEST_THAW(NULL, "features", run, "--at", "pool", "-o", tiny_path("f")), "60");
    for (int number = 90; number < 92; number++) {
        uint8_t file[16 + SIDE * SIDE] = "P5 12 12 255\n";
        draw(number, file + 13);
        file_save("new.pgm", file, 13 + SIDE * SIDE);
        expect_output(TEST_THAW(NULL, "predict", run, tiny_path("new.pgm")),
                      number % 3 ? "new.pgm  lying" : "new.pgm  upright");
    }
}

/* The run folder names its pictures and can be run again from anywhere. */
static void the_run_folder_says_all(void **state) {
    (void)state;
    struct thaw_map split = {0};
    assert_ok(thaw_map_open(tiny_run_file("run", "split.csv"), &split));
    assert_non_null(memmem(split.bytes, split.size_bytes, "\nimages#4,lying,", 16));
    assert_null(memmem(split.bytes, split.size_bytes, "plain", 5));
    thaw_map_close(&split);
    struct test_process again =
        TEST_THAW(NULL, "train", tiny_run_file("run", "config.yaml"), "--set", "name=again");
    assert_int_equal(again.exit_code, 0);
    test_process_finish(&again);
    struct thaw_map first = {0}, second = {0};
    assert_ok(thaw_map_open(tiny_run_file("run", "model.safetensors"), &first));
    assert_ok(thaw_map_open(tiny_run_file("again", "model.safetensors"), &second));
    assert_int_equal(first.size_bytes, second.size_bytes);
    assert_memory_equal(first.bytes, second.bytes, first.size_bytes);
    thaw_map_close(&first);
    thaw_map_close(&second);
}

static void mistakes_are_named(void **state) {
    (void)state;
    const char *experiment = tiny_path("run.yaml");
    test_expect_exit(TEST_THAW(NULL, "train", experiment, "--set", "name=x", "--set",
                               "data.select.classes=[lying, uprigt]"),
                     2, "nearest: 'upright'");
    test_expect_exit(
        TEST_THAW(NULL, "train", experiment, "--set", "name=x", "--set", "data.images=none/images"),
        2, "none/images");
    file_save_text("cut.gz", "\x1f\x8b\x08");
    char set[300];
    snprintf(set, sizeof set, "data.labels=%s", tiny_path("cut.gz"));
    test_expect_exit(TEST_THAW(NULL, "train", experiment, "--set", "name=x", "--set", set), 2,
                     "cut.gz: not an IDX file");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_used),
        cmocka_unit_test(the_run_folder_says_all),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
