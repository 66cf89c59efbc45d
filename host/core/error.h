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

/* The static analyzer does not see that these return the status that they are given. */
#ifdef __clang_analyzer__
#define THAW_SAME_STATUS(function, status, ...)                                                    \
    ({                                                                                             \
        thaw_status same_ = (status);                                                              \
        (function)(same_, __VA_ARGS__);                                                            \
        same_;                                                                                     \
    })
#define thaw_fail(status, ...) THAW_SAME_STATUS(thaw_fail, status, __VA_ARGS__)
#define thaw_context(status, ...) THAW_SAME_STATUS(thaw_context, status, __VA_ARGS__)
#define thaw_hint(status, ...) THAW_SAME_STATUS(thaw_hint, status, __VA_ARGS__)
#endif

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
