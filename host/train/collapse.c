#include "train/collapse.h"

#include <math.h>

double thaw_collapse_recent_loss(const struct thaw_collapse *c) {
    int count = c->steps < THAW_COLLAPSE_WINDOW ? c->steps : THAW_COLLAPSE_WINDOW;
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += c->recent[i];
    return count ? sum / count : 0;
}

bool thaw_collapse_step(struct thaw_collapse *c, double loss, int classes) {
    if (c->told || c->steps >= THAW_COLLAPSE_LIMIT)
        return false;
    if (c->steps == 0)
        c->first = loss;
    c->recent[c->steps++ % THAW_COLLAPSE_WINDOW] = loss;
    if (c->steps <= THAW_COLLAPSE_WINDOW)
        return false;
    double recent = thaw_collapse_recent_loss(c);
    c->told = recent > 2 * c->first && recent > c->first + log(classes) / 2;
    return c->told;
}
