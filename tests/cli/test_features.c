/* thaw features: what it writes agrees with the model file and with `thaw predict`, row by row; and
 * what it refuses leaves no file. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "io/weights.h"
#include "support/process.h"
#include "support/tiny.h"

#define PHOTOS (2 * TINY_PHOTOS)
#define CHANNELS 16 /* of the bottleneck `pool` */
#define CLASSES 2

static char run_folder[256], model_file[256], output[256];

static int set_up(void **state) {
    (void)state;
    tiny_make();
    struct test_process train = TEST_THAW(NULL, "train", tiny_experiment("run", tiny_stages, ""));
    if (train.exit_code)
        fail_msg("train: %s", train.errors);
    test_process_finish(&train);
    snprintf(run_folder, sizeof run_folder, "%s", tiny_path("runs/run"));
    snprintf(model_file, sizeof model_file, "%s", tiny_run_file("run", "model.safetensors"));
    snprintf(output, sizeof output, "%s", tiny_path("features.safetensors"));
    return 0;
}

/* ---- reading what was written --------------------------------------------------------------- */

static void expect_success(struct test_process process) {
    if (process.exit_code)
        fail_msg("exit code %d: %s", process.exit_code, process.errors);
    test_process_finish(&process);
}

/* A tensor of exactly this shape, as floats; freed by the caller. */
static float *read_tensor(const struct thaw_weights *file, const char *name, const char *shape) {
    const struct thaw_weight *weight = thaw_weights_find(file, name);
    char text[THAW_SHAPE_TEXT_SIZE];
    if (!weight)
        fail_msg("there is no tensor '%s'", name);
    thaw_shape_text(weight->rank, weight->dims, text);
    assert_string_equal(text, shape);
    assert_true(weight->dtype == THAW_DTYPE_F32);
    float *values = calloc(thaw_weight_count(weight) + 1, sizeof *values);
    thaw_weight_to_float(weight, values);
    return values;
}

static json_t *read_list(const struct thaw_weights *file, const char *key, size_t count) {
    const char *text = thaw_weights_get_metadata(file, key);
    if (!text)
        fail_msg("there is no '%s'", key);
    json_t *list = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(list), count);
    return list;
}

static const char *text_at(json_t *list, size_t index) {
    return json_string_value(json_array_get(list, index));
}

static int64_t label_at(const struct thaw_weights *file, size_t row) {
    const struct thaw_weight *labels = thaw_weights_find(file, "labels");
    assert_non_null(labels);
    assert_true(labels->dtype == THAW_DTYPE_I64 && labels->rank == 1);
    int64_t label;
    memcpy(&label, (const char *)labels->data + row * sizeof label, sizeof label);
    return label;
}

static void expect_close(const float *a, const float *b, size_t count, double tolerance) {
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance * (1 + fabs((double)b[i]))))
            fail_msg("value %zu: %.9g, expected %.9g", i, (double)a[i], (double)b[i]);
}

/* No partial file is left anywhere that could have been written to. */
static void expect_no_partial_file(void) {
    DIR *folder = opendir(test_directory());
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strstr(entry->d_name, ".partial"))
            fail_msg("%s is left behind", entry->d_name);
    closedir(folder);
}

/* ---- values --------------------------------------------------------------------------------- */

/* What `thaw predict` says of photos of the data: {"<path>": {"<class>": probability}}. */
static json_t *predict(json_t *photos, size_t first, size_t count) {
    const char *words[40] = {"predict", run_folder, "--json"};
    char paths[32][300];
    for (size_t i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/photos/%s", test_directory(),
                 text_at(photos, first + i));
        words[3 + i] = paths[i];
    }
    struct test_process process = test_thaw(NULL, words);
    assert_int_equal(process.exit_code, 0);
    json_t *root = json_loads(process.output, 0, NULL);
    assert_int_equal(json_array_size(root), count);
    test_process_finish(&process);
    return root;
}

