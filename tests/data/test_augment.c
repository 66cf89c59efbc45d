/* The kernel against a plain computation in double, and each augmentation. */
#include "data/augment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/device.h"

#define SIZE 17
#define BATCH 5
#define HALO 2

static const struct thaw_input_spec spec3 = {.size = SIZE,
                                             .mean = {0.485f, 0.456f, 0.406f},
                                             .std = {0.229f, 0.224f, 0.225f},
                                             .image = {3, THAW_RESIZE_SHORT, 20}};
static const struct thaw_input_spec spec1 = {
    .size = SIZE, .mean = {0.5f}, .std = {0.25f}, .image = {1, THAW_RESIZE_SHORT, 20}};

/* Random pictures of different sizes. */
struct pictures {
    struct thaw_image images[BATCH];
    uint32_t ids[BATCH];
};

static void make_pictures(struct pictures *pictures, int channels) {
    static const int sizes[BATCH][2] = {{17, 17}, {20, 23}, {31, 19}, {18, 40}, {25, 18}};
    struct thaw_rng rng = thaw_rng_init(3, THAW_RNG_TEST, 0, 0);
    for (int i = 0; i < BATCH; i++) {
        struct thaw_image *image = &pictures->images[i];
        size_t count = (size_t)(sizes[i][0] * sizes[i][1] * channels);
        *image = (struct thaw_image){malloc(count), sizes[i][0], sizes[i][1], channels, 0.4f};
        for (size_t j = 0; j < count; j++)
            image->pixels[j] = (uint8_t)thaw_rng_below(&rng, 256);
        pictures->ids[i] = (uint32_t)(100 + 7 * i);
    }
}

static void free_pictures(struct pictures *pictures) {
    for (int i = 0; i < BATCH; i++)
        free(pictures->images[i].pixels);
}

static struct thaw_augment_list parse(struct thaw_arena *arena, const char *yaml) {
    thaw_yaml *root = NULL;
    struct thaw_augment_list list = {0};
    assert_ok(thaw_yaml_parse(arena, yaml, strlen(yaml), "augment.yaml", &root));
    assert_ok(thaw_augment_parse(arena, root, &list));
    return list;
}

/* ---- reference -------------------------------------------------------------------------------*/

static double source_at(const struct thaw_image *image, double x, double y, int c) {
    x = fmin(fmax(x, 0), image->width - 1);
    y = fmin(fmax(y, 0), image->height - 1);
    int x0 = (int)floor(x), y0 = (int)floor(y);
    double sum = 0;
    for (int dy = 0; dy < 2; dy++)
        for (int dx = 0; dx < 2; dx++) {
            double weight = (dx ? x - x0 : 1 - (x - x0)) * (dy ? y - y0 : 1 - (y - y0));
            int xx = x0 + dx < image->width ? x0 + dx : image->width - 1;
            int yy = y0 + dy < image->height ? y0 + dy : image->height - 1;
            sum += weight * image->pixels[(yy * image->width + xx) * image->channels + c];
        }
    return sum;
}

/* One value of a picture by itself, normalised. */
static double expected_value(const struct thaw_image *image, const struct thaw_input_spec *spec,
                             const struct thaw_augment_sample *s, int x, int y, int c) {
    if (x >= s->erase[0] && x < s->erase[2] && y >= s->erase[1] && y < s->erase[3])
        return 0;
    double sx = s->to_source[0] * x + s->to_source[1] * y + s->to_source[2];
    double sy = s->to_source[3] * x + s->to_source[4] * y + s->to_source[5];
    double value = s->colour[4 * c + 3];
    for (int k = 0; k < 3; k++)
        value +=
            s->colour[4 * c + k] * source_at(image, sx, sy, image->channels == 1 ? 0 : k) / 255;
    value = fmin(fmax(value, 0), 1);
    return (value - (double)spec->mean[c]) / (double)spec->std[c];
}

