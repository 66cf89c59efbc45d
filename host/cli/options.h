/* Command-line options as tables: a command states its options, the parser fills in a struct. */
#ifndef THAW_CLI_OPTIONS_H
#define THAW_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"

enum thaw_option_kind {
    THAW_OPTION_FLAG,  /* bool: set to true */
    THAW_OPTION_TEXT,  /* const char *: the last one counts */
    THAW_OPTION_INT,   /* int, within low..high */
    THAW_OPTION_LIST,  /* struct thaw_words: one word a use, in order */
    THAW_OPTION_WORDS, /* struct thaw_words: all words up to the next option */
};

struct thaw_words {
    const char **items;
    size_t count, capacity;
};

struct thaw_option {
    const char *name; /* without dashes */
    char letter;      /* 0 when there is no short form */
    enum thaw_option_kind kind;
    size_t offset;     /* of the value in the struct that is filled in */
    const char *value; /* what the help calls the value: "FILE"; NULL for a flag */
    const char *help;
    int low, high; /* THAW_OPTION_INT only */
};

/* A list of options and the struct that they fill in. */
struct thaw_option_table {
    const struct thaw_option *options;
    size_t count;
    void *values;
};

/* Parses `words`. Accepts "--name value", "--name=value", "-l value" and "-lvalue"; options and
 * arguments in any order; "--" ends the options, "-" is an argument. What is no option is appended
 * to `arguments`. THAW_ERROR_INPUT, with the nearest name as its hint, for an unknown option, a
 * missing or unexpected value, or a number that is none or out of range. */
thaw_status thaw_options_parse(struct thaw_arena *arena, const struct thaw_option_table *tables,
                               size_t table_count, const char *const *words, size_t word_count,
                               struct thaw_words *arguments);

thaw_status thaw_words_append(struct thaw_arena *arena, struct thaw_words *words, const char *word);

#endif
