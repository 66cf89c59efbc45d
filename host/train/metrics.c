#include "train/metrics.h"

#include <string.h>

thaw_status thaw_metrics_init(struct thaw_arena *arena, int classes,
                              struct thaw_metrics *ret_metrics) {
    struct thaw_metrics metrics = {.classes = classes};
    size_t n = (size_t)classes;
    metrics.confusion = thaw_arena_array(arena, n * n, sizeof *metrics.confusion);
    metrics.recall = thaw_arena_array(arena, 3 * n, sizeof *metrics.recall);
    if (!metrics.confusion || !metrics.recall)
        return THAW_ERROR_MEMORY;
    metrics.precision = metrics.recall + n;
    metrics.f1 = metrics.precision + n;
    *ret_metrics = metrics;
    return THAW_OK;
}

void thaw_metrics_reset(struct thaw_metrics *metrics) {
    size_t n = (size_t)metrics->classes;
    memset(metrics->confusion, 0, n * n * sizeof *metrics->confusion);
    metrics->count = 0;
    metrics->loss_sum = metrics->loss_norm = 0;
}

void thaw_metrics_add(struct thaw_metrics *metrics, int label, int predicted) {
    metrics->confusion[label * metrics->classes + predicted]++;
    metrics->count++;
}

static double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

void thaw_metrics_finish(struct thaw_metrics *metrics) {
    int n = metrics->classes, occurring = 0, scored = 0;
    double hits = 0, recall_sum = 0, f1_sum = 0;
    for (int c = 0; c < n; c++) {
        double hit = (double)metrics->confusion[c * n + c], actual = 0, predicted = 0;
        for (int j = 0; j < n; j++) {
            actual += (double)metrics->confusion[c * n + j];
            predicted += (double)metrics->confusion[j * n + c];
        }
        metrics->recall[c] = ratio(hit, actual);
        metrics->precision[c] = ratio(hit, predicted);
        metrics->f1[c] = ratio(2 * hit, actual + predicted);
        hits += hit;
        occurring += actual > 0;
        scored += actual + predicted > 0;
        recall_sum += metrics->recall[c];
        f1_sum += metrics->f1[c];
    }
    metrics->loss = ratio(metrics->loss_sum, metrics->loss_norm);
    metrics->top1 = ratio(hits, (double)metrics->count);
    metrics->balanced = ratio(recall_sum, occurring);
    metrics->macro_f1 = ratio(f1_sum, scored);
}

double thaw_metrics_value(const struct thaw_metrics *metrics, enum thaw_metric metric) {
    switch (metric) {
    case THAW_METRIC_LOSS:
        return metrics->loss;
    case THAW_METRIC_TOP1:
        return metrics->top1;
    case THAW_METRIC_BALANCED:
        return metrics->balanced;
    default:
        return metrics->macro_f1;
    }
}

bool thaw_metric_better(enum thaw_metric metric, double a, double b) {
    return metric == THAW_METRIC_LOSS ? a < b : a > b;
}

json_t *thaw_metrics_confusion_json(const struct thaw_metrics *metrics) {
    json_t *rows = json_array();
    for (int i = 0; i < metrics->classes; i++) {
        json_t *row = json_array();
        for (int j = 0; j < metrics->classes; j++)
            json_array_append_new(
                row, json_integer((json_int_t)metrics->confusion[i * metrics->classes + j]));
        json_array_append_new(rows, row);
    }
    return rows;
}

bool thaw_metrics_from_confusion(struct thaw_metrics *metrics, const json_t *rows) {
    size_t n = (size_t)metrics->classes;
    thaw_metrics_reset(metrics);
    if (json_array_size(rows) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        if (json_array_size(row) != n)
            return false;
        for (size_t j = 0; j < n; j++) {
            json_int_t count = json_integer_value(json_array_get(row, j));
            if (count < 0)
                return false;
            metrics->confusion[i * n + j] = (uint64_t)count;
            metrics->count += (uint64_t)count;
        }
    }
    thaw_metrics_finish(metrics);
    return true;
}
