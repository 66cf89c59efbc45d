/* Any bytes as an IDX file: they fail with a message, or give as many values as the dimensions say.
 * Each input is also packed into gzip. */
#include <string.h>
#include <zlib.h>

#include "data/idx.h"
#include "fuzz/fuzz.h"

static const struct fuzz_seed seeds[] = {
    FUZZ_SEED_TEXT("\0\0\10\1\0\0\0\3abc"),
    FUZZ_SEED_TEXT("\0\0\10\3\0\0\0\2\0\0\0\2\0\0\0\1abcd"),
    FUZZ_SEED_TEXT("\0\0\10\4\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\3rgb"),
    FUZZ_SEED_TEXT("\x1f\x8b\x08\0\0\0\0\0\2\3\x63\x60\xe0\x60\x64\x60\x60\x60\x4e\x4c\x4a\6\0"),
};
static const struct fuzz_seed tokens[] = {
    FUZZ_SEED_TEXT("\0\0\10"),
    FUZZ_SEED_TEXT("\x1f\x8b\x08\0"),
    FUZZ_SEED_TEXT("\x7f\xff\xff\xff"),
    FUZZ_SEED_TEXT("\0\1\0\0"),
};

const struct fuzz_seed *fuzz_seeds(size_t *ret_count) {
    *ret_count = sizeof seeds / sizeof *seeds;
    return seeds;
}

const struct fuzz_seed *fuzz_tokens(size_t *ret_count) {
    *ret_count = sizeof tokens / sizeof *tokens;
    return tokens;
}

static void parse(const uint8_t *bytes, size_t size) {
    struct thaw_arena arena = {0};
    struct thaw_idx idx;
    thaw_status status = thaw_idx_parse(&arena, bytes, size, "fuzz", &idx);
    FUZZ_REQUIRE(status == THAW_OK ||
                 (status == THAW_ERROR_INPUT && strncmp(thaw_error_message(), "fuzz: ", 6) == 0));
    if (status == THAW_OK) {
        size_t product = 1, sum = 0;
        FUZZ_REQUIRE(idx.rank >= 1 && idx.rank <= THAW_IDX_RANK_MAX);
        for (int i = 0; i < idx.rank; i++)
            product *= idx.dims[i];
        FUZZ_REQUIRE(product == idx.size_bytes && product > 0);
        for (size_t i = 0; i < product; i++)
            sum += idx.values[i];
        FUZZ_REQUIRE(sum <= 255 * product);
    }
    thaw_arena_finish(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    parse(data, size);
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)size};
    FUZZ_REQUIRE(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t room = deflateBound(&stream, (uLong)size);
    uint8_t *packed = malloc(room);
    FUZZ_REQUIRE(packed);
    stream.next_out = packed;
    stream.avail_out = (uInt)room;
    FUZZ_REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    parse(packed, room - stream.avail_out);
    free(packed);
    deflateEnd(&stream);
    return 0;
}