static double probability_of(json_t *prediction, const char *class_name) {
    json_t *classes = json_object_get(prediction, "classes"), *entry;
    size_t i;
    json_array_foreach(
        classes, i,
        entry) if (!strcmp(json_string_value(json_object_get(entry, "class")),
                           class_name)) return json_real_value(json_object_get(entry,
                                                                               "probability"));
    fail_msg("class '%s' was not predicted", class_name);
    return 0;
}

/* logits = weight x + bias, in double precision, of the model file's last layer. */
static void last_layer(const struct thaw_weights *model, const float *x, double *ret_logits) {
    float *weight = read_tensor(model, "fc.weight", "2x16");
    float *bias = read_tensor(model, "fc.bias", "2");
    for (int k = 0; k < CLASSES; k++) {
        ret_logits[k] = (double)bias[k];
        for (int c = 0; c < CHANNELS; c++)
            ret_logits[k] += (double)weight[k * CHANNELS + c] * (double)x[c];
    }
    free(weight);
    free(bias);
}

static void bottleneck_gives_the_predictions(void **state) {
    (void)state;
    struct thaw_weights file, model;
    expect_success(TEST_THAW(NULL, "features", run_folder, "--at", "pool", "fc", "-o", output));
    assert_ok(thaw_weights_open(output, &file));
    assert_ok(thaw_weights_open(model_file, &model));
    float *pool = read_tensor(&file, "pool", "48x16x1x1");
    float *fc = read_tensor(&file, "fc", "48x2x1x1");
    json_t *photos = read_list(&file, "thaw.photos", PHOTOS);
    json_t *classes = read_list(&file, "thaw.classes", CLASSES);
    for (size_t first = 0; first < PHOTOS; first += 24) {
        json_t *predictions = predict(photos, first, 24);
        for (size_t row = first; row < first + 24; row++) {
            double logits[CLASSES];
            last_layer(&model, pool + row * CHANNELS, logits);
            double p1 = 1 / (1 + exp(logits[0] - logits[1]));
            json_t *prediction = json_array_get(predictions, row - first);
            assert_true(fabs(p1 - probability_of(prediction, text_at(classes, 1))) < 1e-4);
            assert_true(fabs(1 - p1 - probability_of(prediction, text_at(classes, 0))) < 1e-4);
            for (int k = 0; k < CLASSES; k++)
                assert_true(fabs(logits[k] - (double)fc[row * CLASSES + (size_t)k]) < 1e-4);
        }
        json_decref(predictions);
    }
    assert_string_equal(thaw_weights_get_metadata(&file, "thaw.model_name"), "tiny");
    assert_int_equal(strlen(thaw_weights_get_metadata(&file, "thaw.weights_hash")), 16);
    json_decref(photos);
    json_decref(classes);
    free(pool);
    free(fc);
    thaw_weights_finish(&file);
    thaw_weights_finish(&model);
}

/* Maps of inner nodes are what the nodes say, not what became of them in a fused kernel: batch norm
 * of `conv1`'s map with the model file's statistics is `bn1`'s map. */
static void inner_maps_are_not_fused(void **state) {
    (void)state;
    struct thaw_weights file, model;
    expect_success(TEST_THAW(NULL, "features", run_folder, "--at", "conv1", "bn1", "-o", output));
    assert_ok(thaw_weights_open(output, &file));
    assert_ok(thaw_weights_open(model_file, &model));
    float *conv = read_tensor(&file, "conv1", "48x8x8x8");
    float *norm = read_tensor(&file, "bn1", "48x8x8x8");
    float *mean = read_tensor(&model, "bn1.running_mean", "8");
    float *variance = read_tensor(&model, "bn1.running_var", "8");
    float *scale = read_tensor(&model, "bn1.weight", "8"),
          *shift = read_tensor(&model, "bn1.bias", "8");
    for (size_t i = 0; i < PHOTOS * 8 * 64; i++) {
        size_t c = i / 64 % 8;
        conv[i] = (float)(((double)conv[i] - (double)mean[c]) / sqrt((double)variance[c] + 1e-5) *
                              (double)scale[c] +
                          (double)shift[c]);
    }
    expect_close(norm, conv, PHOTOS * 8 * 64, 1e-5);
    float *all[] = {conv, norm, mean, variance, scale, shift};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    thaw_weights_finish(&file);
    thaw_weights_finish(&model);
}

