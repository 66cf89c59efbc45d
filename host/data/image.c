#include "data/image.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

#include <vips/vector.h> /* needs what vips.h includes */

#include "core/file.h"

/* libvips collects its error messages in one buffer for all threads. Decoding holds this lock
 * shared; after a failure the file is decoded once more with the lock held alone, so that the
 * reason that is reported is this file's own. */
static pthread_rwlock_t error_lock;
static pthread_once_t started = PTHREAD_ONCE_INIT;
static bool is_usable;

static void drop_message(const gchar *domain, GLogLevelFlags level, const gchar *message,
                         gpointer user) {
    (void)domain, (void)level, (void)message, (void)user;
}

static void start(void) {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    /* else a failure could wait for as long as other threads keep decoding */
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&error_lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    g_log_set_handler("VIPS", G_LOG_LEVEL_MASK | G_LOG_FLAG_RECURSION, drop_message, NULL);
    is_usable = vips_init("thaw") == 0;
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    /* Its run-time compiled loops are built and freed by each pipeline, and liborc before 0.4.34
     * does that without a lock: decoding in several threads crashes now and then. */
    vips_vector_set_enabled(FALSE);
}

/* Replaces the pipeline's last image by the one made from it. */
static void advance(VipsImage **image, VipsImage *next) {
    g_object_unref(*image);
    *image = next;
}

/* ---- loading ---------------------------------------------------------------------------------*/

static thaw_status fail_vips(void) {
    return thaw_fail(THAW_ERROR_INPUT, "damaged"); /* thaw_image_decode() adds libvips's reason */
}

static bool is_known(const char *loader) {
    static const char *const known[] = {"Jpeg", "Png",  "Webp", "Tiff", "gif",
                                        "Heif", "Jp2k", "Jxl",  "Ppm"};
    for (size_t i = 0; loader && i < sizeof known / sizeof *known; i++)
        if (strstr(loader, known[i]))
            return true;
    return false;
}

/* Opens a picture: its header is read, its pixels later. libvips also knows PDF, SVG, slides,
 * matrices and all of ImageMagick's formats, which reach further into the system than a photo
 * should: of ImageMagick's only BMP is let through. */
static thaw_status open_image(const struct thaw_map *file, VipsImage **ret_image,
                              bool *ret_is_jpeg) {
    VipsSource *source = vips_source_new_from_memory(file->bytes, file->size_bytes);
    if (!source)
        return fail_vips();
    const char *loader = vips_foreign_find_load_source(source);
    VipsImage *image = NULL;
    thaw_status status = THAW_OK;
    vips_error_clear(); /* that nothing was found is said below */
    if (is_known(loader))
        image = vips_image_new_from_source(source, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                           VIPS_FAIL_ON_ERROR, NULL);
    else if (file->size_bytes > 2 && memcmp(file->bytes, "BM", 2) == 0)
        image =
            vips_image_new_from_buffer(file->bytes, file->size_bytes, "", "access",
                                       VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_ERROR, NULL);
    else
        status = thaw_fail(THAW_ERROR_INPUT, "not a picture (of JPEG, PNG, WebP, TIFF, GIF, BMP, "
                                             "HEIF, JPEG 2000, JPEG XL, PPM)");
    g_object_unref(source); /* the image has its own reference */
    if (status == THAW_OK && !image)
        status = fail_vips();
    if (status == THAW_OK) {
        *ret_image = image;
        *ret_is_jpeg = is_known(loader) && strstr(loader, "Jpeg");
    }
    return status;
}

/* Width and height that the request makes of a picture. */
static thaw_status target_size(const struct thaw_image_request *request, int width, int height,
                               int *ret_width, int *ret_height) {
    int64_t size = request->size, w = width, h = height;
    if (request->mode == THAW_RESIZE_STRETCH) {
        w = h = size;
    } else if (request->mode == THAW_RESIZE_SHORT) {
        int64_t brief = width < height ? width : height;
        w = size * width / brief;
        h = size * height / brief;
    }
    if (w * h > THAW_IMAGE_PIXELS_MAX)
        return thaw_fail(THAW_ERROR_INPUT,
                         "%d x %d pixels would become %lld x %lld: more than %lld pixels", width,
                         height, (long long)w, (long long)h, (long long)THAW_IMAGE_PIXELS_MAX);
    *ret_width = (int)w;
    *ret_height = (int)h;
    return THAW_OK;
}

