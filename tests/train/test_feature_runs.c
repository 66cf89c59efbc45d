/* Whole runs with feature caches and without: the same losses, the same bits among those that found
 * what others computed. The caches themselves: test_feature_cache.c. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/loader.h"
#include "support/device.h"
#include "support/process.h"
#include "support/tiny.h"
#include "train/experiment.h"
#include "train/feature_file.h"
#include "train/trainer.h"

static struct thaw_arena arena;

static int set_up(void **state) {
    (void)state;
    tiny_make();
    setenv("THAW_CACHE", tiny_path("cache"), 1);
    unsetenv("THAW_CACHE_LIMIT");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

static const char *cache_folder(void) {
    return tiny_path("cache/features");
}

static int begin(void **state) {
    (void)state;
    assert_ok(thaw_path_make_directories(cache_folder()));
    assert_ok(thaw_feature_shrink(cache_folder(), 0, NULL));
    return 0;
}

static size_t files(void) {
    struct thaw_feature_entry *entries;
    size_t count = 0;
    assert_ok(thaw_feature_list(&arena, cache_folder(), &entries, &count));
    return count;
}

static void expect_entry(const char *what) {
    struct thaw_feature_entry *entries;
    size_t count = 0;
    assert_ok(thaw_feature_list(&arena, cache_folder(), &entries, &count));
    for (size_t i = 0; i < count; i++)
        if (entries[i].what && !strcmp(entries[i].what, what))
            return;
    fail_msg("there is no '%s'", what);
}

#define STAGES(cache, augment)                                                                     \
    "  - {train: [head], lr: 1x, epochs: 4, cache: " cache ", augment: [" augment "]}\n"

static const char *experiment_file(const char *name, const char *stages) {
    return tiny_experiment(name, stages, "");
}

/* Two processes at once, and one after them: the same model file. */
static void processes_share(void **state) {
    (void)state;
    const char *names[] = {"one", "two", "three"};
    char paths[3][256];
    pid_t children[2];
    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s",
                 experiment_file(names[i], STAGES("{views: 2, dtype: f16}", "hflip")));
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (!children[i]) {
            dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
            execl(getenv("THAW_BINARY"), "thaw", "train", paths[i], "--quiet", (char *)NULL);
            _exit(127);
        }
    }
    for (int i = 0; i < 2; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(files(), 2); /* training and validation set */
    test_expect_exit(TEST_THAW(NULL, "train", paths[2], "--quiet"), 0, NULL);
    assert_int_equal(files(), 2);
    struct thaw_map a = {0}, b = {0};
    assert_ok(thaw_map_open(tiny_run_file("one", "model.safetensors"), &a));
    for (int i = 1; i < 3; i++) {
        assert_ok(thaw_map_open(tiny_run_file(names[i], "model.safetensors"), &b));
        assert_int_equal(a.size_bytes, b.size_bytes);
        assert_memory_equal(a.bytes, b.bytes, a.size_bytes);
        thaw_map_close(&b);
    }
    thaw_map_close(&a);
}

static void on_epoch(void *user, const struct thaw_train_progress *progress) {
    double **next = user;
    *(*next)++ = progress->loss;
    *(*next)++ = progress->val->loss;
}

/* Four epochs. */
static void run_with(const char *name, const char *stages, const char *const *sets,
                     size_t set_count, double *ret_losses) {
    struct thaw_config c;
    double *next = ret_losses;
    struct thaw_train_events events = {.user = &next, .on_epoch = on_epoch};
    struct thaw_train_options o = {0};
    assert_ok(thaw_config_load(experiment_file(name, stages), sets, set_count, &c));
    assert_ok(thaw_train(&c, test_device(), &o, &events));
    thaw_config_finish(&c);
    assert_ptr_equal(next, ret_losses + 8);
}

static void run(const char *name, const char *stages, double *ret_losses) {
    run_with(name, stages, NULL, 0, ret_losses);
}

