/* Optimizers against their formulas in double precision, over several steps. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/device.h"
#include "train/optimizer.h"

/* Parameters of one to many chunks, with ragged ends. */
static const size_t sizes[] = {20011, 8, 8192, 513, 64, 30000};
#define COUNT (sizeof sizes / sizeof *sizes)
#define SIZE_MAX_OF_ALL 30000
#define STEPS 5
#define PADDING 7 /* floats at the end whose value and gradient are zero */

/* One step of one parameter. */
typedef void formula(double *p, double g, double state[2], int step, double lr, double decay,
                     const void *user);

static struct thaw_optimizer parse(struct thaw_arena *arena, const char *text) {
    thaw_yaml *node = NULL;
    struct thaw_optimizer optimizer;
    assert_ok(thaw_yaml_parse(arena, text, strlen(text), "test", &node));
    assert_ok(thaw_optimizer_parse(arena, node, &optimizer));
    return optimizer;
}

/* Each parameter has a rate of its own, and a decay, and every other one is a step ahead. */
static double rate_of(size_t i) {
    return 0.1 / (double)(i + 1);
}

static double decay_of(size_t i, double decay) {
    return i % 3 == 1 ? 0 : decay;
}

static int ahead(size_t i) {
    return (int)(i % 2);
}

static void create_buffers(thaw_device *device, int slots, bool grouped,
                           struct thaw_optimizer_update *updates, cl_mem *grads) {
    for (int kind = 0; kind < 2 + slots; kind++) {
        struct thaw_buffer_wish wishes[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            cl_mem *buffer = kind == 0   ? &updates[i].value
                             : kind == 1 ? &grads[i]
                                         : &updates[i].slots[kind - 2];
            wishes[i] = (struct thaw_buffer_wish){sizes[i] * sizeof(float), buffer};
            if (!grouped)
                assert_ok(thaw_buffer_create(device, wishes[i].size_bytes, buffer));
        }
        if (grouped)
            assert_ok(thaw_buffer_create_group(device, wishes, COUNT));
    }
}

static void fill(thaw_device *device, cl_mem buffer, size_t i, uint32_t seed, float *ret_values) {
    memset(ret_values, 0, sizes[i] * sizeof *ret_values);
    test_random(ret_values, sizes[i] - PADDING, seed, -1, 1);
    assert_ok(thaw_buffer_write(device, buffer, 0, ret_values, sizes[i] * sizeof *ret_values));
}

static void run_on(thaw_device *device, const char *text, double decay, formula *step,
                   const void *user, bool grouped) {
    struct thaw_arena arena = {0};
    struct thaw_optimizer optimizer = parse(&arena, text);
    struct thaw_optimizer_update updates[COUNT] = {0};
    cl_mem grads[COUNT];
    static float values[SIZE_MAX_OF_ALL];
    static double expected[COUNT][SIZE_MAX_OF_ALL], states[COUNT][SIZE_MAX_OF_ALL][2];
    memset(states, 0, sizeof states);
    create_buffers(device, thaw_optimizer_slots(&optimizer), grouped, updates, grads);
    for (size_t i = 0; i < COUNT; i++) {
        fill(device, updates[i].value, i, (uint32_t)i, values);
        for (size_t k = 0; k < sizes[i]; k++)
            expected[i][k] = (double)values[k];
    }
    for (int s = 1; s <= STEPS; s++) {
        for (size_t i = 0; i < COUNT; i++) {
            fill(device, grads[i], i, (uint32_t)s * 100 + (uint32_t)i, values);
            updates[i].grad = grads[i];
            updates[i].size = sizes[i];
            updates[i].lr = (float)rate_of(i);
            updates[i].weight_decay = (float)decay_of(i, decay);
            updates[i].step = (uint64_t)(s + ahead(i));
            for (size_t k = 0; k < sizes[i] - PADDING; k++)
                step(&expected[i][k], (double)values[k], states[i][k], s + ahead(i), rate_of(i),
                     decay_of(i, decay), user);
        }
        assert_ok(thaw_optimizer_update(device, &optimizer, updates, COUNT));
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_ok(thaw_buffer_read(device, updates[i].value, 0, values, sizes[i] * sizeof *values));
        test_compare(values, expected[i], sizes[i], 2e-6, 2e-6, text);
        for (size_t k = sizes[i] - PADDING; k < sizes[i]; k++)
            assert_true(values[k] == 0);
        thaw_buffer_destroy(&updates[i].value);
        thaw_buffer_destroy(&grads[i]);
        for (int k = 0; k < THAW_OPTIMIZER_SLOTS_MAX; k++)
            thaw_buffer_destroy(&updates[i].slots[k]);
    }
    thaw_arena_finish(&arena);
}

