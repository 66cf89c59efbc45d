#include <string.h>

#include "io/load_report.h"
#include "support/support.h"

/* A file for a ResNet with 1000 classes, in small. */
static void fill(struct thaw_weights *weights) {
    static const struct {
        const char *name;
        int rank;
        int64_t dims[4];
    } tensors[] = {
        {"conv1.weight", 4, {4, 3, 2, 2}},   {"bn1.weight", 1, {4}},
        {"bn1.num_batches_tracked", 0, {0}}, {"layer1.conv.weight", 4, {4, 4, 1, 1}},
        {"fc.weight", 2, {10, 4}},           {"aux.fc.weight", 2, {10, 4}},
    };
    static const float data[64];
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        assert_ok(thaw_weights_add(weights, tensors[i].name, THAW_DTYPE_F32, tensors[i].rank,
                                   tensors[i].dims, data));
    assert_ok(thaw_weights_index(weights));
}

static const struct thaw_load_wanted wanted[] = {
    {"conv1.weight", NULL, 4, {4, 3, 2, 2}, false, false},
    {"bn1.weight", "norm1.weight", 1, {4}, false, false},
    {"layer1.convs.weight", "layer1.c.weight", 4, {4, 4, 1, 1}, false, false},
    {"fc.weight", NULL, 2, {2, 4}, false, false},
    {"fc.scale", NULL, 0, {0}, true, false},
};
#define WANTED_COUNT (sizeof wanted / sizeof *wanted)

static void every_tensor_is_accounted_for(void **state) {
    (void)state;
    struct thaw_weights weights = {0};
    struct thaw_load_report report;
    fill(&weights);
    assert_ok(thaw_load_report_make(wanted, WANTED_COUNT, &weights, NULL, &report));
    assert_int_equal(report.loaded.count, 2);
    assert_string_equal(report.loaded.items[1].weight->name, "bn1.weight");
    assert_ptr_equal(report.loaded.items[1].wanted, &wanted[1]);
    assert_int_equal(report.missing.count, 2);
    assert_int_equal(report.missing.refused, 1);
    assert_true(report.missing.items[1].allowed); /* optional */
    assert_int_equal(report.mismatched.count, 1);
    assert_int_equal(report.unexpected.count, 2);
    assert_string_equal(report.unexpected.items[0].weight->name, "layer1.conv.weight");
    assert_int_equal(report.counters.count, 1);
    assert_int_equal(report.counters.refused, 0);
    assert_int_equal(report.loaded.count + report.missing.count + report.mismatched.count,
                     WANTED_COUNT);
    assert_int_equal(report.loaded.count + report.mismatched.count + report.unexpected.count +
                         report.counters.count,
                     weights.count);

    assert_fails(thaw_load_report_check(&report, "r.pth"), THAW_ERROR_INPUT,
                 "r.pth: the weights do not fit the model: 1 tensor of the model not in the file: "
                 "'layer1.convs.weight'; 'layer1.convs.weight' is near the file's "
                 "'layer1.conv.weight'; 1 tensor of another shape: 'fc.weight' (model 2x4, file "
                 "10x4); 2 tensors of the file not in the model: 'layer1.conv.weight', "
                 "'aux.fc.weight'");
    assert_non_null(
        strstr(thaw_error_hint(), "model: allow.missing, allow.mismatch, allow.unexpected"));
    thaw_load_report_finish(&report);
    thaw_weights_finish(&weights);
}

static void patterns_allow_differences(void **state) {
    (void)state;
    struct thaw_weights weights = {0};
    struct thaw_load_report report;
    fill(&weights);
    const char *missing[] = {"layer1.*"}, *mismatch[] = {"fc.*"};
    const char *unexpected[] = {"aux.*", "layer?.conv.weight"};
    struct thaw_load_options options = {{missing, 1}, {unexpected, 2}, {mismatch, 1}};
    assert_ok(thaw_load_report_make(wanted, WANTED_COUNT, &weights, &options, &report));
    assert_ok(thaw_load_report_check(&report, "r.pth"));
    assert_int_equal(report.mismatched.count, 1);
    assert_int_equal(report.mismatched.refused, 0);
    assert_true(report.unexpected.items[1].allowed);
    thaw_load_report_finish(&report);

    /* Each kind is allowed by its own list only. */
    options.allow_unexpected.count = 1;
    assert_ok(thaw_load_report_make(wanted, WANTED_COUNT, &weights, &options, &report));
    assert_fails(thaw_load_report_check(&report, "r.pth"), THAW_ERROR_INPUT,
                 "model: 1 tensor of the file not in the model: 'layer1.conv.weight'");
    assert_null(strstr(thaw_error_hint(), "allow.missing"));
    thaw_load_report_finish(&report);
    thaw_weights_finish(&weights);
}

