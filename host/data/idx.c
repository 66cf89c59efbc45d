#include "data/idx.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "core/file.h"
#include "core/memory.h"

#define TYPE_BYTE 8
#define WINDOW_GZIP (16 + MAX_WBITS) /* zlib's way to ask for gzip */
/* Deflate makes at most 1032 bytes of one (RFC 1951: 258 bytes in two bits). */
#define DEFLATE_RATIO_MAX 1032

/* The bytes of the file, unpacked as they are read. */
struct source {
    const char *name;
    const uint8_t *bytes;
    size_t size_bytes, used_bytes; /* of a plain file */
    bool is_gzip, has_ended;
    z_stream stream; /* of gzip */
};

static thaw_status open_source(const uint8_t *bytes, size_t size_bytes, const char *name,
                               struct source *source) {
    *source = (struct source){.name = name, .bytes = bytes, .size_bytes = size_bytes};
    source->is_gzip = size_bytes >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
    if (source->is_gzip && inflateInit2(&source->stream, WINDOW_GZIP) != Z_OK)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    return THAW_OK;
}

static void close_source(struct source *source) {
    if (source->is_gzip)
        inflateEnd(&source->stream);
}

/* zlib counts in unsigned int: input and output are handed over in pieces. */
static thaw_status inflate_some(struct source *source, uint8_t *out, size_t size_bytes,
                                size_t *ret_bytes) {
    z_stream *stream = &source->stream;
    size_t left = source->size_bytes - source->used_bytes;
    stream->next_in = (Bytef *)source->bytes + source->used_bytes;
    stream->avail_in = left < UINT_MAX ? (uInt)left : UINT_MAX;
    stream->next_out = out;
    stream->avail_out = size_bytes < UINT_MAX ? (uInt)size_bytes : UINT_MAX;
    uInt in = stream->avail_in, room = stream->avail_out;
    int code = inflate(stream, Z_NO_FLUSH);
    source->used_bytes += in - stream->avail_in;
    *ret_bytes = room - stream->avail_out;
    source->has_ended = code == Z_STREAM_END;
    if (code == Z_MEM_ERROR)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory");
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return thaw_fail(THAW_ERROR_INPUT, "%s: damaged gzip: %s", source->name,
                         stream->msg ? stream->msg : "not deflate");
    return THAW_OK;
}

/* Fewer than asked for: the end. */
static thaw_status read_source(struct source *source, uint8_t *out, size_t size_bytes,
                               size_t *ret_bytes) {
    size_t done = 0;
    if (!source->is_gzip) {
        size_t left = source->size_bytes - source->used_bytes;
        done = size_bytes < left ? size_bytes : left;
        if (done)
            memcpy(out, source->bytes + source->used_bytes, done);
        source->used_bytes += done;
    }
    while (source->is_gzip && done < size_bytes && !source->has_ended) {
        size_t used = source->used_bytes, bytes = 0;
        THAW_TRY(inflate_some(source, out + done, size_bytes - done, &bytes));
        done += bytes;
        if (!bytes && used == source->used_bytes && !source->has_ended)
            break; /* the gzip itself is cut */
    }
    *ret_bytes = done;
    return THAW_OK;
}

/* Nothing may follow; of gzip, this is where the checksum is compared. */
static thaw_status check_end(struct source *source) {
    uint8_t byte;
    size_t more = 0;
    THAW_TRY(read_source(source, &byte, 1, &more));
    if (more || (source->has_ended && source->used_bytes < source->size_bytes))
        return thaw_fail(THAW_ERROR_INPUT, "%s: bytes follow the last item", source->name);
    if (source->is_gzip && !source->has_ended)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the gzip file is cut short", source->name);
    return THAW_OK;
}

