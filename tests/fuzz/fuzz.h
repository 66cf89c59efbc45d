/* What a fuzz target provides. LLVMFuzzerTestOneInput() is libFuzzer's entry point, so that
 *
 *     clang -fsanitize=fuzzer,address -Iinclude -Ihost -Itests tests/fuzz/fuzz_yaml.c libthaw.a ...
 *
 * makes a coverage-guided fuzzer of the same file. With driver.c instead it is an ordinary test
 * that runs the seeds and a few thousand mutations of them, the same ones every time. */
#ifndef THAW_TESTS_FUZZ_H
#define THAW_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Must not crash, hang or leak on any input; aborts when a property does not hold. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A valid or nearly valid input, or a word of the format (token) that mutations insert. */
struct fuzz_seed {
    const void *bytes;
    size_t size_bytes;
};
#define FUZZ_SEED_TEXT(literal)                                                                    \
    { literal, sizeof(literal) - 1 }

/* Seeds and tokens live as long as the program; there is at least one seed, tokens may be none. */
const struct fuzz_seed *fuzz_seeds(size_t *ret_count);
const struct fuzz_seed *fuzz_tokens(size_t *ret_count);

/* A property of the code under test; aborts the run, which the driver reports with the input. */
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
