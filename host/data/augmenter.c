/* The device side of augment.h: pictures and draws go up, cl/augment.cl does the rest. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"

/* The words of a picture's record; cl/augment.cl reads them. */
struct record {
    int32_t offset, width, height, partner, plain;
    float lambda, to_source[6];
    int32_t erase[4];
    float colour[4][4]; /* what red, green, blue and 1 add to R, G, B (and nothing) */
};

/* A buffer on the device and what will be in it, both growing as needed. */
struct staging {
    cl_mem buffer;
    unsigned char *bytes;
    size_t capacity_bytes;
};

struct thaw_augmenter {
    thaw_device *device;
    struct thaw_input_spec spec;
    const struct thaw_augment_list *list;
    uint64_t seed;
    thaw_kernel *kernel;
    int run; /* pixels of a row for a work-item */
    struct staging pixels, records;
};

static thaw_status reserve(thaw_device *device, struct staging *staging, size_t size_bytes) {
    if (size_bytes <= staging->capacity_bytes)
        return THAW_OK;
    unsigned char *bytes = realloc(staging->bytes, size_bytes);
    if (!bytes)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    staging->bytes = bytes;
    staging->capacity_bytes = 0;
    thaw_buffer_destroy(&staging->buffer);
    THAW_TRY(thaw_buffer_create(device, size_bytes, &staging->buffer));
    staging->capacity_bytes = size_bytes;
    return THAW_OK;
}

/* The channel block of a network's input on this device (tensor/tensor.h). */
static int input_block(const thaw_augmenter *augmenter) {
    return thaw_device_get_caps(augmenter->device)->block == 1 ? 1 : augmenter->spec.image.channels;
}

static thaw_status build(thaw_augmenter *augmenter) {
    struct thaw_defines defines = {0};
    const struct thaw_input_spec *spec = &augmenter->spec;
    thaw_define_int(&defines, "C", spec->image.channels);
    thaw_define_int(&defines, "SIZE", spec->size);
    thaw_define_int(&defines, "RUN", augmenter->run);
    thaw_define_int(&defines, "PLANES", input_block(augmenter) < spec->image.channels);
    for (int c = 0; c < spec->image.channels && c < THAW_INPUT_CHANNELS_MAX; c++) {
        static const char *const scale[] = {"SCALE0", "SCALE1", "SCALE2"};
        static const char *const shift[] = {"SHIFT0", "SHIFT1", "SHIFT2"};
        thaw_define_float(&defines, scale[c], 1 / (255 * (double)spec->std[c]));
        thaw_define_float(&defines, shift[c], -(double)spec->mean[c] / (double)spec->std[c]);
    }
    return thaw_kernel_get(augmenter->device, "augment.cl", "augment", defines.text,
                           &augmenter->kernel);
}

thaw_status thaw_augmenter_create(thaw_device *device, const struct thaw_input_spec *spec,
                                  const struct thaw_augment_list *list, uint64_t seed,
                                  thaw_augmenter **ret_augmenter) {
    thaw_augmenter *augmenter = calloc(1, sizeof *augmenter);
    if (!augmenter)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    bool is_cpu = thaw_device_get_caps(device)->is_cpu;
    *augmenter = (thaw_augmenter){.device = device,
                                  .spec = *spec,
                                  .list = list,
                                  .seed = seed,
                                  .run = is_cpu ? spec->size : 1};
    thaw_status status = build(augmenter);
    if (status == THAW_OK)
        *ret_augmenter = augmenter;
    else
        thaw_augmenter_destroy(&augmenter);
    return status;
}

void thaw_augmenter_destroy(thaw_augmenter **augmenter) {
    if (!augmenter || !*augmenter)
        return;
    thaw_buffer_destroy(&(*augmenter)->pixels.buffer);
    thaw_buffer_destroy(&(*augmenter)->records.buffer);
    free((*augmenter)->pixels.bytes);
    free((*augmenter)->records.bytes);
    free(*augmenter);
    *augmenter = NULL;
}

static size_t image_bytes(const struct thaw_image *image) {
    return (size_t)image->width * (size_t)image->height * (size_t)image->channels;
}

/* Pictures one after the other, in one transfer. */
static thaw_status upload_pixels(thaw_augmenter *augmenter,
                                 const struct thaw_augment_batch *batch) {
    size_t total = 0, at = 0;
    for (int i = 0; i < batch->count; i++)
        total += image_bytes(&batch->images[i]);
    if (total >= INT_MAX)
        return thaw_hint(thaw_fail(THAW_ERROR_UNSUPPORTED,
                                   "a batch of %d pictures of %zu MiB is larger than 2 GiB",
                                   batch->count, total >> 20),
                         "lower the batch or the resize");
    /* the kernel reads a byte past the last colour */
    THAW_TRY(reserve(augmenter->device, &augmenter->pixels, total + 1));
    for (int i = 0; i < batch->count; i++) {
        size_t size_bytes = image_bytes(&batch->images[i]);
        memcpy(augmenter->pixels.bytes + at, batch->images[i].pixels, size_bytes);
        at += size_bytes;
    }
    return thaw_buffer_write(augmenter->device, augmenter->pixels.buffer, 0,
                             augmenter->pixels.bytes, total);
}

