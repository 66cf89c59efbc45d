/* The planner, without a device: random buffer sets against the definition, and two plans known by
 * hand. */
#include <stdlib.h>

#include "core/rng.h"
#include "graph/plan.h"
#include "support/support.h"

static bool overlap(size_t a, size_t a_size, size_t b, size_t b_size) {
    return a < b + b_size && b < a + a_size;
}

static void never_shares_living_memory(void **state) {
    (void)state;
    struct thaw_rng rng = thaw_rng_init(3, THAW_RNG_TEST, 0, 0);
    for (int round = 0; round < 200; round++) {
        struct thaw_plan_buffer buffers[40];
        size_t count = 1 + thaw_rng_below(&rng, 40), pool, sum = 0;
        for (size_t i = 0; i < count; i++) {
            int first = (int)thaw_rng_below(&rng, 30);
            buffers[i] = (struct thaw_plan_buffer){.size_bytes = thaw_rng_below(&rng, 5000),
                                                   .first = first,
                                                   .last = first + (int)thaw_rng_below(&rng, 10)};
            sum += (buffers[i].size_bytes + 127) / 128 * 128;
        }
        assert_ok(thaw_plan_memory(buffers, count, 128, &pool));
        assert_true(pool <= sum);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(buffers[i].offset_bytes % 128, 0);
            assert_true(buffers[i].offset_bytes + buffers[i].size_bytes <= pool);
            bool meets = false;
            for (size_t j = 0; j < count; j++) {
                if (i == j || !overlap(buffers[i].offset_bytes, buffers[i].size_bytes,
                                       buffers[j].offset_bytes, buffers[j].size_bytes))
                    continue;
                meets = true;
                assert_true(buffers[i].last < buffers[j].first ||
                            buffers[j].last < buffers[i].first);
            }
            assert_int_equal(buffers[i].shared, meets);
        }
    }
}

/* A chain needs room for two of its links at a time. */
static void chain_needs_two(void **state) {
    (void)state;
    struct thaw_plan_buffer buffers[10];
    for (int i = 0; i < 10; i++)
        buffers[i] = (struct thaw_plan_buffer){.size_bytes = 1024, .first = i, .last = i + 1};
    size_t pool;
    assert_ok(thaw_plan_memory(buffers, 10, 64, &pool));
    assert_int_equal(pool, 2048);
    assert_true(buffers[0].shared);
}

static void empty_plan(void **state) {
    (void)state;
    size_t pool = 1;
    assert_ok(thaw_plan_memory(NULL, 0, 64, &pool));
    assert_int_equal(pool, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_shares_living_memory),
        cmocka_unit_test(chain_needs_two),
        cmocka_unit_test(empty_plan),
    };
    return cmocka_run_group_tests_name("graph/plan", tests, NULL, NULL);
}
