/* Warnings and progress leave the library through one callback, set by the program. */
#ifndef THAW_CORE_LOG_H
#define THAW_CORE_LOG_H

#include "core/error.h"

enum thaw_log_level { THAW_LOG_DEBUG, THAW_LOG_INFO, THAW_LOG_WARNING };

typedef void thaw_log_function(void *user, enum thaw_log_level level, const char *text);

/* Process-wide and set once before any other call; NULL (the default) drops everything. */
void thaw_log_set(thaw_log_function *function, void *user);
void thaw_log(enum thaw_log_level level, const char *format, ...) THAW_PRINTF(2, 3);

#endif
