#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/log.h"
#include "core/text.h"

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

/* The length of the valid UTF-8 sequence that `text` starts with, by its lead byte and the number
 * of continuation bytes; 0 when there is none. jansson checks the finer points. */
static size_t sequence_length(const char *text) {
    unsigned char lead = (unsigned char)*text;
    size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (lead > 0xF4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            return 0;
    if (length > 1) { /* overlong forms and surrogates are jansson's to refuse */
        json_t *trial = json_stringn(text, length);
        if (!trial)
            return 0;
        json_decref(trial);
    }
    return length;
}

json_t *thaw_cli_json_text(const char *text) {
    json_t *string = json_string(text);
    if (string)
        return string;
    struct thaw_text clean = {0};
    while (*text) {
        size_t length = sequence_length(text);
        if (length)
            thaw_text_append_bytes(&clean, text, length);
        else
            thaw_text_append_bytes(&clean, "\xEF\xBF\xBD", 3);
        text += length ? length : 1;
    }
    string = clean.failed ? NULL : json_string(clean.text);
    thaw_text_finish(&clean);
    return string;
}
