/* Listing and splitting, and every complaint about wrong data. Photos are empty files here. */
#include "data/dataset.h"

#include <unistd.h>

#include "core/log.h"
#include "data/csv.h"
#include "data/files.h"

static struct thaw_arena arena;

/* A name below the test's folder that no earlier call has returned. */
static const char *fresh(void) {
    static char name[32];
    static int number;
    snprintf(name, sizeof name, "set%d", ++number);
    return name;
}

static void photo(const char *root, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    file_save_text(path, "");
}

static thaw_status parse(const char *yaml, struct thaw_dataset_config *ret_config) {
    char file[256];
    thaw_yaml *root = NULL;
    snprintf(file, sizeof file, "%s/data.yaml", test_directory());
    THAW_TRY(thaw_yaml_parse(&arena, yaml, strlen(yaml), thaw_arena_copy(&arena, file), &root));
    return thaw_dataset_config_parse(&arena, root, ret_config);
}

static thaw_status open_yaml(const char *yaml, struct thaw_dataset **ret_dataset) {
    struct thaw_dataset_config config;
    THAW_TRY(parse(yaml, &config));
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

/* "..%s.." with the name put in. */
static const char *text(const char *format, const char *name) {
    const char *mark = strstr(format, "%s");
    return thaw_arena_format(&arena, "%.*s%s%s", (int)(mark - format), format, name, mark + 2);
}

/* `count` photos in each of the classes a, b and c. */
static const char *make_folder(int count) {
    const char *root = fresh();
    for (int i = 0; i < 3 * count; i++) {
        char name[32];
        snprintf(name, sizeof name, "%c/%d.jpg", 'a' + i / count, i % count);
        photo(root, name);
    }
    return root;
}

static const struct thaw_photo *find(const struct thaw_dataset *dataset, const char *name) {
    for (size_t i = 0; i < dataset->count; i++)
        if (!strcmp(dataset->photos[i].name, name))
            return &dataset->photos[i];
    fail_msg("no photo '%s'", name);
    return NULL;
}

static void check_classes(const struct thaw_dataset *dataset, const char *expected) {
    struct thaw_text text_ = {0};
    for (size_t i = 0; i < dataset->class_count; i++)
        thaw_text_append(&text_, "%s%s", i ? " " : "", dataset->classes[i]);
    assert_string_equal(text_.text, expected);
    thaw_text_finish(&text_);
}

/* ---- folders ---------------------------------------------------------------------------------*/

static char logged[512];

static void keep_log(void *user, enum thaw_log_level level, const char *message) {
    (void)user, (void)level;
    snprintf(logged, sizeof logged, "%s", message);
}

static void folders_are_walked(void **state) {
    (void)state;
    const char *root = fresh();
    static const char *const names[] = {
        "class10/a.jpg", "class10/b.JPEG",   "class2/x.png",        "class2/deep/er/10.webp",
        "class2/9.tiff", "class2/notes.txt", "class2/.hidden.jpg",  "readme.md",
        "Class1/a.bmp",  "Class1/b.gif",     ".git/config/head.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        photo(root, names[i]);
    thaw_log_set(keep_log, NULL);
    struct thaw_dataset *dataset = open_ok(text("{format: folder, root: %s}", root));
    thaw_log_set(NULL, NULL);
    check_classes(dataset, "Class1 class2 class10"); /* numbers by value */
    static const char *const expected[] = {
        "Class1/a.bmp", "Class1/b.gif",  "class2/9.tiff", "class2/deep/er/10.webp",
        "class2/x.png", "class10/a.jpg", "class10/b.JPEG"};
    assert_int_equal(dataset->count, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(dataset->photos[i].name, expected[i]);
        assert_true(thaw_path_exists(dataset->photos[i].path));
    }
    assert_int_equal(dataset->photos[6].label, 2);
    assert_non_null(strstr(logged, "4 files")); /* and .git counts once */
    thaw_dataset_destroy(&dataset);
    assert_null(dataset);
}

static void classes_of_folders_can_be_given(void **state) {
    (void)state;
    const char *root = make_folder(4);
    struct thaw_dataset *dataset =
        open_ok(text("{format: folder, root: %s, classes: [c, a, b]}", root));
    check_classes(dataset, "c a b");
    assert_int_equal(find(dataset, "c/0.jpg")->label, 0);
    thaw_dataset_destroy(&dataset);
    open_fails(text("{format: folder, root: %s, classes: [c, a, B]}", root), "'b'");
    assert_string_equal(thaw_error_hint(), "nearest: 'B'");
    open_fails(text("{format: folder, root: %s, classes: [c, a, b, d]}", root),
               "class 'd' has no folder");
    open_fails(text("{format: folder, root: %s, classes: [c, a, a]}", root), "named twice");
    open_fails(text("{format: folder, root: %s, classes: [c]}", root), "two are the least");
}

static void validation_can_have_its_own_folder(void **state) {
    (void)state;
    const char *root = make_folder(1);
    char yaml[256];
    const char *val = "setval";
    photo(val, "a/9.jpg");
    photo(val, "b/9.jpg");
    snprintf(yaml, sizeof yaml, "{format: folder, root: %s, val_root: %s, classes: [a, b, c]}",
             root, val);
    open_fails(yaml, "class 'c' has no folder in");
    photo(val, "c/9.jpg");
    struct thaw_dataset *dataset = open_ok(yaml);
    assert_int_equal(dataset->set_counts[THAW_SET_TRAIN], 3);
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 3);
    assert_int_equal(find(dataset, "b/9.jpg")->set, THAW_SET_VAL);
    assert_int_equal(find(dataset, "b/9.jpg")->label, 1);
    thaw_dataset_destroy(&dataset);
    photo(val, "d/9.jpg");
    open_fails(yaml, "'d' in");
}

static void wrong_folders_are_refused(void **state) {
    (void)state;
    const char *root = fresh();
    file_make_folder(root);
    open_fails(text("{format: folder, root: %s}", root), "no class folders");
    photo(root, "loose.jpg");
    open_fails(text("{format: folder, root: %s}", root), "no class folders");
    assert_non_null(strstr(thaw_error_hint(), "folder of its own"));
    photo(root, "a/1.jpg");
    photo(root, "a/2.jpg");
    open_fails(text("{format: folder, root: %s}", root), "one class, 'a'");
    char name[64];
    snprintf(name, sizeof name, "%s/b", root);
    file_make_folder(name);
    open_fails(text("{format: folder, root: %s}", root), "class 'b' has no photos");
    photo(root, "b/1.jpg");
    open_fails(text("{format: folder, root: %s}", root), "class 'b' has 1 photo;");
    photo(root, "b/2.jpg");
    struct thaw_dataset *dataset = open_ok(text("{format: folder, root: %s}", root));
    thaw_dataset_destroy(&dataset);
    open_fails("{format: folder, root: nowhere}", "nowhere': No such file");
    open_fails(text("{format: folder, root: %s/loose.jpg}", root), "Not a directory");
}

static void endless_links_are_refused(void **state) {
    (void)state;
    const char *root = make_folder(2);
    char link[256];
    snprintf(link, sizeof link, "%s/%s/a/loop", test_directory(), root);
    assert_int_equal(symlink("..", link), 0);
    open_fails(text("{format: folder, root: %s}", root), "nested more than");
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("gone.jpg", link), 0);
    open_fails(text("{format: folder, root: %s}", root), "loop': No such file");
}

