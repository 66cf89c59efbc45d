/* Names out of ONNX files, which may hold anything, for messages and for YAML. */
#ifndef THAW_IO_ONNX_TEXT_H
#define THAW_IO_ONNX_TEXT_H

#include <stdbool.h>

#include "core/arena.h"

/* A copy fit for a message: control characters and what is not UTF-8 as '?', cut when very long.
 * NULL when out of memory. */
const char *thaw_onnx_printable(struct thaw_arena *arena, const char *name);

/* A copy fit for the name of a Thaw node: letters, digits, '_', '-' and '.', "" when nothing is
 * left. NULL when out of memory. */
char *thaw_onnx_plain_name(struct thaw_arena *arena, const char *name);

#endif
