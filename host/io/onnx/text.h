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

/* A number with as few digits as give the same float back: "1e-05". */
struct thaw_onnx_short {
    char text[24];
};
struct thaw_onnx_short thaw_onnx_short(float value);

#endif
