/* Darknet's .cfg files as text: sections of `key=value` lines that keep their places. What the
 * sections mean is the other files' business.
 *
 * As in Darknet (src/parser.c, read_cfg): white space counts nowhere, lines that start with # or ;
 * are comments, and of two equal keys in a section the first one holds. */
#ifndef THAW_IO_DARKNET_CFG_H
#define THAW_IO_DARKNET_CFG_H

#include <stdbool.h>

#include "core/arena.h"

struct thaw_cfg_option {
    const char *key, *value; /* white space and a comment at the end removed */
    int line;                /* 1-based */
};

struct thaw_cfg_section {
    const char *type; /* "convolutional", without the brackets */
    int line;
    struct thaw_cfg_option *options;
    size_t count, capacity;
};

struct thaw_cfg {
    const char *file; /* for messages; borrowed */
    struct thaw_cfg_section *sections;
    size_t count, capacity;
};

/* Whether the text begins like a .cfg file: its first line that says anything is a section. */
bool thaw_cfg_matches(const char *text, size_t size_bytes);

/* Everything is of `arena`. THAW_ERROR_INPUT at the line that is no section, option or comment, for
 * bytes that are no text, and for a file without sections. */
thaw_status thaw_cfg_parse(struct thaw_arena *arena, const char *text, size_t size_bytes,
                           const char *name, struct thaw_cfg *ret_cfg);

/* Fails with "FILE:LINE: [section] <text>", at the option's line or, for NULL, the section's. */
thaw_status thaw_cfg_fail(const struct thaw_cfg *cfg, const struct thaw_cfg_section *section,
                          const struct thaw_cfg_option *option, thaw_status status,
                          const char *format, ...) THAW_PRINTF(5, 6);

/* The first option of that key; NULL when there is none. */
const struct thaw_cfg_option *thaw_cfg_find(const struct thaw_cfg_section *section,
                                            const char *key);

/* Typed reads; an absent key leaves *value as it was. Wrong kinds and ranges fail at their line. */
thaw_status thaw_cfg_int(const struct thaw_cfg *cfg, const struct thaw_cfg_section *section,
                         const char *key, int low, int high, int *value);
thaw_status thaw_cfg_double(const struct thaw_cfg *cfg, const struct thaw_cfg_section *section,
                            const char *key, double low, double high, double *value);
/* "-1,-4": at most `max` numbers; *ret_count is 0 when the key is absent. */
thaw_status thaw_cfg_ints(const struct thaw_cfg *cfg, const struct thaw_cfg_section *section,
                          const char *key, int max, int *ret_values, int *ret_count);

#endif
