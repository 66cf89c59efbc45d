/* Remembered measurements: kept across openings of a device, ignored with a warning when the file
 * is not one, and used by selection. */
#include <dirent.h>
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
static char warning[512];

static void take_warning(void *user, enum thaw_log_level level, const char *text) {
    (void)user;
    if (level != THAW_LOG_WARNING)
        return;
    warnings++;
    snprintf(warning, sizeof warning, "%s", text);
}

static thaw_device *open_device(void) {
    thaw_device *device = NULL;
    assert_ok(thaw_device_open(NULL, NULL, &device));
    warnings = 0;
    return device;
}

/* The one file below THAW_CACHE/tuning. */
static void tuning_path(char path[512]) {
    char folder[256];
    snprintf(folder, sizeof folder, "%s/tuning", test_directory());
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    path[0] = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.') {
            assert_int_equal(path[0], 0);
            snprintf(path, 512, "%s/%s", folder, entry->d_name);
        }
    closedir(directory);
    assert_int_not_equal(path[0], 0);
}

static void test_remember(void **state) {
    (void)state;
    thaw_device *device = open_device();
    assert_null(thaw_tuning_find(device, "conv a"));
    assert_ok(thaw_tuning_remember(device, "conv a", "direct"));
    assert_ok(thaw_tuning_remember(device, "conv b", "simple"));
    assert_ok(thaw_tuning_remember(device, "conv a", "winograd"));
    assert_string_equal(thaw_tuning_find(device, "conv a"), "winograd");
    assert_null(thaw_tuning_find(device, "conv"));
    thaw_device_destroy(&device);

    device = open_device();
    assert_string_equal(thaw_tuning_find(device, "conv a"), "winograd");
    assert_string_equal(thaw_tuning_find(device, "conv b"), "simple");
    assert_fails(thaw_tuning_remember(device, "two\nlines", "simple"), THAW_ERROR_INPUT, "line");
    assert_fails(thaw_tuning_remember(device, "a -> b", "simple"), THAW_ERROR_INPUT, "line");
    assert_fails(thaw_tuning_remember(device, "conv c", ""), THAW_ERROR_INPUT, "line");
    assert_int_equal(warnings, 0);
    thaw_device_destroy(&device);
}

static void test_wrong_files(void **state) {
    (void)state;
    char path[512];
    tuning_path(path);
    thaw_device *device = open_device();
    char good[1024];
    snprintf(good, sizeof good, "thaw tuning 1: %s\nconv a -> direct\n", thaw_device_key(device));
    thaw_device_destroy(&device);

    char texts[4][1200];
    snprintf(texts[0], sizeof *texts, "thaw tuning 1: another device\nconv a -> direct\n");
    snprintf(texts[1], sizeof *texts, "%sno arrow\n", good);
    snprintf(texts[2], sizeof *texts, "%sconv cut of", good);
    snprintf(texts[3], sizeof *texts, "%s -> direct\n", good);
    for (size_t i = 0; i < 4; i++) {
        assert_ok(thaw_file_write(path, texts[i], strlen(texts[i])));
        device = open_device();
        assert_null(thaw_tuning_find(device, "conv a"));
        assert_null(thaw_tuning_find(device, "conv a"));
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(warning, path));
        thaw_device_destroy(&device);
    }
    assert_ok(thaw_file_write(path, good, strlen(good)));
    device = open_device();
    assert_string_equal(thaw_tuning_find(device, "conv a"), "direct");
    assert_int_equal(warnings, 0);
    thaw_device_destroy(&device);
}

/* The remembered candidate wins over the list's order; one that is gone is passed over. */
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
    assert_ok(thaw_tuning_remember(device, key, "simple"));
    assert_ok(thaw_conv_select(device, &problem, NULL, &choice));
    assert_string_equal(choice->name, "simple");
    assert_ok(thaw_conv_select(device, &problem, usual->name, &choice));
    assert_ptr_equal(choice, usual);
    assert_ok(thaw_tuning_remember(device, key, "from a later version"));
    assert_ok(thaw_conv_select(device, &problem, NULL, &choice));
    assert_ptr_equal(choice, usual);
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
    assert_ok(thaw_tuning_remember(device, key, "clblast"));
    assert_ok(thaw_gemm_select(device, &problem, NULL, &choice));
    assert_string_equal(choice->name, "clblast");
    assert_ok(thaw_gemm_select(device, &problem, usual->name, &choice));
    assert_ptr_equal(choice, usual);
    problem.transpose_b = false;
    assert_ok(thaw_gemm_select(device, &problem, NULL, &choice));
    assert_ptr_equal(choice, usual);
    problem.transpose_b = true;
    assert_ok(thaw_tuning_remember(device, key, "from a later version"));
    assert_ok(thaw_gemm_select(device, &problem, NULL, &choice));
    assert_ptr_equal(choice, usual);
    thaw_device_destroy(&device);
}

int main(void) {
    setenv("THAW_CACHE", test_directory(), 1);
    thaw_log_set(take_warning, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remember),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_gemm_selection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