/* Each epoch's losses, of training and validation: with and without caches. */
static void cached_runs_give_the_same_losses(void **state) {
    (void)state;
    double none[8], computed[8], found[8], memory[8], half[8];
    run("none", STAGES("false", ""), none);
    run("computed", STAGES("true", ""), computed);
    run("found", STAGES("true", ""), found);
    run("memory", STAGES("{disk: false}", ""), memory);
    run("half", STAGES("{dtype: f16}", ""), half);
    assert_memory_equal(computed, found, sizeof computed);
    assert_memory_equal(computed, memory, sizeof computed);
    for (int i = 0; i < 8; i++) {
        assert_true(fabs(computed[i] - none[i]) <= 1e-5 * fabs(none[i]));
        assert_true(fabs(half[i] - none[i]) <= 2e-3 * fabs(none[i]));
        assert_true(half[i] != computed[i]);
    }
}

/* Each phase of an `unfreeze` has its own cut: two files, training and validation photos, each. */
static void each_phase_is_cut_anew(void **state) {
    (void)state;
    static const char stages[] = "  - {stage: tune, train: [body, head], lr: 1x, epochs: 4, "
                                 "unfreeze: {from: head, every: 2}, cache: %s, augment: []}\n";
    char text[256];
    double none[8], computed[8], found[8];
    snprintf(text, sizeof text, stages, "false");
    run("uncut", text, none);
    assert_int_equal(files(), 0);
    snprintf(text, sizeof text, stages, "true");
    run("cut", text, computed);
    assert_int_equal(files(), 4);
    expect_entry("tiny at pool, 16 x 1 x 1 f32, 36 photos");
    expect_entry("tiny at pool, 16 x 1 x 1 f32, 12 photos");
    expect_entry("tiny at relu, 8 x 8 x 8 f32, 36 photos");
    expect_entry("tiny at relu, 8 x 8 x 8 f32, 12 photos");
    run("recut", text, found);
    assert_int_equal(files(), 4);
    assert_memory_equal(computed, found, sizeof computed);
    for (int i = 0; i < 8; i++)
        assert_true(fabs(computed[i] - none[i]) <= 1e-5 * fabs(none[i]));
}

/* 36 + 12 photos of 96 x 96 x 3 bytes are more than 1 MiB: some are decoded while the batch before
 * theirs is trained on. */
static void photos_decoded_ahead_train_the_same(void **state) {
    (void)state;
    static const char stage[] = "  - {train: [all], lr: 1x, epochs: 4, augment: [hflip]}\n";
    double resident[8], ahead[8];
    const char *sets[] = {"model.size=96", "data.memory=1"};
    run_with("resident", stage, sets, 1, resident);
    run_with("ahead", stage, sets, 2, ahead);
    assert_memory_equal(resident, ahead, sizeof ahead);
    struct thaw_config c;
    struct thaw_experiment e;
    thaw_loader *loader;
    assert_ok(thaw_config_load(tiny_path("ahead.yaml"), sets, 2, &c));
    assert_ok(thaw_experiment_open(&c, test_device(), &e));
    struct thaw_loader_options load = thaw_loader_options_make(&e.data, &e.input.image);
    assert_ok(thaw_loader_open(e.dataset, &load, &loader));
    assert_false(thaw_loader_is_resident(loader));
    thaw_loader_destroy(&loader);
    thaw_experiment_finish(&e);
    thaw_config_finish(&c);
}

/* Whatever an augmentation draws, a view of it trains as well: here it draws nothing. */
static void views_train_the_same_where_nothing_is_drawn(void **state) {
    (void)state;
    double none[8], views[8], again[8], half[8];
    run("still", STAGES("false", "{rotate: 0}"), none);
    run("views", STAGES("{views: 3}", "{rotate: 0}"), views);
    run("again", STAGES("{views: 3}", "{rotate: 0}"), again);
    run("half3", STAGES("{views: 3, dtype: f16}", "{rotate: 0}"), half);
    assert_memory_equal(views, again, sizeof views);
    for (int i = 0; i < 8; i++) {
        assert_true(fabs(views[i] - none[i]) <= 1e-5 * fabs(none[i]));
        assert_true(fabs(half[i] - none[i]) <= 2e-3 * fabs(none[i]));
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(processes_share),
        TEST(cached_runs_give_the_same_losses),
        TEST(each_phase_is_cut_anew),
        TEST(photos_decoded_ahead_train_the_same),
        TEST(views_train_the_same_where_nothing_is_drawn),
    };
    return cmocka_run_group_tests_name("train/feature_runs", tests, set_up, tear_down);
}