static double *expected_batch(const struct pictures *pictures, const struct thaw_input_spec *spec,
                              const struct thaw_augment_list *list, uint64_t seed, uint32_t epoch) {
    int channels = spec->image.channels;
    double *expected = malloc(sizeof *expected * (size_t)(BATCH * channels * SIZE * SIZE));
    struct thaw_augment_sample samples[BATCH];
    for (int i = 0; i < BATCH; i++)
        samples[i] = thaw_augment_draw(list, spec, &pictures->images[i], seed, epoch,
                                       pictures->ids[i], i, BATCH);
    for (int i = 0; i < BATCH * channels * SIZE * SIZE; i++) {
        int x = i % SIZE, y = i / SIZE % SIZE, c = i / (SIZE * SIZE) % channels;
        int n = i / (SIZE * SIZE * channels), partner = samples[n].partner;
        double own = expected_value(&pictures->images[n], spec, &samples[n], x, y, c);
        double other = expected_value(&pictures->images[partner], spec, &samples[partner], x, y, c);
        expected[i] = samples[n].lambda * own + (1 - samples[n].lambda) * other;
        if (partner == n)
            expected[i] = own;
    }
    return expected;
}

/* ---- running ---------------------------------------------------------------------------------*/

/* The device under test, or with `planes` one whose channel block is 1, as GPUs have: there the
 * channels of the input lie apart. */
static bool planes;
static thaw_device *device_under_test(void) {
    return planes ? test_device_block(1) : test_device();
}

static struct thaw_tensor make_tensor(int channels) {
    struct thaw_shape shape = {BATCH + 1, channels, SIZE, SIZE};
    struct thaw_tensor tensor = {.layout = thaw_layout_make(shape, planes ? 1 : channels, HALO)};
    tensor.buffer = test_buffer(device_under_test(), NULL, thaw_layout_size(&tensor.layout));
    return tensor;
}

/* The batch in logical order; checks that halo and unused images have stayed zero. */
static float *run(const struct pictures *pictures, const struct thaw_input_spec *spec,
                  const struct thaw_augment_list *list, uint64_t seed, uint32_t epoch,
                  bool augment) {
    thaw_device *device = device_under_test();
    struct thaw_tensor tensor = make_tensor(spec->image.channels);
    const struct thaw_layout *l = &tensor.layout;
    thaw_augmenter *augmenter = NULL;
    size_t count = (size_t)(BATCH * l->c * SIZE * SIZE);
    float *result = malloc(count * sizeof *result);
    float *raw = malloc(thaw_layout_bytes(l));
    struct thaw_augment_batch batch = {pictures->images, pictures->ids, BATCH, epoch, augment};
    assert_ok(thaw_augmenter_create(device, spec, list, seed, &augmenter));
    assert_ok(thaw_augmenter_run(augmenter, &batch, &tensor, NULL, NULL));
    assert_ok(thaw_tensor_read(device, &tensor, BATCH, result));
    assert_ok(thaw_buffer_read(device, tensor.buffer, 0, raw, thaw_layout_bytes(l)));
    double sum = 0, inside = 0;
    for (size_t i = 0; i < thaw_layout_size(l); i++)
        sum += fabs((double)raw[i]);
    for (size_t i = 0; i < count; i++)
        inside += fabs((double)result[i]);
    assert_true(fabs(sum - inside) < 1e-9 * sum);
    thaw_augmenter_destroy(&augmenter);
    thaw_buffer_destroy(&tensor.buffer);
    free(raw);
    return result;
}

static void check(const struct thaw_input_spec *spec, const char *yaml) {
    struct thaw_arena arena = {0};
    struct thaw_augment_list list = parse(&arena, yaml);
    struct pictures pictures;
    make_pictures(&pictures, spec->image.channels);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        float *actual = run(&pictures, spec, &list, 5, epoch, true);
        double *expected = expected_batch(&pictures, spec, &list, 5, epoch);
        /* positions up to 40 in float, steps up to 255 between neighbours, times 1 / (255 std) */
        test_compare(actual, expected, (size_t)(BATCH * spec->image.channels * SIZE * SIZE), 1e-4,
                     1e-5, yaml);
        free(actual);
        free(expected);
    }
    free_pictures(&pictures);
    thaw_arena_finish(&arena);
}

