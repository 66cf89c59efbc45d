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

/* A buffer on the device and what will be in it. */
struct staging {
    cl_mem buffer;
    unsigned char *bytes;
    size_t capacity_bytes;
};

/* Pictures that are on the device at once: some of a batch in order, then those that mixup blends
 * them with. */
struct chunk {
    int *pictures; /* of the batch */
    int *slots;    /* for each picture of the batch its place in `pictures`, or -1 */
    int own, count;
    size_t size_bytes; /* of all their pixels */
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

/* How many bytes a picture of the batch adds to a chunk. */
static size_t chunk_need(const struct chunk *chunk, const struct thaw_augment_batch *batch, int i) {
    return chunk->slots[i] < 0 ? image_bytes(&batch->images[i]) : 0;
}

static void chunk_add(struct chunk *chunk, const struct thaw_augment_batch *batch, int i) {
    if (chunk->slots[i] >= 0)
        return;
    chunk->size_bytes += image_bytes(&batch->images[i]);
    chunk->slots[i] = chunk->count;
    chunk->pictures[chunk->count++] = i;
}

/* As many pictures from `first` on as fit into the limit with their partners, at least one. */
static void chunk_fill(struct chunk *chunk, const struct thaw_augment_batch *batch,
                       const struct thaw_augment_sample *samples, int first, int end,
                       size_t limit_bytes) {
    int next = first;
    chunk->count = 0;
    chunk->size_bytes = 0;
    for (int i = 0; i < batch->count; i++)
        chunk->slots[i] = -1;
    for (; next < end; next++) { /* counted with slots that are in no order yet */
        int partner = samples[next].partner;
        size_t need = chunk_need(chunk, batch, next) +
                      (partner == next ? 0 : chunk_need(chunk, batch, partner));
        if (next > first && chunk->size_bytes + need > limit_bytes)
            break;
        chunk_add(chunk, batch, next);
        chunk_add(chunk, batch, partner);
    }
    for (int i = 0; i < batch->count; i++)
        chunk->slots[i] = -1;
    chunk->count = 0;
    chunk->size_bytes = 0;
    chunk->own = next - first;
    for (int i = first; i < next; i++)
        chunk_add(chunk, batch, i);
    for (int i = first; i < next; i++)
        chunk_add(chunk, batch, samples[i].partner);
}

static thaw_status upload(thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                          const struct thaw_augment_sample *samples, const struct chunk *chunk) {
    struct record *records = (struct record *)augmenter->records.bytes;
    size_t offset = 0;
    for (int k = 0; k < chunk->count; k++) {
        int i = chunk->pictures[k];
        records[k] = make_record(&samples[i], &batch->images[i], offset);
        /* a partner's own partner plays no part, and may not be here */
        records[k].partner = k < chunk->own ? chunk->slots[samples[i].partner] : k;
        memcpy(augmenter->pixels.bytes + offset, batch->images[i].pixels,
               image_bytes(&batch->images[i]));
        offset += image_bytes(&batch->images[i]);
    }
    THAW_TRY(thaw_buffer_write(augmenter->device, augmenter->pixels.buffer, 0,
                               augmenter->pixels.bytes, offset));
    return thaw_buffer_write(augmenter->device, augmenter->records.buffer, 0, records,
                             (size_t)chunk->count * sizeof *records);
}

/* What the caller has promised, checked: the kernel could not. */
static thaw_status check(const thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                         const struct thaw_tensor *out) {
    const struct thaw_layout *l = &out->layout;
    int channels = augmenter->spec.image.channels, size = augmenter->spec.size;
    int images = batch->part ? batch->part : batch->count - batch->first;
    if (l->c != channels || l->block != input_block(augmenter) || l->h != size || l->w != size ||
        images > l->n || batch->first < 0 || batch->first + images > batch->count)
        return thaw_fail(THAW_ERROR_INPUT,
                         "%d pictures of %d x %d x %d do not fit a tensor (%d, %d, %d, %d)", images,
                         channels, size, size, l->n, l->c, l->h, l->w);
    for (int i = 0; i < batch->count; i++)
        if (batch->images[i].channels != channels)
            return thaw_fail(THAW_ERROR_INPUT, "picture %d has %d channels; the network takes %d",
                             i, batch->images[i].channels, channels);
    return THAW_OK;
}

/* Images of the chunk, from `at` of `out` on. */
static thaw_status run_chunk(thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                             const struct thaw_augment_sample *samples, const struct chunk *chunk,
                             const struct thaw_tensor *out, int at) {
    const struct thaw_layout *l = &out->layout;
    size_t size = (size_t)augmenter->spec.size;
    struct thaw_range range = THAW_RANGE3(size / (size_t)augmenter->run, size, (size_t)chunk->own);
    int image_stride = thaw_layout_image_stride(l);
    /* the kernel reads a byte past the last colour */
    THAW_TRY(reserve(augmenter->device, &augmenter->pixels, chunk->size_bytes + 1));
    THAW_TRY(upload(augmenter, batch, samples, chunk));
    return thaw_launch(augmenter->device, augmenter->kernel, &range,
                       THAW_ARG_BUFFER(augmenter->pixels.buffer),
                       THAW_ARG_BUFFER(augmenter->records.buffer), THAW_ARG_BUFFER(out->buffer),
                       THAW_ARG_INT(thaw_layout_origin(l) + at * image_stride),
                       THAW_ARG_INT(thaw_layout_row_stride(l)), THAW_ARG_INT(image_stride),
                       THAW_ARG_LONG(thaw_layout_block_stride(l)), THAW_ARG_INT(chunk->own));
}

static void draw(const thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                 struct thaw_augment_sample *samples, int *ret_partner, float *ret_lambda) {
    for (int i = 0; i < batch->count; i++) {
        samples[i] = thaw_augment_draw(batch->augment ? augmenter->list : NULL, &augmenter->spec,
                                       &batch->images[i], augmenter->seed, batch->epoch,
                                       batch->ids ? batch->ids[i] : 0, i, batch->count);
        if (ret_partner)
            ret_partner[i] = samples[i].partner;
        if (ret_lambda)
            ret_lambda[i] = (float)samples[i].lambda;
    }
}

/* Bytes of pixels that `images` pictures are given on the device. */
static size_t pixels_limit(const struct thaw_input_spec *spec, int images) {
    size_t size = (size_t)(spec->image.mode == THAW_RESIZE_NONE ? spec->size : spec->image.size);
    size_t square = size * size * (size_t)spec->image.channels;
    size_t picture = spec->image.mode == THAW_RESIZE_STRETCH ? square : square + square / 2;
    size_t limit = picture * (size_t)images + 1;
    return limit < INT_MAX ? limit : INT_MAX; /* offsets are ints */
}

/* A picture may have a partner of its own. */
static size_t records_size(int images) {
    return 2 * (size_t)images * sizeof(struct record);
}

size_t thaw_augmenter_bytes(const struct thaw_input_spec *spec, int images) {
    return pixels_limit(spec, images) + records_size(images);
}

thaw_status thaw_augmenter_run(thaw_augmenter *augmenter, const struct thaw_augment_batch *batch,
                               const struct thaw_tensor *out, int *ret_partner, float *ret_lambda) {
    if (!batch->count)
        return THAW_OK;
    THAW_TRY(check(augmenter, batch, out));
    size_t count = (size_t)batch->count, limit = pixels_limit(&augmenter->spec, out->layout.n);
    int end = batch->part ? batch->first + batch->part : batch->count;
    struct thaw_arena arena = {0};
    struct thaw_augment_sample *samples = thaw_arena_array(&arena, count, sizeof *samples);
    struct chunk chunk = {.pictures = thaw_arena_array(&arena, count, sizeof *chunk.pictures),
                          .slots = thaw_arena_array(&arena, count, sizeof *chunk.slots)};
    thaw_status status = samples && chunk.pictures && chunk.slots ? THAW_OK : THAW_ERROR_MEMORY;
    if (status == THAW_OK)
        draw(augmenter, batch, samples, ret_partner, ret_lambda);
    if (status == THAW_OK)
        status = reserve(augmenter->device, &augmenter->pixels, limit);
    if (status == THAW_OK)
        status = reserve(augmenter->device, &augmenter->records, records_size(out->layout.n));
    for (int next = batch->first; next < end && status == THAW_OK; next += chunk.own) {
        chunk_fill(&chunk, batch, samples, next, end, limit - 1);
        status = run_chunk(augmenter, batch, samples, &chunk, out, next - batch->first);
    }
    thaw_arena_finish(&arena);
    return status;
}
