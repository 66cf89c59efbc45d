#include "core/rng.h"
#include "core/text.h"
#include "support/support.h"

static void nearest_finds_typos(void **state) {
    (void)state;
    const char *names[] = {"momentum", "weight_decay", "nesterov"};
    assert_string_equal(thaw_nearest("momentun", names, 3), "momentum");
    assert_string_equal(thaw_nearest("weigth_decay", names, 3), "weight_decay");
    assert_null(thaw_nearest("zebra", names, 3));
}

static void glob_matches(void **state) {
    (void)state;
    assert_true(thaw_glob_match("layer3.*", "layer3.0.conv1.weight"));
    assert_true(thaw_glob_match("*.bn?.weight", "layer1.0.bn1.weight"));
    assert_false(thaw_glob_match("layer3.*", "layer31.conv"));
    assert_true(thaw_glob_match("a*b*c", "aXbXbc"));
    assert_false(thaw_glob_match("a*b*c", "aXbX"));
}

static void json_escapes(void **state) {
    (void)state;
    struct thaw_text text = {0};
    thaw_text_append_json(&text, "a\"b\\c\n");
    assert_string_equal(text.text, "\"a\\\"b\\\\c\\u000a\"");
    thaw_text_finish(&text);
}

/* Known answers of Random123's Philox4x32-10. */
static void philox_known_answers(void **state) {
    (void)state;
    uint32_t block[4];
    thaw_philox((uint32_t[]){0, 0, 0, 0}, (uint32_t[]){0, 0}, block);
    assert_int_equal(block[0], 0x6627e8d5u);
    assert_int_equal(block[1], 0xe169c58du);
    assert_int_equal(block[2], 0xbc57ac4cu);
    assert_int_equal(block[3], 0x9b00dbd8u);
    thaw_philox((uint32_t[]){0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
                (uint32_t[]){0xa4093822u, 0x299f31d0u}, block);
    assert_int_equal(block[0], 0xd16cfe09u);
    assert_int_equal(block[3], 0x24126ea1u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_finds_typos),
        cmocka_unit_test(glob_matches),
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(philox_known_answers),
    };
    return cmocka_run_group_tests_name("core/text", tests, NULL, NULL);
}
