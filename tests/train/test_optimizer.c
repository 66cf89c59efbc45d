/* Optimizers against their formulas in double precision, over several steps. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/device.h"
#include "train/optimizer.h"

#define SIZE 20011 /* several work-items and a ragged end */
#define STEPS 5
#define LR 0.1
#define PADDING 7 /* floats at the end whose value and gradient are zero */

/* One step of one parameter. */
typedef void formula(double *p, double g, double state[2], int step, double decay,
                     const void *user);

static struct thaw_optimizer parse(struct thaw_arena *arena, const char *text) {
    thaw_yaml *node = NULL;
    struct thaw_optimizer optimizer;
    assert_ok(thaw_yaml_parse(arena, text, strlen(text), "test", &node));
    assert_ok(thaw_optimizer_parse(arena, node, &optimizer));
    return optimizer;
}

static void run(const char *text, double decay, formula *step, const void *user) {
    struct thaw_arena arena = {0};
    thaw_device *device = test_device();
    struct thaw_optimizer optimizer = parse(&arena, text);
    float *values = thaw_arena_array(&arena, SIZE, sizeof *values);
    double *expected = thaw_arena_array(&arena, SIZE, sizeof *expected);
    double(*states)[2] = thaw_arena_array(&arena, SIZE, sizeof *states);
    test_random(values, SIZE - PADDING, 1, -1, 1);
    for (int i = 0; i < SIZE; i++)
        expected[i] = values[i];
    struct thaw_optimizer_update update = {.value = test_buffer(device, values, SIZE),
                                           .size = SIZE,
                                           .lr = (float)LR,
                                           .weight_decay = (float)decay};
    for (int k = 0; k < thaw_optimizer_slots(&optimizer); k++)
        update.slots[k] = test_buffer(device, NULL, SIZE);
    for (int s = 1; s <= STEPS; s++) {
        float *grads = thaw_arena_array(&arena, SIZE, sizeof *grads);
        test_random(grads, SIZE - PADDING, 1 + (uint32_t)s, -1, 1);
        update.grad = test_buffer(device, grads, SIZE);
        update.step = (uint64_t)s;
        assert_ok(thaw_optimizer_update(device, &optimizer, &update));
        for (int i = 0; i < SIZE - PADDING; i++)
            step(&expected[i], grads[i], states[i], s, decay, user);
        assert_ok(thaw_device_finish(device));
        thaw_buffer_destroy(&update.grad);
    }
    assert_ok(thaw_buffer_read(device, update.value, 0, values, SIZE * sizeof *values));
    test_compare(values, expected, SIZE, 2e-6, 2e-6, text);
    for (int i = SIZE - PADDING; i < SIZE; i++)
        assert_true(values[i] == 0);
    thaw_buffer_destroy(&update.value);
    for (int k = 0; k < THAW_OPTIMIZER_SLOTS_MAX; k++)
        thaw_buffer_destroy(&update.slots[k]);
    thaw_arena_finish(&arena);
}

static void sgd(double *p, double g, double state[2], int step, double decay, const void *user) {
    const double *options = user; /* momentum, nesterov */
    double d = g + decay * *p;
    state[0] = step == 1 ? d : options[0] * state[0] + d;
    *p -= LR * (options[0] == 0 ? d : options[1] != 0 ? d + options[0] * state[0] : state[0]);
}

static void test_sgd(void **state) {
    (void)state;
    run("sgd", 0, sgd, (double[]){0.9, 0});
    run("{type: sgd, momentum: 0}", 0.01, sgd, (double[]){0, 0});
    run("{type: sgd, momentum: 0.5, weight_decay: 0.01}", 0.01, sgd, (double[]){0.5, 0});
    run("{type: sgd, nesterov: true}", 0.1, sgd, (double[]){0.9, 1});
}

static void adamw(double *p, double g, double state[2], int step, double decay, const void *user) {
    const double *options = user; /* beta1, beta2, eps */
    double beta1 = options[0], beta2 = options[1];
    *p *= 1 - LR * decay;
    state[0] = beta1 * state[0] + (1 - beta1) * g;
    state[1] = beta2 * state[1] + (1 - beta2) * g * g;
    *p -= LR / (1 - pow(beta1, step)) * state[0] /
          (sqrt(state[1]) / sqrt(1 - pow(beta2, step)) + options[2]);
}

static void test_adamw(void **state) {
    (void)state;
    run("adamw", 0.01, adamw, (double[]){0.9, 0.999, 1e-8});
    run("{type: adamw, beta1: 0.5, beta2: 0.9, eps: 0.001}", 0, adamw, (double[]){0.5, 0.9, 0.001});
}

static void test_attributes(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    struct thaw_optimizer optimizer = parse(&arena, "{type: sgd, weight_decay: 0.25}");
    assert_true(thaw_optimizer_weight_decay(&optimizer) == 0.25f);
    assert_int_equal(thaw_optimizer_slots(&optimizer), 1);
    optimizer = parse(&arena, "{type: sgd, momentum: 0}");
    assert_int_equal(thaw_optimizer_slots(&optimizer), 0);
    optimizer = parse(&arena, "adamw");
    assert_true(thaw_optimizer_weight_decay(&optimizer) == 0.01f);
    assert_int_equal(thaw_optimizer_slots(&optimizer), 2);
    thaw_arena_finish(&arena);
}

static void fails(const char *text, const char *part) {
    struct thaw_arena arena = {0};
    thaw_yaml *node = NULL;
    struct thaw_optimizer optimizer;
    assert_ok(thaw_yaml_parse(&arena, text, strlen(text), "test", &node));
    assert_fails(thaw_optimizer_parse(&arena, node, &optimizer), THAW_ERROR_INPUT, part);
    thaw_arena_finish(&arena);
}

static void test_errors(void **state) {
    (void)state;
    fails("sdg", "unknown optimizer 'sdg' (nearest: 'sgd'");
    fails("{momentum: 0.9}", "test:1:1: 'type' is required");
    fails("[sgd]", "expected the name of a optimizer");
    fails("{type: sgd, momentom: 0.9}", "nearest: 'momentum'");
    fails("{type: sgd, momentum: 1.5}", "from 0 to 1");
    fails("{type: adamw, momentum: 0.9}", "unknown key 'momentum'");
    fails("{type: adamw, beta1: 1}", "'beta1': expected");
    fails("{type: sgd, momentum: 0, nesterov: true}", "nesterov needs a momentum");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgd),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
