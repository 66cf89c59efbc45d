/* The references under tests/golden/pth/ are PyTorch's: see tests/golden/make_pth.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "io/weights.h"
#include "support/support.h"

#define PTH "tests/golden/pth/"

/* The file holds the tensors of the reference: names, order, types, shapes and bytes. */
static void expect_same(const char *path, const char *reference_path, const char *format) {
    struct thaw_weights weights, reference;
    assert_ok(thaw_weights_open(path, &weights));
    assert_ok(thaw_weights_open(reference_path, &reference));
    assert_string_equal(weights.format, format);
    assert_int_equal(weights.count, reference.count);
    for (size_t i = 0; i < weights.count; i++) {
        const struct thaw_weight *a = &weights.items[i], *b = &reference.items[i];
        assert_string_equal(a->name, b->name);
        if (a->dtype != b->dtype || a->rank != b->rank || a->size_bytes != b->size_bytes ||
            memcmp(a->dims, b->dims, sizeof a->dims) != 0 ||
            (a->size_bytes && memcmp(a->data, b->data, a->size_bytes) != 0))
            fail_msg("%s: '%s' is not what PyTorch has", path, a->name);
        assert_ptr_equal(thaw_weights_find(&weights, a->name), a);
    }
    thaw_weights_finish(&weights);
    thaw_weights_finish(&reference);
}

static void files_equal_pytorch(void **state) {
    (void)state;
    expect_same(PTH "zip.pth", PTH "reference.safetensors", "torch_zip");
    expect_same(PTH "legacy.pth", PTH "reference.safetensors", "torch_legacy");
    expect_same(PTH "nested.pth", PTH "reference.safetensors", "torch_zip");
    expect_same(PTH "nested_legacy.pth", PTH "reference.safetensors", "torch_legacy");
    expect_same(PTH "big_endian.pth", PTH "reference.safetensors", "torch_zip");
    expect_same(PTH "python2.pth", PTH "python2.safetensors", "torch_legacy");
    expect_same(PTH "checkpoint.pth", PTH "checkpoint.safetensors", "torch_zip");
}

static void checkpoints_say_what_was_left_out(void **state) {
    (void)state;
    struct thaw_weights weights;
    assert_ok(thaw_weights_open(PTH "checkpoint.pth", &weights));
    assert_string_equal(thaw_weights_get_metadata(&weights, "thaw.checkpoint_key"), "state_dict");
    assert_string_equal(thaw_weights_get_metadata(&weights, "thaw.ignored"),
                        "epoch, arch, best, optimizer");
    thaw_weights_finish(&weights);
}

static void import_writes_safetensors(void **state) {
    (void)state;
    struct thaw_weights weights;
    char out[128];
    snprintf(out, sizeof out, "%s/out.safetensors", test_directory());
    assert_ok(thaw_weights_import(PTH "legacy.pth", out, &weights));
    assert_string_equal(weights.format, "torch_legacy");
    thaw_weights_finish(&weights);
    expect_same(out, PTH "reference.safetensors", "safetensors");
    snprintf(out, sizeof out, "%s/none.safetensors", test_directory());
    assert_fails(thaw_weights_import(PTH "hostile_eval.pth", out, &weights), THAW_ERROR_INPUT,
                 "eval");
    assert_false(thaw_path_exists(out));
}

static void calls_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *path;
        thaw_status status;
        const char *message;
    } cases[] = {
        {PTH "hostile_system.pth", THAW_ERROR_INPUT,
         PTH
         "hostile_system.pth: the pickle asks for 'posix.system', which Thaw does not run (only "
         "tensors and containers are read)"},
        {PTH "hostile_system_legacy.pth", THAW_ERROR_INPUT, "asks for 'posix.system'"},
        {PTH "hostile_eval.pth", THAW_ERROR_INPUT, "asks for '__builtin__.eval'"},
        {PTH "hostile_eval_legacy.pth", THAW_ERROR_INPUT, "asks for 'builtins.eval'"},
        {PTH "model.pth", THAW_ERROR_INPUT, "asks for 'torch.nn.modules.linear.Linear'"},
        {PTH "tensor.pth", THAW_ERROR_INPUT, "holds a tensor, expected a dictionary"},
        {PTH "no_tensors.pth", THAW_ERROR_INPUT, "holds no tensors"},
        {PTH "complex.pth", THAW_ERROR_UNSUPPORTED, "'torch.ComplexFloatStorage'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct thaw_weights weights;
        assert_fails(thaw_weights_open(cases[i].path, &weights), cases[i].status, cases[i].message);
    }
}

