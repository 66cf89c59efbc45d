/* Classes, mistakes and choices of a report. */
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "data/csv.h"
#include "data/image.h"
#include "train/report.h"

#define MATRIX_MAX 20   /* classes that a matrix is readable for */
#define MISTAKES_MAX 12 /* photos */
#define THUMBNAIL 112   /* pixels of the short side */

void thaw_report_escape(struct thaw_text *html, const char *text) {
    json_t *clean = thaw_json_text(text);
    for (const char *c = clean ? json_string_value(clean) : ""; *c; c++) {
        const char *entity = *c == '&'   ? "&amp;"
                             : *c == '<' ? "&lt;"
                             : *c == '>' ? "&gt;"
                             : *c == '"' ? "&quot;"
                                         : NULL;
        bool control = (unsigned char)*c < ' ' && *c != '\n' && *c != '\t';
        if (entity)
            thaw_text_append(html, "%s", entity);
        else
            thaw_text_append_bytes(html, control ? "?" : c, 1);
    }
    json_decref(clean);
}

/* ---- classes -------------------------------------------------------------------------------- */

static unsigned long long row_sum(const struct thaw_metrics *m, int c) {
    unsigned long long sum = 0;
    for (int j = 0; j < m->classes; j++)
        sum += m->confusion[c * m->classes + j];
    return sum;
}

static void append_matrix(struct thaw_text *html, const struct thaw_metrics *m,
                          const char *const *classes) {
    thaw_text_append(html, "<h3>Confusion</h3>\n<div class=wide><table class=matrix><thead><tr>"
                           "<th>true \\ predicted</th>");
    for (int c = 0; c < m->classes; c++) {
        thaw_text_append(html, "<th>");
        thaw_report_escape(html, classes[c]);
        thaw_text_append(html, "</th>");
    }
    thaw_text_append(html, "</tr></thead><tbody>\n");
    for (int i = 0; i < m->classes; i++) {
        unsigned long long sum = row_sum(m, i);
        thaw_text_append(html, "<tr><th>");
        thaw_report_escape(html, classes[i]);
        thaw_text_append(html, "</th>");
        for (int j = 0; j < m->classes; j++) {
            unsigned long long count = m->confusion[i * m->classes + j];
            thaw_text_append(html, "<td class=%s style=\"--share:%.3f\">%llu</td>",
                             i == j ? "right" : "wrong", sum ? (double)count / (double)sum : 0,
                             count);
        }
        thaw_text_append(html, "</tr>\n");
    }
    thaw_text_append(html, "</tbody></table></div>\n");
}

void thaw_report_classes(struct thaw_text *html, struct thaw_run_record *record) {
    struct thaw_metrics m;
    const char *const *classes = record->info.classes;
    bool test = thaw_run_record_metrics(record, "test", &m);
    if (!test && !thaw_run_record_metrics(record, "val", &m))
        return;
    thaw_text_append(html,
                     "<h2>Classes, on the %s part</h2>\n<div class=wide><table><thead><tr>"
                     "<th>class</th><th class=n>recall</th><th class=n>precision</th>"
                     "<th class=n>F1</th><th class=n>photos</th></tr></thead><tbody>\n",
                     test ? "test" : "validation");
    for (int c = 0; c < m.classes; c++) {
        thaw_text_append(html, "<tr><td>");
        thaw_report_escape(html, classes[c]);
        thaw_text_append(html,
                         "</td><td class=n>%.4f</td><td class=n>%.4f</td><td class=n>%.4f</td>"
                         "<td class=n>%llu</td></tr>\n",
                         m.recall[c], m.precision[c], m.f1[c], row_sum(&m, c));
    }
    thaw_text_append(html, "</tbody></table></div>\n");
    if (m.classes <= MATRIX_MAX)
        append_matrix(html, &m, classes);
}

/* ---- mistakes ------------------------------------------------------------------------------- */

static int by_probability(const void *a, const void *b) {
    const struct thaw_csv_row *const *x = a, *const *y = b;
    double p = strtod((*x)->fields[4], NULL), q = strtod((*y)->fields[4], NULL);
    return p != q ? (p < q ? 1 : -1) : (*x)->line - (*y)->line;
}

static void append_base64(struct thaw_text *html, const unsigned char *bytes, size_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        unsigned value = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        char quad[4] = {digits[value >> 18], digits[value >> 12 & 63],
                        left > 1 ? digits[value >> 6 & 63] : '=',
                        left > 2 ? digits[value & 63] : '='};
        thaw_text_append_bytes(html, quad, 4);
    }
}

