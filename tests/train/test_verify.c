/* thaw eval --verify: what it proves of an honest run, and that it notices what was tampered with.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "io/safetensors.h"
#include "io/weights.h"
#include "support/process.h"
#include "support/tiny.h"
#include "train/verify.h"

/* A pretrained file, and a run of two stages from it: conv1 and bn1 are never trained. */
static int set_up(void **state) {
    (void)state;
    char weights[512];
    tiny_make();
    test_expect_exit(
        TEST_THAW(NULL, "train",
                  tiny_experiment("source", "  - {train: [all], lr: 1x, epochs: 1}\n", ""), "-q"),
        0, NULL);
    snprintf(weights, sizeof weights, "model.weights=%s",
             tiny_run_file("source", "model.safetensors"));
    test_expect_exit(TEST_THAW(NULL, "train", tiny_experiment("run", tiny_stages, ""), "-q",
                               "--set", weights, "--set", "metric=val.loss"),
                     0, NULL);
    return 0;
}

static void copy_file(const char *from, const char *to) {
    struct thaw_map map;
    assert_ok(thaw_map_open(from, &map));
    assert_ok(thaw_file_write(to, map.bytes, map.size_bytes));
    thaw_map_close(&map);
}

/* Changes a bit of the tensor's last value in a model file. */
static void tamper(const char *path, const char *tensor) {
    struct thaw_weights weights;
    assert_ok(thaw_weights_open(path, &weights));
    const struct thaw_weight *weight = thaw_weights_find(&weights, tensor);
    assert_non_null(weight);
    unsigned char *bytes = malloc(weights.file.size_bytes);
    assert_non_null(bytes);
    memcpy(bytes, weights.file.bytes, weights.file.size_bytes);
    size_t at =
        (size_t)((const unsigned char *)weight->data - (const unsigned char *)weights.file.bytes) +
        weight->size_bytes - 4;
    bytes[at] ^= 1;
    assert_ok(thaw_file_write(path, bytes, weights.file.size_bytes));
    free(bytes);
    thaw_weights_finish(&weights);
}

static void an_honest_run_is_verified(void **state) {
    (void)state;
    struct thaw_verify v;
    assert_ok(thaw_verify_run(tiny_path("runs/run"), NULL, &v));
    assert_int_equal(v.failure_count, 0);
    assert_int_equal(v.stage_count, 2);
    assert_int_equal(v.stages[0].trained, 2); /* fc */
    assert_int_equal(v.stages[0].frozen, 10);
    assert_int_equal(v.stages[0].untouched, 10);
    assert_int_equal(v.stages[1].trained, 7); /* and conv2, bn2 with its statistics */
    assert_int_equal(v.stages[1].untouched, 5);
    assert_true(v.stages[0].complete && v.stages[1].complete);
    assert_true(v.stages[0].has_kept != v.stages[1].has_kept);
    assert_int_equal(v.tensors, 12);
    assert_true(v.untouched == (v.stages[0].has_kept ? 10 : 5));
    assert_null(v.unchecked);
    assert_int_equal(v.pretrained, 10); /* the head is new */
    thaw_verify_finish(&v);
}

static void prints_a_table_and_json(void **state) {
    (void)state;
    struct test_process people = TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/run"));
    assert_int_equal(people.exit_code, 0);
    assert_non_null(strstr(people.output, "frozen since load"));
    assert_non_null(strstr(people.output, "tune"));
    assert_non_null(strstr(people.output, "12 tensors are what the run kept"));
    test_process_finish(&people);
    struct test_process json = TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/run"), "--json");
    assert_int_equal(json.exit_code, 0);
    json_t *root = json_loads(json.output, 0, NULL);
    assert_true(json_is_true(json_object_get(root, "verified")));
    assert_int_equal(json_array_size(json_object_get(root, "stages")), 2);
    json_decref(root);
    test_process_finish(&json);
}

/* One bit of one tensor, frozen or trained: exit code 1, and the tensor is named. */
static void a_changed_bit_is_noticed(void **state) {
    (void)state;
    static const char *const tensors[] = {"conv1.weight", "bn1.running_var", "fc.weight"};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const char *copy = tiny_path("tampered.safetensors");
        copy_file(tiny_run_file("run", "model.safetensors"), copy);
        test_expect_exit(
            TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/run"), "--model", copy), 0, NULL);
        tamper(copy, tensors[i]);
        test_expect_exit(
            TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/run"), "--model", copy), 1,
            tensors[i]);
    }
    struct test_process json = TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/run"), "--json",
                                         "--model", tiny_path("tampered.safetensors"));
    assert_int_equal(json.exit_code, 1);
    json_t *root = json_loads(json.output, 0, NULL);
    json_t *failure = json_array_get(json_object_get(root, "failures"), 0);
    assert_false(json_is_true(json_object_get(root, "verified")));
    assert_string_equal(json_string_value(json_object_get(failure, "tensor")), "fc.weight");
    json_decref(root);
    test_process_finish(&json);
    /* a model of another run: every tensor is named, the frozen ones as what they were to be */
    struct test_process other = TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/run"),
                                          "--model", tiny_run_file("source", "model.safetensors"));
    assert_int_equal(other.exit_code, 1);
    assert_non_null(strstr(other.output, "FAILED fc.weight: is not what the run kept"));
    assert_null(strstr(other.output, "FAILED conv1.weight")); /* that is the source's indeed */
    test_process_finish(&other);
}