static void kernel_matches_reference(void **state) {
    (void)state;
    static const char *const lists[] = {
        "[]",
        "[hflip]",
        "[{vflip: 1}]",
        "[{rotate: 30}]",
        "[random_resized_crop]",
        "[{color_jitter: {brightness: 0.5, contrast: 0.5, saturation: 0.5, hue: 0.5}}]",
        "[{erasing: {p: 1}}]",
        "[{mixup: 0.4}]",
        "[{random_resized_crop: {scale: [0.3, 1]}}, hflip, vflip, {rotate: 15}, "
        "{color_jitter: 0.4}, {erasing: {p: 0.8}}, {mixup: 1}]",
        "[{rotate: 180}, random_resized_crop, hflip]",
    };
    for (size_t i = 0; i < 2 * (sizeof lists / sizeof *lists); i++) {
        planes = i % 2;
        check(&spec3, lists[i / 2]);
        check(&spec1, lists[i / 2]);
    }
    planes = false;
}

/* The pixel of the source that a value came from; fails if it is none exactly. */
static void check_exact(const struct pictures *pictures, const float *actual, bool flip_x,
                        bool flip_y) {
    for (int i = 0; i < BATCH * 3 * SIZE * SIZE; i++) {
        int x = i % SIZE, y = i / SIZE % SIZE, c = i / (SIZE * SIZE) % 3;
        const struct thaw_image *image = &pictures->images[i / (SIZE * SIZE * 3)];
        int left = (int)nearbyint((image->width - SIZE) / 2.0);
        int top = (int)nearbyint((image->height - SIZE) / 2.0);
        x = flip_x ? image->width - 1 - (x + left) : x + left;
        y = flip_y ? image->height - 1 - (y + top) : y + top;
        float pixel = image->pixels[(y * image->width + x) * 3 + c];
        /* fused or not, the kernel's value is one of the two */
        float scale = (float)(1 / (255 * (double)spec3.std[c]));
        float shift = (float)(-(double)spec3.mean[c] / (double)spec3.std[c]);
        float product = pixel * scale;
        if (actual[i] != fmaf(pixel, scale, shift) && actual[i] != product + shift)
            fail_msg("value %d is %.9g: not of pixel %g", i, (double)actual[i], (double)pixel);
    }
}

static void whole_pixels_are_exact(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct pictures pictures;
    make_pictures(&pictures, 3);
    for (int flips = 0; flips < 4; flips++) {
        static const char *const lists[] = {"[]", "[{hflip: 1}]", "[{vflip: 1}]",
                                            "[{hflip: {p: 1}}, {vflip: {p: 1}}]"};
        struct thaw_augment_list list = parse(&arena, lists[flips]);
        float *actual = run(&pictures, &spec3, &list, 1, 0, true);
        check_exact(&pictures, actual, flips & 1, flips & 2);
        free(actual);
    }
    free_pictures(&pictures);
    thaw_arena_finish(&arena);
}

static void evaluation_is_the_plain_middle(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct pictures pictures;
    make_pictures(&pictures, 3);
    struct thaw_augment_list list = parse(&arena, "[{hflip: 1}, {rotate: 90}, {mixup: 1}]");
    float *actual = run(&pictures, &spec3, &list, 1, 0, false);
    check_exact(&pictures, actual, false, false);
    free(actual);
    free_pictures(&pictures);
    thaw_arena_finish(&arena);
}

static void draws_depend_on_seed_epoch_and_id_alone(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_augment_list list =
        parse(&arena, "[random_resized_crop, hflip, {rotate: 9}, {color_jitter: 0.3}, erasing]");
    struct pictures pictures;
    make_pictures(&pictures, 3);
    const struct thaw_image *image = &pictures.images[1];
    struct thaw_augment_sample first = thaw_augment_draw(&list, &spec3, image, 1, 2, 3, 0, 8);
    struct thaw_augment_sample moved = thaw_augment_draw(&list, &spec3, image, 1, 2, 3, 5, 6);
    assert_memory_equal(first.to_source, moved.to_source, sizeof first.to_source);
    assert_memory_equal(first.colour, moved.colour, sizeof first.colour);
    assert_memory_equal(first.erase, moved.erase, sizeof first.erase);
    static const uint32_t others[3][3] = {{9, 2, 3}, {1, 9, 3}, {1, 2, 9}};
    for (int i = 0; i < 3; i++) {
        moved =
            thaw_augment_draw(&list, &spec3, image, others[i][0], others[i][1], others[i][2], 0, 8);
        assert_memory_not_equal(first.to_source, moved.to_source, sizeof first.to_source);
    }
    float *once = run(&pictures, &spec3, &list, 4, 1, true);
    float *again = run(&pictures, &spec3, &list, 4, 1, true);
    assert_memory_equal(once, again, sizeof *once * BATCH * 3 * SIZE * SIZE);
    free(once);
    free(again);
    free_pictures(&pictures);
    thaw_arena_finish(&arena);
}

