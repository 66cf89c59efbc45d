/* The option parser, and text that becomes JSON. */
#include "cli/options.h"

#include <string.h>

#include "cli/cli.h"
#include "support/support.h"

struct values {
    bool resume;
    const char *output;
    int top;
    struct thaw_words sets, nodes;
};

static const struct thaw_option options[] = {
    {"resume", 'r', THAW_OPTION_FLAG, offsetof(struct values, resume), NULL, "", 0, 0},
    {"output", 'o', THAW_OPTION_TEXT, offsetof(struct values, output), "FILE", "", 0, 0},
    {"top", 0, THAW_OPTION_INT, offsetof(struct values, top), "K", "", 1, 100},
    {"set", 0, THAW_OPTION_LIST, offsetof(struct values, sets), "KEY=VALUE", "", 0, 0},
    {"at", 0, THAW_OPTION_WORDS, offsetof(struct values, nodes), "NODE", "", 0, 0},
};

static struct thaw_arena arena;

static thaw_status parse(struct values *values, struct thaw_words *arguments,
                         const char *const *words) {
    size_t count = 0;
    while (words[count])
        count++;
    memset(values, 0, sizeof *values);
    *arguments = (struct thaw_words){0};
    struct thaw_option_table table = {options, sizeof options / sizeof *options, values};
    return thaw_options_parse(&arena, &table, 1, words, count, arguments);
}
#define PARSE(...) parse(&values, &arguments, (const char *const[]){__VA_ARGS__, NULL})

static void every_form(void **state) {
    (void)state;
    struct values values;
    struct thaw_words arguments;
    assert_ok(PARSE("a.yaml", "--resume", "--top=5", "-o", "x", "-", "--set", "a=1", "--set=b=2"));
    assert_true(values.resume);
    assert_int_equal(values.top, 5);
    assert_string_equal(values.output, "x");
    assert_int_equal(arguments.count, 2);
    assert_string_equal(arguments.items[0], "a.yaml");
    assert_string_equal(arguments.items[1], "-");
    assert_int_equal(values.sets.count, 2);
    assert_string_equal(values.sets.items[1], "b=2");
    assert_ok(PARSE("-ofile", "-r", "--", "--top", "-x"));
    assert_string_equal(values.output, "file");
    assert_true(values.resume);
    assert_int_equal(arguments.count, 2);
    assert_string_equal(arguments.items[0], "--top");
    assert_ok(PARSE("run", "--at", "layer1", "layer2.0", "-o", "f", "--at", "fc"));
    assert_int_equal(values.nodes.count, 3);
    assert_string_equal(values.nodes.items[2], "fc");
    assert_int_equal(arguments.count, 1);
    assert_ok(PARSE("--output=", "--output", "-"));
    assert_string_equal(values.output, "-");
}

static void wrong_forms(void **state) {
    (void)state;
    struct values values;
    struct thaw_words arguments;
    assert_fails(PARSE("--resum"), THAW_ERROR_INPUT, "unknown option \"--resum\"");
    assert_non_null(strstr(thaw_error_hint(), "--resume"));
    assert_fails(PARSE("-x"), THAW_ERROR_INPUT, "unknown option \"-x\"");
    assert_fails(PARSE("-rx"), THAW_ERROR_INPUT, "unknown option \"-rx\"");
    assert_fails(PARSE("--resume=yes"), THAW_ERROR_INPUT,
                 "--resume takes no value, but got \"yes\"");
    assert_fails(PARSE("--output"), THAW_ERROR_INPUT, "--output needs a value: --output FILE");
    assert_fails(PARSE("-o"), THAW_ERROR_INPUT, "--output needs a value");
    assert_fails(PARSE("--at"), THAW_ERROR_INPUT, "--at needs a value");
    static const char *const numbers[] = {"", "x", "5x", "0", "101", "99999999999999999999", "1.5"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_fails(PARSE("--top", numbers[i]), THAW_ERROR_INPUT,
                     "expected a whole number from 1 to 100");
}

static void json_from_any_bytes(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"plain", "plain"},
        {"caf\xC3\xA9", "caf\xC3\xA9"},
        {"caf\xE9!", "caf\xEF\xBF\xBD!"},
        {"\xC3", "\xEF\xBF\xBD"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
        {"", ""},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *string = thaw_json_text(texts[i][0]);
        assert_string_equal(json_string_value(string), texts[i][1]);
        json_decref(string);
    }
}

static void exit_codes(void **state) {
    (void)state;
    static const int codes[THAW_STATUS_COUNT] = {0, 1, 1, 2, 2, 3, 1, 130};
    for (int i = 0; i < THAW_STATUS_COUNT; i++)
        assert_int_equal(thaw_cli_exit_code((thaw_status)i), codes[i]);
}

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form),
        cmocka_unit_test(wrong_forms),
        cmocka_unit_test(json_from_any_bytes),
        cmocka_unit_test(exit_codes),
    };
    return cmocka_run_group_tests_name("cli/options", tests, NULL, finish);
}
