/* The input section of model files, and target distributions. */
#include "data/input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/targets.h"
#include "support/support.h"

static struct thaw_arena arena;

static const thaw_yaml *yaml(const char *text) {
    thaw_yaml *root = NULL;
    if (text)
        assert_ok(thaw_yaml_parse(&arena, text, strlen(text), "model.yaml", &root));
    return root;
}

static struct thaw_input_spec parse(const char *input, const char *over) {
    struct thaw_input_spec spec;
    assert_ok(thaw_input_spec_parse(yaml(input), yaml(over), &spec));
    return spec;
}

#define NORM "mean: [0.1, 0.2, 0.3], std: [1, 2, 3]"

static void sections_are_read(void **state) {
    (void)state;
    struct thaw_input_spec spec = parse(
        "{channels: 3, size: 224, " NORM ", resize: {mode: short, size: 256}, crop: center}", NULL);
    assert_int_equal(spec.size, 224);
    assert_int_equal(spec.image.size, 256);
    assert_int_equal(spec.image.mode, THAW_RESIZE_SHORT);
    assert_true(spec.mean[2] == 0.3f && spec.std[1] == 2);
    spec = parse("{size: 100, " NORM "}", NULL); /* the defaults */
    assert_int_equal(spec.image.channels, 3);
    assert_int_equal(spec.image.size, 100);
    assert_int_equal(spec.image.mode, THAW_RESIZE_SHORT);
    spec = parse("{channels: 1, size: 28, mean: [0.5], std: [0.5], resize: {mode: stretch}}", NULL);
    assert_int_equal(spec.image.channels, 1);
    assert_int_equal(spec.image.mode, THAW_RESIZE_STRETCH);
    assert_int_equal(spec.image.size, 28);
}

static void experiments_override_sizes(void **state) {
    (void)state;
    static const char model[] = "{size: 224, " NORM ", resize: {mode: short, size: 256}}";
    struct thaw_input_spec spec = parse(model, "{graph: resnet18, size: 160}");
    assert_int_equal(spec.size, 160);
    assert_int_equal(spec.image.size, 183); /* 256 * 160 / 224 = 182.9 */
    spec = parse(model, "{size: 160, resize: {mode: stretch}}");
    assert_int_equal(spec.image.size, 160);
    assert_int_equal(spec.image.mode, THAW_RESIZE_STRETCH);
    spec = parse(model, "{resize: {size: 300}}");
    assert_int_equal(spec.size, 224);
    assert_int_equal(spec.image.size, 300);
}

static void wrong_sections_are_refused(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"[3]", NULL, "`input`"},
        {"{" NORM "}", NULL, "needs a `size`"},
        {"{size: 0, " NORM "}", NULL, "model.yaml:1:8"},
        {"{size: 8, std: [1, 1, 1]}", NULL, "needs `mean`"},
        {"{size: 8, mean: [1, 1, 1]}", NULL, "needs `std`"},
        {"{size: 8, mean: [1, 1], std: [1, 1, 1]}", NULL, "2 numbers for 3 channels"},
        {"{size: 8, mean: [0, 0, 0], std: [1, 0, 1]}", NULL, "model.yaml:1:37"},
        {"{size: 8, mean: 0.5, std: [1, 0, 1]}", NULL, "mean"},
        {"{channels: 4, size: 8}", NULL, "not 4"},
        {"{size: 8, " NORM ", sise: 9}", NULL, "nearest: 'size'"},
        {"{size: 8, " NORM ", crop: top}", NULL, "center"},
        {"{size: 8, " NORM ", resize: {mode: long}}", NULL, "stretch"},
        {"{size: 8, " NORM ", resize: {size: 7}}", NULL, "smaller than"},
        {"{size: 8, " NORM ", resize: 9}", NULL, "`resize`"},
        {"{size: 8, " NORM "}", "{size: big}", "big"},
        {"{size: 8, " NORM "}", "{resize: {width: 9}}", "width"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct thaw_input_spec spec;
        thaw_status status = thaw_input_spec_parse(yaml(cases[i][0]), yaml(cases[i][1]), &spec);
        if (status != THAW_ERROR_INPUT || !strstr(thaw_error_message(), cases[i][2]))
            fail_msg("%s: status %d, '%s', expected '%s'", cases[i][0], (int)status,
                     thaw_error_message(), cases[i][2]);
    }
}

static void emitted_sections_come_back(void **state) {
    (void)state;
    static const char *const cases[] = {
        "{size: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], resize: {size: 256}}",
        "{channels: 1, size: 8, mean: [0.1], std: [0.333333333], resize: {mode: stretch}}"};
    for (int i = 0; i < 2; i++) {
        struct thaw_input_spec spec = parse(cases[i], NULL);
        struct thaw_text text = {0};
        thaw_input_spec_emit(&spec, &text);
        struct thaw_input_spec back = parse(text.text, NULL);
        assert_memory_equal(&spec, &back, sizeof spec);
        thaw_text_finish(&text);
    }
}

