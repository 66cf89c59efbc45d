#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t interrupted;

static void raise_flag(int signal_number) {
    (void)signal_number;
    interrupted = 1;
    static const char note[] = "\nstopping at the next safe point; once more stops at once\n";
    ssize_t ignored = write(STDERR_FILENO, note, sizeof note - 1);
    (void)ignored;
}

const volatile sig_atomic_t *thaw_cli_catch_interrupt(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = raise_flag;
    action.sa_flags = (int)SA_RESETHAND | SA_RESTART; /* the second signal acts as if uncaught */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &interrupted;
}