/* ---- what is drawn ---------------------------------------------------------------------------*/

enum { DRAWS = 4000 };

static struct thaw_augment_sample draw(const struct thaw_augment_list *list, int id, int width,
                                       int height) {
    const struct thaw_image image = {NULL, width, height, 3, 0.4f};
    return thaw_augment_draw(list, &spec3, &image, 11, 0, (uint32_t)id, 0, 4);
}

static void flips_have_their_probability(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_augment_list list = parse(&arena, "[{hflip: 0.3}, vflip]");
    int horizontal = 0, vertical = 0, both = 0;
    for (int i = 0; i < DRAWS; i++) {
        const struct thaw_augment_sample sample = draw(&list, i, 17, 17);
        bool h = sample.to_source[0] < 0, v = sample.to_source[4] < 0;
        horizontal += h;
        vertical += v;
        both += h && v;
    }
    assert_true(fabs(horizontal / (double)DRAWS - 0.3) < 0.03);
    assert_true(fabs(vertical / (double)DRAWS - 0.5) < 0.03);
    assert_true(fabs(both / (double)DRAWS - 0.15) < 0.03);
    thaw_arena_finish(&arena);
}

static void crops_are_inside_and_as_asked(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_augment_list list =
        parse(&arena, "[{random_resized_crop: {scale: [0.25, 0.75], ratio: [0.5, 2]}}]");
    double least = 1, most = 0, narrowest = 9, widest = 0;
    for (int i = 0; i < DRAWS; i++) {
        const struct thaw_augment_sample sample = draw(&list, i, 400, 300);
        const double *m = sample.to_source;
        double width = m[0] * SIZE, height = m[4] * SIZE; /* edge to edge */
        double left = m[2] - m[0] / 2 + 0.5, top = m[5] - m[4] / 2 + 0.5;
        assert_true(left > -1e-9 && top > -1e-9);
        assert_true(left + width < 400 + 1e-9 && top + height < 300 + 1e-9);
        double area = width * height / (400 * 300), ratio = width / height;
        least = fmin(least, area);
        most = fmax(most, area);
        narrowest = fmin(narrowest, ratio);
        widest = fmax(widest, ratio);
    }
    assert_true(least > 0.245 && least < 0.27 && most < 0.755 && most > 0.73);
    assert_true(narrowest > 0.49 && narrowest < 0.55 && widest < 2.02 && widest > 1.8);
    thaw_arena_finish(&arena);
}

/* No part of a line has the ratio; the fall-back takes the largest that has. */
static void crops_of_extreme_pictures_fall_back(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_augment_list list =
        parse(&arena, "[{random_resized_crop: {scale: [0.9, 1], ratio: [0.9, 1.1]}}]");
    const struct thaw_augment_sample sample = draw(&list, 1, 1000, 20);
    assert_true(fabs(sample.to_source[0] * SIZE - 22) < 1e-9);
    assert_true(fabs(sample.to_source[4] * SIZE - 20) < 1e-9);
    assert_true(fabs(sample.to_source[2] - sample.to_source[0] / 2 + 0.5 - 489) < 1e-9);
    thaw_arena_finish(&arena);
}

static void rotation_keeps_the_centre(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_augment_list list = parse(&arena, "[{rotate: {degrees: 20}}]");
    double least = 1, most = -1;
    for (int i = 0; i < DRAWS; i++) {
        const struct thaw_augment_sample sample = draw(&list, i, SIZE, SIZE);
        const double *m = sample.to_source, middle = (SIZE - 1) / 2.0;
        assert_true(fabs((m[0] + m[1]) * middle + m[2] - middle) < 1e-9);
        assert_true(fabs((m[3] + m[4]) * middle + m[5] - middle) < 1e-9);
        assert_true(fabs(m[0] * m[4] - m[1] * m[3] - 1) < 1e-9 && fabs(m[0] - m[4]) < 1e-12);
        least = fmin(least, m[3]);
        most = fmax(most, m[3]);
    }
    double limit = sin(20 * 3.14159265358979 / 180);
    assert_true(most <= limit + 1e-9 && most > 0.98 * limit && least < -0.98 * limit);
    thaw_arena_finish(&arena);
}

