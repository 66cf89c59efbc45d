/* MNIST's file format, data sets of it, and their pixels through the loader. */
#include "data/idx.h"

#include "data/dataset.h"
#include "data/idx_files.h"
#include "data/loader.h"

static struct thaw_arena arena;

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

/* ---- files -----------------------------------------------------------------------------------*/

static const uint32_t dims[] = {3, 2, 2};
static const uint8_t values[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void files_are_read(void **state) {
    (void)state;
    uint8_t packed[256];
    size_t size = 0;
    const uint8_t *bytes = idx_bytes(3, dims, values, sizeof values, &size);
    size_t packed_size = idx_gzip(bytes, size, packed, sizeof packed);
    for (int gzip = 0; gzip < 2; gzip++) {
        struct thaw_idx idx = {0};
        assert_ok(
            thaw_idx_parse(&arena, gzip ? packed : bytes, gzip ? packed_size : size, "x", &idx));
        assert_int_equal(idx.rank, 3);
        assert_memory_equal(idx.dims, dims, sizeof dims);
        assert_int_equal(idx.size_bytes, sizeof values);
        assert_memory_equal(idx.values, values, sizeof values);
    }
}

static void parse_fails(const uint8_t *bytes, size_t size, const char *part) {
    struct thaw_idx idx = {.rank = -1};
    thaw_status status = thaw_idx_parse(&arena, bytes, size, "the file", &idx);
    if (status != THAW_ERROR_INPUT || !strstr(thaw_error_message(), part) ||
        strncmp(thaw_error_message(), "the file: ", 10) != 0)
        fail_msg("status %d, '%s', expected '%s'", (int)status, thaw_error_message(), part);
    assert_int_equal(idx.rank, -1);
}

static void wrong_files_are_refused(void **state) {
    (void)state;
    uint8_t file[64];
    size_t size = 0;
    const uint8_t *bytes = idx_bytes(3, dims, values, sizeof values, &size);
    memcpy(file, bytes, size);
    parse_fails(file, 0, "not an IDX file");
    parse_fails(file, 3, "not an IDX file");
    parse_fails(file, 15, "ends within its dimensions");
    parse_fails(file, size - 1, "ends in item 2 of 3");
    parse_fails(file, size - 12, "ends in item 0 of 3");
    parse_fails(file, size + 1, "bytes follow");
    file[2] = 0x0d;
    parse_fails(file, size, "IDX type 0x0d; unsigned bytes");
    file[2] = 8, file[3] = 5;
    parse_fails(file, size, "5 dimensions; at most 4");
    file[3] = 0;
    parse_fails(file, size, "not an IDX file");
    file[3] = 3, file[0] = 1;
    parse_fails(file, size, "not an IDX file");
    file[0] = 0, file[7] = 0;
    parse_fails(file, size, "dimension 1 is 0");
    memset(file + 4, 0xff, 12);
    parse_fails(file, size, "more than the file can hold");
}

static void wrong_gzip_is_refused(void **state) {
    (void)state;
    uint8_t packed[256];
    size_t size = 0;
    const uint8_t *bytes = idx_bytes(3, dims, values, sizeof values, &size);
    size_t packed_size = idx_gzip(bytes, size, packed, sizeof packed);
    parse_fails(packed, 20, "ends ");
    parse_fails(packed, packed_size - 4, "cut short");
    parse_fails(packed, packed_size + 1, "bytes follow");
    packed[packed_size - 6] ^= 1; /* of the checksum */
    parse_fails(packed, packed_size, "damaged gzip: incorrect data check");
    packed_size = idx_gzip(bytes, size - 1, packed, sizeof packed);
    parse_fails(packed, packed_size, "ends in item 2 of 3");
    const uint32_t many[] = {1u << 31, 2, 2};
    bytes = idx_bytes(3, many, values, sizeof values, &size);
    packed_size = idx_gzip(bytes, size, packed, sizeof packed);
    parse_fails(packed, packed_size, "more than the file can hold");
    struct thaw_idx idx;
    assert_int_equal(thaw_idx_load(&arena, "/none/x", &idx), THAW_ERROR_INPUT);
    assert_int_equal(thaw_idx_load(&arena, "/tmp", &idx), THAW_ERROR_INPUT);
}

/* ---- data sets -------------------------------------------------------------------------------*/

static thaw_status open_yaml(const char *yaml, struct thaw_dataset **ret_dataset) {
    char file[256];
    thaw_yaml *root = NULL;
    struct thaw_dataset_config config;
    snprintf(file, sizeof file, "%s/data.yaml", test_directory());
    THAW_TRY(thaw_yaml_parse(&arena, yaml, strlen(yaml), thaw_arena_copy(&arena, file), &root));
    THAW_TRY(thaw_dataset_config_parse(&arena, root, &config));
    return thaw_dataset_open(&config, ret_dataset);
}

static void open_fails(const char *yaml, const char *part) {
    struct thaw_dataset *dataset = NULL;
    thaw_status status = open_yaml(yaml, &dataset);
    if (status != THAW_ERROR_INPUT || !strstr(thaw_error_message(), part))
        fail_msg("%s: status %d, '%s', expected '%s'", yaml, (int)status, thaw_error_message(),
                 part);
    assert_null(dataset);
}

/* 40 grey pictures of 4 classes for training, 8 for testing, 6 in colour. */
static int save(void **state) {
    (void)state;
    idx_save_images("train-images-idx3-ubyte", 3, (uint32_t[]){40, 6, 5});
    idx_save_labels("train-labels-idx1-ubyte.gz", 40, 4);
    idx_save_images("test/train-images-idx3-ubyte", 3, (uint32_t[]){8, 6, 5});
    idx_save_labels("test-labels", 8, 4);
    idx_save_images("colour", 4, (uint32_t[]){6, 6, 5, 3});
    idx_save_labels("colour-labels", 6, 2);
    idx_save_images("two", 4, (uint32_t[]){6, 6, 5, 2});
    file_save_text("text", "data: {}");
    idx_save_images("flat", 2, (uint32_t[]){6, 6});
    return 0;
}

#define TRAIN "format: idx, images: train-images-idx3-ubyte, labels: train-labels-idx1-ubyte.gz"
#define TEST "test_images: test/train-images-idx3-ubyte, test_labels: test-labels"

static void parts_make_sets(void **state) {
    (void)state;
    struct thaw_dataset *dataset = NULL;
    assert_ok(open_yaml("{" TRAIN ", " TEST ", val: 0.1}", &dataset));
    assert_int_equal(dataset->class_count, 4);
    assert_string_equal(dataset->classes[3], "3");
    assert_int_equal(dataset->set_counts[THAW_SET_TRAIN], 36);
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 4);
    assert_int_equal(dataset->set_counts[THAW_SET_TEST], 8);
    assert_string_equal(dataset->photos[39].name, "train-images#39");
    assert_string_equal(dataset->photos[40].name, "test-train-images#0");
    assert_int_equal(dataset->photos[39].label, 3);
    char path[256];
    snprintf(path, sizeof path, "%s/split.csv", test_directory());
    assert_ok(thaw_dataset_write_split(dataset, path));
    assert_ok(thaw_dataset_read_split(dataset, path));
    thaw_dataset_destroy(&dataset);
    assert_ok(open_yaml("{" TRAIN ", " TEST "}", &dataset)); /* test stands in */
    assert_int_equal(dataset->set_counts[THAW_SET_TRAIN], 40);
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 8);
    thaw_dataset_destroy(&dataset);
    assert_ok(open_yaml("{" TRAIN
                        ", classes: [a, b, c, d], val_images: test/train-images-idx3-ubyte, "
                        "val_labels: test-labels}",
                        &dataset));
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 8);
    assert_string_equal(dataset->classes[3], "d");
    thaw_dataset_destroy(&dataset);
    assert_ok(open_yaml("{" TRAIN ", split: split.csv, " TEST "}", &dataset));
    assert_int_equal(dataset->set_counts[THAW_SET_TRAIN], 36);
    thaw_dataset_destroy(&dataset);
}