/* A picture on its way through libvips, and the size it shall have before it is rotated: each mode
 * makes of a turned picture the same, turned. */
struct pipeline {
    VipsImage *image;
    int width, height;
};

/* By how much the JPEG decoder may shrink for free and leave at least twice the target. */
static int jpeg_shrink(const struct pipeline *pipeline) {
    for (int shrink = 8; shrink > 1; shrink /= 2)
        if (pipeline->image->Xsize / shrink >= 2 * pipeline->width &&
            pipeline->image->Ysize / shrink >= 2 * pipeline->height)
            return shrink;
    return 1;
}

static thaw_status load(const struct thaw_map *file, const struct thaw_image_request *request,
                        struct pipeline *pipeline) {
    if (!file->size_bytes)
        return thaw_fail(THAW_ERROR_INPUT, "the file is empty");
    bool is_jpeg = false;
    THAW_TRY(open_image(file, &pipeline->image, &is_jpeg));
    int width = pipeline->image->Xsize, height = pipeline->image->Ysize;
    if ((int64_t)width * height > THAW_IMAGE_PIXELS_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "%d x %d pixels; at most %lld are decoded", width,
                         height, (long long)THAW_IMAGE_PIXELS_MAX);
    THAW_TRY(target_size(request, width, height, &pipeline->width, &pipeline->height));
    int shrink = is_jpeg ? jpeg_shrink(pipeline) : 1;
    if (shrink == 1)
        return THAW_OK;
    VipsImage *small = NULL;
    if (vips_jpegload_buffer((void *)file->bytes, file->size_bytes, &small, "access",
                             VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_ERROR, "shrink",
                             shrink, NULL))
        return fail_vips();
    advance(&pipeline->image, small);
    return THAW_OK;
}

/* ---- pixels ----------------------------------------------------------------------------------*/

/* Gives the image an interpretation that fits its bands and format. */
static thaw_status interpret(VipsImage **image) {
    VipsBandFormat format = (*image)->BandFmt;
    VipsInterpretation meaning = vips_image_guess_interpretation(*image);
    bool is_integer = format == VIPS_FORMAT_UCHAR || format == VIPS_FORMAT_USHORT;
    if (!is_integer && !(format == VIPS_FORMAT_FLOAT && meaning == VIPS_INTERPRETATION_scRGB))
        return thaw_fail(THAW_ERROR_INPUT, "pixels of type %s; 8 or 16 bits are read",
                         vips_enum_nick(VIPS_TYPE_BAND_FORMAT, format));
    VipsImage *next = NULL;
    if (meaning == (*image)->Type)
        return THAW_OK;
    if (vips_copy(*image, &next, "interpretation", meaning, NULL))
        return fail_vips();
    advance(image, next);
    return THAW_OK;
}

static thaw_status flatten(VipsImage **image) {
    if (!vips_image_hasalpha(*image))
        return THAW_OK;
    double top = (*image)->BandFmt == VIPS_FORMAT_USHORT  ? 65535
                 : (*image)->BandFmt == VIPS_FORMAT_UCHAR ? 255
                                                          : 1; /* scRGB */
    bool is_cmyk = (*image)->Type == VIPS_INTERPRETATION_CMYK; /* where white is no ink */
    double white = is_cmyk ? 0 : top;
    VipsArrayDouble *background = vips_array_double_newv(1, white);
    VipsImage *next = NULL;
    int failed = vips_flatten(*image, &next, "background", background, "max_alpha",
                              top == 1 ? 255.0 : top, NULL); /* libvips: scRGB has 0..255 too */
    vips_area_unref(VIPS_AREA(background));
    if (failed)
        return fail_vips();
    advance(image, next);
    return THAW_OK;
}

