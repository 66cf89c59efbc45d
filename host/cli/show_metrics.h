/* The classes of an evaluation, for people: how well each is told, and which are mixed up. */
#ifndef THAW_CLI_SHOW_METRICS_H
#define THAW_CLI_SHOW_METRICS_H

#include "train/metrics.h"

/* A line for each class, or with many of them for the worst, unless `all`. */
void thaw_show_classes(const struct thaw_metrics *metrics, const char *const *classes, bool all);
/* The pairs of classes that are mistaken for each other most, as many as help. */
void thaw_show_confused(const struct thaw_metrics *metrics, const char *const *classes);
/* The whole matrix where it is small enough to read, else the pairs. */
void thaw_show_confusion(const struct thaw_metrics *metrics, const char *const *classes);

#endif
