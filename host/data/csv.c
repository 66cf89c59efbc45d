#include "data/csv.h"

#include <stdbool.h>
#include <string.h>

#include "core/file.h"

struct reader {
    struct thaw_arena *arena;
    const char *path;
    char delimiter;
    const char *at, *end;
    int line;
    const char **fields; /* of the current row */
    size_t count, capacity;
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static bool is_delimiter(const struct reader *reader, char c) {
    return reader->delimiter == ' ' ? is_blank(c) : c == reader->delimiter;
}

static bool is_line_end(const struct reader *reader) {
    return reader->at == reader->end || *reader->at == '\n' ||
           (*reader->at == '\r' && (reader->at + 1 == reader->end || reader->at[1] == '\n'));
}

static thaw_status fail_line(const struct reader *reader, int line, const char *reason) {
    return thaw_fail(THAW_ERROR_INPUT, "%s:%d: %s", reader->path, line, reason);
}

/* A field in quotes; `at` is on the opening one. Its text gets shorter where "" stands for ". */
static thaw_status read_quoted(struct reader *reader, char **ret_field) {
    int line = reader->line;
    const char *start = ++reader->at;
    size_t length = 0;
    const char *scan = start;
    while (scan < reader->end && (*scan != '"' || (scan + 1 < reader->end && scan[1] == '"')))
        scan += *scan == '"' ? 2 : 1;
    if (scan == reader->end)
        return fail_line(reader, line, "a quoted field has no end");
    char *field = thaw_arena_copy_bytes(reader->arena, start, (size_t)(scan - start));
    if (!field)
        return THAW_ERROR_MEMORY;
    for (; reader->at < scan; reader->at++) {
        reader->line += *reader->at == '\n';
        field[length++] = *reader->at;
        reader->at += *reader->at == '"';
    }
    field[length] = '\0';
    reader->at++;
    if (!is_line_end(reader) && !is_delimiter(reader, *reader->at))
        return fail_line(reader, reader->line, "text after the end of a quoted field");
    *ret_field = field;
    return THAW_OK;
}

static thaw_status read_field(struct reader *reader) {
    char *field = NULL;
    if (reader->at < reader->end && *reader->at == '"') {
        THAW_TRY(read_quoted(reader, &field));
    } else {
        const char *start = reader->at;
        while (!is_line_end(reader) && !is_delimiter(reader, *reader->at))
            reader->at++;
        field = thaw_arena_copy_bytes(reader->arena, start, (size_t)(reader->at - start));
        if (!field)
            return THAW_ERROR_MEMORY;
    }
    const char **fields = thaw_arena_grow(reader->arena, reader->fields, reader->count,
                                          &reader->capacity, sizeof *fields);
    if (!fields)
        return THAW_ERROR_MEMORY;
    reader->fields = fields;
    fields[reader->count++] = field;
    return THAW_OK;
}

static void skip_blanks(struct reader *reader) {
    while (reader->delimiter == ' ' && reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
}

/* Reads a line's fields and steps over its end; none for an empty line. */
static thaw_status read_row(struct reader *reader) {
    reader->count = 0;
    skip_blanks(reader);
    while (!is_line_end(reader) || reader->count) {
        THAW_TRY(read_field(reader));
        skip_blanks(reader);
        if (is_line_end(reader))
            break;
        if (reader->delimiter != ' ')
            reader->at++; /* over the delimiter; a field follows, if an empty one */
    }
    reader->at += reader->at < reader->end && *reader->at == '\r';
    if (reader->at < reader->end) {
        reader->at++;
        reader->line++;
    }
    return THAW_OK;
}

static thaw_status read_rows(struct reader *reader, struct thaw_csv *csv) {
    size_t capacity = 0;
    while (reader->at < reader->end) {
        int line = reader->line;
        THAW_TRY(read_row(reader));
        if (!reader->count)
            continue;
        if (!csv->count)
            csv->columns = reader->count;
        if (reader->count != csv->columns)
            return thaw_fail(THAW_ERROR_INPUT, "%s:%d: %zu columns; the first row has %zu",
                             reader->path, line, reader->count, csv->columns);
        struct thaw_csv_row *rows =
            thaw_arena_grow(reader->arena, csv->rows, csv->count, &capacity, sizeof *rows);
        const char **fields = thaw_arena_array(reader->arena, csv->columns, sizeof *fields);
        if (!rows || !fields)
            return THAW_ERROR_MEMORY;
        memcpy(fields, reader->fields, csv->columns * sizeof *fields);
        csv->rows = rows;
        rows[csv->count++] = (struct thaw_csv_row){fields, line};
    }
    return THAW_OK;
}

thaw_status thaw_csv_read(struct thaw_arena *arena, const char *path, char delimiter,
                          struct thaw_csv *ret_csv) {
    struct thaw_map map = {0};
    THAW_TRY(thaw_map_open(path, &map));
    const char *text = (const char *)map.bytes;
    struct reader reader = {.arena = arena, .path = path, .delimiter = delimiter, .line = 1};
    struct thaw_csv csv = {0};
    thaw_status status = THAW_OK;
    if (map.size_bytes) {
        bool has_mark = map.size_bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
        reader.at = text + (has_mark ? 3 : 0);
        reader.end = text + map.size_bytes;
        status = memchr(text, '\0', map.size_bytes)
                     ? thaw_fail(THAW_ERROR_INPUT, "%s: not a text file", path)
                     : read_rows(&reader, &csv);
    }
    thaw_map_close(&map);
    if (status == THAW_OK)
        *ret_csv = csv;
    return status;
}

void thaw_csv_append_field(struct thaw_text *text, const char *field) {
    if (!strpbrk(field, ",\"\r\n")) {
        thaw_text_append(text, "%s", field);
        return;
    }
    thaw_text_append(text, "\"");
    for (; *field; field++)
        thaw_text_append(text, *field == '"' ? "\"\"" : "%c", *field);
    thaw_text_append(text, "\"");
}