static uint32_t big_end(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static thaw_status read_head(struct source *source, struct thaw_idx *idx) {
    uint8_t magic[4] = {0}, dims[4 * THAW_IDX_RANK_MAX] = {0};
    size_t got = 0;
    THAW_TRY(read_source(source, magic, sizeof magic, &got));
    if (got < sizeof magic || magic[0] || magic[1] || !magic[3])
        return thaw_hint(thaw_fail(THAW_ERROR_INPUT, "%s: not an IDX file", source->name),
                         "an IDX file begins with the bytes 0, 0, 8 and the number of dimensions");
    if (magic[2] != TYPE_BYTE)
        return thaw_fail(THAW_ERROR_INPUT,
                         "%s: values of IDX type 0x%02x; unsigned bytes (0x08) are read",
                         source->name, magic[2]);
    if (magic[3] > THAW_IDX_RANK_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "%s: %d dimensions; at most %d are read", source->name,
                         magic[3], THAW_IDX_RANK_MAX);
    idx->rank = magic[3];
    THAW_TRY(read_source(source, dims, 4 * (size_t)idx->rank, &got));
    if (got < 4 * (size_t)idx->rank)
        return thaw_fail(THAW_ERROR_INPUT, "%s: ends within its dimensions", source->name);
    for (int i = 0; i < idx->rank; i++)
        idx->dims[i] = big_end(dims + 4 * i);
    return THAW_OK;
}

/* Before anything is allocated for sizes that may be lies. */
static thaw_status check_size(const struct source *source, struct thaw_idx *idx) {
    size_t left = source->size_bytes - source->used_bytes, size = 1;
    uint64_t room = source->is_gzip ? (uint64_t)source->size_bytes * DEFLATE_RATIO_MAX : left;
    bool fits = true;
    for (int i = 0; i < idx->rank; i++) {
        if (!idx->dims[i])
            return thaw_fail(THAW_ERROR_INPUT, "%s: dimension %d is 0", source->name, i + 1);
        fits = fits && !__builtin_mul_overflow(size, (size_t)idx->dims[i], &size);
    }
    if (!fits || (source->is_gzip && size > room))
        return thaw_fail(THAW_ERROR_INPUT, "%s: its dimensions are for more than the file can hold",
                         source->name);
    if (source->is_gzip && size > thaw_memory_available_bytes())
        return thaw_fail(THAW_ERROR_INPUT, "%s: its %zu MiB are more than memory has room for",
                         source->name, size >> 20);
    if (!source->is_gzip && size > left) {
        size_t item = size / idx->dims[0];
        return thaw_fail(THAW_ERROR_INPUT, "%s: ends in item %zu of %u", source->name, left / item,
                         (unsigned)idx->dims[0]);
    }
    idx->size_bytes = size;
    return THAW_OK;
}

static thaw_status read_idx(struct thaw_arena *arena, struct source *source, struct thaw_idx *idx) {
    size_t got = 0;
    THAW_TRY(read_head(source, idx));
    THAW_TRY(check_size(source, idx));
    idx->values = thaw_arena_alloc(arena, idx->size_bytes);
    if (!idx->values)
        return THAW_ERROR_MEMORY;
    THAW_TRY(read_source(source, idx->values, idx->size_bytes, &got));
    if (got < idx->size_bytes)
        return thaw_fail(THAW_ERROR_INPUT, "%s: ends in item %zu of %u", source->name,
                         got / (idx->size_bytes / idx->dims[0]), (unsigned)idx->dims[0]);
    return check_end(source);
}

thaw_status thaw_idx_parse(struct thaw_arena *arena, const uint8_t *bytes, size_t size_bytes,
                           const char *name, struct thaw_idx *ret_idx) {
    struct source source;
    struct thaw_idx idx = {0};
    THAW_TRY(open_source(bytes, size_bytes, name, &source));
    thaw_status status = read_idx(arena, &source, &idx);
    close_source(&source);
    if (status == THAW_OK)
        *ret_idx = idx;
    return status;
}

thaw_status thaw_idx_load(struct thaw_arena *arena, const char *path, struct thaw_idx *ret_idx) {
    struct thaw_map file = {0};
    THAW_TRY(thaw_map_open(path, &file));
    thaw_status status = thaw_idx_parse(arena, file.bytes, file.size_bytes, path, ret_idx);
    thaw_map_close(&file);
    return status;
}
