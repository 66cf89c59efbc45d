/* YAML trees: places, strictness, typed reads, editing, and text that parses back. */
#include "core/yaml.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "support/support.h"

static struct thaw_arena arena;

static thaw_status try_parse(const char *text, thaw_yaml **ret_root) {
    return thaw_yaml_parse(&arena, text, strlen(text), "t.yaml", ret_root);
}

static thaw_yaml *parse(const char *text) {
    thaw_yaml *root = NULL;
    assert_ok(try_parse(text, &root));
    return root;
}

static char *emit(const thaw_yaml *node) {
    struct thaw_text text = {0};
    thaw_yaml_emit(node, &text);
    assert_false(text.failed);
    char *copy = thaw_arena_copy(&arena, text.text);
    thaw_text_finish(&text);
    return copy;
}

static const char *text_at(const thaw_yaml *map, const char *key) {
    const char *text = NULL;
    const thaw_yaml *node = thaw_yaml_get(map, key);
    assert_non_null(node);
    assert_ok(thaw_yaml_string(node, &text));
    return text;
}

/* ---- Parsing --------------------------------------------------------------------------------- */

static void places_are_kept(void **state) {
    (void)state;
    const thaw_yaml *root = parse("# comment\na: 1\nb:\n  - {c: 'x', d: [2, 3]}\n");
    assert_int_equal(root->kind, THAW_YAML_MAPPING);
    assert_int_equal(root->count, 2);
    assert_int_equal(root->line, 2);
    const thaw_yaml *item = thaw_yaml_get(root, "b")->items[0];
    assert_int_equal(item->line, 4);
    assert_int_equal(item->column, 5);
    const thaw_yaml *c = thaw_yaml_get(item, "c");
    assert_true(c->quoted);
    assert_int_equal(c->column, 9);
    assert_string_equal(c->file, "t.yaml");
    const thaw_yaml *d = thaw_yaml_get(item, "d");
    assert_int_equal(d->kind, THAW_YAML_SEQUENCE);
    assert_int_equal(d->items[1]->column, 21);
    assert_string_equal(d->items[1]->text, "3");
    assert_false(d->items[1]->quoted);
    assert_null(thaw_yaml_get(root, "c"));
    assert_null(thaw_yaml_get(d, "c"));
    assert_null(thaw_yaml_get(NULL, "c"));
}

static void empty_text_is_null(void **state) {
    (void)state;
    assert_true(thaw_yaml_is_null(parse("")));
    assert_true(thaw_yaml_is_null(parse("# nothing\n")));
    assert_true(thaw_yaml_is_null(parse("---\n")));
    assert_fails(thaw_yaml_expect(parse(""), THAW_YAML_MAPPING, "the configuration"),
                 THAW_ERROR_INPUT, "t.yaml:1:1: the configuration must be a mapping, not nothing");
}

static void aliases_become_copies(void **state) {
    (void)state;
    thaw_yaml *root = parse("a: &x {lr: 1, list: [1]}\nb: *x\n<<: *x\n");
    assert_string_equal(text_at(thaw_yaml_get(root, "b"), "lr"), "1");
    assert_non_null(thaw_yaml_get(root, "<<"));
    assert_ok(thaw_yaml_set(&arena, root, "b.lr=2"));
    assert_string_equal(text_at(thaw_yaml_get(root, "a"), "lr"), "1");
    assert_string_equal(text_at(thaw_yaml_get(root, "b"), "lr"), "2");
}

static void load_names_the_file(void **state) {
    (void)state;
    thaw_yaml *root = NULL;
    char *path = thaw_path_join(&arena, test_directory(), "c.yaml");
    assert_ok(thaw_file_write(path, "a: 1\nb: [\n", 10));
    assert_fails(thaw_yaml_load(&arena, path, &root), THAW_ERROR_INPUT, "/c.yaml:3:1: ");
    assert_ok(thaw_file_write(path, "", 0));
    assert_ok(thaw_yaml_load(&arena, path, &root));
    assert_true(thaw_yaml_is_null(root));
    assert_ok(thaw_file_write(path, "a: 1\n", 5));
    assert_ok(thaw_yaml_load(&arena, path, &root));
    assert_string_equal(root->items[0]->file, path);
    assert_fails(thaw_yaml_load(&arena, "/no/such.yaml", &root), THAW_ERROR_INPUT, "/no/such.yaml");
}

