/* Feature caches: what is found is what was computed, what differs is not found, what is damaged is
 * computed anew. More on keys: test_feature_key.c; whole runs: test_feature_runs.c. */
#include "train/feature_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"
#include "support/device.h"
#include "support/tiny.h"
#include "train/experiment.h"

static struct thaw_config config;
static struct thaw_experiment experiment;
static thaw_loader *loader;
static struct thaw_augment_list augment;
static struct thaw_arena arena;
static thaw_augmenter *plain, *augmented;
static struct thaw_feature_options options; /* of the training set, one view */
static char warning[1024];                  /* the last one */

static void on_log(void *user, enum thaw_log_level level, const char *text) {
    (void)user;
    if (level == THAW_LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", text);
}

static const char *cache_folder(void) {
    return tiny_path("cache/features");
}

static int set_up(void **state) {
    (void)state;
    thaw_log_set(on_log, NULL);
    tiny_make();
    setenv("THAW_CACHE", tiny_path("cache"), 1);
    unsetenv("THAW_CACHE_LIMIT");
    assert_ok(thaw_config_load(
        tiny_experiment("cached",
                        "  - {train: [head], lr: 1x, epochs: 3, cache: {views: 3}, "
                        "augment: [hflip, {rotate: 10}]}\n",
                        ""),
        NULL, 0, &config));
    assert_ok(thaw_experiment_open(&config, test_device(), &experiment));
    struct thaw_loader_options load =
        thaw_loader_options_make(&experiment.data, &experiment.input.image);
    assert_ok(thaw_loader_open(experiment.dataset, &load, &loader));
    assert_ok(thaw_augment_parse(&arena, config.stages[0].augment, &augment));
    assert_ok(thaw_augmenter_create(test_device(), &experiment.input, NULL, 0, &plain));
    assert_ok(thaw_augmenter_create(test_device(), &experiment.input, &augment, 0, &augmented));
    options = (struct thaw_feature_options){.graph = experiment.graph,
                                            .node = thaw_graph_find_node(experiment.graph, "pool"),
                                            .loader = loader,
                                            .augmenter = plain,
                                            .input = &experiment.input,
                                            .augment = config.stages[0].augment,
                                            .batch = 8,
                                            .disk = true};
    options.photos = thaw_loader_set(loader, THAW_SET_TRAIN, &options.count);
    assert_int_equal(options.count, 36);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    thaw_augmenter_destroy(&plain);
    thaw_augmenter_destroy(&augmented);
    thaw_loader_destroy(&loader);
    thaw_experiment_finish(&experiment);
    thaw_config_finish(&config);
    thaw_arena_finish(&arena);
    return 0;
}

/* ---- helpers -------------------------------------------------------------------------------- */

static size_t list(struct thaw_feature_entry **ret_entries) {
    static struct thaw_feature_entry *entries;
    size_t count = 0;
    assert_ok(thaw_path_make_directories(cache_folder()));
    assert_ok(thaw_feature_list(&arena, cache_folder(), &entries, &count));
    if (ret_entries)
        *ret_entries = entries;
    return count;
}

static int begin(void **state) {
    (void)state;
    assert_ok(thaw_path_make_directories(cache_folder()));
    assert_ok(thaw_feature_shrink(cache_folder(), 0, NULL));
    assert_int_equal(list(NULL), 0);
    warning[0] = '\0';
    return 0;
}

/* All values: (views, photos, 16). */
static float *values_of(const struct thaw_feature_cache *cache) {
    size_t floats = thaw_feature_cache_row_floats(cache);
    float *values =
        thaw_arena_array(&arena, (size_t)cache->views * cache->count * floats + 1, sizeof *values);
    assert_non_null(values);
    for (int view = 0; view < cache->views; view++)
        for (size_t row = 0; row < cache->count; row++)
            thaw_feature_cache_row(cache, view, row,
                                   values + ((size_t)view * cache->count + row) * floats);
    return values;
}

/* Opens and closes; whether it was computed. */
static bool computes(const struct thaw_feature_options *o) {
    struct thaw_feature_cache cache = {0};
    assert_ok(thaw_feature_cache_open(o, &cache));
    bool computed = cache.computed;
    thaw_feature_cache_finish(&cache);
    return computed;
}

/* The one file of the folder. */
static const char *only_file(void) {
    struct thaw_feature_entry *entries;
    assert_int_equal(list(&entries), 1);
    return entries[0].path;
}

/* ---- tests: the same ------------------------------------------------------------------------ */

static void found_is_what_was_computed(void **state) {
    (void)state;
    for (int dtype = 0; dtype < THAW_CACHE_DTYPE_COUNT; dtype++)
        for (int views = 0; views <= 3; views += 3) {
            struct thaw_feature_options o = options;
            struct thaw_feature_cache first, second, memory;
            o.dtype = (enum thaw_cache_dtype)dtype;
            o.views = views;
            o.augmenter = views ? augmented : plain;
            assert_ok(thaw_feature_cache_open(&o, &first));
            assert_ok(thaw_feature_cache_open(&o, &second));
            o.disk = false;
            assert_ok(thaw_feature_cache_open(&o, &memory));
            assert_true(first.computed && !second.computed && memory.computed);
            assert_true(second.file.open && !memory.file.open);
            size_t bytes = 36 * 16 * sizeof(float) * (size_t)(views ? views : 1);
            const float *expected = values_of(&memory);
            assert_memory_equal(values_of(&first), expected, bytes);
            assert_memory_equal(values_of(&second), expected, bytes);
            if (views) /* they do differ */
                assert_memory_not_equal(expected, expected + 36 * 16, 36 * 16 * sizeof(float));
            thaw_feature_cache_finish(&first);
            thaw_feature_cache_finish(&second);
            thaw_feature_cache_finish(&memory);
        }
    assert_int_equal(list(NULL), 4);
    assert_string_equal(warning, "");
}

static void halves_are_near(void **state) {
    (void)state;
    struct thaw_feature_options o = options;
    struct thaw_feature_cache full, half;
    assert_ok(thaw_feature_cache_open(&o, &full));
    o.dtype = THAW_CACHE_F16;
    assert_ok(thaw_feature_cache_open(&o, &half));
    const float *a = values_of(&full), *b = values_of(&half);
    for (size_t i = 0; i < 36 * 16; i++)
        assert_true(fabsf(a[i] - b[i]) <= fabsf(a[i]) * 0x1p-11f + 0x1p-25f);
    thaw_feature_cache_finish(&full);
    thaw_feature_cache_finish(&half);
}

static void scale_param(const char *name, float factor) {
    const struct thaw_param *param =
        &experiment.graph->params[thaw_graph_find_param(experiment.graph, name)];
    float values[2048];
    assert_true(thaw_param_count_values(param) <= 2048);
    assert_ok(thaw_param_read(experiment.graph, param, values));
    for (size_t i = 0; i < thaw_param_count_values(param); i++)
        values[i] *= factor;
    assert_ok(thaw_param_write(experiment.graph, param, values));
}

static void too_large_for_halves_is_an_error(void **state) {
    (void)state;
    struct thaw_feature_options o = options;
    struct thaw_feature_cache cache = {0};
    o.dtype = THAW_CACHE_F16;
    scale_param("conv2.weight", 0x1p20f);
    assert_fails(thaw_feature_cache_open(&o, &cache), THAW_ERROR_INPUT, "f16 ends at 65504");
    assert_string_equal(thaw_error_hint(), "cache: {dtype: f32}");
    scale_param("conv2.weight", 0x1p-20f);
    assert_int_equal(list(NULL), 0);
}

/* ---- tests: the key ------------------------------------------------------------------------- */

static void each_ingredient_changes_the_key(void **state) {
    (void)state;
    struct thaw_feature_options o = options;
    assert_true(computes(&options) && !computes(&options));
    scale_param("fc.weight", 2); /* above the cut: the same */
    assert_false(computes(&options));
    scale_param("fc.weight", 0.5f);
    o.augment = NULL; /* without views they don't count */
    o.seed = 7;
    assert_false(computes(&o));
    const char *below[] = {"conv1.weight", "bn1.running_mean", "bn2.bias", "bn2.running_var"};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        const struct thaw_param *param =
            &experiment.graph->params[thaw_graph_find_param(experiment.graph, below[i])];
        float before[2048], other[2048];
        assert_ok(thaw_param_read(experiment.graph, param, before));
        memcpy(other, before, sizeof other);
        other[1] += 1;
        assert_ok(thaw_param_write(experiment.graph, param, other));
        assert_true(computes(&options));
        assert_ok(thaw_param_write(experiment.graph, param, before));
        assert_false(computes(&options));
    }
}