static void a_run_is_evaluated_on_any_folder(void **state) {
    (void)state;
    const char *root = fresh();
    photo(root, "b/1.jpg");
    char path[256];
    snprintf(path, sizeof path, "%s/%s", test_directory(), root);
    const char *classes[] = {"a", "b", "c"};
    struct thaw_dataset_config config = thaw_dataset_config_folder(path, classes, 3);
    struct thaw_dataset *dataset = NULL;
    assert_ok(thaw_dataset_open(&config, &dataset));
    check_classes(dataset, "a b c");
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 1);
    assert_int_equal(dataset->photos[0].label, 1);
    thaw_dataset_destroy(&dataset);
    photo(root, "d/1.jpg");
    assert_fails(thaw_dataset_open(&config, &dataset), THAW_ERROR_INPUT, "'d' in");
}

/* ---- splits ----------------------------------------------------------------------------------*/

static void splits_are_stratified_and_seeded(void **state) {
    (void)state;
    const char *root = make_folder(20);
    struct thaw_dataset *sets[3];
    sets[0] = open_ok(text("{format: folder, root: %s, val: 0.25, seed: 7}", root));
    sets[1] = open_ok(text("{format: folder, root: %s, val: 0.25, seed: 7}", root));
    sets[2] = open_ok(text("{format: folder, root: %s, val: 0.25, seed: 8}", root));
    int differ = 0;
    int counts[3] = {0};
    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(sets[0]->photos[i].set, sets[1]->photos[i].set);
        differ += sets[0]->photos[i].set != sets[2]->photos[i].set;
        counts[sets[0]->photos[i].label] += sets[0]->photos[i].set == THAW_SET_VAL;
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(counts[i], 5);
    assert_true(differ > 5);
    assert_int_equal(sets[0]->set_counts[THAW_SET_VAL], 15);
    assert_int_equal(sets[0]->set_counts[THAW_SET_TRAIN], 45);
    for (int i = 0; i < 3; i++)
        thaw_dataset_destroy(&sets[i]);
}

