/* ONNX's own tests (Debian's libonnx-testdata) through the importer and the executor: every test in
 * float32 of the operators that Thaw imports, but for those that are listed here with the reason.
 * An excluded test has to fail, so that the list stays true. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/text.h"
#include "support/onnx_case.h"

#define DATA "/usr/share/libonnx-testdata/data/"

static const char operators[] =
    "Add AveragePool BatchNormalization Celu Clip Concat Constant Conv ConvTranspose Div "
    "Dropout Elu Erf Flatten Gelu Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish "
    "Identity InstanceNormalization LayerNormalization LeakyRelu LogSoftmax MatMul MaxPool "
    "Mish Mul PRelu Pad ReduceMean Relu Reshape Resize Selu Sigmoid Slice Softmax Softplus "
    "Softsign Split Squeeze Sub Tanh ThresholdedRelu Transpose Unsqueeze Upsample";

/* Of constants and shapes: computed at the import. Neg is a product. */
static const char folded[] = "Cast ConstantOfShape Gather Neg Shape Size";

static const struct exclusion {
    const char *pattern, *reason;
} exclusions[] = {
    {"test_averagepool_3d_default", "maps of three dimensions"},
    {"test_maxpool_3d_default", "maps of three dimensions"},
    {"test_convtranspose_3d", "maps of three dimensions"},
    {"test_AvgPool3d*", "maps of three dimensions"},
    {"test_Conv3d*", "maps of three dimensions"},
    {"test_MaxPool3d*", "maps of three dimensions"},
    {"test_batchnorm_*_training_mode", "statistics of the batch as outputs"},
    {"test_training_dropout", "random values"},
    {"test_training_dropout_mask", "random values"},
    {"test_training_dropout_default*", "random values"},
    {"test_reshape_allowzero_reordered", "a tensor without values"},
    {"test_slice_start_out_of_bounds", "a tensor without values"},
    {"test_split_zero_size_splits", "a tensor without values"},
    /* onnxruntime gives what Thaw does. */
    {"test_resize_downsample_scales_*_align_corners", "the test divides by 1.4, not 2 - 1 pixels"},
    {"test_resize_tf_crop_and_resize", "crops inside of Resize"},
};
#define EXCLUSIONS (sizeof exclusions / sizeof *exclusions)

static const char *only; /* NULL: all */

struct counts {
    size_t run, passed, excluded, batch, whole, dropped_outputs;
    size_t used[EXCLUSIONS];
};

static const char *why_excluded(const char *name, struct counts *counts) {
    for (size_t i = 0; i < EXCLUSIONS; i++)
        if (thaw_glob_match(exclusions[i].pattern, name)) {
            counts->used[i]++;
            return exclusions[i].reason;
        }
    return NULL;
}

/* With the first axis as the batch and without: one of the two agrees, the other agrees or is
 * refused. */
static bool passes(const struct onnx_case *test, struct counts *counts, bool quiet) {
    bool agreed = false, wrong = false;
    for (int whole = 0; whole < 2; whole++) {
        thaw_status status = onnx_case_run(test, whole);
        agreed |= status == THAW_OK;
        wrong |= status != THAW_OK && status != THAW_ERROR_UNSUPPORTED;
        *(whole ? &counts->whole : &counts->batch) += status == THAW_OK;
        if (status != THAW_OK && !quiet)
            print_message("%s (%s): status %d: %s\n", test->name, whole ? "whole" : "batch",
                          (int)status, thaw_error_message());
    }
    return agreed && !wrong;
}

static void run_case(const char *folder, struct counts *counts, size_t *failures) {
    struct onnx_case test;
    onnx_case_open(folder, &test);
    if (onnx_case_is_of(&test, operators, folded)) {
        const char *reason = why_excluded(test.name, counts);
        struct counts ignored = *counts;
        bool passed = passes(&test, reason ? &ignored : counts, !only);
        counts->run += !reason;
        counts->dropped_outputs += reason ? 0 : test.dropped_outputs;
        counts->excluded += reason != NULL;
        counts->passed += passed && !reason;
        if (passed == (reason != NULL)) {
            print_message("%s: %s\n", test.name, passed ? "passes, but is excluded" : "fails");
            ++*failures;
        }
    }
    onnx_case_finish(&test);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void run_group(const char *group, struct counts *counts, size_t *failures) {
    struct dirent **entries;
    char path[512];
    snprintf(path, sizeof path, DATA "%s", group);
    int count = scandir(path, &entries, NULL, by_name);
    if (count < 3)
        fail_msg("%s is empty: install libonnx-testdata", path);
    for (int i = 0; i < count; i++) {
        bool wanted =
            only ? thaw_glob_match(only, entries[i]->d_name) : !test_small() || i % 4 == 0;
        snprintf(path, sizeof path, DATA "%s/%s", group, entries[i]->d_name);
        if (wanted && !strncmp(entries[i]->d_name, "test_", 5))
            run_case(path, counts, failures);
        free(entries[i]);
    }
    free(entries);
}

static struct counts total;

static void check_group(const char *group) {
    struct counts counts = {0};
    size_t failures = 0;
    run_group(group, &counts, &failures);
    print_message("%s: %zu run, %zu passed (%zu with a batch, %zu without), %zu excluded; %zu "
                  "masks, indices and statistics beside the first output not compared\n",
                  group, counts.run, counts.passed, counts.batch, counts.whole, counts.excluded,
                  counts.dropped_outputs);
    total.run += counts.run;
    total.passed += counts.passed;
    total.excluded += counts.excluded;
    for (size_t i = 0; i < EXCLUSIONS; i++)
        total.used[i] += counts.used[i];
    assert_int_equal(failures, 0);
}

static void nodes(void **state) {
    (void)state;
    check_group("node");
}

static void pytorch_operators(void **state) {
    (void)state;
    check_group("pytorch-operator");
}

static void pytorch_models(void **state) {
    (void)state;
    check_group("pytorch-converted");
}

static void simple_models(void **state) {
    (void)state;
    check_group("simple");
}

static void every_exclusion_is_needed(void **state) {
    (void)state;
    print_message("all: %zu run, %zu passed, %zu excluded\n", total.run, total.passed,
                  total.excluded);
    for (size_t i = 0; i < EXCLUSIONS && !only && !test_small(); i++)
        if (!total.used[i])
            fail_msg("'%s' excludes nothing", exclusions[i].pattern);
}

int main(int argc, char **argv) {
    only = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes),
        cmocka_unit_test(pytorch_operators),
        cmocka_unit_test(pytorch_models),
        cmocka_unit_test(simple_models),
        cmocka_unit_test(every_exclusion_is_needed),
    };
    return cmocka_run_group_tests_name("onnx/conformance", tests, NULL, NULL);
}