static void views_have_seed_and_list_in_the_key(void **state) {
    (void)state;
    struct thaw_feature_options views = options, o;
    views.views = 2;
    views.augmenter = augmented;
    assert_true(computes(&views) && !computes(&views));
    o = views;
    o.seed = 7;
    assert_true(computes(&o));
    o = views;
    o.augment = thaw_yaml_get(config.document, "augment");
    assert_true(computes(&o));
    o = views;
    o.views = 3;
    assert_true(computes(&o));
    assert_false(computes(&views));
}

static void data_and_device_are_in_the_key(void **state) {
    (void)state;
    struct thaw_feature_options o = options;
    uint32_t photos[36];
    struct thaw_input_spec input = experiment.input;
    assert_true(computes(&options));
    o.dtype = THAW_CACHE_F16;
    assert_true(computes(&o));
    memcpy(photos, options.photos, sizeof photos);
    photos[0] = options.photos[1];
    photos[1] = options.photos[0];
    o = options;
    o.photos = photos; /* order */
    assert_true(computes(&o));
    photos[0] = photos[1]; /* content */
    assert_true(computes(&o));
    o.count = 35;
    assert_true(computes(&o));
    o = options;
    input.mean[1] += 0.25f;
    o.input = &input;
    assert_true(computes(&o));
    o = options;
    o.batch = 4;
    assert_true(computes(&o));
    o = options;
    o.conv_candidate = "simple";
    assert_true(computes(&o));
    o = options;
    o.node = thaw_graph_find_node(experiment.graph, "conv2");
    assert_true(computes(&o));
    assert_false(computes(&options));
}