static void every_class_is_in_both_sets(void **state) {
    (void)state;
    const char *root = make_folder(2);
    static const char *const parts[] = {"0.001", "0.9"};
    for (int i = 0; i < 2; i++) {
        char yaml[128];
        snprintf(yaml, sizeof yaml, "{format: folder, root: %s, val: %s}", root, parts[i]);
        struct thaw_dataset *dataset = open_ok(yaml);
        assert_int_equal(dataset->set_counts[THAW_SET_VAL], 3);
        assert_int_equal(dataset->set_counts[THAW_SET_TRAIN], 3);
        thaw_dataset_destroy(&dataset);
    }
}

static void split_files_come_back(void **state) {
    (void)state;
    const char *root = make_folder(6);
    photo(root, "a/with, \"quotes\".jpg");
    struct thaw_dataset *first = open_ok(text("{format: folder, root: %s, seed: 3}", root));
    struct thaw_dataset *other = open_ok(text("{format: folder, root: %s, seed: 4}", root));
    char path[256], yaml[256];
    snprintf(path, sizeof path, "%s/split.csv", test_directory());
    assert_ok(thaw_dataset_write_split(first, path));
    assert_ok(thaw_dataset_read_split(other, path));
    snprintf(yaml, sizeof yaml, "{format: folder, root: %s, split: split.csv}", root);
    struct thaw_dataset *third = open_ok(yaml);
    snprintf(yaml, sizeof yaml, "{format: csv, file: split.csv, root: %s}", root);
    struct thaw_dataset *table = open_ok(yaml);
    for (size_t i = 0; i < first->count; i++) {
        assert_int_equal(first->photos[i].set, other->photos[i].set);
        assert_int_equal(first->photos[i].set, third->photos[i].set);
        assert_int_equal(first->photos[i].set, table->photos[i].set);
        assert_string_equal(first->photos[i].path, table->photos[i].path);
    }
    assert_memory_equal(first->set_counts, other->set_counts, sizeof first->set_counts);
    photo(root, "b/new.jpg");
    snprintf(yaml, sizeof yaml, "{format: folder, root: %s, split: split.csv}", root);
    open_fails(yaml, "does not say the set of 'b/new.jpg'");
    thaw_dataset_destroy(&first);
    thaw_dataset_destroy(&other);
    thaw_dataset_destroy(&third);
    thaw_dataset_destroy(&table);
}