/* --- Legacy files made here, to go wrong in one place ----------------------------------------- */

#define LITERAL(text) (text), sizeof(text) - 1

static const char preamble[] =
    "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";

static void append_integer(struct thaw_text *file, int64_t integer) {
    thaw_text_append_bytes(file, LITERAL("\x8a\x08"));
    thaw_text_append_bytes(file, (const char *)&integer, 8);
}

static thaw_status open_text(const struct thaw_text *file) {
    struct thaw_weights weights;
    thaw_status status = thaw_weights_open_bytes(file->text, file->length, "w.pth", &weights);
    if (status == THAW_OK)
        thaw_weights_finish(&weights);
    return status;
}

struct tensor_case {
    int64_t count, file_count, offset; /* of the storage as its tensor and as the file has it */
    int rank;
    int64_t dims[3], strides[3];
    const char *message; /* NULL: it is read */
};

/* A legacy file with the tensor "w", float32. The storage has data for four elements. */
static thaw_status open_tensor(const struct tensor_case *c) {
    static const float data[4] = {1, 2, 3, 4};
    struct thaw_text file = {0};
    thaw_text_append_bytes(&file, LITERAL(preamble));
    thaw_text_append_bytes(&file, LITERAL("\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n"
                                          "((U\x07storagectorch\nFloatStorage\nU\x01kU\x03"
                                          "cpu"));
    append_integer(&file, c->count);
    thaw_text_append_bytes(&file, LITERAL("NtQ"));
    append_integer(&file, c->offset);
    for (int list = 0; list < 2; list++) {
        thaw_text_append_bytes(&file, LITERAL("("));
        for (int i = 0; i < c->rank; i++)
            append_integer(&file, list ? c->strides[i] : c->dims[i]);
        thaw_text_append_bytes(&file, LITERAL("t"));
    }
    thaw_text_append_bytes(&file, LITERAL("\x89}tRs.\x80\x02]U\x01ka."));
    thaw_text_append_bytes(&file, (const char *)&c->file_count, 8);
    thaw_text_append_bytes(&file, (const char *)data, sizeof data);
    thaw_status status = open_text(&file);
    thaw_text_finish(&file);
    return status;
}