/* ---- tests: damage -------------------------------------------------------------------------- */

static void change_file(const char *path, long at, bool truncate_there) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    if (truncate_there) {
        assert_int_equal(ftruncate(fileno(file), ftell(file)), 0);
    } else {
        int byte = fgetc(file);
        fseek(file, -1, SEEK_CUR);
        fputc(byte ^ 4, file);
    }
    fclose(file);
}

static void damaged_files_are_computed_anew(void **state) {
    (void)state;
    const struct {
        long at;
        bool cut;
        const char *warning;
    } damages[] = {
        {0, true, "another size"},      {100, true, "another size"},  {-1, true, "another size"},
        {5000, true, "another size"},   {3, false, "something else"}, {70, false, "something else"},
        {4000, false, "computed anew"}, {-300, false, "is damaged"},  {-3, false, "is damaged"},
    };
    struct thaw_feature_cache cache = {0};
    assert_ok(thaw_feature_cache_open(&options, &cache));
    const float *expected = values_of(&cache);
    thaw_feature_cache_finish(&cache);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        warning[0] = '\0';
        change_file(only_file(), damages[i].at, damages[i].cut);
        assert_ok(thaw_feature_cache_open(&options, &cache));
        assert_true(cache.computed);
        assert_non_null(strstr(warning, damages[i].warning));
        assert_memory_equal(values_of(&cache), expected, 36 * 16 * sizeof(float));
        thaw_feature_cache_finish(&cache);
        assert_false(computes(&options));
    }
}

/* The whole file of another key under this key's name. */
static void foreign_files_are_computed_anew(void **state) {
    (void)state;
    struct thaw_feature_options other = options;
    char path[512];
    assert_true(computes(&options));
    snprintf(path, sizeof path, "%s", only_file());
    assert_int_equal(unlink(path), 0);
    other.conv_candidate = "simple";
    assert_true(computes(&other));
    assert_int_equal(rename(only_file(), path), 0);
    assert_true(computes(&options));
    assert_non_null(strstr(warning, path));
    assert_false(computes(&options));
}

/* ---- tests: sharing, room ------------------------------------------------------------------- */

static void the_file_says_what_it_is(void **state) {
    (void)state;
    struct thaw_feature_entry *entries;
    assert_true(computes(&options));
    assert_int_equal(list(&entries), 1);
    assert_string_equal(entries[0].what, "tiny at pool, 16 x 1 x 1 f32, 36 photos");
}

