/* Progress on a file and on a terminal, and the interrupt flag. */
#include "cli/progress.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "support/support.h"

/* What `stream`, a temporary file, holds by now. */
static const char *contents(FILE *stream) {
    static char text[4096];
    fflush(stream);
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    return text;
}

static void plain_lines_are_rare(void **state) {
    (void)state;
    FILE *stream = tmpfile();
    struct thaw_progress progress;
    thaw_progress_init(&progress, stream, false);
    assert_false(progress.live);
    for (int i = 1; i <= 1000; i++)
        thaw_progress_update(&progress, "step %d", i);
    assert_string_equal(contents(stream), "step 1\n");
    thaw_progress_finish(&progress); /* the last one counts */
    thaw_progress_finish(&progress);
    assert_string_equal(contents(stream), "step 1\nstep 1000\n");
    thaw_progress_line(&progress, "epoch %d", 1);
    assert_string_equal(contents(stream), "step 1\nstep 1000\nepoch 1\n");
    fclose(stream);
}

static void quiet_says_nothing(void **state) {
    (void)state;
    FILE *stream = tmpfile();
    struct thaw_progress progress;
    thaw_progress_init(&progress, stream, true);
    thaw_progress_update(&progress, "step");
    thaw_progress_line(&progress, "epoch");
    thaw_progress_finish(&progress);
    assert_string_equal(contents(stream), "");
    fclose(stream);
}

/* A pseudo-terminal's other end, and the text that came out of it. */
static FILE *open_terminal(int *ret_master) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    FILE *stream = fdopen(open(ptsname(master), O_RDWR | O_NOCTTY), "r+");
    assert_non_null(stream);
    *ret_master = master;
    return stream;
}

static void terminal_has_a_live_line(void **state) {
    (void)state;
    setenv("TERM", "xterm", 1);
    int master = -1;
    FILE *stream = open_terminal(&master);
    struct thaw_progress progress;
    thaw_progress_init(&progress, stream, false);
    assert_true(progress.live);
    char long_line[200];
    memset(long_line, 'x', sizeof long_line - 1);
    long_line[sizeof long_line - 1] = '\0';
    thaw_progress_update(&progress, "\xC3\xA9%s", long_line);
    thaw_progress_update(&progress, "too soon");
    thaw_progress_line(&progress, "epoch");
    thaw_progress_finish(&progress);
    char text[1024] = "";
    size_t length = 0;
    while (!strstr(text, "epoch\r\n")) {
        ssize_t count = read(master, text + length, sizeof text - 1 - length);
        assert_true(count > 0);
        length += (size_t)count;
        text[length] = '\0';
    }
    /* 79 columns, 80 bytes of text */
    assert_memory_equal(text, "\r\xC3\xA9xxx", 6);
    assert_ptr_equal(strchr(text, '\x1b'), text + 81);
    assert_null(strstr(text, "too soon"));
    assert_non_null(strstr(text, "\r\x1b[Kepoch\r\n"));
    fclose(stream);
    close(master);
}

static void colour_is_for_terminals(void **state) {
    (void)state;
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    int master = -1;
    FILE *stream = open_terminal(&master), *file = tmpfile();
    assert_true(thaw_cli_use_color(stream));
    assert_false(thaw_cli_use_color(file));
    setenv("NO_COLOR", "1", 1);
    assert_false(thaw_cli_use_color(stream));
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    assert_false(thaw_cli_use_color(stream));
    fclose(stream);
    fclose(file);
    close(master);
}

static void first_interrupt_raises_the_flag(void **state) {
    (void)state;
    const volatile sig_atomic_t *flag = thaw_cli_catch_interrupt();
    assert_int_equal(*flag, 0);
    raise(SIGINT);
    assert_int_equal(*flag, 1);
    struct sigaction now;
    sigaction(SIGINT, NULL, &now); /* the next one would end the process */
    assert_true(now.sa_handler == SIG_DFL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_are_rare),
        cmocka_unit_test(quiet_says_nothing),
        cmocka_unit_test(terminal_has_a_live_line),
        cmocka_unit_test(colour_is_for_terminals),
        cmocka_unit_test(first_interrupt_raises_the_flag),
    };
    return cmocka_run_group_tests_name("cli/progress", tests, NULL, NULL);
}