static void colours_keep_what_they_should(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_augment_list hue = parse(&arena, "[{color_jitter: {hue: 0.5}}]");
    struct thaw_augment_list saturation = parse(&arena, "[{color_jitter: {saturation: 1}}]");
    struct thaw_augment_list contrast = parse(&arena, "[{color_jitter: {contrast: 1}}]");
    struct thaw_augment_list brightness = parse(&arena, "[{color_jitter: {brightness: 1}}]");
    const double weights[3] = {0.299, 0.587, 0.114};
    for (int i = 0; i < 200; i++) {
        const struct thaw_augment_sample a = draw(&hue, i, 20, 20),
                                         b = draw(&saturation, i, 20, 20);
        const struct thaw_augment_sample c = draw(&contrast, i, 20, 20);
        const struct thaw_augment_sample d = draw(&brightness, i, 20, 20);
        for (int k = 0; k < 3; k++) { /* grey stays grey, luma stays luma */
            double grey_a = 0, grey_b = 0, luma_a = 0, luma_b = 0;
            for (int j = 0; j < 3; j++) {
                grey_a += a.colour[4 * k + j];
                grey_b += b.colour[4 * k + j];
                luma_a += weights[j] * a.colour[4 * j + k];
                luma_b += weights[j] * b.colour[4 * j + k];
            }
            assert_true(fabs(grey_a - 1) < 1e-5 && fabs(luma_a - weights[k]) < 1e-5);
            assert_true(fabs(grey_b - 1) < 1e-9 && fabs(luma_b - weights[k]) < 1e-9);
            /* the mean stays where it is */
            assert_true(fabs(0.4 * c.colour[5 * k] + c.colour[4 * k + 3] - 0.4) < 1e-7);
            assert_true(d.colour[4 * k + 3] == 0 && d.colour[5 * k] >= 0 && d.colour[5 * k] <= 2);
        }
    }
    thaw_arena_finish(&arena);
}

/* A third of a turn: red becomes another primary's hue. */
static void hue_turns(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_augment_list list = parse(&arena, "[{color_jitter: {hue: 0.5}}]");
    double least = 1, most = -1;
    for (int i = 0; i < DRAWS; i++) {
        const double *m = draw(&list, i, 20, 20).colour;
        least = fmin(least, m[0]);
        most = fmax(most, m[0]);
    }
    assert_true(most > 0.99 && least < -0.3); /* red of red: 0.299 + 0.701 cos(turn) */
    thaw_arena_finish(&arena);
}

static void erasing_is_inside_and_as_asked(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_augment_list list =
        parse(&arena, "[{erasing: {p: 0.7, scale: [0.1, 0.3], ratio: [0.5, 2]}}]");
    int hits = 0;
    for (int i = 0; i < DRAWS; i++) {
        const struct thaw_augment_sample sample = draw(&list, i, 20, 20);
        const int *e = sample.erase;
        if (e[2] <= e[0])
            continue;
        hits++;
        int area = (e[2] - e[0]) * (e[3] - e[1]);
        assert_true(e[0] >= 0 && e[1] >= 0 && e[2] <= SIZE && e[3] <= SIZE);
        assert_true(area > 0.06 * SIZE * SIZE && area < 0.36 * SIZE * SIZE);
    }
    assert_true(fabs(hits / (double)DRAWS - 0.7) < 0.03);
    thaw_arena_finish(&arena);
}

/* Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)). */
static void mixup_draws_from_beta(void **state) {
    (void)state;
    static const double alphas[] = {0.02, 0.2, 1, 4};
    for (size_t k = 0; k < 4; k++) {
        struct thaw_arena arena = {0};
        char yaml[64];
        snprintf(yaml, sizeof yaml, "[{mixup: {alpha: %g}}]", alphas[k]);
        struct thaw_augment_list list = parse(&arena, yaml);
        double sum = 0, squares = 0;
        int partners[4] = {0};
        for (int i = 0; i < DRAWS; i++) {
            const struct thaw_augment_sample sample = draw(&list, i, 20, 20);
            assert_true(sample.lambda >= 0 && sample.lambda <= 1);
            sum += sample.lambda;
            squares += (sample.lambda - 0.5) * (sample.lambda - 0.5);
            partners[sample.partner]++;
        }
        assert_true(fabs(sum / DRAWS - 0.5) < 0.03);
        double variance = 1 / (4 * (2 * alphas[k] + 1));
        if (fabs(squares / DRAWS - variance) > 0.06 * variance)
            fail_msg("alpha %g: variance %g, expected %g", alphas[k], squares / DRAWS, variance);
        for (int i = 0; i < 4; i++)
            assert_true(abs(partners[i] - DRAWS / 4) < DRAWS / 20);
        thaw_arena_finish(&arena);
    }
}

