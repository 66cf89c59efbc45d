/* Remembered measurements: kept across openings of a device, found where they are looked for,
 * passed over when they are another device's or build's or cannot be understood, and used by
 * selection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/log.h"
#include "kernels/conv.h"
#include "kernels/gemm.h"
#include "kernels/tuning.h"
#include "support/device.h"

static int warnings;
static char warning[1024], debug[1024];

static void take_message(void *user, enum thaw_log_level level, const char *text) {
    (void)user;
    if (level == THAW_LOG_WARNING) {
        warnings++;
        snprintf(warning, sizeof warning, "%s", text);
    } else if (strstr(text, "measurements")) {
        snprintf(debug, sizeof debug, "%s", text);
    }
}

static thaw_device *open_device(void) {
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, NULL, &device));
    warnings = 0;
    warning[0] = debug[0] = '\0';
    return device;
}

static thaw_status remember(thaw_device *device, const char *key, const char *candidate,
                            int variant) {
    const struct thaw_tuning_choice choice = {candidate, variant, 0.00125};
    return thaw_tuning_remember(device, key, &choice);
}

/* "winograd", or "implicit_gemm 3"; NULL when nothing is remembered. */
static const char *found(thaw_device *device, const char *key) {
    static char text[64];
    struct thaw_tuning_choice choice;
    if (!thaw_tuning_find(device, key, &choice))
        return NULL;
    assert_true(choice.time_s > 0.00124 && choice.time_s < 0.00126);
    snprintf(text, sizeof text, choice.variant ? "%s %d" : "%s", choice.candidate, choice.variant);
    return text;
}

static char *read_text(const char *path) {
    struct thaw_map map = {0};
    assert_ok(thaw_map_open(path, &map));
    char *text = strndup((const char *)map.bytes, map.size_bytes);
    assert_non_null(text);
    thaw_map_close(&map);
    return text;
}

static void write_text(const char *path, const char *text) {
    assert_ok(thaw_file_write(path, text, strlen(text)));
}

static void test_remember(void **state) {
    (void)state;
    thaw_device *device = open_device();
    assert_null(found(device, "conv a"));
    assert_int_equal(thaw_tuning_hash(device), 0);
    assert_ok(remember(device, "conv a", "direct", 0));
    assert_ok(remember(device, "conv b", "implicit_gemm", 3));
    assert_ok(remember(device, "gemm c", "tiled", 15));
    uint64_t hash = thaw_tuning_hash(device);
    assert_ok(remember(device, "conv a", "winograd", 0));
    assert_true(thaw_tuning_hash(device) != hash);
    assert_string_equal(found(device, "conv a"), "winograd");
    assert_null(found(device, "conv"));
    assert_fails(remember(device, "conv c", "winogard", 0), THAW_ERROR_INPUT, "winograd");
    assert_fails(remember(device, "gemm c", "winograd", 0), THAW_ERROR_INPUT, "tiled");
    assert_fails(remember(device, "pool c", "simple", 0), THAW_ERROR_INPUT, "\"conv ...\"");
    assert_ok(thaw_tuning_save(device, NULL));
    hash = thaw_tuning_hash(device);
    thaw_device_destroy(&device);

    device = open_device();
    assert_string_equal(found(device, "conv a"), "winograd");
    assert_string_equal(found(device, "conv b"), "implicit_gemm 3");
    assert_string_equal(found(device, "gemm c"), "tiled 15");
    assert_true(thaw_tuning_hash(device) == hash);
    assert_int_equal(warnings, 0);
    char *text = read_text(thaw_tuning_path(device));
    assert_non_null(strstr(text, "\n  conv b: {candidate: implicit_gemm, variant: {group_x: 16, "
                                 "group_y: 16, rows: 4, columns: 4, depth: 16}, ms: 1.2500}\n"));
    assert_non_null(strstr(text, thaw_device_get_info(device)->name));
    free(text);
    thaw_device_destroy(&device);
}

/* `text` with the first `from` in it replaced; freed by the caller. */
static char *replaced(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    assert_non_null(at);
    char *result = calloc(1, strlen(text) + strlen(to) + 1);
    assert_non_null(result);
    memcpy(result, text, (size_t)(at - text));
    strcat(result, to);
    strcat(result, at + strlen(from));
    return result;
}

