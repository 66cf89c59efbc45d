#include "core/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64

/* Optimal string alignment distance of two short words, ignoring case. */
static int edit_distance(const char *a, const char *b) {
    int rows[3][WORD_MAX + 1];
    size_t length_a = strlen(a), length_b = strlen(b);
    if (length_a > WORD_MAX || length_b > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= length_b; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= length_a; i++) {
        int *row = rows[i % 3], *above = rows[(i - 1) % 3];
        const int *above2 = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= length_b; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            int best = above[j - 1] + (ca != cb);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2]) && above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[length_a % 3][length_b];
}

const char *thaw_nearest(const char *word, const char *const *candidates, size_t count) {
    const char *best = NULL;
    size_t length = strlen(word);
    int limit = (int)(length < 4 ? 1 : length / 3 + 1);
    for (size_t i = 0; i < count; i++) {
        int distance = edit_distance(word, candidates[i]);
        if (distance <= limit) {
            limit = distance - 1;
            best = candidates[i];
        }
    }
    return best;
}

bool thaw_glob_match(const char *pattern, const char *text) {
    const char *star = NULL, *resume = NULL; /* the last '*' and where it stopped eating */
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* Makes room for `extra` more bytes and the final NUL. */
static bool reserve(struct thaw_text *text, size_t extra) {
    size_t need = text->length + extra + 1;
    if (need <= text->capacity)
        return true;
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < need)
        capacity *= 2;
    char *grown = realloc(text->text, capacity);
    if (!grown) {
        text->failed = true;
        return false;
    }
    text->text = grown;
    text->capacity = capacity;
    return true;
}

void thaw_text_append_bytes(struct thaw_text *text, const char *bytes, size_t count) {
    if (!reserve(text, count))
        return;
    memcpy(text->text + text->length, bytes, count);
    text->length += count;
    text->text[text->length] = '\0';
}

void thaw_text_append(struct thaw_text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0 || !reserve(text, (size_t)length))
        return;
    va_start(args, format);
    vsnprintf(text->text + text->length, (size_t)length + 1, format, args);
    va_end(args);
    text->length += (size_t)length;
}

void thaw_text_append_json(struct thaw_text *text, const char *string) {
    thaw_text_append_bytes(text, "\"", 1);
    for (const char *c = string; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\')
            thaw_text_append(text, "\\%c", byte);
        else if (byte < 0x20)
            thaw_text_append(text, "\\u%04x", byte);
        else
            thaw_text_append_bytes(text, c, 1);
    }
    thaw_text_append_bytes(text, "\"", 1);
}

void thaw_text_finish(struct thaw_text *text) {
    free(text->text);
    *text = (struct thaw_text){0};
}

bool thaw_text_bytes(const char *text, uint64_t *ret_bytes) {
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end), unit = 1;
    const char *letter = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (letter) {
        end++;
        for (const char *u = units; u <= letter; u++)
            unit *= 1024;
        if (*end == 'i')
            end++;
    }
    if (*end == 'B')
        end++;
    if (!isdigit((unsigned char)*text) || *end || !(value * unit < 9e18))
        return false;
    *ret_bytes = (uint64_t)(value * unit);
    return true;
}
