/* Decoding in parallel, in memory and on demand. */
#include "data/loader.h"

#include <unistd.h>

#include "core/log.h"
#include "data/files.h"

enum { PHOTOS = 40, SIDE = 12 };

static const struct thaw_image_request as_is = {.channels = 1};

/* Two classes of PHOTOS / 2 pictures, (SIDE + i % 3) x SIDE. */
static struct thaw_dataset *make_dataset(const char *root) {
    struct thaw_dataset *dataset = NULL;
    char name[128];
    for (int i = 0; i < PHOTOS; i++) {
        snprintf(name, sizeof name, "%s/%c/%02d.pgm", root, 'a' + i % 2, i);
        file_save_picture(name, SIDE + i % 3, SIDE, i);
    }
    snprintf(name, sizeof name, "%s/%s", test_directory(), root);
    struct thaw_dataset_config config = {
        .format = THAW_DATASET_FOLDER, .root = name, .val = 0.25, .seed = 1};
    assert_ok(thaw_dataset_open(&config, &dataset));
    return dataset;
}

static struct thaw_loader_options options(int workers, uint64_t memory_bytes) {
    return (struct thaw_loader_options){.image = as_is,
                                        .workers = workers,
                                        .memory_bytes = memory_bytes,
                                        .sets = {[THAW_SET_TRAIN] = true, [THAW_SET_VAL] = true}};
}

static thaw_loader *open_loader(const struct thaw_dataset *dataset,
                                const struct thaw_loader_options *loader_options) {
    thaw_loader *loader = NULL;
    assert_ok(thaw_loader_open(dataset, loader_options, &loader));
    return loader;
}

/* The picture is the one that make_dataset() has saved under the photo's name. */
static void check_image(const struct thaw_dataset *dataset, uint32_t index,
                        const struct thaw_image *image) {
    int number = atoi(dataset->photos[index].name + 2);
    assert_int_equal(image->width, SIDE + number % 3);
    assert_int_equal(image->height, SIDE);
    for (int i = 0; i < image->width * image->height; i++)
        assert_int_equal(image->pixels[i], (unsigned char)(number * 31 + 3 * (i % image->width) +
                                                           5 * (i / image->width)));
}

/* Goes through the training set in batches of `size`, three times in different orders. */
static void check_epochs(const struct thaw_dataset *dataset, thaw_loader *loader, size_t size,
                         bool prefetch) {
    size_t count = 0;
    const uint32_t *set = thaw_loader_set(loader, THAW_SET_TRAIN, &count);
    uint32_t order[PHOTOS];
    struct thaw_image images[PHOTOS];
    assert_int_equal(count, PHOTOS * 3 / 4);
    for (size_t epoch = 0; epoch < 3; epoch++) {
        for (size_t i = 0; i < count; i++)
            order[i] = set[(i * 7 + epoch * 3) % count];
        for (size_t start = 0; start < count; start += size) {
            size_t n = count - start < size ? count - start : size;
            size_t next = start + n, left = count - next < size ? count - next : size;
            assert_ok(thaw_loader_batch(loader, order + start, n, images));
            if (prefetch)
                assert_ok(thaw_loader_prefetch(loader, order + next, left));
            for (size_t i = 0; i < n; i++)
                check_image(dataset, order[start + i], &images[i]);
        }
    }
}

static void batches_hold_the_pictures(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("plain");
    static const uint64_t memories[] = {1 << 20, 10 * SIDE * SIDE, 1};
    for (int workers = 1; workers <= 4; workers += 3)
        for (int m = 0; m < 3; m++)
            for (int prefetch = 0; prefetch < 2; prefetch++) {
                struct thaw_loader_options o = options(workers, memories[m]);
                thaw_loader *loader = open_loader(dataset, &o);
                assert_int_equal(thaw_loader_is_resident(loader), m == 0);
                check_epochs(dataset, loader, 8, prefetch);
                thaw_loader_destroy(&loader);
                assert_null(loader);
            }
    thaw_dataset_destroy(&dataset);
}

/* An announcement that was wrong, partly right, or of the batch itself; a photo twice in a batch.
 */
static void announcements_cost_time_only(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("plain");
    struct thaw_loader_options o = options(3, 1);
    thaw_loader *loader = open_loader(dataset, &o);
    static const uint32_t first[] = {0, 1, 2, 2}, wrong[] = {9, 10, 11, 9},
                          second[] = {2, 11, 5, 5};
    struct thaw_image images[4];
    for (int round = 0; round < 20; round++) {
        assert_ok(thaw_loader_prefetch(loader, first, 4));
        assert_ok(thaw_loader_batch(loader, first, 4, images));
        assert_ok(thaw_loader_prefetch(loader, wrong, 4));
        for (int i = 0; i < 4; i++)
            check_image(dataset, first[i], &images[i]);
        assert_ok(thaw_loader_prefetch(loader, first, 2));
        assert_ok(thaw_loader_prefetch(loader, wrong, 3));
        assert_ok(thaw_loader_batch(loader, second, 4, images));
        for (int i = 0; i < 4; i++)
            check_image(dataset, second[i], &images[i]);
    }
    assert_ok(thaw_loader_prefetch(loader, first, 4)); /* destroyed while it is under way */
    thaw_loader_destroy(&loader);
    thaw_dataset_destroy(&dataset);
}