/* The bottleneck is the mean of the last map; `input` is the picture as the network sees it. */
static void pooling_and_input(void **state) {
    (void)state;
    struct thaw_weights file;
    double expected[PHOTOS * CHANNELS] = {0};
    expect_success(
        TEST_THAW(NULL, "features", run_folder, "--at", "relu_2", "pool", "input", "-o", output));
    assert_ok(thaw_weights_open(output, &file));
    float *map = read_tensor(&file, "relu_2", "48x16x8x8");
    float *pool = read_tensor(&file, "pool", "48x16x1x1");
    float *input = read_tensor(&file, "input", "48x3x16x16");
    for (size_t i = 0; i < PHOTOS * CHANNELS * 64; i++)
        expected[i / 64] += (double)map[i] / 64;
    test_compare(pool, expected, PHOTOS * CHANNELS, 1e-5, 1e-5, "pool");
    double sum = 0;
    for (size_t i = 0; i < PHOTOS * 3 * 256;
         i++) { /* pixels are 60 .. 219, mean and std are known */
        assert_true(input[i] > (60 / 255.0 - 0.5) / 0.25 - 1e-5 && input[i] < 1.5);
        sum += (double)input[i];
    }
    assert_true(fabs(sum / (PHOTOS * 3 * 256) - (139.5 / 255 - 0.5) / 0.25) < 0.02);
    free(map);
    free(pool);
    free(input);
    thaw_weights_finish(&file);
}

