/* thaw cache: what is listed is what runs left, --clear leaves what is in use. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"
#include "support/process.h"
#include "support/tiny.h"

static int set_up(void **state) {
    (void)state;
    tiny_make();
    setenv("THAW_CACHE", tiny_path("cache"), 1);
    setenv("THAW_CACHE_LIMIT", "10MiB", 1);
    return 0;
}

static void train(const char *name, const char *cache) {
    char stage[256];
    snprintf(stage, sizeof stage,
             "  - {train: [head], lr: 1x, epochs: 1, augment: [hflip], cache: %s}\n", cache);
    struct test_process run = TEST_THAW(NULL, "train", tiny_experiment(name, stage, ""), "--quiet");
    if (run.exit_code)
        fail_msg("train: %s", run.errors);
    test_process_finish(&run);
}

static json_t *ask(const char *option) {
    struct test_process process = TEST_THAW(NULL, "cache", "--json", option);
    if (process.exit_code)
        fail_msg("cache: %s", process.errors);
    json_t *root = json_loads(process.output, 0, NULL);
    assert_non_null(root);
    test_process_finish(&process);
    return root;
}

static long long integer(const json_t *root, const char *key) {
    assert_true(json_is_integer(json_object_get(root, key)));
    return json_integer_value(json_object_get(root, key));
}

static const char *text(const json_t *root, const char *key) {
    const char *value = json_string_value(json_object_get(root, key));
    assert_non_null(value);
    return value;
}

/* The entry with this description; its size is that of the file. */
static const json_t *find(const json_t *root, const char *what) {
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(root, "caches"), i, entry) {
        const char *other = json_string_value(json_object_get(entry, "what")); /* or null */
        if (!other || strcmp(other, what) != 0)
            continue;
        struct thaw_map map = {0};
        assert_ok(thaw_map_open(text(entry, "file"), &map));
        assert_int_equal((long long)map.size_bytes, integer(entry, "size_bytes"));
        thaw_map_close(&map);
        return entry;
    }
    fail_msg("there is no '%s'", what);
    return NULL;
}

static size_t count_of(const json_t *root) {
    return json_array_size(json_object_get(root, "caches"));
}

static void nothing_is_listed_where_nothing_is(void **state) {
    (void)state;
    json_t *root = ask(NULL);
    assert_int_equal(count_of(root), 0);
    assert_int_equal(integer(root, "size_bytes"), 0);
    assert_int_equal(integer(root, "limit_bytes"), 10 << 20);
    assert_string_equal(text(root, "folder"), tiny_path("cache/features"));
    json_decref(root);
    root = ask("--clear");
    assert_int_equal(integer(root, "removed"), 0);
    json_decref(root);
}

static void runs_are_listed(void **state) {
    (void)state;
    train("plain", "true");
    train("views", "{views: 3, dtype: f16}");
    json_t *root = ask(NULL);
    assert_int_equal(count_of(root), 4); /* training and validation photos of each */
    static const char *const expected[] = {"tiny at pool, 16 x 1 x 1 f32, 36 photos",
                                           "tiny at pool, 16 x 1 x 1 f32, 12 photos",
                                           "tiny at pool, 16 x 1 x 1 f16, 3 views of 36 photos",
                                           "tiny at pool, 16 x 1 x 1 f16, 12 photos"};
    long long sum = 0;
    for (int i = 0; i < 4; i++)
        sum += integer(find(root, expected[i]), "size_bytes");
    assert_int_equal(sum, integer(root, "size_bytes"));
    json_decref(root);
    struct test_process people = TEST_THAW(NULL, "cache", "-v");
    assert_int_equal(people.exit_code, 0);
    for (int i = 0; i < 4; i++)
        assert_non_null(strstr(people.output, expected[i]));
    assert_non_null(strstr(people.output, "4 take "));
    assert_non_null(strstr(people.output, " of 10.0 MiB\n"));
    assert_non_null(strstr(people.output, ".features\n"));
    test_process_finish(&people);
}

/* A file of another version, an empty one, and one that is locked, as an open one is. */
static void clear_leaves_what_is_in_use(void **state) {
    (void)state;
    tiny_write("cache/features/1.features", "thaw features 0\nsomething else");
    tiny_write("cache/features/2.features", "");
    json_t *root = ask(NULL);
    assert_int_equal(count_of(root), 6);
    const char *used = text(find(root, "tiny at pool, 16 x 1 x 1 f32, 36 photos"), "file");
    FILE *file = fopen(used, "r");
    assert_non_null(file);
    assert_int_equal(flock(fileno(file), LOCK_SH), 0);
    json_t *cleared = ask("--clear");
    assert_int_equal(integer(cleared, "removed"), 5);
    assert_int_equal(count_of(cleared), 1);
    assert_int_equal(integer(cleared, "size_bytes") + integer(cleared, "removed_bytes"),
                     integer(root, "size_bytes"));
    assert_string_equal(text(json_array_get(json_object_get(cleared, "caches"), 0), "file"), used);
    json_decref(cleared);
    fclose(file);
    struct test_process people = TEST_THAW(NULL, "cache", "--clear");
    assert_int_equal(people.exit_code, 0);
    assert_non_null(strstr(people.output, "removed 1, "));
    assert_non_null(strstr(people.output, "0 left, 0 B"));
    test_process_finish(&people);
    json_decref(root);
}

static void wrong_input_is_refused(void **state) {
    (void)state;
    const char *much[] = {"THAW_CACHE_LIMIT=much", NULL};
    test_expect_exit(TEST_THAW(much, "cache"), 2, "'much' is no size");
    test_expect_exit(TEST_THAW(NULL, "cache", "all"), 2, "all");
    test_expect_exit(TEST_THAW(NULL, "cache", "--clean"), 2, "--clear");
    tiny_write("occupied", "");
    char variable[300];
    snprintf(variable, sizeof variable, "THAW_CACHE=%s", tiny_path("occupied"));
    const char *nowhere[] = {variable, NULL};
    test_expect_exit(TEST_THAW(nowhere, "cache"), 1, "occupied");
    const char *none[] = {"THAW_CACHE_LIMIT=0", NULL};
    struct test_process process = TEST_THAW(none, "cache");
    assert_int_equal(process.exit_code, 0);
    assert_non_null(strstr(process.output, "THAW_CACHE_LIMIT is 0"));
    test_process_finish(&process);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_listed_where_nothing_is),
        cmocka_unit_test(runs_are_listed),
        cmocka_unit_test(clear_leaves_what_is_in_use),
        cmocka_unit_test(wrong_input_is_refused),
    };
    return cmocka_run_group_tests_name("cli/cache", tests, set_up, NULL);
}
