#include "cli/show_metrics.h"

#include <stdio.h>
#include <stdlib.h>

#define CLASSES_MAX 12 /* that a table or a matrix shows */
#define WORST 10       /* of more classes than that */
#define PAIRS 5

static unsigned long long photos_of(const struct thaw_metrics *m, int c) {
    unsigned long long photos = 0;
    for (int j = 0; j < m->classes; j++)
        photos += m->confusion[c * m->classes + j];
    return photos;
}

/* The class with the lowest F1 that comes after `previous` in that order; -1: none is left. */
static int next_worst(const struct thaw_metrics *m, int previous) {
    int best = -1;
    for (int c = 0; c < m->classes; c++) {
        bool after = previous < 0 || m->f1[c] > m->f1[previous] ||
                     (m->f1[c] == m->f1[previous] && c > previous);
        if (after && photos_of(m, c) && (best < 0 || m->f1[c] < m->f1[best]))
            best = c;
    }
    return best;
}

static void show_class(const struct thaw_metrics *m, const char *const *classes, int c) {
    printf("%-20.20s %9.4f %9.4f %9.4f %8llu\n", classes[c], m->recall[c], m->precision[c],
           m->f1[c], photos_of(m, c));
}

void thaw_show_classes(const struct thaw_metrics *m, const char *const *classes, bool all) {
    printf("%-20s %9s %9s %9s %8s\n", "class", "recall", "precision", "F1", "photos");
    if (all || m->classes <= CLASSES_MAX) {
        for (int c = 0; c < m->classes; c++)
            show_class(m, classes, c);
        return;
    }
    for (int i = 0, c = -1; i < WORST && (c = next_worst(m, c)) >= 0; i++)
        show_class(m, classes, c);
    printf("(the worst of %d classes; -v shows all)\n", m->classes);
}

void thaw_show_confused(const struct thaw_metrics *m, const char *const *classes) {
    int n = m->classes;
    uint64_t last = UINT64_MAX;
    long long last_pair = -1;
    for (int i = 0; i < PAIRS; i++) {
        long long best = -1;
        for (long long p = 0; p < (long long)n * n; p++) {
            uint64_t count = p / n == p % n ? 0 : m->confusion[p];
            bool after = count < last || (count == last && p > last_pair);
            if (count && after && (best < 0 || count > m->confusion[best]))
                best = p;
        }
        if (best < 0)
            return;
        last = m->confusion[best];
        last_pair = best;
        printf("%s%s taken for %s: %llu of %llu\n",
               i ? "                 " : "most confused:   ", classes[best / n], classes[best % n],
               (unsigned long long)last, photos_of(m, (int)(best / n)));
    }
}

void thaw_show_confusion(const struct thaw_metrics *m, const char *const *classes) {
    if (m->classes > CLASSES_MAX) {
        thaw_show_confused(m, classes);
        return;
    }
    printf("%-20s predicted\n%-20s", "confusion", "true");
    for (int j = 0; j < m->classes; j++)
        printf(" %11.11s", classes[j]);
    printf("\n");
    for (int i = 0; i < m->classes; i++) {
        printf("%-20.20s", classes[i]);
        for (int j = 0; j < m->classes; j++)
            printf(" %11llu", (unsigned long long)m->confusion[i * m->classes + j]);
        printf("\n");
    }
}
