/* `select`: classes and photos taken out of any data set. */
#include "data/dataset.h"
#include "data/idx_files.h"

static struct thaw_arena arena;

static thaw_status open_yaml(const char *yaml, struct thaw_dataset **ret_dataset) {
    char file[256];
    thaw_yaml *root = NULL;
    struct thaw_dataset_config config;
    snprintf(file, sizeof file, "%s/data.yaml", test_directory());
    THAW_TRY(thaw_yaml_parse(&arena, yaml, strlen(yaml), thaw_arena_copy(&arena, file), &root));
    THAW_TRY(thaw_dataset_config_parse(&arena, root, &config));
    return thaw_dataset_open(&config, ret_dataset);
}

static struct thaw_dataset *open_ok(const char *yaml) {
    struct thaw_dataset *dataset = NULL;
    assert_ok(open_yaml(yaml, &dataset));
    return dataset;
}

static void open_fails(const char *yaml, const char *part) {
    struct thaw_dataset *dataset = NULL;
    thaw_status status = open_yaml(yaml, &dataset);
    if (status != THAW_ERROR_INPUT || !strstr(thaw_error_message(), part))
        fail_msg("%s: status %d, '%s', expected '%s'", yaml, (int)status, thaw_error_message(),
                 part);
    assert_null(dataset);
}

#define IDX "format: idx, images: images, labels: labels, classes: [cat, dog, hen, cow]"
#define FOLDER "format: folder, root: photos"

/* 80 pictures of four classes in each form. */
static int save(void **state) {
    (void)state;
    static const char *const classes[] = {"cat", "dog", "hen", "cow"};
    struct thaw_text table = {0};
    thaw_text_append(&table, "path,label\n");
    idx_save_images("images", 3, (uint32_t[]){80, 2, 2});
    idx_save_labels("labels", 80, 4);
    for (int i = 0; i < 80; i++) {
        char name[64];
        snprintf(name, sizeof name, "photos/%s/%d.png", classes[i % 4], i);
        file_save_text(name, "");
        thaw_text_append(&table, "%s,%s\n", name, classes[i % 4]);
    }
    file_save_text("table.csv", table.text);
    thaw_text_finish(&table);
    return 0;
}

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

static size_t count(const struct thaw_dataset *dataset, int label, enum thaw_set set) {
    size_t found = 0;
    for (size_t i = 0; i < dataset->count; i++)
        found += dataset->photos[i].label == label && dataset->photos[i].set == set;
    return found;
}

static void classes_are_taken_in_order(void **state) {
    (void)state;
    static const char *const forms[] = {
        "{" IDX ", val: 0.25, select: {classes: [cow, dog]}}",
        "{" FOLDER ", val: 0.25, select: {classes: [cow, dog]}}",
        "{format: csv, file: table.csv, val: 0.25, select: {classes: [cow, dog]}}"};
    for (size_t form = 0; form < 3; form++) {
        struct thaw_dataset *dataset = open_ok(forms[form]);
        assert_int_equal(dataset->class_count, 2);
        assert_string_equal(dataset->classes[0], "cow");
        assert_string_equal(dataset->classes[1], "dog");
        assert_int_equal(dataset->count, 40);
        for (int label = 0; label < 2; label++) {
            assert_int_equal(count(dataset, label, THAW_SET_TRAIN), 15);
            assert_int_equal(count(dataset, label, THAW_SET_VAL), 5);
        }
        for (size_t i = 0; i < dataset->count && form; i++)
            assert_non_null(
                strstr(dataset->photos[i].name, dataset->classes[dataset->photos[i].label]));
        thaw_dataset_destroy(&dataset);
    }
}

/* The names of the training photos. */
static char *names(const char *yaml) {
    struct thaw_dataset *dataset = open_ok(yaml);
    struct thaw_text text = {0};
    for (size_t i = 0; i < dataset->count; i++)
        if (dataset->photos[i].set == THAW_SET_TRAIN)
            thaw_text_append(&text, "%s ", dataset->photos[i].name);
    thaw_dataset_destroy(&dataset);
    char *copy = thaw_arena_copy(&arena, text.text);
    thaw_text_finish(&text);
    return copy;
}

static void photos_are_drawn_by_seed(void **state) {
    (void)state;
    struct thaw_dataset *dataset =
        open_ok("{" FOLDER ", val: 0.25, select: {per_class: 7, val_per_class: 3}}");
    assert_int_equal(dataset->class_count, 4);
    assert_int_equal(dataset->count, 4 * 10);
    assert_int_equal(dataset->set_counts[THAW_SET_TRAIN], 28);
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 12);
    for (int label = 0; label < 4; label++) {
        assert_int_equal(count(dataset, label, THAW_SET_TRAIN), 7);
        assert_int_equal(count(dataset, label, THAW_SET_VAL), 3);
    }
    thaw_dataset_destroy(&dataset);
    const char *first = names("{" FOLDER ", select: {per_class: 7}}");
    assert_string_equal(first, names("{" FOLDER ", select: {per_class: 7, seed: 0}}"));
    assert_string_not_equal(first, names("{" FOLDER ", select: {per_class: 7, seed: 1}}"));
    dataset = open_ok("{" IDX ", select: {per_class: 1000}}"); /* at most */
    assert_int_equal(dataset->count, 80);
    thaw_dataset_destroy(&dataset);
    dataset = open_ok("{" FOLDER ", val: 0.25, select: {per_class: 7}}"); /* validation untouched */
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 20);
    thaw_dataset_destroy(&dataset);
}

/* What a run has written is read by another one with the same selection. */
static void split_files_of_selections_come_back(void **state) {
    (void)state;
    char path[256];
    struct thaw_dataset *dataset =
        open_ok("{" FOLDER ", seed: 5, select: {classes: [hen, cat], per_class: 7}}");
    snprintf(path, sizeof path, "%s/split.csv", test_directory());
    assert_ok(thaw_dataset_write_split(dataset, path));
    assert_ok(thaw_dataset_read_split(dataset, path));
    thaw_dataset_destroy(&dataset);
    dataset = open_ok("{" FOLDER ", seed: 5}");
    assert_ok(thaw_dataset_write_split(dataset, path));
    thaw_dataset_destroy(&dataset);
    /* and a file about all classes serves a selection of them */
    const char *expected = names("{" FOLDER ", seed: 5, select: {classes: [cat, cow]}}");
    assert_string_equal(names("{" FOLDER ", split: split.csv, select: {classes: [cat, cow]}}"),
                        expected);
}

static void wrong_selections_are_refused(void **state) {
    (void)state;
    open_fails("{" IDX ", select: {classes: [cat, dgo]}}", "unknown class 'dgo' (nearest: 'dog'");
    open_fails("{" IDX ", select: {classes: [cat]}}", "two are the least");
    open_fails("{" IDX ", select: {classes: [cat, cat]}}", "named twice");
    open_fails("{" IDX ", select: {classes: cat}}", "`classes`");
    open_fails("{" IDX ", select: [cat, dog]}", "`select`");
    open_fails("{" IDX ", select: {per_clas: 3}}", "per_clas");
    open_fails("{" IDX ", select: {per_class: 0}}", "0");
    open_fails("{" IDX ", select: {val_per_class: -1}}", "-1");
    open_fails("{" IDX ", select: {seed: 1}}", "no meaning without `per_class`");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_taken_in_order),
        cmocka_unit_test(photos_are_drawn_by_seed),
        cmocka_unit_test(split_files_of_selections_come_back),
        cmocka_unit_test(wrong_selections_are_refused),
    };
    return cmocka_run_group_tests(tests, save, finish);
}