static void wrong_text_fails_at_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a: 1\nb: [1, 2\nc: 3\n", "t.yaml:3:2: did not find expected ',' or ']'"},
        {"a: {b: 1\n", "t.yaml:2:1: did not find expected ',' or '}' (while parsing a flow mapping "
                       "that starts at "
                       "line 1)"},
        {"a: 1\n  b: 2\n", "t.yaml:2:4: mapping values are not allowed"},
        {"a: \"x\n", "found unexpected end of stream"},
        {"a: 1\n\tb: 2\n", "t.yaml:2:1: "},
        {"a: x\001\n", "t.yaml:1:5: control characters are not allowed"},
        {"a: 1\nb: \xff\n", "t.yaml:2:4: invalid leading UTF-8 octet"},
        {"a: \"x\\0y\"\n", "t.yaml:1:4: a NUL character"},
        {"lr: 1\nb: 2\nlr: 3\n", "t.yaml:3:1: duplicate key 'lr' (first at line 1)"},
        {"a: {1: x, '1': y}\n", "t.yaml:1:11: duplicate key '1'"},
        {"a: *nope\n", "t.yaml:1:4: unknown anchor '*nope'"},
        {"a: &x [*x]\n", "t.yaml:1:8: unknown anchor '*x'"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document"},
        {"[a]: 1\n", "t.yaml:1:1: a key must be a text or number, not a sequence"},
        {"a: !!int '3'\n", "t.yaml:1:4: tag 'tag:yaml.org,2002:int' is not supported"},
        {"a: !lr 3\n", "tag '!lr' is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        thaw_yaml *root = NULL;
        assert_fails(try_parse(cases[i].text, &root), THAW_ERROR_INPUT, cases[i].message);
        assert_null(root);
    }
}

static void depth_is_limited(void **state) {
    (void)state;
    char text[256];
    thaw_yaml *root = NULL;
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_ok(thaw_yaml_parse(&arena, text + 1, 128, "t.yaml", &root));
    assert_fails(thaw_yaml_parse(&arena, text, 130, "t.yaml", &root), THAW_ERROR_INPUT,
                 "t.yaml:1:65: nested deeper than 64 levels");
    /* Each line nests the one before it ten levels deeper. */
    struct thaw_text deep = {0};
    thaw_text_append(&deep, "a0: &a0 1\n");
    for (int i = 1; i <= 7; i++)
        thaw_text_append(&deep, "a%d: &a%d [[[[[[[[[[*a%d]]]]]]]]]]\n", i, i, i - 1);
    assert_fails(thaw_yaml_parse(&arena, deep.text, deep.length, "t.yaml", &root), THAW_ERROR_INPUT,
                 "t.yaml:8:19: nested deeper than 64 levels");
    thaw_text_finish(&deep);
}

/* "Billion laughs": ten levels of ten aliases each. */
static void expansion_is_limited(void **state) {
    (void)state;
    struct thaw_text text = {0};
    thaw_yaml *root = NULL;
    thaw_text_append(&text, "a0: &a0 lol\n");
    for (int i = 1; i < 10; i++) {
        thaw_text_append(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            thaw_text_append(&text, "*a%d,", i - 1);
        thaw_text_append(&text, "]\n");
    }
    assert_fails(thaw_yaml_parse(&arena, text.text, text.length, "t.yaml", &root), THAW_ERROR_INPUT,
                 "t.yaml:6:38: more than 100000 values, aliases expanded");
    thaw_text_finish(&text);
    for (int i = 0; i <= 100000; i++)
        thaw_text_append(&text, "- a\n");
    assert_fails(thaw_yaml_parse(&arena, text.text, text.length, "t.yaml", &root), THAW_ERROR_INPUT,
                 "t.yaml:100000:3: more than 100000 values");
    thaw_text_finish(&text);
    for (int i = 0; i <= 1000; i++)
        thaw_text_append(&text, "- &a%d a\n", i);
    assert_fails(thaw_yaml_parse(&arena, text.text, text.length, "t.yaml", &root), THAW_ERROR_INPUT,
                 "t.yaml:1001:3: more than 1000 anchors");
    thaw_text_finish(&text);
}

/* ---- Typed reads ----------------------------------------------------------------------------- */

static void numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"1e-4", 1e-4},   {".5", .5}, {"5.", 5},         {"-3", -3},
                {"+2.5E+2", 250}, {"007", 7}, {"1.0e-400", 0.0}, {"0.1", 0.1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double value = NAN;
        assert_ok(thaw_yaml_double(parse(good[i].text), -INFINITY, INFINITY, &value));
        assert_true(value == good[i].value);
    }
    static const char *const bad[] = {"1_000", "0x10", "inf",  ".inf", "nan", ".nan", "-",
                                      "e5",    "1e",   "0.1x", "1 2",  "'1'", "~",    "[1]",
                                      "1e999", "true", "a: 1", "1,5",  "--1", "1-"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double value = 42;
        int64_t integer = 42;
        thaw_yaml *node = parse(bad[i]);
        assert_fails(thaw_yaml_double(node, -INFINITY, INFINITY, &value), THAW_ERROR_INPUT,
                     "t.yaml:1:1: expected a number, found ");
        assert_fails(thaw_yaml_int(node, INT64_MIN, INT64_MAX, &integer), THAW_ERROR_INPUT,
                     "t.yaml:1:1: expected an integer, found ");
        assert_true(value == 42 && integer == 42);
    }
}