/* Whether the picture is only cropped and mirrored: the kernel has a short way for it. */
static bool is_plain(const struct thaw_augment_sample *sample, const struct thaw_image *image) {
    bool same_colours = true;
    for (int i = 0; i < 12; i++)
        same_colours &= sample->colour[i] == (i % 5 == 0 ? 1 : 0);
    const double *m = sample->to_source;
    double x0 = m[2], y0 = m[5]; /* of the input's first and last pixel */
    double x1 = m[0] * (sample->size - 1) + x0, y1 = m[4] * (sample->size - 1) + y0;
    return fabs(m[0]) == 1 && m[1] == 0 && m[3] == 0 && fabs(m[4]) == 1 && x0 == floor(x0) &&
           y0 == floor(y0) && fmin(x0, x1) >= 0 && fmax(x0, x1) < image->width &&
           fmin(y0, y1) >= 0 && fmax(y0, y1) < image->height && same_colours &&
           sample->erase[2] <= sample->erase[0] && sample->partner == sample->index;
}

static struct record make_record(const struct thaw_augment_sample *sample,
                                 const struct thaw_image *image, size_t offset) {
    struct record record = {.offset = (int32_t)offset,
                            .width = image->width,
                            .height = image->height,
                            .partner = sample->partner,
                            .plain = is_plain(sample, image),
                            .lambda = (float)sample->lambda};
    const double *colour = sample->colour;
    for (int i = 0; i < 6; i++)
        record.to_source[i] = (float)sample->to_source[i];
    for (int i = 0; i < 12; i++)
        record.colour[i % 4][i / 4] = (float)(colour[i] * (i % 4 == 3 ? 255 : 1));
    if (image->channels == 1) /* R = G = B */
        record.colour[0][0] = (float)(colour[0] + colour[1] + colour[2]);
    memcpy(record.erase, sample->erase, sizeof record.erase);
    return record;
}

static thaw_status upload_records(thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                                  int *ret_partner, float *ret_lambda) {
    size_t offset = 0, size_bytes = (size_t)batch->count * sizeof(struct record);
    THAW_TRY(reserve(augmenter->device, &augmenter->records, size_bytes));
    struct record *records = (struct record *)augmenter->records.bytes;
    for (int i = 0; i < batch->count; i++) {
        const struct thaw_augment_sample sample = thaw_augment_draw(
            batch->augment ? augmenter->list : NULL, &augmenter->spec, &batch->images[i],
            augmenter->seed, batch->epoch, batch->ids ? batch->ids[i] : 0, i, batch->count);
        records[i] = make_record(&sample, &batch->images[i], offset);
        offset += image_bytes(&batch->images[i]);
        if (ret_partner)
            ret_partner[i] = records[i].partner;
        if (ret_lambda)
            ret_lambda[i] = records[i].lambda;
    }
    return thaw_buffer_write(augmenter->device, augmenter->records.buffer, 0, records, size_bytes);
}

/* What the caller has promised, checked: the kernel could not. */
static thaw_status check(const thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                         const struct thaw_tensor *out) {
    const struct thaw_layout *l = &out->layout;
    int channels = augmenter->spec.image.channels, size = augmenter->spec.size;
    if (l->c != channels || l->block != input_block(augmenter) || l->h != size || l->w != size ||
        batch->count > l->n)
        return thaw_fail(THAW_ERROR_INPUT,
                         "%d pictures of %d x %d x %d do not fit a tensor (%d, %d, %d, %d)",
                         batch->count, channels, size, size, l->n, l->c, l->h, l->w);
    for (int i = 0; i < batch->count; i++)
        if (batch->images[i].channels != channels)
            return thaw_fail(THAW_ERROR_INPUT, "picture %d has %d channels; the network takes %d",
                             i, batch->images[i].channels, channels);
    return THAW_OK;
}

thaw_status thaw_augmenter_run(thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                               const struct thaw_tensor *out, int *ret_partner, float *ret_lambda) {
    if (!batch->count)
        return THAW_OK;
    THAW_TRY(check(augmenter, batch, out));
    THAW_TRY(upload_pixels(augmenter, batch));
    THAW_TRY(upload_records(augmenter, batch, ret_partner, ret_lambda));
    const struct thaw_layout *l = &out->layout;
    size_t size = (size_t)augmenter->spec.size;
    struct thaw_range range =
        THAW_RANGE3(size / (size_t)augmenter->run, size, (size_t)batch->count);
    return thaw_launch(augmenter->device, augmenter->kernel, &range,
                       THAW_ARG_BUFFER(augmenter->pixels.buffer),
                       THAW_ARG_BUFFER(augmenter->records.buffer), THAW_ARG_BUFFER(out->buffer),
                       THAW_ARG_INT(thaw_layout_origin(l)), THAW_ARG_INT(thaw_layout_row_stride(l)),
                       THAW_ARG_INT(thaw_layout_image_stride(l)),
                       THAW_ARG_LONG(thaw_layout_block_stride(l)), THAW_ARG_INT(batch->count));
}