static void wrong_split_files_are_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "split.csv:1: expected the header path,label,set"},
        {"a,b\n", "split.csv:1: expected the header"},
        {"path,label,set\nx/1.jpg,a,val\n", "split.csv:2: 'x/1.jpg' is not among the photos"},
        {"path,label,set\na/0.jpg,b,val\n", "split.csv:2: 'a/0.jpg' was 'b' and is 'a' now"},
        {"path,label,set\na/0.jpg,a,vla\n", "split.csv:2: set 'vla'"},
        {"path,label,set\na/0.jpg,a,val\na/0.jpg,a,val\n", "split.csv:3: 'a/0.jpg' is there twice"},
    };
    const char *root = make_folder(2);
    char yaml[256];
    snprintf(yaml, sizeof yaml, "{format: folder, root: %s, split: split.csv}", root);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        file_save_text("split.csv", cases[i][0]);
        open_fails(yaml, cases[i][1]);
    }
    snprintf(yaml, sizeof yaml, "{format: folder, root: %s, split: nosplit.csv}", root);
    open_fails(yaml, "nosplit.csv");
}

/* ---- tables ----------------------------------------------------------------------------------*/

/* Photos 0.jpg to 5.jpg in photos/. */
static void make_photos(void) {
    for (int i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "photos/%d.jpg", i);
        file_save_text(name, "");
    }
}

static struct thaw_dataset *open_table(const char *table, const char *yaml) {
    make_photos();
    file_save_text("photos/table.csv", table);
    return open_ok(yaml);
}

static void table_fails(const char *table, const char *more, const char *part) {
    make_photos();
    file_save_text("photos/table.csv", table);
    open_fails(text("{format: csv, file: photos/table.csv%s}", more), part);
}

static void labels_are_classes(void **state) {
    (void)state;
    struct thaw_dataset *dataset =
        open_table("label,path\r\nten 10,0.jpg\r\nten 9,\"1.jpg\"\r\n\r\nten 10,2.jpg\r\n"
                   "ten 9,./3.jpg\r\n",
                   "{format: csv, file: photos/table.csv}");
    check_classes(dataset, "ten 9 ten 10");
    assert_int_equal(dataset->count, 4);
    assert_int_equal(dataset->photos[0].label, 1);
    assert_int_equal(dataset->photos[1].label, 0);
    assert_int_equal(dataset->photos[3].line, 6);
    assert_string_equal(dataset->photos[1].name, "1.jpg");
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 2);
    thaw_dataset_destroy(&dataset);
}