/* The size of a batch changes nothing, and a stage stands for its last node. */
static void batches_and_stages(void **state) {
    (void)state;
    struct thaw_weights whole, parts;
    const char *other = tiny_path("parts.safetensors");
    expect_success(TEST_THAW(NULL, "features", run_folder, "--at", "bn1", "bn2", "-o", output));
    struct test_process process = TEST_THAW(NULL, "features", run_folder, "--at", "stem", "body",
                                            "-o", other, "--batch", "7", "--json");
    assert_int_equal(process.exit_code, 0);
    json_t *root = json_loads(process.output, 0, NULL);
    json_t *body = json_array_get(json_object_get(root, "tensors"), 1);
    assert_int_equal(json_integer_value(json_object_get(root, "photos")), PHOTOS);
    assert_string_equal(json_string_value(json_object_get(body, "name")), "body");
    assert_string_equal(json_string_value(json_object_get(body, "node")), "bn2");
    json_decref(root);
    test_process_finish(&process);
    assert_ok(thaw_weights_open(output, &whole));
    assert_ok(thaw_weights_open(other, &parts));
    float *bn1 = read_tensor(&whole, "bn1", "48x8x8x8"),
          *bn2 = read_tensor(&whole, "bn2", "48x16x8x8");
    float *stem = read_tensor(&parts, "stem", "48x8x8x8"),
          *stage = read_tensor(&parts, "body", "48x16x8x8");
    expect_close(stem, bn1, PHOTOS * 8 * 64, 1e-5);
    expect_close(stage, bn2, PHOTOS * 16 * 64, 1e-5);
    float *all[] = {bn1, bn2, stem, stage};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    thaw_weights_finish(&whole);
    thaw_weights_finish(&parts);
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* Of a run: by class and name, in the sets of its split.csv. */
static void rows_of_a_run(void **state) {
    (void)state;
    struct thaw_weights file;
    struct thaw_map split;
    char line[128];
    expect_success(TEST_THAW(NULL, "features", run_folder, "--at", "pool", "-o", output));
    assert_ok(thaw_weights_open(output, &file));
    assert_ok(thaw_map_open(tiny_run_file("run", "split.csv"), &split));
    char *text = calloc(1, split.size_bytes + 1);
    memcpy(text, split.bytes, split.size_bytes);
    json_t *photos = read_list(&file, "thaw.photos", PHOTOS);
    json_t *sets = read_list(&file, "thaw.sets", PHOTOS);
    json_t *classes = read_list(&file, "thaw.classes", CLASSES);
    for (size_t row = 0; row < PHOTOS; row++) {
        const char *class_name = row < TINY_PHOTOS ? "horizontal" : "vertical";
        snprintf(line, sizeof line, "%s/%02zu.png", class_name, row % TINY_PHOTOS);
        assert_string_equal(text_at(photos, row), line);
        assert_int_equal(label_at(&file, row), row < TINY_PHOTOS ? 0 : 1);
        assert_string_equal(text_at(classes, (size_t)label_at(&file, row)), class_name);
        snprintf(line, sizeof line, "\n%s/%02zu.png,%s,%s", class_name, row % TINY_PHOTOS,
                 class_name, text_at(sets, row));
        if (!strstr(text, line))
            fail_msg("split.csv has no line '%s'", line + 1);
    }
    json_decref(photos);
    json_decref(sets);
    json_decref(classes);
    free(text);
    thaw_map_close(&split);
    thaw_weights_finish(&file);
}

/* Of an experiment whose CSV mixes classes and sets: in the order of the file, test set included;
 * and --set is obeyed. */
static void rows_of_an_experiment(void **state) {
    (void)state;
    static const char *const lines[] = {
        "vertical/03.png,vertical,test",  "horizontal/05.png,horizontal,train",
        "vertical/00.png,vertical,train", "horizontal/01.png,horizontal,val",
        "vertical/02.png,vertical,val",   "horizontal/04.png,horizontal,train",
        "vertical/01.png,vertical,train",
    };
    const size_t count = sizeof lines / sizeof *lines;
    char text[1024] = "path,label,set\n", line[64];
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", lines[i]);
    tiny_write("mixed.csv", text);
    snprintf(text, sizeof text,
             "name: mixed\nmodel: {graph: %s}\ndata: {format: csv, file: mixed.csv, root: photos}\n"
             "train: [{train: [all], lr: 1x, epochs: 1}]\n",
             tiny_path("tiny.yaml"));
    tiny_write("mixed.yaml", text);
    expect_success(TEST_THAW(NULL, "features", tiny_path("mixed.yaml"), "--at", "conv1", "-o",
                             output, "--set", "model.size=8"));
    struct thaw_weights file;
    assert_ok(thaw_weights_open(output, &file));
    free(read_tensor(&file, "conv1", "7x8x4x4"));
    json_t *photos = read_list(&file, "thaw.photos", count);
    json_t *sets = read_list(&file, "thaw.sets", count);
    json_t *classes = read_list(&file, "thaw.classes", CLASSES);
    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof line, "%s,%s,%s", text_at(photos, i),
                 text_at(classes, (size_t)label_at(&file, i)), text_at(sets, i));
        assert_string_equal(line, lines[i]);
    }
    assert_string_equal(thaw_weights_get_metadata(&file, "thaw.weights_hash"), "");
    json_decref(photos);
    json_decref(sets);
    json_decref(classes);
    thaw_weights_finish(&file);
}