static void sets_and_hashes_do_not_depend_on_threads(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("plain");
    struct thaw_loader_options one = options(1, 1 << 20), four = options(4, 10 * SIDE * SIDE);
    thaw_loader *a = open_loader(dataset, &one), *b = open_loader(dataset, &four);
    for (int set = 0; set < THAW_SET_COUNT; set++) {
        size_t count = 0, other = 0;
        const uint32_t *indices = thaw_loader_set(a, (enum thaw_set)set, &count);
        const uint32_t *others = thaw_loader_set(b, (enum thaw_set)set, &other);
        assert_int_equal(count, dataset->set_counts[set]);
        assert_int_equal(count, other);
        if (count)
            assert_memory_equal(indices, others, count * sizeof *indices);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(dataset->photos[indices[i]].set, set);
        assert_true(thaw_loader_hash(a, (enum thaw_set)set) ==
                    thaw_loader_hash(b, (enum thaw_set)set));
    }
    assert_true(thaw_loader_hash(a, THAW_SET_TRAIN) != thaw_loader_hash(a, THAW_SET_VAL));
    thaw_loader_destroy(&a);
    thaw_loader_destroy(&b);
    thaw_dataset_destroy(&dataset);
}

static void hashes_follow_the_content(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("hashed");
    struct thaw_loader_options o = options(2, 0), grey = options(2, 0);
    thaw_loader *loader = open_loader(dataset, &o);
    uint64_t train = thaw_loader_hash(loader, THAW_SET_TRAIN);
    uint64_t val = thaw_loader_hash(loader, THAW_SET_VAL);
    size_t count = 0;
    const uint32_t first = *thaw_loader_set(loader, THAW_SET_TRAIN, &count);
    thaw_loader_destroy(&loader);
    grey.image.channels = 3;
    loader = open_loader(dataset, &grey);
    assert_true(thaw_loader_hash(loader, THAW_SET_TRAIN) != train);
    thaw_loader_destroy(&loader);
    char name[128];
    snprintf(name, sizeof name, "hashed/%s", dataset->photos[first].name);
    file_save_picture(name, SIDE, SIDE, 99);
    loader = open_loader(dataset, &o);
    assert_true(thaw_loader_hash(loader, THAW_SET_TRAIN) != train);
    assert_true(thaw_loader_hash(loader, THAW_SET_VAL) == val);
    thaw_loader_destroy(&loader);
    thaw_dataset_destroy(&dataset);
}

static void only_the_sets_asked_for_are_loaded(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("plain");
    struct thaw_loader_options o = options(2, 0);
    o.sets[THAW_SET_TRAIN] = false;
    thaw_loader *loader = open_loader(dataset, &o);
    size_t count = 0;
    thaw_loader_set(loader, THAW_SET_TRAIN, &count);
    assert_int_equal(count, 0);
    const uint32_t *val = thaw_loader_set(loader, THAW_SET_VAL, &count);
    assert_int_equal(count, PHOTOS / 4);
    struct thaw_image image;
    assert_ok(thaw_loader_batch(loader, val, 1, &image));
    uint32_t index = 0;
    while (dataset->photos[index].set == THAW_SET_VAL)
        index++;
    assert_fails(thaw_loader_batch(loader, &index, 1, &image), THAW_ERROR_INPUT, "not loaded");
    index = PHOTOS;
    assert_fails(thaw_loader_batch(loader, &index, 1, &image), THAW_ERROR_INPUT, "not loaded");
    thaw_loader_destroy(&loader);
    thaw_dataset_destroy(&dataset);
}

/* ---- broken photos ---------------------------------------------------------------------------*/

static char logged[1024];
static int log_count;

static void keep_log(void *user, enum thaw_log_level level, const char *message) {
    (void)user;
    if (level != THAW_LOG_WARNING)
        return;
    snprintf(logged, sizeof logged, "%s", message);
    log_count++;
}

static void broken_photos_are_named(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("broken");
    file_save_text("broken/b/07.pgm", "no picture");
    file_save_text("broken/a/30.pgm", "P5 12 12 255\ncut");
    for (int workers = 1; workers <= 4; workers += 3) {
        struct thaw_loader_options o = options(workers, 0);
        thaw_loader *loader = NULL;
        /* a/30 comes before b/07, whichever is found first */
        assert_fails(thaw_loader_open(dataset, &o, &loader), THAW_ERROR_INPUT, "broken/a/30.pgm");
        assert_non_null(strstr(thaw_error_hint(), "broken: skip"));
        assert_null(loader);
    }
    thaw_dataset_destroy(&dataset);
}

