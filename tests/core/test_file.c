/* Files: maps, writes that appear whole or not at all (also when the disk is full), paths. */
#include "core/file.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"

static struct thaw_arena arena;

static char *in_folder(const char *name) {
    return thaw_path_join(&arena, test_directory(), name);
}

/* A fresh folder of its own, so that a test can count what is in it. */
static char *new_folder(const char *name) {
    char *path = in_folder(name);
    assert_ok(thaw_path_make_directories(path));
    return path;
}

static int count_entries(const char *folder) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(dir);
    return count;
}

static void expect_content(const char *path, const char *content) {
    struct thaw_map map = {0};
    assert_ok(thaw_map_open(path, &map));
    assert_int_equal(map.size_bytes, strlen(content));
    if (map.size_bytes)
        assert_memory_equal(map.bytes, content, map.size_bytes);
    thaw_map_close(&map);
    assert_null(map.bytes);
    thaw_map_close(&map);
}

static void write_and_map(void **state) {
    (void)state;
    char *folder = new_folder("write");
    char *path = thaw_path_join(&arena, folder, "a.txt");
    assert_ok(thaw_file_write(path, "first", 5));
    expect_content(path, "first");
    assert_ok(thaw_file_write(path, "second one", 10));
    expect_content(path, "second one");
    assert_ok(thaw_file_write(path, NULL, 0));
    expect_content(path, "");
    assert_int_equal(count_entries(folder), 1);
}

