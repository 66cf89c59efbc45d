#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/text.h"
#include "io/safetensors.h"
#include "support/support.h"

static const char *scratch(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

/* A file of `header` and `data_size` bytes 0, 1, 2 ...; freed by the caller. */
static unsigned char *make_file(const char *header, size_t data_size, size_t *ret_size) {
    uint64_t length = strlen(header);
    unsigned char *bytes = malloc(8 + length + data_size + 1);
    assert_non_null(bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_size; i++)
        bytes[8 + length + i] = (unsigned char)i;
    *ret_size = 8 + length + data_size;
    return bytes;
}

static void reads_tensors_and_metadata(void **state) {
    (void)state;
    size_t size;
    unsigned char *bytes =
        make_file("{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},"
                  "\"b\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[4,10]},"
                  "\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
                  "\"none\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[4,4]}}   ",
                  10, &size);
    struct thaw_weights weights;
    assert_ok(thaw_weights_open_bytes(bytes, size, "m.safetensors", &weights));
    assert_string_equal(weights.format, "safetensors");
    assert_int_equal(weights.count, 3);
    assert_string_equal(weights.items[0].name, "b");
    assert_string_equal(thaw_weights_get_metadata(&weights, "k"), "v");
    assert_null(thaw_weights_get_metadata(&weights, "missing"));
    const struct thaw_weight *a = thaw_weights_find(&weights, "a");
    assert_non_null(a);
    assert_int_equal(a->rank, 0);
    float value, six[6];
    thaw_weight_to_float(a, &value);
    assert_true(value == (float)0x03020100);
    thaw_weight_to_float(thaw_weights_find(&weights, "b"), six);
    assert_true(six[0] == 4 && six[5] == 9);
    assert_int_equal(thaw_weights_find(&weights, "none")->size_bytes, 0);
    assert_null(thaw_weights_find(&weights, "c"));
    thaw_weights_finish(&weights);
    free(bytes);
}

static void damaged_headers_are_refused(void **state) {
    (void)state;
#define ONE(dtype, shape, offsets)                                                                 \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    static const struct {
        const char *header;
        size_t data_size;
        thaw_status status;
        const char *message;
    } cases[] = {
        {"{\"a\":", 0, THAW_ERROR_INPUT, "not valid JSON"},
        {"{} trailing", 0, THAW_ERROR_INPUT, "not valid JSON"},
        {"{\"a\":1}", 0, THAW_ERROR_INPUT, "'a' is not an object"},
        {"{\"a\":{}}", 0, THAW_ERROR_INPUT, "'a' has no dtype"},
        {"{\"__metadata__\":[]}", 0, THAW_ERROR_INPUT, "not a JSON object"},
        {"{\"__metadata__\":{\"x\":1}}", 0, THAW_ERROR_INPUT, "'x' is not a string"},
        {ONE("F8_E4M3", "[1]", "[0,1]"), 1, THAW_ERROR_UNSUPPORTED, "dtype 'F8_E4M3'"},
        {ONE("U8", "1", "[0,1]"), 1, THAW_ERROR_INPUT, "no shape list"},
        {ONE("U8", "[-1]", "[0,1]"), 1, THAW_ERROR_INPUT, "non-negative integers"},
        {ONE("U8", "[1.5]", "[0,1]"), 1, THAW_ERROR_INPUT, "non-negative integers"},
        {ONE("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, THAW_ERROR_UNSUPPORTED, "9 numbers"},
        {ONE("U8", "[1]", "[0]"), 1, THAW_ERROR_INPUT, "outside"},
        {ONE("U8", "[1]", "[1,0]"), 1, THAW_ERROR_INPUT, "outside"},
        {ONE("U8", "[2]", "[0,2]"), 1, THAW_ERROR_INPUT, "outside the 1 bytes"},
        {ONE("U8", "[2]", "[0,1]"), 1, THAW_ERROR_INPUT, "1 bytes of data, its shape and dtype"},
        {ONE("F32", "[1]", "[0,1]"), 1, THAW_ERROR_INPUT, "need 4"},
        {ONE("U8", "[4294967296,4294967296]", "[0,0]"), 0, THAW_ERROR_INPUT, "impossible dim"},
        {ONE("U8", "[99999999999999999999]", "[0,1]"), 1, THAW_ERROR_INPUT, "not valid JSON"},
        {ONE("U8", "[1]", "[0,1]"), 2, THAW_ERROR_INPUT, "1 bytes after the last tensor"},
        {ONE("U8", "[1]", "[1,2]"), 2, THAW_ERROR_INPUT, "does not follow"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, THAW_ERROR_INPUT, "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, THAW_ERROR_INPUT, "overlaps"},
        {"{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, THAW_ERROR_INPUT,
         "name has 0 bytes"},
        {"{\"a\\nb\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, THAW_ERROR_INPUT,
         "control character"},
    };
#undef ONE
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        unsigned char *bytes = make_file(cases[i].header, cases[i].data_size, &size);
        struct thaw_weights weights;
        thaw_status status = thaw_weights_open_bytes(bytes, size, "bad.safetensors", &weights);
        if (status != cases[i].status || !strstr(thaw_error_message(), cases[i].message) ||
            strncmp(thaw_error_message(), "bad.safetensors: ", 17) != 0)
            fail_msg("case %zu: status %d, message '%s', expected '%s'", i, (int)status,
                     thaw_error_message(), cases[i].message);
        free(bytes);
    }
}

static void other_files_are_refused(void **state) {
    (void)state;
    struct thaw_weights weights;
    assert_fails(thaw_weights_open(scratch("missing.safetensors"), &weights), THAW_ERROR_INPUT,
                 "missing.safetensors");
    assert_ok(thaw_file_write(scratch("empty"), "", 0));
    assert_fails(thaw_weights_open(scratch("empty"), &weights), THAW_ERROR_INPUT, "is empty");
    assert_fails(thaw_weights_open("tests/io/test_safetensors.c", &weights), THAW_ERROR_INPUT,
                 "tests/io/test_safetensors.c: not a weights file that Thaw reads: safetensors");
    assert_fails(thaw_weights_open_bytes("\xff\xff\xff\xff\xff\0\0\0{", 9, "huge", &weights),
                 THAW_ERROR_INPUT, "not a weights file");
    assert_fails(thaw_weights_open_bytes("\x40\0\0\0\0\0\0\0{}", 10, "short", &weights),
                 THAW_ERROR_INPUT, "truncated");
}

/* One tensor of each type, names out of order. */
static void fill(struct thaw_weights *weights) {
    static const unsigned char data[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    for (int dtype = THAW_DTYPE_COUNT; dtype-- > 0;) {
        char name[32];
        snprintf(name, sizeof name, "t.%s", thaw_dtype_name((enum thaw_dtype)dtype));
        assert_ok(thaw_weights_add(weights, name, (enum thaw_dtype)dtype, 2, (int64_t[]){3, 1},
                                   data + dtype));
    }
    assert_ok(thaw_weights_add(weights, "scalar", THAW_DTYPE_F32, 0, NULL, data));
    assert_ok(thaw_weights_add(weights, "empty", THAW_DTYPE_F16, 1, (int64_t[]){0}, NULL));
    assert_ok(thaw_weights_set_metadata(weights, "classes", "[\"a\",\"\xc3\xa9\"]"));
    assert_ok(thaw_weights_set_metadata(weights, "x", "1"));
    assert_ok(thaw_weights_set_metadata(weights, "x", "2"));
}

static void written_files_read_back(void **state) {
    (void)state;
    struct thaw_weights weights = {0}, read;
    fill(&weights);
    assert_ok(thaw_safetensors_write(scratch("a.safetensors"), &weights, NULL, NULL));
    assert_ok(thaw_weights_open(scratch("a.safetensors"), &read));
    assert_int_equal(read.count, weights.count);
    assert_int_equal(read.metadata_count, 2);
    assert_string_equal(thaw_weights_get_metadata(&read, "x"), "2");
    assert_string_equal(thaw_weights_get_metadata(&read, "classes"), "[\"a\",\"\xc3\xa9\"]");
    uint64_t header;
    memcpy(&header, read.file.bytes, 8);
    assert_int_equal(header % 8, 0);
    for (size_t i = 0; i < read.count; i++) {
        const struct thaw_weight *a = &weights.items[i], *b = &read.items[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->rank, b->rank);
        assert_memory_equal(a->dims, b->dims, sizeof a->dims);
        assert_int_equal(a->size_bytes, b->size_bytes);
        if (a->size_bytes)
            assert_memory_equal(a->data, b->data, a->size_bytes);
        size_t place = (size_t)((const unsigned char *)b->data - read.file.bytes);
        assert_int_equal(place % thaw_dtype_size_bytes(b->dtype), 0);
    }
    assert_ok(thaw_safetensors_write(scratch("b.safetensors"), &read, NULL, NULL));
    struct thaw_map again;
    assert_ok(thaw_map_open(scratch("b.safetensors"), &again));
    assert_int_equal(again.size_bytes, read.file.size_bytes);
    assert_memory_equal(again.bytes, read.file.bytes, again.size_bytes);
    thaw_map_close(&again);
    thaw_weights_finish(&read);
    thaw_weights_finish(&weights);
}

struct supplied {
    float value[2];
    int calls;
};

static thaw_status supply(void *user, size_t index, const void **ret_data) {
    struct supplied *supplied = user;
    if (index == 7)
        return thaw_fail(THAW_ERROR_RUNTIME, "the device is gone");
    supplied->value[0] = (float)index;
    supplied->value[1] = -(float)index;
    supplied->calls++;
    *ret_data = supplied->value;
    return THAW_OK;
}

static void data_can_be_supplied_late(void **state) {
    (void)state;
    struct thaw_weights weights = {0}, read;
    struct supplied supplied = {0};
    for (int i = 0; i < 7; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        assert_ok(thaw_weights_add(&weights, name, THAW_DTYPE_F32, 1, (int64_t[]){2}, NULL));
    }
    assert_ok(thaw_safetensors_write(scratch("s.safetensors"), &weights, supply, &supplied));
    assert_int_equal(supplied.calls, 7);
    assert_ok(thaw_weights_open(scratch("s.safetensors"), &read));
    float value[2];
    thaw_weight_to_float(thaw_weights_find(&read, "w5"), value);
    assert_true(value[0] == 5 && value[1] == -5);
    thaw_weights_finish(&read);

    /* A failure on the way leaves no file. */
    assert_ok(thaw_weights_add(&weights, "w7", THAW_DTYPE_F32, 1, (int64_t[]){2}, NULL));
    assert_fails(thaw_safetensors_write(scratch("t.safetensors"), &weights, supply, &supplied),
                 THAW_ERROR_RUNTIME, "the device is gone");
    assert_false(thaw_path_exists(scratch("t.safetensors")));
    thaw_weights_finish(&weights);
}

static void wrong_lists_are_not_written(void **state) {
    (void)state;
    struct thaw_weights weights = {0};
    const int64_t two = 2, huge[2] = {INT64_MAX, 2};
    assert_fails(thaw_weights_add(&weights, "\xff", THAW_DTYPE_U8, 1, &two, "ab"), THAW_ERROR_INPUT,
                 "not UTF-8");
    assert_fails(thaw_weights_add(&weights, "a", THAW_DTYPE_U8, 2, huge, "ab"), THAW_ERROR_INPUT,
                 "impossible dimension");
    assert_ok(thaw_weights_add(&weights, "a", THAW_DTYPE_U8, 1, &two, "ab"));
    assert_ok(thaw_weights_add(&weights, "a", THAW_DTYPE_U8, 1, &two, "ab"));
    assert_fails(thaw_weights_index(&weights), THAW_ERROR_INPUT, "two tensors have the name 'a'");
    assert_fails(thaw_safetensors_write(scratch("c"), &weights, NULL, NULL), THAW_ERROR_INPUT,
                 "two tensors have the name 'a'");
    thaw_weights_finish(&weights);
    assert_ok(thaw_weights_add(&weights, "__metadata__", THAW_DTYPE_U8, 1, &two, "ab"));
    assert_fails(thaw_safetensors_write(scratch("c"), &weights, NULL, NULL), THAW_ERROR_INPUT,
                 "cannot have the name");
    thaw_weights_finish(&weights);
    assert_ok(thaw_weights_set_metadata(&weights, "key", "\xff"));
    assert_fails(thaw_safetensors_write(scratch("c"), &weights, NULL, NULL), THAW_ERROR_INPUT,
                 "not UTF-8");
    assert_false(thaw_path_exists(scratch("c")));
    thaw_weights_finish(&weights);
    assert_fails(thaw_safetensors_write(scratch("no/such/folder"), &weights, NULL, NULL),
                 THAW_ERROR_IO, "no/such/folder");
}

/* Every prefix of a file is an error; every changed byte is an error or another valid file. */
static void damage_never_crashes(void **state) {
    (void)state;
    struct thaw_weights weights = {0}, read;
    struct thaw_map file;
    fill(&weights);
    assert_ok(thaw_safetensors_write(scratch("d.safetensors"), &weights, NULL, NULL));
    assert_ok(thaw_map_open(scratch("d.safetensors"), &file));
    for (size_t size = 0; size < file.size_bytes; size++) {
        unsigned char *copy = malloc(size + 1); /* of its own, for the address sanitizer */
        memcpy(copy, file.bytes, size);
        if (thaw_weights_open_bytes(copy, size, "prefix", &read) != THAW_ERROR_INPUT)
            fail_msg("a prefix of %zu bytes is read", size);
        free(copy);
    }
    unsigned char *copy = malloc(file.size_bytes);
    for (size_t i = 0; i < file.size_bytes; i++) {
        memcpy(copy, file.bytes, file.size_bytes);
        copy[i] ^= (unsigned char)(1u << i % 8);
        if (thaw_weights_open_bytes(copy, file.size_bytes, "changed", &read) == THAW_OK)
            thaw_weights_finish(&read);
    }
    free(copy);
    thaw_map_close(&file);
    thaw_weights_finish(&weights);
}

/* All 65536 halves against the definition in double precision. */
static void halves_convert_exactly(void **state) {
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits;
        struct thaw_weight weight = {"h", THAW_DTYPE_F16, 0, {0}, &half, 2};
        float actual;
        thaw_weight_to_float(&weight, &actual);
        int exponent = bits >> 10 & 31, fraction = bits & 1023;
        if (exponent == 31 && fraction) {
            assert_true(isnan(actual));
            continue;
        }
        double expected = exponent == 31  ? HUGE_VAL
                          : exponent == 0 ? ldexp(fraction, -24)
                                          : ldexp(1024 + fraction, exponent - 25);
        if (bits >> 15)
            expected = -expected;
        if (actual != expected || !signbit(actual) != !signbit(expected))
            fail_msg("half 0x%04x is %g, expected %g", bits, (double)actual, expected);
        weight.dtype = THAW_DTYPE_BF16;
        uint32_t wide = bits << 16, found;
        thaw_weight_to_float(&weight, &actual);
        memcpy(&found, &actual, 4);
        assert_int_equal(found, wide);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_tensors_and_metadata), cmocka_unit_test(damaged_headers_are_refused),
        cmocka_unit_test(other_files_are_refused),    cmocka_unit_test(written_files_read_back),
        cmocka_unit_test(data_can_be_supplied_late),  cmocka_unit_test(wrong_lists_are_not_written),
        cmocka_unit_test(damage_never_crashes),       cmocka_unit_test(halves_convert_exactly),
    };
    return cmocka_run_group_tests_name("io/safetensors", tests, NULL, NULL);
}