static void broken_photos_are_skipped(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("broken");
    file_save_text("broken/b/07.pgm", "no picture");
    file_save_text("broken/a/30.pgm", "");
    static const uint64_t memories[] = {1 << 20, 1};
    for (int m = 0; m < 2; m++) {
        struct thaw_loader_options o = options(2, memories[m]);
        o.skip_broken = true;
        log_count = 0;
        thaw_log_set(keep_log, NULL);
        thaw_loader *loader = open_loader(dataset, &o);
        thaw_log_set(NULL, NULL);
        assert_int_equal(log_count, 1);
        assert_non_null(strstr(logged, "2 broken photos skipped"));
        assert_non_null(strstr(logged, "a/30.pgm"));
        assert_non_null(strstr(logged, "b/07.pgm"));
        assert_int_equal(thaw_loader_skipped(loader), 2);
        size_t total = 0, count = 0;
        for (int set = 0; set < THAW_SET_COUNT; set++) {
            const uint32_t *indices = thaw_loader_set(loader, (enum thaw_set)set, &count);
            for (size_t i = 0; i < count; i++) {
                struct thaw_image image;
                assert_ok(thaw_loader_batch(loader, &indices[i], 1, &image));
                check_image(dataset, indices[i], &image);
            }
            total += count;
        }
        assert_int_equal(total, PHOTOS - 2);
        thaw_loader_destroy(&loader);
    }
    thaw_dataset_destroy(&dataset);
}

static void nothing_left_is_an_error(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("ruined");
    struct thaw_loader_options o = options(2, 0);
    o.skip_broken = true;
    thaw_loader *loader = NULL;
    for (int i = 0; i < PHOTOS; i++) {
        char name[128];
        snprintf(name, sizeof name, "ruined/%s", dataset->photos[i].name);
        if (dataset->photos[i].label == 1 && dataset->photos[i].set == THAW_SET_TRAIN)
            file_save_text(name, "no picture");
    }
    assert_fails(thaw_loader_open(dataset, &o, &loader), THAW_ERROR_INPUT,
                 "every training photo of class 'b' is broken");
    for (int i = 0; i < PHOTOS; i++) {
        char name[128];
        snprintf(name, sizeof name, "ruined/%s", dataset->photos[i].name);
        file_save_text(name, "no picture");
    }
    assert_fails(thaw_loader_open(dataset, &o, &loader), THAW_ERROR_INPUT,
                 "every photo of the train set is broken");
    thaw_dataset_destroy(&dataset);
}

/* Photos that are read on demand and have gone since: an error then, and fine once they are back.
 */
static void lost_photos_are_reported(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("lost");
    struct thaw_loader_options o = options(2, 1);
    thaw_loader *loader = open_loader(dataset, &o);
    uint32_t indices[] = {3, 4};
    struct thaw_image images[2];
    assert_int_equal(unlink(dataset->photos[4].path), 0);
    assert_ok(thaw_loader_prefetch(loader, indices, 2));
    assert_fails(thaw_loader_batch(loader, indices, 2, images), THAW_ERROR_INPUT,
                 dataset->photos[4].path);
    assert_ok(thaw_loader_batch(loader, indices, 1, images));
    struct thaw_dataset *again = make_dataset("lost");
    assert_ok(thaw_loader_batch(loader, indices, 2, images));
    check_image(dataset, 4, &images[1]);
    thaw_loader_destroy(&loader);
    thaw_dataset_destroy(&dataset);
    thaw_dataset_destroy(&again);
}

/* ---- interruption and progress ---------------------------------------------------------------*/

static volatile sig_atomic_t flag;
static size_t last_done, last_total;

static void note_progress(void *user, size_t done, size_t total) {
    (void)user;
    assert_true(done > last_done && done <= total);
    last_done = done;
    last_total = total;
}

static void opening_can_be_interrupted(void **state) {
    (void)state;
    struct thaw_dataset *dataset = make_dataset("plain");
    struct thaw_loader_options o = options(2, 0);
    thaw_loader *loader = NULL;
    o.interrupt = &flag;
    o.progress = note_progress;
    flag = 1;
    assert_fails(thaw_loader_open(dataset, &o, &loader), THAW_INTERRUPTED, "interrupted");
    assert_null(loader);
    flag = 0;
    last_done = 0;
    loader = open_loader(dataset, &o);
    assert_true(last_done > 0);
    assert_int_equal(last_total, PHOTOS);
    thaw_loader_destroy(&loader);
    thaw_dataset_destroy(&dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_hold_the_pictures),
        cmocka_unit_test(announcements_cost_time_only),
        cmocka_unit_test(sets_and_hashes_do_not_depend_on_threads),
        cmocka_unit_test(hashes_follow_the_content),
        cmocka_unit_test(only_the_sets_asked_for_are_loaded),
        cmocka_unit_test(broken_photos_are_named),
        cmocka_unit_test(broken_photos_are_skipped),
        cmocka_unit_test(nothing_left_is_an_error),
        cmocka_unit_test(lost_photos_are_reported),
        cmocka_unit_test(opening_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
