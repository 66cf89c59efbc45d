/* Decoding: files are made with libvips here, and decoded again. */
#include "data/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vips/vips.h>

#include "core/file.h"
#include "support/support.h"

static char path_buffer[256];

static const char *file_path(const char *name) {
    snprintf(path_buffer, sizeof path_buffer, "%s/%s", test_directory(), name);
    return path_buffer;
}

/* ---- making ----------------------------------------------------------------------------------*/

/* width x height with `bands` of 8 bits: band c of (x, y) is (40 x + 25 y + 60 c) % 256. */
static VipsImage *make_picture(int width, int height, int bands) {
    uint8_t *pixels = malloc((size_t)(width * height * bands));
    for (int i = 0; i < width * height; i++)
        for (int c = 0; c < bands; c++)
            pixels[i * bands + c] = (uint8_t)(40 * (i % width) + 25 * (i / width) + 60 * c);
    VipsImage *image = vips_image_new_from_memory_copy(pixels, (size_t)(width * height * bands),
                                                       width, height, bands, VIPS_FORMAT_UCHAR);
    free(pixels);
    assert_non_null(image);
    image->Type = bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    return image;
}

static uint8_t picture_value(int x, int y, int c) {
    return (uint8_t)(40 * x + 25 * y + 60 * c);
}

/* One colour all over, of any type. */
static VipsImage *make_plain(int width, int height, const double *colour, int bands,
                             VipsBandFormat format, VipsInterpretation meaning) {
    VipsImage *black = NULL, *filled = NULL, *cast = NULL, *image = NULL;
    double ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    assert_int_equal(vips_black(&black, width, height, "bands", bands, NULL), 0);
    assert_int_equal(vips_linear(black, &filled, ones, colour, bands, NULL), 0);
    assert_int_equal(vips_cast(filled, &cast, format, NULL), 0);
    assert_int_equal(vips_copy(cast, &image, "interpretation", meaning, NULL), 0);
    g_object_unref(black);
    g_object_unref(filled);
    g_object_unref(cast);
    return image;
}

static void save(VipsImage *image, const char *path) {
    if (vips_image_write_to_file(image, path, NULL))
        fail_msg("%s: %s", path, vips_error_buffer());
    g_object_unref(image);
}

static struct thaw_image decode(const char *path, int channels) {
    struct thaw_image_request request = {.channels = channels};
    struct thaw_image image = {0};
    assert_ok(thaw_image_decode(path, &request, &image));
    assert_int_equal(image.channels, channels);
    return image;
}

static int at(const struct thaw_image *image, int x, int y, int c) {
    return image->pixels[(y * image->width + x) * image->channels + c];
}

/* Every pixel is `colour`, give or take `tolerance`. */
static void check_plain(const char *path, const int colour[3], int tolerance) {
    struct thaw_image image = decode(path, 3);
    for (int i = 0; i < image.width * image.height * 3; i++)
        if (abs(image.pixels[i] - colour[i % 3]) > tolerance)
            fail_msg("%s: value %d is %d, expected %d", path, i, image.pixels[i], colour[i % 3]);
    thaw_image_finish(&image);
}

/* ---- tests -----------------------------------------------------------------------------------*/

static void png_is_exact(void **state) {
    (void)state;
    const char *path = file_path("plain[1].png"); /* libvips has options in brackets */
    char saved[256];
    snprintf(saved, sizeof saved, "%s/saved.png", test_directory());
    save(make_picture(7, 5, 3), saved);
    assert_int_equal(rename(saved, path), 0);
    struct thaw_image image = decode(path, 3);
    double luma = 0;
    assert_int_equal(image.width, 7);
    assert_int_equal(image.height, 5);
    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 7; x++) {
            for (int c = 0; c < 3; c++)
                assert_int_equal(at(&image, x, y, c), picture_value(x, y, c));
            luma += 0.299 * at(&image, x, y, 0) + 0.587 * at(&image, x, y, 1) +
                    0.114 * at(&image, x, y, 2);
        }
    assert_true(fabs((double)image.luma - luma / (255 * 35)) < 1e-6);
    thaw_image_finish(&image);
}