static void integers_and_ranges(void **state) {
    (void)state;
    int64_t value = 0;
    double number = 0;
    assert_ok(thaw_yaml_int(parse("9223372036854775807"), 0, INT64_MAX, &value));
    assert_true(value == INT64_MAX);
    assert_fails(thaw_yaml_int(parse("9223372036854775808"), 0, INT64_MAX, &value),
                 THAW_ERROR_INPUT,
                 "expected an integer of at least 0, found '9223372036854775808'");
    assert_fails(thaw_yaml_int(parse("1e3"), 0, 9, &value), THAW_ERROR_INPUT,
                 "expected an integer from 0 to 9, found '1e3'");
    assert_fails(thaw_yaml_int(parse("10"), 0, 9, &value), THAW_ERROR_INPUT, "from 0 to 9");
    assert_fails(thaw_yaml_double(parse("1.5"), 0, 1, &number), THAW_ERROR_INPUT,
                 "expected a number from 0 to 1, found '1.5'");
    assert_fails(thaw_yaml_double(parse("1.5"), -INFINITY, 1, &number), THAW_ERROR_INPUT,
                 "expected a number of at most 1, found '1.5'");
    assert_fails(thaw_yaml_double(NULL, 0, 1, &number), THAW_ERROR_INPUT, "found no value");
}

static void texts_bools_and_null(void **state) {
    (void)state;
    const char *text = NULL;
    bool flag = false;
    assert_ok(thaw_yaml_string(parse("12"), &text));
    assert_string_equal(text, "12");
    assert_ok(thaw_yaml_string(parse("''"), &text));
    assert_string_equal(text, "");
    assert_fails(thaw_yaml_string(parse("~"), &text), THAW_ERROR_INPUT,
                 "expected a text, found nothing");
    assert_fails(thaw_yaml_string(parse("[a]"), &text), THAW_ERROR_INPUT, "found a sequence");
    assert_ok(thaw_yaml_bool(parse("TRUE"), &flag));
    assert_true(flag);
    assert_ok(thaw_yaml_bool(parse("false"), &flag));
    assert_false(flag);
    assert_fails(thaw_yaml_bool(parse("yes"), &flag), THAW_ERROR_INPUT,
                 "expected true or false, found 'yes'");
    assert_fails(thaw_yaml_bool(parse("\"true\""), &flag), THAW_ERROR_INPUT,
                 "found the quoted text 'true'");
    assert_true(thaw_yaml_is_null(parse("Null")));
    assert_false(thaw_yaml_is_null(parse("'null'")));
    assert_false(thaw_yaml_is_null(parse("|\n  null\n")));
    assert_false(thaw_yaml_is_null(NULL));
}

static void choices(void **state) {
    (void)state;
    const char *const names[] = {"sgd", "adamw"};
    size_t index = 9;
    assert_ok(thaw_yaml_choice(parse("adamw"), names, 2, &index));
    assert_int_equal(index, 1);
    assert_fails(
        thaw_yaml_choice(parse("adamW"), names, 2, &index), THAW_ERROR_INPUT,
        "t.yaml:1:1: unknown value 'adamW' (nearest: 'adamw'; expected one of: sgd, adamw)");
    assert_fails(thaw_yaml_choice(parse("zebra"), names, 2, &index), THAW_ERROR_INPUT,
                 "unknown value 'zebra' (expected one of: sgd, adamw)");
    assert_fails(thaw_yaml_choice(parse("{a: 1}"), names, 2, &index), THAW_ERROR_INPUT,
                 "expected one of: sgd, adamw, found a mapping");
    assert_int_equal(index, 1);
}

