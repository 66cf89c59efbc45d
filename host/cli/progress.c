#include "cli/progress.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/clock.h"

#define LIVE_INTERVAL_S 0.1
#define PLAIN_INTERVAL_S 5.0

void thaw_progress_init(struct thaw_progress *progress, FILE *stream, bool quiet) {
    const char *terminal = getenv("TERM");
    *progress = (struct thaw_progress){.stream = stream, .quiet = quiet};
    progress->live = isatty(fileno(stream)) && terminal && strcmp(terminal, "dumb") != 0;
}

/* How many bytes of UTF-8 `text` fit in `columns`, each code point taken as one column. */
static size_t bytes_in_columns(const char *text, size_t columns) {
    size_t bytes = 0;
    for (; text[bytes]; bytes++)
        if (((unsigned char)text[bytes] & 0xC0) != 0x80 && columns-- == 0)
            break;
    return bytes;
}

static size_t terminal_columns(FILE *stream) {
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        return size.ws_col;
    return 80;
}

void thaw_progress_clear(struct thaw_progress *progress) {
    if (!progress->is_shown)
        return;
    fputs("\r\x1b[K", progress->stream);
    fflush(progress->stream);
    progress->is_shown = false;
}

static void show_latest(struct thaw_progress *progress) {
    if (progress->live) {
        /* One column less than there are: a full line would wrap and could not be taken back. */
        size_t bytes = bytes_in_columns(progress->latest, terminal_columns(progress->stream) - 1);
        fprintf(progress->stream, "\r%.*s\x1b[K", (int)bytes, progress->latest);
        progress->is_shown = true;
    } else {
        fprintf(progress->stream, "%s\n", progress->latest);
    }
    fflush(progress->stream);
    progress->is_unseen = false;
}

void thaw_progress_update(struct thaw_progress *progress, const char *format, ...) {
    if (progress->quiet)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(progress->latest, sizeof progress->latest, format, args);
    va_end(args);
    progress->is_unseen = true;
    double now_s = thaw_clock_s();
    if (now_s < progress->next_s)
        return;
    progress->next_s = now_s + (progress->live ? LIVE_INTERVAL_S : PLAIN_INTERVAL_S);
    show_latest(progress);
}

void thaw_progress_working(void *user, const char *what, size_t done, size_t total) {
    thaw_progress_update(user, "%s %zu/%zu", what, done, total);
}

void thaw_progress_line(struct thaw_progress *progress, const char *format, ...) {
    if (progress->quiet)
        return;
    thaw_progress_clear(progress);
    va_list args;
    va_start(args, format);
    vfprintf(progress->stream, format, args);
    va_end(args);
    fputc('\n', progress->stream);
    fflush(progress->stream);
    progress->is_unseen = false;
}

void thaw_progress_finish(struct thaw_progress *progress) {
    if (progress->is_unseen && !progress->live)
        show_latest(progress);
    thaw_progress_clear(progress);
    progress->is_unseen = false;
    progress->next_s = 0;
}