/* ---- targets ---------------------------------------------------------------------------------*/

enum { COUNT = 5, CLASSES = 3 };
static const int labels[COUNT] = {0, 2, 1, 2, 0};
static const double logits[COUNT][CLASSES] = {{-0.5, -1.2, -2.2},
                                              {-3.0, -0.1, -2.9},
                                              {-1.1, -1.0, -1.2},
                                              {-0.7, -1.9, -1.0},
                                              {-2.0, -0.6, -1.2}};
static double logs[COUNT][CLASSES]; /* log softmax of them */

static int start(void **state) {
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        double sum = 0;
        for (int c = 0; c < CLASSES; c++)
            sum += exp(logits[i][c]);
        for (int c = 0; c < CLASSES; c++)
            logs[i][c] = logits[i][c] - log(sum);
    }
    return 0;
}

/* PyTorch's formula for one label of one photo, not yet divided by the norm. */
static double reference_loss(int i, int label, double epsilon, const float *weights) {
    double loss = -(1 - epsilon) * (double)weights[label] * logs[i][label];
    for (int c = 0; c < CLASSES; c++)
        loss -= epsilon / CLASSES * (double)weights[c] * logs[i][c];
    return loss;
}

static double loss_of(const struct thaw_targets *targets) {
    float t[COUNT * CLASSES];
    double norm = 0, loss = 0;
    thaw_targets_fill(targets, t, &norm);
    for (int i = 0; i < COUNT * CLASSES; i++)
        loss -= (double)t[i] * logs[i / CLASSES][i % CLASSES];
    return loss / norm;
}

static void targets_give_pytorchs_loss(void **state) {
    (void)state;
    static const float weights[CLASSES] = {0.5f, 2, 1.25f}, ones[CLASSES] = {1, 1, 1};
    static const float epsilons[] = {0, 0.1f, 1};
    for (int e = 0; e < 3; e++)
        for (int weighted = 0; weighted < 2; weighted++) {
            struct thaw_targets targets = {.labels = labels,
                                           .count = COUNT,
                                           .classes = CLASSES,
                                           .smoothing = epsilons[e],
                                           .class_weights = weighted ? weights : NULL};
            const float *w = weighted ? weights : ones;
            double expected = 0, norm = 0;
            for (int i = 0; i < COUNT; i++) {
                expected += reference_loss(i, labels[i], (double)epsilons[e], w);
                norm += (double)w[labels[i]];
            }
            assert_true(fabs(loss_of(&targets) - expected / norm) < 1e-6);
        }
}

/* Numbers from PyTorch 2.15: cross_entropy(logits, labels, weight=..., label_smoothing=0.1). */
static void targets_agree_with_pytorchs_numbers(void **state) {
    (void)state;
    static const float weights[CLASSES] = {0.5f, 2, 1.25f};
    struct thaw_targets targets = {.labels = labels,
                                   .count = COUNT,
                                   .classes = CLASSES,
                                   .smoothing = 0.1f,
                                   .class_weights = weights};
    assert_true(fabs(loss_of(&targets) - 1.4806472350) < 1e-6);
    targets.class_weights = NULL;
    assert_true(fabs(loss_of(&targets) - 1.4751475786) < 1e-6);
}

static void mixup_combines_targets(void **state) {
    (void)state;
    static const float weights[CLASSES] = {0.5f, 2, 1.25f};
    static const int partner[COUNT] = {1, 1, 4, 0, 3};
    static const float lambda[COUNT] = {0.25f, 1, 0.5f, 0.125f, 0};
    struct thaw_targets targets = {.labels = labels,
                                   .count = COUNT,
                                   .classes = CLASSES,
                                   .partner = partner,
                                   .lambda = lambda,
                                   .smoothing = 0.2f,
                                   .class_weights = weights};
    double expected = 0, norm = 0, epsilon = (double)targets.smoothing;
    for (int i = 0; i < COUNT; i++) {
        double own = (double)lambda[i];
        int other = labels[partner[i]];
        expected += own * reference_loss(i, labels[i], epsilon, weights) +
                    (1 - own) * reference_loss(i, other, epsilon, weights);
        norm += own * (double)weights[labels[i]] + (1 - own) * (double)weights[other];
    }
    assert_true(fabs(loss_of(&targets) - expected / norm) < 1e-6);
}

static int finish(void **state) {
    (void)state;
    thaw_arena_finish(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_are_read),
        cmocka_unit_test(experiments_override_sizes),
        cmocka_unit_test(wrong_sections_are_refused),
        cmocka_unit_test(emitted_sections_come_back),
        cmocka_unit_test(targets_give_pytorchs_loss),
        cmocka_unit_test(targets_agree_with_pytorchs_numbers),
        cmocka_unit_test(mixup_combines_targets),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
