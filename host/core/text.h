/* Small text helpers: nearest name for error messages, glob patterns, growable strings. */
#ifndef THAW_CORE_TEXT_H
#define THAW_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"

/* The candidate with the smallest edit distance to `word` (case-insensitive, transpositions count
 * once), or NULL when none is near enough to be what the user meant. */
const char *thaw_nearest(const char *word, const char *const *candidates, size_t count);

/* Whether `text` matches the glob `pattern`: '*' any run of characters, '?' any one. */
bool thaw_glob_match(const char *pattern, const char *text);

/* A size in bytes: "2GiB", "2g", "1.5MiB", "4096". False, and nothing set, for anything else. */
bool thaw_text_bytes(const char *text, uint64_t *ret_bytes);

/* A growable string. Starts as {0}; `text` is NULL until the first append and NUL-terminated after.
 * An append that finds no memory sets `failed` and leaves the text as it was. */
struct thaw_text {
    char *text;
    size_t length, capacity;
    bool failed;
};

void thaw_text_append(struct thaw_text *text, const char *format, ...) THAW_PRINTF(2, 3);
void thaw_text_append_bytes(struct thaw_text *text, const char *bytes, size_t count);
/* `string` as a JSON string literal, quotes included. */
void thaw_text_append_json(struct thaw_text *text, const char *string);
void thaw_text_finish(struct thaw_text *text);

#endif
