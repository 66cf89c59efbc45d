/* Any bytes as YAML: they parse to a tree or fail with a place; a tree can be read, edited and
 * written, and what is written parses back to the same tree. */
#include <math.h>
#include <string.h>

#include "core/yaml.h"
#include "fuzz/fuzz.h"

static const struct fuzz_seed seeds[] = {
    FUZZ_SEED_TEXT("model: resnet18\ninput: {channels: 3, size: 224, mean: [0.485, 0.456, 0.406]}\n"
                   "blocks:\n  basic:\n    params: {out: required, stride: 1}\n    nodes:\n"
                   "      - conv1: {conv: {out: \"${out}\", kernel: 3, bias: false}}\n"
                   "      - relu\n      - add: [bn2, downsample]\n"),
    FUZZ_SEED_TEXT("extends: base.yaml # comment\ntrain:\n"
                   "  - {stage: warmup, train: [head], lr: 1x, epochs: 20, cache: {views: 4}}\n"
                   "  - {stage: tune, train: [auto, head], lr: 0.1x,\n"
                   "     early_stop: {metric: val.top1, patience: 8}}\n"),
    FUZZ_SEED_TEXT("a: &x {k: 1, l: [~, null, true, -1.5e-3]}\nb: *x\nc: [*x, &y z, *y]\n"),
    FUZZ_SEED_TEXT("text: |\n  one\n   two\n\nfolded: >-\n  a\n  b\nq: 'it''s'\nd: \"\\t\\u00e9\\\n"
                   "   x\"\n? long\n: value\n"),
    FUZZ_SEED_TEXT("train.0.lr=[1, {a: b}]"),
    FUZZ_SEED_TEXT("%YAML 1.1\n---\n- - a\n  - 'b'\n-\n...\n"),
    FUZZ_SEED_TEXT("\xef\xbb\xbfname: \xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\r\nx:\r  1\n"),
    FUZZ_SEED_TEXT("a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"),
};

static const struct fuzz_seed tokens[] = {
    FUZZ_SEED_TEXT("\n"),      FUZZ_SEED_TEXT("\n  "),     FUZZ_SEED_TEXT("\n- "),
    FUZZ_SEED_TEXT(": "),      FUZZ_SEED_TEXT("["),        FUZZ_SEED_TEXT("]"),
    FUZZ_SEED_TEXT("{"),       FUZZ_SEED_TEXT("}"),        FUZZ_SEED_TEXT(", "),
    FUZZ_SEED_TEXT("&x "),     FUZZ_SEED_TEXT("*x"),       FUZZ_SEED_TEXT("!!str "),
    FUZZ_SEED_TEXT("'"),       FUZZ_SEED_TEXT("\""),       FUZZ_SEED_TEXT("|\n"),
    FUZZ_SEED_TEXT(">\n"),     FUZZ_SEED_TEXT("#"),        FUZZ_SEED_TEXT("\n---\n"),
    FUZZ_SEED_TEXT("\n...\n"), FUZZ_SEED_TEXT("? "),       FUZZ_SEED_TEXT("\t"),
    FUZZ_SEED_TEXT("${a}"),    FUZZ_SEED_TEXT("$${"),      FUZZ_SEED_TEXT("\\x00"),
    FUZZ_SEED_TEXT("[*x,*x]"), FUZZ_SEED_TEXT("1e999"),    FUZZ_SEED_TEXT("\xef\xbb\xbf"),
    FUZZ_SEED_TEXT("="),       FUZZ_SEED_TEXT("\xc2\x85"),
};

const struct fuzz_seed *fuzz_seeds(size_t *ret_count) {
    *ret_count = sizeof seeds / sizeof *seeds;
    return seeds;
}

const struct fuzz_seed *fuzz_tokens(size_t *ret_count) {
    *ret_count = sizeof tokens / sizeof *tokens;
    return tokens;
}

