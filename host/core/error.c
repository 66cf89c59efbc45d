#include "core/error.h"
#undef thaw_fail
#undef thaw_context
#undef thaw_hint

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[THAW_ERROR_SIZE];
static _Thread_local char hint[THAW_ERROR_SIZE];

const char *thaw_error_message(void) {
    return message;
}

const char *thaw_error_hint(void) {
    return hint;
}

/* Arguments may point into `message` or `hint` themselves, so text is built aside first. */
thaw_status thaw_fail(thaw_status status, const char *format, ...) {
    char text[THAW_ERROR_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof message);
    hint[0] = '\0';
    return status;
}

thaw_status thaw_context(thaw_status status, const char *format, ...) {
    if (status == THAW_OK)
        return status;
    char prefix[THAW_ERROR_SIZE / 2];
    char text[2 * THAW_ERROR_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", prefix, message);
    memcpy(message, text, sizeof message - 1);
    return status;
}

thaw_status thaw_hint(thaw_status status, const char *format, ...) {
    if (status == THAW_OK)
        return status;
    char text[THAW_ERROR_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(hint, text, sizeof hint);
    return status;
}