static void least_recently_used_goes_first(void **state) {
    (void)state;
    struct thaw_feature_options o[3] = {options, options, options};
    struct thaw_feature_cache in_use = {0};
    char limit[32];
    o[1].batch = 4;
    o[2].batch = 2;
    assert_true(computes(&o[0]) && computes(&o[1]));
    struct thaw_feature_entry *entries;
    assert_int_equal(list(&entries), 2);
    for (int i = 0; i < 2; i++) { /* both long ago */
        struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        assert_int_equal(utimensat(AT_FDCWD, entries[i].path, times, 0), 0);
    }
    assert_false(computes(&o[0])); /* used now */
    snprintf(limit, sizeof limit, "%llu", 2ull * (unsigned long long)entries[0].size_bytes + 2000);
    setenv("THAW_CACHE_LIMIT", limit, 1);
    assert_true(computes(&o[2]));
    assert_int_equal(list(NULL), 2);
    assert_false(computes(&o[0]) || computes(&o[2]));
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)entries[0].size_bytes + 2000);
    setenv("THAW_CACHE_LIMIT", limit, 1);
    assert_ok(thaw_feature_cache_open(&o[0], &in_use)); /* stays although the limit is one file */
    assert_true(computes(&o[1]));
    assert_int_equal(list(NULL), 2);
    assert_false(computes(&o[0]));
    thaw_feature_cache_finish(&in_use);
    setenv("THAW_CACHE_LIMIT", "100", 1); /* too small for anything: in memory */
    assert_true(computes(&o[2]) && computes(&o[2]));
    assert_non_null(strstr(warning, "THAW_CACHE_LIMIT"));
    setenv("THAW_CACHE_LIMIT", "much", 1);
    assert_fails(thaw_feature_cache_open(&o[2], &in_use), THAW_ERROR_INPUT, "'much' is no size");
    unsetenv("THAW_CACHE_LIMIT");
}

static void limits_have_units(void **state) {
    (void)state;
    const struct {
        const char *text;
        double bytes;
    } sizes[] = {
        {"5GiB", 5368709120.0}, {"1.5k", 1536}, {"800MB", 838860800.0}, {"0", 0}, {"12B", 12}};
    uint64_t bytes = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        setenv("THAW_CACHE_LIMIT", sizes[i].text, 1);
        assert_ok(thaw_feature_limit(cache_folder(), &bytes));
        assert_true((double)bytes == sizes[i].bytes);
    }
    const char *wrong[] = {"-1", "1X", "nan", "inf", "1e30", "5GiBs", " "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("THAW_CACHE_LIMIT", wrong[i], 1);
        assert_fails(thaw_feature_limit(cache_folder(), &bytes), THAW_ERROR_INPUT, "no size");
    }
    unsetenv("THAW_CACHE_LIMIT");
    assert_ok(thaw_feature_limit(cache_folder(), &bytes));
    assert_true(bytes > 0 && bytes <= (uint64_t)20 << 30);
}

static thaw_status stop_at_once(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return thaw_fail(THAW_INTERRUPTED, "interrupted");
}

