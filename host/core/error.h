/* How the library records a failure. The message lives in a thread-local buffer and survives until
 * the next thaw_fail() of the same thread. */
#ifndef THAW_CORE_ERROR_H
#define THAW_CORE_ERROR_H

#include "thaw/status.h"

#if defined(__GNUC__)
#define THAW_PRINTF(format_index, first_arg)                                                       \
    __attribute__((format(printf, format_index, first_arg)))
#else
#define THAW_PRINTF(format_index, first_arg)
#endif

/* Records the message (replacing any earlier one and its hint) and returns `status`. */
thaw_status thaw_fail(thaw_status status, const char *format, ...) THAW_PRINTF(2, 3);

/* Prepends "<text>: " to the recorded message; returns `status`. No-op for THAW_OK. */
thaw_status thaw_context(thaw_status status, const char *format, ...) THAW_PRINTF(2, 3);

/* Sets the hint that goes with the recorded message; returns `status`. No-op for THAW_OK. */
thaw_status thaw_hint(thaw_status status, const char *format, ...) THAW_PRINTF(2, 3);

/* Copies message and hint out, to bring them to another thread with thaw_fail + thaw_hint. */
#define THAW_ERROR_SIZE 2048

/* Returns from the calling function when `expression` fails. */
#define THAW_TRY(expression)                                                                       \
    do {                                                                                           \
        thaw_status try_status_ = (expression);                                                    \
        if (try_status_ != THAW_OK)                                                                \
            return try_status_;                                                                    \
    } while (0)

/* The same for functions with one exit label: sets `status` and jumps. */
#define THAW_TRY_GOTO(status, label, expression)                                                   \
    do {                                                                                           \
        (status) = (expression);                                                                   \
        if ((status) != THAW_OK)                                                                   \
            goto label;                                                                            \
    } while (0)

#endif
