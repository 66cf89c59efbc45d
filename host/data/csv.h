/* Tables of text: CSV as of RFC 4180, and columns set apart by blanks. */
#ifndef THAW_DATA_CSV_H
#define THAW_DATA_CSV_H

#include "core/arena.h"
#include "core/text.h"

struct thaw_csv_row {
    const char **fields;
    int line; /* where it starts, from 1 */
};

struct thaw_csv {
    struct thaw_csv_row *rows;
    size_t count;
    size_t columns; /* in every row */
};

/* Reads the file into `arena`. delimiter ' ' stands for any run of blanks and tabs. Empty lines are
 * passed over, as is a byte order mark. "FILE:LINE: ..." for a row with another number of fields
 * than the first, an open quote, a NUL byte. A file without rows has count 0. */
thaw_status thaw_csv_read(struct thaw_arena *arena, const char *path, char delimiter,
                          struct thaw_csv *ret_csv);

/* Appends a field, in quotes where RFC 4180 asks for them. */
void thaw_csv_append_field(struct thaw_text *text, const char *field);

#endif
