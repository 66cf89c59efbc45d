/* The learning curves of a report, as SVG with direct labels. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/report.h"

#define WIDTH 720
#define HEIGHT 220
#define LEFT 48
#define RIGHT 96 /* room for the lines' names */
#define TOP 24
#define BOTTOM 24
#define TICKS 4

struct chart {
    struct thaw_text *html;
    const json_t *epochs;
    size_t count;
    double low, high;
};

/* A line: a value of each epoch's object, or of its `val`. */
struct line {
    const char *label, *key, *class;
    bool of_val;
};

static double value_at(const struct chart *chart, const struct line *line, size_t epoch) {
    const json_t *object = json_array_get(chart->epochs, epoch);
    const json_t *value =
        json_object_get(line->of_val ? json_object_get(object, "val") : object, line->key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static double x_of(const struct chart *chart, size_t epoch) {
    double span = chart->count > 1 ? (double)(chart->count - 1) : 1;
    return LEFT + (WIDTH - LEFT - RIGHT) * (double)epoch / span;
}

static double y_of(const struct chart *chart, double value) {
    return TOP + (HEIGHT - TOP - BOTTOM) * (chart->high - value) / (chart->high - chart->low);
}

/* Bounds of what is finite, and round ticks within: 1, 2 or 5 times a power of ten apart. */
static double set_range(struct chart *chart, const struct line *lines, size_t line_count) {
    chart->low = INFINITY;
    chart->high = -INFINITY;
    for (size_t l = 0; l < line_count; l++)
        for (size_t e = 0; e < chart->count; e++) {
            double value = value_at(chart, &lines[l], e);
            if (!isfinite(value))
                continue;
            chart->low = fmin(chart->low, value);
            chart->high = fmax(chart->high, value);
        }
    if (!(chart->high > chart->low)) {
        chart->low = isfinite(chart->low) ? chart->low - 0.5 : 0;
        chart->high = chart->low + 1;
    }
    double rough = (chart->high - chart->low) / TICKS, power = pow(10, floor(log10(rough)));
    double step = rough <= 2 * power ? 2 * power : rough <= 5 * power ? 5 * power : 10 * power;
    chart->low = floor(chart->low / step) * step;
    chart->high = ceil(chart->high / step) * step;
    return step;
}

static void append_grid(const struct chart *chart, double step) {
    for (int i = 0; chart->low + i * step <= chart->high + step / 2; i++) {
        double value = chart->low + i * step, y = y_of(chart, value);
        thaw_text_append(chart->html,
                         "<line class=grid x1=%d x2=%d y1=%.1f y2=%.1f />"
                         "<text x=%d y=%.1f text-anchor=end>%.4g</text>\n",
                         LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4,
                         fabs(value) < step / 1e6 ? 0 : value);
    }
    thaw_text_append(chart->html, "<text x=%d y=%d text-anchor=end>epoch %zu</text>\n",
                     WIDTH - RIGHT, HEIGHT - 6, chart->count);
}

/* A rule where a stage begins, with its name. */
static void append_stages(const struct chart *chart) {
    json_int_t previous = -1;
    for (size_t e = 0; e < chart->count; e++) {
        const json_t *epoch = json_array_get(chart->epochs, e);
        json_int_t stage = json_integer_value(json_object_get(epoch, "stage_index"));
        const char *name = json_string_value(json_object_get(epoch, "stage"));
        if (stage == previous)
            continue;
        previous = stage;
        double x = e ? (x_of(chart, e) + x_of(chart, e - 1)) / 2 : x_of(chart, 0);
        thaw_text_append(chart->html,
                         "<line class=stage x1=%.1f x2=%.1f y1=%d y2=%d />"
                         "<text x=%.1f y=%d>",
                         x, x, TOP - 16, HEIGHT - BOTTOM, x + 4, TOP - 8);
        thaw_report_escape(chart->html, name ? name : "");
        thaw_text_append(chart->html, "</text>\n");
    }
}

/* `label_y`: where the last label stands, so that the next keeps clear of it. */
static void append_line(const struct chart *chart, const struct line *line, double *label_y) {
    double last = NAN, last_x = 0;
    bool drawing = false;
    thaw_text_append(chart->html, "<path class=\"line %s\" d=\"", line->class);
    for (size_t e = 0; e < chart->count; e++) {
        double value = value_at(chart, line, e);
        if (isfinite(value)) {
            last = value;
            last_x = x_of(chart, e);
            thaw_text_append(chart->html, "%s%.1f %.1f", drawing ? "L" : "M", last_x,
                             y_of(chart, value));
        }
        drawing = isfinite(value);
    }
    thaw_text_append(chart->html, "\"/>\n");
    if (!isfinite(last))
        return;
    double y = y_of(chart, last) + 4;
    if (isfinite(*label_y) && fabs(y - *label_y) < 14)
        y = y < *label_y ? *label_y - 14 : *label_y + 14;
    *label_y = y;
    thaw_text_append(chart->html, "<text class=%s x=%.1f y=%.1f>%s %.4g</text>\n", line->class,
                     last_x + 6, y, line->label, last);
}

static void append_kept(const struct chart *chart, const struct line *line,
                        const struct thaw_run_record *record) {
    for (size_t e = 0; e < chart->count; e++) {
        double value = value_at(chart, line, e);
        if (json_array_get(chart->epochs, e) == record->kept && isfinite(value))
            thaw_text_append(chart->html,
                             "<circle class=%s cx=%.1f cy=%.1f r=4><title>kept: %.4g"
                             "</title></circle>\n",
                             line->class, x_of(chart, e), y_of(chart, value), value);
    }
}

static void append_chart(struct thaw_text *html, const struct thaw_run_record *record,
                         const char *title, const struct line *lines, size_t line_count) {
    struct chart chart = {
        .html = html, .epochs = record->epochs, .count = json_array_size(record->epochs)};
    double step = set_range(&chart, lines, line_count), label_y = NAN;
    thaw_text_append(html,
                     "<figure><figcaption>%s</figcaption><svg viewBox=\"0 0 %d %d\" role=img "
                     "aria-label=\"%s over %zu epochs\">\n",
                     title, WIDTH, HEIGHT, title, chart.count);
    append_grid(&chart, step);
    append_stages(&chart);
    for (size_t l = 0; l < line_count; l++)
        append_line(&chart, &lines[l], &label_y);
    append_kept(&chart, &lines[line_count - 1], record);
    thaw_text_append(html, "</svg></figure>\n");
}

void thaw_report_curves(struct thaw_text *html, const struct thaw_run_record *record) {
    static const struct line loss[] = {{"train", "train_loss", "a", false},
                                       {"val", "loss", "b", true}};
    static const struct line scores[] = {{"balanced", "balanced", "a", true},
                                         {"top1", "top1", "b", true}};
    bool has_val = json_object_get(json_array_get(record->epochs, 0), "val") != NULL;
    if (!json_array_size(record->epochs))
        return;
    thaw_text_append(html, "<h2>Learning curves</h2>\n");
    append_chart(html, record, "Loss", loss, has_val ? 2 : 1);
    if (has_val)
        append_chart(html, record, "Validation accuracy", scores, 2);
    thaw_text_append(html, "<p class=note>The dot is the epoch whose weights were kept.</p>\n");
}