/* Downwards: the triangle filter. gap 0: no box filter before it. */
static thaw_status reduce(struct pipeline *pipeline) {
    VipsImage *next = NULL, *image = pipeline->image;
    double across = (double)image->Xsize / pipeline->width;
    double down = (double)image->Ysize / pipeline->height;
    if (across <= 1 && down <= 1)
        return THAW_OK;
    if (vips_reduce(image, &next, across > 1 ? across : 1, down > 1 ? down : 1, "kernel",
                    VIPS_KERNEL_LINEAR, "gap", 0.0, NULL))
        return fail_vips();
    advance(&pipeline->image, next);
    return THAW_OK;
}

/* Upwards: bilinear. Output pixel x is at (x + 1/2) / s - 1/2, which vips_resize() has not. */
static thaw_status enlarge(struct pipeline *pipeline) {
    int width = pipeline->width, height = pipeline->height;
    VipsImage *image = pipeline->image;
    double across = (double)width / image->Xsize, down = (double)height / image->Ysize;
    if (image->Xsize == width && image->Ysize == height)
        return THAW_OK;
    VipsImage *next = vips_image_copy_memory(image); /* it is read in any order */
    if (!next)
        return fail_vips();
    advance(&pipeline->image, next);
    VipsArrayInt *area = vips_array_int_newv(4, 0, 0, width, height);
    VipsInterpolate *bilinear = vips_interpolate_new("bilinear");
    int failed = vips_affine(pipeline->image, &next, across, 0, 0, down, "oarea", area, "odx",
                             (across - 1) / 2, "ody", (down - 1) / 2, "extend", VIPS_EXTEND_COPY,
                             "interpolate", bilinear, NULL);
    g_object_unref(bilinear);
    vips_area_unref(VIPS_AREA(area));
    if (failed)
        return fail_vips();
    advance(&pipeline->image, next);
    return THAW_OK;
}

static thaw_status rotate(VipsImage **image) {
    if (vips_image_get_orientation(*image) <= 1)
        return THAW_OK;
    VipsImage *next = vips_image_copy_memory(*image); /* it is read in any order */
    if (!next)
        return fail_vips();
    advance(image, next);
    if (vips_autorot(*image, &next, NULL))
        return fail_vips();
    advance(image, next);
    return THAW_OK;
}

/* To sRGB or grey with 8 bits. A profile that does not fit the pixels is passed over. */
static thaw_status convert(VipsImage **image, int channels) {
    VipsImage *next = NULL;
    if (vips_image_get_typeof(*image, VIPS_META_ICC_NAME)) {
        if (!vips_icc_transform(*image, &next, "srgb", "embedded", TRUE, "depth", 8, NULL))
            advance(image, next);
        else
            vips_error_clear();
    }
    VipsInterpretation space = channels == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    next = NULL;
    if (vips_colourspace(*image, &next, space, NULL))
        return fail_vips();
    advance(image, next);
    if ((*image)->Bands != channels || (*image)->BandFmt != VIPS_FORMAT_UCHAR)
        return thaw_fail(THAW_ERROR_INPUT, "%d bands of type %s; expected grey or colour",
                         (*image)->Bands, vips_enum_nick(VIPS_TYPE_BAND_FORMAT, (*image)->BandFmt));
    return THAW_OK;
}

static float mean_luma(const struct thaw_image *image) {
    size_t count = (size_t)image->width * (size_t)image->height;
    uint64_t sums[3] = {0};
    for (size_t i = 0; i < count; i++)
        for (int c = 0; c < image->channels; c++)
            sums[c] += image->pixels[i * (size_t)image->channels + (size_t)c];
    double sum = image->channels == 1
                     ? (double)sums[0]
                     : 0.299 * (double)sums[0] + 0.587 * (double)sums[1] + 0.114 * (double)sums[2];
    return (float)(sum / (255.0 * (double)count));
}