static void grey_becomes_three_equal_channels(void **state) {
    (void)state;
    const char *path = file_path("grey.png");
    save(make_picture(6, 4, 1), path);
    struct thaw_image image = decode(path, 3), grey = decode(path, 1);
    for (int i = 0; i < 24; i++) {
        int expected = picture_value(i % 6, i / 6, 0);
        assert_int_equal(grey.pixels[i], expected);
        for (int c = 0; c < 3; c++)
            assert_int_equal(image.pixels[3 * i + c], expected);
    }
    assert_true(fabsf(image.luma - grey.luma) < 1e-6f);
    thaw_image_finish(&image);
    thaw_image_finish(&grey);
}

/* Colour for a network with one channel: luminance, so green is lighter than blue. */
static void colour_becomes_grey(void **state) {
    (void)state;
    const char *path = file_path("green.png");
    save(make_plain(4, 4, (double[]){0, 255, 0}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB),
         path);
    struct thaw_image green = decode(path, 1);
    save(make_plain(4, 4, (double[]){0, 0, 255}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB),
         path);
    struct thaw_image blue = decode(path, 1);
    assert_true(at(&green, 1, 1, 0) > 150 && at(&blue, 1, 1, 0) < 100);
    thaw_image_finish(&green);
    thaw_image_finish(&blue);
}

/* A JPEG whose upper left quarter is red, its upper right one green, the lower ones blue and
 * white. */
static void save_quarters(const char *path, int orientation) {
    enum { SIDE = 64, WIDE = 96 };
    uint8_t *pixels = malloc(WIDE * SIDE * 3);
    static const uint8_t colours[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 255}};
    for (int i = 0; i < WIDE * SIDE; i++)
        memcpy(pixels + 3 * i, colours[(i / WIDE >= SIDE / 2) * 2 + (i % WIDE >= WIDE / 2)], 3);
    VipsImage *image =
        vips_image_new_from_memory_copy(pixels, WIDE * SIDE * 3, WIDE, SIDE, 3, VIPS_FORMAT_UCHAR);
    free(pixels);
    image->Type = VIPS_INTERPRETATION_sRGB;
    vips_image_set_int(image, VIPS_META_ORIENTATION, orientation);
    save(image, path);
}

static char quarter(const struct thaw_image *image, int right, int below) {
    int x = image->width / 4 + right * image->width / 2;
    int y = image->height / 4 + below * image->height / 2;
    int r = at(image, x, y, 0), g = at(image, x, y, 1), b = at(image, x, y, 2);
    return r > 200 && g > 200 && b > 200 ? 'w'
           : r > 200 && g < 60 && b < 60 ? 'r'
           : g > 200 && r < 60 && b < 60 ? 'g'
           : b > 200 && r < 60 && g < 60 ? 'b'
                                         : '?';
}

static void exif_orientation_is_applied(void **state) {
    (void)state;
    /* upper left, upper right, lower left, lower right, by EXIF's definition of the values */
    static const char *const expected[9] = {NULL,   "rgbw", "grwb", "wbgr", "bwrg",
                                            "rbgw", "brwg", "wgbr", "gwrb"};
    for (int orientation = 1; orientation <= 8; orientation++) {
        const char *path = file_path("exif.jpg");
        save_quarters(path, orientation);
        struct thaw_image image = decode(path, 3);
        bool is_turned = orientation >= 5;
        assert_int_equal(image.width, is_turned ? 64 : 96);
        assert_int_equal(image.height, is_turned ? 96 : 64);
        for (int i = 0; i < 4; i++)
            if (quarter(&image, i % 2, i / 2) != expected[orientation][i])
                fail_msg("orientation %d: quarter %d is %c", orientation, i,
                         quarter(&image, i % 2, i / 2));
        thaw_image_finish(&image);
    }
}