static void optional_keys(void **state) {
    (void)state;
    const thaw_yaml *map = parse("i: 3\nd: 0.5\nb: true\ns: text\nempty:\n");
    int integer = 1;
    double number = 1;
    bool flag = false;
    const char *text = "default";
    assert_ok(thaw_yaml_get_int(map, "absent", 0, 9, &integer));
    assert_ok(thaw_yaml_get_string(map, "absent", &text));
    assert_int_equal(integer, 1);
    assert_string_equal(text, "default");
    assert_ok(thaw_yaml_get_int(map, "i", 0, 9, &integer));
    assert_ok(thaw_yaml_get_double(map, "d", 0, 1, &number));
    assert_ok(thaw_yaml_get_bool(map, "b", &flag));
    assert_ok(thaw_yaml_get_string(map, "s", &text));
    assert_true(integer == 3 && number == 0.5 && flag);
    assert_string_equal(text, "text");
    assert_fails(thaw_yaml_get_int(map, "d", 0, 9, &integer), THAW_ERROR_INPUT,
                 "t.yaml:2:4: 'd': expected an integer from 0 to 9, found '0.5'");
    assert_fails(thaw_yaml_get_double(map, "empty", 0, 1, &number), THAW_ERROR_INPUT,
                 "'empty': expected a number from 0 to 1, found nothing");
    assert_fails(thaw_yaml_get_bool(map, "i", &flag), THAW_ERROR_INPUT,
                 "'i': expected true or false, found '3'");
    assert_fails(thaw_yaml_get_string(map, "empty", &text), THAW_ERROR_INPUT, "expected a text");
}

static void unknown_keys(void **state) {
    (void)state;
    const char *const names[] = {"type", "momentum"};
    assert_ok(thaw_yaml_only(parse("{momentum: 1, type: sgd}"), names, 2));
    assert_ok(thaw_yaml_only(NULL, names, 2));
    assert_fails(thaw_yaml_only(parse("type: sgd\nmomentun: 1\n"), names, 2), THAW_ERROR_INPUT,
                 "t.yaml:2:1: unknown key 'momentun' (nearest: 'momentum'; expected one of: type, "
                 "momentum)");
    assert_fails(thaw_yaml_only(parse("x: 1"), NULL, 0), THAW_ERROR_INPUT,
                 "unknown key 'x' (there is none)");
    assert_fails(thaw_yaml_only(parse("sgd"), names, 2), THAW_ERROR_INPUT,
                 "expected a mapping, found 'sgd'");
    assert_fails(thaw_yaml_expect(parse("sgd"), THAW_YAML_MAPPING, "optimizer"), THAW_ERROR_INPUT,
                 "t.yaml:1:1: optimizer must be a mapping, not 'sgd'");
    assert_fails(thaw_yaml_expect(NULL, THAW_YAML_SEQUENCE, "train"), THAW_ERROR_INPUT,
                 "train must be a sequence, not missing");
}

/* ---- Editing --------------------------------------------------------------------------------- */

static void merging(void **state) {
    (void)state;
    const thaw_yaml *base = parse("a: {x: 1, y: 2}\nb: [1, 2]\nc: 3\n");
    const thaw_yaml *over = parse("c: {z: 1}\na: {y: 5, w: 6}\nb: [9]\nd: ~\n");
    thaw_yaml *merged = NULL;
    assert_ok(thaw_yaml_merge(&arena, base, over, &merged));
    assert_string_equal(emit(merged), "a: {x: 1, y: 5, w: 6}\nb: [9]\nc: {z: 1}\nd: ~\n");
    assert_ok(thaw_yaml_set(&arena, merged, "a.x=7"));
    assert_string_equal(text_at(thaw_yaml_get(base, "a"), "x"), "1");
    assert_ok(thaw_yaml_merge(&arena, base, parse("text"), &merged));
    assert_string_equal(merged->text, "text");
}

