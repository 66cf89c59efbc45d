/* A run as one HTML page that needs nothing else: stages, curves, classes, what was mistaken, the
 * proof of what was frozen, where it ran. Made from the run folder's files alone; what a file that
 * is missing would tell is left out. */
#ifndef THAW_TRAIN_REPORT_H
#define THAW_TRAIN_REPORT_H

#include "train/run_record.h"

/* Writes report.html into the run folder. */
thaw_status thaw_report_write(const char *run);

/* ---- shared by report.c, report_tables.c and report_svg.c ------------------------------------ */

/* Any bytes as HTML text, also within quotes. */
void thaw_report_escape(struct thaw_text *html, const char *text);
/* Loss and the run's metric over the epochs, stages marked. */
void thaw_report_curves(struct thaw_text *html, const struct thaw_run_record *record);
/* Recall, precision and F1 of each class, and who is taken for whom. */
void thaw_report_classes(struct thaw_text *html, struct thaw_run_record *record);
/* The photos that were most confidently wrong, of the test part if there is one. */
void thaw_report_mistakes(struct thaw_text *html, struct thaw_run_record *record);
/* Anything as nested lists and tables: auto.json. */
void thaw_report_json(struct thaw_text *html, json_t *value);

#endif