static void cmyk_becomes_rgb(void **state) {
    (void)state;
    static const char *const names[] = {"cmyk.jpg", "cmyk.tif"};
    for (int i = 0; i < 2; i++) {
        const char *path = file_path(names[i]);
        save(make_plain(16, 16, (double[]){0, 0, 0, 0}, 4, VIPS_FORMAT_UCHAR,
                        VIPS_INTERPRETATION_CMYK),
             path);
        check_plain(path, (int[]){255, 255, 255}, 8);
        save(make_plain(16, 16, (double[]){0, 255, 255, 0}, 4, VIPS_FORMAT_UCHAR,
                        VIPS_INTERPRETATION_CMYK),
             path);
        struct thaw_image red = decode(path, 3); /* what printed red is depends on the profile */
        assert_true(at(&red, 8, 8, 0) > 180 && at(&red, 8, 8, 1) < 80 && at(&red, 8, 8, 2) < 80);
        thaw_image_finish(&red);
    }
}

static void sixteen_bits_become_eight(void **state) {
    (void)state;
    const char *path = file_path("deep.png");
    save(make_plain(5, 4, (double[]){0x1234, 0x80ff, 0xffff}, 3, VIPS_FORMAT_USHORT,
                    VIPS_INTERPRETATION_RGB16),
         path);
    check_plain(path, (int[]){0x12, 0x80, 0xff}, 0);
    save(make_plain(5, 4, (double[]){0x4321}, 1, VIPS_FORMAT_USHORT, VIPS_INTERPRETATION_GREY16),
         path);
    check_plain(path, (int[]){0x43, 0x43, 0x43}, 0);
}

static void alpha_is_flattened_over_white(void **state) {
    (void)state;
    const char *path = file_path("alpha.png");
    save(
        make_plain(5, 4, (double[]){10, 20, 30, 0}, 4, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB),
        path);
    check_plain(path, (int[]){255, 255, 255}, 0);
    save(make_plain(5, 4, (double[]){10, 20, 30, 255}, 4, VIPS_FORMAT_UCHAR,
                    VIPS_INTERPRETATION_sRGB),
         path);
    check_plain(path, (int[]){10, 20, 30}, 0);
    save(make_plain(5, 4, (double[]){100, 128}, 2, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_B_W),
         path);
    check_plain(path, (int[]){177, 177, 177}, 1); /* 255 - 155 * 128 / 255 */
    save(make_plain(5, 4, (double[]){0, 0x8000, 0, 0x8000}, 4, VIPS_FORMAT_USHORT,
                    VIPS_INTERPRETATION_RGB16),
         path);
    check_plain(path, (int[]){127, 191, 127}, 1);
}

static void palettes_are_expanded(void **state) {
    (void)state;
    const char *path = file_path("palette.png");
    VipsImage *image = make_plain(16, 16, (double[]){200, 100, 50}, 3, VIPS_FORMAT_UCHAR,
                                  VIPS_INTERPRETATION_sRGB);
    assert_int_equal(vips_pngsave(image, path, "palette", TRUE, NULL), 0);
    g_object_unref(image);
    check_plain(path, (int[]){200, 100, 50}, 2);
    path = file_path("bits.png");
    image = make_plain(16, 16, (double[]){255}, 1, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_B_W);
    assert_int_equal(vips_pngsave(image, path, "bitdepth", 1, NULL), 0);
    g_object_unref(image);
    check_plain(path, (int[]){255, 255, 255}, 0);
}

static void other_formats_are_read(void **state) {
    (void)state;
    static const char *const names[] = {"a.webp", "a.tiff", "a.gif", "a.bmp", "a.ppm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = file_path(names[i]);
        save(make_plain(32, 24, (double[]){200, 100, 50}, 3, VIPS_FORMAT_UCHAR,
                        VIPS_INTERPRETATION_sRGB),
             path);
        check_plain(path, (int[]){200, 100, 50}, 8);
    }
}

static void first_page_is_taken(void **state) {
    (void)state;
    const char *path = file_path("pages.tif");
    VipsImage *pages[2] = {
        make_plain(8, 8, (double[]){255, 0, 0}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB),
        make_plain(8, 8, (double[]){0, 0, 255}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB)};
    VipsImage *joined = NULL, *copy = NULL;
    assert_int_equal(vips_arrayjoin(pages, &joined, 2, "across", 1, NULL), 0);
    assert_int_equal(vips_copy(joined, &copy, NULL), 0);
    vips_image_set_int(copy, VIPS_META_PAGE_HEIGHT, 8);
    save(copy, path);
    g_object_unref(joined);
    g_object_unref(pages[0]);
    g_object_unref(pages[1]);
    struct thaw_image image = decode(path, 3);
    assert_int_equal(image.height, 8);
    thaw_image_finish(&image);
    check_plain(path, (int[]){255, 0, 0}, 0);
}