static void setting(void **state) {
    (void)state;
    thaw_yaml *root = parse("train: [{lr: 1x}, {lr: 0.1x}]\nhead:\noptimizer: sgd\n");
    assert_ok(thaw_yaml_set(&arena, root, "train.1.lr=0.01x"));
    assert_ok(thaw_yaml_set(&arena, root, "train.0={a: 1}"));
    assert_ok(thaw_yaml_set(&arena, root, "head.dropout=0.2"));
    assert_ok(thaw_yaml_set(&arena, root, "data.mean=[1,2]"));
    assert_ok(thaw_yaml_set(&arena, root, "flag=true"));
    assert_ok(thaw_yaml_set(&arena, root, "none="));
    assert_ok(thaw_yaml_set(&arena, root, "query=a=b"));
    assert_string_equal(emit(root), "train:\n- {a: 1}\n- {lr: 0.01x}\nhead: {dropout: 0.2}\n"
                                    "optimizer: sgd\ndata:\n  mean: [1, 2]\nflag: true\n"
                                    "none: null\nquery: a=b\n");
    static const struct {
        const char *assignment, *message;
    } cases[] = {
        {"novalue", "--set: 'novalue': expected key.path=value"},
        {"=1", "--set:1:1: '=1': a key is empty"},
        {"a..b=1", "--set:1:3: 'a..b=1': a key is empty"},
        {"optimizer.lr=1", "--set:1:11: cannot set 'lr' inside the value 'sgd'"},
        {"train.2.lr=1", "--set:1:7: '2' is no item of a sequence of 2 (counted from 0)"},
        {"train.-1.lr=1", "'-1' is no item of a sequence"},
        {"train.x=1", "'x' is no item of a sequence"},
        {"train.99999999999999999999=1", "is no item of a sequence"},
        {"data.mean=[1,", "--set:1:14: did not find expected node content"},
        {"1.2.3.4.5.6.7.8.9.10.1.2.3.4.5.6.7.8.9.20.1.2.3.4.5.6.7.8.9.30.1.2.3=1",
         "more than 32 keys"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(thaw_yaml_set(&arena, root, cases[i].assignment), THAW_ERROR_INPUT,
                     cases[i].message);
    thaw_yaml *empty = parse("");
    assert_ok(thaw_yaml_set(&arena, empty, "optimizer.momentun=1"));
    const char *const names[] = {"momentum"};
    assert_fails(thaw_yaml_only(thaw_yaml_get(empty, "optimizer"), names, 1), THAW_ERROR_INPUT,
                 "--set:1:11: unknown key 'momentun'");
}

static void building(void **state) {
    (void)state;
    thaw_yaml map = {.kind = THAW_YAML_MAPPING};
    char key[16];
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "k%d", i % 20);
        thaw_yaml *value = thaw_yaml_new_scalar(&arena, key, NULL);
        assert_ok(thaw_yaml_put(&arena, &map, key, value));
    }
    assert_int_equal(map.count, 20);
    assert_string_equal(text_at(&map, "k19"), "k19");
    assert_fails(thaw_yaml_put(&arena, map.items[0], "x", map.items[1]), THAW_ERROR_INPUT,
                 "must be a mapping");
    /* Arrays of somebody else's are not overrun. */
    thaw_yaml *items[12];
    for (int i = 0; i < 12; i++)
        items[i] = map.items[i];
    thaw_yaml list = {.kind = THAW_YAML_SEQUENCE, .count = 12, .items = items};
    assert_ok(thaw_yaml_append(&arena, &list, NULL, map.items[12]));
    assert_int_equal(list.count, 13);
    assert_string_equal(list.items[12]->text, "k12");
    assert_string_equal(list.items[0]->text, "k0");
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Parses back to the same tree: same texts, same kinds of scalars. */
static void expect_same(const thaw_yaml *a, const thaw_yaml *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->count, b->count);
    assert_int_equal(thaw_yaml_is_null(a), thaw_yaml_is_null(b));
    if (a->kind == THAW_YAML_SCALAR && !thaw_yaml_is_null(a)) {
        double x = 0, y = 0;
        bool p = false, q = false;
        assert_string_equal(a->text, b->text);
        assert_int_equal(thaw_yaml_double(a, -INFINITY, INFINITY, &x),
                         thaw_yaml_double(b, -INFINITY, INFINITY, &y));
        assert_int_equal(thaw_yaml_bool(a, &p), thaw_yaml_bool(b, &q));
        assert_true(x == y && p == q);
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->kind == THAW_YAML_MAPPING)
            assert_string_equal(a->keys[i]->text, b->keys[i]->text);
        expect_same(a->items[i], b->items[i]);
    }
}