static void mixup_reports_what_it_mixed(void **state) {
    (void)state;
    thaw_device *device = test_device();
    struct thaw_arena arena = {0};
    struct thaw_augment_list list = parse(&arena, "[{mixup: 0.5}]");
    struct pictures pictures;
    make_pictures(&pictures, 3);
    struct thaw_tensor tensor = make_tensor(3);
    thaw_augmenter *augmenter = NULL;
    struct thaw_augment_batch batch = {pictures.images, pictures.ids, BATCH, 0, true};
    int partner[BATCH];
    float lambda[BATCH];
    assert_ok(thaw_augmenter_create(device, &spec3, &list, 5, &augmenter));
    assert_ok(thaw_augmenter_run(augmenter, &batch, &tensor, partner, lambda));
    for (int i = 0; i < BATCH; i++) {
        const struct thaw_augment_sample sample =
            thaw_augment_draw(&list, &spec3, &pictures.images[i], 5, 0, pictures.ids[i], i, BATCH);
        assert_int_equal(partner[i], sample.partner);
        assert_true(lambda[i] == (float)sample.lambda);
    }
    batch.augment = false;
    assert_ok(thaw_augmenter_run(augmenter, &batch, &tensor, partner, lambda));
    for (int i = 0; i < BATCH; i++)
        assert_true(partner[i] == i && lambda[i] == 1);
    thaw_augmenter_destroy(&augmenter);
    thaw_buffer_destroy(&tensor.buffer);
    free_pictures(&pictures);
    thaw_arena_finish(&arena);
}

/* A batch in parts, each of which goes to the front of the tensor, is the whole batch to the bit:
 * mixup's partners lie in other parts, too. The tensor is that small that a part goes in turns. */
static void parts_make_the_batch(void **state) {
    (void)state;
    thaw_device *device = test_device();
    struct thaw_arena arena = {0};
    struct thaw_augment_list list = parse(&arena, "[{mixup: 0.5}, hflip, {rotate: 10}]");
    struct pictures pictures;
    make_pictures(&pictures, 3);
    float *whole = run(&pictures, &spec3, &list, 5, 1, true);
    size_t image = 3 * SIZE * SIZE;
    for (int part = 1; part <= BATCH; part++) {
        struct thaw_shape shape = {part, 3, SIZE, SIZE};
        struct thaw_tensor tensor = {.layout = thaw_layout_make(shape, 3, HALO)};
        thaw_augmenter *augmenter = NULL;
        float *values = malloc(image * (size_t)part * sizeof *values);
        tensor.buffer = test_buffer(device, NULL, thaw_layout_size(&tensor.layout));
        assert_ok(thaw_augmenter_create(device, &spec3, &list, 5, &augmenter));
        for (int first = 0; first < BATCH; first += part) {
            int count = BATCH - first < part ? BATCH - first : part;
            struct thaw_augment_batch batch = {pictures.images, pictures.ids, BATCH, 1, true,
                                               first,           count};
            assert_ok(thaw_augmenter_run(augmenter, &batch, &tensor, NULL, NULL));
            assert_ok(thaw_tensor_read(device, &tensor, count, values));
            assert_memory_equal(values, whole + (size_t)first * image,
                                image * (size_t)count * sizeof *values);
        }
        free(values);
        thaw_augmenter_destroy(&augmenter);
        thaw_buffer_destroy(&tensor.buffer);
    }
    free(whole);
    free_pictures(&pictures);
    thaw_arena_finish(&arena);
}

/* ---- wrong input -----------------------------------------------------------------------------*/

