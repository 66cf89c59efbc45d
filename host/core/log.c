#include "core/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static thaw_log_function *log_function;
static void *log_user;

void thaw_log_set(thaw_log_function *function, void *user) {
    log_function = function;
    log_user = user;
}

void thaw_log(enum thaw_log_level level, const char *format, ...) {
    if (!log_function)
        return;
    char text[THAW_ERROR_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_function(log_user, level, text);
}