static void test_wrong_files(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } mistakes[] = {
        {"candidate: winograd", "candidate: winogard",
         ":6:23: unknown candidate 'winogard' (nearest: 'winograd'"},
        {"candidate: tiled", "candidate: direct", ":8:23: unknown candidate 'direct'"},
        {"conv a", "pool a", ":6:3: 'pool a' is no problem"},
        {"candidate: winograd", "candidat: winograd", "unknown key 'candidat'"},
        {"candidate: winograd, ", "", ":6:11: 'candidate' is missing"},
        {"group_x: 16", "group_x: 17", "no variant with these numbers"},
        {"group_x: 16, ", "", "'group_x' is missing"},
        {"group_x: 16", "group_z: 16", "nearest: 'group_x'"},
        {"candidate: winograd", "candidate: winograd, variant: {tile: 4}", ":6:"},
        {"ms: 1.2500", "ms: fast", ":6:"},
        {"thaw_tuning: 2", "thaw_tuning: 1", ":2:14:"},
        {"thaw_tuning: 2\n", "", "not a file of measurements"},
        {"choices:", "choices: [", "did not find expected"},
        {"build:", "biuld:", "nearest: 'build'"},
    };
    thaw_device *device = open_device();
    char *path = strdup(thaw_tuning_path(device)), *good = read_text(path);
    thaw_device_destroy(&device);
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        char *text = replaced(good, mistakes[i].from, mistakes[i].to);
        write_text(path, text);
        device = open_device();
        for (int again = 0; again < 2; again++) {
            assert_null(found(device, "conv a"));
            assert_null(found(device, "gemm c"));
        }
        assert_int_equal(warnings, 1);
        if (!strstr(warning, mistakes[i].message) || !strstr(warning, path))
            fail_msg("'%s' to '%s': %s", mistakes[i].from, mistakes[i].to, warning);
        thaw_device_destroy(&device);
        free(text);
    }
    /* half a file */
    good[strlen(good) / 2] = '\0';
    write_text(path, good);
    device = open_device();
    assert_null(found(device, "conv a"));
    assert_int_equal(warnings, 1);
    /* what is measured then replaces it */
    assert_ok(remember(device, "conv a", "direct", 0));
    assert_ok(thaw_tuning_save(device, NULL));
    thaw_device_destroy(&device);
    device = open_device();
    assert_string_equal(found(device, "conv a"), "direct");
    assert_null(found(device, "conv b"));
    assert_int_equal(warnings, 0);
    thaw_device_destroy(&device);
    free(path);
    free(good);
}

/* Another driver or build: no warning, but it can be seen why. */
static void test_stale_files(void **state) {
    (void)state;
    static const char *const changes[][2] = {{"device: \"", "device: \"another "},
                                             {"build: \"thaw ", "build: \"thaw 0.0.1 of "}};
    thaw_device *device = open_device();
    char *path = strdup(thaw_tuning_path(device)), *good = read_text(path);
    thaw_device_destroy(&device);
    for (int i = 0; i < 2; i++) {
        char *text = replaced(good, changes[i][0], changes[i][1]);
        write_text(path, text);
        device = open_device();
        assert_null(found(device, "conv a"));
        assert_int_equal(warnings, 0);
        assert_non_null(strstr(debug, i ? "of another build" : "of another device"));
        assert_non_null(strstr(debug, path));
        assert_non_null(strstr(debug, "thaw tune"));
        thaw_device_destroy(&device);
        free(text);
    }
    write_text(path, good);
    free(path);
    free(good);
}