static void thresholds_make_classes(void **state) {
    (void)state;
    struct thaw_dataset *dataset = open_table(
        "photos/0.jpg  0.0  mono\nphotos/1.jpg 1.0\tpoly \n  photos/2.jpg 0.5 mono\n"
        "photos/3.jpg 0.3333333333333333 mono\n",
        "{format: csv, file: photos/table.csv, root: ., delimiter: whitespace, header: false, "
        "path: 0, label: 1, threshold: 0.5, classes: [good, bad]}");
    check_classes(dataset, "good bad");
    static const int expected[] = {0, 1, 1, 0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(dataset->photos[i].label, expected[i]);
    thaw_dataset_destroy(&dataset);
}

static void maps_make_classes(void **state) {
    (void)state;
    struct thaw_dataset *dataset =
        open_table("file;grade\n0.jpg;0.0\n1.jpg;1\n2.jpg;x\n3.jpg;0\n",
                   "{format: csv, file: photos/table.csv, delimiter: ;, path: file, label: grade, "
                   "map: {0: good, \"1.0\": bad, x: bad}}");
    check_classes(dataset, "good bad");
    static const int expected[] = {0, 1, 1, 0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(dataset->photos[i].label, expected[i]);
    thaw_dataset_destroy(&dataset);
    dataset = open_table("path,label\n0.jpg,0\n1.jpg,1\n2.jpg,1\n3.jpg,0\n",
                         "{format: csv, file: photos/table.csv, classes: [bad, good], "
                         "map: {0: good, 1: bad}}");
    check_classes(dataset, "bad good");
    assert_int_equal(dataset->photos[0].label, 1);
    thaw_dataset_destroy(&dataset);
}

static void sets_of_tables_are_taken(void **state) {
    (void)state;
    static const char table[] = "path,label,set\n0.jpg,a,train\n1.jpg,b,train\n2.jpg,a,test\n"
                                "3.jpg,b,val\n";
    struct thaw_dataset *dataset = open_table(table, "{format: csv, file: photos/table.csv}");
    assert_int_equal(dataset->photos[2].set, THAW_SET_TEST);
    assert_int_equal(dataset->photos[3].set, THAW_SET_VAL);
    assert_int_equal(dataset->set_counts[THAW_SET_TRAIN], 2);
    thaw_dataset_destroy(&dataset);
    dataset = open_table("i,path,label,part\n0,0.jpg,a,train\n1,1.jpg,b,train\n2,2.jpg,b,test\n",
                         "{format: csv, file: photos/table.csv, set: part}");
    assert_int_equal(dataset->photos[2].set, THAW_SET_VAL); /* there is no other */
    thaw_dataset_destroy(&dataset);
    dataset = open_table("0.jpg,a,train\n1.jpg,b,train\n2.jpg,b,test\n",
                         "{format: csv, file: photos/table.csv, header: false, path: 0, label: 1, "
                         "set: 2}");
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 1);
    thaw_dataset_destroy(&dataset);
    dataset = open_table(table, "{format: csv, file: photos/table.csv, set: ~, seed: 1}");
    assert_int_equal(dataset->set_counts[THAW_SET_VAL], 2);
    assert_int_equal(dataset->set_counts[THAW_SET_TEST], 0);
    thaw_dataset_destroy(&dataset);
}

static void wrong_tables_are_refused(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"", "", "no rows"},
        {"path,label\n", "", "no rows after the header"},
        {"pfad,label\n0.jpg,a\n", "", "unknown column 'path'"},
        {"path,lable\n0.jpg,a\n", "", "unknown column 'label' (nearest: 'lable'"},
        {"0.jpg,a\n", ", header: false, path: 0, label: 2", "data.yaml:1:"},
        {"0.jpg,a\n", ", header: false, path: 0, label: 2", "no column 2"},
        {"0.jpg,a\n", ", header: false, path: 0", "`label` must be a column number"},
        {"path,label\n0.jpg,a\n1.jpg,b,c\n", "", "table.csv:3: 3 columns; the first row has 2"},
        {"path,label\n0.jpg,a\n\"1.jpg,b\n", "", "table.csv:3: a quoted field has no end"},
        {"path,label\n0.jpg,a\n\"1\".jpg,b\n", "", "table.csv:3: text after"},
        {"path,label\n0.jpg,a\n7.jpg,b\n", "", "table.csv:3:1: no file"},
        {"path,label\n0.jpg,a\n.,b\n", "", "is a folder"},
        {"path,label\n0.jpg,a\n,b\n", "", "table.csv:3:1: the path is empty"},
        {"path,label\n0.jpg,a\n1.jpg,b\n0.jpg,a\n", "",
         "table.csv:4: '0.jpg' is in line 2 already"},
        {"path,label\n0.jpg,a\n1.jpg,b\n2.jpg,a\n", "", "class 'b' has 1 photo"},
        {"path,label\n0.jpg,a\n1.jpg,a\n", "", "one class, 'a'"},
        {"path,label\n0.jpg,a\n1.jpg,bed\n", ", classes: [a, bad]",
         "table.csv:3:1: unknown label 'bed' (nearest: 'bad'"},
        {"path,label\n0.jpg,1\n1.jpg,2\n", ", map: {1: a, 3: b}", "table.csv:3:1: unknown label"},
        {"path,label\n0.jpg,0.1\n1.jpg,high\n", ", threshold: 0.5, classes: [a, b]",
         "table.csv:3:1:"},
        {"path,label,set\n0.jpg,a,trian\n", "", "table.csv:2:1: unknown set 'trian'"},
        {"path,label,set\n0.jpg,a,train\n1.jpg,b,train\n", "", "no photo is for validation"},
        {"path,label,set\n0.jpg,a,train\n1.jpg,b,val\n", "", "class 'b' has no photo for training"},
        {"path,label,set\n0.jpg,a,train\n", ", val: 0.5", "has a column `set`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        table_fails(cases[i][0], cases[i][1], cases[i][2]);
    open_fails("{format: csv, file: photos/none.csv}", "none.csv");
    file_save("photos/binary.csv", "path\0,label\n", 12);
    open_fails("{format: csv, file: photos/binary.csv}", "not a text file");
}

/* Spreadsheets write a byte order mark, quotes and line breaks in fields. */
static void csv_follows_the_rfc(void **state) {
    (void)state;
    char path[256];
    struct thaw_csv csv = {0};
    snprintf(path, sizeof path, "%s/rfc.csv", test_directory());
    file_save_text("rfc.csv", "\xEF\xBB\xBF"
                              "a,\"b \"\"c\"\"\",\"d\r\ne\"\r\n,,\r\n\"\",x y,\"z\"");
    assert_ok(thaw_csv_read(&arena, path, ',', &csv));
    static const char *const expected[3][3] = {
        {"a", "b \"c\"", "d\r\ne"}, {"", "", ""}, {"", "x y", "z"}};
    assert_int_equal(csv.count, 3);
    assert_int_equal(csv.columns, 3);
    for (int i = 0; i < 9; i++)
        assert_string_equal(csv.rows[i / 3].fields[i % 3], expected[i / 3][i % 3]);
    assert_int_equal(csv.rows[1].line, 3);
    file_save_text("rfc.csv", "one\n\"\"\ntwo\r\n");
    assert_ok(thaw_csv_read(&arena, path, ',', &csv));
    assert_int_equal(csv.count, 3);
    file_save_text("rfc.csv", "a\tb\n\"c\td\"\t\n");
    assert_ok(thaw_csv_read(&arena, path, '\t', &csv));
    assert_string_equal(csv.rows[1].fields[0], "c\td");
    assert_string_equal(csv.rows[1].fields[1], "");
}

/* ---- the section -----------------------------------------------------------------------------*/

static void sections_are_read(void **state) {
    (void)state;
    struct thaw_dataset_config config;
    assert_ok(parse("{format: folder, root: /x/y}", &config));
    assert_string_equal(config.root, "/x/y");
    assert_true(config.val == 0.2 && config.seed == 0 && !config.skip_broken);
    assert_true(config.memory_mib == 0 && config.workers == 0);
    setenv("THAW_TEST_ROOT", "/z", 1);
    assert_ok(parse("{format: folder, root: \"${THAW_TEST_ROOT}/y\", broken: skip, memory: 100, "
                    "workers: 3, seed: 12345678901}",
                    &config));
    assert_string_equal(config.root, "/z/y");
    assert_true(config.skip_broken && config.memory_mib == 100 && config.workers == 3);
    assert_true(config.seed == 12345678901);
    assert_ok(parse("{format: csv, file: a/b.csv, delimiter: \"\\t\"}", &config));
    assert_int_equal(config.delimiter, '\t');
    size_t length = strlen(test_directory());
    assert_true(!strncmp(config.root, test_directory(), length));
    assert_string_equal(config.root + length, "/a");
}

static void wrong_sections_are_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"[folder]", "`data`"},
        {"{root: x}", "needs `format: folder`, `csv` or `idx`"},
        {"{format: folders, root: x}", "nearest"},
        {"{format: folder}", "needs `root`"},
        {"{format: csv}", "needs `file`"},
        {"{format: folder, root: x, rot: y}", "data.yaml:1:27"},
        {"{format: folder, root: x, file: y}", "`file` is for `format: csv` only"},
        {"{format: csv, file: x, val_root: y}", "`val_root` is for `format: folder` only"},
        {"{format: folder, root: \"\"}", "empty"},
        {"{format: folder, root: \"${THAW_NOT_SET}/x\"}", "data.yaml:1:24"},
        {"{format: folder, root: x, val: 0}", "data.yaml:1:32"},
        {"{format: folder, root: x, seed: -1}", "data.yaml:1:33"},
        {"{format: folder, root: x, val: 0.1, split: y}", "`val` and `seed` have no meaning"},
        {"{format: folder, root: x, seed: 1, val_root: y}", "beside `val_root`"},
        {"{format: folder, root: x, split: z, val_root: y}", "both say"},
        {"{format: csv, file: x, set: s, val: 0.1}", "beside `set`"},
        {"{format: csv, file: x, set: s, split: y}", "both say"},
        {"{format: csv, file: x, delimiter: ab}", "one character or `whitespace`"},
        {"{format: csv, file: x, delimiter: \"\\\"\"}", "one character or `whitespace`"},
        {"{format: csv, file: x, header: maybe}", "maybe"},
        {"{format: csv, file: x, header: false, path: name, label: 1}", "name"},
        {"{format: csv, file: x, threshold: 1}", "needs `classes:"},
        {"{format: csv, file: x, threshold: 1, classes: [a, b, c]}", "needs `classes:"},
        {"{format: csv, file: x, threshold: 1, classes: [a, b], map: {1: a}}", "both say"},
        {"{format: csv, file: x, map: {}}", "empty"},
        {"{format: csv, file: x, map: [a]}", "`map`"},
        {"{format: csv, file: x, classes: [good, bad], map: {0: god}}", "nearest: 'good'"},
        {"{format: folder, root: x, broken: maybe}", "maybe"},
        {"{format: folder, root: x, memory: 0}", "data.yaml:1:35"},
        {"{format: folder, root: x, workers: 1000}", "1000"},
        {"{format: idx, root: x}", "`root` is for `format: folder` and `csv` only"},
        {"{format: idx, broken: skip}", "`broken` is for `format: folder` and `csv` only"},
        {"{format: folder, root: x, images: y}", "`images` is for `format: idx` only"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct thaw_dataset_config config;
        thaw_status status = parse(cases[i][0], &config);
        if (status != THAW_ERROR_INPUT || !strstr(thaw_error_message(), cases[i][1]))
            fail_msg("%s: status %d, '%s', expected '%s'", cases[i][0], (int)status,
                     thaw_error_message(), cases[i][1]);
    }
}

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_walked),
        cmocka_unit_test(classes_of_folders_can_be_given),
        cmocka_unit_test(validation_can_have_its_own_folder),
        cmocka_unit_test(wrong_folders_are_refused),
        cmocka_unit_test(endless_links_are_refused),
        cmocka_unit_test(a_run_is_evaluated_on_any_folder),
        cmocka_unit_test(splits_are_stratified_and_seeded),
        cmocka_unit_test(every_class_is_in_both_sets),
        cmocka_unit_test(split_files_come_back),
        cmocka_unit_test(wrong_split_files_are_refused),
        cmocka_unit_test(labels_are_classes),
        cmocka_unit_test(thresholds_make_classes),
        cmocka_unit_test(maps_make_classes),
        cmocka_unit_test(sets_of_tables_are_taken),
        cmocka_unit_test(wrong_tables_are_refused),
        cmocka_unit_test(csv_follows_the_rfc),
        cmocka_unit_test(sections_are_read),
        cmocka_unit_test(wrong_sections_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