static void names_may_differ_and_heads_may_be_new(void **state) {
    (void)state;
    struct thaw_weights weights = {0};
    struct thaw_load_report report;
    fill(&weights);
    const struct thaw_load_wanted renamed[] = {
        {"stem.weight", "conv1.weight", 4, {4, 3, 2, 2}, false, false},
        {"bn1.weight", "conv1.weight", 1, {4}, false, false},
        {"layer1.weight", "layer1.conv.weight", 4, {4, 4, 1, 1}, false, false},
        {"fc.weight", NULL, 2, {10, 4}, false, true},
        {"head.weight", "aux.fc.weight", 2, {2, 4}, false, true},
        {"head.bias", NULL, 1, {2}, false, true},
    };
    assert_ok(thaw_load_report_make(renamed, 6, &weights, NULL, &report));
    assert_ok(thaw_load_report_check(&report, "r.pth"));
    assert_int_equal(report.loaded.count, 3);
    assert_string_equal(report.loaded.items[0].weight->name, "conv1.weight");
    assert_string_equal(report.loaded.items[1].weight->name, "bn1.weight");
    assert_int_equal(report.missing.count, 3);
    assert_int_equal(report.unexpected.count, 2);
    assert_true(report.unexpected.items[0].allowed);
    thaw_load_report_finish(&report);
    thaw_weights_finish(&weights);
}

static void a_pattern_without_match_is_an_error(void **state) {
    (void)state;
    struct thaw_weights weights = {0};
    struct thaw_load_report report;
    fill(&weights);
    const char *wrong[] = {"*.weight", "fc.weigth"};
    assert_fails(thaw_load_report_make(wanted, WANTED_COUNT, &weights,
                                       &(struct thaw_load_options){.allow_missing = {wrong, 2}},
                                       &report),
                 THAW_ERROR_INPUT,
                 "allow.missing: 'fc.weigth' matches no tensor of the model; the nearest is "
                 "'fc.weight'");
    assert_fails(
        thaw_load_report_make(wanted, WANTED_COUNT, &weights,
                              &(struct thaw_load_options){.allow_unexpected = {wrong, 2}}, &report),
        THAW_ERROR_INPUT, "allow.unexpected: 'fc.weigth' matches no tensor of the weights");
    assert_fails(thaw_load_report_make(wanted, WANTED_COUNT, &weights,
                                       &(struct thaw_load_options){.allow_mismatch = {wrong, 2}},
                                       &report),
                 THAW_ERROR_INPUT, "allow.mismatch: 'fc.weigth'");
    thaw_weights_finish(&weights);
}

static void many_differences_are_counted(void **state) {
    (void)state;
    struct thaw_weights weights = {0};
    struct thaw_load_report report;
    fill(&weights);
    assert_ok(thaw_load_report_make(NULL, 0, &weights, NULL, &report));
    assert_fails(thaw_load_report_check(&report, "r.pth"), THAW_ERROR_INPUT,
                 "5 tensors of the file not in the model: 'conv1.weight', 'bn1.weight', "
                 "'layer1.conv.weight' and 2 more");
    thaw_load_report_finish(&report);
    struct thaw_weights none = {0};
    assert_ok(thaw_load_report_make(wanted, WANTED_COUNT, &none, NULL, &report));
    assert_int_equal(report.missing.count, WANTED_COUNT);
    assert_fails(thaw_load_report_check(&report, "r.pth"), THAW_ERROR_INPUT, "4 tensors of the");
    thaw_load_report_finish(&report);
    thaw_weights_finish(&weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_is_accounted_for),
        cmocka_unit_test(patterns_allow_differences),
        cmocka_unit_test(names_may_differ_and_heads_may_be_new),
        cmocka_unit_test(a_pattern_without_match_is_an_error),
        cmocka_unit_test(many_differences_are_counted),
    };
    return cmocka_run_group_tests_name("io/load_report", tests, NULL, NULL);
}
