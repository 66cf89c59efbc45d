#include "core/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "support/support.h"

static bool is_zero(const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Sizes around the chunk size; earlier allocations keep their bytes. */
static void allocations_are_zeroed_aligned_and_apart(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 0, 7, 8, 100, 65535, 65536, 65537, 3, 1000000, 64, 1};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    struct thaw_arena arena = {0};
    for (int round = 0; round < 2; round++) {
        unsigned char *blocks[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = thaw_arena_alloc(&arena, sizes[i]);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % alignof(max_align_t), 0);
            assert_true(is_zero(blocks[i], sizes[i]));
            memset(blocks[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < COUNT; i++)
            for (size_t j = 0; j < sizes[i]; j++)
                assert_int_equal(blocks[i][j], i + 1);
        thaw_arena_finish(&arena);
        assert_null(arena.chunks);
    }
    thaw_arena_finish(&arena);
}

static void too_large_is_refused(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    assert_null(thaw_arena_alloc(&arena, SIZE_MAX));
    assert_non_null(strstr(thaw_error_message(), "too large"));
    assert_null(thaw_arena_array(&arena, SIZE_MAX / 4, 8));
    assert_non_null(strstr(thaw_error_message(), "too many"));
    assert_null(thaw_arena_array(&arena, (size_t)1 << 32, (size_t)1 << 32));
    assert_non_null(thaw_arena_array(&arena, SIZE_MAX, 0));
    thaw_arena_finish(&arena);
}

static void copies(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    char source[] = "layer";
    char *copy = thaw_arena_copy(&arena, source);
    source[0] = 'x';
    assert_string_equal(copy, "layer");
    assert_string_equal(thaw_arena_copy_bytes(&arena, "abc", 2), "ab");
    assert_string_equal(thaw_arena_copy_bytes(&arena, NULL, 0), "");
    assert_string_equal(thaw_arena_format(&arena, "%s.%d", copy, 3), "layer.3");
    char *wide = thaw_arena_format(&arena, "%100000d", 1);
    assert_int_equal(strlen(wide), 100000);
    thaw_arena_finish(&arena);
}

static void arrays_grow(void **state) {
    (void)state;
    struct thaw_arena arena = {0};
    size_t capacity = 0;
    int *numbers = NULL;
    for (size_t i = 0; i < 10000; i++) {
        numbers = thaw_arena_grow(&arena, numbers, i, &capacity, sizeof *numbers);
        assert_non_null(numbers);
        assert_true(capacity > i);
        numbers[i] = (int)i;
    }
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(numbers[i], i);
    thaw_arena_finish(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_zeroed_aligned_and_apart),
        cmocka_unit_test(too_large_is_refused),
        cmocka_unit_test(copies),
        cmocka_unit_test(arrays_grow),
    };
    return cmocka_run_group_tests_name("core/arena", tests, NULL, NULL);
}
