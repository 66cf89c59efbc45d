/* Any bytes as a safetensors file: they fail with a message, or give tensors whose bytes all lie in
 * the file. Each input is also taken as header text, zero, data, so that mutations need not get the
 * header's length right. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "io/weights.h"

#define ONE(name, dtype, shape, offsets)                                                           \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct fuzz_seed seeds[] = {
    FUZZ_SEED_TEXT("\x41\0\0\0\0\0\0\0{" ONE("a", "F32", "[1,2]", "[0,8]") "}     \1\2\3\4\5\6\7"),
    FUZZ_SEED_TEXT("{" ONE("a", "F32", "[1,2]", "[0,8]") "}\0\1\2\3\4\5\6\7\10"),
    FUZZ_SEED_TEXT("{\"__metadata__\":{\"format\":\"pt\",\"classes\":\"[\\\"a\\\"]\"}," ONE(
        "b", "I64", "[]", "[0,8]") "," ONE("a", "F16", "[2,1]", "[8,12]") "}  \0abcdefghijkl"),
    FUZZ_SEED_TEXT("{" ONE("none", "BF16", "[0,3]", "[0,0]") "," ONE(
        "u", "U8", "[3]", "[0,3]") "," ONE("\\u00e9", "BOOL", "[1,1]", "[3,4]") "}\0abcd"),
    FUZZ_SEED_TEXT("{}\0"),
};

static const struct fuzz_seed tokens[] = {
    FUZZ_SEED_TEXT("\""),
    FUZZ_SEED_TEXT(","),
    FUZZ_SEED_TEXT("{"),
    FUZZ_SEED_TEXT("}"),
    FUZZ_SEED_TEXT("[0,4]"),
    FUZZ_SEED_TEXT("[]"),
    FUZZ_SEED_TEXT("0"),
    FUZZ_SEED_TEXT("-1"),
    FUZZ_SEED_TEXT("8"),
    FUZZ_SEED_TEXT("1e3"),
    FUZZ_SEED_TEXT("4294967296"),
    FUZZ_SEED_TEXT("9223372036854775807"),
    FUZZ_SEED_TEXT("\"F64\""),
    FUZZ_SEED_TEXT("\"U8\""),
    FUZZ_SEED_TEXT("\\u0000"),
    FUZZ_SEED_TEXT("null"),
    FUZZ_SEED_TEXT("," ONE("z", "U8", "[0]", "[0,0]")),
};

const struct fuzz_seed *fuzz_seeds(size_t *ret_count) {
    *ret_count = sizeof seeds / sizeof *seeds;
    return seeds;
}

const struct fuzz_seed *fuzz_tokens(size_t *ret_count) {
    *ret_count = sizeof tokens / sizeof *tokens;
    return tokens;
}

static void check(const struct thaw_weight *weight, const uint8_t *bytes, size_t size) {
    const uint8_t *data = weight->data;
    FUZZ_REQUIRE(data >= bytes && weight->size_bytes <= size - (size_t)(data - bytes));
    size_t count = thaw_weight_count(weight), product = 1;
    for (int i = 0; i < weight->rank; i++)
        product *= (size_t)weight->dims[i];
    FUZZ_REQUIRE(product == count);
    float *values = malloc((count + 1) * sizeof *values);
    FUZZ_REQUIRE(values);
    thaw_weight_to_float(weight, values);
    free(values);
}

static void open_and_check(const uint8_t *bytes, size_t size) {
    struct thaw_weights weights;
    thaw_status status = thaw_weights_open_bytes(bytes, size, "fuzz", &weights);
    FUZZ_REQUIRE(status == THAW_OK ||
                 ((status == THAW_ERROR_INPUT || status == THAW_ERROR_UNSUPPORTED) &&
                  strncmp(thaw_error_message(), "fuzz: ", 6) == 0));
    if (status != THAW_OK)
        return;
    if (strcmp(weights.format, "safetensors") == 0) {
        for (size_t i = 0; i < weights.count; i++) {
            check(&weights.items[i], bytes, size);
            FUZZ_REQUIRE(thaw_weights_find(&weights, weights.items[i].name) == &weights.items[i]);
        }
    }
    thaw_weights_finish(&weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    open_and_check(data, size);
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    if (!zero)
        return 0;
    uint64_t header = (uint64_t)(zero - data);
    size_t rest = size - (size_t)header - 1;
    uint8_t *file = malloc(8 + (size_t)header + rest);
    FUZZ_REQUIRE(file);
    memcpy(file, &header, 8);
    memcpy(file + 8, data, (size_t)header);
    memcpy(file + 8 + header, zero + 1, rest);
    open_and_check(file, 8 + (size_t)header + rest);
    free(file);
    return 0;
}