/* Photos that are named one by one have no labels; their rows are those of the whole data. */
static void rows_of_files(void **state) {
    (void)state;
    const char *first = tiny_path("photos/vertical/07.png");
    const char *second = tiny_path("photos/horizontal/02.png");
    const char *all = tiny_path("all.safetensors");
    expect_success(TEST_THAW(NULL, "features", run_folder, "--at", "pool", "-o", all));
    expect_success(TEST_THAW(NULL, "features", model_file, "--at", "pool", "-o", output, "--files",
                             first, second, first));
    struct thaw_weights whole, file;
    assert_ok(thaw_weights_open(all, &whole));
    assert_ok(thaw_weights_open(output, &file));
    float *expected = read_tensor(&whole, "pool", "48x16x1x1");
    float *values = read_tensor(&file, "pool", "3x16x1x1");
    json_t *photos = read_list(&file, "thaw.photos", 3);
    assert_string_equal(text_at(photos, 0), first);
    assert_string_equal(text_at(photos, 1), second);
    expect_close(values, expected + (TINY_PHOTOS + 7) * CHANNELS, CHANNELS, 1e-5);
    expect_close(values + CHANNELS, expected + 2 * CHANNELS, CHANNELS, 1e-5);
    expect_close(values + 2 * CHANNELS, values, CHANNELS, 0);
    assert_null(thaw_weights_find(&file, "labels"));
    assert_null(thaw_weights_get_metadata(&file, "thaw.sets"));
    json_decref(photos);
    free(expected);
    free(values);
    thaw_weights_finish(&whole);
    thaw_weights_finish(&file);
}

/* Another folder has labels by the run's classes. */
static void rows_of_a_folder(void **state) {
    (void)state;
    struct thaw_weights file;
    expect_success(TEST_THAW(NULL, "features", model_file, "--at", "pool", "-o", output, "--data",
                             tiny_path("photos")));
    assert_ok(thaw_weights_open(output, &file));
    free(read_tensor(&file, "pool", "48x16x1x1"));
    assert_int_equal(label_at(&file, TINY_PHOTOS - 1), 0);
    assert_int_equal(label_at(&file, TINY_PHOTOS), 1);
    thaw_weights_finish(&file);
}

/* ---- failures ------------------------------------------------------------------------------- */

static void refuses(const char *part, const char *const *words) {
    unlink(output);
    test_expect_exit(test_thaw(NULL, words), 2, part);
    assert_false(thaw_path_exists(output));
    expect_no_partial_file();
}
#define REFUSES(part, ...) refuses((part), (const char *const[]){"features", __VA_ARGS__, NULL})

static void wrong_words(void **state) {
    (void)state;
    REFUSES("nearest: 'pool'", run_folder, "--at", "pol", "-o", output);
    REFUSES("nearest: 'body'", run_folder, "--at", "bodi", "-o", output);
    REFUSES("its bottleneck is 'pool'", run_folder, "--at", "pool", "xyzzy", "-o", output);
    REFUSES("the same node, 'bn1'", run_folder, "--at", "bn1", "stem", "-o", output);
    REFUSES("needs --at NODE", run_folder, "-o", output);
    REFUSES("needs -o FILE", run_folder, "--at", "pool");
    REFUSES("no/such", run_folder, "--at", "pool", "-o", tiny_path("no/such/file"));
    REFUSES("is a folder", run_folder, "--at", "pool", "-o", tiny_path("photos"));
    REFUSES("own weights", run_folder, "--at", "pool", "-o", model_file);
    REFUSES("only the data", run_folder, "--at", "pool", "-o", output, "--set", "model.size=8");
    REFUSES("no effect", run_folder, "--at", "pool", "-o", output, "--set", "data.root=x",
            "--files", tiny_path("photos/vertical/07.png"));
    REFUSES("not both", run_folder, "--at", "pool", "-o", output, "--data", "d", "--files", "f");
    REFUSES("nowhere", run_folder, "--at", "pool", "-o", output, "--data", "/nowhere");
    REFUSES("nowhere", run_folder, "--at", "pool", "-o", output, "--set", "data.root=/nowhere");
    REFUSES("--batch", run_folder, "--at", "pool", "-o", output, "--batch", "0");
}

