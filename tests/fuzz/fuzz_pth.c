/* Any bytes as a PyTorch file: they fail with a message, or give tensors whose bytes can be read.
 * Each input is also taken as what follows the fixed beginning of a legacy file, so that most
 * mutations meet the pickle reader. Run in the repository's root: some seeds are files. */
#include <string.h>

#include "core/file.h"
#include "fuzz/fuzz.h"
#include "io/weights.h"

static const char preamble[] =
    "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";

#define TENSOR(storage, offset, sizes, strides)                                                    \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset sizes strides "\x89}tR"
#define STORAGE                                                                                    \
    "(U\x07storagectorch\nFloatStorage\nq\x01U\x01kU\x03"                                          \
    "cpuK\x04NtQ"
#define DATA                                                                                       \
    "]U\x01ka.\x04\0\0\0\0\0\0\0"                                                                  \
    "0123456789abcdef"

static const struct fuzz_seed texts[] = {
    FUZZ_SEED_TEXT("\x80\x02}U\x01w" TENSOR(STORAGE, "K\x01", "(K\x03t", "(K\x01t") "s." DATA),
    FUZZ_SEED_TEXT("\x80\x02}U\x05modelq\x05}(U\x01w" TENSOR(
        STORAGE, "K\0", "(K\x02K\x02t", "(K\x01K\x02t") "U\x01vctorch._utils\n_rebuild_parameter\n"
                                                        "(" TENSOR(STORAGE, "J\0\0\0\0", ")",
                                                                   ")") "\x88}tRus." DATA),
    FUZZ_SEED_TEXT(
        "\x80\x04\x95\x20\0\0\0\0\0\0\0}\x94(\x8c\x05\x65poch\x94K\x03\x8c\x01xG?\xf0\0\0\0"
        "\0\0\0\x8c\x01y]\x94(K\x01NJ\xff\xff\xff\xff\x8a\x01\x80\x65u.]."),
    FUZZ_SEED_TEXT("\x8c\x0b"
                   "collections\x8c\x0bOrderedDict\x93)R\x94}\x8c\x09_metadatah\0sb.]."),
    FUZZ_SEED_TEXT("cos\nsystem\n(X\x02\0\0\0lstR.]."),
};

static const struct fuzz_seed tokens[] = {
    FUZZ_SEED_TEXT("("),
    FUZZ_SEED_TEXT("t"),
    FUZZ_SEED_TEXT("}"),
    FUZZ_SEED_TEXT("u"),
    FUZZ_SEED_TEXT("s"),
    FUZZ_SEED_TEXT("]"),
    FUZZ_SEED_TEXT("e"),
    FUZZ_SEED_TEXT("R"),
    FUZZ_SEED_TEXT("b"),
    FUZZ_SEED_TEXT("Q"),
    FUZZ_SEED_TEXT("N"),
    FUZZ_SEED_TEXT("0"),
    FUZZ_SEED_TEXT("2"),
    FUZZ_SEED_TEXT("K\x01"),
    FUZZ_SEED_TEXT("q\x01"),
    FUZZ_SEED_TEXT("h\x01"),
    FUZZ_SEED_TEXT("\x94"),
    FUZZ_SEED_TEXT("\x85"),
    FUZZ_SEED_TEXT("U\x01k"),
    FUZZ_SEED_TEXT("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
    FUZZ_SEED_TEXT("ctorch._utils\n_rebuild_tensor\n"),
    FUZZ_SEED_TEXT("ctorch\nSize\n"),
    FUZZ_SEED_TEXT("ctorch\nDoubleStorage\n"),
    FUZZ_SEED_TEXT("ccollections\nOrderedDict\n)R"),
};

#define TEXT_COUNT (sizeof texts / sizeof *texts)
static const char *const files[] = {
    "tests/golden/pth/zip.pth",           "tests/golden/pth/checkpoint.pth",
    "tests/golden/pth/nested_legacy.pth", "tests/golden/pth/legacy.pth",
    "tests/golden/pth/python2.pth",
};
#define FILE_COUNT (sizeof files / sizeof *files)

const struct fuzz_seed *fuzz_seeds(size_t *ret_count) {
    static struct fuzz_seed seeds[TEXT_COUNT + FILE_COUNT];
    static bool loaded;
    for (size_t i = 0; !loaded && i < FILE_COUNT; i++) {
        struct thaw_map map; /* stays open */
        FUZZ_REQUIRE(thaw_map_open(files[i], &map) == THAW_OK);
        seeds[TEXT_COUNT + i] = (struct fuzz_seed){map.bytes, map.size_bytes};
    }
    memcpy(seeds, texts, sizeof texts);
    loaded = true;
    *ret_count = TEXT_COUNT + FILE_COUNT;
    return seeds;
}

const struct fuzz_seed *fuzz_tokens(size_t *ret_count) {
    *ret_count = sizeof tokens / sizeof *tokens;
    return tokens;
}

static void open_and_read(const uint8_t *bytes, size_t size) {
    struct thaw_weights weights;
    thaw_status status = thaw_weights_open_bytes(bytes, size, "fuzz", &weights);
    FUZZ_REQUIRE(status == THAW_OK ||
                 ((status == THAW_ERROR_INPUT || status == THAW_ERROR_UNSUPPORTED) &&
                  strncmp(thaw_error_message(), "fuzz: ", 6) == 0));
    if (status != THAW_OK)
        return;
    for (size_t i = 0; i < weights.count; i++) {
        const struct thaw_weight *weight = &weights.items[i];
        unsigned char *copy = malloc(weight->size_bytes + 1);
        FUZZ_REQUIRE(copy);
        memcpy(copy, weight->data, weight->size_bytes);
        free(copy);
        FUZZ_REQUIRE(thaw_weights_find(&weights, weight->name) == weight);
    }
    thaw_weights_finish(&weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    open_and_read(data, size);
    size_t length = sizeof preamble - 1;
    uint8_t *file = malloc(length + size);
    FUZZ_REQUIRE(file);
    memcpy(file, preamble, length);
    memcpy(file + length, data, size);
    open_and_read(file, length + size);
    free(file);
    return 0;
}