/* Bad input is the only failure, and has a message. */
static bool succeeds(thaw_status status) {
    FUZZ_REQUIRE(status == THAW_OK || (status == THAW_ERROR_INPUT && *thaw_error_message()));
    return status == THAW_OK;
}

static void read_everything(const thaw_yaml *node) {
    static const char *const names[] = {"model", "train", "a"};
    double number;
    int64_t integer;
    bool flag;
    const char *text;
    size_t index;
    FUZZ_REQUIRE(node->file && node->line > 0 && node->column > 0);
    if (succeeds(thaw_yaml_double(node, -INFINITY, INFINITY, &number)))
        FUZZ_REQUIRE(isfinite(number));
    if (succeeds(thaw_yaml_int(node, 0, 9, &integer)))
        FUZZ_REQUIRE(integer >= 0 && integer <= 9);
    succeeds(thaw_yaml_bool(node, &flag));
    succeeds(thaw_yaml_string(node, &text));
    succeeds(thaw_yaml_choice(node, names, 3, &index));
    succeeds(thaw_yaml_only(node, names, 3));
    for (size_t i = 0; i < node->count; i++) {
        read_everything(node->items[i]);
        if (node->kind == THAW_YAML_MAPPING)
            FUZZ_REQUIRE(thaw_yaml_get(node, node->keys[i]->text) == node->items[i]);
    }
}

static bool is_number(const thaw_yaml *node, double *value) {
    return thaw_yaml_double(node, -INFINITY, INFINITY, value) == THAW_OK;
}

static void require_same(const thaw_yaml *a, const thaw_yaml *b) {
    FUZZ_REQUIRE(a->kind == b->kind && a->count == b->count);
    FUZZ_REQUIRE(thaw_yaml_is_null(a) == thaw_yaml_is_null(b));
    if (a->kind == THAW_YAML_SCALAR && !thaw_yaml_is_null(a)) {
        double x = 0, y = 0;
        bool p = false, q = false;
        FUZZ_REQUIRE(!strcmp(a->text, b->text));
        FUZZ_REQUIRE(is_number(a, &x) == is_number(b, &y) && x == y);
        FUZZ_REQUIRE(thaw_yaml_bool(a, &p) == thaw_yaml_bool(b, &q) && p == q);
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->kind == THAW_YAML_MAPPING)
            FUZZ_REQUIRE(!strcmp(a->keys[i]->text, b->keys[i]->text));
        require_same(a->items[i], b->items[i]);
    }
}

static void write_and_read_back(struct thaw_arena *arena, const thaw_yaml *root) {
    struct thaw_text text = {0};
    thaw_yaml *again = NULL;
    thaw_yaml_emit(root, &text);
    FUZZ_REQUIRE(!text.failed);
    FUZZ_REQUIRE(thaw_yaml_parse(arena, text.text, text.length, "emitted", &again) == THAW_OK);
    require_same(root, again);
    thaw_text_finish(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct thaw_arena arena = {0};
    thaw_yaml *root = NULL, *base = NULL, *result = NULL;
    FUZZ_REQUIRE(thaw_yaml_parse(&arena, "{train: [{lr: 1}], a: ~}", 24, "base", &base) == THAW_OK);
    char *text = thaw_arena_copy_bytes(&arena, (const char *)data, size);
    FUZZ_REQUIRE(text);
    if (succeeds(thaw_yaml_parse(&arena, (const char *)data, size, "fuzz", &root))) {
        read_everything(root);
        write_and_read_back(&arena, root);
        FUZZ_REQUIRE(thaw_yaml_merge(&arena, root, root, &result) == THAW_OK);
        require_same(root, result);
        FUZZ_REQUIRE(thaw_yaml_merge(&arena, base, root, &result) == THAW_OK);
        write_and_read_back(&arena, result);
    }
    if (succeeds(thaw_yaml_set(&arena, base, text)))
        read_everything(base);
    thaw_arena_finish(&arena);
    return 0;
}
