#include "cli/progress.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define LIVE_INTERVAL_NS 100000000ull   /* 0.1 s */
#define PLAIN_INTERVAL_NS 5000000000ull /* 5 s */

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

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
    uint64_t now = now_ns();
    if (now < progress->next_ns)
        return;
    progress->next_ns = now + (progress->live ? LIVE_INTERVAL_NS : PLAIN_INTERVAL_NS);
    show_latest(progress);
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
    progress->next_ns = 0;
}
