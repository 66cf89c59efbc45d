#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

#define MAX_OPTIONS 64 /* of all tables together, for the nearest name */

struct parser {
    struct thaw_arena *arena;
    const struct thaw_option_table *tables;
    size_t table_count;
    const char *const *words;
    size_t count, next;
};

thaw_status thaw_words_append(struct thaw_arena *arena, struct thaw_words *words,
                              const char *word) {
    const char **items =
        thaw_arena_grow(arena, words->items, words->count, &words->capacity, sizeof *items);
    if (!items)
        return THAW_ERROR_MEMORY;
    words->items = items;
    words->items[words->count++] = word;
    return THAW_OK;
}

/* The option called `name` of `length` characters (a long name, or one letter when `is_short`), and
 * where its value goes. */
static const struct thaw_option *find(const struct parser *parser, const char *name, size_t length,
                                      bool is_short, void **ret_value) {
    for (size_t t = 0; t < parser->table_count; t++) {
        const struct thaw_option_table *table = &parser->tables[t];
        for (size_t i = 0; i < table->count; i++) {
            const struct thaw_option *option = &table->options[i];
            bool same = is_short ? option->letter && option->letter == *name
                                 : strlen(option->name) == length &&
                                       strncmp(option->name, name, length) == 0;
            if (same) {
                *ret_value = (char *)table->values + option->offset;
                return option;
            }
        }
    }
    return NULL;
}

static thaw_status fail_unknown(const struct parser *parser, const char *word, const char *name,
                                size_t length) {
    const char *names[MAX_OPTIONS];
    size_t count = 0;
    for (size_t t = 0; t < parser->table_count; t++)
        for (size_t i = 0; i < parser->tables[t].count && count < MAX_OPTIONS; i++)
            names[count++] = parser->tables[t].options[i].name;
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%.*s", (int)(length < 127 ? length : 127), name);
    const char *nearest = thaw_nearest(wanted, names, count);
    thaw_status status = thaw_fail(THAW_ERROR_INPUT, "unknown option \"%s\"", word);
    if (nearest)
        return thaw_hint(status, "did you mean --%s? --help lists the options", nearest);
    return thaw_hint(status, "--help lists the options");
}

static thaw_status parse_int(const struct thaw_option *option, const char *text, int *ret_value) {
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < option->low || value > option->high)
        return thaw_fail(THAW_ERROR_INPUT, "--%s %s: expected a whole number from %d to %d",
                         option->name, text, option->low, option->high);
    *ret_value = (int)value;
    return THAW_OK;
}

static thaw_status store(struct parser *parser, const struct thaw_option *option, void *value,
                         const char *text) {
    switch (option->kind) {
    case THAW_OPTION_FLAG:
        *(bool *)value = true;
        return THAW_OK;
    case THAW_OPTION_TEXT:
        *(const char **)value = text;
        return THAW_OK;
    case THAW_OPTION_INT:
        return parse_int(option, text, value);
    case THAW_OPTION_LIST:
        return thaw_words_append(parser->arena, value, text);
    case THAW_OPTION_WORDS:
        THAW_TRY(thaw_words_append(parser->arena, value, text));
        while (parser->next < parser->count && parser->words[parser->next][0] != '-')
            THAW_TRY(thaw_words_append(parser->arena, value, parser->words[parser->next++]));
        return THAW_OK;
    }
    return THAW_OK;
}

/* One option: `word` begins with a dash and is more than "-". */
static thaw_status parse_option(struct parser *parser, const char *word) {
    bool is_short = word[1] != '-';
    const char *name = word + (is_short ? 1 : 2);
    size_t length = is_short ? 1 : strcspn(name, "=");
    /* What is attached to the name, if anything: "=value" or, for a letter, "value". */
    const char *attached = name[length] ? name + length + !is_short : NULL;
    void *value = NULL;
    const struct thaw_option *option = find(parser, name, length, is_short, &value);
    if (!option || (is_short && attached && option->kind == THAW_OPTION_FLAG))
        return fail_unknown(parser, word, name, is_short ? strlen(name) : length);
    if (option->kind == THAW_OPTION_FLAG) {
        if (attached)
            return thaw_fail(THAW_ERROR_INPUT, "--%s takes no value, but got \"%s\"", option->name,
                             attached);
        return store(parser, option, value, NULL);
    }
    if (!attached) {
        if (parser->next == parser->count)
            return thaw_fail(THAW_ERROR_INPUT, "--%s needs a value: --%s %s", option->name,
                             option->name, option->value);
        attached = parser->words[parser->next++];
    }
    return store(parser, option, value, attached);
}

thaw_status thaw_options_parse(struct thaw_arena *arena, const struct thaw_option_table *tables,
                               size_t table_count, const char *const *words, size_t word_count,
                               struct thaw_words *arguments) {
    struct parser parser = {arena, tables, table_count, words, word_count, 0};
    bool only_arguments = false;
    while (parser.next < parser.count) {
        const char *word = parser.words[parser.next++];
        if (!only_arguments && strcmp(word, "--") == 0)
            only_arguments = true;
        else if (!only_arguments && word[0] == '-' && word[1])
            THAW_TRY(parse_option(&parser, word));
        else
            THAW_TRY(thaw_words_append(arena, arguments, word));
    }
    return THAW_OK;
}