static void wrong_parts_are_refused(void **state) {
    (void)state;
    open_fails("{format: idx}", "needs `images` and `labels`");
    open_fails("{format: idx, images: flat}", "`images` needs `labels`");
    open_fails("{" TRAIN ", test_labels: x}", "`test_labels` needs `test_images`");
    open_fails("{" TRAIN ", val_images: x, val_labels: y, val: 0.2}", "`val_images` says already");
    open_fails("{" TRAIN ", val_images: x, val_labels: y, split: z}", "`val_images` says already");
    open_fails("{" TRAIN ", classes: [a, b, c]}", "item 3 has label 3; `classes` names 3, 0 to 2");
    open_fails("{" TRAIN ", classes: [a, b, c, d, e]}", "class 'e' has 0 photos");
    open_fails("{format: idx, images: colour, labels: test-labels}", "8 labels for the 6 images");
    open_fails("{format: idx, images: flat, labels: colour-labels}", "2 dimensions; images have 3");
    open_fails("{format: idx, images: two, labels: colour-labels}", "1 or 3 channels");
    open_fails("{format: idx, images: colour, labels: colour}", "labels have 1");
    open_fails("{format: idx, images: none, labels: colour}", "none");
    open_fails("{format: idx, images: text, labels: colour}", "text: not an IDX file");
}