/* A profile whose blue and red are swapped would be hard to make; Display P3, if libvips brings it:
 * its full green is beyond sRGB, its grey is the same. */
static void profiles_are_applied(void **state) {
    (void)state;
    const char *path = file_path("p3.png");
    VipsImage *image =
        make_plain(8, 8, (double[]){100, 180, 60}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB);
    VipsImage *converted = NULL;
    assert_int_equal(vips_icc_transform(image, &converted, "p3", "input_profile", "srgb", NULL), 0);
    struct thaw_image raw = {0};
    save(converted, path);
    g_object_unref(image);
    image = vips_image_new_from_file(path, NULL);
    double values[3];
    double *pixel = NULL;
    int count = 0;
    assert_int_equal(vips_getpoint(image, &pixel, &count, 2, 2, NULL), 0);
    memcpy(values, pixel, sizeof values);
    g_free(pixel);
    g_object_unref(image);
    assert_true(fabs(values[0] - 100) > 3); /* the file's numbers do differ */
    check_plain(path, (int[]){100, 180, 60}, 2);
    thaw_image_finish(&raw);
}

/* ---- resizing --------------------------------------------------------------------------------*/

/* One dimension of the triangle filter, as PIL's BILINEAR and torchvision's antialias have it. */
static void resize_line(const double *line, int count, int stride, int new_count, double *ret_line,
                        int ret_stride) {
    double step = (double)count / new_count, support = step > 1 ? step : 1;
    for (int i = 0; i < new_count; i++) {
        double centre = (i + 0.5) * step, sum = 0, weights = 0;
        for (int j = 0; j < count; j++) {
            double distance = fabs(j + 0.5 - centre) / support;
            double weight = distance < 1 ? 1 - distance : 0;
            sum += weight * line[j * stride];
            weights += weight;
        }
        ret_line[i * ret_stride] = sum / weights;
    }
}

static void check_resize(int width, int height, enum thaw_resize_mode mode, int size, int new_width,
                         int new_height) {
    const char *path = file_path("large.png");
    uint8_t *pixels = malloc((size_t)(width * height));
    double *source = malloc((size_t)(width * height) * sizeof *source);
    double *half = malloc((size_t)(new_width * height) * sizeof *half);
    double *expected = malloc((size_t)(new_width * new_height) * sizeof *expected);
    for (int i = 0; i < width * height; i++)
        source[i] = pixels[i] =
            (uint8_t)(127 + 100 * sin(0.3 * (i % width)) * cos(0.2 * (i / width)));
    VipsImage *picture = vips_image_new_from_memory_copy(pixels, (size_t)(width * height), width,
                                                         height, 1, VIPS_FORMAT_UCHAR);
    picture->Type = VIPS_INTERPRETATION_B_W;
    save(picture, path);
    for (int y = 0; y < height; y++)
        resize_line(source + y * width, width, 1, new_width, half + y * new_width, 1);
    for (int x = 0; x < new_width; x++)
        resize_line(half + x, height, new_width, new_height, expected + x, new_width);
    struct thaw_image_request request = {1, mode, size};
    struct thaw_image image = {0};
    assert_ok(thaw_image_decode(path, &request, &image));
    assert_int_equal(image.width, new_width);
    assert_int_equal(image.height, new_height);
    for (int i = 0; i < new_width * new_height; i++) {
        int x = i % new_width, y = i / new_width;
        /* at the border PIL leaves the missing pixels out where libvips repeats the last one */
        bool is_border = !x || !y || x == new_width - 1 || y == new_height - 1;
        if (fabs(image.pixels[i] - expected[i]) > (is_border ? 8 : 1.5))
            fail_msg("%d x %d to %d x %d: (%d, %d) is %d, expected %g", width, height, new_width,
                     new_height, x, y, image.pixels[i], expected[i]);
    }
    thaw_image_finish(&image);
    free(pixels);
    free(source);
    free(half);
    free(expected);
}