/* From the picture as loaded to pixels. */
static thaw_status finish_pipeline(struct pipeline *pipeline,
                                   const struct thaw_image_request *request,
                                   struct thaw_image *ret_image) {
    THAW_TRY(interpret(&pipeline->image));
    THAW_TRY(flatten(&pipeline->image));
    THAW_TRY(reduce(pipeline));
    THAW_TRY(enlarge(pipeline));
    THAW_TRY(rotate(&pipeline->image));
    THAW_TRY(convert(&pipeline->image, request->channels));
    size_t size_bytes = 0;
    struct thaw_image image = {.width = pipeline->image->Xsize,
                               .height = pipeline->image->Ysize,
                               .channels = request->channels};
    image.pixels = vips_image_write_to_memory(pipeline->image, &size_bytes);
    if (!image.pixels)
        return fail_vips();
    image.luma = mean_luma(&image);
    *ret_image = image;
    return THAW_OK;
}

static thaw_status decode_bytes(const struct thaw_map *file,
                                const struct thaw_image_request *request,
                                struct thaw_image *ret_image) {
    struct pipeline pipeline = {0};
    thaw_status status = load(file, request, &pipeline);
    if (status == THAW_OK)
        status = finish_pipeline(&pipeline, request, ret_image);
    if (pipeline.image)
        g_object_unref(pipeline.image);
    return status;
}

/* Appends what libvips has said, its lines joined by "; ". */
static thaw_status add_reason(thaw_status status) {
    char reason[512];
    size_t length = 0;
    for (const char *c = vips_error_buffer(); *c && length + 3 < sizeof reason; c++) {
        if (*c != '\n') {
            reason[length++] = *c;
        } else if (c[1]) {
            reason[length++] = ';';
            reason[length++] = ' ';
        }
    }
    reason[length] = '\0';
    if (!length)
        return status;
    char text[THAW_ERROR_SIZE];
    g_strlcpy(text, thaw_error_message(), sizeof text);
    return thaw_fail(status, "%s: %s", text, reason);
}

static thaw_status explain(const struct thaw_map *file, const struct thaw_image_request *request,
                           struct thaw_image *ret_image) {
    pthread_rwlock_wrlock(&error_lock);
    vips_error_clear();
    thaw_status status = decode_bytes(file, request, ret_image);
    if (status == THAW_ERROR_INPUT)
        status = add_reason(status);
    vips_error_clear();
    pthread_rwlock_unlock(&error_lock);
    return status;
}

thaw_status thaw_image_decode(const char *path, const struct thaw_image_request *request,
                              struct thaw_image *ret_image) {
    pthread_once(&started, start);
    if (!is_usable)
        return thaw_fail(THAW_ERROR_RUNTIME, "libvips does not start: %s", vips_error_buffer());
    struct thaw_map file = {0};
    THAW_TRY(thaw_map_open(path, &file));
    pthread_rwlock_rdlock(&error_lock);
    thaw_status status = decode_bytes(&file, request, ret_image);
    pthread_rwlock_unlock(&error_lock);
    if (status != THAW_OK)
        status = explain(&file, request, ret_image);
    thaw_map_close(&file);
    return thaw_context(status, "cannot decode '%s'", path);
}

/* ---- pixels in memory -------------------------------------------------------------------------*/

static thaw_status load_raster(const struct thaw_raster *raster, struct pipeline *pipeline) {
    size_t size_bytes = (size_t)raster->width * (size_t)raster->height * (size_t)raster->channels;
    pipeline->image =
        vips_image_new_from_memory(raster->pixels, size_bytes, raster->width, raster->height,
                                   raster->channels, VIPS_FORMAT_UCHAR);
    if (!pipeline->image)
        return fail_vips();
    VipsImage *next = NULL;
    VipsInterpretation meaning =
        raster->channels == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    if (vips_copy(pipeline->image, &next, "interpretation", meaning, NULL))
        return fail_vips();
    advance(&pipeline->image, next);
    return THAW_OK;
}