static void emitted_text_parses_back(void **state) {
    (void)state;
    static const char *const scalars[] = {
        "1",
        "1e-4",
        ".5",
        "true",
        "Null",
        "~",
        "",
        "null",
        "yes",
        "-",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "[a",
        "{a}",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "'",
        "\"",
        "a'b\"c\\d",
        " a",
        "a ",
        "a\nb",
        "\n",
        "\na",
        "a\n",
        "a\n\n",
        "a\tb",
        "\t",
        "?",
        "? a",
        ": a",
        ":",
        "---",
        "...",
        "--- a",
        "a\rb",
        "\r\n",
        "\a",
        "\x1b[",
        "\x7f",
        "é",
        "日本",
        "\u2028",
        "\ufeff",
        "\xc2\x85",
        "😀",
        ",",
        "a, b",
        "a]",
        "=",
        "<<",
        "${a}",
        "0x10",
        "1_000",
        "a\n  b\n",
        "  indented\nblock\n",
        "long text that goes on and on over the width of one line, well "
        "beyond eighty or a hundred characters, with spaces everywhere",
    };
    size_t count = sizeof scalars / sizeof *scalars;
    for (int shape = 0; shape < 5; shape++) {
        for (size_t i = 0; i < 2 * count; i++) {
            thaw_yaml *scalar = thaw_yaml_new_scalar(&arena, scalars[i / 2], NULL);
            thaw_yaml *other = thaw_yaml_new_scalar(&arena, scalars[i / 2], NULL);
            scalar->quoted = i % 2;
            thaw_yaml *inner = parse(shape < 3 ? "{}" : "[]"), *root = parse("{a: {b: c}}");
            if (shape == 0) /* in a mapping on one line, as key too */
                assert_ok(thaw_yaml_append(&arena, inner, other, scalar));
            if (shape == 1) /* in a block mapping */
                assert_ok(thaw_yaml_append(&arena, inner, other, parse("{a: {b: c}}")));
            if (shape == 2)
                assert_ok(thaw_yaml_put(&arena, root, scalars[i / 2], scalar));
            if (shape >= 3)
                assert_ok(thaw_yaml_append(&arena, inner, NULL, scalar));
            if (shape == 4)
                assert_ok(thaw_yaml_append(&arena, inner, NULL, parse("[[1, 2], {a: [3]}]")));
            assert_ok(thaw_yaml_put(&arena, root, "inner", inner));
            expect_same(root, parse(emit(root)));
            expect_same(scalar, parse(emit(scalar)));
        }
    }
}

static void emitted_text_is_pleasant(void **state) {
    (void)state;
    static const char *const text = "model: resnet18\n"
                                    "input: {channels: 3, size: 224}\n"
                                    "empty: {}\n"
                                    "nothing: []\n"
                                    "name: '12'\n"
                                    "lr: 0.1x\n"
                                    "graph:\n"
                                    "- conv1:\n"
                                    "    conv: {out: 64, kernel: 7, bias: false}\n"
                                    "- relu\n"
                                    "mean: [0.485, 0.456, 0.406]\n"
                                    "long: \"a\\nb\"\n";
    assert_string_equal(emit(parse(text)), text);
    struct thaw_text list = {0};
    thaw_text_append(&list, "classes:\n");
    for (int i = 0; i < 12; i++)
        thaw_text_append(&list, "- class number %d\n", i);
    assert_string_equal(emit(parse(list.text)), list.text);
    thaw_text_finish(&list);

    struct thaw_text bad = {0};
    thaw_yaml_emit(thaw_yaml_new_scalar(&arena, "\xff", NULL), &bad);
    assert_true(bad.failed);
    thaw_text_finish(&bad);
}

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_kept),
        cmocka_unit_test(empty_text_is_null),
        cmocka_unit_test(aliases_become_copies),
        cmocka_unit_test(load_names_the_file),
        cmocka_unit_test(wrong_text_fails_at_its_place),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(expansion_is_limited),
        cmocka_unit_test(numbers),
        cmocka_unit_test(integers_and_ranges),
        cmocka_unit_test(texts_bools_and_null),
        cmocka_unit_test(choices),
        cmocka_unit_test(optional_keys),
        cmocka_unit_test(unknown_keys),
        cmocka_unit_test(merging),
        cmocka_unit_test(setting),
        cmocka_unit_test(building),
        cmocka_unit_test(emitted_text_parses_back),
        cmocka_unit_test(emitted_text_is_pleasant),
    };
    return cmocka_run_group_tests_name("core/yaml", tests, NULL, finish);
}
