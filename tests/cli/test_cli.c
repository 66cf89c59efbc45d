/* The program as a user meets it: exit codes, messages, `thaw devices`. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "support/process.h"

static const char *const commands[] = {
#define X(name) #name,
#include "commands.inc"
#undef X
};

static void without_a_command(void **state) {
    (void)state;
    test_expect_exit(test_thaw(NULL, (const char *const[]){NULL}), 2, "usage: thaw COMMAND");
    test_expect_exit(TEST_THAW(NULL, ""), 2, "unknown command \"\"");
}

static void help_and_version(void **state) {
    (void)state;
    struct test_process help = TEST_THAW(NULL, "--help");
    assert_int_equal(help.exit_code, 0);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        assert_non_null(strstr(help.output, commands[i]));
    test_process_finish(&help);
    struct test_process version = TEST_THAW(NULL, "--version");
    assert_int_equal(version.exit_code, 0);
    assert_string_equal(version.output, "thaw " THAW_VERSION "\n");
    test_process_finish(&version);
}

/* Every command has help with an example, and refuses an option that it does not know. */
static void every_command(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "usage: thaw %s", commands[i]);
        struct test_process help = TEST_THAW(NULL, commands[i], "--nonsense", "--help");
        assert_int_equal(help.exit_code, 0);
        assert_non_null(strstr(help.output, usage));
        assert_non_null(strstr(help.output, "example"));
        assert_non_null(strstr(help.output, "--quiet"));
        assert_string_equal(help.errors, "");
        test_process_finish(&help);
        test_expect_exit(TEST_THAW(NULL, commands[i], "--nonsense"), 2,
                         "unknown option \"--nonsense\"");
    }
}

static void misspelt(void **state) {
    (void)state;
    test_expect_exit(TEST_THAW(NULL, "devises"), 2,
                     "error: unknown command \"devises\"\nhint: did you mean \"devices\"?");
    test_expect_exit(TEST_THAW(NULL, "--jsn"), 2, "unknown option \"--jsn\"");
    test_expect_exit(TEST_THAW(NULL, "devices", "--jsn"), 2,
                     "unknown option \"--jsn\"\nhint: did you mean --json?");
    test_expect_exit(TEST_THAW(NULL, "devices", "--set", "a=1"), 2, "unknown option \"--set\"");
    test_expect_exit(TEST_THAW(NULL, "devices", "--device"), 2, "--device needs a value");
    test_expect_exit(TEST_THAW(NULL, "devices", "extra"), 2, "unexpected argument \"extra\"");
}

static void devices_for_people(void **state) {
    (void)state;
    struct test_process devices = TEST_THAW(NULL, "devices");
    assert_int_equal(devices.exit_code, 0);
    assert_non_null(strstr(devices.output, "platform"));
    assert_true(devices.output[0] == '*' || strstr(devices.output, "\n* "));
    assert_string_equal(devices.errors, "");
    test_process_finish(&devices);
}

static void devices_for_scripts(void **state) {
    (void)state;
    struct test_process devices = TEST_THAW(NULL, "devices", "--json");
    assert_int_equal(devices.exit_code, 0);
    json_error_t error;
    json_t *root = json_loads(devices.output, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s at %d", error.text, error.line);
    json_t *chosen = json_object_get(root, "chosen");
    json_t *device =
        json_array_get(json_object_get(root, "devices"), (size_t)json_integer_value(chosen));
    assert_true(json_is_integer(chosen));
    assert_true(json_is_string(json_object_get(device, "name")));
    assert_true(json_integer_value(json_object_get(device, "compute_units")) > 0);
    assert_true(json_is_null(json_object_get(device, "unusable")));
    json_decref(root);
    test_process_finish(&devices);
}

static void no_such_device(void **state) {
    (void)state;
    const char *const bad[] = {"THAW_DEVICE=no-such-device", NULL};
    test_expect_exit(TEST_THAW(bad, "devices"), 3,
                     "error: no OpenCL device matches THAW_DEVICE=\"no-such-device\"; there ");
    test_expect_exit(TEST_THAW(bad, "devices"), 3, "\nhint: ");
    test_expect_exit(TEST_THAW(bad, "devices", "--device", "0"), 0, NULL);
    test_expect_exit(TEST_THAW(NULL, "devices", "--device=x-x"), 3, "matches \"x-x\"");
}

static void no_platform(void **state) {
    (void)state;
    char empty[128];
    snprintf(empty, sizeof empty, "OCL_ICD_VENDORS=%s", test_directory());
    const char *const environment[] = {empty, NULL};
    struct test_process devices = TEST_THAW(environment, "devices", "--json");
    assert_string_equal(devices.output, "");
    test_expect_exit(devices, 3, "no OpenCL platform is installed");
    test_expect_exit(TEST_THAW(environment, "devices"), 3, "apt install pocl-opencl-icd");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_command),  cmocka_unit_test(help_and_version),
        cmocka_unit_test(every_command),      cmocka_unit_test(misspelt),
        cmocka_unit_test(devices_for_people), cmocka_unit_test(devices_for_scripts),
        cmocka_unit_test(no_such_device),     cmocka_unit_test(no_platform),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
