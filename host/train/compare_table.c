/* A comparison as a table and as JSON. */
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "train/compare.h"

#define COLUMNS_MAX (2 + THAW_METRIC_COUNT + 2 + 3) /* see fill_header() */
#define CELL_SIZE 256

struct table {
    char (*cells)[COLUMNS_MAX][CELL_SIZE]; /* the header, then the rows */
    size_t rows, columns;
};

/* "0.8725 ± 0.0031"; "-" when no run has it. */
static void format_estimate(struct thaw_estimate e, char cell[CELL_SIZE]) {
    if (!e.count)
        snprintf(cell, CELL_SIZE, "-");
    else if (e.count == 1)
        snprintf(cell, CELL_SIZE, "%.4f", e.mean);
    else
        snprintf(cell, CELL_SIZE, "%.4f ± %.4f", e.mean, e.error);
}

static void format_time(struct thaw_estimate e, char cell[CELL_SIZE]) {
    long seconds = (long)(e.mean + 0.5);
    if (!e.count)
        snprintf(cell, CELL_SIZE, "-");
    else if (e.mean < 100)
        snprintf(cell, CELL_SIZE, "%.1f s", e.mean);
    else
        snprintf(cell, CELL_SIZE, "%ld:%02ld:%02ld", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
}

static void format_size(double value, double step, const char *const *units, char cell[CELL_SIZE]) {
    int unit = 0;
    for (; value >= 1000 && unit < 3; unit++)
        value /= step;
    snprintf(cell, CELL_SIZE, "%.3g%s", value, units[unit]);
}

/* How many of a row's experiments have run: "3", or "2 of 3". */
static void format_runs(const struct thaw_comparison *c, const struct thaw_compared_row *row,
                        char cell[CELL_SIZE]) {
    size_t complete = 0;
    for (size_t i = 0; i < row->count; i++)
        complete += c->runs[row->members[i]].complete;
    if (complete == row->count)
        snprintf(cell, CELL_SIZE, "%zu", complete);
    else
        snprintf(cell, CELL_SIZE, "%zu of %zu", complete, row->count);
}

static bool any_test(const struct thaw_comparison *c) {
    for (size_t i = 0; i < c->count; i++)
        if (c->runs[i].has_test)
            return true;
    return false;
}

static void fill_row(const struct thaw_comparison *c, const struct thaw_compared_row *row,
                     char (*cells)[CELL_SIZE]) {
    static const char *const counts[] = {"", " k", " M", " G"};
    static const char *const bytes[] = {" B", " KiB", " MiB", " GiB"};
    const struct thaw_compared *first = &c->runs[row->members[0]];
    size_t n = 0;
    snprintf(cells[n++], CELL_SIZE, "%s", row->name);
    format_runs(c, row, cells[n++]);
    for (int m = THAW_METRIC_LOSS; m < THAW_METRIC_COUNT; m++)
        format_estimate(thaw_compared_estimate(c, row, thaw_compared_val, m), cells[n++]);
    if (any_test(c))
        for (int m = THAW_METRIC_TOP1; m <= THAW_METRIC_BALANCED; m++)
            format_estimate(thaw_compared_estimate(c, row, thaw_compared_test, m), cells[n++]);
    format_time(thaw_compared_estimate(c, row, thaw_compared_time, 0), cells[n++]);
    format_size((double)first->trained_values, 1000, counts, cells[n++]);
    if (first->cache_bytes)
        format_size((double)first->cache_bytes, 1024, bytes, cells[n++]);
    else
        snprintf(cells[n++], CELL_SIZE, "-");
}

static void fill_header(const struct thaw_comparison *c, struct table *table) {
    size_t n = 0;
    const char *titles[COLUMNS_MAX] = {"experiment", "runs"};
    for (n = 2; n < 2 + THAW_METRIC_COUNT; n++)
        titles[n] = thaw_metric_names[n - 2];
    if (any_test(c)) {
        titles[n++] = "test.top1";
        titles[n++] = "test.balanced";
    }
    titles[n++] = "time";
    titles[n++] = "trained";
    titles[n++] = "cache";
    table->columns = n;
    for (size_t i = 0; i < n; i++)
        snprintf(table->cells[0][i], CELL_SIZE, "%s", titles[i]);
}

/* Characters, of UTF-8. */
static size_t width_of(const char *text) {
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

/* The first column to the left, numbers to the right. */
static void append_table(const struct table *table, struct thaw_text *text) {
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t r = 0; r < table->rows; r++)
        for (size_t i = 0; i < table->columns; i++) {
            size_t width = width_of(table->cells[r][i]);
            widths[i] = width > widths[i] ? width : widths[i];
        }
    for (size_t r = 0; r < table->rows; r++) {
        for (size_t i = 0; i < table->columns; i++) {
            const char *cell = table->cells[r][i];
            int blanks = (int)(widths[i] - width_of(cell));
            if (i)
                thaw_text_append(text, "| %*s%s ", blanks, "", cell);
            else
                thaw_text_append(text, "| %s%*s ", cell, blanks, "");
        }
        thaw_text_append(text, "|\n");
        for (size_t i = 0; !r && i < table->columns; i++) {
            thaw_text_append(text, "|%s", i ? "" : " ");
            for (size_t w = 0; w < widths[i] + (i ? 1 : 0); w++)
                thaw_text_append(text, "-");
            thaw_text_append(text, "%s", i ? ":" : " ");
        }
        if (!r)
            thaw_text_append(text, "|\n");
    }
}

/* The row whose mean is best in the metric that the first experiment is judged by. */
static void append_best(const struct thaw_comparison *c, struct thaw_text *text) {
    enum thaw_metric metric = c->sweep->runs[0].config.metric;
    const struct thaw_compared_row *best = NULL;
    struct thaw_estimate best_value = {0};
    for (size_t r = 0; r < c->row_count; r++) {
        struct thaw_estimate e =
            thaw_compared_estimate(c, &c->rows[r], thaw_compared_val, (int)metric);
        if (e.count && (!best || thaw_metric_better(metric, e.mean, best_value.mean))) {
            best = &c->rows[r];
            best_value = e;
        }
    }
    if (best && c->row_count > 1)
        thaw_text_append(text, "\nbest %s: %s\n", thaw_metric_names[metric], best->name);
    for (size_t i = 0; i < c->count; i++)
        if (c->runs[i].error)
            thaw_text_append(text, "\nfailed: %s: %s\n", c->runs[i].run->config.name,
                             c->runs[i].error);
}

void thaw_comparison_table(const struct thaw_comparison *c, struct thaw_text *text) {
    struct thaw_arena arena = {0};
    struct table table = {.rows = c->row_count + 1};
    table.cells = thaw_arena_array(&arena, table.rows, sizeof *table.cells);
    if (!table.cells) {
        text->failed = true;
        return;
    }
    fill_header(c, &table);
    for (size_t r = 0; r < c->row_count; r++)
        fill_row(c, &c->rows[r], table.cells[r + 1]);
    append_table(&table, text);
    append_best(c, text);
    thaw_arena_finish(&arena);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *values_json(bool has, const double values[THAW_METRIC_COUNT]) {
    if (!has)
        return json_null();
    json_t *object = json_object();
    for (int m = 0; m < THAW_METRIC_COUNT; m++)
        json_object_set_new(object, thaw_metric_names[m] + strlen("val."), json_real(values[m]));
    return object;
}

static json_t *estimates_json(const struct thaw_comparison *c, const struct thaw_compared_row *row,
                              thaw_compared_value *value) {
    json_t *object = json_object();
    for (int m = 0; m < THAW_METRIC_COUNT; m++) {
        struct thaw_estimate e = thaw_compared_estimate(c, row, value, m);
        if (e.count)
            json_object_set_new(object, thaw_metric_names[m] + strlen("val."),
                                json_pack("{s:f, s:f, s:I}", "mean", e.mean, "error", e.error,
                                          "count", (json_int_t)e.count));
    }
    return object;
}

static json_t *run_json(const struct thaw_compared *run) {
    const struct thaw_config *config = &run->run->config;
    return json_pack(
        "{s:o, s:o, s:I, s:b, s:b, s:o, s:f, s:o, s:o}", "name", thaw_json_text(config->name),
        "run", thaw_json_text(run->folder), "seed", (json_int_t)config->seed, "complete",
        (int)run->complete, "skipped", (int)run->skipped, "error",
        run->error ? thaw_json_text(run->error) : json_null(), "time_s", run->time_s, "val",
        values_json(run->has_val, run->val), "test", values_json(run->has_test, run->test));
}

static json_t *row_json(const struct thaw_comparison *c, const struct thaw_compared_row *row) {
    const struct thaw_compared *first = &c->runs[row->members[0]];
    json_t *runs = json_array();
    for (size_t i = 0; i < row->count; i++)
        json_array_append_new(runs, run_json(&c->runs[row->members[i]]));
    struct thaw_estimate time = thaw_compared_estimate(c, row, thaw_compared_time, 0);
    return json_pack("{s:o, s:f, s:I, s:I, s:o, s:o, s:o}", "name", thaw_json_text(row->name),
                     "time_s", time.mean, "trained_values", (json_int_t)first->trained_values,
                     "cache_bytes", (json_int_t)first->cache_bytes, "val",
                     estimates_json(c, row, thaw_compared_val), "test",
                     estimates_json(c, row, thaw_compared_test), "runs", runs);
}

json_t *thaw_comparison_json(const struct thaw_comparison *c) {
    json_t *rows = json_array();
    for (size_t r = 0; r < c->row_count; r++)
        json_array_append_new(rows, row_json(c, &c->rows[r]));
    return json_pack("{s:o, s:s, s:I, s:o}", "name", thaw_json_text(c->sweep->name), "metric",
                     thaw_metric_names[c->sweep->runs[0].config.metric], "failures",
                     (json_int_t)c->failures, "experiments", rows);
}
