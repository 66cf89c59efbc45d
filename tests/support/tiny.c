#include "support/tiny.h"

#include <stdio.h>
#include <string.h>
#include <vips/vips.h>

#include "core/file.h"
#include "core/rng.h"
#include "io/weights.h"
#include "support/process.h"
#include "support/support.h"

static const char model_text[] =
    "model: tiny\n"
    "input: {channels: 3, size: 16, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25],\n"
    "        resize: {mode: stretch, size: 16}}\n"
    "reference: {lr: 0.05, batch: 8}\n"
    "graph:\n"
    "  - conv1: {conv: {out: 8, kernel: 3, stride: 2, pad: 1, bias: false}}\n"
    "  - bn1: batchnorm\n"
    "  - relu\n"
    "  - conv2: {conv: {out: 16, kernel: 3, pad: 1, bias: false}}\n"
    "  - bn2: batchnorm\n"
    "  - relu\n"
    "  - pool: global\n"
    "  - fc: {linear: {out: 10}}\n"
    "features: pool\n"
    "stages: [{stem: [conv1, bn1]}, {body: [conv2, bn2]}]\n";

const char tiny_stages[] =
    "  - {stage: warmup, train: [head], lr: 1x, epochs: 2, cache: true}\n"
    "  - {stage: tune, train: [body, head], lr: {head: 2x, body: 1x}, epochs: 3, norm: train,\n"
    "     schedule: cosine, augment: [hflip]}\n";

const char *tiny_path(const char *name) {
    static char path[16][256]; /* a few may be in use at a time */
    static int next;
    next = (next + 1) % 16;
    snprintf(path[next], sizeof path[next], "%s/%s", test_directory(), name);
    return path[next];
}

const char *tiny_run_file(const char *run, const char *file) {
    char name[128];
    snprintf(name, sizeof name, "runs/%s/%s", run, file);
    return tiny_path(name);
}

void tiny_write(const char *name, const char *text) {
    assert_ok(thaw_file_write(tiny_path(name), text, strlen(text)));
}

/* Class 0 has vertical stripes, class 1 horizontal ones, with noise. */
static void write_photo(int class_index, int number) {
    unsigned char pixels[20 * 20 * 3];
    struct thaw_rng rng = thaw_rng_init(9, THAW_RNG_TEST, (uint32_t)class_index, (uint32_t)number);
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 20; x++)
            for (int c = 0; c < 3; c++) {
                bool bright = (class_index ? y : x) % 4 < 2;
                pixels[(y * 20 + x) * 3 + c] =
                    (unsigned char)((bright ? 120 : 60) + (int)thaw_rng_below(&rng, 100));
            }
    char path[256];
    snprintf(path, sizeof path, "%s/photos/%s/%02d.png", test_directory(),
             class_index ? "horizontal" : "vertical", number);
    VipsImage *image =
        vips_image_new_from_memory(pixels, sizeof pixels, 20, 20, 3, VIPS_FORMAT_UCHAR);
    assert_non_null(image);
    assert_int_equal(vips_pngsave(image, path, NULL), 0);
    g_object_unref(image);
}

void tiny_make(void) {
    assert_int_equal(VIPS_INIT("test"), 0);
    assert_ok(thaw_path_make_directories(tiny_path("photos/vertical")));
    assert_ok(thaw_path_make_directories(tiny_path("photos/horizontal")));
    for (int class_index = 0; class_index < 2; class_index++)
        for (int i = 0; i < TINY_PHOTOS; i++)
            write_photo(class_index, i);
    tiny_write("tiny.yaml", model_text);
}

const char *tiny_experiment(const char *name, const char *stages, const char *more) {
    char text[4096], file[64];
    snprintf(text, sizeof text,
             "name: %s\noutput: %s/runs\nmodel: {graph: %s/tiny.yaml}\nbatch: 8\n"
             "data: {format: folder, root: photos, val: 0.25}\n%s\ntrain:\n%s",
             name, test_directory(), test_directory(), more, stages);
    snprintf(file, sizeof file, "%s.yaml", name);
    tiny_write(file, text);
    return tiny_path(file);
}

void tiny_trains_imported(const char *name, const char *patterns) {
    char experiment[600], file[64];
    snprintf(experiment, sizeof experiment,
             "name: run-%s\noutput: %s\nmodel: {graph: %s.yaml, weights: %s.safetensors}\n"
             "batch: 8\ndata: {format: folder, root: photos, val: 0.25}\ntrain:\n"
             "  - {stage: warmup, train: [head], lr: 1x, epochs: 2, cache: true}\n"
             "  - {stage: tune, train: [%s], lr: 0.1x, epochs: 2, norm: train}\n",
             name, tiny_path("runs"), tiny_path(name), tiny_path(name), patterns);
    snprintf(file, sizeof file, "run-%s.yaml", name);
    tiny_write(file, experiment);
    struct test_process train = TEST_THAW(NULL, "train", tiny_path(file));
    if (train.exit_code)
        fail_msg("train: %s", train.errors);
    assert_non_null(strstr(train.output, "kept: stage"));
    test_process_finish(&train);
}

void tiny_same_tensors(const char *a_path, const char *b_path) {
    struct thaw_weights a, b;
    assert_ok(thaw_weights_open(a_path, &a));
    assert_ok(thaw_weights_open(b_path, &b));
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        const struct thaw_weight *other = thaw_weights_find(&b, a.items[i].name);
        assert_non_null(other);
        if (memcmp(a.items[i].data, other->data, a.items[i].size_bytes) != 0)
            fail_msg("%s differs between %s and %s", a.items[i].name, a_path, b_path);
    }
    thaw_weights_finish(&a);
    thaw_weights_finish(&b);
}