/* Rewrites freeze.json of a copy of the run with one hash changed, and expects the complaint. */
static void expect_record_failure(size_t stage, const char *tensor, const char *key,
                                  const char *complaint) {
    json_t *root = json_load_file(tiny_run_file("run", "freeze.json"), 0, NULL);
    json_t *tensors =
        json_object_get(json_array_get(json_object_get(root, "stages"), stage), "tensors");
    json_object_set_new(json_object_get(tensors, tensor), key, json_string("0123456789abcdef"));
    assert_ok(thaw_path_make_directories(tiny_path("runs/forged")));
    assert_int_equal(json_dump_file(root, tiny_run_file("forged", "freeze.json"), 0), 0);
    json_decref(root);
    copy_file(tiny_run_file("run", "model.safetensors"),
              tiny_run_file("forged", "model.safetensors"));
    struct thaw_verify v;
    bool found = false;
    assert_ok(thaw_verify_run(tiny_path("runs/forged"), NULL, &v));
    for (size_t i = 0; i < v.failure_count; i++)
        found |= !strcmp(v.failures[i].tensor, tensor) && strstr(v.failures[i].what, complaint);
    if (!found)
        fail_msg("%s of %s in stage %zu: %zu failures, none says '%s'", key, tensor, stage,
                 v.failure_count, complaint);
    thaw_verify_finish(&v);
}

static void the_record_must_be_consistent(void **state) {
    (void)state;
    expect_record_failure(0, "conv1.weight", "after", "changed in stage 'warmup', which froze it");
    expect_record_failure(0, "fc.weight", "after", "changed between stage 'warmup' and stage");
    expect_record_failure(1, "conv2.weight", "before", "changed between");
    expect_record_failure(0, "conv2.weight", "before", "did not start as what the weights file");
}

static void says_what_is_missing(void **state) {
    (void)state;
    test_expect_exit(TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/none")), 2,
                     "is no run folder");
    test_expect_exit(TEST_THAW(NULL, "eval", "--verify", tiny_path("photos")), 2,
                     "there is no record to check against");
    test_expect_exit(TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/run"), "--model",
                               tiny_path("none.safetensors")),
                     2, "none.safetensors");
    test_expect_exit(TEST_THAW(NULL, "eval", tiny_path("runs/run"), "--model", "a"), 2,
                     "--model goes with --verify");
    assert_ok(thaw_path_make_directories(tiny_path("runs/torn")));
    static const struct {
        const char *text, *part;
    } records[] = {{"{\"stages\": [", "freeze.json:"},
                   {"[]", "it has no stages"},
                   {"{\"stages\": [{}]}", "kept no epoch"},
                   {"{\"stages\": [{}], \"kept\": {\"stage\": 3, \"tensors\": {}}}", "of no stage"},
                   {"{\"stages\": [{}], \"kept\": {\"stage\": 0, \"tensors\": {}}}",
                    "a stage has no tensors"}};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        tiny_write("runs/torn/freeze.json", records[i].text);
        test_expect_exit(TEST_THAW(NULL, "eval", "--verify", tiny_path("runs/torn")), 2,
                         records[i].part);
    }
}

/* The pretrained file may go or change after training: that is said, and no failure. Last: it
 * removes the file. */
static void the_weights_file_may_be_gone(void **state) {
    (void)state;
    struct thaw_verify v;
    const char *source = tiny_run_file("source", "model.safetensors");
    tamper(source, "fc.bias");
    assert_ok(thaw_verify_run(tiny_path("runs/run"), NULL, &v));
    assert_int_equal(v.failure_count, 0);
    assert_non_null(strstr(v.unchecked, "another file"));
    thaw_verify_finish(&v);
    assert_int_equal(unlink(source), 0);
    assert_ok(thaw_verify_run(tiny_path("runs/run"), NULL, &v));
    assert_int_equal(v.failure_count, 0);
    assert_non_null(strstr(v.unchecked, "not there any more"));
    thaw_verify_finish(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_run_is_verified),
        cmocka_unit_test(prints_a_table_and_json),
        cmocka_unit_test(a_changed_bit_is_noticed),
        cmocka_unit_test(the_record_must_be_consistent),
        cmocka_unit_test(says_what_is_missing),
        cmocka_unit_test(the_weights_file_may_be_gone),
    };
    return cmocka_run_group_tests_name("train/verify", tests, set_up, NULL);
}
