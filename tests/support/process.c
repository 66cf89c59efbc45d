#include "support/process.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/text.h"

#define MAX_WORDS 64

static void start(const char *const *environment, const char *const *words, int output,
                  int errors) {
    const char *binary = getenv("THAW_BINARY");
    const char *argv[MAX_WORDS + 2] = {binary};
    for (size_t i = 0; words[i] && i < MAX_WORDS; i++)
        argv[i + 1] = words[i];
    for (size_t i = 0; environment && environment[i]; i++)
        putenv((char *)environment[i]);
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    execv(binary, (char *const *)argv);
    _exit(127);
}

/* Reads both pipes to their ends, whichever has something. */
static void drain(const int pipes[2], struct thaw_text texts[2]) {
    struct pollfd waits[2] = {{pipes[0], POLLIN, 0}, {pipes[1], POLLIN, 0}};
    while (waits[0].fd >= 0 || waits[1].fd >= 0) {
        poll(waits, 2, -1);
        for (int i = 0; i < 2; i++) {
            char bytes[4096];
            if (waits[i].fd < 0 || !waits[i].revents)
                continue;
            ssize_t count = read(waits[i].fd, bytes, sizeof bytes);
            if (count > 0)
                thaw_text_append_bytes(&texts[i], bytes, (size_t)count);
            else
                waits[i].fd = -1;
        }
    }
}

struct test_process test_thaw(const char *const *environment, const char *const *words) {
    if (!getenv("THAW_BINARY"))
        fail_msg("THAW_BINARY is unset: run through meson test");
    int output[2], errors[2];
    if (pipe(output) || pipe(errors))
        fail_msg("pipe failed");
    pid_t child = fork();
    if (child == 0)
        start(environment, words, output[1], errors[1]);
    close(output[1]);
    close(errors[1]);
    struct thaw_text texts[2] = {{0}, {0}};
    thaw_text_append(&texts[0], "%s", "");
    thaw_text_append(&texts[1], "%s", "");
    drain((int[]){output[0], errors[0]}, texts);
    close(output[0]);
    close(errors[0]);
    int result = 0;
    waitpid(child, &result, 0);
    int code = WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
    if (code == 127)
        fail_msg("%s can't be started", getenv("THAW_BINARY"));
    return (struct test_process){code, texts[0].text, texts[1].text};
}

void test_process_finish(struct test_process *process) {
    free(process->output);
    free(process->errors);
    *process = (struct test_process){0};
}

void test_expect_exit(struct test_process process, int exit_code, const char *part) {
    if (process.exit_code != exit_code ||
        !(part ? strstr(process.errors, part) != NULL : !process.errors[0]))
        fail_msg("exit code %d (expected %d), stderr:\n%s(expected %s%s)", process.exit_code,
                 exit_code, process.errors, part ? "to contain " : "nothing", part ? part : "");
    test_process_finish(&process);
}
