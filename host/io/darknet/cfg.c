#include "io/darknet/cfg.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

#define MESSAGE_SIZE 512

/* ---- lines ---------------------------------------------------------------------------------- */

/* The next line of `text` from *offset on. */
struct line {
    const char *start;
    size_t length;
};

static struct line next_line(const char *text, size_t size_bytes, size_t *offset) {
    struct line line = {text + *offset, 0};
    while (*offset + line.length < size_bytes && line.start[line.length] != '\n')
        line.length++;
    *offset += line.length + 1;
    return line;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* The first character that is not white space, '\0' for an empty line. */
static char first_character(struct line line) {
    for (size_t i = 0; i < line.length; i++)
        if (!is_space(line.start[i]))
            return line.start[i];
    return '\0';
}

bool thaw_cfg_matches(const char *text, size_t size_bytes) {
    for (size_t offset = 0; offset < size_bytes;) {
        char first = first_character(next_line(text, size_bytes, &offset));
        if (first && first != '#' && first != ';')
            return first == '[';
    }
    return false;
}

/* The line without white space, and without what follows a '#'. */
static thaw_status strip(struct thaw_arena *arena, struct line line, char **ret_text) {
    char *text = thaw_arena_alloc(arena, line.length + 1);
    size_t length = 0;
    if (!text)
        return THAW_ERROR_MEMORY;
    for (size_t i = 0; i < line.length && line.start[i] != '#'; i++) {
        unsigned char c = (unsigned char)line.start[i];
        if (is_space((char)c))
            continue;
        if (c < 0x20 || c >= 0x7f)
            return thaw_fail(THAW_ERROR_INPUT, "the byte 0x%02x is no text of a .cfg file", c);
        text[length++] = (char)c;
    }
    text[length] = '\0';
    *ret_text = text;
    return THAW_OK;
}

static thaw_status add_section(struct thaw_arena *arena, char *text, int line,
                               struct thaw_cfg *cfg) {
    size_t length = strlen(text);
    if (length < 3 || text[length - 1] != ']')
        return thaw_fail(THAW_ERROR_INPUT, "expected a section such as [convolutional], found '%s'",
                         text);
    text[length - 1] = '\0';
    struct thaw_cfg_section *sections =
        thaw_arena_grow(arena, cfg->sections, cfg->count, &cfg->capacity, sizeof *sections);
    if (!sections)
        return THAW_ERROR_MEMORY;
    cfg->sections = sections;
    sections[cfg->count++] = (struct thaw_cfg_section){.type = text + 1, .line = line};
    return THAW_OK;
}

static thaw_status add_option(struct thaw_arena *arena, char *text, int line,
                              struct thaw_cfg *cfg) {
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return thaw_fail(THAW_ERROR_INPUT, "expected key=value, found '%s'", text);
    if (!cfg->count)
        return thaw_fail(THAW_ERROR_INPUT, "'%s' stands before the first section", text);
    struct thaw_cfg_section *section = &cfg->sections[cfg->count - 1];
    struct thaw_cfg_option *options = thaw_arena_grow(arena, section->options, section->count,
                                                      &section->capacity, sizeof *options);
    if (!options)
        return THAW_ERROR_MEMORY;
    *equals = '\0';
    section->options = options;
    options[section->count++] = (struct thaw_cfg_option){text, equals + 1, line};
    return THAW_OK;
}

static thaw_status add_line(struct thaw_arena *arena, struct line line, int number,
                            struct thaw_cfg *cfg) {
    char first = first_character(line), *text = NULL;
    if (!first || first == '#' || first == ';')
        return THAW_OK;
    THAW_TRY(strip(arena, line, &text));
    return first == '[' ? add_section(arena, text, number, cfg)
                        : add_option(arena, text, number, cfg);
}

thaw_status thaw_cfg_parse(struct thaw_arena *arena, const char *text, size_t size_bytes,
                           const char *name, struct thaw_cfg *ret_cfg) {
    struct thaw_cfg cfg = {.file = name};
    if (size_bytes > INT_MAX)
        return thaw_fail(THAW_ERROR_INPUT, "%s: %zu bytes are no .cfg file", name, size_bytes);
    int number = 1;
    for (size_t offset = 0; offset < size_bytes; number++) {
        struct line line = next_line(text, size_bytes, &offset);
        thaw_status status = add_line(arena, line, number, &cfg);
        if (status != THAW_OK)
            return thaw_context(status, "%s:%d", name, number);
    }
    if (!cfg.count)
        return thaw_fail(THAW_ERROR_INPUT, "%s: the file has no sections", name);
    *ret_cfg = cfg;
    return THAW_OK;
}

/* ---- values --------------------------------------------------------------------------------- */

thaw_status thaw_cfg_fail(const struct thaw_cfg *cfg, const struct thaw_cfg_section *section,
                          const struct thaw_cfg_option *option, thaw_status status,
                          const char *format, ...) {
    char message[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return thaw_fail(status, "%s:%d: [%s] %s", cfg->file, option ? option->line : section->line,
                     section->type, message);
}

const struct thaw_cfg_option *thaw_cfg_find(const struct thaw_cfg_section *section,
                                            const char *key) {
    for (size_t i = 0; i < section->count; i++)
        if (!strcmp(section->options[i].key, key))
            return &section->options[i];
    return NULL;
}

/* A whole number at *cursor, which moves behind it. */
static bool read_int(const char **cursor, int *ret_value) {
    char *end;
    long value = strtol(*cursor, &end, 10);
    if (end == *cursor || value > INT_MAX || value < INT_MIN)
        return false;
    *cursor = end;
    *ret_value = (int)value;
    return true;
}

thaw_status thaw_cfg_int(const struct thaw_cfg *cfg, const struct thaw_cfg_section *section,
                         const char *key, int low, int high, int *value) {
    const struct thaw_cfg_option *option = thaw_cfg_find(section, key);
    int number = 0;
    if (!option)
        return THAW_OK;
    const char *cursor = option->value;
    if (!read_int(&cursor, &number) || *cursor || number < low || number > high)
        return thaw_cfg_fail(cfg, section, option, THAW_ERROR_INPUT,
                             "%s=%s: expected a whole number from %d to %d", key, option->value,
                             low, high);
    *value = number;
    return THAW_OK;
}

thaw_status thaw_cfg_double(const struct thaw_cfg *cfg, const struct thaw_cfg_section *section,
                            const char *key, double low, double high, double *value) {
    const struct thaw_cfg_option *option = thaw_cfg_find(section, key);
    if (!option)
        return THAW_OK;
    char *end;
    double number = strtod(option->value, &end);
    if (end == option->value || *end || !isfinite(number) || number < low || number > high)
        return thaw_cfg_fail(cfg, section, option, THAW_ERROR_INPUT,
                             "%s=%s: expected a number from %g to %g", key, option->value, low,
                             high);
    *value = number;
    return THAW_OK;
}

thaw_status thaw_cfg_ints(const struct thaw_cfg *cfg, const struct thaw_cfg_section *section,
                          const char *key, int max, int *ret_values, int *ret_count) {
    const struct thaw_cfg_option *option = thaw_cfg_find(section, key);
    int values[16], count = 0;
    const char *cursor = option ? option->value : "";
    while (option) {
        int number;
        if (count == max || count == 16)
            return thaw_cfg_fail(cfg, section, option, THAW_ERROR_UNSUPPORTED,
                                 "%s=%s: at most %d layers", key, option->value, max);
        if (!read_int(&cursor, &number) || (*cursor && *cursor != ','))
            return thaw_cfg_fail(cfg, section, option, THAW_ERROR_INPUT,
                                 "%s=%s: expected whole numbers with commas between", key,
                                 option->value);
        values[count++] = number;
        if (*cursor++ != ',' || !*cursor) /* Darknet allows a comma at the end */
            break;
    }
    for (int i = 0; i < count; i++)
        ret_values[i] = values[i];
    *ret_count = count;
    return THAW_OK;
}