static void map_refuses(void **state) {
    (void)state;
    struct thaw_map map = {.size_bytes = 42};
    assert_fails(thaw_map_open(in_folder("absent"), &map), THAW_ERROR_INPUT,
                 "absent': No such file or directory");
    assert_fails(thaw_map_open(test_directory(), &map), THAW_ERROR_INPUT, "is a directory");
    char *fifo = in_folder("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_fails(thaw_map_open(fifo, &map), THAW_ERROR_INPUT, "is not a regular file");
    assert_int_equal(map.size_bytes, 42);
}

static void abandon_leaves_old_file(void **state) {
    (void)state;
    char *folder = new_folder("abandon");
    char *path = thaw_path_join(&arena, folder, "a.txt");
    assert_ok(thaw_file_write(path, "old", 3));
    struct thaw_atomic_file file;
    assert_ok(thaw_atomic_open(path, &file));
    assert_ok(thaw_atomic_write(&file, "new content", 11));
    assert_int_equal(count_entries(folder), 2);
    expect_content(path, "old");
    thaw_atomic_abandon(&file);
    thaw_atomic_abandon(&file);
    assert_int_equal(count_entries(folder), 1);
    expect_content(path, "old");
    assert_fails(thaw_atomic_write(&file, "x", 1), THAW_ERROR_IO, "closed");
    assert_fails(thaw_atomic_commit(&file), THAW_ERROR_IO, "closed");

    assert_ok(thaw_atomic_open(path, &file));
    assert_ok(thaw_atomic_write(&file, "new", 3));
    assert_ok(thaw_atomic_commit(&file));
    thaw_atomic_abandon(&file);
    expect_content(path, "new");
    assert_int_equal(count_entries(folder), 1);
}

static void write_refuses(void **state) {
    (void)state;
    assert_fails(thaw_file_write(test_directory(), "x", 1), THAW_ERROR_IO, "is a directory");
    assert_fails(thaw_file_write("/dev/null", "x", 1), THAW_ERROR_IO, "is not a regular file");
    assert_fails(thaw_file_write(in_folder("no/such/folder"), "x", 1), THAW_ERROR_IO,
                 "No such file or directory");
    assert_fails(thaw_file_write("/proc/thaw-test", "x", 1), THAW_ERROR_IO, "/proc/thaw-test");
}

/* A limit on file size stops write() half-way, just as a full disk does. */
static void full_disk_leaves_nothing(void **state) {
    (void)state;
    char *folder = new_folder("full");
    char *path = thaw_path_join(&arena, folder, "a.bin"),
         *fresh = thaw_path_join(&arena, folder, "b");
    assert_ok(thaw_file_write(path, "old", 3));
    static unsigned char big[64 * 1024];
    struct rlimit old_limit, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
    limit = (struct rlimit){.rlim_cur = 10000, .rlim_max = old_limit.rlim_max};
    void (*old_handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    thaw_status over = thaw_file_write(path, big, sizeof big);
    thaw_status new_file = thaw_file_write(fresh, big, sizeof big);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
    signal(SIGXFSZ, old_handler);
    assert_fails(over, THAW_ERROR_IO, NULL);
    assert_fails(new_file, THAW_ERROR_IO, "b': File too large");
    assert_int_equal(count_entries(folder), 1);
    expect_content(path, "old");
}

/* The partial file cannot be renamed onto a folder that appeared meanwhile. */
static void failed_publish_leaves_nothing(void **state) {
    (void)state;
    char *folder = new_folder("publish");
    char *path = thaw_path_join(&arena, folder, "a");
    struct thaw_atomic_file file;
    assert_ok(thaw_atomic_open(path, &file));
    assert_ok(thaw_atomic_write(&file, "x", 1));
    assert_ok(thaw_path_make_directories(path));
    assert_fails(thaw_atomic_commit(&file), THAW_ERROR_IO, "Is a directory");
    thaw_atomic_abandon(&file);
    assert_int_equal(count_entries(folder), 1);
}

static void directories(void **state) {
    (void)state;
    char *deep = in_folder("x//y/z/");
    assert_ok(thaw_path_make_directories(deep));
    assert_ok(thaw_path_make_directories(deep));
    assert_true(thaw_path_is_directory(in_folder("x/y/z")));
    assert_true(thaw_path_exists(in_folder("x/y")));
    assert_ok(thaw_path_make_directories("/"));
    char *file = in_folder("plain");
    assert_ok(thaw_file_write(file, "", 0));
    assert_true(thaw_path_exists(file));
    assert_false(thaw_path_is_directory(file));
    assert_false(thaw_path_exists(in_folder("nothing")));
    assert_fails(thaw_path_make_directories(in_folder("plain/below")), THAW_ERROR_IO,
                 "plain': Not a directory");
    assert_fails(thaw_path_make_directories("/proc/thaw/x"), THAW_ERROR_IO, "'/proc/thaw'");
    assert_fails(thaw_path_make_directories(""), THAW_ERROR_IO, "No such file");
}

static void joins(void **state) {
    (void)state;
    assert_string_equal(thaw_path_join(&arena, "a", "b"), "a/b");
    assert_string_equal(thaw_path_join(&arena, "a/", "b"), "a/b");
    assert_string_equal(thaw_path_join(&arena, "", "b"), "b");
    assert_string_equal(thaw_path_beside(&arena, "c/exp/x.yaml", "../m.yaml"), "c/exp/../m.yaml");
    assert_string_equal(thaw_path_beside(&arena, "x.yaml", "m.yaml"), "m.yaml");
    assert_string_equal(thaw_path_beside(&arena, "/x.yaml", "m.yaml"), "/m.yaml");
    assert_string_equal(thaw_path_beside(&arena, "c/x.yaml", "/m.yaml"), "/m.yaml");
}

static void expands(void **state) {
    (void)state;
    char *path = NULL;
    setenv("HOME", "/home/me", 1);
    setenv("THAW_TEST_VARIABLE", "data", 1);
    setenv("THAW_TEST_EMPTY", "", 1);
    unsetenv("THAW_TEST_UNSET");
    assert_ok(thaw_path_expand(&arena, "~/photos", &path));
    assert_string_equal(path, "/home/me/photos");
    assert_ok(thaw_path_expand(&arena, "a/~/${THAW_TEST_VARIABLE}-${THAW_TEST_VARIABLE}$x", &path));
    assert_string_equal(path, "a/~/data-data$x");
    assert_ok(thaw_path_expand(&arena, "", &path));
    assert_string_equal(path, "");

    path = NULL;
    assert_fails(thaw_path_expand(&arena, "x/${THAW_TEST_UNSET}", &path), THAW_ERROR_INPUT,
                 "'x/${THAW_TEST_UNSET}': the environment variable THAW_TEST_UNSET is not set");
    assert_fails(thaw_path_expand(&arena, "${THAW_TEST_EMPTY}/x", &path), THAW_ERROR_INPUT,
                 "THAW_TEST_EMPTY is not set");
    assert_fails(thaw_path_expand(&arena, "${HOME", &path), THAW_ERROR_INPUT, "expected ${NAME}");
    assert_fails(thaw_path_expand(&arena, "${}", &path), THAW_ERROR_INPUT, "expected ${NAME}");
    unsetenv("HOME");
    assert_fails(thaw_path_expand(&arena, "~/x", &path), THAW_ERROR_INPUT, "HOME is not set");
    assert_null(path);
}

static void cache_directory(void **state) {
    (void)state;
    char *path = NULL;
    setenv("THAW_CACHE", in_folder("cache/own"), 1);
    setenv("XDG_CACHE_HOME", in_folder("xdg"), 1);
    setenv("HOME", in_folder("home"), 1);
    assert_ok(thaw_path_cache_directory(&arena, &path));
    assert_string_equal(path, in_folder("cache/own"));
    assert_true(thaw_path_is_directory(path));
    setenv("THAW_CACHE", "", 1);
    assert_ok(thaw_path_expand(&arena, "${THAW_CACHE}/x", &path));
    assert_string_equal(path, in_folder("xdg/thaw/x"));
    assert_false(thaw_path_exists(in_folder("xdg")));
    assert_ok(thaw_path_cache_directory(&arena, &path));
    assert_true(thaw_path_is_directory(in_folder("xdg/thaw")));
    setenv("XDG_CACHE_HOME", "relative", 1);
    assert_ok(thaw_path_cache_directory(&arena, &path));
    assert_string_equal(path, in_folder("home/.cache/thaw"));
    assert_true(thaw_path_is_directory(path));
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_fails(thaw_path_cache_directory(&arena, &path), THAW_ERROR_INPUT, "set THAW_CACHE");
}

/* Known answers of XXH3_64bits; the stored hashes of a run must stay readable. */
static void hashes(void **state) {
    (void)state;
    assert_true(thaw_hash64(NULL, 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(thaw_hash64("abc", 3, 0) == UINT64_C(0x78af5f94892f3950));
    assert_true(thaw_hash64("abc", 3, 1) != thaw_hash64("abc", 3, 0));
}

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_map),
        cmocka_unit_test(map_refuses),
        cmocka_unit_test(abandon_leaves_old_file),
        cmocka_unit_test(write_refuses),
        cmocka_unit_test(full_disk_leaves_nothing),
        cmocka_unit_test(failed_publish_leaves_nothing),
        cmocka_unit_test(directories),
        cmocka_unit_test(joins),
        cmocka_unit_test(expands),
        cmocka_unit_test(cache_directory),
        cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests_name("core/file", tests, NULL, finish);
}
