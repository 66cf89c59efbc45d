/* Pictures from files, decoded by libvips into 8-bit pixels.
 *
 * Whatever the file holds comes out as sRGB (or grey, for a network with one channel): rotated as
 * its EXIF orientation says, embedded ICC profiles and CMYK converted, 16 bits cut to the high 8,
 * alpha flattened over white, palettes expanded, grey as three equal channels, and of several pages
 * or frames the first one only. */
#ifndef THAW_DATA_IMAGE_H
#define THAW_DATA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Resizing is linear with antialiasing: a triangle filter as wide as the step between output
 * pixels, which is what PIL's BILINEAR and torchvision's antialias do. */
enum thaw_resize_mode {
    THAW_RESIZE_NONE,    /* pixels as they are */
    THAW_RESIZE_SHORT,   /* the short side becomes `size`, the long one in proportion, rounded down
                          * as torchvision does */
    THAW_RESIZE_STRETCH, /* both sides become `size` */
    THAW_RESIZE_MODE_COUNT
};

struct thaw_image_request {
    int channels; /* 1 or 3 */
    enum thaw_resize_mode mode;
    int size;
};

struct thaw_image {
    uint8_t *pixels; /* [height][width][channels] */
    int width, height, channels;
    float luma; /* mean of 0.299 R + 0.587 G + 0.114 B, in 0..1 */
};

/* No file decodes to more than this many pixels. */
#define THAW_IMAGE_PIXELS_MAX ((int64_t)1 << 28)

/* Decodes `path`. THAW_ERROR_INPUT names the file and the reason: missing, empty, truncated,
 * damaged, not a picture, too many pixels. Any thread; one core per call. JPEG files much larger
 * than asked for are decoded at 1/2, 1/4 or 1/8 of their size, never below twice the target.
 * *ret_image is the caller's, to be finished. The first call starts libvips, for the process: its
 * cache is off, its threads are off, its messages are dropped. */
thaw_status thaw_image_decode(const char *path, const struct thaw_image_request *request,
                              struct thaw_image *ret_image);
/* Pixels that are decoded already: [height][width][channels], channels 1 or 3. */
struct thaw_raster {
    const uint8_t *pixels;
    int width, height, channels;
};
/* The same for them, to the same bits as for a file of these pixels; they are copied. `name` is
 * for messages. */
thaw_status thaw_image_from_raster(const struct thaw_raster *raster, const char *name,
                                   const struct thaw_image_request *request,
                                   struct thaw_image *ret_image);
void thaw_image_finish(struct thaw_image *image); /* accepts {0} */

/* Content of the pixels and their dimensions, for caches. */
uint64_t thaw_image_hash(const struct thaw_image *image);

/* The picture as a small JPEG file in memory, freed by the caller with free(). */
thaw_status thaw_image_jpeg(const struct thaw_image *image, unsigned char **ret_bytes,
                            size_t *ret_size_bytes);

/* To be called by a thread that has decoded, before it ends: frees libvips's per-thread memory. */
void thaw_image_thread_finish(void);

#endif
