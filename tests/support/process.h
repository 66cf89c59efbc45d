/* Runs the built `thaw` as a user would. */
#ifndef THAW_TESTS_PROCESS_H
#define THAW_TESTS_PROCESS_H

#include "support/support.h"

struct test_process {
    int exit_code; /* 128 + the signal's number when one ended it */
    char *output, *errors;
};

/* Runs thaw with the given words after its name. `environment` is {"NAME=value", ..., NULL} on top
 * of this process's, or NULL. Fails the test when THAW_BINARY is unset (meson sets it) or the
 * program can't be started. */
struct test_process test_thaw(const char *const *environment, const char *const *words);
#define TEST_THAW(environment, ...)                                                                \
    test_thaw((environment), (const char *const[]){__VA_ARGS__, NULL})
void test_process_finish(struct test_process *process);

/* The exit code is `exit_code` and stderr contains `part` (NULL: is empty). Finishes the process.
 */
void test_expect_exit(struct test_process process, int exit_code, const char *part);

#endif
