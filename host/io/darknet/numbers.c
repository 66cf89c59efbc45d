/* The .weights file (src/parser.c, load_weights_upto): major, minor and revision as 32-bit
 * integers, the number of images seen, then floats, all little-endian. `seen` has 64 bits from
 * version 0.2 on. A version above 1000 says that weights of connected layers are stored as (inputs,
 * outputs), as the oldest files have them; those have 32 bits of `seen`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/darknet/net.h"

#define VERSION_MAX 2000 /* more is no version, and the file not Darknet's */

struct reader {
    const struct thaw_darknet_net *net;
    const struct thaw_darknet_bytes *file;
    size_t offset; /* of the next number */
    bool transposed;
    struct thaw_weights *weights;
};

static thaw_status read_header(struct reader *reader) {
    const struct thaw_darknet_bytes *file = reader->file;
    int32_t version[3];
    if (file->size_bytes < sizeof version)
        return thaw_fail(THAW_ERROR_INPUT, "%s: truncated: %zu bytes are no header", file->name,
                         file->size_bytes);
    memcpy(version, file->bytes, sizeof version);
    for (int i = 0; i < 2; i++)
        if (version[i] < 0 || version[i] > VERSION_MAX)
            return thaw_fail(THAW_ERROR_INPUT,
                             "%s: no Darknet weights: their first numbers are a version, here they "
                             "are %d and %d",
                             file->name, version[0], version[1]);
    reader->transposed = version[0] > 1000 || version[1] > 1000;
    bool wide = version[0] * 10 + version[1] >= 2 && !reader->transposed;
    reader->offset = sizeof version + (wide ? 8 : 4);
    if (file->size_bytes < reader->offset)
        return thaw_fail(THAW_ERROR_INPUT, "%s: truncated: %zu bytes, the header has %zu",
                         file->name, file->size_bytes, reader->offset);
    uint64_t seen = 0;
    memcpy(&seen, file->bytes + sizeof version, wide ? 8 : 4);
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", version[0], version[1], version[2]);
    THAW_TRY(thaw_weights_set_metadata(reader->weights, "darknet.version", text));
    snprintf(text, sizeof text, "%llu", (unsigned long long)seen);
    return thaw_weights_set_metadata(reader->weights, "darknet.images_seen", text);
}

/* "NET.cfg:12: [convolutional] " of the layer that a blob belongs to */
static thaw_status fail_at(const struct reader *reader, const struct thaw_darknet_layer *layer,
                           const char *text) {
    thaw_cfg_fail(&reader->net->cfg, layer->section, NULL, THAW_ERROR_INPUT, "%s", text);
    thaw_context(THAW_ERROR_INPUT, "%s", reader->file->name);
    return thaw_hint(THAW_ERROR_INPUT, "do %s and %s belong together?", reader->net->cfg.file,
                     reader->file->name);
}

static thaw_status fail_short(const struct reader *reader, const struct thaw_darknet_layer *layer,
                              const struct thaw_darknet_blob *blob, size_t count) {
    char text[400];
    snprintf(text, sizeof text, "the file ends here: '%s' takes %zu numbers, %zu are left",
             blob->name, count, (reader->file->size_bytes - reader->offset) / sizeof(float));
    return fail_at(reader, layer, text);
}

/* A cfg that does not fit takes other numbers for variances. */
static thaw_status check_variance(const struct reader *reader,
                                  const struct thaw_darknet_layer *layer,
                                  const struct thaw_darknet_blob *blob, const unsigned char *data,
                                  size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, data + i * sizeof value, sizeof value);
        if (!(value >= 0) || !isfinite(value)) {
            char text[400];
            snprintf(text, sizeof text, "'%s' would hold a variance of %g", blob->name,
                     (double)value);
            return fail_at(reader, layer, text);
        }
    }
    return THAW_OK;
}

/* (inputs, outputs) -> (outputs, inputs) */
static thaw_status transpose(struct thaw_arena *arena, const unsigned char *data, size_t rows,
                             size_t columns, const void **ret_data) {
    float *copy = thaw_arena_array(arena, rows * columns, sizeof *copy);
    if (!copy)
        return THAW_ERROR_MEMORY;
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            memcpy(&copy[column * rows + row], data + (row * columns + column) * sizeof *copy,
                   sizeof *copy);
    *ret_data = copy;
    return THAW_OK;
}

static thaw_status read_blob(struct reader *reader, const struct thaw_darknet_layer *layer,
                             const struct thaw_darknet_blob *blob) {
    const struct thaw_darknet_bytes *file = reader->file;
    size_t count = 1;
    for (int i = 0; i < blob->rank; i++)
        count *= (size_t)blob->dims[i]; /* at most 2^56, see convolution and connected */
    if ((file->size_bytes - reader->offset) / sizeof(float) < count)
        return fail_short(reader, layer, blob, count);
    const unsigned char *data = file->bytes + reader->offset;
    const void *stored = data;
    reader->offset += count * sizeof(float);
    if (!layer->live)
        return THAW_OK;
    if (blob->variance)
        THAW_TRY(check_variance(reader, layer, blob, data, count));
    if (blob->connected && reader->transposed)
        THAW_TRY(transpose(&reader->weights->arena, data, (size_t)blob->dims[1],
                           (size_t)blob->dims[0], &stored));
    return thaw_weights_add(reader->weights, blob->name, THAW_DTYPE_F32, blob->rank, blob->dims,
                            stored);
}

static thaw_status check_end(const struct reader *reader) {
    size_t left = reader->file->size_bytes - reader->offset;
    if (!left || reader->net->cut)
        return THAW_OK;
    thaw_fail(THAW_ERROR_INPUT, "%s: %zu bytes (%zu numbers) are left behind the last layer of %s",
              reader->file->name, left, left / sizeof(float), reader->net->cfg.file);
    return thaw_hint(THAW_ERROR_INPUT, "do %s and %s belong together?", reader->net->cfg.file,
                     reader->file->name);
}

static thaw_status read_layers(struct reader *reader) {
    const struct thaw_darknet_net *net = reader->net;
    for (size_t i = 0; i < net->layer_count; i++) {
        const struct thaw_darknet_layer *layer = &net->layers[i];
        for (size_t k = 0; k < layer->blob_count; k++)
            THAW_TRY(read_blob(reader, layer, &net->blobs[layer->first_blob + k]));
    }
    THAW_TRY(check_end(reader));
    return thaw_weights_index(reader->weights);
}

thaw_status thaw_darknet_read_numbers(struct thaw_darknet_net *net,
                                      const struct thaw_darknet_bytes *file,
                                      struct thaw_weights *weights) {
    struct reader reader = {.net = net, .file = file, .weights = weights};
    weights->format = "darknet";
    THAW_TRY(thaw_weights_set_metadata(weights, "format", "pt"));
    THAW_TRY(read_header(&reader));
    return read_layers(&reader);
}
