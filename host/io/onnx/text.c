#include "io/onnx/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINTED_MAX 160
#define PLAIN_MAX 200

const char *thaw_onnx_printable(struct thaw_arena *arena, const char *name) {
    size_t length = strnlen(name, PRINTED_MAX + 1);
    char *copy = thaw_arena_copy_bytes(arena, name, length);
    if (!copy)
        return NULL;
    if (length > PRINTED_MAX)
        memcpy(copy + PRINTED_MAX - 3, "...", 4);
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            *c = '?';
    return copy;
}

char *thaw_onnx_plain_name(struct thaw_arena *arena, const char *name) {
    char *copy = thaw_arena_copy_bytes(arena, name, strnlen(name, PLAIN_MAX));
    if (!copy)
        return NULL;
    char *out = copy;
    for (const char *in = copy; *in; in++) {
        bool kept = isalnum((unsigned char)*in) || *in == '-';
        char c = kept ? *in : (*in == '/' || *in == '.') ? '.' : '_';
        bool separator = c == '.' || (c == '_' && *in != '_');
        if (separator && (out == copy || out[-1] == '.' || (c == '_' && out[-1] == '_')))
            continue; /* no empty parts */
        *out++ = c;
    }
    while (out > copy && out[-1] == '.')
        out--;
    *out = '\0';
    return copy;
}

struct thaw_onnx_short thaw_onnx_short(float value) {
    struct thaw_onnx_short number;
    for (int digits = 4; digits <= 9; digits++) {
        snprintf(number.text, sizeof number.text, "%.*g", digits, (double)value);
        if (strtof(number.text, NULL) == value)
            break;
    }
    return number;
}
