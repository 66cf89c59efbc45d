/* IDX files for tests. */
#ifndef THAW_TESTS_DATA_IDX_FILES_H
#define THAW_TESTS_DATA_IDX_FILES_H

#include <zlib.h>

#include "data/files.h"

/* Header and `size_bytes` values, in a buffer that the next call reuses. */
static inline const uint8_t *idx_bytes(int rank, const uint32_t *dims, const uint8_t *values,
                                       size_t size_bytes, size_t *ret_size) {
    static uint8_t bytes[1 << 16];
    size_t head = 4 + 4 * (size_t)rank;
    assert_true(head + size_bytes <= sizeof bytes);
    memcpy(bytes, (uint8_t[]){0, 0, 8, (uint8_t)rank}, 4);
    for (int i = 0; i < rank; i++)
        for (int b = 0; b < 4; b++)
            bytes[4 + 4 * i + b] = (uint8_t)(dims[i] >> (24 - 8 * b));
    memcpy(bytes + head, values, size_bytes);
    *ret_size = head + size_bytes;
    return bytes;
}

static inline size_t idx_gzip(const uint8_t *bytes, size_t size_bytes, uint8_t *out, size_t room) {
    z_stream stream = {.next_in = (Bytef *)bytes,
                       .avail_in = (uInt)size_bytes,
                       .next_out = out,
                       .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

/* Value j of item i is (i * 31 + 7 j) % 256. */
static inline void idx_save_images(const char *name, int rank, const uint32_t *dims) {
    static uint8_t values[1 << 15];
    size_t item = 1, size = 0;
    for (int i = 1; i < rank; i++)
        item *= dims[i];
    for (size_t i = 0; i < dims[0] * item; i++)
        values[i] = (uint8_t)(i / item * 31 + 7 * (i % item));
    const uint8_t *bytes = idx_bytes(rank, dims, values, dims[0] * item, &size);
    file_save(name, bytes, size);
}

/* Label of item i: i % classes; in gzip. */
static inline void idx_save_labels(const char *name, uint32_t count, uint32_t classes) {
    uint8_t values[4096], packed[8192];
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        values[i] = (uint8_t)(i % classes);
    const uint8_t *bytes = idx_bytes(1, &count, values, count, &size);
    file_save(name, packed, idx_gzip(bytes, size, packed, sizeof packed));
}

#endif
