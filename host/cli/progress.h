/* What is going on, on stderr: one live line on a terminal, a plain line every few seconds
 * elsewhere, nothing with --quiet. */
#ifndef THAW_CLI_PROGRESS_H
#define THAW_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

#include "core/error.h"

struct thaw_progress {
    FILE *stream;
    bool quiet, live; /* live: the stream is a terminal that can move its cursor */
    bool is_shown;    /* a live line stands on the terminal now */
    double next_s;    /* no update is shown before */
    char latest[512]; /* the last text, shown or not */
    bool is_unseen;   /* `latest` has not been shown */
};

void thaw_progress_init(struct thaw_progress *progress, FILE *stream, bool quiet);

/* The state of things now; cheap enough to call at every step. */
void thaw_progress_update(struct thaw_progress *progress, const char *format, ...)
    THAW_PRINTF(2, 3);

/* The same for what the library tells while it works: `user` is the thaw_progress. */
void thaw_progress_working(void *user, const char *what, size_t done, size_t total);

/* A line that stays, such as an epoch's result. */
void thaw_progress_line(struct thaw_progress *progress, const char *format, ...) THAW_PRINTF(2, 3);

/* Takes the live line away, before anything else is printed; it comes back with the next update. */
void thaw_progress_clear(struct thaw_progress *progress);

/* The end of a phase: elsewhere than on a terminal, shows the last update if it was held back. */
void thaw_progress_finish(struct thaw_progress *progress);

#endif