static void tensors_stay_inside_their_storage(void **state) {
    (void)state;
    const int64_t large = INT64_MAX;
    const struct tensor_case cases[] = {
        {4, 4, 0, 2, {2, 2}, {2, 1}, NULL},
        {4, 4, 3, 1, {1}, {1}, NULL},
        {4, 4, 0, 2, {2, 0}, {large, large}, NULL},
        {4, 4, 0, 1, {1000}, {0}, NULL},
        {4, 4, 1, 1, {4}, {1}, "outside its storage of 4 elements"},
        {4, 4, 4, 0, {0}, {0}, "outside its storage"},
        {4, 4, large, 1, {1}, {1}, "outside its storage"},
        {4, 4, 1, 2, {2, 2}, {2, 1}, "outside its storage"},
        {4, 4, 0, 1, {large}, {large}, "outside its storage"},
        {4, 4, 0, 3, {large, large, 1}, {0, 0, 0}, "outside its storage"},
        {4, 4, 0, 1, {1000000000}, {0}, "far more bytes than the file"},
        {4, 4, -1, 1, {1}, {1}, "has no offset"},
        {4, 4, 0, 1, {-1}, {1}, "non-negative integer"},
        {4, 4, 0, 1, {1}, {-1}, "non-negative integer"},
        {-4, -4, 0, 1, {1}, {1}, "is no storage"},
        {large, large, 0, 1, {1}, {1}, "truncated: storage 'k'"},
        {5, 5, 0, 1, {1}, {1}, "truncated: storage 'k'"},
        {4, 3, 0, 1, {1}, {1}, "has 3 elements, its tensors say 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        thaw_status status = open_tensor(&cases[i]);
        if (!cases[i].message)
            assert_ok(status);
        else if (status != THAW_ERROR_INPUT || !strstr(thaw_error_message(), cases[i].message))
            fail_msg("case %zu: status %d, message '%s', expected '%s'", i, (int)status,
                     thaw_error_message(), cases[i].message);
    }
}

struct pickle_case {
    const char *pickle;
    size_t length;
    const char *message;
};

static void damaged_pickles_are_refused(void **state) {
    (void)state;
    const struct pickle_case cases[] = {
        {LITERAL("\x80\x06."), "protocol is newer"},
        {LITERAL("\x80\x02."), "stack is empty"},
        {LITERAL("("), "ends too early"},
        {LITERAL("(."), "stack is empty"},
        {LITERAL("t."), "no mark"},
        {LITERAL("X\xff\xff\xff\x7f."), "ends too early"},
        {LITERAL("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "ends too early"},
        {LITERAL("\x95\xff\xff\xff\xff\xff\xff\xff\xff."), "ends too early"},
        {LITERAL("h\x05."), "never stored"},
        {LITERAL("j\xff\xff\xff\xff."), "never stored"},
        {LITERAL("Nr\xff\xff\xff\xff."), "memo number"},
        {LITERAL("Na."), "stack is empty"},
        {LITERAL("NNa."), "no container"},
        {LITERAL("](NNu."), "no container"},
        {LITERAL("}(Nu."), "a key has no value"},
        {LITERAL("}NbR"), "stack is empty"},
        {LITERAL("Sabc\n."), "opcode 0x53 at byte"},
        {LITERAL("\xff."), "opcode 0xff at byte"},
        {LITERAL("cos\nsystem\n.]."), "holds a class, expected a dictionary"},
        {LITERAL("cos\nsystem\n(X\x02\0\0\0lstR."), "asks for 'os.system'"},
        {LITERAL("cos\nsystem\n)\x81."), "asks for 'os.system'"},
        {LITERAL("cos\nsystem\n)}\x92."), "asks for 'os.system'"},
        {LITERAL("cos\nsystem\n}b."), "asks for 'os.system'"},
        {LITERAL("(X\x02\0\0\0lsios\nsystem\n."), "asks for 'os.system'"},
        {LITERAL("(cos\nsystem\nX\x02\0\0\0lso."), "asks for 'os.system'"},
        {LITERAL("\x8c\x02os\x8c\x06system\x93)R."), "asks for 'os.system'"},
        {LITERAL("ccollections\nOrderedDict\x00\n)R."), "asks for 'collections.OrderedDict?'"},
        {LITERAL("ccollections\nOrderedDict\nNR."), "arguments are not a tuple"},
        {LITERAL("ccollections\nOrderedDict\n](Nae\x85R."), "stack is empty"},
        {LITERAL("ccollections\nOrderedDict\n]Na\x85R."), "list of pairs"},
        {LITERAL("ctorch\nSize\n)R)R."), "asks for 'tensor'"},
        {LITERAL("(U\x06modulecmy.net\nNet\nNNtQ)\x81."), "asks for 'my.net.Net'"},
        {LITERAL("}NQ."), "no storage"},
        {LITERAL("}(U\x07storagecos\nFloatStorage\nU\x01kNK\x01NtQ."), "has no type"},
        {LITERAL("}U\x01wctorch._utils\n_rebuild_tensor_v2\n)Rs.]."), "'w' has no storage"},
        {LITERAL("}U\x03w\0xctorch._utils\n_rebuild_tensor_v2\n)Rs.]."), "a key that is no text"},
        /* A dictionary in itself. */
        {LITERAL("}q\x00U\x01wh\x00s.]."), "nested more than"},
        {LITERAL("}N}s.]."), "a key that is no text"},
        {LITERAL("}U\x01xNs.]."), "no tensors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct thaw_text file = {0};
        thaw_text_append_bytes(&file, LITERAL(preamble));
        thaw_text_append_bytes(&file, cases[i].pickle, cases[i].length);
        thaw_status status = open_text(&file);
        if (status != THAW_ERROR_INPUT || !strstr(thaw_error_message(), cases[i].message))
            fail_msg("case %zu: status %d, message '%s', expected '%s'", i, (int)status,
                     thaw_error_message(), cases[i].message);
        thaw_text_finish(&file);
    }
}

/* d0 = {}; d1 = {0: d0, 1: d0}; d2 = {0: d1, 1: d1} ...: 2^25 entries from 200 bytes. */
static void shared_dictionaries_are_bounded(void **state) {
    (void)state;
    struct thaw_text file = {0};
    thaw_text_append_bytes(&file, LITERAL(preamble));
    thaw_text_append_bytes(&file, LITERAL("}q\0000"));
    for (char i = 0; i < 25; i++) {
        const char level[] = {'}', 'K', 0, 'h', i,   's',           'K',
                              1,   'h', i, 's', 'q', (char)(i + 1), '0'};
        thaw_text_append_bytes(&file, level, sizeof level);
    }
    thaw_text_append_bytes(&file, LITERAL("h\x19.]."));
    assert_fails(open_text(&file), THAW_ERROR_INPUT, "more than 1048576 entries");
    thaw_text_finish(&file);
}

/* Every prefix of a file is an error; every changed byte is an error or another valid file. */
static void damage(const char *path) {
    struct thaw_map file;
    struct thaw_weights weights;
    assert_ok(thaw_map_open(path, &file));
    for (size_t size = 0; size < file.size_bytes; size++) {
        unsigned char *copy = malloc(size + 1); /* of its own, for the address sanitizer */
        memcpy(copy, file.bytes, size);
        if (thaw_weights_open_bytes(copy, size, "prefix", &weights) != THAW_ERROR_INPUT)
            fail_msg("%s: a prefix of %zu bytes is read", path, size);
        free(copy);
    }
    unsigned char *copy = malloc(file.size_bytes);
    for (size_t i = 0; i < file.size_bytes; i++) {
        memcpy(copy, file.bytes, file.size_bytes);
        copy[i] ^= (unsigned char)(1u << i % 8);
        if (thaw_weights_open_bytes(copy, file.size_bytes, "changed", &weights) == THAW_OK)
            thaw_weights_finish(&weights);
    }
    free(copy);
    thaw_map_close(&file);
}

static void damage_never_crashes(void **state) {
    (void)state;
    damage(PTH "legacy.pth");
    damage(PTH "nested_legacy.pth");
    damage(PTH "zip.pth");
    damage(PTH "python2.pth");
}

/* A changed byte of a tensor's data in the zip form is noticed by its checksum. */
static void zip_checksums_are_checked(void **state) {
    (void)state;
    struct thaw_map file;
    struct thaw_weights weights;
    assert_ok(thaw_map_open(PTH "zip.pth", &file));
    assert_ok(thaw_weights_open(PTH "zip.pth", &weights));
    const struct thaw_weight *weight = thaw_weights_find(&weights, "f32");
    unsigned char *copy = malloc(file.size_bytes), *place = NULL;
    memcpy(copy, file.bytes, file.size_bytes);
    for (size_t i = 0; !place && i + weight->size_bytes <= file.size_bytes; i++) {
        if (memcmp(copy + i, weight->data, weight->size_bytes) == 0)
            place = copy + i;
    }
    thaw_weights_finish(&weights);
    assert_non_null(place);
    *place ^= 1;
    assert_fails(thaw_weights_open_bytes(copy, file.size_bytes, "w.pth", &weights),
                 THAW_ERROR_INPUT, "data/0' is damaged (its checksum");
    free(copy);
    thaw_map_close(&file);
}

static void other_zips_are_refused(void **state) {
    (void)state;
    struct thaw_weights weights;
    static const char empty_zip[] = "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_fails(thaw_weights_open_bytes(LITERAL(empty_zip), "a.zip", &weights), THAW_ERROR_INPUT,
                 "not a weights file");
    assert_fails(thaw_weights_open_bytes(LITERAL("PK\3\4 cut off"), "a.zip", &weights),
                 THAW_ERROR_INPUT, "a.zip: the zip archive is damaged or truncated");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_equal_pytorch),
        cmocka_unit_test(checkpoints_say_what_was_left_out),
        cmocka_unit_test(import_writes_safetensors),
        cmocka_unit_test(calls_are_refused_by_name),
        cmocka_unit_test(tensors_stay_inside_their_storage),
        cmocka_unit_test(damaged_pickles_are_refused),
        cmocka_unit_test(shared_dictionaries_are_bounded),
        cmocka_unit_test(damage_never_crashes),
        cmocka_unit_test(zip_checksums_are_checked),
        cmocka_unit_test(other_zips_are_refused),
    };
    return cmocka_run_group_tests_name("io/pth", tests, NULL, NULL);
}