static void resizing_is_a_triangle_filter(void **state) {
    (void)state;
    check_resize(300, 300, THAW_RESIZE_STRETCH, 160, 160, 160);
    check_resize(211, 97, THAW_RESIZE_STRETCH, 64, 64, 64);
    check_resize(301, 200, THAW_RESIZE_SHORT, 64, 96, 64); /* 64 * 301 / 200 = 96.3 */
    check_resize(97, 211, THAW_RESIZE_SHORT, 32, 32, 69);
    check_resize(40, 30, THAW_RESIZE_SHORT, 60, 80, 60); /* upwards */
    check_resize(64, 64, THAW_RESIZE_STRETCH, 64, 64, 64);
    check_resize(120, 30, THAW_RESIZE_STRETCH, 64, 64, 64); /* down and up */
}

/* The JPEG decoder's own shrinking must not show. */
static void large_jpegs_are_shrunk_while_decoding(void **state) {
    (void)state;
    enum { SIDE = 640 };
    const char *path = file_path("big.jpg");
    uint8_t *pixels = malloc(SIDE * SIDE);
    for (int i = 0; i < SIDE * SIDE; i++)
        pixels[i] = (uint8_t)(127 + 100 * sin(0.02 * (i % SIDE)) * cos(0.03 * (i / SIDE)));
    VipsImage *picture =
        vips_image_new_from_memory_copy(pixels, SIDE * SIDE, SIDE, SIDE, 1, VIPS_FORMAT_UCHAR);
    picture->Type = VIPS_INTERPRETATION_B_W;
    assert_int_equal(vips_jpegsave(picture, path, "Q", 95, NULL), 0);
    g_object_unref(picture);
    struct thaw_image_request request = {1, THAW_RESIZE_STRETCH, 80};
    struct thaw_image image = {0};
    assert_ok(thaw_image_decode(path, &request, &image));
    for (int i = 0; i < 80 * 80; i++) {
        double x = (i % 80 + 0.5) * 8 - 0.5, y = (i / 80 + 0.5) * 8 - 0.5;
        assert_true(fabs(image.pixels[i] - (127 + 100 * sin(0.02 * x) * cos(0.03 * y))) < 4);
    }
    thaw_image_finish(&image);
    free(pixels);
}

/* ---- wrong input -----------------------------------------------------------------------------*/

static void check_fails(const char *path, const char *part) {
    struct thaw_image_request request = {3, THAW_RESIZE_STRETCH, 16};
    struct thaw_image image = {0};
    assert_fails(thaw_image_decode(path, &request, &image), THAW_ERROR_INPUT, path);
    assert_fails(thaw_image_decode(path, &request, &image), THAW_ERROR_INPUT, part);
    assert_null(image.pixels);
    if (strchr(thaw_error_message(), '\n'))
        fail_msg("more than one line: %s", thaw_error_message());
}

static void save_text(const char *path, const char *text) {
    assert_ok(thaw_file_write(path, text, strlen(text)));
}

static void what_is_no_picture_is_refused(void **state) {
    (void)state;
    const char *path = file_path("text.jpg");
    save_text(path, "this is not a picture at all, but some text\n");
    check_fails(path, "not a picture");
    save_text(path, "");
    check_fails(path, "empty");
    save_text(path, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"></svg>");
    check_fails(path, "not a picture");
    save_text(path, "%PDF-1.4\n");
    check_fails(path, "not a picture");
    check_fails(file_path("nowhere.jpg"), "No such file");
    check_fails(test_directory(), "is a directory");
}

/* What libvips can hold but no photo is. */
static void pixels_of_other_types_are_refused(void **state) {
    (void)state;
    const char *path = file_path("float.tif");
    save(make_plain(8, 8, (double[]){0.5}, 1, VIPS_FORMAT_FLOAT, VIPS_INTERPRETATION_B_W), path);
    check_fails(path, "pixels of type float");
    path = file_path("int.tif");
    save(make_plain(8, 8, (double[]){70000}, 1, VIPS_FORMAT_UINT, VIPS_INTERPRETATION_B_W), path);
    check_fails(path, "pixels of type uint");
    path = file_path("bands.tif");
    save(make_plain(8, 8, (double[]){1, 2, 3, 4, 5, 6, 7}, 7, VIPS_FORMAT_UCHAR,
                    VIPS_INTERPRETATION_MULTIBAND),
         path);
    check_fails(path, "cannot decode");
}