/* A file that came with a device, by its own name or in a folder; the cache's goes before it. */
static void test_shipped_files(void **state) {
    (void)state;
    char shipped[512], folder[512], inside[1024];
    struct thaw_arena arena = {0};
    snprintf(folder, sizeof folder, "%s/shipped", test_directory());
    snprintf(shipped, sizeof shipped, "%s/any-name.yaml", test_directory());
    thaw_device *device = open_device();
    assert_ok(remember(device, "conv a", "simple", 0));
    assert_ok(remember(device, "conv shipped", "im2col_gemm", 0));
    snprintf(inside, sizeof inside, "%s/%s", folder, thaw_tuning_file_name(device, &arena));
    assert_ok(thaw_tuning_save(device, shipped));
    assert_ok(thaw_tuning_save(device, inside));
    thaw_device_destroy(&device);
    const char *const given[] = {shipped, folder};
    for (int i = 0; i < 2; i++) {
        setenv("THAW_TUNING", given[i], 1);
        device = open_device();
        assert_string_equal(found(device, "conv a"), "direct");
        assert_string_equal(found(device, "conv shipped"), "im2col_gemm");
        assert_int_equal(warnings, 0);
        thaw_device_destroy(&device);
    }
    setenv("THAW_TUNING", test_directory(), 1); /* a folder without a file for the device */
    device = open_device();
    assert_null(found(device, "conv shipped"));
    assert_int_equal(warnings, 0);
    thaw_device_destroy(&device);
    setenv("THAW_TUNING", "/no/such/file.yaml", 1);
    device = open_device();
    assert_string_equal(found(device, "conv a"), "direct");
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warning, "/no/such/file.yaml"));
    thaw_device_destroy(&device);
    unsetenv("THAW_TUNING");
    thaw_arena_finish(&arena);
}

/* The remembered candidate wins over the list's order, a forced one over it. */
static void test_selection(void **state) {
    (void)state;
    thaw_device *device = open_device();
    const struct thaw_device_caps *caps = thaw_device_get_caps(device);
    struct thaw_shape shape = {1, 16, 8, 8};
    struct thaw_conv_problem problem = {
        .geometry = {.x = thaw_layout_make(shape, caps->block, 0),
                     .y = thaw_layout_make(shape, caps->block, 0),
                     .w = thaw_conv_filter(16, 16, 1, 1, 1, caps->block, caps),
                     .groups = 1,
                     .stride_h = 1,
                     .stride_w = 1,
                     .dilation_h = 1,
                     .dilation_w = 1}};
    char key[THAW_CONV_KEY_SIZE];
    thaw_conv_problem_key(&problem, key);
    const struct thaw_conv_candidate *choice = NULL, *usual = NULL;
    assert_ok(thaw_conv_select(device, &problem, NULL, &usual));
    assert_ptr_equal(usual, thaw_conv_usual(&problem, caps));
    for (size_t i = 0; i < thaw_conv_candidate_count; i++) {
        bool applies = thaw_conv_candidates[i]->applies(&problem, caps);
        assert_ok(remember(device, key, thaw_conv_candidates[i]->name, 0));
        assert_ok(thaw_conv_select(device, &problem, NULL, &choice));
        assert_ptr_equal(choice, applies ? thaw_conv_candidates[i] : usual);
        assert_ok(thaw_conv_select(device, &problem, usual->name, &choice));
        assert_ptr_equal(choice, usual);
    }
    thaw_device_destroy(&device);
}

static void test_gemm_selection(void **state) {
    (void)state;
    thaw_device *device = open_device();
    const struct thaw_gemm_candidate *usual = NULL, *choice = NULL;
    struct thaw_gemm_problem problem = {
        .m = 40, .n = 50, .k = 60, .transpose_b = true, .lda = 60, .ldb = 60, .ldc = 50};
    char key[THAW_GEMM_KEY_SIZE];
    thaw_gemm_problem_key(&problem, key);
    assert_string_equal(key, "gemm 40x50x60 transpose-b");
    assert_ok(thaw_gemm_select(device, &problem, NULL, &usual));
    assert_string_not_equal(usual->name, "clblast"); /* the product is small */
    assert_ok(remember(device, key, "clblast", 0));
    assert_ok(thaw_gemm_select(device, &problem, NULL, &choice));
    assert_string_equal(choice->name, "clblast");
    if (thaw_tile_possible(4, thaw_device_get_caps(device))) {
        assert_ok(remember(device, key, "tiled", 4));
        assert_ok(thaw_gemm_select(device, &problem, NULL, &choice));
        assert_string_equal(choice->name, "tiled");
        assert_int_equal(problem.variant, 4);
    }
    problem.transpose_b = false;
    assert_ok(thaw_gemm_select(device, &problem, NULL, &choice));
    assert_ptr_equal(choice, usual);
    assert_int_equal(problem.variant, 0);
    thaw_device_destroy(&device);
}

int main(void) {
    setenv("THAW_CACHE", test_directory(), 1);
    unsetenv("THAW_TUNING");
    thaw_log_set(take_message, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remember),    cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_stale_files), cmocka_unit_test(test_shipped_files),
        cmocka_unit_test(test_selection),   cmocka_unit_test(test_gemm_selection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
