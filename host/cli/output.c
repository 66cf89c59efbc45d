#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/log.h"

bool thaw_cli_use_color(FILE *stream) {
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(fileno(stream)) && !(no_color && *no_color) && terminal &&
           strcmp(terminal, "dumb") != 0;
}

/* "<label>: <text>" with the label in `color`, an SGR sequence's number. */
static void print_labelled(const char *label, const char *color, const char *text) {
    if (thaw_cli_use_color(stderr))
        fprintf(stderr, "\x1b[%sm%s:\x1b[0m %s\n", color, label, text);
    else
        fprintf(stderr, "%s: %s\n", label, text);
}

void thaw_cli_print_error(thaw_status status) {
    const char *message = thaw_error_message();
    if (status == THAW_INTERRUPTED)
        print_labelled("interrupted", "1;33", *message ? message : "stopped by a signal");
    else
        print_labelled("error", "1;31", *message ? message : "failed without a message");
    if (*thaw_error_hint())
        print_labelled("hint", "36", thaw_error_hint());
}

int thaw_cli_exit_code(thaw_status status) {
    switch (status) {
    case THAW_OK:
        return 0;
    case THAW_ERROR_INPUT:
    case THAW_ERROR_UNSUPPORTED:
        return 2;
    case THAW_ERROR_DEVICE:
        return 3;
    case THAW_INTERRUPTED:
        return 130;
    default:
        return 1;
    }
}

static void log_line(void *user, enum thaw_log_level level, const char *text) {
    const struct thaw_cli *cli = user;
    if ((level == THAW_LOG_DEBUG && !cli->verbose) || (level == THAW_LOG_INFO && cli->quiet))
        return;
    thaw_progress_clear(cli->progress);
    if (level == THAW_LOG_WARNING)
        print_labelled("warning", "1;33", text);
    else
        fprintf(stderr, "%s\n", text);
}

void thaw_cli_log_to_stderr(const struct thaw_cli *cli) {
    thaw_log_set(log_line, (void *)cli);
}

thaw_status thaw_cli_print_json(json_t *root) {
    if (!root)
        return thaw_fail(THAW_ERROR_MEMORY, "out of memory while making JSON");
    int failed = json_dumpf(root, stdout, JSON_INDENT(2));
    json_decref(root);
    if (failed || putchar('\n') == EOF)
        return thaw_fail(THAW_ERROR_IO, "writing to stdout: %s", strerror(errno));
    return THAW_OK;
}