/* The picture, when its file can still be read. */
static void append_thumbnail(struct thaw_text *html, const char *path) {
    struct thaw_image_request request = {3, THAW_RESIZE_SHORT, THUMBNAIL};
    struct thaw_image image = {0};
    unsigned char *jpeg = NULL;
    size_t size_bytes = 0;
    if (thaw_image_decode(path, &request, &image) != THAW_OK)
        return;
    if (thaw_image_jpeg(&image, &jpeg, &size_bytes) == THAW_OK) {
        thaw_text_append(html, "<img alt=\"\" src=\"data:image/jpeg;base64,");
        append_base64(html, jpeg, size_bytes);
        thaw_text_append(html, "\"/>");
    }
    free(jpeg);
    thaw_image_finish(&image);
}

static void append_mistake(struct thaw_text *html, const struct thaw_csv_row *row) {
    const char *path = row->fields[1], *slash = strrchr(path, '/');
    thaw_text_append(html, "<figure class=photo>");
    append_thumbnail(html, path);
    thaw_text_append(html, "<figcaption><b>");
    thaw_report_escape(html, row->fields[3]);
    thaw_text_append(html, "</b> %.0f&nbsp;%%<br/>is ", 100 * strtod(row->fields[4], NULL));
    thaw_report_escape(html, row->fields[2]);
    thaw_text_append(html, "<br/><small>");
    thaw_report_escape(html, slash ? slash + 1 : path);
    thaw_text_append(html, "</small></figcaption></figure>\n");
}

void thaw_report_mistakes(struct thaw_text *html, struct thaw_run_record *record) {
    struct thaw_csv csv = {0};
    const char *part = json_object_get(record->evaluation, "test") ? "test" : "val";
    size_t count = 0;
    if (thaw_csv_read(&record->arena, record->folder.predictions, ',', &csv) != THAW_OK ||
        csv.columns != 5)
        return;
    const struct thaw_csv_row **wrong =
        thaw_arena_array(&record->arena, csv.count + 1, sizeof *wrong);
    if (!wrong)
        return;
    for (size_t i = 1; i < csv.count; i++)
        if (!strcmp(csv.rows[i].fields[0], part) &&
            strcmp(csv.rows[i].fields[2], csv.rows[i].fields[3]) != 0)
            wrong[count++] = &csv.rows[i];
    if (!count)
        return;
    qsort(wrong, count, sizeof *wrong, by_probability);
    thaw_text_append(html,
                     "<h2>Most confidently wrong</h2>\n<p class=note>%zu of the %s part are "
                     "wrong; all are in predictions.csv.</p>\n<div class=photos>\n",
                     count, strcmp(part, "val") ? "test" : "validation");
    for (size_t i = 0; i < count && i < MISTAKES_MAX; i++)
        append_mistake(html, wrong[i]);
    thaw_text_append(html, "</div>\n");
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void append_rows(struct thaw_text *html, json_t *list) {
    const char *key;
    json_t *value;
    thaw_text_append(html, "<div class=wide><table><thead><tr>");
    json_object_foreach(json_array_get(list, 0), key, value) {
        thaw_text_append(html, "<th>");
        thaw_report_escape(html, key);
        thaw_text_append(html, "</th>");
    }
    thaw_text_append(html, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(list); i++) {
        thaw_text_append(html, "<tr>");
        json_object_foreach(json_array_get(list, 0), key, value) {
            thaw_text_append(html, "<td>");
            thaw_report_json(html, json_object_get(json_array_get(list, i), key));
            thaw_text_append(html, "</td>");
        }
        thaw_text_append(html, "</tr>\n");
    }
    thaw_text_append(html, "</tbody></table></div>\n");
}

void thaw_report_json(struct thaw_text *html, json_t *value) {
    const char *key;
    json_t *item;
    if (json_is_object(value)) {
        thaw_text_append(html, "<dl>");
        json_object_foreach(value, key, item) {
            thaw_text_append(html, "<dt>");
            thaw_report_escape(html, key);
            thaw_text_append(html, "</dt><dd>");
            thaw_report_json(html, item);
            thaw_text_append(html, "</dd>\n");
        }
        thaw_text_append(html, "</dl>\n");
    } else if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
        append_rows(html, value);
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            thaw_text_append(html, "%s", i ? ", " : "");
            thaw_report_json(html, json_array_get(value, i));
        }
    } else if (json_is_string(value)) {
        thaw_report_escape(html, json_string_value(value));
    } else if (json_is_integer(value)) {
        thaw_text_append(html, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        thaw_text_append(html, "%.4g", json_real_value(value));
    } else {
        thaw_text_append(html, "%s",
                         json_is_boolean(value) ? json_is_true(value) ? "yes" : "no" : "&#8211;");
    }
}