/* Without libvips where nothing is to be resized: it takes longer than a small picture's pixels. */
static thaw_status copy_raster(const struct thaw_raster *raster, int channels,
                               struct thaw_image *ret_image) {
    size_t count = (size_t)raster->width * (size_t)raster->height;
    struct thaw_image image = {
        .width = raster->width, .height = raster->height, .channels = channels};
    image.pixels = g_try_malloc(count * (size_t)channels);
    if (!image.pixels)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (raster->channels == channels)
        memcpy(image.pixels, raster->pixels, count * (size_t)channels);
    else /* grey as three equal channels */
        for (size_t i = 0; i < count; i++)
            for (size_t c = 0; c < (size_t)channels; c++)
                image.pixels[i * (size_t)channels + c] = raster->pixels[i];
    image.luma = mean_luma(&image);
    *ret_image = image;
    return THAW_OK;
}

static thaw_status decode_raster(const struct thaw_raster *raster,
                                 const struct thaw_image_request *request,
                                 struct thaw_image *ret_image) {
    struct pipeline pipeline = {0};
    THAW_TRY(
        target_size(request, raster->width, raster->height, &pipeline.width, &pipeline.height));
    if (pipeline.width == raster->width && pipeline.height == raster->height &&
        raster->channels <= request->channels)
        return copy_raster(raster, request->channels, ret_image);
    thaw_status status = load_raster(raster, &pipeline);
    if (status == THAW_OK)
        status = finish_pipeline(&pipeline, request, ret_image);
    if (pipeline.image)
        g_object_unref(pipeline.image);
    return status;
}

thaw_status thaw_image_from_raster(const struct thaw_raster *raster, const char *name,
                                   const struct thaw_image_request *request,
                                   struct thaw_image *ret_image) {
    pthread_once(&started, start);
    if (!is_usable)
        return thaw_fail(THAW_ERROR_RUNTIME, "libvips does not start: %s", vips_error_buffer());
    pthread_rwlock_rdlock(&error_lock);
    thaw_status status = decode_raster(raster, request, ret_image);
    pthread_rwlock_unlock(&error_lock);
    return thaw_context(status, "cannot prepare '%s'", name);
}

void thaw_image_finish(struct thaw_image *image) {
    g_free(image->pixels);
    *image = (struct thaw_image){0};
}

uint64_t thaw_image_hash(const struct thaw_image *image) {
    uint64_t seed = (uint64_t)(uint32_t)image->width << 32 | (uint32_t)image->height;
    size_t size_bytes = (size_t)image->width * (size_t)image->height * (size_t)image->channels;
    return thaw_hash64(image->pixels, size_bytes, seed + (uint64_t)image->channels);
}

void thaw_image_thread_finish(void) {
    vips_thread_shutdown();
}

thaw_status thaw_image_jpeg(const struct thaw_image *image, unsigned char **ret_bytes,
                            size_t *ret_size_bytes) {
    size_t size_bytes = (size_t)image->width * (size_t)image->height * (size_t)image->channels;
    void *buffer = NULL;
    size_t length = 0;
    pthread_once(&started, start);
    VipsImage *picture = vips_image_new_from_memory(
        image->pixels, size_bytes, image->width, image->height, image->channels, VIPS_FORMAT_UCHAR);
    int failed = !picture || vips_jpegsave_buffer(picture, &buffer, &length, "Q", 80, NULL);
    if (picture)
        g_object_unref(picture);
    if (failed)
        return thaw_fail(THAW_ERROR_RUNTIME, "a picture can't be written as JPEG");
    *ret_bytes = malloc(length);
    if (*ret_bytes)
        memcpy(*ret_bytes, buffer, length);
    *ret_size_bytes = length;
    g_free(buffer);
    return *ret_bytes ? THAW_OK : thaw_fail(THAW_ERROR_MEMORY, "out of memory");
}