/* ---- pixels ----------------------------------------------------------------------------------*/

static struct thaw_raster raster_of(const char *name, struct thaw_idx *idx) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    assert_ok(thaw_idx_load(&arena, path, idx));
    return (struct thaw_raster){idx->values, (int)idx->dims[2], (int)idx->dims[1],
                                idx->rank == 4 ? (int)idx->dims[3] : 1};
}

/* A picture in memory becomes what a file of it becomes, whatever is asked for. */
static void pixels_are_those_of_a_file(void **state) {
    (void)state;
    static const char *const names[] = {"train-images-idx3-ubyte", "colour"};
    static const struct thaw_image_request requests[] = {
        {.channels = 1},
        {.channels = 3},
        {1, THAW_RESIZE_STRETCH, 5},
        {3, THAW_RESIZE_STRETCH, 16},
        {1, THAW_RESIZE_SHORT, 3},
        {3, THAW_RESIZE_SHORT, 5},
    };
    for (int colour = 0; colour < 2; colour++) {
        struct thaw_idx idx;
        struct thaw_raster raster = raster_of(names[colour], &idx);
        uint8_t file[256];
        size_t size_bytes = (size_t)(5 * 6 * raster.channels);
        int head = snprintf((char *)file, sizeof file, "P%d 5 6 255\n", colour ? 6 : 5);
        memcpy(file + head, raster.pixels, size_bytes);
        file_save("one.pnm", file, (size_t)head + size_bytes);
        char path[256];
        snprintf(path, sizeof path, "%s/one.pnm", test_directory());
        for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
            struct thaw_image expected, image;
            assert_ok(thaw_image_decode(path, &requests[i], &expected));
            assert_ok(thaw_image_from_raster(&raster, "x", &requests[i], &image));
            assert_int_equal(image.width, expected.width);
            assert_int_equal(thaw_image_hash(&image), thaw_image_hash(&expected));
            assert_true(image.luma == expected.luma);
            thaw_image_finish(&expected);
            thaw_image_finish(&image);
        }
    }
    struct thaw_idx idx;
    struct thaw_raster raster = raster_of("colour", &idx);
    struct thaw_image_request huge = {3, THAW_RESIZE_STRETCH, 1 << 20};
    struct thaw_image image;
    assert_int_equal(thaw_image_from_raster(&raster, "colour#0", &huge, &image), THAW_ERROR_INPUT);
    assert_non_null(strstr(thaw_error_message(), "colour#0"));
}

/* Also where memory is too small for all of them. */
static void the_loader_serves_them(void **state) {
    (void)state;
    struct thaw_dataset *dataset = NULL;
    assert_ok(open_yaml("{" TRAIN ", val: 0.1}", &dataset));
    for (uint64_t memory = 1; memory < 100000; memory += 50000) {
        struct thaw_loader_options options = {
            .image = {.channels = 1}, .memory_bytes = memory, .sets = {[THAW_SET_TRAIN] = true}};
        thaw_loader *loader = NULL;
        struct thaw_image images[36];
        size_t count = 0;
        assert_ok(thaw_loader_open(dataset, &options, &loader));
        const uint32_t *set = thaw_loader_set(loader, THAW_SET_TRAIN, &count);
        assert_int_equal(count, 36);
        assert_ok(thaw_loader_batch(loader, set, count, images));
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < 30; j++)
                assert_int_equal(images[i].pixels[j], (uint8_t)(set[i] * 31 + 7 * j));
        thaw_loader_destroy(&loader);
    }
    thaw_dataset_destroy(&dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read),          cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(wrong_gzip_is_refused),   cmocka_unit_test(parts_make_sets),
        cmocka_unit_test(wrong_parts_are_refused), cmocka_unit_test(pixels_are_those_of_a_file),
        cmocka_unit_test(the_loader_serves_them),
    };
    return cmocka_run_group_tests(tests, save, finish);
}