static size_t names_in_folder(void) {
    DIR *directory = opendir(cache_folder());
    size_t count = 0;
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

static void interrupted_leaves_nothing(void **state) {
    (void)state;
    struct thaw_feature_options o = options;
    struct thaw_feature_cache cache = {0};
    o.progress = stop_at_once;
    assert_fails(thaw_feature_cache_open(&o, &cache), THAW_INTERRUPTED, "interrupted");
    assert_int_equal(names_in_folder(), 0);
    assert_true(computes(&options));
}

/* What a killed process left goes, but not what is being written now. */
static void abandoned_files_go(void **state) {
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/00.features.partial-1", cache_folder());
    assert_ok(thaw_file_write(path, "x", 1));
    assert_true(computes(&options));
    assert_int_equal(names_in_folder(), 2);
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_ok(thaw_feature_shrink(cache_folder(), (uint64_t)1 << 40, NULL));
    assert_int_equal(names_in_folder(), 1);
}

/* A limit on the size of files stands for a full disk: writing fails in the middle. */
static void a_full_disk_is_an_error(void **state) {
    (void)state;
    struct rlimit before, small = {6000, 0};
    struct thaw_feature_cache cache = {0};
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    thaw_status status = thaw_feature_cache_open(&options, &cache);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_fails(status, THAW_ERROR_IO, "bytes of features");
    assert_non_null(strstr(thaw_error_message(), cache_folder()));
    assert_non_null(strstr(thaw_error_hint(), "cache: {disk: false}"));
    assert_int_equal(names_in_folder(), 0);
}

/* No folder can be made below a file: nobody, not even root, can write there. */
static void no_folder_is_in_memory(void **state) {
    (void)state;
    tiny_write("occupied", "");
    setenv("THAW_CACHE", tiny_path("occupied"), 1);
    assert_true(computes(&options) && computes(&options));
    assert_non_null(strstr(warning, "kept in memory"));
    setenv("THAW_CACHE", tiny_path("cache"), 1);
}

/* Root passes over modes by a capability, which a thread can lay down and take up again. */
static void obey_modes(bool obey) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    assert_int_equal(syscall(SYS_capget, &header, sets), 0);
    sets[0].effective = obey ? sets[0].effective & ~(1u << CAP_DAC_OVERRIDE)
                             : sets[0].effective | (sets[0].permitted & 1u << CAP_DAC_OVERRIDE);
    assert_int_equal(syscall(SYS_capset, &header, sets), 0);
}

/* What is there is used, what is not or is damaged is kept in memory, and the folder stays as it
 * is. */
static void a_folder_that_cannot_be_written_is_read(void **state) {
    (void)state;
    struct thaw_feature_options other = options;
    other.conv_candidate = "simple";
    assert_true(computes(&options));
    const char *path = only_file();
    assert_int_equal(chmod(cache_folder(), 0555), 0);
    obey_modes(true);
    assert_false(computes(&options));
    assert_string_equal(warning, "");
    assert_true(computes(&other) && computes(&other));
    assert_non_null(strstr(warning, "features are kept in memory"));
    assert_non_null(strstr(warning, cache_folder()));
    warning[0] = '\0';
    change_file(path, -300, false);
    assert_true(computes(&options) && computes(&options));
    assert_non_null(strstr(warning, "features are kept in memory"));
    assert_string_equal(only_file(), path);
    obey_modes(false);
    assert_int_equal(chmod(cache_folder(), 0755), 0);
}

/* Photos that do not stay in memory are decoded while the batch before them is computed. */
static void announced_photos_give_the_same(void **state) {
    (void)state;
    struct thaw_feature_options o = options;
    struct thaw_feature_cache resident, announced;
    struct thaw_loader_options load =
        thaw_loader_options_make(&experiment.data, &experiment.input.image);
    load.memory_bytes = 4000; /* 5 of 48 */
    o.disk = false;
    o.views = 3;
    o.augmenter = augmented;
    assert_ok(thaw_feature_cache_open(&o, &resident));
    assert_ok(thaw_loader_open(experiment.dataset, &load, &o.loader));
    assert_false(thaw_loader_is_resident(o.loader));
    assert_ok(thaw_feature_cache_open(&o, &announced));
    size_t bytes = 3 * 36 * 16 * sizeof(float);
    assert_memory_equal(values_of(&resident), values_of(&announced), bytes);
    thaw_loader_destroy(&o.loader);
    thaw_feature_cache_finish(&resident);
    thaw_feature_cache_finish(&announced);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(found_is_what_was_computed),
        TEST(halves_are_near),
        TEST(too_large_for_halves_is_an_error),
        TEST(each_ingredient_changes_the_key),
        TEST(views_have_seed_and_list_in_the_key),
        TEST(data_and_device_are_in_the_key),
        TEST(damaged_files_are_computed_anew),
        TEST(foreign_files_are_computed_anew),
        TEST(the_file_says_what_it_is),
        TEST(least_recently_used_goes_first),
        TEST(limits_have_units),
        TEST(interrupted_leaves_nothing),
        TEST(abandoned_files_go),
        TEST(a_full_disk_is_an_error),
        TEST(no_folder_is_in_memory),
        TEST(a_folder_that_cannot_be_written_is_read),
        TEST(announced_photos_give_the_same),
    };
    return cmocka_run_group_tests_name("train/feature_cache", tests, set_up, tear_down);
}
