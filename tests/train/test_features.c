/* Features, where the program's user can't easily get: an interrupt while they are computed, and
 * more of them than there is memory. What they are is tests/cli/test_features.c's. */
#include "train/features.h"

#include <string.h>

#include "core/file.h"
#include "support/device.h"
#include "support/tiny.h"

static struct thaw_config config;
static struct thaw_features_source source;
static volatile sig_atomic_t interrupted;

static int set_up(void **state) {
    (void)state;
    tiny_make();
    assert_ok(thaw_config_load(tiny_experiment("untrained", tiny_stages, ""), NULL, 0, &config));
    struct thaw_features_origin origin = {.config = &config};
    assert_ok(thaw_features_source_open(&origin, test_device(), &source));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    thaw_features_source_finish(&source);
    thaw_config_finish(&config);
    return 0;
}

/* Raises the flag when the first batch of three is done. */
static void on_working(void *user, const char *what, size_t done, size_t total) {
    size_t *last = user;
    if (strcmp(what, "computing features") != 0)
        return;
    assert_int_equal(total, 2 * TINY_PHOTOS);
    *last = done;
    interrupted = 1;
}

static void interrupted_while_computing(void **state) {
    (void)state;
    const char *nodes[] = {"pool"}, *path = tiny_path("interrupted.safetensors");
    size_t done = 0;
    struct thaw_features_options options = {.nodes = nodes,
                                            .node_count = 1,
                                            .batch = 16,
                                            .interrupted = &interrupted,
                                            .on_working = on_working,
                                            .user = &done};
    struct thaw_features_summary summary = {.photos = 77};
    assert_fails(thaw_features_write(&source, &options, path, &summary), THAW_INTERRUPTED,
                 "nothing was written");
    assert_int_equal(done, 16);
    assert_int_equal(summary.photos, 77);
    assert_false(thaw_path_exists(path));
}

/* A set of 2^40 photos is refused by its size, before any of them is looked at. */
static void more_than_memory(void **state) {
    (void)state;
    const char *nodes[] = {"pool", "conv1"}, *path = tiny_path("huge.safetensors");
    struct thaw_dataset huge = {.count = (size_t)1 << 40};
    struct thaw_features_source large = source;
    struct thaw_features_options options = {.nodes = nodes, .node_count = 2, .batch = 16};
    struct thaw_features_summary summary;
    large.dataset = &huge;
    assert_fails(thaw_features_write(&large, &options, path, &summary), THAW_ERROR_MEMORY,
                 "GiB are free");
    assert_non_null(strstr(thaw_error_hint(), "--files"));
    assert_false(thaw_path_exists(path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted_while_computing),
        cmocka_unit_test(more_than_memory),
    };
    return cmocka_run_group_tests_name("train/features", tests, set_up, tear_down);
}