/* Cuts a file to a part of its length. */
static void cut(const char *path, double part) {
    struct thaw_map map;
    assert_ok(thaw_map_open(path, &map));
    off_t length = (off_t)((double)map.size_bytes * part);
    thaw_map_close(&map);
    assert_int_equal(truncate(path, length), 0);
}

static void truncated_files_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"cut.jpg", "cut.png", "cut.webp", "cut.tif", "cut.gif"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (double part = 0.2; part < 0.95; part += 0.3) {
            const char *path = file_path(names[i]);
            VipsImage *noise = NULL, *image = NULL;
            assert_int_equal(vips_gaussnoise(&noise, 200, 150, "mean", 128.0, "sigma", 50.0, NULL),
                             0);
            assert_int_equal(vips_cast_uchar(noise, &image, NULL), 0);
            g_object_unref(noise);
            save(image, path);
            cut(path, part);
            check_fails(path, "cannot decode");
        }
}

static void damaged_png_is_refused(void **state) {
    (void)state;
    const char *path = file_path("crc.png");
    save(make_picture(64, 64, 3), path);
    struct thaw_map map;
    assert_ok(thaw_map_open(path, &map));
    unsigned char *bytes = malloc(map.size_bytes);
    size_t size_bytes = map.size_bytes;
    memcpy(bytes, map.bytes, size_bytes);
    thaw_map_close(&map);
    bytes[size_bytes - 40] ^= 0x55;
    assert_ok(thaw_file_write(path, bytes, size_bytes));
    free(bytes);
    check_fails(path, "damaged");
}

/* The header of a BMP-sized lie: PPM says its size in plain text. */
static void huge_pictures_are_refused(void **state) {
    (void)state;
    const char *path = file_path("huge.ppm");
    save_text(path, "P6 60000 60000 255\n");
    check_fails(path, "60000 x 60000");
    path = file_path("line.png");
    save(make_plain(30000, 1, (double[]){9}, 1, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_B_W), path);
    struct thaw_image_request request = {3, THAW_RESIZE_SHORT, 224};
    struct thaw_image image = {0};
    assert_fails(thaw_image_decode(path, &request, &image), THAW_ERROR_INPUT, "30000 x 1");
}

static void hashes_tell_pictures_apart(void **state) {
    (void)state;
    uint8_t pixels[6] = {1, 2, 3, 4, 5, 6};
    struct thaw_image wide = {pixels, 2, 1, 3, 0}, high = {pixels, 1, 2, 3, 0};
    struct thaw_image grey = {pixels, 6, 1, 1, 0};
    uint64_t hash = thaw_image_hash(&wide);
    assert_int_equal(hash, thaw_image_hash(&wide));
    assert_true(hash != thaw_image_hash(&high) && hash != thaw_image_hash(&grey));
    pixels[5]++;
    assert_true(hash != thaw_image_hash(&wide));
}

static int start(void **state) {
    (void)state;
    return vips_init("test_image");
}

static int finish(void **state) {
    (void)state;
    vips_shutdown();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_is_exact),
        cmocka_unit_test(grey_becomes_three_equal_channels),
        cmocka_unit_test(colour_becomes_grey),
        cmocka_unit_test(exif_orientation_is_applied),
        cmocka_unit_test(cmyk_becomes_rgb),
        cmocka_unit_test(sixteen_bits_become_eight),
        cmocka_unit_test(alpha_is_flattened_over_white),
        cmocka_unit_test(palettes_are_expanded),
        cmocka_unit_test(other_formats_are_read),
        cmocka_unit_test(first_page_is_taken),
        cmocka_unit_test(profiles_are_applied),
        cmocka_unit_test(resizing_is_a_triangle_filter),
        cmocka_unit_test(large_jpegs_are_shrunk_while_decoding),
        cmocka_unit_test(what_is_no_picture_is_refused),
        cmocka_unit_test(pixels_of_other_types_are_refused),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(damaged_png_is_refused),
        cmocka_unit_test(huge_pictures_are_refused),
        cmocka_unit_test(hashes_tell_pictures_apart),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