static void wrong_lists_are_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"[hflop]", "augment.yaml:1:2: unknown augmentation 'hflop' (nearest: 'hflip'"},
        {"hflip", "`augment`"},
        {"[{hflip: 2}]", "augment.yaml:1:10"},
        {"[{hflip: {q: 1}}]", "unknown"},
        {"[{hflip: 1, vflip: 1}]", "expected an augmentation"},
        {"[[hflip]]", "expected an augmentation"},
        {"[hflip, {hflip: 1}]", "augment.yaml:1:9: `hflip` is in the list already"},
        {"[rotate]", "needs degrees"},
        {"[{rotate: 200}]", "200"},
        {"[{rotate: {}}]", "needs degrees"},
        {"[{rotate: fast}]", "fast"},
        {"[mixup]", "needs alpha"},
        {"[{mixup: -1}]", "-1"},
        {"[color_jitter]", "needs a strength"},
        {"[{color_jitter: {}}]", "needs a strength"},
        {"[{color_jitter: {hue: 0.7}}]", "0.7"},
        {"[{color_jitter: {brightnes: 0.7}}]", "nearest: 'brightness'"},
        {"[{random_resized_crop: {scale: [0.9, 0.1]}}]", "goes from 0.9 down to 0.1"},
        {"[{random_resized_crop: {scale: 0.5}}]", "[LOW, HIGH]"},
        {"[{random_resized_crop: {ratio: [0, 1]}}]", "augment.yaml:1:"},
        {"[{random_resized_crop: 0.5}]", "mapping"},
        {"[{erasing: {p: 1.5}}]", "1.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct thaw_arena arena = {0};
        thaw_yaml *root = NULL;
        struct thaw_augment_list list = {0};
        assert_ok(thaw_yaml_parse(&arena, cases[i][0], strlen(cases[i][0]), "augment.yaml", &root));
        thaw_status status = thaw_augment_parse(&arena, root, &list);
        if (status != THAW_ERROR_INPUT || !strstr(thaw_error_message(), cases[i][1]))
            fail_msg("%s: status %d, '%s', expected '%s'", cases[i][0], (int)status,
                     thaw_error_message(), cases[i][1]);
        assert_int_equal(list.count, 0);
        thaw_arena_finish(&arena);
    }
}

static void wrong_batches_are_refused(void **state) {
    (void)state;
    struct pictures pictures;
    make_pictures(&pictures, 1);
    struct thaw_tensor tensor = make_tensor(3);
    thaw_augmenter *augmenter = NULL;
    struct thaw_augment_batch batch = {pictures.images, pictures.ids, BATCH, 0, true};
    assert_ok(thaw_augmenter_create(test_device(), &spec3, NULL, 0, &augmenter));
    assert_fails(thaw_augmenter_run(augmenter, &batch, &tensor, NULL, NULL), THAW_ERROR_INPUT,
                 "1 channels");
    batch.first = 1;
    batch.part = BATCH;
    assert_fails(thaw_augmenter_run(augmenter, &batch, &tensor, NULL, NULL), THAW_ERROR_INPUT,
                 "do not fit");
    batch.first = batch.part = 0;
    tensor.layout.h = SIZE + 1;
    assert_fails(thaw_augmenter_run(augmenter, &batch, &tensor, NULL, NULL), THAW_ERROR_INPUT,
                 "do not fit");
    thaw_augmenter_destroy(&augmenter);
    thaw_buffer_destroy(&tensor.buffer);
    free_pictures(&pictures);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_matches_reference),
        cmocka_unit_test(whole_pixels_are_exact),
        cmocka_unit_test(evaluation_is_the_plain_middle),
        cmocka_unit_test(draws_depend_on_seed_epoch_and_id_alone),
        cmocka_unit_test(flips_have_their_probability),
        cmocka_unit_test(crops_are_inside_and_as_asked),
        cmocka_unit_test(crops_of_extreme_pictures_fall_back),
        cmocka_unit_test(rotation_keeps_the_centre),
        cmocka_unit_test(colours_keep_what_they_should),
        cmocka_unit_test(hue_turns),
        cmocka_unit_test(erasing_is_inside_and_as_asked),
        cmocka_unit_test(mixup_draws_from_beta),
        cmocka_unit_test(mixup_reports_what_it_mixed),
        cmocka_unit_test(parts_make_the_batch),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(wrong_batches_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