static void run(const char *text, double decay, formula *step, const void *user) {
    run_on(test_device(), text, decay, step, user, true);
    run_on(test_device(), text, decay, step, user, false);
    run_on(test_device_as_gpu(), text, decay, step, user, true);
}

/* One launch for what shares allocations, else as many as there are combinations. */
static void test_launches(void **state) {
    (void)state;
    struct thaw_device_options options = {.profiling = true};
    thaw_device *device = NULL;
    struct thaw_arena arena = {0};
    assert_ok(thaw_device_open(NULL, &options, &device));
    struct thaw_optimizer optimizer = parse(&arena, "sgd");
    struct thaw_optimizer_update updates[2 * COUNT] = {0};
    cl_mem grads[2 * COUNT];
    for (int half = 0; half < 2; half++)
        create_buffers(device, 1, true, updates + half * (int)COUNT, grads + half * (int)COUNT);
    for (size_t i = 0; i < 2 * COUNT; i++) {
        updates[i].grad = grads[i];
        updates[i].size = sizes[i % COUNT];
    }
    const struct {
        size_t first, count;
        uint64_t launches;
    } cases[] = {{0, COUNT, 1}, {0, 2 * COUNT, 2}, {COUNT - 2, 4, 2}, {3, 1, 1}, {0, 0, 0}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct thaw_kernel_time *times = NULL;
        size_t count = 0;
        thaw_device_profile_reset(device);
        assert_ok(
            thaw_optimizer_update(device, &optimizer, updates + cases[c].first, cases[c].count));
        assert_ok(thaw_device_profile(device, &arena, &times, &count));
        assert_int_equal(count, cases[c].launches > 0);
        if (count)
            assert_int_equal(times[0].launches, cases[c].launches);
    }
    for (size_t i = 0; i < 2 * COUNT; i++) {
        thaw_buffer_destroy(&updates[i].value);
        thaw_buffer_destroy(&updates[i].slots[0]);
        thaw_buffer_destroy(&grads[i]);
    }
    thaw_arena_finish(&arena);
    thaw_device_destroy(&device);
}

static void sgd(double *p, double g, double state[2], int step, double lr, double decay,
                const void *user) {
    (void)step;                   /* the state begins at zero */
    const double *options = user; /* momentum, nesterov */
    double d = g + decay * *p;
    state[0] = options[0] * state[0] + d;
    *p -= lr * (options[0] == 0 ? d : options[1] != 0 ? d + options[0] * state[0] : state[0]);
}

static void test_sgd(void **state) {
    (void)state;
    run("sgd", 0, sgd, (double[]){0.9, 0});
    run("{type: sgd, momentum: 0}", 0.01, sgd, (double[]){0, 0});
    run("{type: sgd, momentum: 0.5, weight_decay: 0.01}", 0.01, sgd, (double[]){0.5, 0});
    run("{type: sgd, nesterov: true}", 0.1, sgd, (double[]){0.9, 1});
}

static void adamw(double *p, double g, double state[2], int step, double lr, double decay,
                  const void *user) {
    const double *options = user; /* beta1, beta2, eps */
    double beta1 = options[0], beta2 = options[1];
    *p *= 1 - lr * decay;
    state[0] = beta1 * state[0] + (1 - beta1) * g;
    state[1] = beta2 * state[1] + (1 - beta2) * g * g;
    *p -= lr / (1 - pow(beta1, step)) * state[0] /
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
        cmocka_unit_test(test_sgd),      cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_launches), cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