static void wrong_files(void **state) {
    (void)state;
    REFUSES("--files", model_file, "--at", "pool", "-o", output);
    REFUSES("none.yaml", tiny_path("none.yaml"), "--at", "pool", "-o", output);
    REFUSES("model.safetensors", tiny_path("photos"), "--at", "pool", "-o", output);
    tiny_write("text.jpg", "no picture");
    REFUSES("text.jpg", run_folder, "--at", "pool", "-o", output, "--files",
            tiny_path("photos/vertical/07.png"), tiny_path("text.jpg"));
    REFUSES("none.jpg", run_folder, "--at", "pool", "-o", output, "--files", tiny_path("none.jpg"));
    tiny_write("\xff.jpg", "whatever");
    REFUSES("UTF-8", run_folder, "--at", "pool", "-o", output, "--files", tiny_path("\xff.jpg"));
}

static void truncated_models(void **state) {
    (void)state;
    struct thaw_map map;
    assert_ok(thaw_map_open(model_file, &map));
    const size_t lengths[] = {0, 4, 100, map.size_bytes / 2, map.size_bytes - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_ok(thaw_file_write(tiny_path("cut.safetensors"), map.bytes, lengths[i]));
        REFUSES("cut.safetensors", tiny_path("cut.safetensors"), "--at", "pool", "-o", output,
                "--files", tiny_path("photos/vertical/07.png"));
    }
    thaw_map_close(&map);
}

/* What stood at the place of the output stays until the whole new file takes it. */
static void existing_output(void **state) {
    (void)state;
    struct thaw_map map;
    tiny_write("features.safetensors", "precious");
    test_expect_exit(TEST_THAW(NULL, "features", run_folder, "--at", "pol", "-o", output), 2,
                     "pool");
    assert_ok(thaw_map_open(output, &map));
    assert_int_equal(map.size_bytes, 8);
    assert_memory_equal(map.bytes, "precious", 8);
    expect_success(TEST_THAW(NULL, "features", run_folder, "--at", "pool", "-o", output));
    assert_memory_equal(map.bytes, "precious", 8); /* a reader of the old file keeps it whole */
    thaw_map_close(&map);
    struct thaw_weights file;
    assert_ok(thaw_weights_open(output, &file));
    assert_non_null(thaw_weights_find(&file, "pool"));
    thaw_weights_finish(&file);
    expect_no_partial_file();
}

/* Whether the process has a handler of its own for SIGINT. */
static bool catches_interrupt(pid_t process) {
    char path[64], line[256];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "SigCgt: %llx", &caught);
    if (file)
        fclose(file);
    return caught >> (SIGINT - 1) & 1;
}

static void interrupt(void **state) {
    (void)state;
    int status = 0;
    unlink(output);
    pid_t child = fork();
    if (child == 0) {
        execl(getenv("THAW_BINARY"), "thaw", "features", run_folder, "--at", "pool", "-o", output,
              "-q", (char *)NULL);
        _exit(127);
    }
    while (!catches_interrupt(child) && !waitpid(child, &status, WNOHANG))
        usleep(500);
    kill(child, SIGINT);
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
    assert_false(thaw_path_exists(output));
    expect_no_partial_file();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bottleneck_gives_the_predictions),
        cmocka_unit_test(inner_maps_are_not_fused),
        cmocka_unit_test(pooling_and_input),
        cmocka_unit_test(batches_and_stages),
        cmocka_unit_test(rows_of_a_run),
        cmocka_unit_test(rows_of_an_experiment),
        cmocka_unit_test(rows_of_files),
        cmocka_unit_test(rows_of_a_folder),
        cmocka_unit_test(wrong_words),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(truncated_models),
        cmocka_unit_test(existing_output),
        cmocka_unit_test(interrupt),
    };
    return cmocka_run_group_tests_name("cli/features", tests, set_up, NULL);
}
